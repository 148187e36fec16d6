// The blocks of a plan's layers, each made once: layers of a kind have the same.
#pragma once

#include <deque>
#include <optional>
#include <utility>

#include "workloads/training_operators.hpp"

namespace podsim {

class TrainingBlocks {
  public:
    // Both must outlive it.
    TrainingBlocks(const TrainingJob& job, const TrainingPlan& plan) : job_(job), plan_(plan) {}

    // What is handed out stays where it is.
    const TrainingBlock& attention(const LayerKind& kind) { return of(kind).attention; }
    const TrainingBlock& router(const LayerKind& kind) { return of(kind).router; }
    const TrainingBlock& dense();
    const TrainingBlock& shared_expert();
    const TrainingBlock& combine();
    // Of a rank whose experts get so many rows.
    const TrainingBlock& experts(const ExpertRows& rows);

  private:
    struct OfKind {
        LayerKind kind;
        TrainingBlock attention, router;
    };
    const OfKind& of(const LayerKind& kind);

    const TrainingJob& job_;
    const TrainingPlan& plan_;
    std::deque<OfKind> kinds_;
    std::deque<std::pair<ExpertRows, TrainingBlock>> experts_;
    std::optional<TrainingBlock> dense_, shared_expert_, combine_;
};

}  // namespace podsim
