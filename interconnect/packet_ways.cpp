#include "interconnect/packet_ways.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <queue>
#include <utility>

namespace podsim {

namespace {

constexpr long kFar = std::numeric_limits<long>::max();

}  // namespace

PacketWays::PacketWays(const Topology& topology)
    : topology_(topology),
      into_(topology.nodes.size()),
      distance_(topology.nodes.size()),
      ways_(topology.nodes.size()) {
    for (std::size_t l = 0; l < topology.links.size(); ++l)
        into_[static_cast<std::size_t>(topology.links[l].to)].push_back(static_cast<int>(l));
}

bool PacketWays::passes_on(int node) const {
    const NodeKind kind = topology_.nodes[static_cast<std::size_t>(node)].kind;
    return kind == NodeKind::tier1 || kind == NodeKind::tier2 ||
           (kind == NodeKind::chip && topology_.chips_forward);
}

void PacketWays::search(int to) {
    to_ = to;
    reached_.clear();
    std::fill(distance_.begin(), distance_.end(), kFar);
    distance_[static_cast<std::size_t>(to)] = 0;
    using Reached = std::pair<long, int>;
    std::priority_queue<Reached, std::vector<Reached>, std::greater<>> row;
    row.push({0, to});
    while (!row.empty()) {
        const auto [far, node] = row.top();
        row.pop();
        if (far > distance_[static_cast<std::size_t>(node)]) continue;
        reached_.push_back(node);
        if (node != to && !passes_on(node)) continue;
        for (const int l : into_[static_cast<std::size_t>(node)]) {
            const TopologyLink& link = topology_.links[static_cast<std::size_t>(l)];
            long& there = distance_[static_cast<std::size_t>(link.from)];
            if (far + link.cost >= there) continue;
            there = far + link.cost;
            row.push({there, link.from});
        }
    }
    count_ways();
}

void PacketWays::count_ways() {
    for (const int node : reached_) ways_[static_cast<std::size_t>(node)] = node == to_ ? 1 : 0;
    for (const int node : reached_) {
        const auto n = static_cast<std::size_t>(node);
        if (node != to_ && !passes_on(node)) continue;
        for (const int l : into_[n]) {
            const TopologyLink& link = topology_.links[static_cast<std::size_t>(l)];
            const auto from = static_cast<std::size_t>(link.from);
            if (link.from != to_ && distance_[n] + link.cost == distance_[from])
                ways_[from] += link.weight * ways_[n];
        }
    }
}

// Of a node's coordinate in the dimension in which it differs from its neighbour.
std::size_t PacketWays::place_on_line(int node, int neighbour) const {
    long width = 1;
    for (const long n : topology_.dimensions) {
        const long at = node / width % n;
        if (at != neighbour / width % n) return static_cast<std::size_t>(at);
        width *= n;
    }
    return static_cast<std::size_t>(node);
}

NextLinks PacketWays::next(int node, RoutingPolicy routing, bool free_turns) const {
    const auto n = static_cast<std::size_t>(node);
    std::vector<int> found;
    long least = kFar;
    for (int l = topology_.first_link[n]; l < topology_.first_link[n + 1]; ++l) {
        const TopologyLink& link = topology_.links[static_cast<std::size_t>(l)];
        if (link.to != to_ && !passes_on(link.to)) continue;
        const long beyond = distance_[static_cast<std::size_t>(link.to)];
        if (beyond == kFar || beyond + link.cost > least) continue;
        if (beyond + link.cost < least) found.clear();
        least = beyond + link.cost;
        found.push_back(l);
    }
    if (found.size() < 2) return {found, {}};
    const auto class_of = [&](int l) {
        return topology_.links[static_cast<std::size_t>(l)].link_class;
    };
    if (topology_.chips_forward && !free_turns) {
        int lowest = class_of(found.front());
        for (const int l : found) lowest = std::min(lowest, class_of(l));
        std::erase_if(found, [&](int l) { return class_of(l) != lowest; });
        if (routing == RoutingPolicy::minimal) {
            // Both ways round are as short: by the place on the ring.
            const auto& tie = topology_.links[static_cast<std::size_t>(found.front())];
            return {{found[place_on_line(tie.from, tie.to) % found.size()]}, {}};
        }
        return {found, {}};
    }
    if (routing == RoutingPolicy::minimal)
        return {{found[static_cast<std::size_t>(to_) % found.size()]}, {}};
    std::vector<double> shares;
    double sum = 0;
    for (const int l : found) {
        const TopologyLink& link = topology_.links[static_cast<std::size_t>(l)];
        shares.push_back(link.weight * ways_[static_cast<std::size_t>(link.to)]);
        sum += shares.back();
    }
    const bool alike = std::all_of(shares.begin(), shares.end(), [&](double share) {
        return std::abs(share - shares.front()) < 1e-9 * sum;
    });
    if (alike) return {found, {}};
    for (double& share : shares) share /= sum;
    return {found, shares};
}

}  // namespace podsim
