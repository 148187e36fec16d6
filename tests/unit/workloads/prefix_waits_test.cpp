// Prompts whose prefix comes up from a tier: what they wait for, hold and give back.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "tests/unit/workloads/serving_cases.hpp"
#include "workloads/serving.hpp"
#include "workloads/serving/prefix_store.hpp"

namespace podsim {
namespace {

using Names = std::vector<std::uint64_t>;

// A step takes 1 ms and 1 ms a prompt token; a block of 16 tokens x 1 kB comes up from the host
// over 1 MB/s in 16 ms.
ServingCase with_host(long blocks) {
    ServingCase serving =
        one_pool([](const StepLoad& load) { return Seconds(1e-3 + 1e-3 * load.prefill_tokens); });
    serving.kv_per_token = Bytes(1000);
    serving.pools[0].kv_blocks = blocks;
    CacheTierSpec host;
    host.name = "host";
    host.blocks = 100;
    host.bandwidth = BytesPerSecond(1e6);
    serving.pools[0].tiers = {host};
    return serving;
}

Names prefix(char prompt) {
    const auto name = 100 * static_cast<std::uint64_t>(prompt - 'A' + 1);
    return {name, name + 1, name + 2};
}

// The i-th request has the prefix of the i-th letter, of three blocks; '-': none.
RequestStream prompts(std::vector<Listed> requests, std::string letters) {
    return listed(std::move(requests), 16, [letters = std::move(letters)](long i) {
        const char letter = letters[static_cast<std::size_t>(i)];
        return letter == '-' ? Names{} : prefix(letter);
    });
}

// Of eight blocks A and B hold three each when C takes four: the last two of A's go to the host.
// The fourth prompt waits for them from 3.000 to 3.032, the fifth from 3.010 on for the same
// blocks, which are read once; one step reads two tokens of both.
TEST(PrefixWaits, ASecondPromptJoinsWhatComesUp) {
    const ServingCase serving = with_host(8);
    RequestStream stream =
        prompts({{0.0, 50, 1}, {1.0, 50, 1}, {2.0, 50, 1}, {3.0, 50, 1}, {3.01, 50, 1}}, "ABCAA");
    const ServingOutcome out = simulate_serving(serving, stream);
    EXPECT_EQ(out.finished, 5);
    EXPECT_EQ(out.cached_tokens, 2 * 48);
    EXPECT_EQ(out.pools[0].early_tokens, 0);
    EXPECT_NEAR(out.span, 3.032 + 0.005, 1e-9);
    EXPECT_NEAR(out.waits.transfer, 0.032 + 0.022, 1e-9);
    EXPECT_NEAR(out.waits.queue, 0, 1e-9);
}

// The ledger by which the audit tells prefixes that are used too early.
TEST(PrefixWaits, WhatIsUnderWayIsKnownByWhenItIsThere) {
    PrefixStore store(16, 16, 8, {}, Bytes(16000), nullptr);
    Request request;
    request.input_tokens = 50;
    request.prefix_blocks = {1, 2, 3};
    store.expect({2, 3}, Seconds(5));
    EXPECT_EQ(store.under_way(request, 3, Seconds(4.999)), 2);
    EXPECT_EQ(store.under_way(request, 2, Seconds(4.999)), 1);
    EXPECT_EQ(store.under_way(request, 1, Seconds(4.999)), 0);
    EXPECT_EQ(store.under_way(request, 3, Seconds(5)), 0);
    store.expect({2}, Seconds(6));  // gave way and comes up anew
    EXPECT_EQ(store.under_way(request, 3, Seconds(5)), 1);
}

// The same from memory that replicas share: the first replica to ask brings 48 tokens up in 48 ms.
TEST(PrefixWaits, ASecondPromptJoinsWhatIsShared) {
    ServingCase serving = with_host(8);
    serving.pools[0].replicas = 2;
    serving.routing = Routing::round_robin;
    serving.shared_tiers = serving.pools[0].tiers;
    serving.pools[0].tiers.clear();
    SharedPath path;
    path.read_bytes = Bytes(1000);
    serving.pools[0].shared = path;
    // The first goes to replica 0, the second and the fourth to replica 1.
    RequestStream stream =
        prompts({{0.0, 50, 1}, {3.0, 50, 1}, {3.001, 16, 1}, {3.01, 50, 1}}, "AA-A");
    const ServingOutcome out = simulate_serving(serving, stream);
    EXPECT_EQ(out.finished, 4);
    EXPECT_EQ(out.shared[0].read_tokens, 48);
    EXPECT_NEAR(out.span, 3.048 + 0.005, 1e-9);
    EXPECT_NEAR(out.waits.transfer, 0.048 + 0.038, 1e-9);
}

// One seat: while a prefix comes up another prompt is read, 17 ms from 3.001 on.
TEST(PrefixWaits, WhoWaitsForAPrefixHasNoSeat) {
    ServingCase serving = with_host(8);
    serving.pools[0].knobs.max_num_seqs = 1;
    RequestStream stream =
        prompts({{0.0, 50, 1}, {1.0, 50, 1}, {2.0, 50, 1}, {3.0, 50, 1}, {3.001, 16, 1}}, "ABCA-");
    const ServingOutcome out = simulate_serving(serving, stream);
    EXPECT_EQ(out.finished, 5);
    EXPECT_NEAR(out.waits.queue, 0, 1e-9);
    EXPECT_NEAR(out.waits.transfer, 0.032, 1e-9);
    EXPECT_NEAR(out.span, 3.032 + 0.003, 1e-9);
}

// A's three blocks are up at 3.048, while a step reads until 3.102; it gives up at 3.060, and the
// last prompt needs all twelve blocks.
TEST(PrefixWaits, WhoGivesUpLetsGoOfWhatCameUp) {
    const ServingCase serving = with_host(12);
    RequestStream stream = prompts(
        {{0.0, 50, 1}, {1.0, 50, 1}, {2.0, 130, 1}, {3.0, 50, 1}, {3.001, 100, 1}, {4.0, 180, 1}},
        "ABCA--");
    ServiceClass hurried;
    hurried.timeout = Seconds(0.06);
    stream.classes = {hurried};
    const ServingOutcome out = simulate_serving(serving, stream);
    EXPECT_EQ(out.timed_out, 1);
    EXPECT_EQ(out.finished, 5);
    EXPECT_EQ(out.in_flight, 0);
}

// The same prompt when its replica fails at 3.060: it begins again with nothing.
TEST(PrefixWaits, AFailureTakesWhatCameUp) {
    ServingCase serving = with_host(12);
    serving.pools[0].outages = {{Seconds(3.06), Seconds(4.0), 0}};
    RequestStream stream = prompts(
        {{0.0, 50, 1}, {1.0, 50, 1}, {2.0, 130, 1}, {3.0, 50, 1}, {3.001, 100, 1}, {5.0, 180, 1}},
        "ABCA--");
    const ServingOutcome out = simulate_serving(serving, stream);
    EXPECT_EQ(out.finished, 6);
    EXPECT_EQ(out.in_flight, 0);
    EXPECT_NEAR(out.number_integral, out.sojourn_sum, 1e-9);
}

// Seven blocks of 16 tokens hold one block of names of 64 tokens, four of them; three are left
// over.
TEST(PrefixWaits, WhatNeverFitsWholeBlocksIsRefused) {
    ServingCase serving = with_host(7);
    serving.pools[0].tiers.clear();
    RequestStream stream = listed({{0.0, 80, 1}, {1.0, 40, 1}, {2.0, 64, 1}, {3.0, 60, 1}}, 64,
                                  [](long i) { return Names{static_cast<std::uint64_t>(i)}; });
    const ServingOutcome out = simulate_serving(serving, stream);
    EXPECT_EQ(out.rejected, 2);  // 82 and 66 tokens
    EXPECT_EQ(out.finished, 2);
    ASSERT_EQ(out.reasons.size(), 1);
    EXPECT_NE(out.reasons[0].find("7 blocks of 16, of which 4 can be used"), std::string::npos)
        << out.reasons[0];
}

// Small caches, few prefixes, requests that give up and replicas that fail: all end one way, and
// every block is given back (the fleet says so where not).
TEST(PrefixWaits, WhateverHappensEveryBlockIsGivenBack) {
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
        ServingCase serving = with_host(12 + static_cast<long>(seed % 20));
        serving.pools[0].replicas = 1 + static_cast<int>(seed % 3);
        serving.pools[0].fetches_in_step = seed % 5 == 0;
        serving.pools[0].knobs.max_num_seqs = 1 + static_cast<long>(seed % 4);
        serving.pools[0].knobs.max_num_batched_tokens = seed % 2 == 0 ? 32 : 8192;
        if (seed % 7 < 3) {
            serving.shared_tiers = serving.pools[0].tiers;
            serving.pools[0].shared = SharedPath{Seconds(0.0), Seconds(0.0), Bytes(1000)};
        }
        if (seed % 2 == 0) {
            serving.pools[0].failures = {Seconds(2.0), Seconds(0.1)};
            serving.seed = seed + 1;
        }
        if (seed % 11 == 0)
            serving.pools[0].knobs.capacity_policy = CapacityPolicy::guaranteed_no_evict;
        std::vector<Listed> requests;
        std::string letters;
        double time = 0;
        for (std::uint64_t i = 0; i < 80; ++i) {
            time -= std::log(uniform(seed, i, 0)) * 0.06;
            const double draw = uniform(seed, i, 1);
            requests.push_back({time, 49 + static_cast<long>(uniform(seed, i, 2) * 80),
                                1 + static_cast<long>(uniform(seed, i, 3) * 40)});
            letters += draw < 0.2 ? '-' : static_cast<char>('A' + static_cast<int>(draw * 7));
        }
        RequestStream stream = prompts(std::move(requests), std::move(letters));
        if (seed % 3 != 0) {
            ServiceClass hurried;
            hurried.timeout = Seconds(0.15);
            stream.classes = {hurried};
        }
        SCOPED_TRACE(seed);
        ServingOutcome out;
        ASSERT_NO_THROW(out = simulate_serving(serving, stream)) << seed;
        ASSERT_EQ(out.in_flight, 0) << seed;
        EXPECT_EQ(out.finished + out.rejected + out.timed_out, 80) << seed;
        EXPECT_EQ(out.rejected, 0) << seed;
        EXPECT_EQ(out.pools[0].early_tokens, 0) << seed;
    }
}

}  // namespace
}  // namespace podsim
