#include "interconnect/topology.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "interconnect/deadlock.hpp"
#include "interconnect/router.hpp"
#include "interconnect/topology/builder.hpp"

namespace podsim {

const std::vector<std::pair<const char*, Medium>>& names_of(const Medium*) {
    static const std::vector<std::pair<const char*, Medium>> names = {
        {"backplane", Medium::backplane}, {"copper", Medium::copper}, {"optical", Medium::optical}};
    return names;
}

const std::vector<std::pair<const char*, RoutingPolicy>>& names_of(const RoutingPolicy*) {
    static const std::vector<std::pair<const char*, RoutingPolicy>> names = {
        {"minimal", RoutingPolicy::minimal},
        {"hashed", RoutingPolicy::hashed},
        {"adaptive", RoutingPolicy::adaptive},
        {"valiant", RoutingPolicy::valiant},
        {"all-paths", RoutingPolicy::all_paths}};
    return names;
}

const std::vector<std::pair<const char*, AttachedKind>>& names_of(const AttachedKind*) {
    static const std::vector<std::pair<const char*, AttachedKind>> names = {
        {"host", AttachedKind::host}, {"memory", AttachedKind::memory}};
    return names;
}

const std::vector<TopologyFamily>& topology_families() {
    static const std::vector<TopologyFamily> all = {
        {"switched-planes",
         "parallel switch planes of one or two tiers",
         build_switched_planes,
         {"planes", "node_chips", "nodes", "second_tier", "oversubscription", "attached",
          "second_medium", "second_switch", "second_optic"}},
        {"fat-tree",
         "leaves and spines, plain or by rails",
         build_fat_tree,
         {"node_chips", "second_tier", "rails", "oversubscription", "second_medium",
          "second_switch", "second_optic"}},
        {"full-mesh",
         "links between all chips that differ in one coordinate",
         build_full_mesh,
         {"dimensions", "link_bandwidth"}},
        {"torus", "rings in one to many dimensions", build_torus, {"dimensions", "link_bandwidth"}},
        {"dragonfly",
         "groups of routers, all linked inside, groups linked to each other",
         build_dragonfly,
         {"routers_per_group", "chips_per_router", "global_links", "local_bandwidth",
          "global_bandwidth", "second_medium", "second_optic"}},
    };
    return all;
}

std::string name_of(const TopologyNode& node) {
    switch (node.kind) {
        case NodeKind::chip:
            return fmt::format("chip{}", node.index);
        case NodeKind::tier1:
            return fmt::format("l1.p{}.{}", node.plane, node.index);
        case NodeKind::tier2:
            return fmt::format("l2.p{}.{}", node.plane, node.index);
        case NodeKind::host:
            return fmt::format("host{}", node.index);
        case NodeKind::memory:
            return fmt::format("memory{}", node.index);
    }
    return "";
}

namespace {

int find_node(const Topology& topology, const std::string& name) {
    for (std::size_t i = 0; i < topology.nodes.size(); ++i)
        if (name_of(topology.nodes[i]) == name) return static_cast<int>(i);
    return -1;
}

// Takes links that `broken` names down to `capacity` of their bandwidth; where paths are equal
// those over `avoided` ones get that share too. Throws where none is broken.
template <class Broken, class Avoided>
void degrade(Topology& topology, double capacity, const std::string& what, Broken&& broken,
             Avoided&& avoided) {
    bool any = false;
    for (TopologyLink& link : topology.links) {
        if (!broken(link)) continue;
        any = true;
        link.bandwidth *= capacity;
        if (avoided(link)) link.weight *= capacity;
    }
    if (!any) throw std::invalid_argument(what + ": there is no such part in this topology");
    topology.links.erase(
        std::remove_if(topology.links.begin(), topology.links.end(),
                       [](const TopologyLink& link) { return !(link.bandwidth > 0); }),
        topology.links.end());
    topology.first_link.assign(topology.nodes.size() + 1, 0);
    for (const TopologyLink& link : topology.links)
        ++topology.first_link[static_cast<std::size_t>(link.from) + 1];
    for (std::size_t i = 1; i < topology.first_link.size(); ++i)
        topology.first_link[i] += topology.first_link[i - 1];
}

}  // namespace

std::string name_of(const FaultSpec& fault) {
    const std::string where = fault.topology_level
                                  ? fmt::format(" of each group of level {}", *fault.topology_level)
                                  : "";
    if (fault.plane) return fmt::format("plane {}", *fault.plane) + where;
    if (fault.chip) return fmt::format("chip {}", *fault.chip) + where;
    if (!fault.switch_name.empty()) return "switch " + fault.switch_name + where;
    if (fault.link.size() != 2) return "nothing";
    return "link " + fault.link[0] + " - " + fault.link[1] + where;
}

void apply_fault(Topology& topology, const FaultSpec& fault) {
    const auto kind_at = [&](int node) {
        return topology.nodes[static_cast<std::size_t>(node)].kind;
    };
    const auto every = [](const TopologyLink&) { return true; };
    if (fault.plane) {
        // All chips lose alike: the symmetry stays, but not between this plane and others. A path
        // has several links of the plane, and shuns it once, where it leaves the chip.
        const auto classes = static_cast<int>(topology.link_classes.size());
        for (int c = 0; c < classes; ++c)
            topology.link_classes.push_back(topology.link_classes[static_cast<std::size_t>(c)] +
                                            fmt::format(" of plane {}", *fault.plane));
        for (TopologyLink& link : topology.links)
            if (link.plane == *fault.plane) link.link_class += classes;
        degrade(
            topology, fault.capacity, name_of(fault),
            [&](const TopologyLink& link) {
                return link.plane == *fault.plane && topology.family == "switched-planes";
            },
            [&](const TopologyLink& link) { return kind_at(link.from) == NodeKind::chip; });
        return;
    }
    topology.symmetric = false;
    if (fault.chip) {
        const long chip = *fault.chip;
        degrade(
            topology, fault.capacity, name_of(fault),
            [&](const TopologyLink& link) {
                return (link.from == chip || link.to == chip) && chip < topology.chips;
            },
            every);
    } else if (!fault.switch_name.empty()) {
        const int node = find_node(topology, fault.switch_name);
        degrade(
            topology, fault.capacity, name_of(fault),
            [&](const TopologyLink& link) { return link.from == node || link.to == node; },
            [&](const TopologyLink& link) { return link.from == node; });
    } else if (fault.link.size() == 2) {
        const int a = find_node(topology, fault.link[0]), b = find_node(topology, fault.link[1]);
        degrade(
            topology, fault.capacity, name_of(fault),
            [&](const TopologyLink& link) {
                return (link.from == a && link.to == b) || (link.from == b && link.to == a);
            },
            every);
    }
}

namespace {

const TopologyFamily& family_of(const TopologyLevelSpec& level, const Place& place,
                                const std::string& path) {
    std::vector<std::string> known;
    for (const TopologyFamily& family : topology_families()) {
        if (family.name == level.family) return family;
        known.push_back(family.name);
    }
    throw InputError({unknown_name(place, path + ".family", "family", level.family, known)});
}

// A dead chip is no end of any path, nor is one that faults left no link (under a dead switch); all
// the others have to reach each other. Whoever takes part all the same is told which pair has no
// route.
void require_connected(const Topology& topology, const TopologySpec& spec,
                       const std::string& path) {
    std::vector<char> dead(static_cast<std::size_t>(topology.chips), 0);
    for (const FaultSpec& fault : spec.faults) {
        if (fault.chip && fault.capacity <= 0 && *fault.chip < topology.chips)
            dead[static_cast<std::size_t>(*fault.chip)] = 1;
    }
    for (int chip = 0; chip < topology.chips && !spec.faults.empty(); ++chip) {
        const auto c = static_cast<std::size_t>(chip);
        if (topology.first_link[c] == topology.first_link[c + 1]) dead[c] = 1;
    }
    Router router(topology);
    int first = 0;
    while (first < topology.chips && dead[static_cast<std::size_t>(first)] != 0) ++first;
    if (first == topology.chips) throw InputError(spec.place, path, "faults leave no chip a link");
    router.search(first);
    for (int chip = first; chip < topology.chips; ++chip) {
        if (dead[static_cast<std::size_t>(chip)] != 0 || router.distance(chip) >= 0) continue;
        throw InputError(
            spec.place, path,
            fmt::format("chip{} cannot reach chip{}: the graph is not connected", first, chip),
            "a level or a link is missing, or a fault cut them off");
    }
}

}  // namespace

namespace {

// An error stands where the fault does, or the topology that somebody's planes_down breaks.
void break_part(Topology& topology, const FaultSpec& fault, const Place& place,
                const std::string& where) {
    try {
        apply_fault(topology, fault);
    } catch (const std::invalid_argument& error) {
        throw InputError(fault.place.file.empty() ? place : fault.place, where + ".faults",
                         error.what(),
                         fmt::format("{} chips, chip0 on; switches are l1.pPLANE.NUMBER and "
                                     "l2.pPLANE.NUMBER, from 0",
                                     topology.chips));
    }
}

// What the links of the chip with the most of them carry, B/s.
double fullest_port(const Topology& topology) {
    double most = 0;
    for (int chip = 0; chip < topology.chips; ++chip) {
        double sum = 0;
        const auto c = static_cast<std::size_t>(chip);
        for (int l = topology.first_link[c]; l < topology.first_link[c + 1]; ++l)
            sum += topology.links[static_cast<std::size_t>(l)].bandwidth;
        most = std::max(most, sum);
    }
    return most;
}

constexpr double kPortSlack = 1.001;  // rounded figures of a maker's sheet

std::size_t level_of(const FaultSpec& fault, const TopologySpec& spec, std::size_t levels,
                     const std::string& path) {
    const auto named =
        static_cast<std::size_t>(fault.topology_level.value_or(static_cast<long>(levels) - 1));
    if (named < levels) return named;
    throw InputError(fault.place.file.empty() ? spec.place : fault.place, path + ".faults",
                     fmt::format("topology_level {}: there are {}", named, levels),
                     fmt::format("0 (inside) to {}", levels - 1));
}

}  // namespace

TopologyStack build_topology(const TopologySpec& spec, long chips, BytesPerSecond bandwidth,
                             long planes, const std::string& path) {
    TopologyStack stack;
    stack.spec = spec;
    double most = 0;  // B/s of a chip over all levels
    const bool one = spec.levels.empty();
    const std::size_t count = one ? 1 : spec.levels.size();
    for (std::size_t i = 0; i < count; ++i) {
        const TopologyLevelSpec& level = one ? spec.level : spec.levels[i];
        const std::string where = one ? path : fmt::format("{}.levels[{}]", path, i);
        const TopologyFamily& family = family_of(level, spec.place, where);
        const bool outermost = i + 1 == count;
        TopologyStack::Level built;
        built.chips = level.chips > 0 ? level.chips : chips;
        if (outermost && built.chips != chips) {
            throw InputError(spec.place, where + ".chips",
                             fmt::format("{}, and the whole level has {}", built.chips, chips),
                             "the last level joins all chips: leave it out there");
        }
        if (!outermost && (built.chips < 2 || built.chips >= chips)) {
            throw InputError(spec.place, where + ".chips",
                             fmt::format("a group of {} within {} chips", built.chips, chips),
                             "how many chips an inner group has");
        }
        built.bandwidth =
            (level.bandwidth > BytesPerSecond(0.0) ? level.bandwidth : bandwidth).value();
        try {
            built.topology = family.build(level, built.chips, BytesPerSecond(built.bandwidth),
                                          level.planes > 0 ? level.planes : planes);
            built.topology.endpoint_latency = spec.endpoint_latency.value();
        } catch (const std::invalid_argument& error) {
            throw InputError(spec.place, where, error.what(), family.name + ": " + family.sentence);
        }
        most += fullest_port(built.topology);
        TopologySpec faulty;  // what is broken of this level
        faulty.place = spec.place;
        for (const FaultSpec& fault : spec.faults) {
            if (level_of(fault, spec, count, path) != i) continue;
            break_part(built.topology, fault, spec.place, where);
            faulty.faults.push_back(fault);
        }
        require_connected(built.topology, faulty, where);
        const std::string cycle = deadlock_of(level, spec.routing);
        if (!cycle.empty()) {
            throw InputError(spec.place, where, "routing can deadlock: " + cycle,
                             fmt::format("virtual_channels: leave it out, or give {}",
                                         channels_needed(built.topology, spec.routing)));
        }
        stack.levels.push_back(std::move(built));
    }
    if (most > bandwidth.value() * kPortSlack) {
        throw InputError(
            spec.place, path,
            fmt::format("the links of a chip carry {} in all, and its bandwidth is {}",
                        to_string(BytesPerSecond(most)), to_string(bandwidth)),
            "the bandwidth of the level around it as the sum, or narrower links (levels: "
            "bandwidth of each; link_bandwidth)");
    }
    return stack;
}

}  // namespace podsim
