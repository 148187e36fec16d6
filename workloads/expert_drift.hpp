// Popularity of experts that moves, and experts placed anew for it.
//
// What users ask changes, and with it which experts are popular. A time a after the experts were
// placed for shares s, a part
//
//   x(a) = 1 - exp(-a / t)
//
// of the popularity has moved to shares s' that have nothing to do with them, t the drift's time
// constant: the tokens follow (1 - x) s + x s' over slots that were laid out for s. s' is another
// count (another domain of the same file), or s dealt out to the experts anew.
//
// Placing them anew (EPLB) moves experts: a rank receives every expert that its slots hold
// afterwards and none of them held before, in each MoE layer, and waits for the rank that receives
// the most.
#pragma once

#include <vector>

#include "base/units.hpp"
#include "workloads/mapping.hpp"

namespace podsim {

// How popularity moves and when experts are placed anew, of an engine.
struct ExpertBalancing {
    Seconds drift_time{0.0};
    Seconds rebalance_every{0.0};  // 0: never
    Seconds stall{0.0};            // of a replica, each time
    // Of the popularity, a time after the experts were placed.
    double moved(Seconds since) const;
};

// The shares dealt out to the experts in another, fixed order.
std::vector<double> dealt_anew(const std::vector<double>& shares);

// (1 - moved) shares + moved toward. Throws std::invalid_argument where they are of different
// numbers of experts.
std::vector<double> drifted_shares(const std::vector<double>& shares,
                                   const std::vector<double>& toward, double moved);

// Experts that ranks receive when the slots are laid out anew.
struct ReceivedExperts {
    long busiest = 0, all = 0;  // by the rank that receives the most, by all ranks
};
ReceivedExperts received_experts(const std::vector<int>& before, const std::vector<int>& after,
                                 int ranks);

}  // namespace podsim
