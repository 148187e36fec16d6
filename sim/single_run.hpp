// One operator on one rank, or one collective among ranks, run by the same machine as a step.
#pragma once

#include "sim/step_run.hpp"

namespace podsim {

AlternativeResult run_single(const ResolvedExperiment& experiment,
                             const ResolvedAlternative& alternative, const RunOptions& options,
                             RunCounts& counts);

// Throws InputError where the alternative cannot run the operator or collective.
void check_single(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative);

}  // namespace podsim
