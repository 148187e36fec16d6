#include "interconnect/collective_work.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>

#include "interconnect/router.hpp"

namespace podsim {

namespace {

void add(CollectiveTerms& terms, std::size_t level, const LinkBytes& loads, double times) {
    if (terms.link_bytes.size() <= level) terms.link_bytes.resize(level + 1);
    LinkBytes& sum = terms.link_bytes[level];
    sum.resize(loads.size(), 0.0);
    for (std::size_t i = 0; i < loads.size(); ++i) sum[i] += loads[i] * times;
}

}  // namespace

Placed place_of(const TopologyStack& stack, int from, int to) {
    for (std::size_t l = 0; l < stack.levels.size(); ++l) {
        const long chips = stack.levels[l].chips;
        if (l + 1 < stack.levels.size() && from / chips != to / chips) continue;
        return {l, static_cast<int>(from % chips), static_cast<int>(to % chips)};
    }
    return {0, from, to};
}

CollectiveWork::CollectiveWork(const TopologyStack& stack, const ChipGroup& group)
    : stack_(stack), group_(group) {
    const long last = group.first + static_cast<long>(group.members - 1) * group.stride +
                      std::max(0, group.siblings - 1);
    const long chips = stack.levels.back().chips;
    if (group.members < 1 || group.stride < 1 || last >= chips) {
        throw std::invalid_argument(fmt::format("{} members, every {}th chip: the topology has {}",
                                                group.members, group.stride, chips));
    }
    for (int i = 0; i < group.members; ++i) chips_.push_back(group.first + i * group.stride);
    for (const TopologyStack::Level& level : stack.levels) samples_.push_back(sample_on(level));
}

// Where chips pass on for each other, links between them are of several siblings: all are looked
// at.
CollectiveWork::Sample CollectiveWork::sample_on(const TopologyStack::Level& level) const {
    const std::size_t siblings = static_cast<std::size_t>(std::max(1, group_.siblings));
    const bool meet = level.topology.chips_forward && group_.stride < level.chips;
    const bool all = meet || siblings * chips_.size() <= kMostSources;
    const std::size_t looked_at =
        all ? siblings : std::clamp<std::size_t>(kSampledSources / chips_.size(), 1, siblings);
    Sample sample;
    for (std::size_t i = 0; i < looked_at; ++i)
        sample.shifts.push_back(static_cast<int>(i * siblings / looked_at));
    sample.each = static_cast<double>(siblings) / static_cast<double>(looked_at);
    return sample;
}

std::vector<int> CollectiveWork::near_order() const {
    const Topology& topology = stack_.levels.back().topology;
    if (stack_.levels.size() > 1) return chips_;
    std::vector<char> member(static_cast<std::size_t>(topology.chips), 0);
    for (const int chip : chips_) member[static_cast<std::size_t>(chip)] = 1;
    std::vector<int> order;
    for (const int chip : topology.ring_order)
        if (member[static_cast<std::size_t>(chip)] != 0) order.push_back(chip);
    return order;
}

void CollectiveWork::step(CollectiveTerms& terms, const std::vector<Flow>& flows,
                          double times) const {
    if (terms.seconds_per_byte >= most_) return;
    // Flows of a sibling that meet on a level.
    const auto meeting = [&](std::size_t level, int shift, std::vector<Flow>& some) {
        // One inner group stands for all; the outer level has everyone's.
        const bool inner = level + 1 < stack_.levels.size();
        const long chips = stack_.levels[level].chips;
        for (const Flow& flow : flows) {
            if (flow.from == flow.to) continue;
            const Placed at = place_of(stack_, flow.from + shift, flow.to + shift);
            if (at.level != level) continue;
            if (inner && (flow.from + shift) / chips != chips_.front() / chips) continue;
            some.push_back({at.from, at.to, flow.bytes});
        }
    };
    double seconds = 0, latency = 0;
    for (std::size_t l = 0; l < stack_.levels.size(); ++l) {
        std::vector<Flow> all, own;
        for (const int shift : samples_[l].shifts) {
            meeting(l, shift, all);
            if (shift == 0) own = all;
        }
        if (all.empty()) continue;
        const Topology& topology = stack_.levels[l].topology;
        const auto route = [&](const std::vector<Flow>& some) {
            return route_flows(topology, some, stack_.spec.routing, stack_.spec.flows_per_pair);
        };
        RoutedFlows routed = route(all);
        stand_for_all(l, routed.loads);
        seconds = std::max(seconds, slowest(topology, routed.loads));
        add(terms, l, routed.loads, times);
        if (rates_alone()) continue;
        const bool alone = samples_[l].shifts.size() == 1;
        latency = std::max(latency, alone ? routed.latency : route(own).latency);
    }
    terms.latency += latency * times;
    terms.seconds_per_byte += seconds * times;
    terms.steps += static_cast<int>(std::lround(times));
}

void CollectiveWork::exchange(CollectiveTerms& terms, double times, long domain_chips) const {
    double seconds = 0, latency = 0;
    const double members = static_cast<double>(chips_.size());
    long inside = 1;  // chips that reach each other below this level
    for (std::size_t l = 0; l < stack_.levels.size(); ++l) {
        const TopologyStack::Level& level = stack_.levels[l];
        const long cell = std::max(inside, domain_chips);
        inside = level.chips;
        std::vector<int> here;
        for (const int chip : chips_)
            if (chip / level.chips == chips_.front() / level.chips)
                here.push_back(static_cast<int>(chip % level.chips));
        const double reach = static_cast<double>(here.size());
        if (here.back() / cell == here.front() / cell) continue;
        LinkBytes loads = siblings_loads(l, here, cell);
        for (double& load : loads) load *= reach / members;
        seconds = std::max(seconds, slowest(level.topology, loads));
        add(terms, l, loads, times);
        if (!rates_alone()) latency = std::max(latency, farthest_pair(l, here));
    }
    terms.latency += latency * times;
    terms.seconds_per_byte += seconds * times;
    terms.steps += static_cast<int>(std::lround(times));
}

LinkBytes CollectiveWork::siblings_loads(std::size_t of_level, const std::vector<int>& here,
                                         long cell) const {
    const TopologyStack::Level& level = stack_.levels[of_level];
    LinkBytes sum(level.topology.links.size(), 0.0);
    for (const int shift : samples_[of_level].shifts) {
        std::vector<int> members;
        for (const int chip : here)
            members.push_back((chip + shift) % static_cast<int>(level.chips));
        const LinkBytes loads = uniform_loads_between(
            level.topology, members, cell, stack_.spec.routing, stack_.spec.flows_per_pair);
        for (std::size_t l = 0; l < sum.size(); ++l) sum[l] += loads[l];
    }
    stand_for_all(of_level, sum);
    return sum;
}

void CollectiveWork::stand_for_all(std::size_t level, LinkBytes& loads) const {
    const double each = samples_[level].each;
    if (each == 1) return;
    const Topology& topology = stack_.levels[level].topology;
    const auto is_own = [&](const TopologyLink& link) {
        return std::min(link.from, link.to) < topology.chips;
    };
    const long taking_part = static_cast<long>(chips_.size()) * group_.siblings;
    const bool everyone = topology.symmetric && taking_part == stack_.levels.back().chips;
    std::vector<double> sum(topology.link_classes.size(), 0.0), links(sum);
    for (std::size_t l = 0; l < loads.size(); ++l) {
        const auto c = static_cast<std::size_t>(topology.links[l].link_class);
        sum[c] += loads[l];
        links[c] += 1;
    }
    for (std::size_t l = 0; l < loads.size(); ++l) {
        if (is_own(topology.links[l])) continue;
        const auto c = static_cast<std::size_t>(topology.links[l].link_class);
        loads[l] = each * (everyone ? sum[c] / links[c] : loads[l]);
    }
}

std::vector<double> CollectiveWork::latencies(const std::vector<Flow>& flows) const {
    std::vector<double> result(flows.size(), 0.0);
    if (rates_alone()) return result;
    std::vector<Router> routers;
    for (const TopologyStack::Level& level : stack_.levels) routers.emplace_back(level.topology);
    for (std::size_t i = 0; i < flows.size(); ++i) {
        const Placed at = place_of(stack_, flows[i].from, flows[i].to);
        routers[at.level].search(at.from, at.to);
        if (routers[at.level].distance(at.to) < 0)
            no_route(stack_.levels[at.level].topology, at.from, at.to);
        result[i] = routers[at.level].latency(at.to);
    }
    return result;
}

// From the first member to the farthest, and from that one to its farthest: the two ends of a box
// of a mesh or torus, of a tree, of a row. Paths of one cost are as long: one pair of each is
// looked at.
double CollectiveWork::farthest_pair(std::size_t level, const std::vector<int>& members) const {
    Router router(stack_.levels[level].topology);
    double latency = 0;
    int from = members.front();
    for (int sweep = 0; sweep < 2; ++sweep) {
        router.search(from, members);
        std::map<int, int> by_cost;
        for (const int member : members)
            if (member != from) by_cost.emplace(router.distance(member), member);
        for (const auto& [cost, member] : by_cost) {
            if (cost < 0) no_route(stack_.levels[level].topology, from, member);
            latency = std::max(latency, router.latency(member));
        }
        if (by_cost.empty()) break;
        from = by_cost.rbegin()->second;
    }
    return latency;
}

double CollectiveWork::farthest_members() const {
    double latency = 0;
    for (std::size_t l = 0; l < stack_.levels.size(); ++l) {
        const long chips = stack_.levels[l].chips;
        std::vector<int> here;
        for (const int chip : chips_)
            if (chip / chips == chips_.front() / chips)
                here.push_back(static_cast<int>(chip % chips));
        latency = std::max(latency, farthest_pair(l, here));
    }
    return latency;
}

}  // namespace podsim
