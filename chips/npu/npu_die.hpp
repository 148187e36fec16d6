// A die: cores, the cache they share, and a memory of any kind behind it.
//
// Ports        l2_.memory_ to be bound to a memory; l2_.far_out_ and far_in_ to a die_link where
//              dies share a program.
// Parameters   a CoreStructure (chips/core_spec.hpp), which die it is, cores in use.
// Statistics   those of cores and cache.
#pragma once

#include <memory>
#include <vector>

#include "chips/core_spec.hpp"
#include "chips/npu/l2_cache.hpp"
#include "chips/npu/npu_core.hpp"

namespace podsim::npu {

class NpuDie : public sc_core::sc_module {
  public:
    L2Cache l2_;
    std::vector<std::unique_ptr<NpuCore>> cores_;

    NpuDie(const sc_core::sc_module_name& name, const CoreStructure& core, long die, int cores);
};

}  // namespace podsim::npu
