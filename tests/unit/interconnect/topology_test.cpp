// Graphs of each family, their cuts, routes, faults and deadlocks, by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "interconnect/router.hpp"
#include "interconnect/topology_figures.hpp"
#include "tests/unit/interconnect/topology_text.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

double busiest(const Topology& topology, const LinkBytes& loads, const std::string& link_class) {
    double most = 0;
    for (std::size_t l = 0; l < loads.size(); ++l) {
        const auto c = static_cast<std::size_t>(topology.links[l].link_class);
        if (topology.link_classes[c].rfind(link_class, 0) == 0) most = std::max(most, loads[l]);
    }
    return most;
}

LinkBytes uniform(const Topology& topology, RoutingPolicy routing = RoutingPolicy::adaptive) {
    return uniform_loads(topology, everyone(topology), routing, 1);
}

const char* const ub =
    "{family: switched-planes, node_chips: 8, second_tier: 16, electrical_latency: 58 ns,"
    " optical_latency: 74 ns, switch_latency: 115 ns, first_medium: backplane}";

// CloudMatrix384: 48 nodes of 8, 7 planes: 336 + 112 switches; 384 x 7 links at chips, 48 x 7 x 16
// between switches, both ways.
TEST(SwitchedPlanes, CloudMatrix) {
    const TopologyStack stack = stack_of(ub, 384, 392e9, 7);
    const Topology& topology = only(stack);
    EXPECT_EQ(topology.nodes.size(), 384U + 336 + 112);
    EXPECT_EQ(topology.links.size(), 2U * (2688 + 5376));
    EXPECT_NEAR(busiest(topology, uniform(topology), "chip"), 383.0 / 384 / 7, 1e-12);
    const TopologyFigures figures = figures_of(topology);
    EXPECT_NEAR(figures.bisection, 192 * 392e9, 1e3);  // half of the chips at full rate
    EXPECT_EQ(figures.diameter, 4);
    EXPECT_NEAR(figures.near, 2 * 58e-9 + 115e-9, 1e-15);
    EXPECT_NEAR(figures.far, 2 * (58e-9 + 74e-9) + 3 * 115e-9, 1e-15);
    EXPECT_NEAR(pair_operations(stack, 0, 383, 512).bandwidth, 392e9, 1);
}

TEST(SwitchedPlanes, OneTierIsPortsAlone) {
    for (const long chips : {8, 72, 144}) {
        const TopologyStack stack = stack_of("{family: switched-planes}", chips, 900e9, 18);
        EXPECT_NEAR(slowest(only(stack), uniform(only(stack))),
                    static_cast<double>(chips - 1) / static_cast<double>(chips) / 900e9, 1e-20);
        EXPECT_EQ(figures_of(only(stack)).diameter, 2);
    }
}

// 576 as eight nodes of 72, nothing taken off upwards.
TEST(SwitchedPlanes, TwoTiersOf576) {
    const TopologyStack stack =
        stack_of("{family: switched-planes, node_chips: 72, second_tier: 8}", 576, 900e9, 18);
    EXPECT_NEAR(figures_of(only(stack)).bisection / (288 * 900e9), 1, 1e-9);
}

// Ten chips in nodes of four: the last has two. Its chips are a class of their own, and all links
// carry what routes chip by chip give them.
TEST(SwitchedPlanes, RaggedLastNodeAndUnequalNodes) {
    for (const char* const text : {"{family: switched-planes, node_chips: 4, second_tier: 2}",
                                   "{family: switched-planes, nodes: [5, 2, 3], second_tier: 2}"}) {
        const TopologyStack stack = stack_of(text, 10, 10e9, 2);
        Topology by_chip = only(stack);
        by_chip.symmetric = false;
        const LinkBytes one = uniform(only(stack)), all = uniform(by_chip);
        for (std::size_t l = 0; l < one.size(); ++l) EXPECT_NEAR(one[l], all[l], 1e-12);
    }
}

TEST(SwitchedPlanes, HostsHangOnTheFirstTier) {
    const TopologyStack stack = stack_of(
        "{family: switched-planes, node_chips: 8, second_tier: 2,"
        " attached: [{kind: host, per_node: 4, bandwidth: 160 GB/s}]}",
        16, 392e9, 7);
    long hosts = 0;
    for (const TopologyNode& node : only(stack).nodes) hosts += node.kind == NodeKind::host;
    EXPECT_EQ(hosts, 8);
    EXPECT_EQ(only(stack).links.size(), 2U * 7 * (16 + 2 * 2 + 8));
}

// Four leaves of eight chips at 2:1: a leaf's 8 chips send 24/32 of a byte each over half of 8
// ports: 1.5 bytes a port against 31/32 at the chip.
TEST(FatTree, TwoToOne) {
    const TopologyStack stack = stack_of(
        "{family: fat-tree, node_chips: 8, second_tier: 4, oversubscription: 2}", 32, 50e9);
    EXPECT_NEAR(slowest(only(stack), uniform(only(stack))) * 50e9, 1.5, 1e-12);
    EXPECT_NEAR(figures_of(only(stack)).bisection, 16 * 50e9 / 2, 1);
}

// Chip i of every node on leaf i: same rail two links, another rail four.
TEST(FatTree, RailsJoinEqualPlaces) {
    const TopologyStack stack =
        stack_of("{family: fat-tree, node_chips: 4, rails: 8, second_tier: 8}", 32, 50e9);
    Router router(only(stack));
    router.search(0);
    EXPECT_EQ(router.hops(8), 2);
    EXPECT_EQ(router.hops(1), 4);
}

// The uplinks of four leaves and the links down to them draw: eight sets of four. The greatest of
// 32 normal draws is 2.0697 on average, and counts of one set vary with 3/4 of the mean.
TEST(FatTree, HashedFlowsCollide) {
    const TopologyStack stack =
        stack_of("{family: fat-tree, node_chips: 8, second_tier: 4}", 32, 50e9);
    const double even = busiest(only(stack), uniform(only(stack)), "leaf");
    const double hashed = busiest(only(stack), uniform(only(stack), RoutingPolicy::hashed), "leaf");
    // 8 chips x 24 far ones = 192 flows, 48 a link.
    const double c = std::sqrt(0.75) * 2.0697;
    EXPECT_NEAR(hashed / even, 1 + (std::sqrt(48) * c + (c * c - 1) / 12) / 48, 1e-4);
}

TEST(FullMesh, EightChipsOfOneLinkEach) {
    const TopologyStack stack = stack_of("{family: full-mesh, dimensions: [8]}", 8, 448e9);
    EXPECT_EQ(only(stack).links.size(), 56U);
    EXPECT_DOUBLE_EQ(only(stack).links[0].bandwidth, 64e9);
    EXPECT_NEAR(figures_of(only(stack)).bisection, 16 * 64e9, 1e-3);
    EXPECT_NEAR(pair_operations(stack, 0, 5, 1).bandwidth, 64e9, 1e-3);
}

// One pair over all paths of a mesh of 8: minimal has one link; Valiant's paths have an eighth of
// the bytes over each of the others and both halves over the direct one.
TEST(FullMesh, AllPathsUseMoreThanTheDirectLink) {
    const TopologyStack stack = stack_of("{family: full-mesh, dimensions: [8]}", 8, 7e9);
    const std::vector<Flow> pair = {{0, 5, 1.0}};
    const auto time = [&](RoutingPolicy routing) {
        return slowest(only(stack), flow_loads(only(stack), pair, routing, 1)) * 1e9;
    };
    EXPECT_NEAR(time(RoutingPolicy::minimal), 1.0, 1e-12);
    EXPECT_NEAR(time(RoutingPolicy::valiant), 0.25, 1e-12);
    EXPECT_NEAR(time(RoutingPolicy::all_paths), 0.25, 1e-9);
    // Where all pairs talk at once detours only cost.
    EXPECT_NEAR(slowest(only(stack), uniform(only(stack), RoutingPolicy::all_paths)),
                slowest(only(stack), uniform(only(stack))), 1e-18);
}

// Two dimensions of a UB-Mesh rack: 4 x 4 chips of 3 + 3 links.
TEST(FullMesh, TwoDimensions) {
    const TopologyStack stack = stack_of("{family: full-mesh, dimensions: [4, 4]}", 16, 6e9);
    EXPECT_EQ(only(stack).links.size(), 96U);
    EXPECT_EQ(figures_of(only(stack)).diameter, 2);
    EXPECT_NEAR(figures_of(only(stack)).bisection, 2 * 2 * 4 * 1e9, 1e-3);
}

// 16 x 8: the cut across the long dimension has 8 rows x 2 places.
TEST(Torus, CutAndDiameter) {
    const TopologyStack stack = stack_of("{family: torus, dimensions: [16, 8]}", 128, 40e9);
    EXPECT_EQ(only(stack).links.size(), 512U);
    const TopologyFigures figures = figures_of(only(stack));
    EXPECT_NEAR(figures.bisection, 16 * 10e9, 1e-3);
    EXPECT_EQ(figures.diameter, 8 + 4);
}

TEST(Torus, SymmetryEqualsRoutesOfEveryChip) {
    for (const char* const text :
         {"{family: torus, dimensions: [4, 3, 2]}", "{family: full-mesh, dimensions: [4, 3, 2]}"}) {
        const TopologyStack stack = stack_of(text, 24, 60e9);
        Topology by_chip = only(stack);
        by_chip.symmetric = false;
        const LinkBytes one = uniform(only(stack)), all = uniform(by_chip);
        for (std::size_t l = 0; l < one.size(); ++l) EXPECT_NEAR(one[l], all[l], 1e-12);
    }
}

const char* const dragonfly =
    "{family: dragonfly, routers_per_group: 4, chips_per_router: 2, global_links: 2,"
    " local_bandwidth: 20 GB/s, global_bandwidth: 20 GB/s}";

// Nine groups of 4 routers of 2 chips (a = 4, h = 2, p = 2): one global link a pair of groups.
TEST(Dragonfly, SymmetryAndDiameter) {
    const TopologyStack stack = stack_of(dragonfly, 72, 20e9);
    EXPECT_EQ(figures_of(only(stack)).diameter, 5);  // chip, local, global, local, chip
    Topology by_chip = only(stack);
    by_chip.symmetric = false;
    const LinkBytes one = uniform(only(stack)), all = uniform(by_chip);
    for (std::size_t l = 0; l < one.size(); ++l) EXPECT_NEAR(one[l], all[l], 1e-12);
    // 8 x 8 of 72 x 72 pairs cross each global link.
    EXPECT_NEAR(busiest(only(stack), one, "global"), 64.0 / 72, 1e-12);
}

// Each group sends all to the next group: its one link carries 8 bytes; Valiant's paths spread
// them: 2 x 64/72 a global link on average, less what is sent to the own group.
TEST(Dragonfly, MinimalAgainstValiant) {
    const TopologyStack stack = stack_of(dragonfly, 72, 20e9);
    std::vector<Flow> flows;
    for (int chip = 0; chip < 72; ++chip) flows.push_back({chip, (chip + 8) % 72, 1.0});
    const auto load = [&](RoutingPolicy routing) {
        return busiest(only(stack), flow_loads(only(stack), flows, routing, 1), "global");
    };
    EXPECT_NEAR(load(RoutingPolicy::minimal), 8.0, 1e-12);
    EXPECT_NEAR(load(RoutingPolicy::valiant), 2 * 64.0 / 72, 1e-9);
    EXPECT_LT(load(RoutingPolicy::all_paths), 2.0);
}

double time_with(const std::string& faults, RoutingPolicy routing = RoutingPolicy::adaptive) {
    const TopologyStack stack =
        stack_of("{family: switched-planes, node_chips: 8, second_tier: 4, faults: " + faults + "}",
                 32, 70e9, 7);
    return slowest(only(stack), uniform(only(stack), routing));
}

TEST(Faults, ADeadPlaneTakesItsShare) {
    EXPECT_NEAR(time_with("[{plane: 2}]") / time_with("[]"), 7.0 / 6, 1e-9);
    EXPECT_NEAR(time_with("[{plane: 2}, {plane: 5}]") / time_with("[]"), 7.0 / 5, 1e-9);
}

// 6.5 of 7 planes are left, and the traffic shuns the slow one.
TEST(Faults, ADegradedPlaneTakesWhatItLost) {
    EXPECT_NEAR(time_with("[{plane: 2, capacity: 50 %}]") / time_with("[]"), 7.0 / 6.5, 1e-9);
}

// The chip sends and takes in over six of its seven planes, the others over all.
TEST(Faults, ADeadPortSlowsItsChip) {
    EXPECT_NEAR(time_with("[{link: [chip3, l1.p0.0]}]") / time_with("[]"), 7.0 / 6, 1e-9);
}

// 8 chips' 24/32 over three of four second-tier switches of one plane: less there, more elsewhere.
TEST(Faults, ADeadSwitchIsAvoided) {
    const double factor = time_with("[{switch: l2.p0.0}]") / time_with("[]");
    EXPECT_GE(factor, 1.0);
    EXPECT_LT(factor, 4.0 / 3);
}

// The switch of eight chips takes them along; the other eight go on, and whoever asks for all is
// told who cannot be reached.
TEST(Faults, ADeadLeafLeavesTheOthers) {
    const TopologyStack stack = stack_of(
        "{family: switched-planes, node_chips: 8, second_tier: 2, faults: [{switch: l1.p0.1}]}", 16,
        10e9);
    EXPECT_FALSE(collective_terms(stack, Collective::all_to_all, {8, 1, 0}, false).empty());
    EXPECT_THAT(refusal_of([&] {
                    try {
                        (void)collective_terms(stack, Collective::all_to_all, {16, 1, 0}, false);
                    } catch (const std::invalid_argument& error) {
                        throw InputError(Place{}, "", error.what());
                    }
                }),
                HasSubstr("no route from chip0 to chip8"));
    // A spine that cuts the leaves apart is another matter.
    EXPECT_THAT(refusal_of([] {
                    stack_of(
                        "{family: switched-planes, node_chips: 8, second_tier: 1, faults: "
                        "[{switch: l2.p0.0}]}",
                        16, 10e9);
                }),
                HasSubstr("chip0 cannot reach chip8: the graph is not connected"));
}

// Racks of a direct mesh of four under a switch: without one of its links its ends reach each other
// over the other two, whose links carry 1 + 1/2 for 1. The other level is as it was.
TEST(Faults, OfAnInnerLevel) {
    const auto with = [](const std::string& faults) {
        return stack_of(
            "{levels: [{family: full-mesh, chips: 4, dimensions: [4], bandwidth: 30 "
            "GB/s}, {family: switched-planes, bandwidth: 10 GB/s}], faults: " +
                faults + "}",
            8, 40e9);
    };
    const TopologyStack broken = with("[{topology_level: 0, link: [chip0, chip1]}]");
    const auto within = [](const TopologyStack& stack) {
        const Topology& rack = stack.levels.front().topology;
        return slowest(rack, uniform_loads(rack, everyone(rack), stack.spec.routing, 1));
    };
    EXPECT_NEAR(within(broken) / within(with("[]")), 1.5, 1e-9);
    EXPECT_TRUE(broken.levels.back().topology.symmetric);
    EXPECT_EQ(name_of(broken.spec.faults.front()), "link chip0 - chip1 of each group of level 0");
}

TEST(Faults, NoRouteNamesThePair) {
    const TopologyStack stack =
        stack_of("{family: switched-planes, faults: [{chip: 5}]}", 8, 70e9, 7);
    EXPECT_EQ(collective_terms(stack, Collective::all_to_all, {4, 1, 0}, false).size(), 1U);
    try {
        collective_terms(stack, Collective::all_to_all, {8, 1, 0}, false);
        FAIL() << "a dead chip took part";
    } catch (const std::invalid_argument& error) {
        EXPECT_THAT(error.what(), HasSubstr("no route from chip0 to chip5"));
    }
}

std::string refusal(const std::string& yaml, long chips = 16) {
    return refusal_of([&] { stack_of(yaml, chips, 10e9, 2); });
}

// What a base says for its family is no slip of a variant of another family; what the variant says
// for the base's is.
TEST(BadTopology, OnlyKeysThatWereMeantForAnotherFamily) {
    const Node base = parse_yaml("{family: fat-tree, node_chips: 4, rails: 4}", "base.yaml");
    const auto refused = [&](const std::string& variant) {
        return refusal_of([&] {
            (void)read<TopologySpec>(overlay(base, parse_yaml(variant, "mine.yaml")), "topology");
        });
    };
    EXPECT_EQ(refused("{family: torus, dimensions: [4, 4]}"), "accepted");
    EXPECT_THAT(refused("{dimensions: [4, 4]}"), HasSubstr("means nothing in the family fat-tree"));
    EXPECT_THAT(refused("{family: torus, dimensions: [4, 4], rails: 2}"),
                HasSubstr("topology.rails: means nothing in the family torus"));
    Node set = base;
    set_path(set, "family", "torus", Place{"--set"});
    set_path(set, "dimensions", "[4, 4]", Place{"--set"});
    EXPECT_EQ(read<TopologySpec>(set, "").level.family, "torus");
}

TEST(BadTopology, SaysPlaceReasonAndHint) {
    EXPECT_THAT(refusal("{family: toruss, dimensions: [4, 4]}"), HasSubstr("did you mean torus"));
    EXPECT_THAT(refusal("{family: torus, dimensions: [4, 5]}"),
                HasSubstr("topology.yaml:1:1: topology: dimensions: their product is 20, the "
                          "level has 16 chips"));
    EXPECT_THAT(refusal("{family: torus}"), HasSubstr("product is 0"));
    EXPECT_THAT(refusal("{family: switched-planes, node_chips: 4}"),
                HasSubstr("cannot reach each other"));
    EXPECT_THAT(refusal("{family: switched-planes, nodes: [8, 7], second_tier: 1}"),
                HasSubstr("15 chips in all"));
    EXPECT_THAT(refusal("{family: fat-tree, node_chips: 4, second_tier: 2, oversubscription: 0.5}"),
                HasSubstr("oversubscription"));
    // A key of another family would be ignored.
    EXPECT_THAT(refusal("{family: torus, dimensions: [4, 4], oversubscription: 2}"),
                HasSubstr("topology.oversubscription: means nothing in the family torus (it reads "
                          "dimensions, link_bandwidth)"));
    EXPECT_THAT(refusal("{rails: 2, levels: [{family: torus, dimensions: [4, 4]}]}"),
                HasSubstr("topology.rails: is beside levels"));
    EXPECT_THAT(refusal("{switch_latency: 1 us, levels: [{family: torus, dimensions: [4, 4]}]}"),
                HasSubstr("topology.switch_latency: is beside levels"));
    EXPECT_THAT(refusal("{family: switched-planes, faults: [{plane: 9}]}"),
                HasSubstr("plane 9: there is no such part"));
    EXPECT_THAT(refusal("{family: switched-planes, faults: [{chip: 99}]}"),
                HasSubstr("chip 99: there is no such part"));
    EXPECT_THAT(refusal("{family: switched-planes, faults: [{link: [chip1, chip2]}]}"),
                HasSubstr("link chip1 - chip2: there is no such part"));
    EXPECT_THAT(refusal("{family: switched-planes, faults: [{plane: 0, chip: 1}]}"),
                HasSubstr("exactly one of"));
    EXPECT_THAT(refusal("{family: switched-planes, faults: [{plane: 0}, {plane: 1}]}"),
                HasSubstr("faults leave no chip a link"));
    EXPECT_THAT(refusal("{family: dragonfly, routers_per_group: 2, chips_per_router: 1,"
                        " global_links: 1}"),
                HasSubstr("2 links for 7 other groups"));
    EXPECT_THAT(refusal("{routing: adaptive}"), HasSubstr("family"));
    // Keys that would do nothing.
    EXPECT_THAT(refusal("{family: switched-planes, oversubscription: 2}"),
                HasSubstr("topology.oversubscription: means nothing for switches of one tier"));
    EXPECT_THAT(refusal("{family: switched-planes, second_tier: 2}"),
                HasSubstr("topology.second_tier: means nothing for switches of one tier"));
    EXPECT_THAT(refusal("{family: switched-planes, node_chips: 8, nodes: [8, 8], second_tier: 1}"),
                HasSubstr("topology.node_chips: is beside nodes"));
    EXPECT_THAT(refusal("{family: switched-planes, flows_per_pair: 4}"),
                HasSubstr("topology.flows_per_pair: means nothing unless routing is hashed"));
    // Of a chip: 7 links of 10 GB/s inside and 2 GB/s outside make 72.
    EXPECT_THAT(refusal_of([] {
                    stack_of(
                        "{levels: [{family: full-mesh, chips: 8, dimensions: [8], bandwidth: "
                        "70 GB/s}, {family: switched-planes, bandwidth: 2 GB/s}]}",
                        16, 70e9);
                }),
                HasSubstr("the links of a chip carry 72 GB/s in all, and its bandwidth is 70"));
    EXPECT_THAT(refusal("{family: switched-planes, faults: [{plane: 0, topology_level: 1}]}"),
                HasSubstr("topology_level 1: there are 1"));
}

TEST(Deadlock, EveryFamilyIsFreeOfIt) {
    EXPECT_EQ(refusal("{family: torus, dimensions: [16]}"), "accepted");
    for (const char* const routing : {"adaptive", "valiant", "all-paths"}) {
        const std::string end = std::string(", routing: ") + routing + "}";
        for (const char* const family :
             {"{family: torus, dimensions: [4, 4]", "{family: full-mesh, dimensions: [4, 4]",
              "{family: switched-planes, node_chips: 4, second_tier: 2",
              "{family: fat-tree, node_chips: 4, second_tier: 2",
              "{family: dragonfly, routers_per_group: 4, chips_per_router: 1, global_links: 1"}) {
            EXPECT_EQ(refusal(family + end), "accepted") << family << end;
        }
    }
}

TEST(Deadlock, ARingWithoutADatelineTurnsInACircle) {
    const std::string text = refusal("{family: torus, dimensions: [8, 2], virtual_channels: 1}");
    EXPECT_THAT(text, HasSubstr("routing can deadlock: "));
    EXPECT_THAT(text, HasSubstr("chip0 to chip1 (channel 0)"));
    EXPECT_THAT(text, HasSubstr("or give 2"));
}

TEST(Deadlock, HalvesOfValiantNeedChannelsOfTheirOwn) {
    EXPECT_THAT(refusal("{family: full-mesh, dimensions: [16], routing: valiant,"
                        " virtual_channels: 1}"),
                HasSubstr("routing can deadlock"));
    EXPECT_THAT(refusal("{family: dragonfly, routers_per_group: 4, chips_per_router: 1,"
                        " global_links: 1, virtual_channels: 1}"),
                HasSubstr("routing can deadlock"));
}

}  // namespace
}  // namespace podsim
