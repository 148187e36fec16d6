// A run of many steps around a training step: days, interruptions, dollars; how many tokens a
// budget buys (workloads/training_run.hpp).
#pragma once

#include <cstdint>

#include "sim/alternative_result.hpp"
#include "sim/resolve.hpp"
#include "sim/straggler_steps.hpp"
#include "workloads/training_run.hpp"

namespace podsim {

// Adds goodput, run_days, run_tokens, run_cost and the like where the workload has `run`, with a
// warning where a seeded simulation of failures lies far from the expectation.
// `slowed` where the run has stragglers; equal seeds draw equal failures.
void add_days(AlternativeResult& result, const ResolvedExperiment& experiment,
              const ResolvedAlternative& alternative, const StragglerSteps* slowed,
              std::uint64_t seed);

// The form with its checkpoints' times, of a plan; it throws RunProblem where one has no way.
TrainingRunForm with_checkpoint_times(TrainingRunForm form, const TrainingJob& job,
                                      const TrainingPlan& plan,
                                      const ResolvedAlternative& alternative);

// The run of so many steps that the form describes on so many chips.
TrainingRunSpec training_run_spec(const TrainingRunForm& form, double chips, double steps,
                                  Seconds step);

// Throws InputError: checkpoints longer than the time between failures.
void check_days(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative);

}  // namespace podsim
