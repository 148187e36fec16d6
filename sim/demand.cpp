#include "sim/demand.hpp"

#include <algorithm>

namespace podsim {

Demand demand_of(const OperatorCost& cost, double core_share) {
    Demand demand;
    demand.duration = cost.time - cost.launch;
    const Resource cores = cost.on_vector_cores ? Resource::vector_cores : Resource::matrix_cores;
    if (!cost.off_cores) demand.shares.usage = {{static_cast<int>(cores), core_share}};
    if (demand.duration > Seconds(0.0)) {
        demand.shares.usage.emplace_back(static_cast<int>(Resource::memory),
                                         std::min(1.0, cost.hbm_time / demand.duration));
    }
    demand.amounts.matrix_seconds = cost.matrix.value();
    demand.amounts.hbm_bytes = cost.hbm.value();
    return demand;
}

Demand demand_of(const FusedPartCost& cost, double core_share) {
    Demand demand;
    demand.duration = cost.kernel.time - cost.kernel.launch;
    demand.amounts.matrix_seconds = cost.kernel.matrix.value();
    demand.amounts.hbm_bytes = cost.kernel.hbm.value();
    demand.amounts.port_bytes = cost.bytes;
    // The kernel stays on its cores while it waits.
    demand.shares.usage = {{static_cast<int>(Resource::matrix_cores), core_share}};
    const double seconds = demand.duration.value();
    if (!(seconds > 0)) return demand;
    for (const LinkTime& link : cost.links) {
        demand.shares.usage.emplace_back(kResources + link.link,
                                         std::min(1.0, link.time / demand.duration));
    }
    demand.shares.usage.emplace_back(static_cast<int>(Resource::memory),
                                     std::min(1.0, cost.memory / seconds));
    for (std::size_t port = 0; port < kPorts; ++port) {
        if (cost.ports[port] <= 0) continue;
        demand.shares.usage.emplace_back(
            static_cast<int>(Resource::scale_up_send) + static_cast<int>(port),
            std::min(1.0, cost.ports[port] / seconds));
    }
    return demand;
}

Demand demand_of(const CoflowShare& share, const RankHardware& hardware, double cores) {
    Demand demand;
    for (std::size_t port = 0; port < kPorts; ++port) {
        demand.amounts.port_bytes[port] = share.bytes[port].value();
        demand.amounts.hbm_bytes += share.bytes[port].value();
    }
    const Seconds memory = Bytes(demand.amounts.hbm_bytes) / hardware.hbm_bandwidth;
    demand.duration = max(share.wire, memory);
    if (demand.duration <= Seconds(0.0)) return demand;
    for (int port = 0; port < kPorts; ++port) {
        if (share.port_time[port] <= Seconds(0.0)) continue;
        demand.shares.usage.emplace_back(static_cast<int>(Resource::scale_up_send) + port,
                                         share.port_time[port] / demand.duration);
    }
    demand.shares.usage.emplace_back(static_cast<int>(Resource::memory), memory / demand.duration);
    for (const LinkTime& link : share.links) {
        demand.shares.usage.emplace_back(kResources + link.link,
                                         std::min(1.0, link.time / demand.duration));
    }
    if (cores > 0)
        demand.shares.usage.emplace_back(static_cast<int>(Resource::matrix_cores), cores);
    return demand;
}

}  // namespace podsim
