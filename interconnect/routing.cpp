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

#include "interconnect/symmetry.hpp"
#include "interconnect/system.hpp"

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

namespace {

// With fewer sources looking for symmetries is not worth it.
constexpr std::size_t kFewSources = 16;

[[noreturn]] void no_route(const Topology& topology, int from, int to) {
    throw std::invalid_argument(fmt::format("no route from {} to {}",
                                            name_of(topology.nodes[static_cast<std::size_t>(from)]),
                                            name_of(topology.nodes[static_cast<std::size_t>(to)])));
}

// A hashed message chooses one of the links that are equal for it. Of m choices over k links the
// fullest has more than the mean (plane_imbalance); m and k are those of the node that a group of
// links of one class leaves, or enters.
void add_collisions(const Topology& topology, double bytes_of_flow, LinkBytes& loads) {
    struct Group {
        double bytes = 0;
        long links = 0;
    };
    std::map<std::pair<int, int>, Group> out, in;
    for (std::size_t l = 0; l < loads.size(); ++l) {
        const TopologyLink& link = topology.links[l];
        for (Group* group : {&out[{link.from, link.link_class}], &in[{link.to, link.link_class}]}) {
            group->bytes += loads[l];
            group->links += loads[l] > 0 ? 1 : 0;
        }
    }
    for (std::size_t l = 0; l < loads.size(); ++l) {
        const TopologyLink& link = topology.links[l];
        double factor = 1;
        for (const Group& group :
             {out[{link.from, link.link_class}], in[{link.to, link.link_class}]}) {
            // What ends in a chip, or leaves it over its only link, has no choice.
            if (group.links < 2 || topology.chips_forward) continue;
            factor = std::max(factor, plane_imbalance(PlaneBalance::message,
                                                      group.bytes / bytes_of_flow, group.links));
        }
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

// Shares of shortest and Valiant's paths that leave the fullest link least full: its load is
// convex in the share.
LinkBytes best_mix(const Topology& topology, const LinkBytes& shortest, const LinkBytes& valiant) {
    const auto mixed = [&](double share) {
        LinkBytes loads(shortest.size());
        for (std::size_t l = 0; l < loads.size(); ++l)
            loads[l] = (1 - share) * shortest[l] + share * valiant[l];
        return loads;
    };
    double low = 0, high = 1;
    for (int i = 0; i < 60; ++i) {
        const double a = low + (high - low) / 3, b = high - (high - low) / 3;
        if (slowest(topology, mixed(a)) <= slowest(topology, mixed(b))) {
            high = b;
        } else {
            low = a;
        }
    }
    return mixed((low + high) / 2);
}

bool is_everyone(const Topology& topology, const std::vector<int>& members) {
    return static_cast<int>(members.size()) == topology.chips;
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
    if ((!topology.symmetric || !is_everyone(topology, members)) && members.size() < kFewSources) {
        for (const int member : members) add(member, loads);
        return loads;
    }
    if (!topology.symmetric || !is_everyone(topology, members)) {
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
    // By symmetry one path a pair loads the classes as all its paths do.
    LinkBytes loads = shortest_uniform(topology, members);
    if (routing == RoutingPolicy::hashed) {
        const double flows =
            static_cast<double>(members.size()) * static_cast<double>(flows_per_pair);
        add_collisions(topology, 1.0 / flows, loads);
    }
    if (routing == RoutingPolicy::valiant || routing == RoutingPolicy::all_paths) {
        LinkBytes far;
        if (topology.symmetric && is_everyone(topology, members)) {
            far = loads;
            for (double& load : far) load *= 2;
        } else {
            std::vector<double> bytes(static_cast<std::size_t>(topology.chips), 0.0);
            for (const int member : members)
                bytes[static_cast<std::size_t>(member)] =
                    1.0 - 1.0 / static_cast<double>(members.size());
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

// Whether searching from all sources is more work than looking for symmetries, which costs as much
// as a few looks at all links: a few sources tell.
bool is_worth_folding(const Topology& topology, const std::vector<Flow>& flows,
                      std::size_t sources) {
    constexpr std::size_t kAsked = 4, kLooks = 30;
    Router router(topology);
    std::size_t links = 0;
    for (std::size_t i = 0; i < kAsked; ++i) {
        const Flow& flow = flows[(2 * i + 1) * flows.size() / (2 * kAsked)];
        router.search(flow.from, flow.to);
        links += router.looked_at();
    }
    return links * sources > kAsked * kLooks * topology.links.size();
}

// What flows of one source of each orbit send stands for the others' too.
std::optional<Orbits> fold(const Topology& topology, std::vector<Flow>& flows) {
    std::set<int> sources;
    for (const Flow& flow : flows) sources.insert(flow.from);
    if (sources.size() < kFewSources || !is_worth_folding(topology, flows, sources.size()))
        return {};
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

double pair_latency(const Topology& topology, int from, int to) {
    if (from == to) return 0;
    Router router(topology);
    router.search(from, to);
    if (router.distance(to) < 0) no_route(topology, from, to);
    return router.latency(to);
}

namespace {

// Greatest flow from the chips of one half to the others (Dinic's algorithm), capacities as they
// are: what the least cut between them lets through.
class Flooding {
  public:
    Flooding(const Topology& topology, const std::vector<char>& is_source)
        : sink_(static_cast<int>(topology.nodes.size()) + 1), out_(topology.nodes.size() + 2) {
        const int source = sink_ - 1;
        for (const TopologyLink& link : topology.links) {
            // Chips that do not forward are only ever ends.
            if (!topology.chips_forward &&
                ((link.from < topology.chips &&
                  is_source[static_cast<std::size_t>(link.from)] == 0) ||
                 (link.to < topology.chips && is_source[static_cast<std::size_t>(link.to)] != 0)))
                continue;
            add(link.from, link.to, link.bandwidth);
        }
        for (int chip = 0; chip < topology.chips; ++chip) {
            const double all = std::numeric_limits<double>::infinity();
            if (is_source[static_cast<std::size_t>(chip)] != 0) {
                add(source, chip, all);
            } else {
                add(chip, sink_, all);
            }
        }
    }
    double greatest() {
        double total = 0;
        while (level()) {
            next_.assign(out_.size(), 0);
            for (double sent = 1; sent > 0; total += sent)
                sent = push(sink_ - 1, std::numeric_limits<double>::infinity());
        }
        return total;
    }

  private:
    struct Arc {
        int to;
        double left;
    };
    void add(int from, int to, double capacity) {
        out_[static_cast<std::size_t>(from)].push_back(static_cast<int>(arcs_.size()));
        arcs_.push_back({to, capacity});
        out_[static_cast<std::size_t>(to)].push_back(static_cast<int>(arcs_.size()));
        arcs_.push_back({from, 0});
    }
    bool level() {
        depth_.assign(out_.size(), -1);
        std::vector<int> queue = {sink_ - 1};
        depth_[static_cast<std::size_t>(sink_ - 1)] = 0;
        for (std::size_t i = 0; i < queue.size(); ++i) {
            const auto u = static_cast<std::size_t>(queue[i]);
            for (const int a : out_[u]) {
                const Arc& arc = arcs_[static_cast<std::size_t>(a)];
                const auto v = static_cast<std::size_t>(arc.to);
                if (arc.left <= kNothing || depth_[v] >= 0) continue;
                depth_[v] = depth_[u] + 1;
                queue.push_back(arc.to);
            }
        }
        return depth_[static_cast<std::size_t>(sink_)] >= 0;
    }
    double push(int node, double most) {
        if (node == sink_) return most;
        const auto u = static_cast<std::size_t>(node);
        for (std::size_t& i = next_[u]; i < out_[u].size(); ++i) {
            const auto a = static_cast<std::size_t>(out_[u][i]);
            const auto v = static_cast<std::size_t>(arcs_[a].to);
            if (arcs_[a].left <= kNothing || depth_[v] != depth_[u] + 1) continue;
            const double sent = push(arcs_[a].to, std::min(most, arcs_[a].left));
            if (sent <= 0) continue;
            arcs_[a].left -= sent;
            arcs_[a ^ 1].left += sent;
            return sent;
        }
        return 0;
    }
    static constexpr double kNothing = 1;  // B/s: rounding
    int sink_;
    std::vector<std::vector<int>> out_;
    std::vector<Arc> arcs_;
    std::vector<int> depth_;
    std::vector<std::size_t> next_;
};

// The least of what crosses between halves: by coordinate where there are some, else the lower and
// the upper half of the chips.
double bisection_of(const Topology& topology) {
    double least = std::numeric_limits<double>::infinity();
    std::vector<char> lower(static_cast<std::size_t>(topology.chips), 0);
    if (topology.dimensions.empty()) {
        std::fill(lower.begin(), lower.begin() + topology.chips / 2, 1);
        return Flooding(topology, lower).greatest();
    }
    const bool any_even = std::any_of(topology.dimensions.begin(), topology.dimensions.end(),
                                      [](long n) { return n % 2 == 0; });
    long stride = 1;
    for (const long n : topology.dimensions) {
        if (any_even && n % 2 != 0) {  // would not cut in half
            stride *= n;
            continue;
        }
        double crossing = 0;
        const auto is_low = [&](int chip) { return chip / stride % n < n / 2; };
        for (const TopologyLink& link : topology.links)
            if (is_low(link.from) && !is_low(link.to)) crossing += link.bandwidth;
        if (n > 1) least = std::min(least, crossing);
        stride *= n;
    }
    return least;
}

}  // namespace

TopologyFigures figures_of(const Topology& topology) {
    TopologyFigures figures;
    figures.near = std::numeric_limits<double>::infinity();
    Router router(topology);
    // One chip of each class sees what all of its class see; without symmetry every chip looks.
    std::map<int, int> first;
    for (int chip = 0; chip < topology.chips; ++chip)
        first.emplace(
            topology.symmetric ? topology.chip_class[static_cast<std::size_t>(chip)] : chip, chip);
    for (const auto& [name, chip] : first) {
        router.search(chip);
        std::map<int, int> at_distance;  // a chip of each distance: paths of one cost are alike
        for (int other = 0; other < topology.chips; ++other) {
            if (other == chip || router.distance(other) < 0) continue;
            figures.diameter = std::max(figures.diameter, router.hops(other));
            at_distance.emplace(router.distance(other), other);
        }
        for (const auto& [distance, other] : at_distance) {
            const double latency = router.latency(other);
            figures.near = std::min(figures.near, latency);
            if (latency > figures.far) {
                figures.far = latency;
                figures.far_from = chip;
                figures.far_to = other;
            }
        }
    }
    if (topology.chips < 2) {
        figures.near = 0;
        return figures;
    }
    figures.bisection = bisection_of(topology);
    return figures;
}

}  // namespace podsim
