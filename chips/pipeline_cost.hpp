// The closed form of the pipeline that chips/npu simulates: how long a product, attention or
// element-wise work takes on a core structure, at the best tiling the buffers allow.
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "chips/attention_plan.hpp"
#include "chips/core_spec.hpp"
#include "chips/tile_plan.hpp"
#include "chips/tiling_rules.hpp"
#include "chips/vector_plan.hpp"
#include "program/operator.hpp"

namespace podsim {

struct PipelineTime {
    double seconds = 0;
    double memory_bytes = 0;  // that cross memory: misses and results
    double l2_bytes = 0;      // that leave L2
};

// Of one tiling; no check of whether it fits. What is not done within `limit` seconds may be given
// up, with an endless time.
PipelineTime gemm_time(const CoreStructure& core, const GemmWork& work, const GemmTiling& tiling,
                       double limit = std::numeric_limits<double>::infinity());
// What adds up the partial sums of a split along K.
PipelineTime join_time(const CoreStructure& core, const GemmWork& work, long split);
PipelineTime attention_time(const CoreStructure& core, const AttentionWork& work,
                            const AttentionTiling& tiling);
// `cold`: what is read comes from memory, else it lies in L2.
PipelineTime vector_time(const CoreStructure& core, const VectorPlan& plan, bool cold);

template <class Tiling>
struct PipelineChoice {
    Tiling tiling;
    PipelineTime time;
};

// The fastest first, of different tiles (rows, columns or keys, split), at most `most`. Throws
// std::invalid_argument when no tile that `rules` allow fits into the buffers, or SRAM alone cannot
// hold the operands. The dataflow is the core's.
std::vector<PipelineChoice<GemmTiling>> best_tilings(const CoreStructure& core,
                                                     const GemmWork& work, std::size_t most = 1,
                                                     const TilingRules& rules = {});
std::vector<PipelineChoice<AttentionTiling>> best_tilings(const CoreStructure& core,
                                                          const AttentionWork& work,
                                                          std::size_t most = 1,
                                                          const TilingRules& rules = {});

}  // namespace podsim
