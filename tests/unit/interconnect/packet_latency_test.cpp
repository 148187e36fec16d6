// Single packets and small groups by hand: serialisation, hops, credits, replay, datelines.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/interconnect/packet_scenes.hpp"

namespace podsim {
namespace {

// 1,000 B at 1 B/ns over two links of 100 ns and a switch of 50 ns. Stored and forwarded:
// 2 x (1,000 + 100) + 50 = 2,250 ns.
TEST(PacketLatency, StoreAndForward) {
    const auto network = switched_planes(2, 1, plain_port(), plain_switch());
    const PacketResult result = run_packets(network, {message(0, 1, 1000)}, plain_packets());
    EXPECT_DOUBLE_EQ(in_nanoseconds(result.time), 2250);
    EXPECT_EQ(result.packets, 1u);
    EXPECT_EQ(result.packet_hops, 2u);
    EXPECT_DOUBLE_EQ(in_nanoseconds(result.latency.most), 2250);
}

// With 24 B of header and cut through: header 24 + 100 + 50, then the packet whole 1,024 + 100:
// 1,298 ns.
TEST(PacketLatency, CutThrough) {
    PacketSwitchSpec spec = plain_switch();
    spec.forwarding = PacketForwarding::cut_through;
    PacketSettings settings = plain_packets();
    settings.packet_header = Bytes(24);
    const auto network = switched_planes(2, 1, plain_port(), spec);
    EXPECT_DOUBLE_EQ(in_nanoseconds(run_packets(network, {message(0, 1, 1000)}, settings).time),
                     24 + 100 + 50 + 1024 + 100);
}

// What cuts through from a slow link into a fast one ends no sooner than its last byte came:
// last byte at the switch 1,000 + 100 + 50, then 100 of link.
TEST(PacketLatency, CutThroughIntoAFasterLink) {
    PacketSwitchSpec spec = plain_switch();
    spec.forwarding = PacketForwarding::cut_through;
    auto network = switched_planes(2, 1, plain_port(), spec);
    for (PacketLink& link : network.links)
        if (link.to == 1) link.bandwidth = BytesPerSecond(10e9);
    EXPECT_DOUBLE_EQ(
        in_nanoseconds(run_packets(network, {message(0, 1, 1000)}, plain_packets()).time),
        1000 + 100 + 50 + 100);
}

// Two links of 0.5 B/ns each into one of 1 B/ns: a packet goes on when so much of it is there that
// its rest comes as fast as it leaves, and does not hold the fast link for as long as the slow ones
// take. Ten packets of each, the last two whole at the switch after 20,150 ns, one a microsecond
// later than the other out of it.
TEST(PacketLatency, CutThroughFromSlowLinksTogether) {
    PacketSwitchSpec spec = plain_switch();
    spec.queues = SwitchQueues::shared_memory;
    spec.forwarding = PacketForwarding::cut_through;
    auto network = switched_planes(3, 1, plain_port(), spec);
    for (PacketLink& link : network.links)
        if (link.from == 0 || link.from == 1) link.bandwidth = BytesPerSecond(0.5e9);
    const PacketTraffic traffic = {message(0, 2, 10000), message(1, 2, 10000)};
    EXPECT_NEAR(in_nanoseconds(run_packets(network, traffic, plain_packets()).time),
                20000 + 150 + 1000 + 100, 1e-3);
}

// Ten packets follow each other at the link's rate: 2,250 + 9 x 1,000.
TEST(PacketLatency, PacketsFollowEachOther) {
    const auto network = switched_planes(2, 1, plain_port(), plain_switch());
    const auto result = run_packets(network, {message(0, 1, 10000)}, plain_packets());
    EXPECT_DOUBLE_EQ(in_nanoseconds(result.time), 11250);
    EXPECT_DOUBLE_EQ(result.payload.value(), 10000);
}

// Packets of 3 bytes at 0.7 B/ns take 4.2857 ns each, which no picosecond holds: 10,000 of them
// take 42,857.1 ns and not 10,000 roundings more.
TEST(PacketLatency, RoundingDoesNotAddUp) {
    PacketSettings settings = plain_packets();
    settings.packet_payload = Bytes(3);
    const auto network = full_mesh(2, {BytesPerSecond(0.7e9), Seconds(0.0), 0.0});
    const auto result = run_packets(network, {message(0, 1, 30000)}, settings);
    EXPECT_NEAR(in_nanoseconds(result.time), 30000 / 0.7, 0.01);
}

// A buffer of one packet at the receiver: the next leaves when the credit is back, one packet and
// two latencies after the last: 1,200 ns each. Ten packets: 9 x 1,200 + 1,100.
TEST(PacketCredits, OneBufferStallsALink) {
    PacketSettings settings = plain_packets();
    settings.endpoint.input_buffer = Bytes(1000);
    const auto network = full_mesh(2, plain_port());
    const auto result = run_packets(network, {message(0, 1, 10000)}, settings);
    EXPECT_DOUBLE_EQ(in_nanoseconds(result.time), 9 * 1200 + 1100);
    EXPECT_DOUBLE_EQ(result.credits_returned.value(), 10000);
    // Two packets of buffer cover the loop of 1.2 packets.
    settings.endpoint.input_buffer = Bytes(2000);
    EXPECT_DOUBLE_EQ(in_nanoseconds(run_packets(network, {message(0, 1, 10000)}, settings).time),
                     10000 + 100);
}

// A pool for the destination of one packet, back 400 ns after delivery: a packet in flight at a
// time, 2,250 + 400 each.
TEST(PacketCredits, OnePoolForAllSenders) {
    PacketSettings settings = plain_packets();
    settings.endpoint.pool = Bytes(1000);
    settings.endpoint.pool_return = nanoseconds(400);
    const auto network = switched_planes(3, 1, plain_port(), plain_switch());
    const auto result = run_packets(network, {message(0, 2, 2000), message(1, 2, 2000)}, settings);
    EXPECT_DOUBLE_EQ(in_nanoseconds(result.time), 3 * 2650 + 2250);
    // First come, first served: one of each source in turn.
    EXPECT_DOUBLE_EQ(in_nanoseconds(result.messages[0]), 2 * 2650 + 2250);
    settings.endpoint.grant = CreditGrant::lowest_source;
    EXPECT_DOUBLE_EQ(
        in_nanoseconds(
            run_packets(network, {message(0, 2, 2000), message(1, 2, 2000)}, settings).messages[0]),
        2650 + 2250);
}

// With errors in nearly every packet each of `retries` replays costs the packet, and the NAK two
// latencies after it: one packet alone is there after 1,100 + retries x (1,000 + 200).
TEST(PacketRetry, OnePacketByHand) {
    auto network = full_mesh(2, plain_port());
    for (PacketLink& link : network.links) link.bit_error_rate = 2e-4;  // 1 - e^-1.6 = 0.798
    std::uint64_t retries = 0;
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        PacketSettings settings = plain_packets();
        settings.seed = seed;
        const auto result = run_packets(network, {message(0, 1, 1000)}, settings);
        const auto its = static_cast<double>(result.links[0].retries);
        EXPECT_DOUBLE_EQ(in_nanoseconds(result.time), 1100 + 1200 * its);
        EXPECT_DOUBLE_EQ(result.links[0].replayed.value(), 1000 * its);
        EXPECT_DOUBLE_EQ(result.links[0].wire.value(), 1000);
        retries += result.links[0].retries;
    }
    EXPECT_GT(retries, 10u);  // 0.798 / 0.202 = 4 a packet are expected
}

// Go back N. Spoilt with p = 1 - (1 - 1e-6)^8000 = 0.00797, a packet of a long row costs the
// packets sent until its NAK: 1 + 200 / 1,000, those under way whole: 1.2 to 2 packets each.
TEST(PacketRetry, ALongRowLosesTheLoop) {
    auto network = full_mesh(2, plain_port());
    for (PacketLink& link : network.links) link.bit_error_rate = 1e-6;
    const auto result = run_packets(network, {message(0, 1, 20e6)}, plain_packets());
    const double p = 0.007968, packets = 20000;
    const auto retries = static_cast<double>(result.links[0].retries);
    EXPECT_NEAR(retries, packets * p, 4 * std::sqrt(packets * p));
    EXPECT_GE(in_nanoseconds(result.time), packets * 1000 + 1200 * retries);
    EXPECT_LE(in_nanoseconds(result.time), packets * 1000 + 2100 * retries + 100);
    EXPECT_GE(result.links[0].replayed.value(), 1000 * retries);
}

TEST(PacketRetry, NoErrorsNoRetries) {
    const auto network = switched_planes(4, 1, plain_port(), plain_switch());
    const auto result =
        run_packets(network, all_to_all(uniform_matrix(4, Bytes(5000))), plain_packets());
    for (const PacketLinkUse& link : result.links) EXPECT_EQ(link.retries, 0u);
}

// Of messages that enter at 5 us and wait for another, the later decides.
TEST(PacketMessages, EntryAndOrder) {
    const auto network = full_mesh(3, plain_port());
    PacketTraffic traffic{message(0, 1, 1000), message(1, 2, 1000), message(2, 0, 1000)};
    traffic[1].after = {0};
    traffic[2].entry = nanoseconds(5000);
    traffic[2].after = {1};
    PacketSettings settings = plain_packets();
    settings.endpoint.handling = nanoseconds(30);
    const auto result = run_packets(network, traffic, settings);
    EXPECT_DOUBLE_EQ(in_nanoseconds(result.messages[0]), 1100);
    EXPECT_DOUBLE_EQ(in_nanoseconds(result.messages[1]), 2230);
    EXPECT_DOUBLE_EQ(in_nanoseconds(result.messages[2]), 6100);
    EXPECT_DOUBLE_EQ(in_nanoseconds(result.endpoints[2]), 2230);
}

// Results do not depend on how far the kernel's clock lags behind.
TEST(PacketEngineTest, QuantumChangesNothing) {
    const auto network = dispatch_network(16);
    const auto traffic = all_to_all(token_matrix(dispatch_tokens(16, 0.6)));
    PacketSettings settings;
    settings.endpoint.pool = Bytes(100e3);
    settings.quantum = Seconds(0.0);
    const auto exact = run_packets(network, traffic, settings);
    settings.quantum = microseconds(10);
    const auto lagging = run_packets(network, traffic, settings);
    const auto again = run_packets(network, traffic, settings);
    EXPECT_EQ(exact.messages, lagging.messages);
    EXPECT_EQ(again.messages, lagging.messages);
    EXPECT_EQ(exact.events, lagging.events);
}

}  // namespace
}  // namespace podsim
