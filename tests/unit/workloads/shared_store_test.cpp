// Memory that replicas share: what one has written is a hit for another, once it has arrived.
#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "tests/unit/workloads/serving_cases.hpp"
#include "workloads/serving/shared_store.hpp"

namespace podsim {
namespace {

using Names = std::vector<std::uint64_t>;

CacheTierSpec tier_of(long blocks, double bandwidth, double latency = 0) {
    CacheTierSpec tier;
    tier.name = "pool";
    tier.blocks = blocks;
    tier.bandwidth = BytesPerSecond(bandwidth);
    tier.latency = Seconds(latency);
    return tier;
}

// A token of 1 kB: over a group's ports in 1 ms in, 0.5 ms out; two ranks hold it all, so that
// the memory gives 2 kB.
SharedPath path_of() {
    return {Seconds(1e-3), Seconds(0.5e-3), Bytes(2000)};
}

// Two replicas that prompts go to in turn, 51 ms for a prompt of 50 tokens; a chip's memory of one
// replica holds what it runs.
ServingCase two_replicas(bool shared) {
    ServingCase serving =
        one_pool([](const StepLoad& load) { return Seconds(1e-3 + 1e-3 * load.prefill_tokens); });
    serving.kv_per_token = Bytes(1000);
    serving.routing = Routing::round_robin;
    serving.pools[0].replicas = 2;
    if (!shared) return serving;
    serving.shared_tiers = {tier_of(100, 1e6, 0.010)};
    serving.pools[0].shared = path_of();
    return serving;
}

Names same_blocks(long) {
    return {100, 101, 102};
}

// The first replica reads 50 tokens in 51 ms and writes 48 of them: 48 kB over 1 MB/s are 48 ms,
// longer than 24 ms over its port, and 10 ms of latency. The second one, at 1 s, has them after 96
// kB over 1 MB/s, longer than 48 ms over the port, and 10 ms, and then computes two.
TEST(SharedStore, WhatOneReplicaWroteIsAHitForAnother) {
    for (const bool shared : {false, true}) {
        const ServingCase serving = two_replicas(shared);
        RequestStream stream = listed({{0.0, 50, 1}, {1.0, 50, 1}}, 16, same_blocks);
        const ServingOutcome out = simulate_serving(serving, stream);
        EXPECT_EQ(out.cached_tokens, shared ? 48 : 0);
        EXPECT_EQ(out.pools[0].shared_tokens, shared ? 48 : 0);
        EXPECT_EQ(out.pools[0].tier_tokens, shared ? 48 : 0);
        EXPECT_NEAR(out.span, 1.0 + (shared ? 0.096 + 0.010 + 0.003 : 0.051), 1e-9);
        if (!shared) continue;
        ASSERT_EQ(out.shared.size(), 1);
        EXPECT_EQ(out.shared[0].written_tokens, 48);
        EXPECT_EQ(out.shared[0].written_bytes, 48e3);
        EXPECT_EQ(out.shared[0].read_tokens, 48);
        EXPECT_EQ(out.shared[0].read_bytes, 96e3);
        EXPECT_NEAR(out.shared[0].busy, 0.048 + 0.096, 1e-9);
        EXPECT_EQ(out.shared[0].peak_blocks, 3);
    }
}

// Read at 0.051 s, written by 0.109 s: a prompt that comes at 0.1 s finds nothing, one at 0.11 s
// all.
TEST(SharedStore, BlocksAreThereOnceTheyHaveArrived) {
    for (const double second : {0.1, 0.11}) {
        const ServingCase serving = two_replicas(true);
        RequestStream stream = listed({{0.0, 50, 1}, {second, 50, 1}}, 16, same_blocks);
        EXPECT_EQ(simulate_serving(serving, stream).cached_tokens, second > 0.109 ? 48 : 0);
    }
}

// A memory of ten times the rate: the ports are what is waited for, 48 ms in.
TEST(SharedStore, AGroupPullsWhatItsPortsPull) {
    ServingCase serving = two_replicas(true);
    serving.shared_tiers[0].bandwidth = BytesPerSecond(1e7);
    RequestStream stream = listed({{0.0, 50, 1}, {1.0, 50, 1}}, 16, same_blocks);
    EXPECT_NEAR(simulate_serving(serving, stream).span, 1.0 + 0.048 + 0.010 + 0.003, 1e-9);
}

// Three replicas ask at once for what the first of four has written: 96 ms each of the one memory,
// in turn, though each has a port of its own.
TEST(SharedStore, TheRateIsOfAllTogether) {
    ServingCase serving = two_replicas(true);
    serving.pools[0].replicas = 4;
    RequestStream stream =
        listed({{0.0, 50, 1}, {1.0, 50, 1}, {1.0, 50, 1}, {1.0, 50, 1}}, 16, same_blocks);
    const ServingOutcome out = simulate_serving(serving, stream);
    EXPECT_NEAR(out.span, 1.0 + 3 * 0.096 + 0.010 + 0.003, 1e-9);
    EXPECT_NEAR(out.time_to_first_token.mean, (0.051 + (1 + 2 + 3) * 0.096 + 3 * 0.013) / 4, 1e-6);
}

// Both pools of a deployment share it: who writes the answer writes its blocks too, and the next
// turn is read without them by who reads prompts.
TEST(SharedStore, AnswersOfADecodePoolAreReadByAPrefillPool) {
    ServingCase serving = two_replicas(true);
    serving.pools[0].replicas = 1;
    serving.pools[0].role = PoolRole::prefill;
    serving.pools.push_back(serving.pools[0]);
    serving.pools[1].role = PoolRole::decode;
    for (ServingPool& pool : serving.pools) pool.link = BytesPerSecond(1e9);
    RequestStream stream = listed({{0.0, 32, 16}, {5.0, 64, 1}}, 16, [](long i) {
        return i == 0 ? Names{100, 101} : Names{100, 101, 102, 103};
    });
    const auto next = stream.next;
    stream.next = [next](Request& request) {
        if (!next(request)) return false;
        if (request.output_tokens == 16) request.reply_blocks = {102};
        return true;
    };
    const ServingOutcome out = simulate_serving(serving, stream);
    // The prompt is in the reader's own memory, the answer comes up from what both share.
    EXPECT_EQ(out.cached_tokens, 48);
    EXPECT_EQ(out.pools[0].shared_tokens, 16);
}

// Room for two blocks: the last ones used stay, and of a prompt its beginning.
TEST(SharedStore, GivesWayByLastUse) {
    SharedStore store({tier_of(2, 1e9)}, 16, Bytes(1000));
    SharedPort port(store, path_of(), 1);
    port.write(Names{1, 2}, 0, Seconds(0.0));
    EXPECT_EQ(port.found(Names{1, 2}, Seconds(1.0)), 2);
    port.write(Names{5, 6, 7}, 0, Seconds(2.0));
    EXPECT_EQ(port.found(Names{1, 2}, Seconds(3.0)), 0);
    EXPECT_EQ(port.found(Names{5, 6, 7}, Seconds(3.0)), 2);
}

TEST(SharedStore, TimeToLiveEndsABlock) {
    CacheTierSpec tier = tier_of(10, 1e9);
    tier.time_to_live = Seconds(5.0);
    SharedStore store({tier}, 16, Bytes(1000));
    SharedPort port(store, path_of(), 1);
    port.write(Names{1, 2}, 0, Seconds(0.0));
    EXPECT_EQ(port.found(Names{1, 2}, Seconds(4.0)), 2);
    EXPECT_EQ(port.found(Names{1, 2}, Seconds(6.0)), 0);
}

// Two that write the same prefix at once: its blocks go there once.
TEST(SharedStore, WhatIsOnItsWayIsNotWrittenAgain) {
    SharedStore store({tier_of(10, 1e6)}, 16, Bytes(1000));
    SharedPort a(store, path_of(), 1), b(store, path_of(), 1);
    a.write(Names{1, 2}, 0, Seconds(0.0));
    b.write(Names{1, 2, 3}, 0, Seconds(0.001));
    (void)a.found(Names{1}, Seconds(1.0));
    EXPECT_EQ(store.outcome(1, 1)[0].written_tokens, 3 * 16);
    EXPECT_EQ(a.found(Names{1, 2, 3}, Seconds(1.0)), 3);
}

// Below a first tier of two blocks lies another: what gives way there comes up from it, at its
// rate.
TEST(SharedStore, TiersOfItLieBelowEachOther) {
    SharedStore store({tier_of(2, 1e9), tier_of(10, 1e6)}, 16, Bytes(1000));
    SharedPort port(store, {Seconds(0.0), Seconds(0.0), Bytes(1000)}, 1);
    port.write(Names{1, 2}, 0, Seconds(0.0));
    port.write(Names{5, 6}, 0, Seconds(1.0));
    ASSERT_EQ(port.found(Names{1, 2}, Seconds(2.0)), 2);
    // 32 tokens of 1 kB over 1 MB/s.
    EXPECT_NEAR(port.read(Names{1, 2}, 0, Seconds(2.0)).value(), 2.032, 1e-9);
    EXPECT_EQ(store.outcome(3, 1)[1].read_tokens, 32);
}

// Sessions of random replicas over a memory too small for them: whatever is read was written
// before, and what engines compute is what they did not find.
TEST(SharedStore, NothingIsReadThatWasNotWritten) {
    SharedStore store({tier_of(20, 1e6)}, 16, Bytes(1000));
    std::vector<SharedPort> ports(4, SharedPort(store, path_of(), 1));
    std::set<std::uint64_t> written;
    for (std::uint64_t i = 0; i < 2000; ++i) {
        const Seconds now(0.05 * static_cast<double>(i));
        const std::uint64_t session = 1 + random_bits(3, i) % 9, turns = 1 + random_bits(4, i) % 6;
        Names names(turns);
        std::iota(names.begin(), names.end(), session * 1000);
        SharedPort& port = ports[random_bits(5, i) % 4];
        const long found = port.found(names, now);
        for (long k = 0; k < found; ++k)
            EXPECT_EQ(written.count(names[static_cast<std::size_t>(k)]), 1);
        const auto here = std::span(names).first(static_cast<std::size_t>(found));
        EXPECT_TRUE(found == 0 || port.read(here, 0, now) > now);
        port.write(names, 0, now);
        written.insert(names.begin(), names.end());
    }
    const SharedTierOutcome out = store.outcome(100, 4)[0];
    EXPECT_GT(out.read_tokens, 0);
    EXPECT_LE(out.peak_blocks, 20);
    EXPECT_LE(out.read_bytes + out.written_bytes, 1e6 * out.busy * (1 + 1e-9));
}

// A conversation that a host keeps: 48 tokens over 1 MB/s come up in 48 ms, while another one
// decodes a token a millisecond. Who waits for the cache waits alone, unless the engine fetches in
// its step.
TEST(SharedStore, WhoWaitsForACacheHoldsNobodyUp) {
    for (const bool in_step : {false, true}) {
        ServingCase serving = one_pool(
            [](const StepLoad& load) { return Seconds(1e-3 + 1e-3 * load.prefill_tokens); });
        serving.kv_per_token = Bytes(1000);
        serving.pools[0].kv_blocks = 20;
        serving.pools[0].tiers = {tier_of(100, 1e6)};
        serving.pools[0].fetches_in_step = in_step;
        // The first prompt's three blocks give way to the second's twenty.
        RequestStream stream =
            listed({{0.0, 50, 1}, {1.0, 310, 1}, {2.0, 9, 100}, {2.0205, 50, 1}}, 16, [](long i) {
                if (i == 1) {
                    Names names(19);
                    std::iota(names.begin(), names.end(), 100);
                    return names;
                }
                return i == 2 ? Names{} : Names{1, 2, 3};
            });
        const ServingOutcome out = simulate_serving(serving, stream);
        EXPECT_EQ(out.pools[0].tier_tokens, 48);
        // The third one writes 99 tokens in as many steps of 1 ms, one of which reads two tokens.
        EXPECT_NEAR(out.span, 2.0 + 0.010 + 99 * 0.001 + 0.002 + (in_step ? 0.048 : 0), 1e-9);
        // The fourth: until the end of the step under way, 48 ms, which end with a step, and 3 ms.
        EXPECT_NEAR(out.time_to_first_token.mean, (0.051 + 0.311 + 0.010 + 0.0515) / 4, 1e-6);
    }
}

}  // namespace
}  // namespace podsim
