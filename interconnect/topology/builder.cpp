#include "interconnect/topology/builder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace podsim {

TopologyBuilder::TopologyBuilder(std::string family, long chips) {
    topology_.family = std::move(family);
    topology_.chips = static_cast<int>(chips);
    for (int i = 0; i < topology_.chips; ++i) node(NodeKind::chip, 0);
    topology_.chip_class.assign(topology_.nodes.size(), 0);
    topology_.ring_order.resize(topology_.nodes.size());
    std::iota(topology_.ring_order.begin(), topology_.ring_order.end(), 0);
}

int TopologyBuilder::node(NodeKind kind, int plane) {
    int& next = next_index_[{static_cast<int>(kind), plane}];
    topology_.nodes.push_back({kind, plane, next++});
    return static_cast<int>(topology_.nodes.size()) - 1;
}

void TopologyBuilder::link(int a, int b, const LinkKind& kind, const std::string& name) {
    const auto [at, added] =
        classes_.emplace(name, static_cast<int>(topology_.link_classes.size()));
    if (added) topology_.link_classes.push_back(name);
    topology_.links.push_back(
        {a, b, at->second, kind.plane, kind.bandwidth, kind.latency, 1.0, kind.medium, kind.cost});
}

void TopologyBuilder::pair(int a, int b, const LinkKind& kind, const std::string& name) {
    link(a, b, kind, name + " up");
    link(b, a, kind, name + " down");
}

Topology TopologyBuilder::finish() {
    std::stable_sort(topology_.links.begin(), topology_.links.end(),
                     [](const TopologyLink& a, const TopologyLink& b) { return a.from < b.from; });
    topology_.first_link.assign(topology_.nodes.size() + 1, 0);
    for (const TopologyLink& link : topology_.links)
        ++topology_.first_link[static_cast<std::size_t>(link.from) + 1];
    std::partial_sum(topology_.first_link.begin(), topology_.first_link.end(),
                     topology_.first_link.begin());
    return std::move(topology_);
}

double latency_of(const TopologyLevelSpec& level, Medium medium) {
    return (medium == Medium::optical ? level.optical_latency : level.electrical_latency).value();
}

void require_product(const TopologyLevelSpec& level, long chips) {
    long product = 1;
    for (const long n : level.dimensions) product *= n;
    if (level.dimensions.empty() || product != chips) {
        throw std::invalid_argument(
            fmt::format("dimensions: their product is {}, the level has {} chips",
                        level.dimensions.empty() ? 0 : product, chips));
    }
    if (!level.link_bandwidth.empty() && level.link_bandwidth.size() != level.dimensions.size()) {
        throw std::invalid_argument(fmt::format("link_bandwidth: {} values for {} dimensions",
                                                level.link_bandwidth.size(),
                                                level.dimensions.size()));
    }
}

double link_bandwidth(const TopologyLevelSpec& level, std::size_t d, long links_of_chip,
                      BytesPerSecond bandwidth) {
    if (!level.link_bandwidth.empty()) return level.link_bandwidth[d].value();
    return bandwidth.value() / static_cast<double>(links_of_chip);
}

}  // namespace podsim
