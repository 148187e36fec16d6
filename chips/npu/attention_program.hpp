// Instructions of attention: scores, exponentials, weighted values and their sum for every block of
// keys of a core's pieces, with `lookahead` blocks of scores in work at once.
#pragma once

#include <vector>

#include "chips/attention_plan.hpp"
#include "chips/npu/npu_core.hpp"

namespace podsim::npu {

std::vector<CoreProgram> attention_programs(const CoreStructure& core, const AttentionWork& work,
                                            const AttentionTiling& tiling);

// Where outputs, or partial ones, are written.
std::uint64_t output_address(const AttentionWork& work, const AttentionTiling& tiling);

}  // namespace podsim::npu
