// Several collectives at once on one pool: on ranks of their own or on the same ones, whose ports
// and links they share.
#pragma once

#include <vector>

#include "base/diagnostic.hpp"
#include "sim/step_run.hpp"
#include "workloads/trace_program.hpp"

namespace podsim {

// One class for the ranks that take part in the same collectives, named after them; a stream for
// each collective, so that those of one rank are under way at the same time. Work is none.
TraceProgram program_of_collectives(const std::vector<CollectiveJobSpec>& jobs);

AlternativeResult run_collectives(const ResolvedExperiment& experiment,
                                  const ResolvedAlternative& alternative, const RunOptions& options,
                                  RunCounts& counts);

// Adds what is wrong: ranks that the pool lacks, what its fabric or its library refuses.
void check_collectives(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative,
                       std::vector<Diagnostic>& problems);

}  // namespace podsim
