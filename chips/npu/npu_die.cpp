#include "chips/npu/npu_die.hpp"

#include <string>

namespace podsim::npu {

namespace {

constexpr std::size_t kEngines = 2;  // of a core that move bytes

L2Parameters l2_parameters(const CoreStructure& core, long die, int cores) {
    const auto dies = static_cast<double>(core.path.dies);
    L2Parameters l2;
    l2.cores = cores;
    l2.engines_per_core = static_cast<int>(kEngines);
    l2.capacity = core.path.l2_bytes / dies;
    l2.read = core.path.read * core.clock;
    l2.write = core.path.write * core.clock;
    l2.memory_read = core.path.memory_read * core.clock;
    l2.total = core.path.l2_rate / dies;
    l2.latency = core.path.l2_latency;
    l2.multicast = core.path.multicast;
    l2.resident = core.path.resident;
    l2.dies = core.path.dies;
    l2.die = die;
    return l2;
}

}  // namespace

NpuDie::NpuDie(const sc_core::sc_module_name& name, const CoreStructure& core, long die, int cores)
    : sc_module(name), l2_("l2", l2_parameters(core, die, cores)) {
    for (int i = 0; i < cores; ++i) {
        const auto core_index = static_cast<std::size_t>(i);
        cores_.push_back(
            std::make_unique<NpuCore>(("core" + std::to_string(i)).c_str(), core.path.outstanding,
                                      core.path.read * core.clock, core.path.write * core.clock));
        cores_.back()->load_.out_.bind(*l2_.in_[core_index * kEngines]);
        cores_.back()->drain_.out_.bind(*l2_.in_[core_index * kEngines + 1]);
    }
}

}  // namespace podsim::npu
