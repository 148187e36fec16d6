// The packet level against coflows: what reference/modelling.md 4.1 measured, and closed forms.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "interconnect/coflow.hpp"
#include "interconnect/packet_bound.hpp"
#include "tests/unit/interconnect/packet_scenes.hpp"
#include "tests/unit/interconnect/plain_fabric.hpp"

namespace podsim {
namespace {

// A pool of 1,024 KB a destination. Its way back is not in the table, but implied by its first row:
// 4.83 x 64 KB / 196 GB/s is a loop of 1.58 us, of which 1.2 us and two packets of 21 ns are known.
PacketSettings dispatch_settings(double pool_kilobytes = 1024) {
    PacketSettings settings;
    settings.endpoint.pool = Bytes(pool_kilobytes * 1e3);
    settings.endpoint.pool_return = microseconds(0.34);
    return settings;
}

// Sixteen times around the destinations: nobody is through with one before he begins the next.
AllToAllSpec in_walks(int walks = 16) {
    AllToAllSpec spec;
    spec.walks = walks;
    return spec;
}

double ratio(const PacketNetworkSpec& network, const PacketTraffic& traffic,
             const PacketSettings& settings) {
    return run_packets(network, traffic, settings).time / coflow_time(network, traffic, settings);
}

void report(const char* what, int ranks, double zipf, double value) {
    testing::Test::RecordProperty(what, std::to_string(value));
    std::printf("  %s, %d ranks, Zipf %.1f: %.4f\n", what, ranks, zipf, value);
}

// Expected loads, each sender from the rank after itself on: 2 % is asked.
TEST(PacketAgainstCoflow, ExpectedLoads) {
    for (const int ranks : {8, 16, 32, 64, 320}) {
        for (const double zipf : {0.0, 0.3, 0.6}) {
            auto tokens = dispatch_tokens(ranks, zipf);
            const auto network = dispatch_network(ranks);
            PacketSettings settings = dispatch_settings();
            settings.endpoint.lookahead = ranks;
            const double r = ratio(network, all_to_all(expected_matrix(tokens)), settings);
            report("expected loads", ranks, zipf, r);
            EXPECT_GE(r, 1 - 1e-6);
            EXPECT_LE(r, 1.02) << ranks << " ranks, Zipf " << zipf;
        }
    }
}

// Tokens drawn one by one: the mean of three draws within 2 %.
TEST(PacketAgainstCoflow, DrawnTokens) {
    for (const int ranks : {8, 32, 64}) {
        for (const double zipf : {0.0, 0.3, 0.6}) {
            double mean = 0;
            for (std::uint64_t seed = 1; seed <= 3; ++seed) {
                auto tokens = dispatch_tokens(ranks, zipf, seed);
                tokens.seed = seed;
                PacketSettings settings = dispatch_settings();
                settings.endpoint.lookahead = ranks;
                mean += ratio(dispatch_network(ranks), all_to_all(token_matrix(tokens), in_walks()),
                              settings) /
                        3;
            }
            report("drawn tokens", ranks, zipf, mean);
            EXPECT_LE(mean, 1.02) << ranks << " ranks, Zipf " << zipf;
        }
    }
}

// The room's own coflow of the same exchange: T = latency + (P - 1) / P S / port, header included.
TEST(PacketAgainstCoflow, TheRoomsCoflow) {
    for (const int ranks : {8, 64}) {
        RankFabric fabric = plain_fabric();
        fabric.domain_ranks = ranks;
        fabric.scale_up = BytesPerSecond(196e9 * 4096 / 4120);
        fabric.scale_up_latency = microseconds(1.2);
        CollectiveLibrarySpec library = plain_library();
        for (auto& [type, habits] : library.transfers) habits.base = Seconds(0.0);
        const double pair = 128.0 * 8 * 7680 / ranks;
        const Coflow coflow = make_coflow(collective(TransferType::all_to_all, ranks, pair * ranks),
                                          fabric, library, ranks);
        const auto network = dispatch_network(ranks);
        const auto matrix = uniform_matrix(ranks, Bytes(pair));
        const auto packets = run_packets(network, all_to_all(matrix), dispatch_settings());
        const Seconds alone = completion_times(coflow, {Seconds(0.0)}).front();
        report("the room's coflow", ranks, 0, packets.time / alone);
        EXPECT_NEAR(packets.time / alone, 1, 0.02);

        // Ranks enter over 20 us: the last one's bytes leave after it has entered.
        AllToAllSpec staggered;
        for (int i = 0; i < ranks; ++i)
            staggered.entries.push_back(microseconds(20.0 * ((i * 5) % ranks) / (ranks - 1)));
        const auto late = run_packets(network, all_to_all(matrix, staggered), dispatch_settings());
        const Seconds last = completion_times(coflow, {microseconds(20)}).front();
        // So says the engine of several coflows.
        SharedCoflow shared = coflow_of(network, all_to_all(matrix), dispatch_settings(), -1);
        shared.classes.front().entry = microseconds(20);
        EXPECT_NEAR(run_coflows(links_of(network), {shared}).front().end / last, 1, 1e-6);
        report("staggered entry", ranks, 0, late.time / last);
        EXPECT_NEAR(late.time / last, 1, 0.05);
    }
}

// Two exchanges of all 32 ranks at once, one twice as large, whose tokens take turns: the small one
// ends at 2/3 of the time, the large one has the ports alone from there on. 5 % is asked.
TEST(PacketAgainstCoflow, TwoCollectives) {
    const auto network = dispatch_network(32);
    PacketTraffic lists[2];
    for (int c = 0; c < 2; ++c) {
        AllToAllSpec spec = in_walks(c == 0 ? 32 : 16);  // a token at a time
        spec.collective = c;
        lists[c] = all_to_all(uniform_matrix(32, Bytes(c == 0 ? 245760 : 122880)), spec);
    }
    PacketTraffic traffic;
    std::size_t next[2] = {0, 0};
    for (int rank = 0; rank < 32; ++rank) {
        for (bool more = true; more;) {
            more = false;
            for (int c = 0; c < 2; ++c) {
                if (next[c] >= lists[c].size() || lists[c][next[c]].source != rank) continue;
                traffic.push_back(lists[c][next[c]++]);
                more = true;
            }
        }
    }
    const PacketSettings settings = dispatch_settings();
    const auto expected = run_coflows(
        links_of(network),
        {coflow_of(network, traffic, settings, 0), coflow_of(network, traffic, settings, 1)});
    const auto packets = run_packets(network, traffic, settings);
    for (std::size_t c = 0; c < 2; ++c) {
        const double r = packets.collectives[c] / expected[c].end;
        report(c == 0 ? "two collectives, large" : "two collectives, small", 32, 0, r);
        EXPECT_NEAR(r, 1, 0.05);
    }
    EXPECT_NEAR(expected[1].end / expected[0].end, 2.0 / 3, 0.02);
}

// Leaves of 16 with 8 ports' worth of uplinks: half the rate between leaves. In many walks: who
// sends all for his own leaf first leaves the uplinks idle meanwhile (1.25 of the coflow at 32
// ranks), which no coflow knows. Nor does it know that pools of 2 MB for each destination hold up
// what goes elsewhere when a leaf is full: 1.17 at 64 ranks and Zipf 0.3.
TEST(PacketAgainstCoflow, Oversubscription) {
    PacketSwitchSpec spec;
    spec.latency = microseconds(0.2);
    spec.path_choice = PathChoice::least_queued;
    const PacketPortSpec port{BytesPerSecond(196e9), microseconds(0.2), 0.0};
    for (const int ranks : {32, 64}) {
        const auto network = leaf_spine(ranks, 16, 8, port, port, spec);
        for (const double zipf : {0.0, 0.3}) {
            const auto traffic =
                all_to_all(expected_matrix(dispatch_tokens(ranks, zipf)), in_walks());
            PacketSettings settings = dispatch_settings(0);
            settings.endpoint.lookahead = ranks;
            const double r = ratio(network, traffic, settings);
            report("2:1 oversubscription", ranks, zipf, r);
            EXPECT_NEAR(r, 1, 0.05);
        }
    }
}

// In one walk the uplinks of a leaf stand idle at first: of 16 ranks with 8 uplinks one more
// crosses with each message, so that the places of 28 of 256 messages are lost, and what is late
// meets what the other leaf sends itself. The coflow of all bytes knows none of it, that of each
// message does.
TEST(PacketAgainstCoflow, OversubscriptionInOneWalk) {
    PacketSwitchSpec spec;
    spec.latency = microseconds(0.2);
    spec.path_choice = PathChoice::least_queued;
    const PacketPortSpec port{BytesPerSecond(196e9), microseconds(0.2), 0.0};
    constexpr int ranks = 32;
    const auto network = leaf_spine(ranks, 16, 8, port, port, spec);
    for (const double zipf : {0.0, 0.3}) {
        const auto traffic = all_to_all(expected_matrix(dispatch_tokens(ranks, zipf)));
        const PacketSettings settings = dispatch_settings(0);
        const Seconds packets = run_packets(network, traffic, settings).time;
        const double r = packets / walk_time(network, traffic, settings);
        report("2:1 oversubscription, one walk", ranks, zipf, r);
        EXPECT_NEAR(r, 1, 0.05);
        if (zipf == 0) {
            EXPECT_GT(packets / coflow_time(network, traffic, settings), 1.2);
        }
    }
}

// By hand: 0 sends 1,000 B to 1, then to 2; 3 sends 1,000 B to 2 at once. At 1 B/ns the second
// message enters at 1,000 ns, when 3's is through: 2,000 ns and the way. A second message of 3 to 1
// has 1's port to itself: no later.
TEST(PacketAgainstCoflow, WalksByHand) {
    const auto network = switched_planes(4, 1, plain_port(), plain_switch());
    PacketTraffic traffic = {message(0, 1, 1000), message(0, 2, 1000), message(3, 2, 1000)};
    EXPECT_NEAR(in_nanoseconds(walk_time(network, traffic, plain_packets())), 2000 + 250, 1e-3);
    traffic.push_back(message(3, 1, 1000));
    EXPECT_NEAR(in_nanoseconds(walk_time(network, traffic, plain_packets())), 2000 + 250, 1e-3);
    // In the same order they meet at 1, at half the rate, and again at 2: from 1,000 ns on all four
    // run at half of it, from 2,000 the second two alone, with 500 B each to go at half the rate.
    traffic = {message(0, 1, 1000), message(0, 2, 1000), message(3, 1, 1000), message(3, 2, 1000)};
    EXPECT_NEAR(in_nanoseconds(coflow_time(network, traffic, plain_packets())), 2000 + 250, 1e-3);
    EXPECT_NEAR(in_nanoseconds(walk_time(network, traffic, plain_packets())), 3000 + 250, 1e-3);
}

// Seven planes, one at half its rate: 6.5 planes' worth where free ports take packets, and the
// slow one's time where packets go round in turn.
TEST(PacketAgainstCoflow, OneDegradedPlane) {
    auto network = dispatch_network(32, 7);
    const auto traffic = all_to_all(uniform_matrix(32, Bytes(245760)));
    PacketSettings settings = dispatch_settings();
    settings.endpoint.lookahead = 32;
    const Seconds whole = run_packets(network, traffic, settings).time;
    degrade_plane(network, 3, 0.5);
    const auto free_port = run_packets(network, traffic, settings);
    report("a plane of seven at half, free port", 32, 0,
           free_port.time / coflow_time(network, traffic, settings));
    EXPECT_NEAR(free_port.time / coflow_time(network, traffic, settings), 1, 0.05);
    EXPECT_NEAR(free_port.time / whole, 7 / 6.5, 0.04);
    settings.endpoint.path_choice = PathChoice::round_robin;
    const double in_turn = ratio(network, traffic, settings);
    report("a plane of seven at half, in turn", 32, 0, in_turn);
    EXPECT_NEAR(in_turn, 1, 0.05);
}

// Credits of 64 to 1,024 KB for each destination: 4.83, 2.45, 1.30, 1.01, 1.007 of the coflow.
// The pool's way back, one link, is ours: the table implies a loop of 1.6 us beside the packet.
TEST(PacketAgainstCoflow, StarvedCredits) {
    const auto network = dispatch_network(64);
    const auto traffic = all_to_all(token_matrix(dispatch_tokens(64)), in_walks());
    const std::pair<double, double> published[] = {
        {64, 4.83}, {128, 2.45}, {256, 1.30}, {512, 1.01}, {1024, 1.007}};
    for (const auto& [kilobytes, factor] : published) {
        const double r = ratio(network, traffic, dispatch_settings(kilobytes));
        std::printf("  pool of %.0f KB: %.3f, published %.3f\n", kilobytes, r, factor);
        EXPECT_NEAR(r / factor, 1, 0.10);
    }
}

// Every sender walks its destinations from 0 on: 2.6, 1.9, 1.4 of the coflow at Zipf 0, 0.3, 0.6.
// The mean of six placements of experts.
TEST(PacketAgainstCoflow, SameOrderIncast) {
    const auto network = dispatch_network(64);
    AllToAllSpec same;
    same.order = SendOrder::same_for_all;
    const std::pair<double, double> published[] = {{0, 2.6}, {0.3, 1.9}, {0.6, 1.4}};
    for (const auto& [zipf, factor] : published) {
        double mean = 0;
        for (std::uint64_t placement = 1; placement <= 6; ++placement) {
            const auto traffic =
                all_to_all(token_matrix(dispatch_tokens(64, zipf, placement)), same);
            mean += ratio(network, traffic, dispatch_settings()) / 6;
        }
        std::printf("  same order, Zipf %.1f: %.3f, published %.1f\n", zipf, mean, factor);
        EXPECT_NEAR(mean / factor, 1, 0.10) << "Zipf " << zipf;
    }
}

// Packets of 4,000 B without header on links of 50 GB/s and 0.5 us, switches of none.
PacketSettings closed_form_packets() {
    PacketSettings settings;
    settings.packet_payload = Bytes(4000);
    settings.packet_header = Bytes(0);
    return settings;
}
const PacketPortSpec kPort{BytesPerSecond(50e9), microseconds(0.5), 0.0};

// On a switch: a message of m takes m / B + packet / B (stored once on the way) + 2 L.
// Ring: 2 (P - 1) messages of S / P; halving and doubling: 2 log2 P messages, 2 (P - 1) / P S.
TEST(PacketClosedForms, AllReduce) {
    const double S = 16e6, B = 50e9, hop = 4000 / B + 1e-6;
    for (const int ranks : {8, 16, 32, 64}) {
        const auto network = switched_planes(ranks, 1, kPort);
        const double ring = 2 * (ranks - 1) * (S / ranks / B + hop);
        const double tree = 2 * std::log2(ranks) * hop + 2 * (ranks - 1.0) / ranks * S / B;
        const auto by_ring =
            run_packets(network, ring_all_reduce(ranks, Bytes(S)), closed_form_packets());
        const auto by_halves = run_packets(network, halving_doubling_all_reduce(ranks, Bytes(S)),
                                           closed_form_packets());
        std::printf("  all-reduce of %d: ring %.6f, halving-doubling %.6f of the closed form\n",
                    ranks, by_ring.time.value() / ring, by_halves.time.value() / tree);
        EXPECT_NEAR(by_ring.time.value() / ring, 1, 0.001);
        EXPECT_NEAR(by_halves.time.value() / tree, 1, 0.001);
    }
}

// Direct all-to-all of m a pair: on a switch (P - 1) m / B, on a mesh m / B, on a ring both ways
// P^2 / 8 m / B (antipodes both ways): each with its latency. Switch and mesh to 0.1 %, a ring to
// 1 %: its last packet need not be one that goes half round.
TEST(PacketClosedForms, AllToAll) {
    const double B = 50e9, m = 400e3;
    for (const int ranks : {8, 16, 32, 64}) {
        const auto traffic = all_to_all(uniform_matrix(ranks, Bytes(m)));
        const auto on_switch =
            run_packets(switched_planes(ranks, 1, kPort), traffic, closed_form_packets());
        const double switch_time = (ranks - 1) * m / B + 4000 / B + 1e-6;
        const auto on_mesh = run_packets(full_mesh(ranks, kPort), traffic, closed_form_packets());
        const double mesh_time = m / B + 0.5e-6;
        PacketSwitchSpec router;
        router.queues = SwitchQueues::shared_memory;
        router.path_choice = PathChoice::round_robin;
        PacketSettings settings = closed_form_packets();
        settings.endpoint.lookahead = ranks;
        const auto ring = ring_of_routers(ranks, kPort, router);
        const auto on_ring =
            run_packets(ring, all_to_all(uniform_matrix(ranks, Bytes(m)), in_walks(100)), settings);
        const double ring_time = ranks * ranks / 8.0 * m / B + ranks / 2.0 * 0.5e-6;
        std::printf("  all-to-all of %d: switch %.6f, mesh %.6f, ring %.6f of the closed form\n",
                    ranks, on_switch.time.value() / switch_time, on_mesh.time.value() / mesh_time,
                    on_ring.time.value() / ring_time);
        EXPECT_NEAR(on_switch.time.value() / switch_time, 1, 0.001);
        EXPECT_NEAR(on_mesh.time.value() / mesh_time, 1, 0.001);
        EXPECT_GE(on_ring.time, coflow_time(ring, traffic, settings) - path_latency(ring, traffic));
        EXPECT_NEAR(on_ring.time.value() / ring_time, 1, 0.01);
    }
}

}  // namespace
}  // namespace podsim
