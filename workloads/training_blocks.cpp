#include "workloads/training_blocks.hpp"

namespace podsim {

const TrainingBlocks::OfKind& TrainingBlocks::of(const LayerKind& kind) {
    for (const OfKind& known : kinds_)
        if (known.kind == kind) return known;
    kinds_.push_back({kind, attention_training(job_, plan_, kind), {}});
    if (kind.experts) kinds_.back().router = router_training(job_, plan_, kind);
    return kinds_.back();
}

const TrainingBlock& TrainingBlocks::dense() {
    if (!dense_) dense_ = dense_training(job_, plan_);
    return *dense_;
}

const TrainingBlock& TrainingBlocks::shared_expert() {
    if (!shared_expert_) shared_expert_ = shared_expert_training(job_, plan_);
    return *shared_expert_;
}

const TrainingBlock& TrainingBlocks::combine() {
    if (!combine_) combine_ = combine_training(job_, plan_);
    return *combine_;
}

const TrainingBlock& TrainingBlocks::experts(const ExpertRows& rows) {
    for (const auto& [known, block] : experts_)
        if (known == rows) return block;
    return experts_.emplace_back(rows, expert_training(job_, plan_, rows)).second;
}

}  // namespace podsim
