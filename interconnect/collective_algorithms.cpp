#include "interconnect/collective_algorithms.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <stdexcept>

#include "interconnect/binary_trees.hpp"
#include "interconnect/collective_work.hpp"
#include "interconnect/dimension_wise.hpp"
#include "interconnect/router.hpp"

namespace podsim {

const std::vector<std::pair<const char*, Collective>>& names_of(const Collective*) {
    static const std::vector<std::pair<const char*, Collective>> names = {
        {"all_reduce", Collective::all_reduce},         {"all_gather", Collective::all_gather},
        {"reduce_scatter", Collective::reduce_scatter}, {"broadcast", Collective::broadcast},
        {"all_to_all", Collective::all_to_all},         {"send_recv", Collective::send_recv}};
    return names;
}

const std::vector<std::pair<const char*, Algorithm>>& names_of(const Algorithm*) {
    static const std::vector<std::pair<const char*, Algorithm>> names = {
        {"ring", Algorithm::ring},
        {"tree", Algorithm::tree},
        {"halving-doubling", Algorithm::halving_doubling},
        {"direct", Algorithm::direct},
        {"dimension-wise", Algorithm::dimension_wise},
        {"hierarchical", Algorithm::hierarchical},
        {"in-switch", Algorithm::in_switch}};
    return names;
}

std::string to_string(Algorithm algorithm) {
    for (const auto& [name, value] : names_of(static_cast<const Algorithm*>(nullptr)))
        if (value == algorithm) return name;
    return "";
}

namespace {

// Chips that are rings themselves send both ways round.
std::vector<Flow> ring_flows(const CollectiveWork& work, double bytes) {
    const std::vector<int> order = work.near_order();
    const Topology& topology = work.stack().levels.back().topology;
    const bool both =
        topology.family == "torus" && work.stack().levels.size() == 1 && order.size() > 2;
    std::vector<Flow> flows;
    for (std::size_t i = 0; i < order.size(); ++i) {
        const int next = order[(i + 1) % order.size()];
        flows.push_back({order[i], next, both ? bytes / 2 : bytes});
        if (both) flows.push_back({next, order[i], bytes / 2});
    }
    return flows;
}

// P - 1 steps of S/P a pass (Patarasu and Yuan 2009).
void ring(const CollectiveWork& work, Collective collective, CollectiveTerms& terms) {
    const double members = static_cast<double>(work.chips().size());
    if (collective == Collective::broadcast) {
        // A chain in a pipeline: all of S over every link but the closing one.
        std::vector<Flow> flows;
        const std::vector<int> order = work.near_order();
        for (std::size_t i = 0; i + 1 < order.size(); ++i)
            flows.push_back({order[i], order[i + 1], 1.0});
        work.step(terms, flows, 1);
        terms.latency *= members - 1;
        terms.steps = static_cast<int>(members) - 1;
        return;
    }
    work.step(terms, ring_flows(work, 1.0 / members), passes(collective) * (members - 1));
}

// Exchanges with the chip 2^k places on, S / 2^(k+1) each (Thakur, Rabenseifner and Gropp 2005):
// the long messages go to the nearest.
void halving_doubling(const CollectiveWork& work, Collective collective, CollectiveTerms& terms) {
    const std::vector<int>& chips = work.chips();
    double bytes = 0.5;
    for (std::size_t far = 1; far < chips.size(); far *= 2, bytes /= 2) {
        std::vector<Flow> flows;
        for (std::size_t i = 0; i < chips.size(); ++i)
            flows.push_back({chips[i], chips[i ^ far], bytes});
        work.step(terms, flows, passes(collective));
    }
}

constexpr std::size_t kMostPairs = 200000;

// The longest way from the root to a leaf of a tree whose edges come in the order of their
// children.
struct TreeDepth {
    double latency = 0;
    int edges = 0;
};
TreeDepth deepest(const std::vector<int>& parents, const std::vector<int>& order,
                  const std::vector<double>& edges) {
    std::vector<TreeDepth> at(parents.size());
    TreeDepth most;
    for (std::size_t k = 1; k < order.size(); ++k) {
        const auto place = static_cast<std::size_t>(order[k]);
        const TreeDepth& parent = at[static_cast<std::size_t>(parents[place])];
        at[place] = {parent.latency + edges[k - 1], parent.edges + 1};
        most = {std::max(most.latency, at[place].latency), std::max(most.edges, at[place].edges)};
    }
    return most;
}

// Two binary trees, each with half of the bytes, in a pipeline: up (reduce), down (broadcast). The
// first piece takes the longest way there is from a root to a leaf. With several roots two trees
// from each, turned on by one place after the other; above `kMostPairs` some of them stand for all.
void tree(const CollectiveWork& work, Collective collective, std::size_t roots,
          CollectiveTerms& terms) {
    const std::vector<int>& chips = work.chips();
    const std::size_t members = chips.size();
    const bool up = collective == Collective::all_reduce;
    const std::size_t looked_at = std::clamp<std::size_t>(kMostPairs / members, 1, roots);
    const double bytes = 0.5 / static_cast<double>(looked_at);
    std::vector<Flow> flows;
    TreeDepth most;
    for (const bool second : {false, true}) {
        const int places = static_cast<int>(members);
        const std::vector<int> parents =
            up ? binary_tree(places, second) : broadcast_tree(places, second);
        const std::vector<int> order = from_the_root(parents);
        for (std::size_t r = 0; r < looked_at; ++r) {
            const std::size_t turned = r * roots / looked_at;
            const auto chip = [&](int place) {
                return chips[(static_cast<std::size_t>(place) + turned) % members];
            };
            std::vector<Flow> down;
            for (std::size_t k = 1; k < order.size(); ++k)
                down.push_back(
                    {chip(parents[static_cast<std::size_t>(order[k])]), chip(order[k]), bytes});
            if (r == 0) {
                const TreeDepth depth = deepest(parents, order, work.latencies(down));
                most = {std::max(most.latency, depth.latency), std::max(most.edges, depth.edges)};
            }
            for (const Flow& flow : down) {
                flows.push_back(flow);
                if (up) flows.push_back({flow.to, flow.from, flow.bytes});
            }
        }
    }
    work.step(terms, flows, 1);
    terms.latency = (up ? 2 : 1) * most.latency;
    terms.steps = (up ? 2 : 1) * most.edges;
}

// All pairs at once: a part of S to each.
void direct(const CollectiveWork& work, Collective collective, CollectiveTerms& terms) {
    if (collective == Collective::broadcast) {
        std::vector<Flow> flows;
        for (const int chip : work.chips()) flows.push_back({work.chips().front(), chip, 1.0});
        work.step(terms, flows, 1);
        return;
    }
    work.exchange(terms, is_gather(collective) ? passes(collective) : 1.0);
}

// Within groups of `inner` members that are near, then between equal places of the groups: S within
// for a reduce-scatter, S / inner between; an all-to-all gathers within what is for one place.
void hierarchical(const CollectiveWork& work, Collective collective, std::size_t inner,
                  CollectiveTerms& terms) {
    const std::vector<int>& chips = work.chips();
    const std::size_t groups = chips.size() / inner;
    const double n = static_cast<double>(inner), g = static_cast<double>(groups);
    std::vector<Flow> within, between;
    const bool exchange = collective == Collective::all_to_all;
    for (std::size_t i = 0; i < chips.size(); ++i) {
        const std::size_t base = i / inner * inner;
        for (std::size_t k = 0; k < inner; ++k)
            within.push_back({chips[i], chips[base + k], 1.0 / n});
        for (std::size_t k = 0; k < groups; ++k)
            between.push_back(
                {chips[i], chips[k * inner + i % inner], exchange ? 1.0 / g : 1.0 / n / g});
    }
    work.step(terms, within, passes(collective));
    work.step(terms, between, passes(collective));
}

// S up and the sum of S/P down, S (1 + 1/P) over a chip's links each way (NVLink SHARP); an
// all-gather sends S/P and takes in S, a broadcast S and S.
void in_switch(const CollectiveWork& work, Collective collective, CollectiveTerms& terms) {
    const Topology& topology = work.stack().levels.front().topology;
    const double members = static_cast<double>(work.chips().size());
    const double crossing = collective == Collective::all_reduce ? 1.0 + 1.0 / members : 1.0;
    double port = 0;
    const auto chip = static_cast<std::size_t>(work.chips().front());
    for (int l = topology.first_link[chip]; l < topology.first_link[chip + 1]; ++l)
        port += topology.links[static_cast<std::size_t>(l)].bandwidth;
    LinkBytes loads(topology.links.size(), 0.0);
    for (std::size_t l = 0; l < loads.size(); ++l)
        loads[l] = crossing * topology.links[l].bandwidth / port;
    terms.link_bytes.push_back(loads);
    terms.seconds_per_byte = slowest(topology, loads);
    terms.latency = 2 * pair_latency(topology, work.chips().front(), work.chips().back());
    terms.steps = 2;
}

bool is_power_of_two(std::size_t n) {
    return (n & (n - 1)) == 0;
}

// Members of one node, where nodes are equal and every chip of them takes part; else 1.
std::size_t node_of(const TopologyStack& stack, const ChipGroup& group) {
    long size = 1;
    if (stack.levels.size() > 1) {
        size = stack.levels.front().chips;
    } else {
        const TopologyLevelSpec& level =
            stack.spec.levels.empty() ? stack.spec.level : stack.spec.levels.front();
        size = std::max({1L, level.node_chips, level.rails});
    }
    if (group.stride != 1 || group.first % size != 0 || group.members % size != 0 ||
        group.members <= size)
        return 1;
    return static_cast<std::size_t>(size);
}

}  // namespace

namespace {

// With `only` that algorithm alone. With `less_than`: the bytes of those algorithms beside the
// direct one that take less.
std::vector<CollectiveTerms> terms_of(const TopologyStack& stack, Collective collective,
                                      const ChipGroup& group, bool reduces_in_switch,
                                      std::optional<Algorithm> only,
                                      std::optional<double> less_than) {
    std::vector<CollectiveTerms> all;
    if (group.members < 2) return all;
    CollectiveWork work(stack, group);
    if (less_than) work.look_for_less_than(*less_than);
    const auto attempt = [&](Algorithm algorithm, auto&& run) {
        if (only && *only != algorithm) return;
        CollectiveTerms terms;
        terms.algorithm = algorithm;
        run(terms);
        all.push_back(std::move(terms));
    };
    const Topology& topology = stack.levels.front().topology;
    const auto members = static_cast<std::size_t>(group.members);
    if (collective == Collective::send_recv) {
        attempt(Algorithm::direct, [&](CollectiveTerms& terms) {
            std::vector<Flow> flows;
            for (std::size_t i = 0; i < members; ++i)
                flows.push_back({work.chips()[i], work.chips()[(i + 1) % members], 1.0});
            work.step(terms, flows, 1);
        });
        return all;
    }
    if (!less_than)
        attempt(Algorithm::direct, [&](CollectiveTerms& t) { direct(work, collective, t); });
    const std::size_t node = node_of(stack, group);
    if (node > 1 && members * (node + members / node) <= kMostPairs &&
        collective != Collective::broadcast) {
        attempt(Algorithm::hierarchical,
                [&](CollectiveTerms& t) { hierarchical(work, collective, node, t); });
    }
    if (collective == Collective::all_to_all) return all;
    if (members <= 2 * kMostFlows)
        attempt(Algorithm::ring, [&](CollectiveTerms& t) { ring(work, collective, t); });
    // For long messages a ring of near members crosses every cut with the fewest bytes.
    const bool steps_count = !less_than;
    if (steps_count && is_gather(collective) && is_power_of_two(members) && members <= kMostFlows) {
        attempt(Algorithm::halving_doubling,
                [&](CollectiveTerms& t) { halving_doubling(work, collective, t); });
    }
    if ((steps_count || collective == Collective::broadcast) && members <= kMostFlows &&
        (collective == Collective::all_reduce || collective == Collective::broadcast)) {
        const auto roots = static_cast<std::size_t>(std::clamp(group.roots, 1, group.members));
        attempt(Algorithm::tree, [&](CollectiveTerms& t) { tree(work, collective, roots, t); });
    }
    if (is_gather(collective) && stack.levels.size() == 1 && topology.chips_forward) {
        if (const auto sides = box_of(topology, work.chips(), group.siblings); !sides.empty()) {
            attempt(Algorithm::dimension_wise, [&](CollectiveTerms& t) {
                dimension_wise(topology, sides, work.chips(), group.siblings, passes(collective),
                               t);
            });
        }
    }
    const bool one_tier =
        topology.family == "switched-planes" &&
        std::none_of(topology.nodes.begin(), topology.nodes.end(),
                     [](const TopologyNode& n) { return n.kind == NodeKind::tier2; });
    if (reduces_in_switch && one_tier && stack.levels.size() == 1 && topology.symmetric)
        attempt(Algorithm::in_switch, [&](CollectiveTerms& t) { in_switch(work, collective, t); });
    return all;
}

}  // namespace

std::vector<CollectiveTerms> collective_terms(const TopologyStack& stack, Collective collective,
                                              const ChipGroup& group, bool reduces_in_switch,
                                              std::optional<Algorithm> only) {
    return terms_of(stack, collective, group, reduces_in_switch, only, {});
}

CollectiveTerms least_bytes(const TopologyStack& stack, Collective collective,
                            const ChipGroup& group, double enough) {
    CollectiveTerms least;
    least.algorithm = Algorithm::direct;
    CollectiveWork work(stack, group);
    work.look_for_less_than(std::numeric_limits<double>::max());
    direct(work, collective, least);
    if (least.seconds_per_byte <= enough * (1 + 1e-9)) return least;
    for (CollectiveTerms& other :
         terms_of(stack, collective, group, false, {}, least.seconds_per_byte))
        if (other.seconds_per_byte < least.seconds_per_byte) least = std::move(other);
    return least;
}

double farthest_members(const TopologyStack& stack, const ChipGroup& group) {
    return CollectiveWork(stack, group).farthest_members();
}

const CollectiveTerms& best_of(const std::vector<CollectiveTerms>& terms, double bytes) {
    const auto least = std::min_element(
        terms.begin(), terms.end(), [bytes](const CollectiveTerms& a, const CollectiveTerms& b) {
            return a.time(bytes) < b.time(bytes);
        });
    if (least == terms.end()) throw std::invalid_argument("no algorithm for this collective");
    return *least;
}

CollectiveTerms exchange_terms(const TopologyStack& stack, const ChipGroup& group,
                               const std::vector<std::vector<double>>& bytes) {
    const CollectiveWork work(stack, group);
    CollectiveTerms terms;
    terms.algorithm = Algorithm::direct;
    std::vector<Flow> flows;
    for (std::size_t i = 0; i < bytes.size(); ++i)
        for (std::size_t j = 0; j < bytes[i].size(); ++j)
            flows.push_back({work.chips().at(i), work.chips().at(j), bytes[i][j]});
    work.step(terms, flows, 1);
    return terms;
}

double pair_latency(const TopologyStack& stack, int from, int to) {
    const Placed at = place_of(stack, from, to);
    return pair_latency(stack.levels[at.level].topology, at.from, at.to);
}

PairOperations pair_operations(const TopologyStack& stack, int from, int to, double bytes) {
    const Placed at = place_of(stack, from, to);
    const Topology& topology = stack.levels[at.level].topology;
    PairOperations operations;
    operations.one_way = pair_latency(topology, at.from, at.to) - topology.endpoint_latency;
    const LinkBytes loads = flow_loads(topology, {{at.from, at.to, 1.0}}, stack.spec.routing,
                                       stack.spec.flows_per_pair);
    operations.bandwidth = 1.0 / slowest(topology, loads);
    // A small message takes one plane: the slowest link of its path.
    Router router(topology);
    router.search(at.from, at.to);
    double rate = std::numeric_limits<double>::infinity();
    for (const int l : router.path(at.to))
        rate = std::min(rate, topology.links[static_cast<std::size_t>(l)].bandwidth);
    operations.read = 2 * operations.one_way + topology.endpoint_latency +
                      stack.spec.memory_latency.value() + bytes / rate;
    operations.synchronised_write = static_cast<double>(stack.spec.sync_legs) * operations.one_way;
    return operations;
}

}  // namespace podsim
