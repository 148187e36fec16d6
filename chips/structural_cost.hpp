// The cost of an operator from the structure of a core alone: the closed form of its pipeline
// (`tile` of a structural kernel library) or the pipeline itself (`cycle`). Of the kernel library
// only launches are asked.
#pragma once

#include "chips/cost.hpp"

namespace podsim {

// Whether the structure answers for this operator at this fidelity with this library; the formulas
// of fitted libraries answer for everything else.
bool is_structural(const OperatorBody& body, const KernelLibrarySpec& library, Fidelity fidelity);

// Throws std::invalid_argument where the chip has no `core:`, and as run_npu() and best_tilings()
// do.
OperatorCost structural_cost(const OperatorBody& body, const RankHardware& hardware,
                             const KernelLibrarySpec& library, Fidelity fidelity,
                             double core_share);

}  // namespace podsim
