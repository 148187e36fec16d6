// The operators of one training block on one rank, forward and backward, as its engine runs them:
// tokens that sequence parallel divides, scores that go through memory, dropout.
#pragma once

#include <vector>

#include "program/operator.hpp"
#include "workloads/training_spec.hpp"

namespace podsim {

// The gradients of one operator: of what it read, and of its weights.
struct OperatorGradients {
    std::vector<Operator> input, weight;
};

// A block between two collectives of a tensor-parallel group. `before` works on the tokens of one
// rank (norm, quantise, latents), `divided` on all of the group's with a part of heads or width.
struct TrainingBlock {
    std::vector<Operator> before, divided;
    std::vector<OperatorGradients> divided_gradients, before_gradients;  // last operator first
    std::vector<Operator> before_again, divided_again;                   // before the backward pass
    double gathered_elements = 0;  // of a token, what the group brings together between the two
    DType gathered_format = DType::bf16;
};

TrainingBlock attention_training(const TrainingJob& job, const TrainingPlan& plan,
                                 const LayerKind& kind);
TrainingBlock dense_training(const TrainingJob& job, const TrainingPlan& plan);
// Router: all of it in front of the exchange.
TrainingBlock router_training(const TrainingJob& job, const TrainingPlan& plan,
                              const LayerKind& kind);
TrainingBlock shared_expert_training(const TrainingJob& job, const TrainingPlan& plan);
// Routed experts of one rank that get so many rows; the rows are put in order around them where the
// engine does so.
TrainingBlock expert_training(const TrainingJob& job, const TrainingPlan& plan,
                              const ExpertRows& rows);
TrainingBlock combine_training(const TrainingJob& job, const TrainingPlan& plan);
TrainingBlock embedding_training(const TrainingJob& job, const TrainingPlan& plan);
TrainingBlock head_training(const TrainingJob& job, const TrainingPlan& plan);
TrainingBlock draft_training(const TrainingJob& job, const TrainingPlan& plan);

}  // namespace podsim
