// Replicas that come and go with the load: the rule by hand, and what becomes of requests and
// hours.
#include "workloads/autoscaling.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "tests/unit/workloads/serving_cases.hpp"

namespace podsim {
namespace {

AutoscalingRule quick_rule(double target) {
    AutoscalingRule rule;
    rule.target = target;
    rule.interval = rule.look_back = Seconds(5.0);
    rule.scale_down_delay = Seconds(0.0);
    rule.start_up = Seconds(8.0);
    return rule;
}

// 10 requests a replica, means of two looks, down after 30 s.
TEST(Autoscaler, TheRuleByHand) {
    AutoscalingRule rule;
    rule.target = 10;
    rule.interval = Seconds(10.0);
    rule.look_back = Seconds(20.0);
    rule.scale_down_delay = Seconds(30.0);
    Autoscaler scaler(rule, 5);
    EXPECT_EQ(scaler.look(Seconds(10.0), 35, 1), 4);   // ceil(35 / 10)
    EXPECT_EQ(scaler.look(Seconds(20.0), 43, 4), 4);   // 39 of 40: within the tolerance
    EXPECT_EQ(scaler.look(Seconds(30.0), 5, 4), 4);    // ceil(24 / 10) = 3, but 4 at 10 s
    EXPECT_EQ(scaler.look(Seconds(40.0), 5, 4), 4);    // 1
    EXPECT_EQ(scaler.look(Seconds(50.0), 5, 4), 4);    // 4 at 20 s
    EXPECT_EQ(scaler.look(Seconds(60.0), 5, 4), 3);    // 3 at 30 s
    EXPECT_EQ(scaler.look(Seconds(70.0), 5, 3), 1);    // 1 since 40 s
    EXPECT_EQ(scaler.look(Seconds(80.0), 900, 1), 5);  // no more than there are

    rule.min_replicas = rule.initial_replicas = 0;
    rule.target = 1e12;
    Autoscaler from_nothing(rule, 5);
    EXPECT_EQ(from_nothing.look(Seconds(10.0), 0, 0), 0);
    EXPECT_EQ(from_nothing.look(Seconds(20.0), 1, 0), 1);
}

TEST(Autoscaler, UpTooWaitsWhereItIsTold) {
    AutoscalingRule rule = quick_rule(1);
    rule.scale_up_delay = Seconds(10.0);
    Autoscaler scaler(rule, 9);
    EXPECT_EQ(scaler.look(Seconds(5.0), 4, 1), 1);
    EXPECT_EQ(scaler.look(Seconds(10.0), 3, 1), 1);
    EXPECT_EQ(scaler.look(Seconds(15.0), 6, 1), 3);  // at least 3 were wanted for 10 s
}

// One sequence at a time, a second a token, a look every 5 s, 8 s to start. Three requests of ten
// tokens come at 0, 1 and 2 s to the one replica: at 5 s two are wanted, and the second serves at
// 13 s, when the third request still waits. One more of 14 s goes there, ends at 24 s; at 25 s one
// request is left: the second replica, empty, stops. Paid: 30 s and 5 to 25 s.
TEST(Autoscaling, AStartAndAStopByHand) {
    ServingCase serving = one_pool([](const StepLoad&) { return Seconds(1.0); });
    serving.pools[0].knobs.max_num_seqs = 1;
    serving.pools[0].replicas = 2;
    serving.pools[0].autoscaling = quick_rule(1);
    RequestStream stream = listed({{0, 1, 10}, {1, 1, 10}, {2, 1, 10}, {14, 1, 10}});
    const ServingOutcome out = simulate_serving(serving, stream);
    const PoolOutcome& pool = out.pools[0];
    EXPECT_EQ(out.finished, 4);
    EXPECT_NEAR(out.span, 30, 1e-9);
    EXPECT_EQ(pool.starts, 1);
    EXPECT_EQ(pool.stops, 1);
    EXPECT_EQ(pool.waited_for_start, 1);
    EXPECT_NEAR(pool.paid, 30 + 20, 1e-9);
    EXPECT_NEAR(pool.busy, 40, 1e-9);
    // Half a second each; the windows are of a second.
    EXPECT_NEAR(std::accumulate(pool.paid_windows.begin(), pool.paid_windows.end(), 0.0) * 30 / 60,
                50, 1e-9);
    EXPECT_NEAR(pool.paid_windows[8], 1, 1e-9);
    EXPECT_NEAR(pool.paid_windows[20], 2, 1e-9);
}

// Two requests a replica, down after 10 s. The first replica reads its third request, of 30
// tokens, from 20 to 50 s; the second one 20 tokens from 14 to 34 s. At 30 s two requests are left,
// for which one replica has been enough since 20 s: the second, which came last, ends what it has
// and stops at 34 s. A request of 31 s is not sent there: it waits for the first until 50 s.
TEST(Autoscaling, WhoDrainsEndsWhatItHas) {
    ServingCase serving = one_pool([](const StepLoad&) { return Seconds(1.0); });
    serving.pools[0].knobs.max_num_seqs = 1;
    serving.pools[0].replicas = 2;
    serving.pools[0].autoscaling = quick_rule(2);
    serving.pools[0].autoscaling->scale_down_delay = Seconds(10.0);
    RequestStream stream = listed({{0, 1, 10}, {1, 1, 10}, {2, 1, 30}, {14, 1, 20}, {31, 1, 10}});
    const ServingOutcome out = simulate_serving(serving, stream);
    EXPECT_EQ(out.finished, 5);
    EXPECT_NEAR(out.span, 60, 1e-9);
    EXPECT_NEAR(out.pools[0].paid, 60 + 29, 1e-9);
    EXPECT_EQ(out.pools[0].stops, 1);
    // 0, 9, 18, 0, 19 s.
    EXPECT_NEAR(out.waits.queue, 9 + 18 + 19, 1e-9);
}

// A pool of no replica: the first request is set aside, wanted at 5 s, served at 13 s.
TEST(Autoscaling, FromNothing) {
    ServingCase serving = one_pool([](const StepLoad&) { return Seconds(1.0); });
    serving.pools[0].autoscaling = quick_rule(4);
    serving.pools[0].autoscaling->min_replicas = 0;
    serving.pools[0].autoscaling->initial_replicas = 0;
    RequestStream stream = listed({{0, 1, 3}, {1, 1, 3}});
    const ServingOutcome out = simulate_serving(serving, stream);
    EXPECT_EQ(out.finished, 2);
    EXPECT_NEAR(out.time_to_first_token.largest, 14, 1e-6);
    EXPECT_NEAR(out.span, 16, 1e-9);
    EXPECT_NEAR(out.pools[0].paid, 11, 1e-9);
    EXPECT_EQ(out.pools[0].waited_for_start, 2);
}

// Waves of requests over pools that are scaled by requests and by blocks, with failures, swaps and
// time-outs on top: every request ends one way, every token is written once, hours lie between the
// bounds, and nobody works without being paid.
TEST(Autoscaling, LosesNoRequest) {
    long starts = 0, stops = 0, waited = 0;
    for (int variant = 0; variant < 8; ++variant) {
        ServingCase serving = one_pool([](const StepLoad& load) {
            return Seconds(0.005 + 1e-5 * (load.prefill_tokens + load.decodes));
        });
        ServingPool& first = serving.pools[0];
        first.replicas = 5;
        first.kv_blocks = 60;
        first.knobs.max_num_seqs = 16;
        first.autoscaling = quick_rule(12);
        first.autoscaling->interval = Seconds(0.5);
        first.autoscaling->look_back = Seconds(1.0);
        first.autoscaling->start_up = Seconds(0.8);
        if (variant == 0 || variant == 6)
            first.autoscaling->min_replicas = first.autoscaling->initial_replicas = 0;
        if (variant % 2 == 1) {
            first.autoscaling->metric = ScalingMetric::kv_cache;
            first.autoscaling->target = 0.6;
        }
        if ((variant & 2) != 0) {
            serving.pools.push_back(serving.pools[0]);
            serving.pools[0].role = PoolRole::prefill;
            serving.pools[1].role = PoolRole::decode;
            serving.pools[1].autoscaling->initial_replicas = 3;
            for (ServingPool& pool : serving.pools) pool.link = BytesPerSecond(1e6);
            serving.kv_per_token = Bytes(100);
        }
        if ((variant & 4) != 0) {
            for (ServingPool& pool : serving.pools) pool.failures = {Seconds(6.0), Seconds(1.5)};
        }
        RequestStream stream = poisson(
            80, 4000, [](long i) { return std::pair<long, long>(20 + i % 80, 1 + i % 120); });
        stream.next = [next = stream.next](Request& request) {
            if (!next(request)) return false;
            const double t = request.arrival.value();  // waves of 20 s
            request.arrival = Seconds(t + 3 * std::sin(t * 0.314) + 3);
            return true;
        };
        const ServingOutcome out = simulate_serving(serving, stream);
        EXPECT_EQ(out.arrived, 4000);
        EXPECT_EQ(out.finished, 4000) << variant;
        EXPECT_NEAR(out.number_integral, out.sojourn_sum, 1e-6 * out.sojourn_sum);
        double written = 0;
        for (std::size_t i = 0; i < out.pools.size(); ++i) {
            const PoolOutcome& pool = out.pools[i];
            written += pool.written_tokens;
            starts += pool.starts;
            stops += pool.stops;
            waited += pool.waited_for_start;
            EXPECT_GE(pool.paid,
                      out.span * serving.pools[i].autoscaling->min_replicas * (1 - 1e-9));
            EXPECT_LE(pool.paid, out.span * 5 * (1 + 1e-9));
            EXPECT_LE(pool.busy, pool.paid * (1 + 1e-9));
            double paid = 0, most = 0;
            for (const double replicas : pool.paid_windows) paid += replicas * out.span / 60;
            for (const double busy : pool.busy_windows) most = std::max(most, busy);
            EXPECT_NEAR(paid, pool.paid, 1e-6 * paid);
            EXPECT_LE(most, 1 + 1e-9);
        }
        EXPECT_EQ(written, out.output_tokens);
    }
    EXPECT_GT(starts, 40);
    EXPECT_GT(stops, 40);
    EXPECT_GT(waited, 100);
}

TEST(Autoscaling, BoundsThatCannotBeAreRefused) {
    ServingCase serving = one_pool([](const StepLoad&) { return Seconds(1.0); });
    RequestStream stream = listed({{0, 1, 1}});
    serving.pools[0].autoscaling = quick_rule(1);
    serving.pools[0].autoscaling->initial_replicas = 2;
    EXPECT_THROW(simulate_serving(serving, stream), std::invalid_argument);
    serving.pools[0].autoscaling = quick_rule(0);
    EXPECT_THROW(simulate_serving(serving, stream), std::invalid_argument);
}

}  // namespace
}  // namespace podsim
