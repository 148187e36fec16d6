// Collectives on the plain fabric, by hand (plain_fabric.hpp): 100 GB/s in a domain of eight ranks,
// 10 GB/s beyond it; 20 us of software and 1 or 3 us of wire.
#include "interconnect/coflow.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>

#include "tests/unit/interconnect/plain_fabric.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

constexpr double exact = 1e-9;

Coflow coflow_of(const Transfer& t, const RankFabric& fabric = plain_fabric(),
                 const CollectiveLibrarySpec& library = plain_library()) {
    return make_coflow(t, fabric, library, 1024);
}

// 8 MB from each of eight ranks of one domain to all eight: an eighth stays, 7 MB cross each port
// each way in 70 us. 20 + 1 + 70.
TEST(Coflow, ExpertParallelInOneDomain) {
    const Coflow c = coflow_of(collective(TransferType::dispatch, 8, 8e6));
    ASSERT_EQ(c.shares.size(), 1u);
    const CoflowShare& all = c.shares[0];
    EXPECT_EQ(all.ranks, 8);
    EXPECT_NEAR(port_bytes(all, Port::scale_up_send), 7e6, exact);
    EXPECT_NEAR(port_bytes(all, Port::scale_up_receive), 7e6, exact);
    EXPECT_EQ(port_bytes(all, Port::scale_out_send), 0);
    EXPECT_EQ(port_bytes(all, Port::scale_out_receive), 0);
    EXPECT_NEAR(all.local.value(), 1e6, exact);
    EXPECT_NEAR(c.latency.value() * 1e6, 21, exact);
    EXPECT_NEAR(all.wire.value() * 1e6, 70, exact);
    EXPECT_NEAR(microseconds_of(c), 91, exact);
}

// Sixteen ranks over two domains: f_out = 1 - 8/16 of the payload leaves the domain, 8 MB at
// 10 GB/s; f_up = 7/16 stays in it, 7 MB at 100 GB/s. The slower decides: 20 + 3 + 800.
TEST(Coflow, ExpertParallelOverTwoDomains) {
    const Coflow c = coflow_of(collective(TransferType::combine, 16, 16e6));
    const CoflowShare& all = c.shares[0];
    EXPECT_NEAR(port_bytes(all, Port::scale_up_send), 7e6, exact);
    EXPECT_NEAR(port_bytes(all, Port::scale_out_send), 8e6, exact);
    EXPECT_NEAR(port_bytes(all, Port::scale_out_receive), 8e6, exact);
    EXPECT_NEAR(all.local.value(), 1e6, exact);
    EXPECT_NEAR(all.port_time[static_cast<int>(Port::scale_up_send)].value() * 1e6, 70, exact);
    EXPECT_NEAR(all.port_time[static_cast<int>(Port::scale_out_send)].value() * 1e6, 800, exact);
    EXPECT_NEAR(microseconds_of(c), 823, exact);
}

// A library that reaches its neighbours over the network too (DeepEP of February 2025): 15 of 16
// parts leave by the same port.
TEST(Coflow, LocalPeersOverScaleOut) {
    CollectiveLibrarySpec library = plain_library();
    library.transfers[TransferType::dispatch].local_over_scale_out = true;
    const Coflow c =
        coflow_of(collective(TransferType::dispatch, 16, 16e6), plain_fabric(), library);
    EXPECT_EQ(port_bytes(c.shares[0], Port::scale_up_send), 0);
    EXPECT_NEAR(port_bytes(c.shares[0], Port::scale_out_send), 15e6, exact);
    EXPECT_NEAR(c.shares[0].local.value(), 1e6, exact);
    EXPECT_NEAR(microseconds_of(c), 20 + 3 + 1500, exact);
    // The wire latency is the network's even within one domain.
    const Coflow one =
        coflow_of(collective(TransferType::dispatch, 8, 8e6), plain_fabric(), library);
    EXPECT_NEAR(microseconds_of(one), 20 + 3 + 700, exact);
}

// Three routed ranks and one that holds the shared expert: it receives twice what they do. A
// quarter of each payload is the rank's own.
TEST(Coflow, ClassesHaveTheirOwnBytes) {
    Transfer t = collective(TransferType::dispatch, 4, 12e6);
    t.shares = {{3, Bytes(12e6), Bytes(9.6e6)}, {1, Bytes(12e6), Bytes(19.2e6)}};
    const Coflow c = coflow_of(t);
    ASSERT_EQ(c.shares.size(), 2u);
    EXPECT_EQ(c.shares[0].ranks, 3);
    EXPECT_EQ(c.shares[1].ranks, 1);
    EXPECT_NEAR(port_bytes(c.shares[0], Port::scale_up_send), 9e6, exact);
    EXPECT_NEAR(port_bytes(c.shares[0], Port::scale_up_receive), 7.2e6, exact);
    EXPECT_NEAR(port_bytes(c.shares[1], Port::scale_up_send), 9e6, exact);
    EXPECT_NEAR(port_bytes(c.shares[1], Port::scale_up_receive), 14.4e6, exact);
    EXPECT_NEAR(c.shares[0].wire.value() * 1e6, 90, exact);
    EXPECT_NEAR(c.shares[1].wire.value() * 1e6, 144, exact);
}

// nccl-tests' 2 (n-1)/n within a domain: 2 x 7/8 of 8 MB in 140 us.
TEST(Coflow, AllReduceInOneDomain) {
    const Coflow c = coflow_of(collective(TransferType::all_reduce, 8, 8e6));
    EXPECT_NEAR(port_bytes(c.shares[0], Port::scale_up_send), 14e6, exact);
    EXPECT_EQ(port_bytes(c.shares[0], Port::scale_out_send), 0);
    EXPECT_NEAR(microseconds_of(c), 21 + 140, exact);
}

// Rings in two levels over four domains of eight: 2 x 7/8 of 8 MB within, and of the eighth that a
// rank then holds 2 x 3/4 between the domains, 1.5 MB at 10 GB/s.
TEST(Coflow, AllReduceOverDomains) {
    const Coflow c = coflow_of(collective(TransferType::all_reduce, 32, 8e6));
    EXPECT_NEAR(port_bytes(c.shares[0], Port::scale_up_send), 14e6, exact);
    EXPECT_NEAR(port_bytes(c.shares[0], Port::scale_out_send), 1.5e6, exact);
    EXPECT_NEAR(microseconds_of(c), 23 + 150, exact);
}

// One pass of the same rings.
TEST(Coflow, AllGatherAndReduceScatterAreHalfAnAllReduce) {
    for (const TransferType type : {TransferType::all_gather, TransferType::reduce_scatter}) {
        const Coflow c = coflow_of(collective(type, 32, 8e6));
        EXPECT_NEAR(port_bytes(c.shares[0], Port::scale_up_send), 7e6, exact);
        EXPECT_NEAR(port_bytes(c.shares[0], Port::scale_out_receive), 0.75e6, exact);
        EXPECT_NEAR(microseconds_of(c), 23 + 75, exact);
    }
}

// Bytes over size is nccl-tests' bus factor, so that bus bandwidth = port rate for long transfers.
TEST(Coflow, BusBandwidthIsThePortsRate) {
    for (const auto& [name, type] : names_of(static_cast<const TransferType*>(nullptr))) {
        const Coflow c = coflow_of(collective(type, 8, 8e6));
        EXPECT_NEAR(port_bytes(c.shares[0], Port::scale_up_send) / 8e6, bus_factor(type, 8), exact)
            << name;
    }
}

// A message between neighbours; every eighth rank is in a domain of its own.
// All of it through every member, from domain to domain through all eight ports of one.
TEST(Coflow, Broadcast) {
    const Transfer near = collective(TransferType::broadcast, 8, 8e6);
    EXPECT_NEAR(microseconds_of(make_coflow(near, plain_fabric(), plain_library(), 16)), 21 + 80,
                1e-6);
    const Transfer far = collective(TransferType::broadcast, 16, 8e6);
    const CoflowShare share = make_coflow(far, plain_fabric(), plain_library(), 16).shares[0];
    EXPECT_EQ(port_bytes(share, Port::scale_up_send), 8e6);
    EXPECT_EQ(port_bytes(share, Port::scale_out_send), 1e6);
    EXPECT_NEAR(share.wire.value(), 1e6 / 10e9, 1e-15);
}

// A library without broadcasts passes them on as its all-gathers, and says so.
TEST(Coflow, BroadcastAsAnAllGather) {
    CollectiveLibrarySpec library = plain_library();
    library.transfers.erase(TransferType::broadcast);
    library.transfers[TransferType::all_gather].base = microseconds(7);
    const Transfer t = collective(TransferType::broadcast, 8, 8e6);
    const Coflow coflow = make_coflow(t, plain_fabric(), library, 8);
    EXPECT_NEAR(microseconds_of(coflow), 8 + 80, 1e-6);
    EXPECT_GE(basis_of(coflow), Confidence::derived);
    EXPECT_EQ(fit_warnings("plain", coflow.outside),
              std::vector<std::string>{
                  "collective library plain has no broadcast: as its all_gather, derived"});
    library.transfers.erase(TransferType::all_gather);
    EXPECT_THROW((void)make_coflow(t, plain_fabric(), library, 8), std::invalid_argument);
}

TEST(Coflow, SendReceive) {
    Transfer t = collective(TransferType::send_recv, 2, 1e6);
    EXPECT_NEAR(microseconds_of(coflow_of(t)), 21 + 10, exact);
    t.stride = 8;
    EXPECT_NEAR(microseconds_of(coflow_of(t)), 23 + 100, exact);
    // Of nine in a row one pair is parted, and all wait for it.
    EXPECT_NEAR(microseconds_of(coflow_of(collective(TransferType::send_recv, 9, 1e6))), 23 + 100,
                exact);
}

// Every fourth rank: two of a group share a domain. 8 of them make four domains.
TEST(Coflow, StrideThinsTheDomains) {
    Transfer t = collective(TransferType::all_to_all, 8, 8e6);
    t.stride = 4;
    const Coflow c = coflow_of(t);
    EXPECT_NEAR(port_bytes(c.shares[0], Port::scale_up_send), 1e6, exact);
    EXPECT_NEAR(port_bytes(c.shares[0], Port::scale_out_send), 6e6, exact);
    t.stride = 3;  // ranks 0 3 6 | 9 12 15 | 18 21: two or three to a domain
    const Coflow uneven = coflow_of(t);
    EXPECT_NEAR(port_bytes(uneven.shares[0], Port::scale_up_send), 2e6, exact);
    EXPECT_NEAR(port_bytes(uneven.shares[0], Port::scale_out_send), 6e6, exact);
}

// Twelve ranks fill one domain and half of another. The busiest of each port counts: of the eight
// 7/12 stay in the domain, of the four 8/12 leave it.
TEST(Coflow, DomainsFilledUnevenly) {
    const Coflow c = coflow_of(collective(TransferType::dispatch, 12, 12e6));
    EXPECT_NEAR(port_bytes(c.shares[0], Port::scale_up_send), 7e6, exact);
    EXPECT_NEAR(port_bytes(c.shares[0], Port::scale_out_send), 8e6, exact);
    EXPECT_NEAR(microseconds_of(c), 23 + 800, exact);
    // The four take in the 8/12 of an all-gather's result that the others hold, 2/12 each.
    const Coflow gather = coflow_of(collective(TransferType::all_gather, 12, 8e6));
    EXPECT_NEAR(port_bytes(gather.shares[0], Port::scale_up_send), 7e6, exact);
    EXPECT_NEAR(port_bytes(gather.shares[0], Port::scale_out_send), 8e6 * 2 / 12, exact);
}

// T = base + per_peer (P-1) + per_doubling log2(P/8) + wire + bytes.
TEST(Coflow, LatencyTerms) {
    CollectiveLibrarySpec library = plain_library();
    TransferHabits& habits = library.transfers[TransferType::dispatch];
    habits.per_peer = microseconds(0.5);
    habits.per_doubling = microseconds(2);
    const auto latency = [&](int group) {
        const Transfer t = collective(TransferType::dispatch, group, 0);
        return coflow_of(t, plain_fabric(), library).latency.value() * 1e6;
    };
    EXPECT_NEAR(latency(8), 20 + 3.5 + 1, exact);
    EXPECT_NEAR(latency(4), 20 + 1.5 + 1, exact);  // no bonus below eight
    EXPECT_NEAR(latency(32), 20 + 15.5 + 2 * 2 + 3, exact);
}

// One rank needs no network, whatever it asks for.
TEST(Coflow, OneRankNeedsNoNetwork) {
    CollectiveLibrarySpec library = plain_library();
    for (auto& [type, habits] : library.transfers) {
        habits.local_over_scale_out = true;
    }
    for (const auto& [name, type] : names_of(static_cast<const TransferType*>(nullptr))) {
        Transfer t = collective(type, 1, 8e6);
        t.messages_per_rank = 100;
        const Coflow c = coflow_of(t, plain_fabric(), library);
        EXPECT_EQ(c.latency.value(), 0) << name;
        for (const Bytes bytes : c.shares[0].bytes) EXPECT_EQ(bytes.value(), 0) << name;
        EXPECT_EQ(wire_bound(t, plain_fabric(), 1).value(), 0) << name;
    }
}

TEST(Coflow, EfficiencySlowsItsOwnPort) {
    CollectiveLibrarySpec library = plain_library();
    library.transfers[TransferType::combine].scale_out_efficiency = 0.8;
    library.transfers[TransferType::combine].scale_up_efficiency = 0.5;
    const Coflow c =
        coflow_of(collective(TransferType::combine, 16, 16e6), plain_fabric(), library);
    EXPECT_NEAR(c.shares[0].port_time[0].value() * 1e6, 140, exact);
    EXPECT_NEAR(c.shares[0].wire.value() * 1e6, 1000, exact);
}

// 7,172 B (7,168 INT8 values and a scale) in steps of 512 B are 7,680 B. What is a multiple stays.
TEST(Coflow, MessagesArePadded) {
    CollectiveLibrarySpec library = plain_library();
    library.transfers[TransferType::dispatch].message_alignment = Bytes(512);
    const auto crossing = [&](double message, double messages) {
        Transfer t = collective(TransferType::dispatch, 8, message * messages);
        t.messages_per_rank = messages;
        return port_bytes(coflow_of(t, plain_fabric(), library).shares[0], Port::scale_up_send);
    };
    EXPECT_NEAR(crossing(7172, 1024), 1024 * 7680 * 7 / 8.0, 1e-6);
    EXPECT_NEAR(crossing(7680, 1024), 1024 * 7680 * 7 / 8.0, 1e-6);
    EXPECT_NEAR(crossing(14336, 1024), 1024 * 14336 * 7 / 8.0, 1e-6);
    EXPECT_NEAR(crossing(1, 10), 10 * 512 * 7 / 8.0, 1e-6);
    // Not a message more for a mean that is not whole and does not come out even in binary.
    for (const double messages : {0.1, 1.0 / 3, 4.1, 1023.7, 1e6 / 7}) {
        EXPECT_NEAR(crossing(7680, messages), messages * 7680 * 7 / 8.0, 1e-6 * messages);
    }
    // Nothing is known of the messages: nothing is padded.
    EXPECT_NEAR(crossing(7172, 0), 0, exact);
    Transfer t = collective(TransferType::dispatch, 8, 7172);
    EXPECT_NEAR(port_bytes(coflow_of(t, plain_fabric(), library).shares[0], Port::scale_up_send),
                7172 * 7 / 8.0, 1e-9);
}

// Padding is of messages, so alike for all classes.
TEST(Coflow, PaddingOfClasses) {
    CollectiveLibrarySpec library = plain_library();
    library.transfers[TransferType::dispatch].message_alignment = Bytes(512);
    Transfer t = collective(TransferType::dispatch, 2, 4 * 384);
    t.messages_per_rank = 4;
    t.shares = {{1, Bytes(4 * 384), Bytes(2 * 384)}, {1, Bytes(0), Bytes(2 * 384)}};
    const Coflow c = coflow_of(t, plain_fabric(), library);
    EXPECT_NEAR(port_bytes(c.shares[0], Port::scale_up_send), 4 * 512 / 2.0, exact);
    EXPECT_NEAR(port_bytes(c.shares[1], Port::scale_up_receive), 2 * 512 / 2.0, exact);
}

// Messages that each take one of four planes: 64 of them put 16 on a plane, and on the fullest of
// the 64 planes that eight ranks send and take in by 16 + 4 c + (c^2 - 1)/12 with c = sqrt(3/4) x
// 2.3437, the greatest of 64 normal draws: 24.38. The port takes 1.524 times as long, the bytes
// stay.
TEST(Coflow, FullestPlaneDecides) {
    RankFabric fabric = plain_fabric();
    fabric.scale_up_planes = 4;
    fabric.scale_up_balance = PlaneBalance::message;
    Transfer t = collective(TransferType::dispatch, 8, 8e6);
    t.messages_per_rank = 64;
    const Coflow c = coflow_of(t, fabric);
    EXPECT_NEAR(port_bytes(c.shares[0], Port::scale_up_send), 7e6, exact);
    const double greatest = std::sqrt(0.75) * 2.3437;
    EXPECT_NEAR(c.shares[0].wire.value() * 1e6,
                70 * (16 + 4 * greatest + (greatest * greatest - 1) / 12) / 16, 1e-2);
    fabric.scale_up_balance = PlaneBalance::packet;
    EXPECT_NEAR(coflow_of(t, fabric).shares[0].wire.value() * 1e6, 70, exact);
    // The bound knows no imbalance.
    fabric.scale_up_balance = PlaneBalance::message;
    EXPECT_EQ(wire_bound(t, fabric, 8), wire_bound(t, plain_fabric(), 8));
}

TEST(Coflow, CarriesTheRecordOfItsHabits) {
    CollectiveLibrarySpec library = plain_library();
    library.transfers[TransferType::combine].record.rows = 12;
    const Coflow c =
        make_coflow(collective(TransferType::combine, 8, 1), plain_fabric(), library, 8);
    ASSERT_NE(c.record, nullptr);
    EXPECT_EQ(c.record->rows, 12);
}

std::string refusal(const Transfer& t, const RankFabric& fabric,
                    const CollectiveLibrarySpec& library, long total_ranks) {
    try {
        make_coflow(t, fabric, library, total_ranks);
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
    return "accepted";
}

// Eight ranks, every fourth: the last is the 29th.
TEST(Coflow, RefusesAGroupLargerThanThePool) {
    Transfer t = collective(TransferType::all_to_all, 8, 1);
    EXPECT_EQ(refusal(t, plain_fabric(), plain_library(), 8), "accepted");
    EXPECT_EQ(refusal(t, plain_fabric(), plain_library(), 7),
              "it: a group that spans 8 ranks, the pool has 7");
    t.stride = 4;
    EXPECT_EQ(refusal(t, plain_fabric(), plain_library(), 29), "accepted");
    EXPECT_EQ(refusal(t, plain_fabric(), plain_library(), 28),
              "it: a group that spans 29 ranks, the pool has 28");
    EXPECT_THROW(wire_bound(t, plain_fabric(), 28), std::invalid_argument);
}

TEST(Coflow, RefusesWhatTheLibraryLacks) {
    CollectiveLibrarySpec library = plain_library();
    library.transfers.erase(TransferType::all_to_all);
    library.transfers.erase(TransferType::send_recv);
    EXPECT_EQ(refusal(collective(TransferType::all_to_all, 8, 1), plain_fabric(), library, 8),
              "collective library plain has no all_to_all (it has dispatch, combine, all_reduce, "
              "all_gather, reduce_scatter, broadcast)");
}

TEST(Coflow, RefusesInvalidTransfersAndMissingLinks) {
    EXPECT_THAT(
        refusal(collective(TransferType::all_reduce, 8, -1), plain_fabric(), plain_library(), 8),
        HasSubstr("negative"));
    RankFabric island = plain_fabric();
    island.scale_out = BytesPerSecond(0);
    EXPECT_EQ(refusal(collective(TransferType::all_reduce, 8, 1e6), island, plain_library(), 16),
              "accepted");
    EXPECT_EQ(refusal(collective(TransferType::all_to_all, 16, 16), island, plain_library(), 16),
              "it: 8 bytes must cross scale-out links, and there are none");
}

// The last to enter starts it; each class ends with its own bytes. Entries at 10 and 40 us, 20 us
// of latency and 1 us of wire, 90 and 144 us of bytes.
TEST(CompletionTimes, LateEntries) {
    Transfer t = collective(TransferType::dispatch, 4, 12e6);
    t.shares = {{3, Bytes(12e6), Bytes(9.6e6)}, {1, Bytes(12e6), Bytes(19.2e6)}};
    const Coflow c = coflow_of(t);
    const auto ends = completion_times(c, {microseconds(10), microseconds(40)});
    ASSERT_EQ(ends.size(), 2u);
    EXPECT_NEAR(ends[0].value() * 1e6, 40 + 21 + 90, exact);
    EXPECT_NEAR(ends[1].value() * 1e6, 40 + 21 + 144, exact);
    EXPECT_THROW(completion_times(c, {microseconds(10)}), std::invalid_argument);
}

// At the data sheet's rates and without latency: 8 of 16 MB must leave the domain at 10 GB/s;
// within one domain 7 MB could at best use both ports, 110 GB/s.
TEST(WireBound, ByHand) {
    EXPECT_NEAR(
        wire_bound(collective(TransferType::dispatch, 16, 16e6), plain_fabric(), 16).value() * 1e6,
        800, exact);
    EXPECT_NEAR(
        wire_bound(collective(TransferType::dispatch, 8, 8e6), plain_fabric(), 8).value() * 1e6,
        7e6 / 110e9 * 1e6, exact);
    // The rank that receives most counts.
    Transfer t = collective(TransferType::dispatch, 16, 16e6);
    t.shares = {{15, Bytes(16e6), Bytes(16e6)}, {1, Bytes(16e6), Bytes(16e6)}};
    EXPECT_NEAR(wire_bound(t, plain_fabric(), 16).value() * 1e6, 800, exact);
    t.shares = {{8, Bytes(16e6), Bytes(8e6)}, {8, Bytes(16e6), Bytes(24e6)}};
    EXPECT_NEAR(wire_bound(t, plain_fabric(), 16).value() * 1e6, 1200, exact);
}

// A reach that needs links which are not there takes for ever.
TEST(WireBound, WithoutLinks) {
    RankFabric island = plain_fabric();
    island.scale_out = BytesPerSecond(0);
    EXPECT_EQ(wire_bound(collective(TransferType::dispatch, 16, 16e6), island, 16).value(),
              std::numeric_limits<double>::infinity());
}

// Groups that sit where somebody says, among domains of eight: the smallest part takes in what all
// the others hold, (P - L) / P of the size, through the ports of its L members.
TEST(PlacedGroups, TheSmallestPartDecides) {
    const auto wire = [](TransferType type, int first, int members, double bytes) {
        std::vector<int> ranks;
        for (int i = 0; i < members; ++i) ranks.push_back(first + i);
        const Coflow made = make_coflow(collective(type, members, bytes), plain_fabric(),
                                        plain_library(), {ranks}, LinkRatio{});
        return made.shares.front().wire.value() * 1e6;
    };
    // 3 | 5: 5/8 of 24 MB over three ports of 10 GB/s.
    EXPECT_NEAR(wire(TransferType::all_gather, 5, 8, 24e6), 500, exact);
    // 1 | 3: 2 x 3/4 of 4 MB through one.
    EXPECT_NEAR(wire(TransferType::all_reduce, 7, 4, 4e6), 600, exact);
    // 2 | 2, and 4 of one domain: 3/4 of 4 MB at 100 GB/s.
    EXPECT_NEAR(wire(TransferType::all_gather, 6, 4, 4e6), 100, exact);
    EXPECT_NEAR(wire(TransferType::all_gather, 4, 4, 4e6), 30, exact);
    // A neighbour beyond the border.
    EXPECT_NEAR(wire(TransferType::send_recv, 7, 2, 1e6), 100, exact);
    EXPECT_NEAR(wire(TransferType::send_recv, 6, 2, 1e6), 10, exact);
}

// Of groups that are parted in different ways the slowest is answered.
TEST(PlacedGroups, TheSlowestOfSeveral) {
    const Transfer t = collective(TransferType::all_gather, 4, 4e6);
    const Coflow made = make_coflow(t, plain_fabric(), plain_library(),
                                    {{0, 1, 2, 3}, {6, 7, 8, 9}, {10, 11, 12, 13}}, LinkRatio{});
    EXPECT_NEAR(made.shares.front().wire.value() * 1e6, 100, exact);
    EXPECT_EQ(made.placement.domains, 2);
    EXPECT_GE(made.shares.front().wire, wire_bound(t, plain_fabric(), made.placement));
    EXPECT_THROW(make_coflow(t, plain_fabric(), plain_library(), {}, LinkRatio{}),
                 std::invalid_argument);
}

}  // namespace
}  // namespace podsim
