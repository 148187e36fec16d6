// What the closed form of a run and the drawing of its failures share.
#pragma once

#include "workloads/training_run.hpp"

namespace podsim {

// Per second, of the whole job.
struct FailureRates {
    double all = 0;           // failures
    double from_memory = 0;   // of them those that copies in memory survive, where there are any
    double from_storage = 0;  // the others
    double replaced = 0;      // those that need a repair
    Seconds repair{0.0};      // mean of those that need one
    double chips = 1;         // that go with one of them, by the time under repair
};

double rate_of(const FailureSource& source);
FailureRates rates_of(const TrainingRunSpec& spec);

bool has_memory(const TrainingRunSpec& spec);
Seconds evaluations_of(const TrainingRunSpec& spec);
Seconds work_of(const TrainingRunSpec& spec);

// With intervals of whole steps, that of storage a multiple of that of memory, the best one where
// none is said. Throws RunProblem as expected_run does.
TrainingRunSpec resolved_run(const TrainingRunSpec& spec, const FailureRates& rates);

}  // namespace podsim
