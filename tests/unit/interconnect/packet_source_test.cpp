// In which order a sender's packets leave, and which of equal ways they take.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <vector>

#include "interconnect/fullest_link.hpp"
#include "interconnect/packet/source_queue.hpp"
#include "interconnect/packet_bound.hpp"
#include "interconnect/packet_pieces.hpp"
#include "tests/unit/interconnect/packet_scenes.hpp"

namespace podsim {
namespace {

using testing::ElementsAre;
using testing::Pair;

// A queue by itself, with its time.
struct Alone {
    Alone(SourceQueues kind, int lookahead) : queue(kind, lookahead) {}
    void put(std::uint64_t line, std::uint32_t message, std::uint32_t bytes) {
        queue.put(line, message, bytes, now);
    }
    SourceQueue queue;
    double now = 0;
};

// (message, bytes) of each packet of 1,000 B; those of `held` may not go.
std::vector<std::pair<unsigned, unsigned>> drain(Alone& one, unsigned held = ~0U) {
    std::vector<std::pair<unsigned, unsigned>> packets;
    std::uint32_t message = 0, bytes = 0;
    const auto goes = [&](std::uint32_t number, std::uint32_t) { return number != held; };
    while (one.queue.take(1000, goes, message, bytes, one.now))
        packets.emplace_back(message, bytes);
    return packets;
}

// Two destinations in turn; the second message of one waits for its first.
TEST(PacketSourceQueue, DestinationsTakeTurns) {
    Alone queue(SourceQueues::per_destination, 1);
    queue.put(7, 0, 2500);
    queue.put(9, 1, 1000);
    queue.put(7, 2, 500);
    EXPECT_EQ(queue.queue.messages(), 3U);
    EXPECT_THAT(drain(queue), ElementsAre(Pair(0, 1000), Pair(1, 1000), Pair(0, 1000), Pair(0, 500),
                                          Pair(2, 500)));
    EXPECT_TRUE(queue.queue.empty());
    // A destination without credits holds up nobody but itself.
    queue.put(7, 3, 1000);
    queue.put(9, 4, 2000);
    EXPECT_THAT(drain(queue, 3), ElementsAre(Pair(4, 1000), Pair(4, 1000)));
    EXPECT_THAT(drain(queue), ElementsAre(Pair(3, 1000)));
}

// 3,000 B to one and 1,000 B to the other: three packets of one beside one of the other.
TEST(PacketSourceQueue, InProportionToTheBytes) {
    Alone queue(SourceQueues::per_destination, 1);
    queue.put(7, 0, 6000);
    queue.put(9, 1, 2000);
    EXPECT_THAT(drain(queue),
                ElementsAre(Pair(0, 1000), Pair(1, 1000), Pair(0, 1000), Pair(0, 1000),
                            Pair(1, 1000), Pair(0, 1000), Pair(0, 1000), Pair(0, 1000)));
}

// By the queues' time, in which a message takes one unit: of 4,000 and 2,000 B the next are due at
// 1/4 and 1/2; a queue without messages never.
TEST(PacketSourceQueue, Due) {
    Alone queue(SourceQueues::per_destination, 1);
    EXPECT_EQ(queue.queue.due(), std::numeric_limits<double>::infinity());
    queue.put(7, 0, 4000);
    queue.put(9, 1, 2000);
    std::uint32_t message = 0, bytes = 0;
    const auto goes = [](std::uint32_t, std::uint32_t) { return true; };
    for (const double next : {0.0, 0.25, 0.5, 0.5}) {
        ASSERT_TRUE(queue.queue.take(1000, goes, message, bytes, queue.now));
        EXPECT_EQ(queue.queue.due(), next);
    }
    EXPECT_EQ(queue.now, 0.5);
    // Who comes now begins now.
    queue.put(11, 2, 1000);
    EXPECT_EQ(queue.queue.due(), 0.5);
}

TEST(PacketSourceQueue, OneAfterTheOther) {
    Alone queue(SourceQueues::one, 2);
    queue.put(7, 0, 1500);
    queue.put(9, 1, 1000);
    queue.put(9, 2, 1000);
    EXPECT_THAT(drain(queue, 0), ElementsAre(Pair(1, 1000), Pair(2, 1000)));
    EXPECT_THAT(drain(queue), ElementsAre(Pair(0, 1000), Pair(0, 500)));
}

// By hand: a sender of 1 B/ns, 10 kB to each of two receivers whose ports take half as much, both
// over one switch. One after the other the second receiver waits for the 10 us that the first one's
// bytes take to leave; in turn both are fed at 0.5 B/ns from the start, a packet apart.
TEST(PacketSource, QueuesFeedSlowPortsTogether) {
    PacketSwitchSpec shared = plain_switch();
    shared.queues = SwitchQueues::shared_memory;
    PacketNetworkSpec network = switched_planes(3, 1, plain_port(), shared);
    for (PacketLink& link : network.links)
        if (link.to == 1 || link.to == 2) link.bandwidth = BytesPerSecond(0.5e9);
    PacketSettings settings = plain_packets();
    const PacketTraffic traffic = {message(0, 1, 10000), message(0, 2, 10000)};
    EXPECT_NEAR(in_nanoseconds(run_packets(network, traffic, settings).time),
                10000 + 1000 + 250 + 20000, 1);
    settings.endpoint.queues = SourceQueues::per_destination;
    EXPECT_NEAR(in_nanoseconds(run_packets(network, traffic, settings).time), 2000 + 250 + 20000,
                1);
}

// Of two uplinks a pair's messages all take one, which the seed decides; pieces decide for
// themselves.
TEST(PacketSource, HashesOfPairs) {
    PacketSwitchSpec spec = plain_switch();
    spec.path_choice = PathChoice::hash_message;
    const auto network = leaf_spine(4, 2, 2, plain_port(), plain_port(), spec);
    PacketTraffic traffic = {message(0, 2, 5000), message(0, 2, 5000), message(0, 2, 5000)};
    const auto used = [&](std::uint64_t seed) {
        PacketSettings settings = plain_packets();
        settings.seed = seed;
        const PacketResult result = run_packets(network, traffic, settings);
        std::vector<double> uplinks;
        for (std::size_t l = 0; l < result.links.size(); ++l) {
            const std::string& to =
                network.nodes[static_cast<std::size_t>(network.links[l].to)].name;
            if (to.rfind("spines", 0) == 0 && result.links[l].wire > Bytes(0.0))
                uplinks.push_back(static_cast<double>(network.links[l].to));
        }
        return uplinks;
    };
    std::map<double, int> chosen;
    int parted = 0;
    for (std::uint64_t seed = 1; seed <= 64; ++seed) {
        const auto one = used(seed);
        ASSERT_EQ(one.size(), 1U);
        EXPECT_EQ(one, used(seed));
        ++chosen[one.front()];
    }
    ASSERT_EQ(chosen.size(), 2U);
    for (const auto& [uplink, times] : chosen) EXPECT_GE(times, 20);  // 32 +- 4
    for (int i = 0; i < 3; ++i) traffic[static_cast<std::size_t>(i)].piece = i % 2;
    for (std::uint64_t seed = 1; seed <= 64; ++seed) parted += used(seed).size() == 2;
    EXPECT_NEAR(parted, 32, 12);
}

// Hashed pieces of eight flows over eight uplinks: with 1, 4 and 16 pieces a flow the fullest of
// eight has 2.595, 1.759 and 1.371 of the mean (multinomial, counted over 20,000 draws), the mean
// of seeds as much, and as much by the factor that routes put on the fullest link.
TEST(PacketSource, CollisionsOverSeeds) {
    PacketSwitchSpec spec = plain_switch();
    spec.queues = SwitchQueues::shared_memory;
    spec.path_choice = PathChoice::hash_message;
    const auto network = leaf_spine(16, 8, 8, plain_port(), plain_port(), spec);
    PacketTraffic flows;
    for (int i = 0; i < 8; ++i) flows.push_back(message(i, 8 + i, 160e3));
    for (const auto& [pieces, fullest] : {std::pair{1L, 2.595}, {4L, 1.759}, {16L, 1.371}}) {
        const PacketTraffic traffic = in_pieces(flows, pieces, Bytes(1e9));
        double sum = 0;
        constexpr int kSeeds = 48;
        for (int seed = 1; seed <= kSeeds; ++seed) {
            PacketSettings settings = plain_packets();
            settings.endpoint.queues = SourceQueues::per_destination;
            settings.seed = static_cast<std::uint64_t>(seed);
            sum += run_packets(network, traffic, settings).time.value() / 160e-6;
        }
        const double factor = fullest_link(static_cast<double>(8 * pieces), 8);
        std::printf("  %ld pieces: %.3f, by the factor %.3f\n", pieces, sum / kSeeds, factor);
        EXPECT_NEAR(sum / kSeeds / fullest, 1, 0.06) << pieces;
        EXPECT_NEAR(factor / fullest, 1, 0.015) << pieces;
    }
}

}  // namespace
}  // namespace podsim
