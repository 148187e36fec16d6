// Instructions of element-wise work: chunks are loaded, worked on and stored, two at a time.
#pragma once

#include <vector>

#include "chips/npu/npu_core.hpp"
#include "chips/vector_plan.hpp"

namespace podsim::npu {

std::vector<CoreProgram> vector_programs(const CoreStructure& core, const VectorPlan& plan,
                                         std::uint64_t read_from, std::uint64_t write_to);

}  // namespace podsim::npu
