// Links inside a fabric beside ports, by hand.
#include "interconnect/link_ratio.hpp"
#include "interconnect/fullest_link.hpp"

#include <gtest/gtest.h>

#include <cmath>

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

// 16 leaves of 512 at 2:1, a member in each: of 512 siblings, 8,192 flows, a part is looked at, and
// neither ports nor uplinks carry more for it than with eight leaves, where all are.
TEST(LinkRatio, ASampleOfSiblingsStandsForAll) {
    const auto ratio = [](long leaves, TransferType type) {
        const RankFabric fabric =
            fabric_of("{family: fat-tree, node_chips: 512, second_tier: 64, oversubscription: 2}",
                      leaves * 512);
        return link_ratio(every(512, type, static_cast<int>(leaves)), fabric, {leaves}).up;
    };
    for (const TransferType type :
         {TransferType::all_to_all, TransferType::all_gather, TransferType::send_recv}) {
        EXPECT_NEAR(ratio(8, type), 2, exact);
        EXPECT_NEAR(ratio(16, type), 2, exact);
    }
    // Without oversubscription ports decide.
    const RankFabric even = fabric_of("{family: fat-tree, node_chips: 512, second_tier: 64}", 8192);
    EXPECT_NEAR(link_ratio(every(512, TransferType::all_gather, 16), even, {16}).up, 1, exact);
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

// Domains of eight, one rank a chip, 10 GB/s between them with the links of `yaml`.
RankFabric between(const std::string& yaml, long chips) {
    RankFabric fabric = plain_fabric();
    fabric.scale_out_links =
        std::make_shared<const TopologyTimes>(stack_of(yaml, chips, 10e9), false);
    return fabric;
}

// Wire time of a coflow over `out` of the size on a port of 10 GB/s, in units of size / 10 GB/s.
double out_time(const RankFabric& fabric, const Transfer& t, long ranks) {
    const CoflowShare share = make_coflow(t, fabric, plain_library(), ranks).shares[0];
    return share.wire.value() * 10e9 / t.size.value();
}

// Leaves of eight at 2:1, a domain under each. Of an exchange half crosses, and the four uplinks of
// a leaf carry what eight ports could: 2 x 1/2. Counted with what stays within domains, links would
// carry no more (it does not rise), but ports 15/16.
TEST(LinkRatio, AnExchangeBetweenDomainsLeavesOutWhatStaysInThem) {
    const RankFabric fabric =
        between("{family: fat-tree, node_chips: 8, second_tier: 4, oversubscription: 2}", 32);
    EXPECT_NEAR(out_time(fabric, every(1, TransferType::all_to_all, 16), 32), 1, exact);
    // Four domains: 3/4 crosses.
    EXPECT_NEAR(out_time(fabric, every(1, TransferType::all_to_all, 32), 32), 1.5, exact);
    // Of nine ranks the last takes in 8/9, at the speed of its port; eight share 4 x 10 GB/s.
    EXPECT_NEAR(out_time(fabric, every(1, TransferType::all_to_all, 9), 32), 8.0 / 9, exact);
    // Rings: every byte of the port crosses, 2 x (1/8 - 1/16) of the size, twice the time.
    EXPECT_NEAR(link_ratio(every(1, TransferType::all_reduce, 16), fabric, {8}).out, 2, exact);
    // A ninth takes in 8/9 alone and hands on 1/9.
    EXPECT_NEAR(link_ratio(every(1, TransferType::all_reduce, 9), fabric, {8}).out, 1, exact);
}

// On a mesh of eight a scatter and an all-gather use all links of each chip, 2 x 7/8 of the size
// over the port; a chain one of seven.
TEST(LinkRatio, ABroadcastScattersAndGathersWhereThatIsQuicker) {
    const RankFabric fabric = fabric_of("{family: full-mesh, dimensions: [8]}", 8);
    EXPECT_NEAR(link_ratio(every(1, TransferType::broadcast, 8), fabric, {8}).up, 2 * 7.0 / 8,
                exact);
}

// Rails: equal places of domains of eight sit under one leaf. A library that gathers in the domain
// first stays below the leaves; pairs cross the spines at 2:1 but for one in eight.
TEST(LinkRatio, EqualPlacesStayOnTheirRail) {
    const RankFabric fabric = between(
        "{family: fat-tree, node_chips: 4, rails: 8, second_tier: 4, oversubscription: 2}", 32);
    Transfer t = every(1, TransferType::all_to_all, 32);
    EXPECT_NEAR(link_ratio(t, fabric, {8}).out, 2 * 7.0 / 8, exact);
    EXPECT_NEAR(link_ratio(t, fabric, {8, 8, ExchangePath::equal_places}).out, 1, exact);
    t.algorithm = "hierarchical";
    const CoflowShare share = make_coflow(t, fabric, plain_library(), 32).shares[0];
    EXPECT_NEAR(share.bytes[2].value(), 0.75e6, exact);
    // 7/32 for the own domain, 7/8 of the 24/32 that leave it.
    EXPECT_NEAR(share.bytes[0].value(), (7.0 / 32 + 0.75 * 7 / 8) * 1e6, 1e-3);
    EXPECT_NEAR(share.wire.value(), 0.75e6 / 10e9, 1e-15);
}

// A leaf's links to its chips are no choice that a hash could miss: within a leaf nothing is full.
TEST(LinkRatio, AHashMissesOnlyWhereThereIsAChoice) {
    const std::string tree = "{family: fat-tree, node_chips: 8, second_tier: 4, routing: hashed}";
    const RankFabric fabric = fabric_of(tree, 32);
    EXPECT_NEAR(link_ratio(every(1, TransferType::all_to_all, 8), fabric, {8}).up, 1, exact);
    // 32 ranks: a leaf sends 8 x 24 messages over four uplinks, 48 each, as many come down, and the
    // fullest of eight such sets decides, where the mean is half of what uplinks take.
    const double fullest = fullest_link(8 * 24, 4, 8);
    const double uplinks = 8 * 24.0 / 32 / 800e9, port = 31.0 / 32 / 100e9;
    EXPECT_NEAR(link_ratio(every(1, TransferType::all_to_all, 32), fabric, {32}).up,
                std::max(1.0, uplinks * fullest / port), 1e-6);
}

// A message of 1 MB between neighbours of a ring of eight goes over one of a chip's two links, 50
// GB/s: 20 us, whoever else does nothing.
TEST(LinkRatio, AMessageHasItsLinkToItself) {
    const RankFabric fabric = fabric_of("{family: torus, dimensions: [8]}", 8);
    Transfer t = every(1, TransferType::send_recv, 2);
    t.shares = {{1, t.size, Bytes(0.0)}, {1, Bytes(0.0), t.size}};
    const Coflow coflow = make_coflow(t, fabric, plain_library(), 8);
    for (const CoflowShare& share : coflow.shares)
        EXPECT_NEAR(share.wire.value(), t.size.value() / 50e9, 1e-12);
}

// One of sixteen takes in three times what the others do. By the routing matrix, pair by pair, the
// fullest link of a 4 x 4 torus; and what the coflow says of it, within 10 %.
TEST(LinkRatio, TheBusiestMemberIsNotAllMembers) {
    const RankFabric fabric = fabric_of("{family: torus, dimensions: [4, 4]}", 16);
    const double each = 16e6 / 18, most = 3 * each;  // mean 1 MB
    Transfer t = every(1, TransferType::dispatch, 16);
    t.messages_per_rank = 1000;
    t.shares = {{1, Bytes(1e6), Bytes(most)}, {15, Bytes(1e6), Bytes(each)}};
    const Coflow coflow = make_coflow(t, fabric, plain_library(), 16);
    std::vector<std::vector<double>> bytes(16, std::vector<double>(16, 0.0));
    for (std::size_t from = 0; from < 16; ++from)
        for (std::size_t to = 0; to < 16; ++to)
            if (from != to) bytes[from][to] = (to == 5 ? most : each) / 16;
    const double exact_time =
        exchange_terms(fabric.scale_up_links->stack(), {16}, bytes).seconds_per_byte;
    EXPECT_NEAR(coflow.shares[0].wire.value(), exact_time, 0.1 * exact_time);
    EXPECT_LT(coflow.shares[1].wire.value(), coflow.shares[0].wire.value());
}

// A ring of 64 with 100 ns a link and 600 ns at the ends: 32 links away it is 3.8 us.
TEST(LinkRatio, FarMembersAreLateAndNearOnesAreNot) {
    const RankFabric fabric = fabric_of(
        "{family: torus, dimensions: [64], electrical_latency: 100 ns, endpoint_latency: 600 ns}",
        64);
    const auto latency = [&](const Transfer& t) {
        return make_coflow(t, fabric, plain_library(), 64).latency.value() * 1e6;
    };
    EXPECT_NEAR(latency(every(1, TransferType::all_reduce, 64)), 20 + 3.8, exact);
    EXPECT_NEAR(latency(every(1, TransferType::all_reduce, 4)), 20 + 1, exact);  // 0.9, level's 1
    // All steps of a ring one after the other, 2 x 63 x 0.7 us; a fitted library has them in it.
    Transfer ring = every(1, TransferType::all_reduce, 64);
    ring.algorithm = "ring";
    EXPECT_NEAR(latency(ring), 20 + 2 * 63 * 0.7, exact);
    CollectiveLibrarySpec fitted = plain_library();
    fitted.transfers[TransferType::all_reduce].record.rows = 10;
    EXPECT_NEAR(make_coflow(ring, fabric, fitted, 64).latency.value() * 1e6, 20 + 3.8, exact);
}

}  // namespace
}  // namespace podsim
