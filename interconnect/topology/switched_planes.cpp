// Parallel switch planes, each of one tier (NVSwitch) or two (CloudMatrix384's UB: 7 first-tier
// switches in each node of 8 chips, 16 second-tier switches a plane). A chip has an equal share of
// its bandwidth in every plane, a first-tier switch the bandwidth of its chips, less the
// oversubscription, evenly to every second-tier switch of its plane.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "interconnect/topology/builder.hpp"

namespace podsim {

namespace {

std::vector<long> node_sizes(const TopologyLevelSpec& level, long chips) {
    if (!level.nodes.empty()) {
        const long sum = std::accumulate(level.nodes.begin(), level.nodes.end(), 0L);
        if (sum != chips) {
            throw std::invalid_argument(
                fmt::format("nodes: {} chips in all, the level has {}", sum, chips));
        }
        return level.nodes;
    }
    const long size = level.node_chips > 0 ? level.node_chips : chips;
    std::vector<long> sizes(static_cast<std::size_t>(chips / size), size);
    if (chips % size > 0) sizes.push_back(chips % size);  // the ragged last one
    return sizes;
}

}  // namespace

Topology build_switched_planes(const TopologyLevelSpec& level, long chips, BytesPerSecond bandwidth,
                               long planes) {
    TopologyBuilder builder("switched-planes", chips);
    const std::vector<long> sizes = node_sizes(level, chips);
    if (sizes.size() > 1 && level.second_tier < 1) {
        throw std::invalid_argument(
            fmt::format("{} nodes under first-tier switches of their own, and second_tier is not "
                        "given: they cannot reach each other",
                        sizes.size()));
    }
    const double share = bandwidth.value() / static_cast<double>(planes);
    for (int plane = 0; plane < planes; ++plane) {
        std::vector<int> second;
        for (long s = 0; sizes.size() > 1 && s < level.second_tier; ++s)
            second.push_back(builder.node(NodeKind::tier2, plane));
        int chip = 0;
        for (const long size : sizes) {
            const int first = builder.node(NodeKind::tier1, plane);
            const std::string suffix = fmt::format(" of nodes of {}", size);
            const double hop =
                latency_of(level, level.first_medium) + level.switch_latency.value() / 2;
            for (long i = 0; i < size; ++i, ++chip) {
                builder.topology().chip_class[static_cast<std::size_t>(chip)] =
                    static_cast<int>(size);
                builder.pair(chip, first, {share, hop, plane, level.first_medium},
                             "chip to first tier" + suffix);
            }
            const double up = share * static_cast<double>(size) / level.oversubscription /
                              static_cast<double>(std::max<std::size_t>(1, second.size()));
            const double far =
                latency_of(level, level.second_medium) + level.switch_latency.value();
            for (const int top : second) {
                builder.pair(first, top, {up, far, plane, level.second_medium},
                             "first to second tier" + suffix);
            }
            for (const AttachedSpec& attached : level.attached) {
                for (long i = 0; i < attached.per_node && plane == 0; ++i) {
                    const bool host = attached.kind == AttachedKind::host;
                    builder.node(host ? NodeKind::host : NodeKind::memory, 0);
                }
            }
        }
    }
    // Hosts and memory hang on all planes of their node.
    Topology& topology = builder.topology();
    std::vector<std::vector<int>> first(sizes.size());
    std::vector<int> others;
    for (std::size_t i = 0; i < topology.nodes.size(); ++i) {
        const TopologyNode& node = topology.nodes[i];
        if (node.kind == NodeKind::tier1)
            first[static_cast<std::size_t>(node.index)].push_back(static_cast<int>(i));
        if (node.kind == NodeKind::host || node.kind == NodeKind::memory)
            others.push_back(static_cast<int>(i));
    }
    std::size_t next = 0;
    for (std::size_t n = 0; n < sizes.size(); ++n) {
        for (const AttachedSpec& attached : level.attached) {
            for (long i = 0; i < attached.per_node; ++i, ++next) {
                for (const int top : first[n]) {
                    const int plane = topology.nodes[static_cast<std::size_t>(top)].plane;
                    const double each = attached.bandwidth.value() / static_cast<double>(planes);
                    builder.pair(
                        others[next], top,
                        {each,
                         latency_of(level, level.first_medium) + level.switch_latency.value() / 2,
                         plane, level.first_medium},
                        fmt::format("host to first tier of nodes of {}", sizes[n]));
                }
            }
        }
    }
    return builder.finish();
}

}  // namespace podsim
