// What a task at work asks of its rank: how long it takes alone, the shares of resources that it
// uses meanwhile, and the amounts it moves and computes.
#pragma once

#include "base/fluid.hpp"
#include "chips/cost.hpp"
#include "interconnect/coflow.hpp"
#include "sim/machine.hpp"

namespace podsim {

struct Demand {
    Seconds duration{0.0};  // alone, without fixed delays
    FluidActivity shares;   // by Resource
    UsageSegment amounts;   // over the whole duration
};

// A kernel on a stream with `core_share` of the cores, after its launch.
Demand demand_of(const OperatorCost& cost, double core_share);

// A rank's part in a fused exchange, after its launch and its latency.
Demand demand_of(const FusedPartCost& cost, double core_share);

// A rank's part in a transfer, after the latency: as long as its slowest port, or as the memory
// behind the ports (what is sent is read, what lands is written). Local payload costs nothing. It
// holds that share of the cores meanwhile.
Demand demand_of(const CoflowShare& share, const RankHardware& hardware, double cores = 0);

}  // namespace podsim
