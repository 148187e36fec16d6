// One operator simulated on the structure of a core, engine by engine, in SystemC (chips/npu): the
// level `cycle`. Plain data in and out.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "chips/attention_plan.hpp"
#include "chips/core_spec.hpp"
#include "chips/tile_plan.hpp"
#include "chips/tiling_rules.hpp"
#include "program/operator.hpp"

namespace podsim {

struct NpuOptions {
    std::optional<GemmTiling> gemm;            // forced; must fit into the buffers
    std::optional<AttentionTiling> attention;  // likewise
    std::optional<Dataflow> dataflow;          // instead of the core's own
    TilingRules rules;                         // of the search, where nothing is forced
    std::vector<long> group_rows;              // of a grouped product, instead of the operator's
    // Of the closed form's best tilings so many are simulated, and the fastest is taken.
    std::size_t tried = 1;
};

// One number of the statistics tree.
struct NpuStatistic {
    std::string path, name, unit;  // "die0.core3.matrix", "busy", "us"
    double value = 0;
};

struct NpuRun {
    Seconds time{0.0};
    std::string tiling;
    std::optional<GemmTiling> gemm;
    std::optional<AttentionTiling> attention;
    // Of the busiest core's engine.
    Seconds matrix_busy{0.0}, vector_busy{0.0};
    Seconds matrix_stalled{0.0};  // waiting for panels or room for sums
    double macs = 0;              // done by all matrix units
    Bytes memory_read{0.0}, memory_written{0.0}, l2_hit{0.0}, l2_missed{0.0}, die_link{0.0};
    std::vector<NpuStatistic> statistics;  // of every module
};

// Whether there is a pipeline for this operator: products, attention but that of grouped heads that
// choose entries (chips/attention_plan.hpp), vector work.
bool npu_can_run(const OperatorBody& body);

// Throws std::invalid_argument for an operator it cannot run, a format the matrix unit lacks, a
// forced tiling that does not fit, no tiling that fits; std::logic_error when a program stops with
// work left. No launch is counted.
NpuRun run_npu(const CoreStructure& core, const OperatorBody& body, const NpuOptions& options = {});

}  // namespace podsim
