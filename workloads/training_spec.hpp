// What one training step is asked to be. A job is what stays when layouts are compared, a plan is
// one layout of it.
#pragma once

#include <string>
#include <vector>

#include "models/model.hpp"
#include "models/training.hpp"
#include "models/training_memory.hpp"
#include "workloads/mapping.hpp"
#include "workloads/schedule.hpp"
#include "workloads/step.hpp"
#include "workloads/training_mapping.hpp"
#include "workloads/training_offload.hpp"

namespace podsim {

struct TrainingJob {
    ModelSpec model;
    Precision precision;
    EngineSpec engine;  // with its section `training`
    ExpertsSpec experts;
    long sequence = 0;      // tokens
    long global_batch = 0;  // sequences of a step
    bool drafts = true;     // modules of multi-token prediction, where the model has them
    bool dropout = false;   // as in models of 2022
    NarrowScaling scaling = NarrowScaling::blocks;  // of operands of 8 bits and fewer
    OptimizerFormats optimizer;
    DType gradient_reduction = DType::fp32;  // format in which gradients cross the network
    long domain_ranks = 0;                   // that scale-up connects; 0: not known
    bool has_drafts() const { return drafts && model.draft_layers > 0; }
    const TrainingHabits& habits() const { return engine.training.value(); }
};

// Routed experts in the mean over the MoE layers: assignments of the busiest rank over the mean
// (1: balanced), share of the assignments that were dropped.
struct RoutedLoad {
    double imbalance = 1, dropped = 0;
};

// What is said of a part of the data-parallel groups, where they are not alike
// (workloads/training_groups.hpp); 0: as the degrees make it.
struct PartOfGroups {
    long micro_batches = 0;
    long expert_replicas = 0, expert_stride = 0;
};

struct TrainingPlan {
    int tensor_parallel = 1, pipeline_parallel = 1, data_parallel = 1, expert_parallel = 1;
    TrainingMapping more;
    int zero_stage = 1;
    long micro_batch = 1;  // sequences
    ScheduleKind schedule = ScheduleKind::one_forward_one_backward;
    bool overlap_passes = false;  // ScheduleRequest::overlaps
    RecomputeChoice recompute;
    TrainingOffload offload;
    // As chosen_order() and routed_load() have it; filled in by who makes the plan.
    RankOrder order = kFlatOrder;
    RoutedLoad routed;
    PartOfGroups part;

    long stage_ranks() const {
        return static_cast<long>(tensor_parallel) * more.context_parallel * data_parallel;
    }
    long ranks() const { return stage_ranks() * pipeline_parallel; }
    // Replicas of what is not an expert, and of experts.
    long replicas() const { return static_cast<long>(data_parallel) * more.context_parallel; }
    long expert_replicas() const {
        if (part.expert_replicas > 0) return part.expert_replicas;
        const long group = static_cast<long>(expert_parallel) * more.expert_tensor_parallel;
        return (stage_ranks() + group - 1) / group;
    }
    ScheduleRequest request(const TrainingJob& job) const;
    // Of a data-parallel group in one step, the most where they differ.
    long micro_batches(const TrainingJob& job) const;
    // Of one micro-batch: all tokens of a tensor-parallel group, and those of one rank where
    // sequence parallel divides them.
    long tokens(const TrainingJob& job) const;
    long own_tokens(const TrainingJob& job) const;
};

// A part of the model along its depth.
struct TrainingPosition {
    long begin = 0, end = 0;  // layers
    bool embedding = false, head = false, drafts = false;
    // Of the layers, the first so many are computed again as recompute says; -1: all of them.
    long again = -1;

    bool makes_again(long layer) const { return again < 0 || layer < begin + again; }
    // Of modules of multi-token prediction: Megatron-Core leaves them out of such a block.
    bool makes_drafts_again() const { return again < 0; }
    // Where the layers begin that keep all.
    long keeps_from() const { return again < 0 ? end : begin + again; }
};

// One layer of a position by itself.
TrainingPosition layer_of(const TrainingPosition& position, long layer);

// Parts of the model in their order. Layers that do not divide: those in the middle get one more
// than the first and the last, which have the embedding and the head beside them.
std::vector<TrainingPosition> positions_of(const TrainingJob& job, const TrainingPlan& plan);

// Equal text: equal work.
std::string work_of(const TrainingJob& job, const TrainingPosition& position);

// All that is wrong with a plan on so many ranks, with the nearest value that works: one with which
// nothing is wrong any more, if there is any. To look for it takes the time of hundreds of plans; a
// search that only asks whether a plan can run leaves it out.
enum class NearestValues { named, left_out };
std::vector<StepError> training_problems(const TrainingJob& job, const TrainingPlan& plan,
                                         long ranks, NearestValues nearest = NearestValues::named);

// Parameters of one rank that holds a part of the model, copies of experts counted.
HeldParameters held_by(const TrainingJob& job, const TrainingPlan& plan,
                       const TrainingPosition& position);

RoutedLoad routed_load(const TrainingJob& job, const TrainingPlan& plan);

// Scale-up domains that a token's experts lie in at most, 0 where nothing limits them: experts are
// cut into groups of which a token takes some (node-limited routing, DeepSeek-V3, arXiv 2412.19437,
// section 2.1.2); a group lies on neighbouring ranks.
long routed_domains(const TrainingJob& job, const TrainingPlan& plan);

// How experts are laid over a stage's ranks, in the terms of serving (workloads/step_parts.hpp).
// `gradients`: what is exchanged on the way back.
StepSpec expert_step(const TrainingJob& job, const TrainingPlan& plan, bool gradients);

}  // namespace podsim
