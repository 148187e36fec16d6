// Which passes a stage of a training step runs, and how often.
#pragma once

#include <cstddef>
#include <vector>

#include "sim/training_case.hpp"

namespace podsim {

enum class StagePart { pass, optimizer };

struct PassUse {
    TrainingPassPtr pass;  // never one without tasks
    double times = 0;
    StagePart part = StagePart::pass;
};

// Of one stage; a pass that two positions share stands once. A forward and a backward pass as one
// are half of that of either position.
std::vector<PassUse> uses_of_stage(const TrainingStep& step, int stage);

// The mean over all stages.
std::vector<PassUse> uses_of_all_stages(const TrainingStep& step);

// The mean over the stages of a kind, those passes apart that also gather parameters or reduce
// gradients: the first and the last of each position.
std::vector<PassUse> uses_of_kind(const TrainingStep& step, std::size_t kind);

// Time in which transfers are on the chain of the stage that ends last, so that its cores wait.
Seconds exposed_communication(const TrainingStep& step);

}  // namespace podsim
