// Fabrics that are slower for a while and replicas without a chip, by hand.
#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/unit/workloads/serving_cases.hpp"

namespace podsim {
namespace {

// A second a step, two while the fabric is broken, from 5.5 to 11 s. Ten tokens: six at 6 s, then
// at 8, 10 and 12 (the step that was under way), the last at 13 s.
TEST(ServingFaults, ASlowStretchByHand) {
    ServingCase serving = one_pool([](const StepLoad&) { return Seconds(1.0); });
    ServingPool& pool = serving.pools[0];
    pool.degraded = {[](const StepLoad&) { return Seconds(2.0); }};
    pool.changes = {{Seconds(5.5), 0, 1}, {Seconds(11.0), 0, 0}};
    double told = 0;
    serving.worked = [&](std::size_t, std::size_t condition, const StepLoad&, double steps) {
        told += condition == 1 ? steps : 0;
    };
    RequestStream stream = listed({{0, 1, 10}});
    const ServingOutcome out = simulate_serving(serving, stream);
    EXPECT_NEAR(out.span, 13, 1e-9);
    ASSERT_EQ(out.pools[0].condition_seconds.size(), 2U);
    EXPECT_NEAR(out.pools[0].condition_seconds[0], 7, 1e-9);
    EXPECT_NEAR(out.pools[0].condition_seconds[1], 6, 1e-9);
    EXPECT_EQ(out.pools[0].condition_steps[0], 7);
    EXPECT_EQ(out.pools[0].condition_steps[1], 3);
    EXPECT_EQ(told, 3);
}

// 100 tokens of 1 B at 10 B/s, 10 s; at half that rate from 5 s on, of the writer's side. The first
// request's cache leaves at 1 s and keeps the rate that it began with, the second's, which leaves
// at 11 s, takes 20: its decode of a second ends at 32.
TEST(ServingFaults, ACacheOverABrokenFabricByHand) {
    ServingCase serving = one_pool([](const StepLoad&) { return Seconds(1.0); });
    serving.kv_per_token = Bytes(1.0);
    serving.pools.push_back(serving.pools[0]);
    serving.pools[0].name = "readers";
    serving.pools[0].role = PoolRole::prefill;
    serving.pools[1].name = "writers";
    serving.pools[1].role = PoolRole::decode;
    for (ServingPool& pool : serving.pools) pool.link = BytesPerSecond(10.0);
    ServingPool& writers = serving.pools[1];
    writers.degraded = {[](const StepLoad&) { return Seconds(1.0); }};
    writers.changes = {{Seconds(5.0), 0, 1}};
    const auto span = [&] {
        RequestStream stream = listed({{0, 100, 2}, {10, 100, 2}});
        return simulate_serving(serving, stream).span;
    };
    EXPECT_NEAR(span(), 11 + 10 + 1, 1e-9);
    writers.degraded_links = {BytesPerSecond(5.0)};
    EXPECT_NEAR(span(), 11 + 20 + 1, 1e-9);
    writers.degraded_links.emplace_back(1.0);
    EXPECT_THROW((void)span(), std::invalid_argument);
}

// The same where the trace's clock begins at 100 s: faults are on that clock.
TEST(ServingFaults, OnTheClockOfTheTraffic) {
    ServingCase serving = one_pool([](const StepLoad&) { return Seconds(1.0); });
    serving.pools[0].degraded = {[](const StepLoad&) { return Seconds(2.0); }};
    serving.pools[0].changes = {{Seconds(105.5), 0, 1}, {Seconds(111.0), 0, 0}};
    RequestStream stream = listed({{100, 1, 10}});
    EXPECT_NEAR(simulate_serving(serving, stream).span, 13, 1e-9);
}

// One request on each of two replicas. The first loses a chip at 5.5 s: six tokens are written when
// its step ends; they and the prompt are read by the second, beside what that one writes.
TEST(ServingFaults, AChipByHand) {
    ServingCase serving = one_pool([](const StepLoad&) { return Seconds(1.0); });
    serving.pools[0].replicas = 2;
    serving.pools[0].outages = {{Seconds(5.5), Seconds(20.0), 0}};
    RequestStream stream = listed({{0, 1, 10}, {0, 1, 10}});
    const ServingOutcome out = simulate_serving(serving, stream);
    EXPECT_EQ(out.finished, 2);
    EXPECT_EQ(out.retried, 1);
    EXPECT_EQ(out.pools[0].failures, 1);
    EXPECT_EQ(out.recomputed_tokens, 7);
    EXPECT_NEAR(out.span, 10, 1e-9);
    EXPECT_NEAR(out.pools[0].down, 4.5, 1e-9);
}

// Outages that overlap count to the last repair: 2 to 6 and 4 to 9 s. The request of 3 s waits.
TEST(ServingFaults, OutagesThatOverlap) {
    ServingCase serving = one_pool([](const StepLoad&) { return Seconds(1.0); });
    serving.pools[0].outages = {{Seconds(2.0), Seconds(6.0), 0}, {Seconds(4.0), Seconds(9.0), 0}};
    RequestStream stream = listed({{0, 1, 1}, {3, 1, 2}});
    const ServingOutcome out = simulate_serving(serving, stream);
    EXPECT_EQ(out.finished, 2);
    EXPECT_NEAR(out.span, 11, 1e-9);
    EXPECT_NEAR(out.pools[0].down, 7, 1e-9);
    EXPECT_EQ(out.pools[0].failures, 2);
}

// A replica that never comes back is replaced by one that stood by, where replicas come and go.
TEST(ServingFaults, AReplacement) {
    ServingCase serving = one_pool([](const StepLoad&) { return Seconds(1.0); });
    serving.pools[0].replicas = 2;
    serving.pools[0].outages = {{Seconds(3.5), {}, 0}};
    AutoscalingRule rule;
    rule.target = 4;
    rule.interval = rule.look_back = Seconds(5.0);
    rule.start_up = Seconds(2.0);
    serving.pools[0].autoscaling = rule;
    RequestStream stream = listed({{0, 1, 10}});
    const ServingOutcome out = simulate_serving(serving, stream);
    EXPECT_EQ(out.finished, 1);
    // Four tokens at 4 s; asked for at 5, there at 7, the other six until 13 s.
    EXPECT_NEAR(out.span, 13, 1e-9);
    EXPECT_NEAR(out.pools[0].paid, 4 + 8, 1e-9);
    EXPECT_EQ(out.pools[0].starts, 1);
    EXPECT_EQ(out.pools[0].stops, 1);
}

// Outages and slow stretches beside failures that are drawn, with replicas that come and go, in one
// pool and in two: every request ends, every token is written once.
TEST(ServingFaults, LoseNoRequest) {
    for (int variant = 0; variant < 4; ++variant) {
        ServingCase serving = one_pool([](const StepLoad& load) {
            return Seconds(0.005 + 1e-5 * (load.prefill_tokens + load.decodes));
        });
        ServingPool& first = serving.pools[0];
        first.replicas = 3;
        first.knobs.max_num_seqs = 32;
        first.failures = {Seconds(7.0), Seconds(1.5)};
        first.degraded = {[](const StepLoad& load) {
            return Seconds(0.009 + 1e-5 * (load.prefill_tokens + load.decodes));
        }};
        for (int i = 0; i < 3; ++i) {
            first.changes.push_back({Seconds(5.0 + i), i, 1});
            first.changes.push_back({Seconds(20.0 + i), i, 0});
        }
        first.outages = {{Seconds(3.0), Seconds(9.0), 0},
                         {Seconds(8.0), Seconds(12.0), 1},
                         {Seconds(8.5), Seconds(9.5), 2},
                         {Seconds(25.0), {}, 1}};
        if (variant % 2 == 1) {
            AutoscalingRule rule;
            rule.target = 10;
            rule.interval = rule.look_back = Seconds(0.5);
            rule.scale_down_delay = Seconds(1.0);
            rule.start_up = Seconds(0.7);
            first.autoscaling = rule;
        }
        if (variant >= 2) {
            serving.pools.push_back(serving.pools[0]);
            serving.pools[0].role = PoolRole::prefill;
            serving.pools[1].role = PoolRole::decode;
            for (ServingPool& pool : serving.pools) pool.link = BytesPerSecond(1e6);
            serving.kv_per_token = Bytes(100);
        }
        RequestStream stream = poisson(
            60, 3000, [](long i) { return std::pair<long, long>(20 + i % 80, 1 + i % 120); });
        const ServingOutcome out = simulate_serving(serving, stream);
        EXPECT_EQ(out.finished, 3000) << variant;
        EXPECT_GT(out.retried, 20);
        double written = 0;
        for (const PoolOutcome& pool : out.pools) {
            written += pool.written_tokens;
            EXPECT_GT(pool.condition_seconds[1], 1);
            EXPECT_NEAR(pool.condition_seconds[0] + pool.condition_seconds[1], pool.busy,
                        1e-9 * pool.busy);
            EXPECT_LE(pool.busy + pool.down, pool.paid * (1 + 1e-9));
        }
        EXPECT_EQ(written, out.output_tokens);
        EXPECT_NEAR(out.number_integral, out.sojourn_sum, 1e-6 * out.sojourn_sum);
    }
}

// A second a step and one more for each token read; four tokens, the first at 2 s. A failure of a
// tenth of a second at 2.5 s takes what the replica had, though it is repaired before the step ends
// at 3 s: three tokens are read again until 7 s, which is the third one's, and the last comes at 8
// s.
TEST(ServingFaults, OfLessThanAStepLosesAllTheSame) {
    ServingCase serving =
        one_pool([](const StepLoad& load) { return Seconds(1.0 + load.prefill_tokens); });
    serving.pools[0].outages = {{Seconds(2.5), Seconds(2.6), 0}};
    RequestStream stream = listed({{0, 1, 4}});
    const ServingOutcome out = simulate_serving(serving, stream);
    EXPECT_NEAR(out.span, 8, 1e-9);
    EXPECT_EQ(out.retried, 1);
}

// A failure a millisecond where a step takes a second: what is written is kept, but a prompt of ten
// steps is never read to its end, which is said.
TEST(ServingFaults, ThatLeaveNoTimeAreSaid) {
    ServingCase serving = one_pool([](const StepLoad&) { return Seconds(1.0); });
    serving.pools[0].failures = {Seconds(1e-3), Seconds(0.0)};
    RequestStream short_ones = listed({{0, 1, 10}});
    EXPECT_EQ(simulate_serving(serving, short_ones).finished, 1);
    serving.pools[0].knobs.max_num_batched_tokens = 10;
    RequestStream stream = listed({{0, 100, 10}});
    EXPECT_THROW((void)simulate_serving(serving, stream), std::domain_error);
}

// A million requests at once: a signal does not wait for the last one.
TEST(ServingFaults, ASignalEndsABurst) {
    ServingCase serving = one_pool([](const StepLoad&) { return Seconds(1.0); });
    serving.stop = [] { return true; };
    RequestStream stream = listed(std::vector<Listed>(1'000'000, {0.0, 1, 10}));
    const ServingOutcome out = simulate_serving(serving, stream);
    EXPECT_TRUE(out.stopped);
    EXPECT_GT(out.arrived, 0);
    EXPECT_LT(out.arrived, 10'000);
    EXPECT_EQ(out.in_flight, out.arrived);
}

TEST(ServingFaults, WhatCannotBeIsRefused) {
    ServingCase serving = one_pool([](const StepLoad&) { return Seconds(1.0); });
    RequestStream stream = listed({{0, 1, 1}});
    serving.pools[0].changes = {{Seconds(1.0), 0, 1}};
    EXPECT_THROW(simulate_serving(serving, stream), std::invalid_argument);
    serving.pools[0].changes.clear();
    serving.pools[0].outages = {{Seconds(1.0), {}, 0}};
    EXPECT_THROW(simulate_serving(serving, stream), std::invalid_argument);
}

}  // namespace
}  // namespace podsim
