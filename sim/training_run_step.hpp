// An alternative of kind training: from the experiment to the step and the run around it.
#pragma once

#include "sim/step_run.hpp"
#include "sim/training_case.hpp"

namespace podsim {

// What workloads/ is asked, from a resolved alternative. The engine has a section `training`.
TrainingJob training_job(const ResolvedExperiment& experiment,
                         const ResolvedAlternative& alternative);
TrainingPlan training_plan(const ResolvedExperiment& experiment,
                           const ResolvedAlternative& alternative);

// Degrees that were left open: data_parallel what the ranks leave; expert_parallel the most ranks
// of a stage that lie in one scale-up domain and divide the experts. Notes what it chose.
void fill_training_mapping(const ResolvedExperiment& experiment, ResolvedAlternative& alternative);

AlternativeResult run_training(const ResolvedExperiment& experiment,
                               const ResolvedAlternative& alternative, const RunOptions& options,
                               RunCounts& counts);

// Throws InputError where a chip has no link to its host's memory and something is to go there.
void require_host_link(const ResolvedExperiment& experiment,
                       const ResolvedAlternative& alternative);

// Throws InputError with all that is wrong.
void check_training(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative);

}  // namespace podsim
