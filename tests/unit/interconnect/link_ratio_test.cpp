// Links inside a fabric beside ports, by hand.
#include "interconnect/link_ratio.hpp"

#include <gtest/gtest.h>

#include "interconnect/coflow.hpp"
#include "interconnect/topology_times.hpp"
#include "tests/unit/interconnect/plain_fabric.hpp"
#include "tests/unit/interconnect/topology_text.hpp"

namespace podsim {
namespace {

constexpr double exact = 1e-9;

// One rank a chip, 100 GB/s, all chips in one domain with the links of `yaml`.
RankFabric fabric_of(const std::string& yaml, long chips) {
    RankFabric fabric = plain_fabric();
    fabric.domain_ranks = chips;
    fabric.scale_up_links =
        std::make_shared<const TopologyTimes>(stack_of(yaml, chips, 100e9), false);
    return fabric;
}

Transfer every(int stride, TransferType type, int members) {
    Transfer t = collective(type, members, 1e6);
    t.stride = stride;
    return t;
}

double longest(const std::vector<LinkUse>& uses) {
    double most = 0;
    for (const LinkUse& use : uses) most = std::max(most, use.ratio);
    return most;
}

// Leaves of eight at 2:1. A stage of eight chips hands to the next leaf: eight send 100 GB/s where
// 400 leave the leaf. Within a leaf nothing is in the way.
TEST(LinkRatio, SiblingsShareTheUplinks) {
    const RankFabric fabric =
        fabric_of("{family: fat-tree, node_chips: 8, second_tier: 4, oversubscription: 2}", 32);
    const LinkRatio stages = link_ratio(every(8, TransferType::send_recv, 2), fabric, {2});
    EXPECT_NEAR(stages.up, 2, exact);
    EXPECT_NEAR(longest(stages.up_uses), 2, exact);
    EXPECT_NEAR(link_ratio(every(1, TransferType::send_recv, 2), fabric, {2}).up, 1, exact);
    // Members a leaf apart: every byte that a chip sends leaves its leaf, at half the speed of its
    // port.
    EXPECT_NEAR(link_ratio(every(8, TransferType::all_reduce, 4), fabric, {4}).up, 2, exact);
    EXPECT_NEAR(link_ratio(every(8, TransferType::all_to_all, 4), fabric, {4}).up, 2, exact);
}

TEST(LinkRatio, PortsDecideUnderSwitchesWithoutOversubscription) {
    const RankFabric fabric = fabric_of("{family: fat-tree, node_chips: 8, second_tier: 4}", 32);
    const LinkRatio ratio = link_ratio(every(8, TransferType::send_recv, 2), fabric, {2});
    EXPECT_EQ(ratio.up, 1);
    EXPECT_TRUE(ratio.up_uses.empty());
    EXPECT_TRUE(ports_decide(fabric.scale_up_links->stack()));
    // A dead spine is like an oversubscription of 4:3.
    const RankFabric broken = fabric_of(
        "{family: fat-tree, node_chips: 8, second_tier: 4, faults: [{switch: l2.p0.1}]}", 32);
    EXPECT_NEAR(link_ratio(every(8, TransferType::send_recv, 2), broken, {2}).up, 4.0 / 3, exact);
}

// 8 x 8 chips with four links of 25 GB/s. A ring of eight along a dimension has two of them:
// 2 x 7/8 S over 50 GB/s where the port takes it at 100. Other dimensions carry nothing, and rings
// of neighbours in the other dimension take nothing from each other.
TEST(LinkRatio, ATorusUsesTheDimensionsThatARingGoesAlong) {
    const RankFabric fabric = fabric_of("{family: torus, dimensions: [8, 8]}", 64);
    ASSERT_EQ(link_classes(fabric), 2);
    const LinkRatio near = link_ratio(every(1, TransferType::all_reduce, 8), fabric, {8});
    const LinkRatio far = link_ratio(every(8, TransferType::all_reduce, 8), fabric, {8});
    ASSERT_EQ(near.up_uses.size(), 1U);
    ASSERT_EQ(far.up_uses.size(), 1U);
    EXPECT_NE(near.up_uses[0].link, far.up_uses[0].link);
    EXPECT_NEAR(near.up, 2, exact);
    EXPECT_NEAR(far.up, 2, exact);
    EXPECT_NEAR(far.up_uses[0].ratio, 2, exact);
}

// What the coflow says of it: the port is busy half of the time, the links all of it.
TEST(LinkRatio, ACoflowHasPortsAndLinksApart) {
    const RankFabric fabric = fabric_of("{family: torus, dimensions: [8, 8]}", 64);
    const CoflowShare share =
        make_coflow(every(8, TransferType::all_reduce, 8), fabric, plain_library(), 64).shares[0];
    EXPECT_NEAR(share.port_time[0].value(), 1.75e6 / 100e9, exact * 1e-5);
    EXPECT_NEAR(share.wire.value(), 1.75e6 / 50e9, exact * 1e-5);
    ASSERT_EQ(share.links.size(), 1U);
    EXPECT_NEAR(share.links[0].time.value(), 1.75e6 / 50e9, exact * 1e-5);
}

}  // namespace
}  // namespace podsim
