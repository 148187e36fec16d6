// Structures of cores for tests that read no configuration: a systolic one as large as a TPU's, and
// a small one whose times are worked out by hand.
#pragma once

#include "chips/core_spec.hpp"

namespace podsim {

// Two cores of two 256 x 256 arrays at 1.75 GHz, 1.6 TB/s of memory: the size of a TPU v6e.
inline CoreStructure systolic_core() {
    CoreStructure core;
    core.cores = 2;
    core.clock = 1.75e9;
    core.matrix.rows = core.matrix.columns = 256;
    core.matrix.depth = 1;
    core.matrix.arrays = 2;
    core.matrix.minimum_rows = 8;
    core.matrix.dataflow = Dataflow::weight_stationary;
    core.matrix.macs_per_cycle = {{DType::bf16, 131072}, {DType::int8, 262144}};
    core.vector = {1, 2048, 512, 8 << 20, 4096, 200, true};
    core.buffers.accumulator = 16 << 20;
    core.buffers.drain = 4096;
    core.buffers.level1 = 48 << 20;
    core.buffers.level1_buffers = 8;
    core.path.outstanding = 16 << 20;
    core.path.read = core.path.write = core.path.memory_read = 2048;
    core.path.l2_bytes = 64 << 20;
    core.path.l2_rate = 2 * 2048 * 1.75e9;
    core.path.l2_latency = 200e-9;
    core.path.memory_rate = 1.6e12 * 0.9;
    core.path.memory_latency = 400e-9;
    return core;
}

// One core at 1 GHz: 16 x 16 x 16 products a cycle, ports of 64 B a cycle, memory of 32 GB/s, all
// latencies 100 ns.
inline CoreStructure small_core() {
    CoreStructure core;
    core.cores = 1;
    core.clock = 1e9;
    core.matrix.macs_per_cycle = {{DType::bf16, 4096}};
    core.vector = {1, 64, 16, 64 << 10, 64, 50, false};
    core.buffers.accumulator = 64 << 10;
    core.buffers.drain = 64;
    core.buffers.level1 = 128 << 10;
    core.buffers.level1_buffers = 4;
    core.path.outstanding = 64 << 10;
    core.path.read = core.path.write = core.path.memory_read = 64;
    core.path.l2_bytes = 1 << 20;
    core.path.l2_rate = 64e9;
    core.path.l2_latency = core.path.memory_latency = 100e-9;
    core.path.memory_rate = 32e9;
    return core;
}

}  // namespace podsim
