// Popularity of experts that moves, and experts placed anew for it.
//
// What users ask changes, and with it which experts are popular, not how unequal they are. A time a
// after the experts were placed, a part
//
//   x(a) = 1 - exp(-a / t)
//
// of the popularity has moved, t the drift's time constant: experts that had x of it, taken in a
// fixed random order, have handed their shares on around a ring of themselves, over slots that were
// laid out for the old ones. The shares are the same set all the while, so that placing anew finds
// experts as uneven as they were. To mix the old shares with new ones instead would make them ever
// more equal. Only where the traffic moves to another count (another domain of the same file) do
// tokens follow (1 - x) s + x s': that many of them are of the other domain.
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

// The shares with so much of the popularity handed on, of a layer. Throws std::invalid_argument
// where `moved` is no share.
std::vector<double> exchanged_shares(const std::vector<double>& shares, double moved, long layer);

// (1 - moved) shares + moved toward. Throws std::invalid_argument where they are of different
// numbers of experts.
std::vector<double> mixed_shares(const std::vector<double>& shares,
                                 const std::vector<double>& toward, double moved);

// Experts that ranks receive when the slots are laid out anew.
struct ReceivedExperts {
    long busiest = 0, all = 0;  // by the rank that receives the most, by all ranks
};
ReceivedExperts received_experts(const std::vector<int>& before, const std::vector<int>& after,
                                 int ranks);

}  // namespace podsim
