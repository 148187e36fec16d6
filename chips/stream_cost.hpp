// The time of hyper-connections: streams of a token mixed on the way into a sub-layer and out.
#pragma once

#include "chips/cost.hpp"

namespace podsim {

OperatorCost stream_cost(const StreamMix& mix, const RankHardware& hardware,
                         const StreamHabits& habits, double smooth_maximum, Fidelity fidelity,
                         double core_share);

}  // namespace podsim
