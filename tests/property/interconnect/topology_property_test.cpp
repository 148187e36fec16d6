// What holds on every topology: bytes are conserved at each node, order of ranks does not matter,
// more bandwidth never hurts, faults never help, symmetry gives what routes of every chip give.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "interconnect/topology_figures.hpp"
#include "tests/unit/interconnect/topology_text.hpp"

namespace podsim {
namespace {

struct Case {
    std::string text;
    long chips;
};

Case a_topology(const std::string& more = "") {
    const std::vector<Case> all = {
        {"family: torus, dimensions: [4, 3]", 12},
        {"family: torus, dimensions: [2, 5, 2]", 20},
        {"family: full-mesh, dimensions: [3, 4]", 12},
        {"family: switched-planes, node_chips: 4, second_tier: 3", 14},
        {"family: fat-tree, node_chips: 4, second_tier: 2, oversubscription: 2", 16},
        {"family: fat-tree, node_chips: 2, rails: 4, second_tier: 3", 16},
        {"family: dragonfly, routers_per_group: 2, chips_per_router: 2, global_links: 2", 20}};
    Case chosen = *rc::gen::elementOf(all);
    chosen.text = "{" + chosen.text + more + "}";
    return chosen;
}

std::vector<Flow> some_flows(long chips) {
    std::vector<Flow> flows;
    const int count = *rc::gen::inRange(1, 12);
    for (int i = 0; i < count; ++i) {
        const int from = *rc::gen::inRange(0, static_cast<int>(chips));
        const int to = *rc::gen::inRange(0, static_cast<int>(chips));
        flows.push_back({from, to, static_cast<double>(*rc::gen::inRange(1, 100))});
    }
    return flows;
}

RoutingPolicy a_policy() {
    return *rc::gen::element(RoutingPolicy::minimal, RoutingPolicy::adaptive,
                             RoutingPolicy::valiant, RoutingPolicy::all_paths);
}

TEST(TopologyProperty, BytesAreConservedAtEveryNode) {
    EXPECT_TRUE(rc::check([] {
        const Case c = a_topology();
        const TopologyStack stack = stack_of(c.text, c.chips, 60e9, 2);
        const Topology& topology = only(stack);
        const std::vector<Flow> flows = some_flows(c.chips);
        const LinkBytes loads = flow_loads(topology, flows, a_policy(), 1);
        std::vector<double> balance(topology.nodes.size(), 0.0);
        for (std::size_t l = 0; l < loads.size(); ++l) {
            RC_ASSERT(loads[l] >= 0);
            balance[static_cast<std::size_t>(topology.links[l].from)] -= loads[l];
            balance[static_cast<std::size_t>(topology.links[l].to)] += loads[l];
        }
        for (const Flow& flow : flows) {
            balance[static_cast<std::size_t>(flow.from)] += flow.bytes;
            balance[static_cast<std::size_t>(flow.to)] -= flow.bytes;
        }
        for (const double rest : balance) RC_ASSERT(std::abs(rest) < 1e-6);
    }));
}

TEST(TopologyProperty, TheOrderOfRanksDoesNotMatter) {
    EXPECT_TRUE(rc::check([] {
        const Case c = a_topology();
        const TopologyStack stack = stack_of(c.text, c.chips, 60e9, 2);
        std::vector<int> chips = everyone(only(stack));
        chips.resize(static_cast<std::size_t>(*rc::gen::inRange(2L, c.chips + 1)));
        const LinkBytes one = uniform_loads(only(stack), chips, RoutingPolicy::adaptive, 1);
        std::reverse(chips.begin(), chips.end());
        std::rotate(chips.begin(), chips.begin() + 1, chips.end());
        const LinkBytes two = uniform_loads(only(stack), chips, RoutingPolicy::adaptive, 1);
        for (std::size_t l = 0; l < one.size(); ++l) RC_ASSERT(std::abs(one[l] - two[l]) < 1e-9);
    }));
}

// What is left between cells is what flows of the pairs between them put on the links.
TEST(TopologyProperty, BetweenCellsAreThePairsOfDifferentCells) {
    EXPECT_TRUE(rc::check([] {
        const Case c = a_topology();
        const TopologyStack stack = stack_of(c.text, c.chips, 60e9, 2);
        std::vector<int> chips = everyone(only(stack));
        chips.resize(static_cast<std::size_t>(*rc::gen::inRange(2L, c.chips + 1)));
        const int cell = *rc::gen::inRange(1, 9);
        std::vector<Flow> flows;
        for (const int from : chips)
            for (const int to : chips)
                if (from / cell != to / cell)
                    flows.push_back({from, to, 1.0 / static_cast<double>(chips.size())});
        const LinkBytes pairs = flow_loads(only(stack), flows, RoutingPolicy::adaptive, 1);
        const LinkBytes cells =
            uniform_loads_between(only(stack), chips, cell, RoutingPolicy::adaptive, 1);
        for (std::size_t l = 0; l < pairs.size(); ++l)
            RC_ASSERT(std::abs(pairs[l] - cells[l]) < 1e-9);
    }));
}

TEST(TopologyProperty, SymmetryEqualsEveryChip) {
    EXPECT_TRUE(rc::check([] {
        const Case c = a_topology();
        const TopologyStack stack = stack_of(c.text, c.chips, 60e9, 2);
        Topology by_chip = only(stack);
        by_chip.symmetric = false;
        const auto all = everyone(by_chip);
        const LinkBytes one = uniform_loads(only(stack), all, RoutingPolicy::adaptive, 1);
        const LinkBytes two = uniform_loads(by_chip, all, RoutingPolicy::adaptive, 1);
        for (std::size_t l = 0; l < one.size(); ++l) RC_ASSERT(std::abs(one[l] - two[l]) < 1e-9);
    }));
}

Case a_larger_topology() {
    const std::vector<Case> all = {
        {"family: torus, dimensions: [4, 6, 5]", 120},
        {"family: torus, dimensions: [2, 9, 4]", 72},
        {"family: full-mesh, dimensions: [8, 9]", 72},
        {"family: switched-planes, node_chips: 8, second_tier: 3", 100},
        {"family: switched-planes, nodes: [8, 8, 4, 8, 4, 8, 8, 8, 8], second_tier: 2", 64},
        {"family: fat-tree, node_chips: 8, second_tier: 2, oversubscription: 2", 96},
        {"family: fat-tree, node_chips: 4, rails: 4, second_tier: 3", 96},
        {"family: dragonfly, routers_per_group: 4, chips_per_router: 2, global_links: 2", 72}};
    Case chosen = *rc::gen::elementOf(all);
    const auto broken =
        *rc::gen::element(std::string(), std::string(", faults: [{chip: 3, capacity: 0.5}]"));
    chosen.text = "{" + chosen.text + broken + "}";
    return chosen;
}

// Members in a block, at a stride, or anywhere; what each of them sends alone, added up, is never
// folded: one source.
TEST(TopologyProperty, OneSourceOfAnOrbitStandsForAll) {
    EXPECT_TRUE(rc::check([] {
        const Case c = a_larger_topology();
        const TopologyStack stack = stack_of(c.text, c.chips, 60e9, 2);
        const Topology& topology = only(stack);
        const int stride = *rc::gen::element(1, 1, 2, 3, 8);
        const int first = *rc::gen::element(0, 0, 1, 8);
        const int most = (static_cast<int>(c.chips) - first - 1) / stride + 1;
        const int count = *rc::gen::inRange(2, most + 1);
        std::vector<int> members;
        for (int i = 0; i < count; ++i) members.push_back(first + i * stride);
        const LinkBytes folded = uniform_loads(topology, members, RoutingPolicy::adaptive, 1);
        const int shift = *rc::gen::inRange(1, count), power = *rc::gen::element(1, 2, 4, 16, 32);
        const auto partner = [&](int kind, int i) {
            const int to = kind == 0 ? (i + shift) % count : i ^ power;
            return members[static_cast<std::size_t>(to < count ? to : i)];
        };
        LinkBytes each(folded.size(), 0.0);
        std::vector<Flow> ring, exchange;
        LinkBytes ring_each(each), exchange_each(each), far_each(each);
        const auto add = [&](const std::vector<Flow>& flows, RoutingPolicy policy, LinkBytes& to) {
            const LinkBytes one = flow_loads(topology, flows, policy, 1);
            for (std::size_t l = 0; l < to.size(); ++l) to[l] += one[l];
        };
        for (int i = 0; i < count; ++i) {
            const int from = members[static_cast<std::size_t>(i)];
            std::vector<Flow> flows;
            for (const int to : members) flows.push_back({from, to, 1.0 / count});
            add(flows, RoutingPolicy::adaptive, each);
            ring.push_back({from, partner(0, i), 1});
            exchange.push_back({from, partner(1, i), 3});
            exchange.push_back({from, partner(0, i), 1});
            add({ring.back()}, RoutingPolicy::adaptive, ring_each);
            add({exchange.back(), exchange[exchange.size() - 2]}, RoutingPolicy::adaptive,
                exchange_each);
            add({ring.back()}, RoutingPolicy::valiant, far_each);
        }
        const auto expect = [&](const LinkBytes& all, const LinkBytes& alone) {
            for (std::size_t l = 0; l < all.size(); ++l)
                RC_ASSERT(std::abs(all[l] - alone[l]) < 1e-9 * (1 + alone[l]));
        };
        expect(folded, each);
        expect(flow_loads(topology, ring, RoutingPolicy::adaptive, 1), ring_each);
        expect(flow_loads(topology, exchange, RoutingPolicy::adaptive, 1), exchange_each);
        expect(flow_loads(topology, ring, RoutingPolicy::valiant, 1), far_each);
    }));
}

// Of all collectives and algorithms; twice the rate halves the part that bytes take.
TEST(TopologyProperty, TimeIsMonotoneInBandwidthAndBytes) {
    EXPECT_TRUE(rc::check([] {
        const Case c = a_topology();
        const auto collective =
            *rc::gen::element(Collective::all_reduce, Collective::all_gather, Collective::broadcast,
                              Collective::all_to_all, Collective::send_recv);
        const ChipGroup group{*rc::gen::inRange(2, static_cast<int>(c.chips) + 1), 1, 0};
        const auto slow =
            collective_terms(stack_of(c.text, c.chips, 60e9, 2), collective, group, false);
        const auto fast =
            collective_terms(stack_of(c.text, c.chips, 120e9, 2), collective, group, false);
        RC_ASSERT(slow.size() == fast.size());
        for (std::size_t i = 0; i < slow.size(); ++i) {
            RC_ASSERT(std::abs(slow[i].seconds_per_byte / fast[i].seconds_per_byte - 2) < 1e-9);
            RC_ASSERT(slow[i].steps > 0);
        }
        RC_ASSERT(best_of(slow, 1e3).time(1e3) <= best_of(slow, 1e6).time(1e6));
    }));
}

// No exchange is faster than the port of a chip lets it, or than its bisection.
TEST(TopologyProperty, NoExchangeBeatsPortsOrBisection) {
    EXPECT_TRUE(rc::check([] {
        const Case c = a_topology();
        const TopologyStack stack = stack_of(c.text, c.chips, 60e9, 2);
        const double n = static_cast<double>(c.chips);
        const double time = slowest(only(stack), uniform_loads(only(stack), everyone(only(stack)),
                                                               RoutingPolicy::adaptive, 1));
        const double half = std::floor(n / 2);
        RC_ASSERT(time * (1 + 1e-9) >= (n - 1) / n / 60e9);
        RC_ASSERT(time * (1 + 1e-9) >= half * (n - half) / n / figures_of(only(stack)).bisection);
    }));
}

TEST(TopologyProperty, DegradedPartsNeverSpeedUp) {
    EXPECT_TRUE(rc::check([] {
        const bool planes = *rc::gen::arbitrary<bool>();
        const std::string fault = planes ? "{plane: 1, capacity: " : "{chip: 2, capacity: ";
        const int left = *rc::gen::inRange(5, 100);
        const std::string text =
            "{family: switched-planes, node_chips: 4, second_tier: 3, faults: [";
        const auto time = [&](const std::string& faults) {
            const TopologyStack stack = stack_of(text + faults + "]}", 12, 60e9, 3);
            return slowest(only(stack), uniform_loads(only(stack), everyone(only(stack)),
                                                      RoutingPolicy::adaptive, 1));
        };
        const double whole = time(""), broken = time(fault + std::to_string(left) + " %}");
        RC_ASSERT(broken >= whole * (1 - 1e-9));
        RC_ASSERT(time(fault + std::to_string(left / 2 + 1) + " %}") >= broken * (1 - 1e-9));
    }));
}

}  // namespace
}  // namespace podsim
