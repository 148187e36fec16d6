// Served traffic: requests on replicas of pools, and what users, operators and payers ask of it.
#pragma once

#include "sim/experiment.hpp"
#include "sim/resolve.hpp"
#include "sim/step_run.hpp"

namespace podsim {

// Reads workload.traffic. Throws InputError.
void load_traffic(ResolvedExperiment& experiment);

// The experiment as one of decode, or of prefill for a pool of that role, with the smallest batch:
// how a replica's mapping is chosen.
ResolvedExperiment replica_experiment(const ResolvedExperiment& experiment, const PoolSpec& pool);

AlternativeResult run_serving(const ResolvedExperiment& experiment,
                              const ResolvedAlternative& alternative, const RunOptions& options,
                              RunCounts& counts);

// Throws InputError: a step that does not work out, a model that leaves no room for a KV cache, an
// objective that not even one sequence alone keeps.
void check_serving(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative);

}  // namespace podsim
