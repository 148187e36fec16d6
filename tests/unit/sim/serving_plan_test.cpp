// The smallest fleet: what traffic asks for, the bound below which no fleet can be, and that one
// replica fewer than the answer does not do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "sim/plan_run.hpp"
#include "sim/serving_demand.hpp"
#include "sim/serving_plan.hpp"
#include "tests/support/readers.hpp"
#include "tests/unit/sim/experiment_cases.hpp"

namespace podsim {
namespace {

using ::testing::HasSubstr;

Node plan_of_fleet() {
    Node experiment = serving_experiment();
    for (const auto& [path, value] :
         {std::pair("workload.traffic.arrivals", "{law: constant, rate: 400 req/s}"),
          std::pair("workload.traffic.requests", "4000"),
          std::pair("workload.slo", "{ttft: 1 s, tpot: 50 ms}"),
          std::pair("plan", "{tensor_parallel: [1, 4]}")})
        experiment = with(std::move(experiment), path, value);
    return experiment;
}

ServingPlanReport planned(const Node& experiment) {
    Catalog catalog = test_catalog();
    return plan_serving(experiment, catalog, {});
}

std::string plan_problems(const Node& experiment) {
    try {
        (void)planned(experiment);
    } catch (const InputError& error) {
        return error.what();
    }
    return "";
}

double goodput(const Node& experiment) {
    return value_of(run_test(experiment), "goodput_share");
}

// 500 tokens to read and 100 to write each.
TrafficSpec traffic_of(long requests, ArrivalLaw law) {
    StreamSpec stream;
    stream.arrivals = ArrivalSpec();
    stream.arrivals->law = law;
    stream.input = LengthSpec();
    stream.input->mean = Tokens(500.0);
    stream.output = LengthSpec();
    stream.output->mean = Tokens(100.0);
    stream.requests = requests;
    TrafficSpec traffic;
    traffic.streams = {stream};
    return traffic;
}

ServiceObjective usual_promise() {
    ServiceObjective slo;
    slo.time_to_first_token = Seconds(2.0);
    slo.time_per_output_token = Seconds(0.05);
    return slo;
}

TEST(ServingDemand, CountsWhatIsAsked) {
    TrafficSpec traffic = traffic_of(11, ArrivalLaw::constant);
    traffic.streams[0].arrivals->rate = Hertz(20.0);
    traffic.streams[0].prefix = PrefixSpec();
    traffic.streams[0].prefix->tokens = Tokens(160.0);
    const ServiceObjective slo = usual_promise();
    const ServingDemand demand = demand_of(traffic, 1, slo, 0, true, {});
    EXPECT_EQ(demand.requests, 11);
    // Ten gaps of 50 ms; the last one may take 2 s and 99 times 50 ms.
    EXPECT_NEAR(demand.seconds, 0.5, 1e-9);
    EXPECT_NEAR(demand.last_promised, 0.5 + 2 + 99 * 0.05, 1e-9);
    EXPECT_EQ(demand.input, 5500);
    EXPECT_EQ(demand.output, 1100);
    // Ten blocks of 16 are computed once.
    EXPECT_EQ(demand.computed, 5500 - 10 * 160);
    EXPECT_EQ(demand.input_contexts, 11 * 500 * 501 / 2.0 - 10 * 160 * 161 / 2.0);
    EXPECT_EQ(demand.output_contexts, 11 * 100 * (500 + 99 / 2.0));
    EXPECT_EQ(demand_of(traffic, 1, slo, 0, false, {}).computed, 5500);
}

// A closed loop at its slowest: 10 users, 2 s and 99 x 50 ms a request.
TEST(ServingDemand, UsersWhoWaitAskForTheLeastThatIsPromised) {
    TrafficSpec traffic = traffic_of(100, ArrivalLaw::closed);
    traffic.streams[0].arrivals->concurrency = 10;
    const ServiceObjective slo = usual_promise();
    const ServingDemand demand = demand_of(traffic, 1, slo, 0, true, {});
    EXPECT_EQ(demand.requests, 100);
    EXPECT_NEAR(demand.last_promised, 10 * (2 + 99 * 0.05), 1e-6);
}

TEST(ServingPlan, OneReplicaFewerDoesNotDo) {
    const ServingPlanReport report = planned(plan_of_fleet());
    ASSERT_TRUE(report.alternatives[0].answer.has_value());
    const ServingAnswer& answer = *report.alternatives[0].answer;
    const PlannedPool& pool = answer.pools[0];
    EXPECT_GE(pool.replicas, pool.bound.replicas);
    EXPECT_GT(pool.replicas, 1);
    EXPECT_EQ(answer.chips, 16 * pool.replicas);
    EXPECT_GE(answer.good, 0.99);
    const Node& found = answer.experiment;
    EXPECT_EQ(value_of(run_test(found), "usd_per_million_total_tokens"),
              value_of(answer.result, "usd_per_million_total_tokens"));
    EXPECT_GE(goodput(found), 0.99);
    const Node fewer =
        with(with(found, "alternatives.A.replicas", std::to_string(pool.replicas - 1)),
             "alternatives.A.chips", std::to_string(16 * (pool.replicas - 1)));
    EXPECT_LT(goodput(fewer), 0.99);
    // 2 USD an hour and chip.
    EXPECT_NEAR(answer.usd_per_month, 2 * answer.chips * 730.5, 1e-6);
    // The other degree is no cheaper.
    const Node other = with(plan_of_fleet(), "plan.tensor_parallel",
                            pool.mapping.tensor_parallel == 1 ? "[4]" : "[1]");
    const ServingPlanReport only = planned(other);
    ASSERT_TRUE(only.alternatives[0].answer.has_value());
    EXPECT_GE(only.alternatives[0].answer->chips, answer.chips);
}

// Twenty requests at 1,000 s of patience: at once or one by one, it is all the same.
TEST(ServingPlan, WhatNothingBreaksHoldsToMoreThanWasTried) {
    Node experiment = plan_of_fleet();
    for (const auto& [path, value] :
         {std::pair("workload.traffic.arrivals", "{law: constant, rate: 1 req/s}"),
          std::pair("workload.traffic.requests", "20"),
          std::pair("workload.slo", "{ttft: 1000 s, tpot: 1 s}"),
          std::pair("plan", "{tensor_parallel: [1], growth: {per_month: 10 %}}")})
        experiment = with(std::move(experiment), path, value);
    const ServingPlanReport report = planned(experiment);
    ASSERT_TRUE(report.alternatives[0].answer.has_value());
    const NextBottleneck& next = report.alternatives[0].answer->next;
    EXPECT_TRUE(next.is_open());
    EXPECT_GE(next.holds, 2048);
    EXPECT_EQ(next.breaks, 0);
    // After the twelve months that are planned for.
    EXPECT_NEAR(next.months, 12 + std::log(next.holds) / std::log(1.1), 1e-9);
}

// A hundredth of what a replica carries: what breaks it is found beyond sixteen times that.
TEST(ServingPlan, WhatBreaksIsLookedForFarBeyond) {
    Node experiment =
        with(plan_of_fleet(), "workload.traffic.arrivals", "{law: constant, rate: 0.2 req/s}");
    experiment = with(experiment, "plan", "{tensor_parallel: [1]}");
    const ServingPlanReport report = planned(experiment);
    ASSERT_TRUE(report.alternatives[0].answer.has_value());
    const NextBottleneck& next = report.alternatives[0].answer->next;
    EXPECT_FALSE(next.is_open());
    EXPECT_GT(next.holds, 16);
    EXPECT_LT(next.breaks, 1.015 * next.holds);
    EXPECT_FALSE(next.what.empty());
}

TEST(ServingPlan, GrowthBurstAndSparesMakeRoom) {
    const ServingPlanReport base = planned(plan_of_fleet());
    const ServingPlanReport more =
        planned(with(with(with(plan_of_fleet(), "plan.growth", "{per_month: 10 %, months: 6}"),
                          "plan.burst", "1.5"),
                     "plan.spare_replicas", "1"));
    const ServingAnswer &a = *base.alternatives[0].answer, &b = *more.alternatives[0].answer;
    EXPECT_GT(b.pools[0].replicas, a.pools[0].replicas);
    EXPECT_EQ(b.pools[0].spares, 1);
    EXPECT_EQ(b.chips, 16 * (b.pools[0].replicas + 1));
    EXPECT_NEAR(more.form.growth.factor(), 1.771561, 1e-9);
    // 1.1^6 times the rate, within the rounding of arrivals.
    EXPECT_NEAR(more.demand.requests_per_second(), 400 * 1.771561, 2);
    EXPECT_GE(b.next.holds, 1.5);
    EXPECT_GT(b.next.breaks, b.next.holds);
    EXPECT_GT(b.next.months, 6);
    EXPECT_THAT(b.next.what, HasSubstr("engines of A at work"));
}

// The fleet that stands is the most there may be; what is paid for when its replicas come and go
// are the hours of the run, at the price of an hour.
TEST(ServingPlan, ReplicasThatComeAndGoArePaidByTheHour) {
    const Node stands =
        with(plan_of_fleet(), "workload.traffic.arrivals", "{law: constant, rate: 400 req/s}");
    const Node scaled =
        with(stands, "alternatives.A.autoscaling",
             "{min_replicas: 1, target_requests: 100, interval: 1 s, look_back: 2 s, "
             "start_up: {provision: 1 s, weights_bandwidth: 100 GB/s}}");
    const ServingAnswer fleet = *planned(stands).alternatives[0].answer;
    const ServingAnswer by_hour = *planned(scaled).alternatives[0].answer;
    EXPECT_FALSE(fleet.scaled_usd_per_month.has_value());
    EXPECT_EQ(by_hour.pools[0].replicas, fleet.pools[0].replicas);
    EXPECT_EQ(by_hour.usd_per_month, fleet.usd_per_month);
    ASSERT_TRUE(by_hour.scaled_usd_per_month.has_value());
    const ServedPool& pool = by_hour.result.served->pools[0];
    EXPECT_NEAR(by_hour.mean_replicas, pool.paid_seconds / by_hour.result.served->span_seconds,
                1e-9);
    EXPECT_GT(by_hour.mean_replicas, 1);
    EXPECT_LT(by_hour.mean_replicas, pool.replicas);
    EXPECT_NEAR(*by_hour.scaled_usd_per_month / by_hour.usd_per_month,
                by_hour.mean_replicas / pool.replicas, 1e-9);
}

// Replicas that take an hour to come are of no use in a run of seconds: those that are needed
// stand.
TEST(ServingPlan, AsManyAlwaysStandAsKeepTheObjective) {
    const Node stands =
        with(plan_of_fleet(), "workload.traffic.arrivals", "{law: constant, rate: 400 req/s}");
    const ServingAnswer late =
        *planned(with(stands, "alternatives.A.autoscaling",
                      "{min_replicas: 1, target_requests: 100, interval: 1 s, look_back: 2 s, "
                      "start_up: {provision: 3600 s, weights_bandwidth: 100 GB/s}}"))
             .alternatives[0]
             .answer;
    const ServedPool& pool = late.result.served->pools[0];
    EXPECT_GT(pool.replicas, 1);
    EXPECT_GT(pool.min_replicas, 1);
    EXPECT_LE(pool.min_replicas, pool.replicas);
    EXPECT_GE(late.result.metric("goodput_share")->value, 0.99);
}

TEST(ServingPlan, WhatCannotBeIsSaidWithTheBestThatCan) {
    Catalog catalog = test_catalog();
    const auto said = [&](const Node& experiment) {
        return refusal_of([&] { plan_serving(experiment, catalog, {}); });
    };
    EXPECT_THAT(said(with(plan_of_fleet(), "workload.slo.tpot", "1 ms")),
                HasSubstr("workload.slo: A: no batch keeps the objective for 99 % of the "
                          "requests: served alone they reach"));
    EXPECT_THAT(said(with(plan_of_fleet(), "site_power", "20 kW")),
                HasSubstr("site_power of 20 kW is too little: the next fleet to try draws"));
    // The bound itself is above it.
    EXPECT_THAT(said(with(plan_of_fleet(), "plan.most_chips", "8")),
                HasSubstr("plan.most_chips: A: most_chips of 8 is too few: the traffic cannot be "
                          "carried by fewer than 16 chips in closed form (most_chips: 16)"));
    EXPECT_THAT(said(with(plan_of_fleet(), "plan.tensor_parallel", "[3]")), HasSubstr("can be"));
    EXPECT_THAT(said(with(plan_of_fleet(), "workload.scheduler", "{gpu_memory_utilization: 0.2}")),
                HasSubstr("no room for a KV cache"));
    EXPECT_THAT(said(without(plan_of_fleet(), "workload", "slo")),
                HasSubstr("workload.slo: is missing: a fleet is planned for what is promised"));
    EXPECT_THAT(said(with(plan_of_fleet(), "plan.api", "[nobody]")),
                HasSubstr("plan.api: public has no price nobody"));
    EXPECT_THAT(said(with(plan_of_fleet(), "plan.pools", "[{name: B}]")),
                HasSubstr("plan.pools: no alternative has a pool B"));
    EXPECT_THAT(said(with(plan_of_fleet(), "plan.micro_batch", "[1]")),
                HasSubstr("unknown key micro_batch"));
    EXPECT_EQ(problems_of(plan_of_fleet()), "");
}

// Sessions whose turns go to any replica, so that nearly all of a prompt comes up from what they
// share: 2 GB/s are too little for any number of replicas, which a few runs show.
TEST(ServingPlan, ATierThatIsFullEndsTheSearchAndIsNamed) {
    const auto over = [](const std::string& bandwidth) {
        Node experiment = plan_of_fleet();
        for (const auto& [path, value] :
             {std::pair<std::string, std::string>(
                  "workload.traffic",
                  "{arrivals: {law: poisson, rate: 40 req/s}, sessions: {turns: 5, think_time: "
                  "{mean: 5 s}}, input: {mean: 1000 tokens}, output: {mean: 50 tokens}, requests: "
                  "800}"),
              {"workload.routing", "round_robin"},
              {"workload.scheduler",
               "{max_num_batched_tokens: 8192, cache_tiers: [{name: pool, shared: true, capacity: "
               "10 TB, bandwidth: " +
                   bandwidth + "}]}"},
              {"plan", "{tensor_parallel: [1], good: 95 %}"}})
            experiment = with(std::move(experiment), path, value);
        return experiment;
    };
    Catalog catalog = test_catalog();
    long runs = 0;
    PlanOptions options;
    options.progress = [&](const std::string&) { ++runs; };
    std::vector<Diagnostic> told;
    try {
        (void)plan_serving(over("2 GB/s"), catalog, options);
    } catch (const InputError& error) {
        told = error.diagnostics();
    }
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0].path, "workload.scheduler.cache_tiers");
    EXPECT_THAT(told[0].what, HasSubstr("A: bandwidth of the shared tier pool holds every fleet "
                                        "back: at 2 GB/s "));
    EXPECT_THAT(told[0].what, HasSubstr(" keep the objective"));
    EXPECT_LT(runs, 30);
    ASSERT_EQ(told[0].hint.rfind("bandwidth: ", 0), 0U);
    // With that a fleet is found.
    const ServingPlanReport report = planned(over(told[0].hint.substr(11)));
    EXPECT_TRUE(report.alternatives[0].answer.has_value());
}

// Nothing is run where the bound itself is too many.
TEST(ServingPlan, ABoundAboveTheMostChipsIsRefusedAtOnce) {
    Catalog catalog = test_catalog();
    long runs = 0;
    PlanOptions options;
    options.progress = [&](const std::string&) { ++runs; };
    const std::string said = refusal_of(
        [&] { plan_serving(with(plan_of_fleet(), "plan.most_chips", "8"), catalog, options); });
    EXPECT_EQ(runs, 0);
    EXPECT_THAT(said, HasSubstr("(most_chips: "));
}

TEST(ServingPlan, PricesOfTheModelStandBesideIt) {
    const ServingPlanReport report = planned(plan_of_fleet());
    ASSERT_EQ(report.api.size(), 1U);
    EXPECT_EQ(report.api[0].name, "deepseek-r1");
    EXPECT_EQ(report.api[0].price.date, "2025-02");
    // 4,000 requests in 3999 / 400 s.
    const double months = 3999 / 400.0 / (730.5 * 3600);
    EXPECT_NEAR(report.api[0].usd_per_month, (2 * 0.55 + 0.4 * 2.19) / months, 1);
}

// Of TTFT and of TPOT each by itself, as service levels are stated.
TEST(ServingPlan, APercentileIsPromisedOfEachLatency) {
    Node strict = with(plan_of_fleet(), "plan.percentile", "p99"),
         lax = with(plan_of_fleet(), "plan.percentile", "p50");
    const ServingPlanReport first = planned(strict), second = planned(lax);
    const ServingAnswer& of_strict = *first.alternatives[0].answer;
    const ServingAnswer& of_lax = *second.alternatives[0].answer;
    EXPECT_LE(value_of(of_strict.result, "time_to_first_token_p99"), 1000);
    EXPECT_LE(value_of(of_strict.result, "time_per_output_token_p99"), 50);
    EXPECT_LE(value_of(of_lax.result, "time_to_first_token_p50"), 1000);
    EXPECT_LE(of_lax.chips, of_strict.chips);
    // What breaks next is told at the percentile that is promised.
    EXPECT_THAT(of_strict.next.what, HasSubstr(", p99 "));
    const ServingPlanReport third = planned(with(plan_of_fleet(), "plan.percentile", "p95"));
    EXPECT_THAT(third.alternatives[0].answer->next.what, HasSubstr(", p95 "));
    EXPECT_THAT(plan_problems(with(strict, "plan.good", "0.9")), HasSubstr("plan.percentile"));
    ServingPlanForm form;
    EXPECT_DOUBLE_EQ(form.least_good(), 0.99);
    form.percentile = PlanPercentile::p95;
    EXPECT_NEAR(form.may_be_late(), 0.05, 1e-12);
    EXPECT_NEAR(form.least_good(), 0.9, 1e-12);
}

// 2048, 8192 and 32768 tokens of a step where neither list nor scheduler says.
TEST(ServingPlan, TokensOfAStepAreSearchedWhereNobodySays) {
    const auto candidates = [](const Node& experiment) {
        return planned(experiment).alternatives[0].counts.candidates;
    };
    const Node open = plan_of_fleet();
    EXPECT_EQ(candidates(open), 6);
    EXPECT_EQ(candidates(with(open, "plan.max_num_batched_tokens", "[4096]")), 2);
    EXPECT_EQ(candidates(with(open, "workload.scheduler.max_num_batched_tokens", "4096")), 2);
}

TEST(ServingPlan, ListsMayBeOfAPoolThatOneAlternativeHas) {
    const Node experiment =
        with(plan_of_fleet(), "plan.pools", "[{name: B, tensor_parallel: [1]}]");
    EXPECT_THAT(plan_problems(experiment), HasSubstr("no alternative has a pool B"));
}

}  // namespace
}  // namespace podsim
