// The time of the gated delta rule: token by token in decode, by chunks in prefill.
#pragma once

#include "chips/cost.hpp"

namespace podsim {

OperatorCost delta_cost(const DeltaRule& rule, const RankHardware& hardware,
                        const DeltaHabits& habits, double smooth_maximum, Fidelity fidelity,
                        double core_share);

}  // namespace podsim
