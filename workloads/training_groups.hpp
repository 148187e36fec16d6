// Data-parallel groups that are not alike (mapping.unequal_groups): what a batch, a pod or a number
// of chips leaves over when nothing has to divide.
//
// D data-parallel groups of t = tensor x context ranks a stage. Groups exchange tokens in blocks of
//
//   g = expert x expert tensor / t   groups (1 where their ranks are no more than t)
//
// and all groups of a block do as many micro-batches. M micro-batches over D groups: M mod D
// groups, in whole blocks, do one more than the others, floor(M / D), and the step waits for them.
//
// What D leaves over g is a last block of its own, D mod g groups: its r = (D mod g) t / expert
// tensor ranks hold all E experts among them, ceil(E / r) a rank, copies where that is more than E,
// and the fewer micro-batches, or as many as they are told (mapping.last_block_micro_batches): M
// less theirs is then what the other groups share. Replicas of an expert are then ceil(D / g),
// those of the last block g t ranks from the others', as all neighbours are.
//
//   step = max over parts of the step of its groups
//
// as gradients are reduced over all.
#pragma once

#include <string>
#include <vector>

#include "workloads/training_spec.hpp"

namespace podsim {

// Groups that are alike.
struct GroupPart {
    long groups = 0;
    TrainingPlan plan;
    long redundant = 0;       // copies of experts in each of its expert groups
    bool last_block = false;  // with expert groups of its own size
    double share(const TrainingPlan& whole) const {
        return static_cast<double>(groups) / static_cast<double>(whole.data_parallel);
    }
};

// Groups that exchange tokens, and so do as many micro-batches; nothing where expert groups and
// tensor-parallel groups cut across each other.
long groups_of_block(const TrainingJob& job, const TrainingPlan& plan);

// One part where all groups are alike, first those with the most micro-batches. Of a plan without
// problems.
std::vector<GroupPart> group_parts(const TrainingJob& job, const TrainingPlan& plan);

// What stands in the way of unequal groups.
std::vector<StepError> group_problems(const TrainingJob& job, const TrainingPlan& plan);

// Data-parallel groups that so many ranks have room for, in whole chips.
long groups_that_fit(const TrainingPlan& plan, long ranks, long ranks_per_chip);

}  // namespace podsim
