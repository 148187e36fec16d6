// The engine against what queueing theory and a pencil say of it.
#include "workloads/serving.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "base/random.hpp"
#include "serving_cases.hpp"

namespace podsim {
namespace {

// One request at a time, 10 ms each, Poisson arrivals:
//   mean wait = rho D / (2 (1 - rho)),   rho = rate x D   (Pollaczek and Khinchine, M/D/1)
TEST(Serving, MD1MeetsTheFormula) {
    for (const double rho : {0.5, 0.8}) {
        constexpr double service = 0.010;
        ServingCase serving = one_pool([](const StepLoad&) { return Seconds(service); });
        serving.pools[0].knobs.max_num_seqs = 1;
        RequestStream stream =
            poisson(rho / service, 400'000, [](long) { return std::pair<long, long>(8, 1); });
        const ServingOutcome out = simulate_serving(serving, stream);
        EXPECT_EQ(out.finished, 400'000);
        const double wait = rho * service / (2 * (1 - rho));
        EXPECT_NEAR(out.waits.queue / 400'000 / wait, 1, 0.02) << rho;
        EXPECT_NEAR(out.time_to_first_token.mean, wait + service, 0.02 * wait) << rho;
        EXPECT_NEAR(out.pools[0].busy / out.span, rho, 0.01);
        EXPECT_NEAR(out.number_integral, out.sojourn_sum, 1e-6 * out.sojourn_sum);
    }
}

// c sequences side by side, a token each millisecond, lengths exponential around 1000 tokens:
// M/M/c, mean wait = C(c, a) / (c mu - rate) with Erlang's C.
TEST(Serving, MMcMeetsErlangC) {
    constexpr int c = 4;
    constexpr double mean = 1000, step = 1e-3, rho = 0.75;
    const double rate = rho * c / (mean * step), a = rho * c;
    double sum = 0, term = 1;
    for (int k = 0; k < c; ++k) {
        sum += term;
        term *= a / (k + 1);
    }
    const double erlang_c = term / (1 - rho) / (sum + term / (1 - rho));
    const double wait = erlang_c / (c / (mean * step) - rate);
    ServingCase serving =
        one_pool([](const StepLoad& load) { return Seconds(load.decodes > 0 ? step : 0); });
    serving.pools[0].knobs.max_num_seqs = c;
    RequestStream stream = poisson(rate, 300'000, [&](long i) {
        const double length = -mean * std::log(uniform(5, i));
        return std::pair<long, long>(1, 1 + static_cast<long>(std::ceil(length)));
    });
    const ServingOutcome out = simulate_serving(serving, stream);
    EXPECT_EQ(out.finished, 300'000);
    EXPECT_NEAR(out.waits.queue / 300'000 / wait, 1, 0.02);
    EXPECT_NEAR(out.number_integral, out.sojourn_sum, 1e-6 * out.sojourn_sum);
    EXPECT_EQ(out.pools[0].written_tokens, out.output_tokens);
}

// Two requests by hand. A step takes 10 ms, and 1 ms more for each prompt token.
//   0 ms    A (10 in, 3 out) is read: 20 ms, its first token at 20
//   20 ms   decodes; B (5 in, 2 out) came at 15 and joins: 10 + 5 = 15 ms, ends at 35: A has its
//           second token, B its first
//   35 ms   both decode one step: 45 ms, both end
TEST(Serving, TwoRequestsByHand) {
    ServingCase serving =
        one_pool([](const StepLoad& load) { return Seconds(0.010 + 0.001 * load.prefill_tokens); });
    RequestStream stream = listed({{0.0, 10, 3}, {0.015, 5, 2}});
    const ServingOutcome out = simulate_serving(serving, stream);
    EXPECT_EQ(out.finished, 2);
    EXPECT_NEAR(out.span, 0.045, 1e-9);
    EXPECT_NEAR(out.time_to_first_token.mean, (0.020 + 0.020) / 2, 1e-7);
    EXPECT_NEAR(out.time_per_output_token.mean, (0.0125 + 0.010) / 2, 1e-7);
    EXPECT_NEAR(out.end_to_end.largest, 0.045, 1e-7);
    EXPECT_NEAR(out.waits.queue, 0.005, 1e-9);
    EXPECT_NEAR(out.waits.prefill, 0.020 + 0.015, 1e-9);
    EXPECT_NEAR(out.waits.decode, 0.025 + 0.010, 1e-9);
    EXPECT_NEAR(out.waits.total(), 0.045 + 0.030, 1e-9);
    EXPECT_EQ(out.pools[0].prefill_tokens, 15);
    EXPECT_EQ(out.pools[0].written_tokens, 5);
    // Inter-token latencies: 15 and 10 of A, 10 of B.
    EXPECT_EQ(out.inter_token_latency.count, 3);
    EXPECT_NEAR(out.inter_token_latency.mean, 0.035 / 3, 1e-9);
}

// 1000 tokens of decode are a handful of events, and the time is the sum of all steps:
//   sum over i of (1 + (100 + i) / 1000) ms, i = 0 .. 998 (the first token comes of reading).
TEST(Serving, ManyStepsAreFewEvents) {
    ServingCase serving = one_pool([](const StepLoad& load) {
        return Seconds(load.prefill_tokens > 0 ? 0.0 : 1e-3 * (1 + load.decode_context / 1000));
    });
    RequestStream stream = listed({{0.0, 100, 1000}});
    const ServingOutcome out = simulate_serving(serving, stream);
    double expected = 0;
    for (int i = 0; i < 999; ++i) expected += 1e-3 * (1 + (100 + i) / 1000.0);
    EXPECT_NEAR(out.end_to_end.mean, expected, 1e-6 * expected);
    EXPECT_LT(out.events, 60U);
}

// 8 blocks of 4 tokens, two sequences of 8 + 12 tokens: both are read (4 blocks), and grow at every
// fourth token until the blocks are gone; then the younger one is read again after the older ends.
TEST(Serving, TheYoungerOneLosesItsBlocks) {
    for (const Preemption how : {Preemption::recompute, Preemption::swap}) {
        ServingCase serving = one_pool(
            [](const StepLoad& load) { return Seconds(1e-3 + 1e-5 * load.prefill_tokens); });
        serving.pools[0].knobs.block_size = 4;
        serving.pools[0].knobs.preemption = how;
        serving.pools[0].kv_blocks = 8;
        RequestStream stream = listed({{0.0, 8, 12}, {0.0, 8, 12}});
        const ServingOutcome out = simulate_serving(serving, stream);
        EXPECT_EQ(out.finished, 2);
        EXPECT_EQ(out.pools[0].preemptions, 1);
        EXPECT_GT(out.waits.preempted, 0);
        EXPECT_LE(out.pools[0].peak_blocks, 8);
        EXPECT_EQ(out.pools[0].written_tokens, 24);
        // Both have 16 cached tokens, 8 + 8, when the next ones ask for blocks: 9 were written, and
        // the younger one's 17 are read again.
        const double again = how == Preemption::recompute ? 17 : 0;
        EXPECT_EQ(out.recomputed_tokens, again);
        EXPECT_EQ(out.pools[0].prefill_tokens, 16 + again);
    }
}

// The same with room asked for to the last token: 8 + 12 tokens and one beyond are 6 of 8 blocks,
// so that the younger one waits until the older has left: 12 steps of 1 ms and 8 x 10 us each.
TEST(Serving, NobodyIsTakenInWhoMightBeEvicted) {
    ServingCase serving =
        one_pool([](const StepLoad& load) { return Seconds(1e-3 + 1e-5 * load.prefill_tokens); });
    serving.pools[0].knobs.block_size = 4;
    serving.pools[0].knobs.capacity_policy = CapacityPolicy::guaranteed_no_evict;
    serving.pools[0].kv_blocks = 8;
    RequestStream stream = listed({{0.0, 8, 12}, {0.0, 8, 12}});
    const ServingOutcome out = simulate_serving(serving, stream);
    EXPECT_EQ(out.finished, 2);
    EXPECT_EQ(out.pools[0].preemptions, 0);
    EXPECT_EQ(out.pools[0].peak_sequences, 1);
    EXPECT_NEAR(out.span, 2 * (12e-3 + 8e-5), 1e-9);
    serving.pools[0].kv_blocks = 12;  // room for both
    stream = listed({{0.0, 8, 12}, {0.0, 8, 12}});
    EXPECT_EQ(simulate_serving(serving, stream).pools[0].peak_sequences, 2);
}

// Two of three drafts' worth: 1.5 tokens a step. 1 + 9 tokens: the clock needs 9, six steps.
TEST(Serving, DraftsShortenTheWriting) {
    ServingCase serving =
        one_pool([](const StepLoad& load) { return Seconds(load.decodes > 0 ? 0.010 : 0.0); });
    serving.pools[0].tokens_per_step = 1.5;
    serving.pools[0].query_tokens = 2;
    RequestStream stream = listed({{0.0, 4, 10}});
    const ServingOutcome out = simulate_serving(serving, stream);
    EXPECT_NEAR(out.end_to_end.mean, 0.060, 1e-7);
    EXPECT_EQ(out.pools[0].written_tokens, 10);
}

// A prompt of 100 tokens in chunks of 40: three steps; the sequence that decodes waits for each of
// them only as long as the chunk takes. Without chunks it waits for the whole prompt.
TEST(Serving, ChunksLetOthersGoOn) {
    for (const bool chunked : {true, false}) {
        ServingCase serving = one_pool(
            [](const StepLoad& load) { return Seconds(0.001 + 0.001 * load.prefill_tokens); });
        serving.pools[0].knobs.max_num_batched_tokens = 41;
        serving.pools[0].knobs.enable_chunked_prefill = chunked;
        RequestStream stream = listed({{0.0, 1, 50}, {0.0105, 100, 1}});
        const ServingOutcome out = simulate_serving(serving, stream);
        EXPECT_EQ(out.finished, 2);
        EXPECT_EQ(out.pools[0].mixed_steps, chunked ? 4 : 2);
        EXPECT_NEAR(out.inter_token_latency.largest, chunked ? 0.041 : 0.001, 1e-9);
    }
}

// Two data-parallel groups of 20 tokens a step, which takes 10 ms and 1 ms for each token of the
// fuller one. Prompts of 10, 6 and 5 tokens: the first to one group, the others to the other, 11
// tokens: 21 ms. A prompt of 30 is one group's all the same, 20 and then 10 tokens: 30 and 20 ms.
TEST(Serving, APromptIsReadByOneGroup) {
    ServingCase serving = one_pool(
        [](const StepLoad& load) { return Seconds(0.010 + 0.001 * load.fullest_prefill); });
    serving.pools[0].groups = 2;
    serving.pools[0].knobs.max_num_batched_tokens = 40;
    RequestStream three = listed({{0.0, 10, 1}, {0.0, 6, 1}, {0.0, 5, 1}});
    EXPECT_NEAR(simulate_serving(serving, three).span, 0.021, 1e-9);
    RequestStream one = listed({{0.0, 30, 1}});
    const ServingOutcome out = simulate_serving(serving, one);
    EXPECT_NEAR(out.span, 0.050, 1e-9);
    EXPECT_EQ(out.pools[0].mixed_steps, 2);
    // Without chunks it is read whole, beside another's.
    serving.pools[0].knobs.enable_chunked_prefill = false;
    RequestStream whole = listed({{0.0, 30, 1}, {0.0, 7, 1}});
    EXPECT_NEAR(simulate_serving(serving, whole).span, 0.040, 1e-9);
}

TEST(Serving, PromptsGoWhereTheirPrefixIs) {
    ServingCase serving =
        one_pool([](const StepLoad& load) { return Seconds(1e-3 + 1e-4 * load.prefill_tokens); });
    serving.pools[0].replicas = 2;
    serving.pools[0].kv_blocks = 1000;
    serving.routing = Routing::prefix_aware;
    std::vector<Listed> requests;
    for (int i = 0; i < 20; ++i) requests.push_back({i * 1.0, 64, 4});
    RequestStream stream = listed(requests, 16, [](long i) {
        // Two conversations in turn: three blocks of their own, the fourth differs each time.
        const auto name = static_cast<std::uint64_t>(100 * (i % 2 + 1));
        return std::vector<std::uint64_t>{name, name + 1, name + 2,
                                          static_cast<std::uint64_t>(10'000 + i)};
    });
    const ServingOutcome out = simulate_serving(serving, stream);
    // The first two of them find nothing, each later one 48 tokens.
    EXPECT_EQ(out.cached_tokens, 18 * 48);
    EXPECT_EQ(out.pools[0].prefill_tokens, 20 * 64 - 18 * 48);
}

// A replica of four blocks of 16 tokens: a conversation of 48 tokens pushes the other's three
// blocks down to the host, from where they come up at 1 kB x 16 tokens a block over 1 MB/s = 16 ms
// each.
TEST(Serving, WhatGivesWayComesUpFromTheHost) {
    for (const bool tiered : {false, true}) {
        ServingCase serving = one_pool(
            [](const StepLoad& load) { return Seconds(1e-3 + 1e-3 * load.prefill_tokens); });
        serving.kv_per_token = Bytes(1000);
        serving.pools[0].kv_blocks = 4;
        if (tiered) {
            CacheTierSpec host;
            host.name = "host";
            host.blocks = 100;
            host.bandwidth = BytesPerSecond(1e6);
            serving.pools[0].tiers = {host};
        }
        RequestStream stream = listed({{0.0, 50, 1}, {1.0, 50, 1}, {2.0, 50, 1}}, 16, [](long i) {
            const auto name = static_cast<std::uint64_t>(100 * (i % 2 + 1));
            return std::vector<std::uint64_t>{name, name + 1, name + 2};
        });
        const ServingOutcome out = simulate_serving(serving, stream);
        EXPECT_EQ(out.finished, 3);
        EXPECT_EQ(out.cached_tokens, tiered ? 48 : 0);
        // The third prompt: 51 ms, or 2 tokens and three blocks from the host.
        const double third = tiered ? 0.003 + 3 * 0.016 : 0.051;
        EXPECT_NEAR(out.span, 2.0 + third, 1e-6);
    }
}

// A cache of 100 tokens x 1 kB over 1 MB/s takes 0.1 s, and 5 ms on the way; the second one waits
// for the port.
TEST(Serving, CachesGoThroughOnePort) {
    ServingCase serving = one_pool(
        [](const StepLoad& load) { return Seconds(load.prefill_tokens > 0 ? 0.010 : 0.001); });
    serving.pools.push_back(serving.pools[0]);
    serving.pools[0].role = PoolRole::prefill;
    serving.pools[1].role = PoolRole::decode;
    for (ServingPool& pool : serving.pools) pool.link = BytesPerSecond(1e6);
    serving.kv_per_token = Bytes(1000);
    serving.transfer_latency = Seconds(0.005);
    RequestStream stream = listed({{0.0, 100, 11}, {0.0, 100, 11}});
    const ServingOutcome out = simulate_serving(serving, stream);
    EXPECT_EQ(out.finished, 2);
    EXPECT_EQ(out.transferred_tokens, 200);
    EXPECT_NEAR(out.waits.transfer, 0.105 + 0.205, 1e-9);
    EXPECT_NEAR(out.span, 0.010 + 0.205 + 10 * 0.001, 1e-9);
    EXPECT_EQ(out.pools[0].written_tokens, 2);
    EXPECT_EQ(out.pools[1].written_tokens, 20);
}

// A prompt of one token, 1,000 written, 10 ms a step. The replica fails at t: at the end of the
// step under way k tokens are written, the cache is lost; repaired at t + 2 s the prompt and they
// are read in one step, which writes the next one: it ends at t + 2 s + (1,000 - k) 10 ms.
TEST(Serving, AFailureByHand) {
    std::uint64_t seed = 1;
    const auto gap = [&](int failure) { return -std::log(uniform(seed, 0, failure)); };
    while (gap(1) < 4 * gap(0)) ++seed;
    ServingCase serving = one_pool([](const StepLoad&) { return Seconds(0.010); });
    serving.seed = seed;
    serving.pools[0].failures = {Seconds(5.0037 / gap(0)), Seconds(2.0)};
    RequestStream stream = listed({{0.0, 1, 1000}});
    const ServingOutcome out = simulate_serving(serving, stream);
    EXPECT_EQ(out.finished, 1);
    EXPECT_EQ(out.pools[0].failures, 1);
    EXPECT_EQ(out.retried, 1);
    EXPECT_NEAR(out.pools[0].down, 2.0, 1e-9);
    EXPECT_NEAR(out.span, 5.0037 + 2.0 + (1000 - 501) * 0.010, 1e-6);
    EXPECT_EQ(out.pools[0].written_tokens, 1000);
    EXPECT_EQ(out.pools[0].prefill_tokens, 1 + 502);
    EXPECT_EQ(out.recomputed_tokens, 502);
}

TEST(Serving, FailuresLoseNoRequest) {
    for (const bool apart : {false, true}) {
        ServingCase serving = one_pool(
            [](const StepLoad& load) { return Seconds(0.005 + 1e-5 * load.prefill_tokens); });
        serving.pools[0].replicas = 3;
        serving.pools[0].knobs.max_num_seqs = 32;
        serving.pools[0].failures = {Seconds(4.0), Seconds(1.5)};
        if (apart) {
            serving.pools.push_back(serving.pools[0]);
            serving.pools[0].role = PoolRole::prefill;
            serving.pools[1].role = PoolRole::decode;
            for (ServingPool& pool : serving.pools) pool.link = BytesPerSecond(1e6);
            serving.kv_per_token = Bytes(100);
        }
        const auto run = [&](std::uint64_t seed) {
            serving.seed = seed;
            RequestStream stream = poisson(
                60, 3000, [](long i) { return std::pair<long, long>(20 + i % 80, 1 + i % 120); });
            return simulate_serving(serving, stream);
        };
        const ServingOutcome out = run(1);
        EXPECT_EQ(out.finished, 3000);
        EXPECT_GT(out.retried, 50);
        EXPECT_GT(out.pools[0].failures, 5);
        EXPECT_LE(out.pools[0].down, 1.5 * static_cast<double>(out.pools[0].failures) + 1e-9);
        double written = 0, read = 0;
        for (const PoolOutcome& pool : out.pools) {
            written += pool.written_tokens;
            read += pool.prefill_tokens;
        }
        EXPECT_EQ(written, out.output_tokens);
        EXPECT_EQ(read, out.input_tokens - out.cached_tokens + out.recomputed_tokens);
        EXPECT_NEAR(out.number_integral, out.sojourn_sum, 1e-6 * out.sojourn_sum);
        EXPECT_NEAR(out.waits.total(), out.sojourn_sum, 1e-6 * out.sojourn_sum);
        EXPECT_EQ(run(1).waits.total(), out.waits.total());
        EXPECT_NE(run(2).waits.total(), out.waits.total());
        // Who has patience of half a second only: ended one way or the other.
        RequestStream impatient = poisson(
            60, 3000, [](long i) { return std::pair<long, long>(20 + i % 80, 1 + i % 120); });
        impatient.classes[0].timeout = Seconds(0.5);
        const ServingOutcome left = simulate_serving(serving, impatient);
        EXPECT_GT(left.timed_out, 0);
        EXPECT_EQ(left.finished + left.timed_out, 3000);
        EXPECT_EQ(left.in_flight, 0);
    }
}

TEST(Serving, EveryRequestEndsOneWay) {
    ServingCase serving =
        one_pool([](const StepLoad& load) { return Seconds(1e-3 + 1e-5 * load.prefill_tokens); });
    serving.max_model_len = 1000;
    serving.pools[0].knobs.max_num_seqs = 1;
    RequestStream stream = listed({{0.0, 900, 200}, {0.0, 10, 500}, {0.0, 10, 10}});
    stream.classes[0].timeout = Seconds(0.1);
    const ServingOutcome out = simulate_serving(serving, stream);
    EXPECT_EQ(out.arrived, 3);
    EXPECT_EQ(out.rejected, 1);
    EXPECT_EQ(out.finished, 1);
    EXPECT_EQ(out.timed_out, 1);
    ASSERT_EQ(out.reasons.size(), 1U);
    EXPECT_NE(out.reasons[0].find("1000"), std::string::npos);
    EXPECT_NEAR(out.number_integral, out.sojourn_sum, 1e-9);
}

// One at a time, 10 ms each: the third comes last and goes second by its class, or third.
TEST(Serving, TheHigherClassGoesFirst) {
    for (const SchedulingPolicy policy : {SchedulingPolicy::priority, SchedulingPolicy::fcfs}) {
        ServingCase serving = one_pool([](const StepLoad&) { return Seconds(0.010); });
        serving.pools[0].knobs.max_num_seqs = 1;
        serving.pools[0].knobs.scheduling_policy = policy;
        // Only the higher class promises anything: its one request keeps 15 ms if it goes second.
        RequestStream stream = listed({{0.0, 8, 1}, {0.001, 8, 1}, {0.006, 8, 1}});
        stream.classes.resize(2);
        stream.classes[1].priority = 1;
        stream.classes[1].time_to_first_token = Seconds(0.015);
        auto next = stream.next;
        auto count = std::make_shared<int>(0);
        stream.next = [next, count](Request& request) {
            if (!next(request)) return false;
            request.service_class = ++*count == 3 ? 1 : 0;
            return true;
        };
        const ServingOutcome out = simulate_serving(serving, stream);
        EXPECT_EQ(out.finished, 3);
        const bool goes_first = policy == SchedulingPolicy::priority;
        EXPECT_EQ(out.good, goes_first ? 3 : 2);
        ASSERT_EQ(out.classes.size(), 2U);
        const ClassOutcome &low = out.classes[0], &high = out.classes[1];
        EXPECT_EQ(low.arrived, 2);
        EXPECT_EQ(low.finished, 2);
        EXPECT_EQ(low.good, 2);
        EXPECT_EQ(high.finished, 1);
        EXPECT_EQ(high.good, goes_first ? 1 : 0);
        EXPECT_EQ(high.objective.time_to_first_token, Seconds(0.015));
        // Done at 20 or at 30 ms, and the others at 10 and then 30 or 20.
        EXPECT_NEAR(high.time_to_first_token.p50, goes_first ? 0.014 : 0.024, 1e-6);
        EXPECT_NEAR(low.time_to_first_token.p50, goes_first ? 0.0195 : 0.0145, 1e-6);
    }
}

TEST(Serving, OneClassAloneIsNotToldOf) {
    ServingCase serving = one_pool([](const StepLoad&) { return Seconds(0.010); });
    RequestStream stream = listed({{0.0, 8, 1}});
    EXPECT_TRUE(simulate_serving(serving, stream).classes.empty());
}

TEST(Serving, AStopLeavesWhatHadEnded) {
    ServingCase serving = one_pool([](const StepLoad&) { return Seconds(1e-3); });
    RequestStream stream =
        poisson(100, 100'000, [](long) { return std::pair<long, long>(10, 10); });
    int looks = 0;
    serving.stop = [&] { return ++looks == 3; };
    const ServingOutcome out = simulate_serving(serving, stream);
    EXPECT_TRUE(out.stopped);
    EXPECT_GT(out.finished, 100);
    EXPECT_LT(out.finished, 100'000);
    EXPECT_EQ(out.arrived, out.finished + out.in_flight);
    EXPECT_NEAR(out.number_integral, out.sojourn_sum, 1e-6 * out.sojourn_sum);
}

TEST(Serving, CasesThatCannotRunAreRefused) {
    RequestStream stream = listed({});
    ServingCase serving = one_pool([](const StepLoad&) { return Seconds(1e-3); });
    serving.pools[0].role = PoolRole::decode;
    EXPECT_THROW(simulate_serving(serving, stream), std::invalid_argument);
    serving.pools[0].role = PoolRole::prefill;
    EXPECT_THROW(simulate_serving(serving, stream), std::invalid_argument);
    serving.pools[0].role = PoolRole::serve;
    EXPECT_EQ(simulate_serving(serving, stream).arrived, 0);
    serving.pools[0].kv_blocks = 0;
    EXPECT_THROW(simulate_serving(serving, stream), std::invalid_argument);
}

}  // namespace
}  // namespace podsim
