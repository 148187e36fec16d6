// Where the ranks of a training job lie: in which order the parallel dimensions count them, the
// first one innermost. Neighbouring ranks share a scale-up domain, so the innermost dimensions have
// its links and the outer ones the network's.
//
//   flat       tp-cp-dp-pp, as Megatron-Core's default tp-cp-ep-dp-pp has it
//   given      any order of the four: tp-cp-pp-dp puts stages inside replicas, say
//   topology   of the orders with tp innermost the one whose step sends the fewest bytes beyond the
//              domain of the rank that sends them, in the order above where equal
//
// Experts lie in rows over the ranks of one stage, as these are counted: expert tensor, expert,
// replicas. With q ranks inside pp and P stages, the stage's rank l of stage s is
//
//   rank(l, s) = l mod q + q s + q P floor(l / q)
//
// A group of a transfer is every n-th rank (program/transfer.hpp); an order that makes a group
// other than that is refused.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "program/transfer.hpp"
#include "workloads/training_mapping.hpp"

namespace podsim {

struct TrainingJob;
struct TrainingPlan;

// Which ranks take part in a transfer.
enum class RankGroup { tensor, context, expert, expert_tensor, replicas, expert_replicas, stages };

// Distance between two neighbours of a group. Nothing where they are not equally far apart.
std::optional<long> stride_of(const TrainingPlan& plan, RankGroup group);
// Of a plan without problems.
int group_stride(const TrainingPlan& plan, RankGroup group);
long group_ranks(const TrainingPlan& plan, RankGroup group);

// Equal text: all groups lie alike.
std::string placement_key(const TrainingPlan& plan);

// The order that `plan.more.placement` means for this job, and why.
struct ChosenOrder {
    RankOrder order;
    double beyond = 0, beyond_flat = 0;  // bytes of a rank in a step, of flat too
};
ChosenOrder chosen_order(const TrainingJob& job, const TrainingPlan& plan);

// Share of a group's bytes that leave the sender's domain: (n - L) / n of an exchange of n ranks, L
// of them in a domain; (n - L) / (n L) of rings in two levels (interconnect/coflow.cpp).
double share_beyond(TransferType type, long ranks, long stride, long domain_ranks);

}  // namespace podsim
