// Served traffic: requests on replicas of pools, and what users, operators and payers ask of it.
#pragma once

#include "sim/experiment.hpp"
#include "sim/resolve.hpp"
#include "sim/step_run.hpp"

namespace podsim {

// Finds the files of workload.traffic, beside the experiment, in the working directory or among the
// data. Throws InputError.
void load_traffic(ResolvedExperiment& experiment, const Catalog& catalog);

// The experiment as one of decode, or of prefill for a pool of that role, with the smallest batch:
// how a replica's mapping is chosen.
ResolvedExperiment replica_experiment(const ResolvedExperiment& experiment, const PoolSpec& pool);

AlternativeResult run_serving(const ResolvedExperiment& experiment,
                              const ResolvedAlternative& alternative, const RunOptions& options,
                              RunCounts& counts);

// What all replicas of a pool draw by their nameplates, cooling included.
Watts fleet_power(const PriceSpec& prices, const ResolvedAlternative& replica);

// Throws InputError: a step that does not work out, a model that leaves no room for a KV cache, an
// objective that not even one sequence alone keeps, more power than site_power.
void check_serving(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative);

}  // namespace podsim
