// A whole training step as one program: for each stage its passes in the order of the schedule,
// joined by the sends between stages, then the optimiser and the host's step.
//
// A stage's ranks are one class, or two where experts have a busiest rank: the program has as many
// classes as stages and not as ranks, each micro-batch its tasks. The first forward pass of a
// position gathers parameters and its last backward pass reduces gradients where the engine does
// so beside passes: what follows waits for neither, the optimiser for all. Times of tasks are those
// of the pass as it ran by itself.
#pragma once

#include "sim/training_case.hpp"

namespace podsim {

struct StepProgram {
    Program program;
    RunRecord record;  // of its tasks alone: begin, end and chain are each pass's own
};

// `send`: what a stage hands on (workloads/training_pass.hpp).
StepProgram program_of_step(const TrainingStep& step, const TrainingPlan& plan,
                            const Transfer& send);

}  // namespace podsim
