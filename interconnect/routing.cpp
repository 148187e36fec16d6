#include "interconnect/routing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <stdexcept>

#include "interconnect/best_share.hpp"
#include "interconnect/fullest_link.hpp"
#include "interconnect/router.hpp"
#include "interconnect/symmetry.hpp"
#include "interconnect/system.hpp"

namespace podsim {

namespace {

// With fewer sources looking for symmetries is not worth it.
constexpr std::size_t kFewSources = 16;

// Of a tier of switches or of what hangs under them.
int tier_of(const TopologyNode& node) {
    if (node.kind == NodeKind::tier2) return 2;
    return node.kind == NodeKind::tier1 ? 1 : 0;
}

// A hashed message chooses one of the links that are equal for it: those that go up from a node,
// and with the same choice those that come down to one; among switches of a tier both. The fullest
// of all decides, and all such sets draw: as many as would be as full as the fullest set.
void add_collisions(const Topology& topology, double bytes_of_flow, LinkBytes& loads) {
    if (topology.chips_forward) return;
    struct Choice {
        double bytes = 0, seconds = 0;  // seconds: of all its links one after the other
        long links = 0;
        double factor = 1;
        double mean() const { return seconds / static_cast<double>(links); }
    };
    std::map<std::pair<int, int>, Choice> out, in;
    const auto rise = [&](const TopologyLink& link) {
        return tier_of(topology.nodes[static_cast<std::size_t>(link.to)]) -
               tier_of(topology.nodes[static_cast<std::size_t>(link.from)]);
    };
    const auto choices_of = [&](const TopologyLink& link) {
        std::vector<Choice*> choices;
        if (rise(link) >= 0) choices.push_back(&out[{link.from, link.link_class}]);
        if (rise(link) <= 0) choices.push_back(&in[{link.to, link.link_class}]);
        return choices;
    };
    for (std::size_t l = 0; l < loads.size(); ++l) {
        if (!(loads[l] > 0)) continue;
        for (Choice* choice : choices_of(topology.links[l])) {
            choice->bytes += loads[l];
            choice->seconds += loads[l] / topology.links[l].bandwidth;
            choice->links += 1;
        }
    }
    double sum = 0, most = 0;
    const auto over_all = [&](const auto& act) {
        for (auto* choices : {&out, &in})
            for (auto& [where, choice] : *choices)
                if (choice.links > 1) act(choice);
    };
    over_all([&](const Choice& choice) {
        sum += choice.mean();
        most = std::max(most, choice.mean());
    });
    if (!(most > 0)) return;
    std::map<std::pair<long, long>, double> known;  // most choices are alike
    over_all([&](Choice& choice) {
        const double messages = choice.bytes / bytes_of_flow;
        const auto [at, is_new] = known.try_emplace({std::lround(1024 * messages), choice.links});
        if (is_new) at->second = fullest_link(messages, choice.links, sum / most);
        choice.factor = at->second;
    });
    for (std::size_t l = 0; l < loads.size(); ++l) {
        if (!(loads[l] > 0)) continue;
        double factor = 1;
        for (const Choice* choice : choices_of(topology.links[l]))
            factor = std::max(factor, choice->factor);
        loads[l] *= factor;
    }
}

// The link back of each.
std::vector<int> mirrors(const Topology& topology) {
    std::map<std::pair<int, int>, std::vector<int>> by_ends;
    for (std::size_t l = 0; l < topology.links.size(); ++l)
        by_ends[{topology.links[l].from, topology.links[l].to}].push_back(static_cast<int>(l));
    std::vector<int> mirror(topology.links.size(), 0);
    for (const auto& [ends, links] : by_ends) {
        const auto back = by_ends.find({ends.second, ends.first});
        for (std::size_t i = 0; i < links.size(); ++i) {
            const bool has = back != by_ends.end() && i < back->second.size();
            mirror[static_cast<std::size_t>(links[i])] = has ? back->second[i] : links[i];
        }
    }
    return mirror;
}

// Shares of shortest and Valiant's paths that leave the fullest link least full.
LinkBytes best_mix(const Topology& topology, const LinkBytes& shortest, const LinkBytes& valiant) {
    const auto mixed = [&](double share) {
        LinkBytes loads(shortest.size());
        for (std::size_t l = 0; l < loads.size(); ++l)
            loads[l] = (1 - share) * shortest[l] + share * valiant[l];
        return loads;
    };
    return mixed(best_share([&](double share) { return slowest(topology, mixed(share)); }));
}

bool is_everyone(const Topology& topology, const std::vector<int>& members) {
    return static_cast<int>(members.size()) == topology.chips;
}

// Whether searching from all sources is more work than looking for symmetries, which costs as much
// as a few looks at all links: a few sources tell. `probe` searches from the one that lies at a
// share of all.
template <class Probe>
bool is_worth_folding(const Topology& topology, std::size_t sources, const Probe& probe) {
    constexpr std::size_t kAsked = 4, kLooks = 30;
    if (sources < kFewSources) return false;
    Router router(topology);
    std::size_t links = 0;
    for (std::size_t i = 0; i < kAsked; ++i) {
        probe(router, static_cast<double>(2 * i + 1) / (2 * kAsked));
        links += router.looked_at();
    }
    return links * sources > kAsked * kLooks * topology.links.size();
}

LinkBytes shortest_uniform(const Topology& topology, const std::vector<int>& members) {
    LinkBytes loads(topology.links.size(), 0.0);
    std::vector<double> bytes(static_cast<std::size_t>(topology.chips), 0.0);
    for (const int member : members)
        bytes[static_cast<std::size_t>(member)] = 1.0 / static_cast<double>(members.size());
    Router router(topology);
    const auto send = [&](int from, const std::vector<double>& sent, LinkBytes& to) {
        router.search(from, members);
        for (const int member : members)
            if (router.distance(member) < 0) no_route(topology, from, member);
        router.spread(sent, to);
    };
    const auto add = [&](int from, LinkBytes& to) { send(from, bytes, to); };
    if (!topology.symmetric || !is_everyone(topology, members)) {
        const bool worth = is_worth_folding(topology, members.size(), [&](Router& one, double at) {
            one.search(members[static_cast<std::size_t>(at * static_cast<double>(members.size()))],
                       members);
        });
        if (!worth) {
            for (const int member : members) add(member, loads);
            return loads;
        }
        std::vector<int> marks(static_cast<std::size_t>(topology.chips), 0);
        for (const int member : members) marks[static_cast<std::size_t>(member)] = 1;
        const Orbits orbits = orbits_of(topology, marks);
        std::map<int, double> sources;  // and how many each stands for
        for (const int member : members)
            sources[orbits.chips[static_cast<std::size_t>(member)]] += 1;
        for (const auto& [source, count] : sources) {
            std::vector<double> one = bytes;
            for (double& each : one) each *= count;
            send(source, one, loads);
        }
        average_over_orbits(orbits, loads);
        return loads;
    }
    std::map<int, std::pair<int, double>> classes;  // a chip of each class, and how many there are
    for (const int member : members) {
        const auto at = classes.emplace(topology.chip_class[static_cast<std::size_t>(member)],
                                        std::pair<int, double>{member, 0.0});
        at.first->second.second += 1;
    }
    std::vector<double> total(topology.link_classes.size(), 0.0), size(total);
    for (const auto& [name, chip] : classes) {
        LinkBytes one(topology.links.size(), 0.0);
        add(chip.first, one);
        for (std::size_t l = 0; l < one.size(); ++l)
            total[static_cast<std::size_t>(topology.links[l].link_class)] += chip.second * one[l];
    }
    for (const TopologyLink& link : topology.links)
        size[static_cast<std::size_t>(link.link_class)] += 1;
    for (std::size_t l = 0; l < loads.size(); ++l) {
        const auto c = static_cast<std::size_t>(topology.links[l].link_class);
        loads[l] = total[c] / size[c];
    }
    return loads;
}

using CellMembers = std::map<long, std::vector<int>>;  // by the number of the cell
CellMembers cells_of(const std::vector<int>& members, long cell) {
    CellMembers cells;
    for (const int member : members) cells[member / cell].push_back(member);
    return cells;
}

bool alone_in_cells(const std::vector<int>& members, long cell) {
    if (cell == 1) return true;
    std::vector<long> cells;
    cells.reserve(members.size());
    for (const int member : members) cells.push_back(member / cell);
    std::sort(cells.begin(), cells.end());
    return std::adjacent_find(cells.begin(), cells.end()) == cells.end();
}

// Takes out of the loads of shortest_uniform what members of a cell send each other. Above
// `kMostSources` on a symmetric fabric of switches whose chips all take part, the first cells stand
// for the others, evenly over each class of links; chips that pass on have links of one class
// within cells and between them.
void take_out_cells(const Topology& topology, const std::vector<int>& members,
                    const CellMembers& cells, LinkBytes& loads) {
    constexpr std::size_t kMostSources = 512;
    const bool alike =
        topology.symmetric && !topology.chips_forward && is_everyone(topology, members);
    LinkBytes within(loads.size(), 0.0);
    std::vector<double> bytes(static_cast<std::size_t>(topology.chips), 0.0);
    Router router(topology);
    std::size_t sources = 0;
    for (const auto& [number, here] : cells) {
        if (alike && sources >= kMostSources) break;
        sources += here.size();
        if (here.size() < 2) continue;
        for (const int member : here)
            bytes[static_cast<std::size_t>(member)] = 1.0 / static_cast<double>(members.size());
        for (const int member : here) {
            router.search(member, here);
            router.spread(bytes, within);
        }
        for (const int member : here) bytes[static_cast<std::size_t>(member)] = 0;
    }
    if (sources < members.size()) {
        std::vector<double> total(topology.link_classes.size(), 0.0), size(total);
        const double stands_for =
            static_cast<double>(members.size()) / static_cast<double>(sources);
        for (std::size_t l = 0; l < within.size(); ++l) {
            const auto c = static_cast<std::size_t>(topology.links[l].link_class);
            total[c] += within[l] * stands_for;
            size[c] += 1;
        }
        for (std::size_t l = 0; l < within.size(); ++l) {
            const auto c = static_cast<std::size_t>(topology.links[l].link_class);
            within[l] = total[c] / size[c];
        }
    }
    // What is left of a difference of equal sums is rounding.
    for (std::size_t l = 0; l < loads.size(); ++l) {
        const double left = loads[l] - within[l];
        loads[l] = left > 1e-12 * loads[l] ? left : 0;
    }
}

// Chip c sends send[c] and takes in receive[c], each over a chip at random.
LinkBytes valiant_loads(const Topology& topology, const std::vector<double>& send,
                        const std::vector<double>& receive) {
    const auto all_alike = [](const std::vector<double>& bytes) {
        return std::all_of(bytes.begin(), bytes.end(),
                           [&](double b) { return b == bytes.front(); });
    };
    if (topology.symmetric && all_alike(send) && all_alike(receive)) {
        std::vector<int> everyone(send.size());
        std::iota(everyone.begin(), everyone.end(), 0);
        LinkBytes loads = shortest_uniform(topology, everyone);
        for (double& load : loads) load *= send.front() + receive.front();
        return loads;
    }
    LinkBytes loads(topology.links.size(), 0.0), back(topology.links.size(), 0.0);
    Router router(topology);
    const std::vector<int> mirror = mirrors(topology);
    std::map<std::pair<double, double>, int> amounts;  // chips that send and take in the same
    std::vector<int> marks;
    for (std::size_t c = 0; c < send.size(); ++c) {
        const int next = static_cast<int>(amounts.size());
        marks.push_back(amounts.try_emplace({send[c], receive[c]}, next).first->second);
    }
    const Orbits orbits = orbits_of(topology, marks);
    std::vector<double> count(send.size(), 0.0);
    for (const int chip : orbits.chips) count[static_cast<std::size_t>(chip)] += 1;
    for (int chip = 0; chip < topology.chips; ++chip) {
        const auto c = static_cast<std::size_t>(chip);
        if (count[c] == 0 || (send[c] <= 0 && receive[c] <= 0)) continue;
        router.search(chip);
        const double part = count[c] / topology.chips;
        std::vector<double> bytes(static_cast<std::size_t>(topology.chips), send[c] * part);
        router.spread(bytes, loads);
        std::fill(bytes.begin(), bytes.end(), receive[c] * part);
        router.spread(bytes, back);
    }
    for (std::size_t l = 0; l < loads.size(); ++l)
        loads[static_cast<std::size_t>(mirror[l])] += back[l];
    average_over_orbits(orbits, loads);
    return loads;
}

}  // namespace

LinkBytes uniform_loads(const Topology& topology, const std::vector<int>& members,
                        RoutingPolicy routing, long flows_per_pair) {
    return uniform_loads_between(topology, members, 1, routing, flows_per_pair);
}

LinkBytes uniform_loads_between(const Topology& topology, const std::vector<int>& members,
                                long cell, RoutingPolicy routing, long flows_per_pair) {
    // By symmetry one path a pair loads the classes as all its paths do.
    LinkBytes loads = shortest_uniform(topology, members);
    const bool are_alone = alone_in_cells(members, cell);
    if (!are_alone) take_out_cells(topology, members, cells_of(members, cell), loads);
    if (routing == RoutingPolicy::hashed) {
        const double flows =
            static_cast<double>(members.size()) * static_cast<double>(flows_per_pair);
        add_collisions(topology, 1.0 / flows, loads);
    }
    if (routing == RoutingPolicy::valiant || routing == RoutingPolicy::all_paths) {
        LinkBytes far;
        if (are_alone && topology.symmetric && is_everyone(topology, members)) {
            far = loads;
            for (double& load : far) load *= 2;
        } else {
            const double all = static_cast<double>(members.size());
            std::vector<double> bytes(static_cast<std::size_t>(topology.chips), 0.0);
            for (const auto& [number, here] : cells_of(members, cell))
                for (const int member : here)
                    bytes[static_cast<std::size_t>(member)] =
                        1.0 - static_cast<double>(here.size()) / all;
            far = valiant_loads(topology, bytes, bytes);
        }
        return routing == RoutingPolicy::valiant ? far : best_mix(topology, loads, far);
    }
    return loads;
}

namespace {

// One search for each source with many flows, else one for each flow that ends where the flow does.
template <class Use>
void for_each_source(const Topology& topology, std::vector<Flow> flows, const Use& use) {
    constexpr std::size_t kFewFlows = 4;
    std::stable_sort(flows.begin(), flows.end(),
                     [](const Flow& a, const Flow& b) { return a.from < b.from; });
    Router router(topology);
    std::vector<int> goals;
    const auto handle = [&](const std::vector<Flow>& some) {
        for (const Flow& flow : some)
            if (router.distance(flow.to) < 0) no_route(topology, flow.from, flow.to);
        use(router, some);
    };
    std::vector<Flow> group;
    for (std::size_t i = 0; i < flows.size();) {
        std::size_t end = i;
        group.clear();
        for (; end < flows.size() && flows[end].from == flows[i].from; ++end)
            group.push_back(flows[end]);
        if (group.size() > kFewFlows) {
            goals.clear();
            for (const Flow& flow : group) goals.push_back(flow.to);
            router.search(flows[i].from, goals);
            handle(group);
        } else {
            for (const Flow& flow : group) {
                router.search(flow.from, flow.to);
                handle({flow});
            }
        }
        i = end;
    }
}

// What flows of one source of each orbit send stands for the others' too.
std::optional<Orbits> fold(const Topology& topology, std::vector<Flow>& flows) {
    std::set<int> sources;
    for (const Flow& flow : flows) sources.insert(flow.from);
    const bool worth = is_worth_folding(topology, sources.size(), [&](Router& router, double at) {
        const Flow& flow = flows[static_cast<std::size_t>(at * static_cast<double>(flows.size()))];
        router.search(flow.from, flow.to);
    });
    if (!worth) return {};
    std::vector<PairAmount> pairs;
    pairs.reserve(flows.size());
    for (const Flow& flow : flows) pairs.push_back({flow.from, flow.to, flow.bytes});
    Orbits orbits = orbits_of(topology, pairs);
    std::map<int, double> count;
    for (const int source : sources) count[orbits.chips[static_cast<std::size_t>(source)]] += 1;
    std::vector<Flow> folded;
    for (const Flow& flow : flows) {
        const auto source = count.find(flow.from);
        if (source != count.end())
            folded.push_back({flow.from, flow.to, flow.bytes * source->second});
    }
    flows = std::move(folded);
    return orbits;
}

}  // namespace

LinkBytes flow_loads(const Topology& topology, const std::vector<Flow>& flows,
                     RoutingPolicy routing, long flows_per_pair) {
    return route_flows(topology, flows, routing, flows_per_pair).loads;
}

RoutedFlows route_flows(const Topology& topology, const std::vector<Flow>& all,
                        RoutingPolicy routing, long flows_per_pair) {
    RoutedFlows routed;
    LinkBytes& loads = routed.loads;
    loads.assign(topology.links.size(), 0.0);
    std::vector<Flow> flows;
    double largest = 0;
    for (const Flow& flow : all) {
        if (flow.from == flow.to || !(flow.bytes > 0)) continue;
        flows.push_back(flow);
        largest = std::max(largest, flow.bytes);
    }
    if (flows.empty()) return routed;
    std::vector<double> bytes(static_cast<std::size_t>(topology.chips), 0.0);
    std::map<int, double> latencies;  // paths of one cost are as long
    // One path a pair takes turns by the number of the chip, which no symmetry keeps.
    const bool one_path = routing == RoutingPolicy::minimal;
    std::vector<Flow> sent = flows;
    const std::optional<Orbits> orbits = one_path ? std::nullopt : fold(topology, sent);
    for_each_source(topology, sent, [&](Router& router, const std::vector<Flow>& group) {
        for (const Flow& flow : group) {
            const int cost = router.distance(flow.to);
            if (latencies.count(cost) == 0) latencies[cost] = router.latency(flow.to);
        }
        if (one_path) {
            for (const Flow& flow : group)
                for (const int l : router.path(flow.to))
                    loads[static_cast<std::size_t>(l)] += flow.bytes;
        } else if (group.size() == 1) {
            router.spread_to(group.front().to, group.front().bytes, loads);
        } else {
            for (const Flow& flow : group) bytes[static_cast<std::size_t>(flow.to)] += flow.bytes;
            router.spread(bytes, loads);
            for (const Flow& flow : group) bytes[static_cast<std::size_t>(flow.to)] = 0;
        }
    });
    if (orbits) average_over_orbits(*orbits, loads);
    for (const auto& [cost, latency] : latencies)
        routed.latency = std::max(routed.latency, latency);
    if (routing == RoutingPolicy::hashed)
        add_collisions(topology, largest / static_cast<double>(flows_per_pair), loads);
    if (routing == RoutingPolicy::valiant || routing == RoutingPolicy::all_paths) {
        std::vector<double> send(static_cast<std::size_t>(topology.chips), 0.0), receive(send);
        for (const Flow& flow : flows) {
            send[static_cast<std::size_t>(flow.from)] += flow.bytes;
            receive[static_cast<std::size_t>(flow.to)] += flow.bytes;
        }
        const LinkBytes far = valiant_loads(topology, send, receive);
        loads = routing == RoutingPolicy::valiant ? far : best_mix(topology, loads, far);
    }
    return routed;
}

double slowest(const Topology& topology, const LinkBytes& loads) {
    double seconds = 0;
    for (std::size_t l = 0; l < loads.size(); ++l)
        seconds = std::max(seconds, loads[l] / topology.links[l].bandwidth);
    return seconds;
}

}  // namespace podsim
