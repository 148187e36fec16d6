// Instructions of a product: every core walks its tiles, loads panels step by step into a ring of
// slots, multiplies, and drains sums while the next tile is in work (where there are two
// accumulators).
#pragma once

#include <memory>
#include <vector>

#include "chips/npu/npu_core.hpp"
#include "chips/tile_plan.hpp"

namespace podsim::npu {

std::vector<CoreProgram> gemm_programs(const CoreStructure& core,
                                       const std::shared_ptr<const GemmWork>& work,
                                       const GemmTiling& tiling);

// Where the results, or the partial sums, are written.
std::uint64_t result_address(const GemmWork& work, const GemmTiling& tiling);

}  // namespace podsim::npu
