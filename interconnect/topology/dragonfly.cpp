// Groups of routers that are all linked to each other; groups linked by global links. Global port
// i of group g goes to group g + i mod (G - 1) + 1: turning all groups on by one changes nothing.
#include <fmt/format.h>

#include <stdexcept>

#include "interconnect/topology/builder.hpp"

namespace podsim {

Topology build_dragonfly(const TopologyLevelSpec& level, long chips, BytesPerSecond bandwidth,
                         long /*planes*/) {
    const long routers = level.routers_per_group, each = level.chips_per_router;
    if (routers < 1 || each < 1) {
        throw std::invalid_argument("routers_per_group and chips_per_router are needed");
    }
    if (chips % (routers * each) != 0) {
        throw std::invalid_argument(fmt::format(
            "{} routers a group of {} chips each do not divide {} chips", routers, each, chips));
    }
    const long groups = chips / (routers * each);
    const long ports = routers * level.global_links;
    if (groups > 1 && ports < groups - 1) {
        throw std::invalid_argument(fmt::format(
            "global_links: a group has {} links for {} other groups, not all are reached", ports,
            groups - 1));
    }
    TopologyBuilder builder("dragonfly", chips);
    Topology& topology = builder.topology();
    topology.routing_channels = 2;  // before and after the global hop
    std::vector<int> router;
    for (long r = 0; r < groups * routers; ++r) router.push_back(builder.node(NodeKind::tier1, 0));
    const auto at = [&](long group, long r) {
        return router[static_cast<std::size_t>(group * routers + r)];
    };
    const double near = latency_of(level, level.first_medium) + level.switch_latency.value() / 2;
    const double inside = latency_of(level, level.first_medium) + level.switch_latency.value();
    const double across = latency_of(level, level.second_medium) + level.switch_latency.value();
    const auto or_chip = [&](BytesPerSecond given) {
        return given > BytesPerSecond(0.0) ? given.value() : bandwidth.value();
    };
    for (long chip = 0; chip < chips; ++chip) {
        const long r = chip / each;
        topology.chip_class[static_cast<std::size_t>(chip)] = static_cast<int>(r % routers);
        builder.pair(static_cast<int>(chip), router[static_cast<std::size_t>(r)],
                     {bandwidth.value(), near, 0, level.first_medium},
                     fmt::format("chip to router {}", r % routers));
    }
    const long rounds = groups > 1 ? ports / (groups - 1) : 0;
    for (long g = 0; g < groups; ++g) {
        for (long a = 0; a < routers; ++a) {
            for (long b = 0; b < routers; ++b) {
                if (a == b) continue;
                builder.link(at(g, a), at(g, b),
                             {or_chip(level.local_bandwidth), inside, 0, level.first_medium},
                             fmt::format("router {} to {}", a, b));
            }
        }
        for (long i = 0; i < rounds * (groups - 1); ++i) {
            const long offset = i % (groups - 1) + 1;
            const long mirror = i / (groups - 1) * (groups - 1) + (groups - 1 - offset);
            builder.link(at(g, i / level.global_links),
                         at((g + offset) % groups, mirror / level.global_links),
                         {or_chip(level.global_bandwidth), across, 0, level.second_medium, 4},
                         fmt::format("global {}", i));
        }
    }
    return builder.finish();
}

}  // namespace podsim
