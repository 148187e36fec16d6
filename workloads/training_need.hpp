// What training needs of a rank's memory, without running anything.
#pragma once

#include <vector>

#include "workloads/schedule_timing.hpp"
#include "workloads/training_spec.hpp"

namespace podsim {

// Activations of one micro-batch in one position.
struct PositionActivations {
    Bytes held{0.0};     // from its forward to its backward pass
    Bytes kept{0.0};     // of it from the gradient of inputs to that of weights
    Bytes working{0.0};  // beside it, while one layer is computed again
    Bytes away{0.0};     // in the host's memory from its forward to its backward pass
    Bytes moving{0.0};   // buffers of what is on its way there and back
};

// What one layer keeps on a rank, before any of it is offloaded; `again`: as one of those that are
// computed again.
Bytes layer_activations(const TrainingJob& job, const TrainingPlan& plan, const LayerKind& kind,
                        bool again = true);

// Between the two halves of a backward pass remain the inputs of linear layers: 32 of the 34 s b h
// bytes of a layer (Qi et al., Zero Bubble Pipeline Parallelism, arXiv 2401.10241, section 2.1).
PositionActivations activations_of(const TrainingJob& job, const TrainingPlan& plan,
                                   const TrainingPosition& position);

// Times of equal passes, with the activations of each position: what the order of a schedule makes
// of memory does not depend on more, automatic schedules apart.
PipelineTimes unit_times(const TrainingJob& job, const TrainingPlan& plan,
                         const std::vector<TrainingPosition>& positions);

// Stages that hold equal parts of the model, `first` to `last` of them (from 0), and what the
// fullest of them needs.
struct StageNeed {
    std::vector<int> stages;
    std::vector<std::vector<int>> positions;  // [pipe] that one of them holds
    MemoryNeed need;                          // rank_class: "stages 2 to 15"
    Bytes host{0.0};                          // of a rank, in its host's memory
    int fullest_stage = 0;  // that needs so much, first at `peak_at`, when `peak_pass` begins
    Seconds peak_at{0.0};
    Pass peak_pass;
};

// "backward pass of micro-batch 3, part 1".
std::string text_of(const Pass& pass);

// What a rank of a stage holds, by the parts of its need, from a time on to the next one. States
// and buffers are there all the while; what layers are computed again into, while gradients of
// inputs are made.
struct HeldMemory {
    Seconds at{0.0};
    std::vector<Bytes> parts;  // as in StageNeed::need
    Bytes total() const;
};
// `timing` with its passes. The most at any time, over the stages of a kind, is what the kind
// needs.
std::vector<HeldMemory> memory_over_time(const StageNeed& need, const ScheduleTiming& timing,
                                         int stage);

// Positions of a stage, of all pipes.
std::vector<int> positions_of_stage(const Schedule& schedule, int stage);

// By kind of stage, with a peak of activations as the timing says, of a rank that has the busiest
// experts of the mean layer in all of them (TrainingPlan::routed).
std::vector<StageNeed> training_need(const TrainingJob& job, const TrainingPlan& plan,
                                     const std::vector<TrainingPosition>& positions,
                                     const Schedule& schedule, const ScheduleTiming& timing);

// Weights, gradients, optimiser's states alone: no less is needed. Cheap.
Bytes least_need(const TrainingJob& job, const TrainingPlan& plan,
                 const std::vector<TrainingPosition>& positions);

}  // namespace podsim
