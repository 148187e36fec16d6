// Channel dependencies of a level's routes, and whether they close a circle.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "interconnect/deadlock.hpp"
#include "interconnect/router.hpp"

namespace podsim {

namespace {

// The same rules on few chips: a ring of five already turns round, three groups already relay.
TopologyLevelSpec reduced(TopologyLevelSpec level, long& chips, long& planes) {
    level.bandwidth = BytesPerSecond(1.0);
    level.link_bandwidth.clear();
    level.nodes.clear();
    level.attached.clear();
    planes = 1;
    level.planes = 1;
    if (!level.dimensions.empty()) {
        const long most = level.family == "torus" ? 5 : 4;
        chips = 1;
        for (long& n : level.dimensions) chips *= n = std::min(n, most);
    } else if (level.family == "dragonfly") {
        const long groups = chips / std::max(1L, level.routers_per_group * level.chips_per_router);
        level.routers_per_group = std::min(level.routers_per_group, 3L);
        level.global_links = std::min(level.global_links, 2L);
        level.chips_per_router = 1;
        const long most = level.routers_per_group * level.global_links + 1;
        chips = std::min(groups, most) * level.routers_per_group;
    } else {
        chips = 8;
        // Without switches above all chips are under one.
        if (level.node_chips > 0) level.node_chips = level.second_tier > 0 ? 2 : chips;
        level.second_tier = std::min(level.second_tier, 2L);
        level.rails = std::min(level.rails, 2L);
    }
    return level;
}

class Dependencies {
  public:
    Dependencies(const Topology& topology, long routers_per_group, int channels)
        : topology_(topology),
          routers_(std::max(1L, routers_per_group)),
          channels_(channels),
          after_(topology.links.size() * static_cast<std::size_t>(channels)) {}

    // Routes of one phase; those of later phases take higher channels.
    void add_phase(int phase) {
        Router router(topology_);
        for (int from = 0; from < topology_.chips; ++from) {
            router.search(from);
            for (int to = 0; to < topology_.chips; ++to) {
                if (from == to) continue;
                if (topology_.chips_forward) {
                    add_path(router.path(to), phase);
                } else {
                    add_all_paths(router, from, to, phase);
                }
            }
        }
    }

    // Valiant's paths go on from where the first half ended.
    void join_phases() {
        for (const auto& [end, chip] : ends_) {
            for (const auto& [start, at] : starts_)
                if (at == chip) after_[end].insert(start);
        }
    }

    std::string circle() const {
        std::vector<char> state(after_.size(), 0);
        std::vector<std::size_t> way;
        for (std::size_t c = 0; c < after_.size(); ++c) {
            if (state[c] == 0 && follow(c, state, way)) {
                std::string text;
                const std::size_t closing = way.back();
                const auto begin = std::find(way.begin(), way.end(), closing);
                for (auto at = begin; at != way.end(); ++at)
                    text += (text.empty() ? "" : ", then ") + name(*at);
                return text;
            }
        }
        return "";
    }

  private:
    std::size_t id(int link, int channel) const {
        return static_cast<std::size_t>(link) * static_cast<std::size_t>(channels_) +
               static_cast<std::size_t>(std::min(channel, channels_ - 1));
    }
    std::string name(std::size_t channel) const {
        const auto of = static_cast<std::size_t>(channels_);
        const TopologyLink& link = topology_.links[channel / of];
        return fmt::format(
            "{} to {} (channel {})", name_of(topology_.nodes[static_cast<std::size_t>(link.from)]),
            name_of(topology_.nodes[static_cast<std::size_t>(link.to)]), channel % of);
    }
    const TopologyLink& link_at(int l) const {
        return topology_.links[static_cast<std::size_t>(l)];
    }

    // Dimension order; behind the wrap of a ring the higher channel.
    void add_path(const std::vector<int>& path, int phase) {
        const int base = phase * topology_.routing_channels;
        int dimension = -1;
        bool wrapped = false;
        std::size_t before = 0;
        for (std::size_t i = 0; i < path.size(); ++i) {
            const TopologyLink& link = link_at(path[i]);
            if (link.link_class != dimension) wrapped = false;
            dimension = link.link_class;
            long stride = 1;
            for (int d = 0; d < dimension; ++d)
                stride *= topology_.dimensions[static_cast<std::size_t>(d)];
            if (topology_.family == "torus" && std::abs(link.to - link.from) != stride)
                wrapped = true;
            const std::size_t channel = id(path[i], base + (wrapped ? 1 : 0));
            if (i > 0) after_[before].insert(channel);
            if (i == 0 && phase == 1) starts_.insert({channel, link.from});
            if (i + 1 == path.size() && phase == 0) ends_.insert({channel, link.to});
            before = channel;
        }
    }

    long group_of(int node) const {
        const TopologyNode& n = topology_.nodes[static_cast<std::size_t>(node)];
        return n.index / routers_;  // one chip a router here
    }

    // Up and down; in a dragonfly the higher channel in the group that the global link led to.
    void add_all_paths(Router& router, int from, int to, int phase) {
        std::vector<double> loads(topology_.links.size(), 0.0);
        router.spread_to(to, 1.0, loads);
        const int base = phase * topology_.routing_channels;
        const auto channel_of = [&](int l) {
            const TopologyLink& link = link_at(l);
            const bool behind = topology_.family == "dragonfly" && group_of(from) != group_of(to) &&
                                group_of(link.from) == group_of(to);
            return id(l, base + (behind ? 1 : 0));
        };
        for (int a = 0; a < static_cast<int>(loads.size()); ++a) {
            if (!(loads[static_cast<std::size_t>(a)] > 0)) continue;
            const TopologyLink& link = link_at(a);
            if (link.from == from && phase == 1) starts_.insert({channel_of(a), from});
            if (link.to == to && phase == 0) ends_.insert({channel_of(a), to});
            const auto n = static_cast<std::size_t>(link.to);
            for (int b = topology_.first_link[n]; b < topology_.first_link[n + 1]; ++b) {
                if (loads[static_cast<std::size_t>(b)] > 0)
                    after_[channel_of(a)].insert(channel_of(b));
            }
        }
    }

    // Depth first; `way` ends with the channel that it has met before.
    bool follow(std::size_t channel, std::vector<char>& state,
                std::vector<std::size_t>& way) const {
        state[channel] = 1;
        way.push_back(channel);
        for (const std::size_t next : after_[channel]) {
            if (state[next] == 1) {
                way.push_back(next);
                return true;
            }
            if (state[next] == 0 && follow(next, state, way)) return true;
        }
        state[channel] = 2;
        way.pop_back();
        return false;
    }

    const Topology& topology_;
    long routers_;
    int channels_;
    std::vector<std::set<std::size_t>> after_;
    std::set<std::pair<std::size_t, int>> starts_, ends_;
};

bool has_two_phases(RoutingPolicy routing) {
    return routing == RoutingPolicy::valiant || routing == RoutingPolicy::all_paths;
}

}  // namespace

int channels_needed(const Topology& topology, RoutingPolicy routing) {
    return topology.routing_channels * (has_two_phases(routing) ? 2 : 1);
}

std::string deadlock_of(const TopologyLevelSpec& level, RoutingPolicy routing) {
    long planes = 1, chips = level.chips > 0 ? level.chips : 1 << 20;
    const TopologyLevelSpec small = reduced(level, chips, planes);
    for (const TopologyFamily& family : topology_families()) {
        if (family.name != level.family) continue;
        const Topology topology = family.build(small, chips, BytesPerSecond(1.0), planes);
        const int channels = level.virtual_channels > 0 ? level.virtual_channels
                                                        : channels_needed(topology, routing);
        Dependencies dependencies(topology, small.routers_per_group, channels);
        dependencies.add_phase(0);
        if (has_two_phases(routing)) {
            dependencies.add_phase(1);
            dependencies.join_phases();
        }
        return dependencies.circle();
    }
    return "";
}

}  // namespace podsim
