// A run of many steps around a training step: days, interruptions, dollars; how many tokens a
// budget buys (workloads/training_run.hpp).
#pragma once

#include "sim/resolve.hpp"
#include "sim/result.hpp"

namespace podsim {

// Adds goodput, run_days, run_tokens, run_cost and the like where the workload has `run`, with a
// warning where a seeded simulation of failures lies far from the expectation.
void add_days(AlternativeResult& result, const ResolvedExperiment& experiment,
              const ResolvedAlternative& alternative);

// Throws InputError: checkpoints longer than the time between failures.
void check_days(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative);

}  // namespace podsim
