// A training step of which no two ranks are taken as equal: how many assignments each rank's
// experts get is drawn for every micro-batch and layer.
//
// A folded step knows one expert group, whose busiest rank has the expected maximum E max of the
// counts in every layer (workloads/expert_balance.hpp). Here every rank r of every group draws its
// own count from the same laws, n = n(seed; group, layer, micro-batch, rank), once for the passes
// of a micro-batch forward and backward, which bring the same tokens. Ranks of a group wait for
// each other in dispatch and combine, so that
//
//   pass = its folded time + sum over its layers of  t(max over r of n_r) - t(E max)
//
// with t the time of a layer of this kind alone, run for eight loads of the busiest rank between
// the mean and the largest that may come, and linear between them. A forward and a backward pass as
// one take the mean of t for either's load. Each block of data-parallel groups that exchange tokens
// then goes through the schedule with passes of its own:
//
//   step = gather + max over blocks and stages (end of its last pass + reduction + optimiser) +
//   host
//
// Left out: draws of the modules of multi-token prediction; topics that make the tokens of a
// sequence alike; that a group's counts add up (as E max does).
#pragma once

#include <cstdint>

#include "sim/training_case.hpp"

namespace podsim {

struct UnfoldedStep {
    Seconds total{0.0};
    double imbalance = 1;  // of the busiest rank over the mean, mean over all that was drawn
    long blocks = 1;
    long draws = 0;
};

// Of a plan whose groups are alike. `folded` is its step as `training` has it.
UnfoldedStep unfolded_step(TrainingCase& training, const TrainingJob& job, const TrainingPlan& plan,
                           const TrainingStep& folded, std::uint64_t seed);

}  // namespace podsim
