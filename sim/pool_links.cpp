#include "sim/pool_links.hpp"

#include <algorithm>

#include "interconnect/topology_times.hpp"

namespace podsim {

namespace {

// That caches are taken to spread over: routes between all of them are looked for.
constexpr long kMostChips = 1024;

bool leaves_domain(const RankFabric& fabric) {
    return fabric.scale_out > BytesPerSecond(0.0);
}

double time_over_port(const TopologyTimes& links, int packages, BytesPerSecond chip_port) {
    if (links.ports_decide()) return 1;
    ChipGroup group;
    group.members = static_cast<int>(
        std::min<long>(std::max(kMostChips, 2L * packages), links.stack().levels.back().chips));
    if (group.members < 2) return 1;
    const double port = bus_factor(TransferType::all_to_all, group.members) / chip_port.value();
    const double fullest = links.seconds_per_byte(Collective::all_to_all, group, port).whole;
    return std::max(1.0, fullest / port);
}

}  // namespace

BytesPerSecond pool_link(const ResolvedAlternative& replica) {
    const RankFabric fabric = rank_fabric(replica.system, replica.chip.ranks);
    const BytesPerSecond each = leaves_domain(fabric) ? fabric.scale_out : fabric.scale_up;
    const auto& links = leaves_domain(fabric) ? fabric.scale_out_links : fabric.scale_up_links;
    const double longer = links ? time_over_port(*links, replica.packages,
                                                 each * static_cast<double>(fabric.ranks_per_chip))
                                : 1.0;
    return each * (static_cast<double>(replica.ranks) / longer);
}

Seconds pool_link_latency(const ResolvedAlternative& replica) {
    const RankFabric fabric = rank_fabric(replica.system, replica.chip.ranks);
    return leaves_domain(fabric) ? fabric.scale_out_latency : fabric.scale_up_latency;
}

}  // namespace podsim
