// The time of an indexer's scores: one key for all heads, summed over heads on the vector units.
#pragma once

#include "chips/cost.hpp"

namespace podsim {

OperatorCost index_cost(const IndexScores& scores, const RankHardware& hardware,
                        const IndexHabits& habits, double smooth_maximum, Fidelity fidelity,
                        double core_share);

}  // namespace podsim
