// Switches: head-of-line blocking, arbitration, planes, classes, marks; and what stands still.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.hpp"
#include "interconnect/packet_bound.hpp"
#include "tests/unit/interconnect/packet_scenes.hpp"

namespace podsim {
namespace {

// Each of `ports` endpoints sends `packets` packets, each to a random other port.
double saturation(SwitchQueues queues, int ports, int packets) {
    PacketSwitchSpec spec;
    spec.queues = queues;
    const auto network = switched_planes(ports, 1, {BytesPerSecond(1e9), Seconds(0.0), 0.0}, spec);
    PacketTraffic traffic;
    for (int i = 0; i < ports; ++i) {
        for (int k = 0; k < packets; ++k) {
            const auto draw = random_bits(7, i, k) % static_cast<std::uint64_t>(ports - 1);
            traffic.push_back(message(i, (i + 1 + static_cast<int>(draw)) % ports, 1000));
        }
    }
    const auto result = run_packets(network, traffic, plain_packets());
    // Of the first half of the time only: at the end inputs run dry.
    double delivered = 0;
    const double half = packets * 1000.0;
    for (const Seconds at : result.messages) delivered += in_nanoseconds(at) <= half ? 1 : 0;
    return delivered * 1000 / half / ports;
}

// Input queues with a single row give 2 - sqrt 2 = 58.6 % of a large switch (Karol, Hluchyj and
// Morgan, IEEE Trans. Communications 35(12), 1987), 60 % at 32 ports; a row for each output nearly
// all, up to what a finite run of random destinations leaves uneven.
TEST(PacketSwitchTest, HeadOfLineBlocking) {
    const double single_row = saturation(SwitchQueues::input_queued, 64, 600);
    EXPECT_NEAR(single_row, 0.586, 0.02);
    EXPECT_GT(saturation(SwitchQueues::virtual_output_queued, 64, 600), 0.90);
    EXPECT_GT(saturation(SwitchQueues::shared_memory, 64, 600), 0.90);
}

// Small buffers behind outputs and packets of any size: an output without credits for the large one
// in front stays free, and another input takes the output that was asked first. An input that is
// free asks each output once; a draw such as the seventeenth kept on asking for ever.
TEST(PacketSwitchTest, AsksEachOutputOnce) {
    for (int draw = 0; draw < 40; ++draw) {
        const auto any = [&](int what, int n) {
            return static_cast<int>(random_bits(99, draw, what) % static_cast<std::uint64_t>(n));
        };
        const int ports = 4 + any(0, 3);
        PacketSwitchSpec spec;
        spec.queues = SwitchQueues::virtual_output_queued;
        spec.arbitration =
            any(1, 2) > 0 ? SwitchArbitration::round_robin : SwitchArbitration::oldest_first;
        PacketSettings settings;
        settings.packet_payload = Bytes(1000.0);
        settings.packet_header = Bytes(10.0);
        settings.endpoint.input_buffer = Bytes(1010.0 + any(2, 1500));
        settings.endpoint.lookahead = 1 + any(5, 8);
        PacketTraffic traffic;
        for (int i = 0; i < ports; ++i) {
            for (int k = 0; k < 12; ++k) {
                traffic.push_back(message(i, (i + 1 + any(100 + i * 50 + k, ports - 1)) % ports,
                                          1 + any(1000 + i * 50 + k, 1000)));
            }
        }
        const PacketPortSpec port{BytesPerSecond(1e9), nanoseconds(100 + any(3, 2000)), 0.0};
        const auto result = run_packets(switched_planes(ports, 1, port, spec), traffic, settings);
        EXPECT_EQ(result.delivered, result.injected);
    }
}

// Three inputs fill one output: turn by turn all end within a packet of each other; by age, the
// one that came first is through before the others.
TEST(PacketSwitchTest, Arbitration) {
    PacketTraffic traffic;
    for (int i = 0; i < 3; ++i) {
        traffic.push_back(message(i, 3, 10000));
        traffic.back().entry = nanoseconds(500 * i);
    }
    PacketSwitchSpec spec = plain_switch();
    const auto in_turn =
        run_packets(switched_planes(4, 1, plain_port(), spec), traffic, plain_packets());
    EXPECT_LE(in_nanoseconds(in_turn.messages[2] - in_turn.messages[0]), 3000);
    spec.arbitration = SwitchArbitration::oldest_first;
    const auto by_age =
        run_packets(switched_planes(4, 1, plain_port(), spec), traffic, plain_packets());
    // A packet a nanosecond comes from each: by age they come out as they came in, thirty in a row.
    EXPECT_DOUBLE_EQ(in_nanoseconds(by_age.time), 2250 + 29 * 1000);
    EXPECT_LT(in_nanoseconds(by_age.messages[0]), in_nanoseconds(by_age.messages[1]));
    EXPECT_LT(in_nanoseconds(by_age.messages[1]), in_nanoseconds(by_age.messages[2]));
    EXPECT_DOUBLE_EQ(in_nanoseconds(in_turn.time), in_nanoseconds(by_age.time));
}

// Two inputs of 1 B/ns into one output: a packet comes more than goes every 1,000 ns; of 10 + 10,
// ten wait at the end of sending, the one in transmission apart.
TEST(PacketSwitchTest, DeepestQueue) {
    const auto network = switched_planes(3, 1, plain_port(), plain_switch());
    const auto result =
        run_packets(network, {message(0, 2, 10000), message(1, 2, 10000)}, plain_packets());
    double deepest = 0;
    for (const PacketLinkUse& link : result.links)
        deepest = std::max(deepest, link.deepest_queue.value());
    EXPECT_NEAR(deepest, 10000, 1000);
}

// Four planes of a quarter each, a packet to whichever is free: as one plane of all, to a packet.
TEST(PacketPlanes, SprayHashAndDeath) {
    PacketPortSpec quarter = plain_port();
    quarter.bandwidth /= 4;
    auto network = switched_planes(8, 4, quarter, plain_switch());
    PacketSettings settings = plain_packets();
    const auto traffic = all_to_all(uniform_matrix(8, Bytes(40000)));
    const double bound = 7 * 40000;
    EXPECT_NEAR(in_nanoseconds(run_packets(network, traffic, settings).time), bound, 0.04 * bound);
    settings.endpoint.path_choice = PathChoice::round_robin;
    EXPECT_NEAR(in_nanoseconds(run_packets(network, traffic, settings).time), bound, 0.04 * bound);
    // By messages: seven over four planes, two of which at least share one.
    settings.endpoint.path_choice = PathChoice::hash_message;
    const auto hashed = run_packets(network, traffic, settings);
    EXPECT_GE(in_nanoseconds(hashed.time), 2 * 4 * 40000);
    // One dead: three quarters of the rate, and nothing goes there.
    degrade_plane(network, 2, 0);
    settings.endpoint.path_choice = PathChoice::least_queued;
    const auto three = run_packets(network, traffic, settings);
    EXPECT_NEAR(in_nanoseconds(three.time), bound * 4 / 3, 0.04 * bound);
    for (std::size_t l = 0; l < network.links.size(); ++l) {
        if (network.links[l].dead) {
            EXPECT_EQ(three.links[l].packets, 0u);
        }
    }
}

TEST(PacketPlanes, NoWayNamesThePair) {
    auto network = switched_planes(4, 1, plain_port(), plain_switch());
    for (PacketLink& link : network.links) link.dead = link.dead || link.to == 2;
    EXPECT_THAT([&] { run_packets(network, {message(0, 2, 1000)}, plain_packets()); },
                testing::ThrowsMessage<std::invalid_argument>(
                    testing::AllOf(testing::HasSubstr("no route from chip0 to chip2"))));
    EXPECT_NO_THROW(run_packets(network, {message(0, 3, 1000)}, plain_packets()));
}

// Everybody asks everybody, with room for two responses at an endpoint and for two packets in
// every buffer. On one channel requests keep responses from arriving: it locks up. On two it runs.
TEST(PacketClasses, RequestsAndResponses) {
    PacketSwitchSpec spec = plain_switch();
    spec.input_buffer = Bytes(2000);
    const auto network = switched_planes(6, 1, plain_port(), spec);
    PacketTraffic traffic = all_to_all(uniform_matrix(6, Bytes(8000)));
    const std::size_t requests = traffic.size();
    for (std::size_t r = 0; r < requests; ++r) {
        PacketMessage answer = message(traffic[r].destination, traffic[r].source, 8000);
        answer.message_class = MessageClass::response;
        answer.after = {static_cast<int>(r)};
        traffic.push_back(answer);
    }
    PacketSettings settings = plain_packets();
    settings.endpoint.input_buffer = Bytes(2000);
    settings.endpoint.response_limit = 2;
    const auto result = run_packets(network, traffic, settings);
    EXPECT_EQ(result.injected, (std::vector<std::uint64_t>{240, 240}));
    EXPECT_EQ(result.injected, result.delivered);
    settings.separate_classes = false;
    EXPECT_THAT([&] { run_packets(network, traffic, settings); },
                testing::ThrowsMessage<std::runtime_error>(testing::HasSubstr("stands still")));
}

// A ring of buffers without an end locks up; a dateline gives it one.
TEST(PacketRing, DatelinesKeepItGoing) {
    PacketSwitchSpec spec = plain_switch();
    spec.queues = SwitchQueues::input_queued;
    spec.input_buffer = Bytes(1000);
    auto network = ring_of_routers(8, plain_port(), spec);
    const auto traffic = all_to_all(uniform_matrix(8, Bytes(20000)));
    const auto result = run_packets(network, traffic, plain_packets());
    EXPECT_GE(result.time, coflow_time(network, traffic, plain_packets()));
    for (PacketLink& link : network.links) link.dateline = false;
    EXPECT_THAT(
        [&] { run_packets(network, traffic, plain_packets()); },
        testing::ThrowsMessage<std::runtime_error>(testing::HasSubstr("waits for credits")));
}

// Chip 1 reaches chip 2 over two switches, chip 0 over the second of them. By hand, stored: chip
// 0's first packets take 1,150 to 3,150 ns of the last link; what comes through is there at 2,300
// and, going first, ends 10 us after 3,150; in turn both end after 20 packets.
TEST(PacketSwitchArbitration, TransitFirst) {
    for (const bool transit : {true, false}) {
        PacketSwitchSpec spec = plain_switch();
        spec.queues = SwitchQueues::shared_memory;
        if (transit) spec.arbitration = SwitchArbitration::transit_first;
        PacketNetworkSpec network;
        for (const char* name : {"chip0", "chip1", "chip2"}) network.add_endpoint(name);
        const int near = network.add_switch("near", spec), far = network.add_switch("far", spec);
        for (const auto& [from, to] : {std::pair{0, far}, {1, near}, {near, far}, {far, 2}})
            network.add_link(from, to, plain_port().bandwidth, plain_port().latency);
        route_shortest(network);
        const PacketResult result =
            run_packets(network, {message(0, 2, 10000), message(1, 2, 10000)}, plain_packets());
        EXPECT_NEAR(in_nanoseconds(result.messages[1]), transit ? 13250 : 21250, 1e-3);
        EXPECT_NEAR(in_nanoseconds(result.time), 21250, 1e-3);
    }
}

// Seven senders to one: with marks and cuts the switch holds less, and the time stays what the
// port allows, within a tenth.
TEST(PacketCongestion, MarksKeepQueuesShort) {
    PacketSwitchSpec spec = plain_switch();
    spec.mark_above = Bytes(20000);
    const auto network = switched_planes(8, 1, plain_port(), spec);
    PacketTraffic traffic;
    for (int i = 1; i < 8; ++i) traffic.push_back(message(i, 0, 1e6));
    PacketSettings settings = plain_packets();
    const auto without = run_packets(network, traffic, settings);
    settings.endpoint.congestion.cut = 0.5;
    settings.endpoint.congestion.interval = nanoseconds(10000);
    settings.endpoint.congestion.acknowledge = nanoseconds(300);
    const auto with = run_packets(network, traffic, settings);
    const auto deepest = [](const PacketResult& result) {
        double most = 0;
        for (const PacketLinkUse& link : result.links)
            most = std::max(most, link.deepest_queue.value());
        return most;
    };
    EXPECT_GT(with.marked, 0u);
    EXPECT_NEAR(deepest(without), 6e6, 0.1e6);
    EXPECT_LT(deepest(with), 0.05 * deepest(without));
    EXPECT_LT(with.time, 1.1 * without.time);
}

TEST(PacketInput, WhatIsRefused) {
    const auto network = full_mesh(3, plain_port());
    const auto refused = [&](const PacketTraffic& traffic, const PacketSettings& settings,
                             const char* why) {
        EXPECT_THAT([&] { run_packets(network, traffic, settings); },
                    testing::ThrowsMessage<std::invalid_argument>(testing::HasSubstr(why)));
    };
    refused({message(1, 1, 10)}, plain_packets(), "to itself");
    refused({message(0, 3, 10)}, plain_packets(), "not there");
    refused({message(0, 1, 0)}, plain_packets(), "size");
    PacketTraffic circle{message(0, 1, 10), message(1, 0, 10)};
    circle[0].after = {1};
    circle[1].after = {0};
    refused(circle, plain_packets(), "waits for itself");
    PacketSettings settings = plain_packets();
    settings.endpoint.pool = Bytes(10);
    refused({message(0, 1, 10)}, settings, "smaller than a packet");
    auto twice = network;
    twice.nodes[1].name = "chip0";
    EXPECT_THROW(run_packets(twice, {}, plain_packets()), std::invalid_argument);
    // And after all of them a run is as ever.
    EXPECT_DOUBLE_EQ(
        in_nanoseconds(run_packets(network, {message(0, 1, 1000)}, plain_packets()).time), 1100);
}

}  // namespace
}  // namespace podsim
