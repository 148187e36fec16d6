// The time of an indexer's scores: one key for all heads, summed over heads on the vector units.
#pragma once

#include "chips/cost.hpp"

namespace podsim {

// `p` joins the times of cores and memory (smooth_maximum).
OperatorCost index_cost(const IndexScores& scores, const RankHardware& hardware,
                        const IndexHabits& habits, double p, Fidelity fidelity, double core_share);

}  // namespace podsim
