#include "interconnect/router.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace podsim {

Router::Router(const Topology& topology)
    : topology_(topology),
      nodes_(topology.nodes.size()),
      need_(topology.nodes.size(), 0.0),
      marked_(topology.nodes.size(), 0),
      goal_(topology.nodes.size(), 0) {
    for (std::size_t n = 0; n < nodes_.size(); ++n) {
        const NodeKind kind = topology.nodes[n].kind;
        nodes_[n].is_end = kind == NodeKind::host || kind == NodeKind::memory ||
                           (kind == NodeKind::chip && !topology.chips_forward);
    }
}

void Router::search(int from, int to) {
    search(from, to, 0);
}

void Router::search(int from, const std::vector<int>& to) {
    int goals = 0;
    for (const int node : to) {
        int& goal = goal_[static_cast<std::size_t>(node)];
        goals += goal != stamp_ + 1 ? 1 : 0;
        goal = stamp_ + 1;
    }
    search(from, -1, goals);
}

void Router::search(int from, int to, int goals) {
    from_ = from;
    ++stamp_;
    if (stamp_ == 2) {
        arcs_.reserve(topology_.links.size());
        for (const TopologyLink& link : topology_.links)
            arcs_.push_back({link.to, link.cost, link.weight, link.latency});
    }
    tree_.clear();
    for (auto& bucket : buckets_) bucket.clear();
    if (buckets_.empty()) buckets_.emplace_back();
    buckets_.front().push_back(from);
    Reached& start = nodes_[static_cast<std::size_t>(from)];
    start.stamp = stamp_;
    start.distance = start.hops = 0;
    start.paths = 1;
    start.latency = topology_.endpoint_latency;
    const auto goal = static_cast<std::size_t>(std::max(0, to));
    const bool bounded = to >= 0 || goals > 0;
    if (to >= 0) goal_[goal] = stamp_;
    const auto follow = [&](const Reached& node, int l, const auto& link) {
        const int end = link.to;
        Reached& next = nodes_[static_cast<std::size_t>(end)];
        // Nothing is behind it, and it is not looked for.
        if (bounded && next.is_end && goal_[static_cast<std::size_t>(end)] != stamp_) return;
        const int reached = node.distance + link.cost;
        if (next.stamp == stamp_ && next.distance < reached) return;
        if (next.stamp != stamp_ || reached < next.distance) {
            next.stamp = stamp_;
            next.distance = reached;
            next.hops = node.hops + 1;
            next.paths = 0;
            next.latency = node.latency + link.latency;
            const auto bucket = static_cast<std::size_t>(reached);
            if (buckets_.size() <= bucket) buckets_.resize(bucket + 1);
            buckets_[bucket].push_back(end);
        }
        next.paths += node.paths * link.weight;
        tree_.push_back(l);
    };
    for (std::size_t d = 0; d < buckets_.size(); ++d) {
        // All that lead to it on shortest paths were nearer.
        if (to >= 0 && nodes_[goal].stamp == stamp_ && nodes_[goal].distance == static_cast<int>(d))
            return;
        for (std::size_t i = 0; i < buckets_[d].size(); ++i) {
            const auto n = static_cast<std::size_t>(buckets_[d][i]);
            const Reached node = nodes_[n];
            if (node.distance != static_cast<int>(d)) continue;  // reached by less since
            // All that lead to the last of them on shortest paths were nearer.
            if (goals > 0 && goal_[n] == stamp_ && --goals == 0) return;
            if (node.is_end && static_cast<int>(n) != from) continue;
            for (int l = topology_.first_link[n]; l < topology_.first_link[n + 1]; ++l) {
                const auto at_link = static_cast<std::size_t>(l);
                if (arcs_.empty()) {
                    follow(node, l, topology_.links[at_link]);
                } else {
                    follow(node, l, arcs_[at_link]);
                }
            }
        }
    }
}

int Router::distance(int node) const {
    const auto n = static_cast<std::size_t>(node);
    return nodes_[n].stamp == stamp_ ? nodes_[n].distance : -1;
}

int Router::hops(int node) const {
    const auto n = static_cast<std::size_t>(node);
    return nodes_[n].stamp == stamp_ ? nodes_[n].hops : -1;
}

void Router::clear_needs() {
    for (const int l : tree_)
        need_[static_cast<std::size_t>(topology_.links[static_cast<std::size_t>(l)].to)] = 0;
}

// From the farthest link back: what a node needs comes in over its links on shortest paths.
void Router::collect(std::vector<double>& loads) {
    for (auto at = tree_.rbegin(); at != tree_.rend(); ++at) {
        const TopologyLink& link = topology_.links[static_cast<std::size_t>(*at)];
        const auto u = static_cast<std::size_t>(link.from), v = static_cast<std::size_t>(link.to);
        if (need_[v] == 0 || nodes_[u].distance + link.cost != nodes_[v].distance) continue;
        const double part = need_[v] * nodes_[u].paths * link.weight / nodes_[v].paths;
        loads[static_cast<std::size_t>(*at)] += part;
        if (link.from != from_) need_[u] += part;
    }
}

void Router::spread(const std::vector<double>& bytes, std::vector<double>& loads) {
    clear_needs();
    for (const int l : tree_) {
        const auto v = static_cast<std::size_t>(topology_.links[static_cast<std::size_t>(l)].to);
        if (v < bytes.size()) need_[v] = bytes[v];
    }
    collect(loads);
}

void Router::spread_to(int to, double bytes, std::vector<double>& loads) {
    clear_needs();
    need_[static_cast<std::size_t>(to)] = bytes;
    collect(loads);
}

std::vector<int> Router::path(int to) {
    if (distance(to) < 0) return {};
    std::fill(marked_.begin(), marked_.end(), 0);
    marked_[static_cast<std::size_t>(to)] = 1;
    for (auto at = tree_.rbegin(); at != tree_.rend(); ++at) {
        const TopologyLink& link = topology_.links[static_cast<std::size_t>(*at)];
        const auto u = static_cast<std::size_t>(link.from), v = static_cast<std::size_t>(link.to);
        if (marked_[v] != 0 && nodes_[u].distance + link.cost == nodes_[v].distance) marked_[u] = 1;
    }
    std::vector<int> path;
    int node = from_;
    while (node != to) {
        std::vector<int> next;
        const auto n = static_cast<std::size_t>(node);
        for (int l = topology_.first_link[n]; l < topology_.first_link[n + 1]; ++l) {
            const TopologyLink& link = topology_.links[static_cast<std::size_t>(l)];
            const auto v = static_cast<std::size_t>(link.to);
            if (nodes_[v].stamp == stamp_ && marked_[v] != 0 &&
                nodes_[n].distance + link.cost == nodes_[v].distance)
                next.push_back(l);
        }
        std::size_t choice = 0;
        if (topology_.chips_forward) {
            // Half way round a ring both ways are as short: sources take turns.
            const auto class_of = [&](std::size_t i) {
                return topology_.links[static_cast<std::size_t>(next[i])].link_class;
            };
            if (next.size() > 1 && class_of(0) == class_of(1))
                choice = static_cast<std::size_t>(from_) % 2;
        } else {
            choice = static_cast<std::size_t>(to) % next.size();
        }
        path.push_back(next[choice]);
        node = topology_.links[static_cast<std::size_t>(next[choice])].to;
    }
    return path;
}

double Router::latency(int to) const {
    return nodes_[static_cast<std::size_t>(to)].latency;
}

void no_route(const Topology& topology, int from, int to) {
    throw std::invalid_argument(fmt::format("no route from {} to {}",
                                            name_of(topology.nodes[static_cast<std::size_t>(from)]),
                                            name_of(topology.nodes[static_cast<std::size_t>(to)])));
}

double pair_latency(const Topology& topology, int from, int to) {
    if (from == to) return 0;
    Router router(topology);
    router.search(from, to);
    if (router.distance(to) < 0) no_route(topology, from, to);
    return router.latency(to);
}

}  // namespace podsim
