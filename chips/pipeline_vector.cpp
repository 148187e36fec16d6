// Element-wise work in chunks, two at a time: loads, vector units and stores side by side.
//
//   t = latency + l + v + s + (turns - 1) max(l, v, s, (latency + l + v) / 2)
//
// with l, s the longer of the core's port and the shared memory and cache for one turn of all
// cores. Where memory only writes, who is served first by L2 writes while others still load:
// max(l + s_port, l_port + s) in place of l + s.
#include <algorithm>
#include <cmath>

#include "chips/pipeline_cost.hpp"

namespace podsim {

PipelineTime vector_time(const CoreStructure& core, const VectorPlan& plan, bool cold) {
    const MemoryPath& path = core.path;
    const auto cores = static_cast<double>(plan.cores);
    const bool fetched = cold && !path.resident;
    const double turns = std::ceil(static_cast<double>(plan.chunks) / cores);
    const double written = path.resident ? 0 : plan.write;
    const double load_port = plan.read / (fetched ? path.memory_read : path.read) / core.clock;
    const double load = std::max(load_port, cores * plan.read / path.l2_rate);
    const double store_port = plan.write / path.write / core.clock;
    const double store = std::max(store_port, cores * plan.write / path.l2_rate);
    // Memory serves reads and writes of a turn one after another.
    const double memory = cores * ((fetched ? plan.read : 0) + written) / path.memory_rate;
    const double latency = path.l2_latency + (fetched ? path.memory_latency : 0);
    const double first = fetched ? std::max(load, cores * plan.read / path.memory_rate) : load;
    const double last = std::max(store, cores * written / path.memory_rate);
    const double period =
        std::max({load, plan.seconds, store, memory, (latency + load + plan.seconds) / 2});
    const double ends = fetched ? first + last : std::max(first + store_port, load_port + last);
    PipelineTime time;
    time.seconds = latency + ends + plan.seconds + (turns - 1) * period +
                   (written > 0 ? path.memory_latency : 0);
    time.memory_bytes = static_cast<double>(plan.chunks) * ((fetched ? plan.read : 0) + written);
    time.l2_bytes = static_cast<double>(plan.chunks) * plan.read;
    return time;
}

}  // namespace podsim
