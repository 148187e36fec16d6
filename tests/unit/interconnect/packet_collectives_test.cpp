// The messages of collectives by algorithm: bytes of each rank, and times of closed forms.
#include "interconnect/packet_collectives.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "interconnect/packet_bound.hpp"
#include "interconnect/packet_detours.hpp"
#include "interconnect/packet_pieces.hpp"
#include "interconnect/packet_topology.hpp"
#include "interconnect/topology_times.hpp"
#include "tests/unit/interconnect/packet_scenes.hpp"
#include "tests/unit/interconnect/plain_fabric.hpp"
#include "tests/unit/interconnect/topology_text.hpp"

namespace podsim {
namespace {

PacketCollectiveSpec of(Collective collective, Algorithm algorithm, int ranks, double size) {
    PacketCollectiveSpec spec;
    spec.collective = collective;
    spec.algorithm = algorithm;
    spec.ranks = ranks;
    spec.size = Bytes(size);
    return spec;
}

std::vector<double> sent(const PacketTraffic& traffic, int ranks) {
    std::vector<double> bytes(static_cast<std::size_t>(ranks), 0.0);
    for (const PacketMessage& message : traffic)
        bytes[static_cast<std::size_t>(message.source)] += message.size.value();
    return bytes;
}

// Every rank of 8 sends 2 x 7/8 of an all-reduce by every algorithm but trees, half of it for
// either half; 7/8 of an all-to-all; S to its neighbour.
TEST(PacketCollectives, BytesOfARank) {
    for (const Algorithm algorithm :
         {Algorithm::ring, Algorithm::halving_doubling, Algorithm::direct, Algorithm::hierarchical,
          Algorithm::dimension_wise}) {
        for (const auto& [collective, share] : {std::pair{Collective::all_reduce, 1.75},
                                                {Collective::all_gather, 0.875},
                                                {Collective::reduce_scatter, 0.875}}) {
            PacketCollectiveSpec spec = of(collective, algorithm, 8, 8000);
            if (algorithm == Algorithm::hierarchical) spec.layout.inner = 4;
            if (algorithm == Algorithm::dimension_wise) spec.layout.sides = {{4}, {2}};
            for (const bool torus : {false, true}) {
                spec.layout.is_torus = torus;
                for (const double bytes : sent(collective_traffic(spec), 8))
                    EXPECT_NEAR(bytes, share * 8000, 1e-6) << to_string(algorithm);
            }
        }
    }
    for (const double bytes :
         sent(collective_traffic(of(Collective::all_to_all, Algorithm::direct, 8, 8000)), 8))
        EXPECT_NEAR(bytes, 7000, 1e-6);
    for (const double bytes :
         sent(collective_traffic(of(Collective::send_recv, Algorithm::direct, 8, 8000)), 8))
        EXPECT_NEAR(bytes, 8000, 1e-6);
    // Rings in two levels: 2 x 3/4 within four, 2 x 1/2 of a quarter between two of them.
    PacketCollectiveSpec two = of(Collective::all_reduce, Algorithm::ring, 8, 8000);
    two.layout.inner = 4;
    for (const Algorithm within :
         {Algorithm::ring, Algorithm::direct, Algorithm::halving_doubling, Algorithm::tree}) {
        two.layout.within = within;
        for (const double bytes : sent(collective_traffic(two), 8)) EXPECT_NEAR(bytes, 14000, 1e-6);
    }
    // A tree: each of P - 1 edges carries S up and S down, in pieces.
    const auto tree = collective_traffic(of(Collective::all_reduce, Algorithm::tree, 8, 1e6));
    double all = 0;
    for (const double bytes : sent(tree, 8)) all += bytes;
    EXPECT_NEAR(all, 2 * 7 * 1e6, 1e-3);
    EXPECT_EQ(tree.size(), 2U * 7 * 2 * 30);  // of 500 kB thirty pieces
}

// On a torus side that is no ring each of four passes on what the others beyond it lack: to the
// right one's own and what comes from the left, 1, 2 and 3 parts over the three links, and as many
// back; 3/4 of S of every rank are there in the end. A ring that lost the link between 1 and 2 is
// the row 2, 3, 0, 1, and the other ring of the same side stays one: 3/4 of S over each link.
TEST(PacketCollectives, RowsOfATorus) {
    for (const Collective collective : {Collective::all_gather, Collective::reduce_scatter}) {
        const bool adding = collective == Collective::reduce_scatter;
        const auto over = [&](const PacketCollectiveSpec& spec, int from, int to) {
            double bytes = 0;
            for (const PacketMessage& one : collective_traffic(spec))
                if (one.source == from && one.destination == to) bytes += one.size.value();
            return bytes;
        };
        PacketCollectiveSpec row = of(collective, Algorithm::dimension_wise, 4, 4000);
        row.layout.is_torus = true;
        row.layout.sides = {{4, false}};
        for (int i = 0; i < 3; ++i) {
            const double there = 1000.0 * (i + 1), back = 1000.0 * (3 - i);
            EXPECT_NEAR(over(row, i, i + 1), adding ? back : there, 1e-6) << i;
            EXPECT_NEAR(over(row, i + 1, i), adding ? there : back, 1e-6) << i;
        }
        EXPECT_EQ(over(row, 3, 0), 0);
        PacketCollectiveSpec gap = of(collective, Algorithm::dimension_wise, 8, 8000);
        gap.layout.is_torus = true;
        gap.layout.sides = {{4}, {2}};
        gap.layout.sides.front().gaps = {{1, 2}};
        EXPECT_EQ(over(gap, 1, 2), 0);
        EXPECT_EQ(over(gap, 2, 1), 0);
        EXPECT_GT(over(gap, 5, 6), 0);
        EXPECT_NEAR(over(gap, 3, 0), over(gap, 0, 3), 1e-6);
        EXPECT_LE(static_cast<double>(collective_traffic(gap).size()), most_messages(gap));
    }
}

// Domains of 4 and 2: each adds up what it has, two passes of a ring carry what the other lacks,
// 1/3 of S over four ports and 2/3 over two, and each gathers: 2 x 3 x S within the one and 2 x S
// within the other.
TEST(PacketCollectives, UnequalDomains) {
    PacketCollectiveSpec spec = of(Collective::all_reduce, Algorithm::ring, 6, 6000);
    spec.layout.inner = 4;
    spec.layout.sizes = {4, 2};
    const auto traffic = collective_traffic(spec);
    double between = 0, first = 0, second = 0;
    std::vector<double> came(6, 0.0);
    for (const PacketMessage& one : traffic) {
        const bool from_first = one.source < 4, to_first = one.destination < 4;
        double& sum = from_first != to_first ? between : from_first ? first : second;
        sum += one.size.value();
        if (from_first != to_first)
            came[static_cast<std::size_t>(one.destination)] += one.size.value();
    }
    EXPECT_NEAR(between, 2 * 6000, 1e-6);
    EXPECT_NEAR(first, 2 * 3 * 6000, 1e-6);
    EXPECT_NEAR(second, 2 * 6000, 1e-6);
    for (int i = 0; i < 6; ++i)
        EXPECT_NEAR(came[static_cast<std::size_t>(i)], i < 4 ? 1000 : 4000, 1e-6) << i;
    EXPECT_LE(static_cast<double>(traffic.size()), most_messages(spec));
    spec.collective = Collective::broadcast;
    EXPECT_THAT(without_messages(spec), testing::HasSubstr("as many ranks in each domain"));
}

// An exchange of unequal pairs in two levels puts on each place what all of its group have for it:
// rank 0 has 600 B for 3 and nothing else, so 600 B go to 1, which has 3's place, and on to 3.
// Copies that travel as one go between groups first, or, gathered, within them.
TEST(PacketCollectives, ExchangeInLevels) {
    PacketCollectiveSpec spec = of(Collective::all_to_all, Algorithm::hierarchical, 4, 1000);
    spec.layout.inner = 2;
    spec.bytes = ByteMatrix(4, std::vector<double>(4, 0.0));
    spec.bytes[0][3] = 600;
    const auto one = collective_traffic(spec);
    ASSERT_EQ(one.size(), 2U);
    EXPECT_EQ(one[0].destination, 1);
    EXPECT_EQ(one[1].source, 1);
    EXPECT_EQ(one[1].destination, 3);
    EXPECT_EQ(one[1].size, Bytes(600));
    EXPECT_THAT(one[1].after, testing::ElementsAre(0));
    spec.bytes.clear();
    for (const bool gathers_first : {false, true}) {
        spec.merged = MergedCopies{0.3, 0.4, gathers_first};
        for (const PacketMessage& message : collective_traffic(spec)) {
            const bool within = message.source / 2 == message.destination / 2;
            EXPECT_NEAR(message.size.value(), within ? 400 : 300, 1e-9);
            EXPECT_EQ(message.after.empty(), within == gathers_first);
        }
    }
    spec.merged.reset();
    spec.in_pieces = true;
    spec.size = Bytes(1e6);
    const auto pieces = collective_traffic(spec);
    EXPECT_EQ(pieces.size(), 30U * 8);  // of 500 kB thirty pieces
    EXPECT_LE(static_cast<double>(pieces.size()), most_messages(spec));
}

// Two domains of two: from one's own place on, one's own domain first, so that what leaves it does
// not begin with the same rank for all of it.
TEST(PacketCollectives, RotatedOverDomains) {
    PacketCollectiveSpec spec = of(Collective::all_to_all, Algorithm::direct, 4, 4000);
    spec.layout.inner = 2;
    spec.exchange.walks = 2;
    std::vector<int> of_zero, of_one;
    for (const PacketMessage& message : collective_traffic(spec)) {
        if (message.source == 0) of_zero.push_back(message.destination);
        if (message.source == 1) of_one.push_back(message.destination);
    }
    EXPECT_THAT(of_zero, testing::ElementsAre(1, 2, 3, 1, 2, 3));
    EXPECT_THAT(of_one, testing::ElementsAre(0, 3, 2, 0, 3, 2));
}

// The count that bounds a run is not below what there is.
TEST(PacketCollectives, MostMessages) {
    for (const Algorithm algorithm :
         {Algorithm::ring, Algorithm::halving_doubling, Algorithm::direct, Algorithm::hierarchical,
          Algorithm::dimension_wise, Algorithm::tree}) {
        PacketCollectiveSpec spec = of(Collective::all_reduce, algorithm, 16, 64e6);
        spec.exchange.walks = 3;
        spec.layout.inner = algorithm == Algorithm::hierarchical ? 4 : 1;
        spec.layout.sides = {{4}, {4}};
        for (const bool torus : {false, true}) {
            spec.layout.is_torus = torus;
            const auto count = static_cast<double>(collective_traffic(spec).size());
            EXPECT_LE(count, most_messages(spec)) << to_string(algorithm);
            EXPECT_GE(count, 0.2 * most_messages(spec)) << to_string(algorithm);
        }
    }
    PacketCollectiveSpec two = of(Collective::all_reduce, Algorithm::ring, 16, 64e6);
    two.layout.inner = 4;
    EXPECT_LE(static_cast<double>(collective_traffic(two).size()), most_messages(two));
}

// What waits for what: as the rings and halvings that stand alone.
TEST(PacketCollectives, SameAsByHand) {
    const auto network = switched_planes(8, 1, plain_port(), plain_switch());
    const auto time = [&](const PacketTraffic& traffic) {
        return run_packets(network, traffic, plain_packets()).time.value();
    };
    EXPECT_EQ(time(collective_traffic(of(Collective::all_reduce, Algorithm::ring, 8, 8e4))),
              time(ring_all_reduce(8, Bytes(8e4))));
    EXPECT_NEAR(
        time(collective_traffic(of(Collective::all_reduce, Algorithm::halving_doubling, 8, 8e4))) /
            time(halving_doubling_all_reduce(8, Bytes(8e4))),
        1, 1e-9);
    // Two trees of 1,000 B: 0 to 1 to 2, and 0 to 2 to 1. The second packet of 0 leaves after the
    // first; each hop is twice 1 us of wire, 100 ns a link and 50 ns of the switch.
    PacketCollectiveSpec tree = of(Collective::broadcast, Algorithm::tree, 3, 2000);
    tree.most_links = 1;
    EXPECT_NEAR(time(collective_traffic(tree)) * 1e9, 1000 + 2 * (2 * 1000 + 250), 1e-3);
}

// A chain of three in pieces of 1,000 B: the first is at the second rank after two links and a
// switch, 2,250 ns, and at the third after as long again; seven more follow each a microsecond
// later.
TEST(PacketCollectives, ChainByHand) {
    const auto network = switched_planes(3, 1, plain_port(), plain_switch());
    PacketCollectiveSpec chain = of(Collective::broadcast, Algorithm::ring, 3, 8000);
    chain.least_link = Bytes(1000);
    const auto traffic = collective_traffic(chain);
    EXPECT_EQ(traffic.size(), 16U);
    EXPECT_NEAR(in_nanoseconds(run_packets(network, traffic, plain_packets()).time),
                2 * 2250 + 7 * 1000, 1e-3);
    EXPECT_LE(static_cast<double>(traffic.size()), most_messages(chain));
}

// A broadcast as a scatter and an all-gather: 7/8 of S from the root and 7/8 from everybody. In
// rows over two groups of two: all to the root's neighbour, half from each of both to its place in
// the other group, where the halves are exchanged.
TEST(PacketCollectives, BroadcastBytes) {
    for (const Algorithm algorithm : {Algorithm::ring, Algorithm::direct, Algorithm::dimension_wise,
                                      Algorithm::halving_doubling}) {
        PacketCollectiveSpec spec = of(Collective::broadcast, algorithm, 8, 8000);
        spec.scatters_first = true;
        spec.layout.sides = {{4}, {2}};
        for (const bool torus : {false, true}) {
            spec.layout.is_torus = torus;
            const auto traffic = collective_traffic(spec);
            const auto bytes = sent(traffic, 8);
            // The root gathers when all have their parts: these alone wait for nothing.
            for (std::size_t m = 0; m < traffic.size(); ++m)
                EXPECT_EQ(traffic[m].after.empty(), m < 7);
            EXPECT_NEAR(bytes[0], 14000, 1e-6) << to_string(algorithm);
            for (std::size_t i = 1; i < 8; ++i) EXPECT_NEAR(bytes[i], 7000, 1e-6);
            EXPECT_LE(static_cast<double>(traffic.size()), most_messages(spec));
        }
    }
    PacketCollectiveSpec rows = of(Collective::broadcast, Algorithm::ring, 4, 8000);
    rows.layout.inner = 2;
    rows.least_link = Bytes(1000);
    const auto traffic = collective_traffic(rows);
    EXPECT_THAT(sent(traffic, 4), testing::ElementsAre(12000, 4000, 4000, 4000));
    EXPECT_LE(static_cast<double>(traffic.size()), most_messages(rows));
    // A half to the neighbour, both halves to the other group, an exchange of halves in each.
    rows.scatters_first = true;
    EXPECT_THAT(sent(collective_traffic(rows), 4), testing::ElementsAre(12000, 8000, 4000, 4000));
    // Everybody has all of it, and nobody sends what has not come to him.
    std::vector<double> came(4, 0.0);
    for (const PacketMessage& one : traffic) {
        came[static_cast<std::size_t>(one.destination)] += one.size.value();
        EXPECT_EQ(one.after.empty(), one.source == 0);
        for (const int before : one.after)
            EXPECT_EQ(traffic[static_cast<std::size_t>(before)].destination, one.source);
    }
    EXPECT_THAT(came, testing::ElementsAre(0, 8000, 8000, 8000));
}

// Half of 128 KiB straight on, half over thirds in four pieces; who waits, waits for all of them.
TEST(PacketCollectives, OverThirds) {
    PacketTraffic traffic = {message(0, 1, 131072), message(1, 2, 1000)};
    traffic[1].after = {0};
    DetourSpec detour;
    detour.share = 0.5;
    const auto made = over_thirds(traffic, 16, detour);
    double from = 0, to = 0;
    std::vector<int> thirds, ends;
    for (std::size_t m = 0; m < made.size(); ++m) {
        const PacketMessage& one = made[m];
        if (one.source == 0 && one.after.empty()) from += one.size.value();
        if (one.destination == 1) to += one.size.value();
        if (one.destination == 1) ends.push_back(static_cast<int>(m));
        if (one.destination == 1 && one.source != 0) thirds.push_back(one.source);
    }
    EXPECT_EQ(from, 131072);
    EXPECT_EQ(to, 131072);
    EXPECT_LE(thirds.size(), 4U);
    EXPECT_GE(thirds.size(), 2U);  // at most two of four are ends
    for (std::size_t i = 1; i < thirds.size(); ++i) EXPECT_NE(thirds[i], thirds[0]);
    EXPECT_EQ(made[static_cast<std::size_t>(ends.back()) + 1].after, ends);
    EXPECT_EQ(over_thirds(traffic, 2, detour).size(), 2U);
}

// An algorithm's bytes on the links of a torus or mesh take what collective_algorithms says, once
// chains of messages are many packets long.
TEST(PacketCollectives, SecondsAByteOfTheLinks) {
    struct Case {
        const char* yaml;
        int ranks;
        Algorithm algorithm;
        double within;
    };
    for (const Case& one :
         {Case{"family: torus\ndimensions: [4, 4]\n", 16, Algorithm::ring, 0.03},
          Case{"family: torus\ndimensions: [4, 4]\n", 16, Algorithm::dimension_wise, 0.03},
          Case{"family: full-mesh\ndimensions: [4, 4]\n", 16, Algorithm::dimension_wise, 0.03},
          Case{"family: full-mesh\ndimensions: [8]\n", 8, Algorithm::direct, 0.03},
          Case{"family: torus\ndimensions: [8]\n", 8, Algorithm::halving_doubling, 0.05}}) {
        RankFabric fabric;
        fabric.scale_up = BytesPerSecond(40e9);
        fabric.domain_ranks = one.ranks;
        fabric.scale_up_links =
            std::make_shared<const TopologyTimes>(stack_of(one.yaml, one.ranks, 40e9), false);
        const TopologyStack& stack = fabric.scale_up_links->stack();
        PacketCollectiveSpec spec = of(Collective::all_reduce, one.algorithm, one.ranks, 16e6);
        for (const long n : only(stack).dimensions) spec.layout.sides.push_back({n});
        spec.layout.is_torus = only(stack).family == "torus";
        spec.layout.near_order = only(stack).ring_order;
        const auto made = packet_network(fabric, {one.ranks, 1});
        PacketSettings settings;
        settings.packet_header = Bytes(0);
        const auto packets = run_packets(made.network, collective_traffic(spec), settings);
        const double expected =
            16e6 * terms_of(stack, Collective::all_reduce, one.algorithm).seconds_per_byte;
        std::printf("  %s, %s: %.4f\n", one.yaml, to_string(one.algorithm).c_str(),
                    packets.time.value() / expected);
        EXPECT_NEAR(packets.time.value() / expected, 1, one.within) << to_string(one.algorithm);
    }
}

TEST(PacketCollectives, Refused) {
    const auto why = [](Collective collective, Algorithm algorithm, int ranks) {
        return without_messages(of(collective, algorithm, ranks, 1e3));
    };
    EXPECT_THAT(why(Collective::all_reduce, Algorithm::in_switch, 8), testing::HasSubstr("add up"));
    EXPECT_THAT(why(Collective::all_reduce, Algorithm::halving_doubling, 6),
                testing::HasSubstr("power of two"));
    EXPECT_THAT(why(Collective::all_reduce, Algorithm::direct, 257), testing::HasSubstr("256"));
    EXPECT_THAT(why(Collective::all_to_all, Algorithm::tree, 8), testing::HasSubstr("broadcast"));
    EXPECT_THAT(why(Collective::all_to_all, Algorithm::hierarchical, 8),
                testing::HasSubstr("groups"));
    EXPECT_THAT(why(Collective::all_reduce, Algorithm::dimension_wise, 8),
                testing::HasSubstr("torus"));
    EXPECT_THROW(collective_traffic(of(Collective::all_to_all, Algorithm::tree, 8, 1e3)),
                 std::invalid_argument);
}

// Pieces of a message wait for all pieces of those that it waited for.
TEST(PacketCollectives, Pieces) {
    PacketTraffic traffic = {message(0, 1, 1000), message(1, 2, 5000)};
    traffic[1].after = {0};
    const PacketTraffic cut = in_pieces(traffic, 2, Bytes(2000));
    ASSERT_EQ(cut.size(), 5U);
    EXPECT_EQ(cut[0].size, Bytes(500));
    EXPECT_EQ(cut[4].after, (std::vector<int>{0, 1}));
    EXPECT_EQ(in_pieces({message(0, 1, 3)}, 8, Bytes(1e9)).size(), 3U);
}

}  // namespace
}  // namespace podsim
