// What the ranks of a training job send each other in a pass: collectives by the group that takes
// part in them, and what data-parallel ranks exchange of parameters and gradients.
#pragma once

#include <vector>

#include "workloads/task_chain.hpp"
#include "workloads/training_pass.hpp"
#include "workloads/training_placement.hpp"

namespace podsim {

inline constexpr double kWide = 2;  // bytes of BF16

// Elements that are exchanged between data-parallel ranks.
struct Shared {
    double dense = 0, experts = 0;
};

class RankTransfers {
  public:
    // All must outlive it.
    RankTransfers(const TrainingJob& job, const TrainingPlan& plan, TaskChain& chain)
        : job_(job), plan_(plan), chain_(chain) {}

    Transfer collective(const char* name, TransferType type, RankGroup group, double bytes);
    void note(const GroupTransfer& one) { moved_.push_back(one); }

    // Narrower formats are made of what arrives.
    TaskIds gather(const Shared& held, bool aside);
    // Between replicas, and between both directions of a pipeline where that is once a step.
    void reduce(const Shared& held, bool aside);
    void sum_directions(const Shared& held, bool aside);

    // All that was asked for, in order.
    const std::vector<GroupTransfer>& moved() const { return moved_; }

  private:
    TaskIds between_replicas(const Shared& held, const char* name, TransferType type,
                             double element, bool aside);
    void reduce_copies(const Shared& held, bool aside);

    const TrainingJob& job_;
    const TrainingPlan& plan_;
    TaskChain& chain_;
    std::vector<GroupTransfer> moved_;
};

// Whether gradients are reduced after each micro-batch. A rank that keeps no sums but its own
// part's (ZeRO 2 and 3, arXiv 1910.02054, section 5.2) has nowhere else to add the next ones to:
// DeepSpeed and FSDP reduce in every backward pass, and wait for it at the end of that. With ZeRO 0
// and 1 sums are whole and reduced once.
bool reduces_each(const TrainingPlan& plan);

// Whether two stages hold each layer, one for each direction of the pipeline.
bool two_directions(const TrainingPlan& plan);

// A rank's own copy of so many bytes, on its way over the host link in rows of a page.
Operator host_copy(const char* name, double bytes);

}  // namespace podsim
