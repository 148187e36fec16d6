// The time of the gated delta rule: token by token in decode, by chunks in prefill.
#pragma once

#include "chips/cost.hpp"

namespace podsim {

// `p` joins the times of cores and memory (smooth_maximum).
OperatorCost delta_cost(const DeltaRule& delta, const RankHardware& hardware,
                        const DeltaHabits& habits, double p, Fidelity fidelity, double core_share);

}  // namespace podsim
