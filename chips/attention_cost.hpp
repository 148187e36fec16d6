// The time of attention kernels: blocks of query rows against blocks of keys, spread over cores.
#pragma once

#include "chips/cost.hpp"

namespace podsim {

OperatorCost attention_cost(const Attention& attention, const RankHardware& hardware,
                            const KernelLibrarySpec& library, Fidelity fidelity, double core_share);

}  // namespace podsim
