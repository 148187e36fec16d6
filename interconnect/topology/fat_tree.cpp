// A fat tree of leaves and spines, plain (neighbours share a leaf) or rail-optimised (chip i of
// every node on leaf i): one plane of two tiers, and what differs is who shares a leaf.
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "interconnect/topology/builder.hpp"

namespace podsim {

Topology build_fat_tree(const TopologyLevelSpec& level, long chips, BytesPerSecond bandwidth,
                        long /*planes*/) {
    if (level.node_chips < 1) {
        throw std::invalid_argument("node_chips is missing: how many chips a leaf serves");
    }
    TopologyBuilder builder(level.rails > 0 ? "rail fat-tree" : "fat-tree", chips);
    // Which leaf a chip is on: rails x groups of node_chips chips of one rail.
    const auto leaf_of = [&](long chip) {
        if (level.rails < 1) return chip / level.node_chips;
        const long node = chip / level.rails;
        return node / level.node_chips * level.rails + chip % level.rails;
    };
    long leaves = 0;
    for (long chip = 0; chip < chips; ++chip) leaves = std::max(leaves, leaf_of(chip) + 1);
    std::vector<long> size(static_cast<std::size_t>(leaves), 0);
    for (long chip = 0; chip < chips; ++chip) ++size[static_cast<std::size_t>(leaf_of(chip))];
    if (leaves > 1 && level.second_tier < 1) {
        throw std::invalid_argument(
            fmt::format("{} leaves and no spine: second_tier is not given", leaves));
    }
    std::vector<int> spine, leaf;
    for (long s = 0; leaves > 1 && s < level.second_tier; ++s)
        spine.push_back(builder.node(NodeKind::tier2, 0));
    for (long l = 0; l < leaves; ++l) leaf.push_back(builder.node(NodeKind::tier1, 0));
    const double near = latency_of(level, level.first_medium) + level.switch_latency.value() / 2;
    const double far = latency_of(level, level.second_medium) + level.switch_latency.value();
    for (long chip = 0; chip < chips; ++chip) {
        const auto l = static_cast<std::size_t>(leaf_of(chip));
        builder.topology().chip_class[static_cast<std::size_t>(chip)] = static_cast<int>(size[l]);
        builder.pair(static_cast<int>(chip), leaf[l],
                     {bandwidth.value(), near, 0, level.first_medium},
                     fmt::format("chip to leaf of {}", size[l]));
    }
    for (std::size_t l = 0; l < leaf.size() && !spine.empty(); ++l) {
        const double up = bandwidth.value() * static_cast<double>(size[l]) /
                          level.oversubscription / static_cast<double>(spine.size());
        for (const int top : spine) {
            builder.pair(leaf[l], top, {up, far, 0, level.second_medium},
                         fmt::format("leaf of {} to spine", size[l]));
        }
    }
    return builder.finish();
}

}  // namespace podsim
