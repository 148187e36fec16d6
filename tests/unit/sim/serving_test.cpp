// Served traffic from the experiment to the result: what is refused, what the numbers rest on, and
// that the audit sees each of them bent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <string>

#include "sim/audit.hpp"
#include "sim/plan_run.hpp"
#include "sim/result_read.hpp"
#include "sim/serving_fleet.hpp"
#include "sim/serving_plan.hpp"
#include "sim/serving_spec.hpp"
#include "tests/support/readers.hpp"
#include "tests/unit/sim/experiment_cases.hpp"

namespace podsim {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

Node pools_experiment() {
    Node experiment = parse_yaml(R"(experiment: a test
workload:
  kind: serving
  model: deepseek-r1
  traffic:
    arrivals: {law: poisson, rate: 20 req/s}
    input: {mean: 500 tokens}
    output: {mean: 100 tokens}
    requests: 200
alternatives:
  - name: A
    pools:
      - name: readers
        role: prefill
        system: test-system
        chips: 32
        replicas: 2
        precision: {weights: int8, experts: int8, activations: int8, dispatch: int8}
        engine: test-engine
      - name: writers
        role: decode
        system: test-system
        chips: 32
        precision: {weights: int8, experts: int8, activations: int8, dispatch: int8}
        engine: test-engine
prices: test-prices
)",
                                 "test.yaml");
    return experiment;
}

TEST(ServingRun, EveryRequestIsServedAndEveryLawHolds) {
    const AlternativeResult result = run_test(serving_experiment());
    ASSERT_TRUE(result.served.has_value());
    EXPECT_EQ(result.served->finished, 200);
    EXPECT_EQ(result.served->input_tokens, 200 * 500);
    EXPECT_EQ(result.served->output_tokens, 200 * 100);
    EXPECT_THAT(broken_laws(result), ::testing::IsEmpty());
    EXPECT_EQ(result.packages, 16);
    EXPECT_EQ(result.ranks, 32);
    // 20 requests a second for about ten seconds, and what the last one takes.
    EXPECT_NEAR(result.served->span_seconds, 14, 5);
    EXPECT_NEAR(value_of(result, "output_tokens_per_second_per_chip"),
                20000 / result.served->span_seconds / 16, 1e-9);
    EXPECT_LT(result.served->pools[0].step_error_worst, 0.25);
    EXPECT_GT(result.served->pools[0].step_error_samples, 0);
}

// One prompt among 32 groups: longer than a step in which all share its tokens, shorter than one in
// which each has as many, since experts have the tokens of all.
TEST(ServingRun, APromptAloneIsOneGroupsWork) {
    const Node one = with(with(serving_experiment(), "workload.traffic.requests", "1"),
                          "workload.traffic.input.mean", "2048 tokens");
    const double first = value_of(run_test(one), "time_to_first_token");
    const auto prefill = [](const char* prompt) {
        Node step = with(test_experiment(), "workload.kind", "prefill");
        step = without(without(step, "workload", "context"), "workload", "batch_per_chip");
        step = with(with(step, "workload.prompt", prompt), "workload.batch_per_group", "1");
        return value_of(run_test(step), "iteration_time");
    };
    EXPECT_GT(first, 1.01 * prefill("64 tokens"));
    EXPECT_LT(first, prefill("2048 tokens"));
}

// One sequence alone: its tokens come as fast as `kind: decode` says of that batch and context.
TEST(ServingRun, AStepCostsWhatItCostsByItself) {
    Node one = with(serving_experiment(), "workload.traffic.requests", "1");
    one = with(with(one, "workload.traffic.input.mean", "1023 tokens"),
               "workload.traffic.output.mean", "2 tokens");
    one = with(one, "alternatives.A.experts", "{popularity: balanced}");
    const AlternativeResult served = run_test(one);
    Node step = with(test_experiment(), "workload.batch_per_group", "1");
    step = without(with(step, "workload.context", "1024 tokens"), "workload", "batch_per_chip");
    const double expected = value_of(run_test(step), "time_per_output_token");
    // 32 data-parallel groups, of which one has a sequence: a step of one each.
    EXPECT_NEAR(value_of(served, "time_per_output_token"), expected, 0.002 * expected);
}

// 64 ranks with 256 experts, 8 a token: each expert has as many rows as a rank has sequences in two
// micro-batches. Beyond 32 it takes 64 rows at a time, and the step a tenth more at once: between
// 32 and 48 a slope would be 9 % off there.
TEST(ServingRun, StepsOfTheStairAreInTheTable) {
    Node experiment = with(with(serving_experiment(), "alternatives.A.system", "atlas-950dt"),
                           "alternatives.A.chips", "64");
    experiment = with(experiment, "alternatives.A.precision",
                      "{weights: fp8, experts: fp8, activations: fp8, dispatch: fp8}");
    experiment = with(experiment, "alternatives.A.mapping",
                      "{data_parallel: 64, expert_parallel: 64, micro_batches: 2}");
    Catalog catalog = test_catalog();
    const ResolvedExperiment resolved = resolve(experiment, catalog);
    RunOptions options;
    ServingFleet fleet(resolved, resolved.alternatives[0], options);
    const auto load = [](double batch) { return StepLoad{64 * batch, 2048, 0, 0}; };
    EXPECT_GT(fleet.table(0).exact(load(34)).seconds,
              1.08 * fleet.table(0).exact(load(32)).seconds);
    for (const double batch : {20.0, 34.0, 40.0, 68.0}) {
        const double exact = fleet.table(0).exact(load(batch)).seconds;
        EXPECT_NEAR(fleet.table(0).time(load(batch)).value(), exact, 0.01 * exact) << batch;
    }
}

TEST(ServingRun, PoolsHandOverTheirCaches) {
    const AlternativeResult result = run_test(pools_experiment());
    EXPECT_THAT(broken_laws(result), ::testing::IsEmpty());
    ASSERT_EQ(result.served->pools.size(), 2U);
    EXPECT_EQ(result.served->pools[0].written_tokens, 200);
    EXPECT_EQ(result.served->pools[1].written_tokens, 200 * 99);
    EXPECT_EQ(result.served->pools[1].prefill_tokens, 0);
    EXPECT_EQ(result.served->transferred_tokens, 200 * 500);
    // (512 + 64) x 61 layers x 2 bytes a token.
    EXPECT_EQ(result.served->transferred_bytes, 200.0 * 500 * 576 * 61 * 2);
    EXPECT_EQ(result.packages, 64);
    const auto transfer =
        std::find_if(result.breakdown.begin(), result.breakdown.end(),
                     [](const auto& part) { return part.part == "cache transfer"; });
    // 35 MB through the ports of 32 ranks at 50 GB/s, and 5 us.
    EXPECT_GE(transfer->seconds, 500.0 * 576 * 61 * 2 / (32 * 50e9) + 5e-6 - 1e-9);
}

TEST(ServingRun, TheResultReadsBack) {
    Catalog catalog = test_catalog();
    Result result = run_experiment(with(serving_experiment(), "workload.rate_scales", "[0.5, 2]"),
                                   catalog, quick());
    const nlohmann::ordered_json json = to_json(result);
    const Result again = read_result(json);
    EXPECT_EQ(to_json(*again.alternatives[0].served), to_json(*result.alternatives[0].served));
    ASSERT_EQ(again.alternatives[0].served->curve.size(), 2U);
    const auto& curve = again.alternatives[0].served->curve;
    // More load: more tokens a chip, fewer a user.
    EXPECT_GT(curve[1].output_tokens_per_second_per_chip,
              curve[0].output_tokens_per_second_per_chip);
    EXPECT_LT(curve[1].tokens_per_second_per_user, curve[0].tokens_per_second_per_user);
    EXPECT_TRUE(curve[0].on_frontier && curve[1].on_frontier);
}

// 32 chips in two replicas, each chip failing once in 200 s on the mean: every law holds all the
// same, and nothing is left over.
// Counts of requests and steps with a point, as other libraries write them.
TEST(ServingRun, TheResultReadsBackHoweverNumbersAreWritten) {
    Catalog catalog = test_catalog();
    const nlohmann::ordered_json json =
        to_json(run_experiment(pools_experiment(), catalog, quick()));
    nlohmann::ordered_json other = json;
    auto& served = other["alternatives"][0]["served"];
    served["finished"] = served["finished"].get<double>();
    served["pools"][0]["kv_blocks"] = served["pools"][0]["kv_blocks"].get<double>();
    EXPECT_TRUE(to_json(read_result(other))["alternatives"] == json["alternatives"]);
    served["finished"] = 199.5;
    EXPECT_THROW((void)read_result(other), std::runtime_error);
}

TEST(ServingRun, FailuresBreakNoLaw) {
    Node experiment = with(with(serving_experiment(), "alternatives.A.chips", "32"),
                           "alternatives.A.replicas", "2");
    experiment = with(experiment, "workload.failures", "{mean_time_between: 200 s, repair: 5 s}");
    experiment = with(experiment, "workload.traffic.requests", "1000");
    const AlternativeResult result = run_test(experiment);
    EXPECT_THAT(broken_laws(result), ::testing::IsEmpty());
    EXPECT_EQ(result.served->finished, 1000);
    EXPECT_GT(result.served->pools[0].failures, 1);
    EXPECT_GT(result.served->retried, 0);
    EXPECT_EQ(value_of(result, "requests_retried"), result.served->retried);
    EXPECT_NEAR(value_of(result, "replicas_down"),
                result.served->pools[0].down_seconds / 2 / result.served->span_seconds, 1e-12);
}

Node scaled_experiment() {
    Node experiment = with(with(serving_experiment(), "alternatives.A.chips", "64"),
                           "alternatives.A.replicas", "4");
    experiment = with(experiment, "workload.traffic.requests", "1500");
    experiment = with(experiment, "workload.traffic.arrivals.rate", "60 req/s");
    return with(experiment, "alternatives.A.autoscaling",
                "{target_requests: 40, interval: 1 s, look_back: 2 s, scale_down_delay: 5 s, "
                "start_up: {provision: 2 s, weights_bandwidth: 20 GB/s, warm_up: 1 s}}");
}

// Chips that nobody has are not paid for, draw nothing, and are in no figure of a chip.
TEST(ServingRun, HoursThatArePaidFor) {
    const AlternativeResult result = run_test(scaled_experiment());
    EXPECT_THAT(broken_laws(result), ::testing::IsEmpty());
    const ServedPool& pool = result.served->pools[0];
    EXPECT_EQ(result.served->finished, 1500);
    EXPECT_GT(pool.starts, 0);
    EXPECT_GT(pool.waited_for_start, 0);
    const double span = result.served->span_seconds;
    EXPECT_GT(pool.paid_seconds, span);
    EXPECT_LT(pool.paid_seconds, 4 * span);
    EXPECT_NEAR(value_of(result, "replica_hours"), pool.paid_seconds / 3600, 1e-12);
    EXPECT_NEAR(value_of(result, "replicas_mean"), pool.paid_seconds / span, 1e-9);
    EXPECT_EQ(value_of(result, "requests_waited_for_start"), pool.waited_for_start);
    // 16 chips of a replica at 2 USD an hour.
    const double tokens = result.served->input_tokens + result.served->output_tokens;
    EXPECT_NEAR(value_of(result, "usd_per_million_total_tokens") * tokens * 1e-6,
                pool.paid_seconds / 3600 * 16 * 2, 1e-9);
    EXPECT_NEAR(value_of(result, "output_tokens_per_second_per_chip"),
                result.served->output_tokens / (pool.paid_seconds * 16), 1e-9);
    ASSERT_EQ(pool.replicas_over_time.size(), 60U);
    // What a rank holds of the model at 20 GB/s, and 3 s.
    double weights = 0;
    for (const MemoryPart& part : result.memory[0].parts) {
        if (part.part != "KV cache" && part.part != "activations" &&
            part.part != "exchange buffers" && part.part != "runtime reserve")
            weights += part.bytes;
    }
    EXPECT_GT(weights, 20e9);
    EXPECT_NEAR(pool.start_up_seconds, 3 + weights / 20e9, 1e-9);
}

Node on_planes(const Node& experiment) {
    return with(with(with(experiment, "alternatives.A.system", "cloudmatrix384"),
                     "alternatives.A.chip", "test-chip"),
                "alternatives.A.collectives", "test-collectives");
}

// A plane that is dead from the first to the last moment costs what it costs as part of the system;
// one that comes back costs something in between, and its steps are told apart.
TEST(ServingRun, APlaneThatComesBack) {
    // One prompt at a time: where a slower step has two meet they are read in one step, and tokens
    // that are written wait less often.
    const Node whole = with(with(on_planes(serving_experiment()), "workload.traffic.arrivals",
                                 "{law: constant, rate: 4 req/s}"),
                            "workload.traffic.requests", "40");
    const auto tpot = [&](const std::string& faults) {
        const AlternativeResult result =
            run_test(faults.empty() ? whole : with(whole, "alternatives.A.faults", faults));
        EXPECT_THAT(broken_laws(result), ::testing::IsEmpty());
        return value_of(result, "time_per_output_token");
    };
    const double none = tpot(""), always = tpot("[{plane: 3}, {plane: 4}, {plane: 5}]"),
                 timed = tpot(
                     "[{plane: 3, from: 0 s}, {plane: 4, from: 0 s}, {plane: 5, "
                     "replicas: [0]}]");
    EXPECT_GT(always, none * 1.001);
    EXPECT_NEAR(timed, always, 1e-12 * always);

    const AlternativeResult result = run_test(with(
        whole, "alternatives.A.faults",
        "[{plane: 3, from: 1 s, until: 6 s}, {plane: 4, capacity: 0.5, from: 3 s, until: 8 s}, "
        "{link: [chip0, l1.p5.0], from: 100 s}]"));
    EXPECT_THAT(broken_laws(result), ::testing::IsEmpty());
    EXPECT_GT(value_of(result, "time_per_output_token"), none * 1.00001);
    EXPECT_LT(value_of(result, "time_per_output_token"), always);
    const auto& conditions = result.served->pools[0].conditions;
    ASSERT_EQ(conditions.size(), 5U);  // none; 3; 3 and 4; 4; the link
    EXPECT_THAT(conditions[2].broken,
                ::testing::ElementsAre("plane 3 of scale_up is dead",
                                       "plane 4 of scale_up has 50 % of its bandwidth"));
    EXPECT_GT(conditions[2].seconds, 1);
    EXPECT_EQ(conditions[4].steps, 0);
    EXPECT_NEAR(value_of(result, "engine_time_degraded"),
                1 - conditions[0].seconds / result.served->pools[0].busy_seconds, 1e-12);
}

// A dead chip of the second of two replicas stops it from 3 to 8 s.
TEST(ServingRun, AChipThatComesBack) {
    Node experiment = with(with(on_planes(serving_experiment()), "alternatives.A.chips", "32"),
                           "alternatives.A.replicas", "2");
    experiment = with(experiment, "alternatives.A.faults",
                      "[{chip: 3, replicas: [1], from: 3 s, until: 8 s}]");
    const AlternativeResult result = run_test(experiment);
    EXPECT_THAT(broken_laws(result), ::testing::IsEmpty());
    EXPECT_EQ(result.served->finished, 200);
    EXPECT_EQ(result.served->pools[0].failures, 1);
    EXPECT_NEAR(result.served->pools[0].down_seconds, 5, 1e-9);
    EXPECT_GT(result.served->retried, 0);
}

TEST(ServingCheck, FaultsThatCannotBe) {
    const Node whole = on_planes(serving_experiment());
    for (const auto& [faults, said] :
         {std::pair("[{plane: 9, from: 1 s}]", "alternatives.A.faults[0]: plane 9"),
          {"[{plane: 3, from: 5 s, until: 4 s}]", "until: is not after from"},
          {"[{plane: 3, replicas: [1]}]",
           "alternatives.A.faults[0].replicas: 1: there is 1 replica, counted from 0"},
          {"[{chip: 3, from: 5 s}]",
           "alternatives.A.faults: leave no replica that ever works again (until: "}})
        EXPECT_THAT(problems_of(with(whole, "alternatives.A.faults", faults)), HasSubstr(said));
    Node decode = with(with(test_experiment(), "alternatives.A.system", "cloudmatrix384"),
                       "alternatives.A.collectives", "test-collectives");
    decode = with(decode, "alternatives.A.chip", "test-chip");
    EXPECT_EQ(problems_of(with(decode, "alternatives.A.faults", "[{plane: 3}]")), "");
    EXPECT_THAT(problems_of(with(decode, "alternatives.A.faults", "[{plane: 3, until: 1 s}]")),
                HasSubstr("say nothing to a workload of kind decode"));
}

// 16 chips at 2 USD an hour for 24 hours, 768 USD: nine times 7,680 after 90 days.
TEST(ServingRun, DaysUntilTrainingIsATenth) {
    const AlternativeResult result = run_test(
        with(serving_experiment(), "workload.lifecycle", "{training: 7680 USD, days: [10, 90]}"));
    EXPECT_NEAR(value_of(result, "usd_per_day"), 0.768, 1e-12);
    EXPECT_NEAR(value_of(result, "days_until_training_share"), 90, 1e-9);
    ASSERT_EQ(result.served->lifecycle.size(), 2U);
    EXPECT_NEAR(result.served->lifecycle[0].training_share, 0.5, 1e-12);
    EXPECT_NEAR(result.served->lifecycle[1].training_share, 0.1, 1e-12);
    EXPECT_NEAR(result.served->lifecycle[1].usd, 76800, 1e-9);
}

TEST(ServingRun, TheSameSeedGivesTheSameBytes) {
    const AlternativeResult a = run_test(serving_experiment()), b = run_test(serving_experiment());
    EXPECT_EQ(to_json(*a.served), to_json(*b.served));
}

TEST(ServingRun, AStopIsMarked) {
    RunOptions options = quick();
    int looks = 0;
    options.stop = [&] { return ++looks > 1; };
    const AlternativeResult result =
        run_test(with(serving_experiment(), "workload.traffic.requests", "20000"), {}, options);
    EXPECT_TRUE(result.served->partial);
    EXPECT_GT(result.served->in_flight, 0);
    EXPECT_THAT(broken_laws(result), ::testing::IsEmpty());
    EXPECT_THAT(result.warnings, Contains(HasSubstr("partial: ended by a signal")));
}

TEST(ServingRun, WhatIsTooLongIsRejectedAndCounted) {
    Node experiment = with(serving_experiment(), "workload.max_model_len", "550");
    experiment = with(experiment, "workload.traffic.output",
                      "{law: uniform, minimum: 10 tokens, maximum: 90 tokens}");
    const AlternativeResult result = run_test(experiment);
    EXPECT_GT(result.served->rejected, 20);
    EXPECT_EQ(result.served->finished + result.served->rejected, 200);
    EXPECT_THAT(result.warnings,
                Contains(HasSubstr("rejected requests: prompt and answer longer than "
                                   "max_model_len, 550 tokens")));
    EXPECT_THAT(broken_laws(result), ::testing::IsEmpty());
}

// The same traffic without those above 550 tokens: nobody is rejected, all others are served.
TEST(ServingRun, WhatIsTooLongIsLeftOutOrEndsTheRunWhereThatIsChosen) {
    const auto choosing = [](const char* choice) {
        Node experiment = with(serving_experiment(), "workload.max_model_len", "550");
        experiment = with(experiment, "workload.traffic.output",
                          "{law: uniform, minimum: 10 tokens, maximum: 90 tokens}");
        return with(experiment, "workload.traffic.long_prompts", choice);
    };
    const ServedTraffic rejected = *run_test(choosing("reject")).served;
    const AlternativeResult result = run_test(choosing("skip"));
    const ServedTraffic& skipped = *result.served;
    EXPECT_GT(rejected.rejected, 20);
    EXPECT_EQ(skipped.skipped_long, rejected.rejected);
    EXPECT_EQ(skipped.arrived, rejected.finished);
    EXPECT_EQ(skipped.finished, rejected.finished);
    EXPECT_EQ(skipped.output_tokens, rejected.output_tokens);
    EXPECT_THAT(result.warnings,
                Contains(HasSubstr("requests longer than max_model_len were left out of the "
                                   "traffic, the first: draw ")));
    EXPECT_THAT(broken_laws(result), ::testing::IsEmpty());
    const std::string said = refusal_of([&] { run_test(choosing("refuse")); });
    EXPECT_THAT(said, HasSubstr("prompt of 500 and answer of "));
    EXPECT_THAT(said, HasSubstr("max_model_len is 550"));
    EXPECT_THAT(said, HasSubstr("refuse: " + std::to_string(rejected.rejected) +
                                " of the requests are longer than max_model_len, 550 tokens"));
    // A plan reads the same traffic.
    Catalog catalog = test_catalog();
    EXPECT_THAT(refusal_of([&] {
                    plan_serving(with(choosing("refuse"), "plan", "{tensor_parallel: [1]}"),
                                 catalog, {});
                }),
                HasSubstr("longer than max_model_len, 550 tokens"));
    Node all = with(choosing("skip"), "workload.max_model_len", "100");
    EXPECT_THAT(refusal_of([&] { run_test(all); }),
                HasSubstr("no request comes: 200 longer than max_model_len were skipped"));
}

TEST(ServingCheck, WhatCannotBeIsToldAtItsKey) {
    EXPECT_EQ(problems_of(serving_experiment()), "");
    EXPECT_EQ(problems_of(pools_experiment()), "");
    for (const auto& [path, value, said] :
         {std::tuple("workload.slo.tpot", "1 ms",
                     "test.yaml:99:1: workload.slo.tpot: 1 ms: A needs "),
          {"workload.slo.ttft", "1 ms", "workload.slo.ttft: 1 ms: A needs "},
          {"workload.scheduler", "{gpu_memory_utilization: 0.2}",
           "the model leaves no room for a KV cache: a rank has 64 GB"},
          {"workload.scheduler", "{max_num_seq: 3}", "max_num_seq"},
          {"site_power", "19 kW", "16 chips of 1 kW at a power usage effectiveness of 1.2 draw"},
          {"workload.rate_scales", "[0]", "rate_scales"},
          {"workload.traffic.arrivals.rate", "0 req/s", "workload.traffic.arrivals.rate"},
          {"alternatives.A.replicas", "3", "16 chips do not divide over 3 replicas"},
          {"alternatives.A.autoscaling", "{min_replicas: 1}",
           "alternatives.A.autoscaling.target_requests: is missing: there is no target"},
          {"alternatives.A.autoscaling", "{target_requests: 8, target_kv_cache: 0.5}",
           "alternatives.A.autoscaling.target_kv_cache: is a second target"},
          {"alternatives.A.autoscaling", "{target_kv_cache: 0.5, min_replicas: 0}",
           "a pool without a replica has no KV cache to be scaled by"},
          {"alternatives.A.autoscaling", "{target_requests: 8, min_replicas: 2}",
           "begins with 2 replicas, the pool has 1 at most"},
          {"alternatives.A.autoscaling",
           "{target_requests: 8, min_replicas: 1, initial_replicas: 0}", "is below min_replicas"},
          {"alternatives.A.autoscaling", "{target_requests: 0}", "target_requests"},
          {"alternatives.A.batch_per_chip", "3", "says nothing to a workload of kind serving"}}) {
        EXPECT_THAT(problems_of(with(serving_experiment(), path, value)), HasSubstr(said));
    }
    // 64 chips of 1 kW at 1.2.
    EXPECT_THAT(problems_of(with(pools_experiment(), "site_power", "70 kW")),
                HasSubstr("all pools of A draw 76.8 kW with their cooling, site_power is 70 kW"));
    Node alone = pools_experiment();
    Node* pools = alone.find("alternatives")->items.front().find("pools");
    pools->items.pop_back();
    EXPECT_THAT(problems_of(alone), HasSubstr("no pool writes answers"));
    EXPECT_THAT(problems_of(with(test_experiment(), "alternatives.A.replicas", "2")),
                HasSubstr("says nothing to a workload of kind decode"));
    EXPECT_THAT(
        problems_of(with(test_experiment(), "alternatives.A.autoscaling", "{target_requests: 8}")),
        HasSubstr("says nothing to a workload of kind decode"));
}

TEST(ServingCheck, NoRequestIsNoRun) {
    Node none = with(serving_experiment(), "workload.max_model_len", "100");
    EXPECT_THROW(run_test(none), InputError);
}

TEST(ServingKnobs, APoolTurnsWhatTheWorkloadTurned) {
    SchedulerSettings workload, pool;
    workload.max_num_seqs = 64;
    workload.block_size = 32;
    pool.max_num_seqs = 8;
    const ReplicaKnobs knobs = knobs_of(workload, pool);
    EXPECT_EQ(knobs.scheduler.max_num_seqs, 8);
    EXPECT_EQ(knobs.scheduler.block_size, 32);
    EXPECT_EQ(knobs.scheduler.max_num_batched_tokens, 8192);
}

// Ranks that share a prompt have a part of it each: readers so fast that they would exceed their
// peak are seen all the same.
TEST(ServingAudit, ReadersThatShareAPromptAreHeldToTheirPeak) {
    for (const char* mapping : {"{data_parallel: 32, expert_parallel: 32}",
                                "{context_parallel: 4, data_parallel: 8, expert_parallel: 32}"}) {
        Catalog catalog = test_catalog();
        const Node readers =
            with(with(pools_experiment(), "alternatives.A.pools.readers.mapping", mapping),
                 "alternatives.A.pools.readers.collectives", "nominal");
        const Result result = run_experiment(readers, catalog, quick());
        AlternativeResult bent = result.alternatives.front();
        EXPECT_THAT(broken_laws(bent), ::testing::IsEmpty()) << mapping;
        bent.served->pools[0].busy_seconds /= 100;
        bent.audit = audit(bent, result.kind, result.configuration);
        EXPECT_THAT(broken_laws(bent), Contains(HasSubstr("prompts take at least"))) << mapping;
    }
}

// A result bent by somebody else: each law sees what belongs to it.
TEST(ServingAudit, TamperedResultsAreCaught) {
    Catalog catalog = test_catalog();
    const Result result = run_experiment(serving_experiment(), catalog, quick());
    const AlternativeResult sound = result.alternatives.front();
    const auto broken = [&](auto bend) {
        AlternativeResult bent = sound;
        bend(bent);
        bent.audit = audit(bent, result.kind, result.configuration);
        return broken_laws(bent);
    };
    EXPECT_THAT(broken([](AlternativeResult&) {}), ::testing::IsEmpty());
    EXPECT_THAT(broken([](auto& r) { r.served->finished -= 1; }),
                Contains(HasSubstr("every request ends one way")));
    EXPECT_THAT(broken([](auto& r) { r.served->output_tokens += 1; }),
                Contains(HasSubstr("tokens in = tokens out")));
    EXPECT_THAT(broken([](auto& r) { r.served->number_integral *= 1.01; }),
                Contains(HasSubstr("Little's law")));
    EXPECT_THAT(broken([](auto& r) { r.served->pools[0].decode_step_seconds /= 50; }),
                Contains(HasSubstr("steps take at least")));
    EXPECT_THAT(broken([](auto& r) { r.served->pools[0].chips = 2; }),
                Contains(HasSubstr("chips counted as packages")));
    EXPECT_THAT(broken([](auto& r) { r.packages = 2; }), Contains(HasSubstr("rates follow")));
    EXPECT_THAT(broken([](auto& r) { r.served->pools[0].paid_seconds *= 0.9; }),
                ::testing::AllOf(Contains(HasSubstr("replica-hours paid")),
                                 Contains(HasSubstr("the bill sums"))));
    EXPECT_THAT(broken([](auto& r) { r.served->pools[0].starts = 1; }),
                Contains(HasSubstr("replica-hours paid")));
    EXPECT_THAT(broken([](auto& r) { r.served->pools[0].busy_seconds *= 100; }),
                Contains(HasSubstr("no resource above 100 %")));
    EXPECT_THAT(broken([](auto& r) { r.served->pools[0].early_tokens = 16; }),
                Contains(HasSubstr("no prefix is read before it has come up")));
    EXPECT_THAT(broken([](auto& r) { r.memory[0].parts[0].bytes += 1e9; }),
                Contains(HasSubstr("memory fits")));
    EXPECT_THAT(broken([](auto& r) { r.breakdown[0].seconds += 1; }),
                Contains(HasSubstr("what requests wait for")));
    EXPECT_THAT(broken([](auto& r) {
                    for (Metric& metric : r.metrics)
                        if (metric.name == "usd_per_million_output_tokens") metric.value /= 8;
                }),
                Contains(HasSubstr("the bill sums")));
}

TEST(Frontier, PointsThatOthersSurpassAreNotOnIt) {
    std::vector<LoadPoint> curve(3);
    curve[0].output_tokens_per_second_per_chip = 10;
    curve[0].tokens_per_second_per_user = 50;
    curve[1].output_tokens_per_second_per_chip = 20;
    curve[1].tokens_per_second_per_user = 40;
    curve[2].output_tokens_per_second_per_chip = 15;
    curve[2].tokens_per_second_per_user = 30;
    mark_frontier(curve);
    EXPECT_TRUE(curve[0].on_frontier);
    EXPECT_TRUE(curve[1].on_frontier);
    EXPECT_FALSE(curve[2].on_frontier);
}

Node drifting_experiment(const std::string& rebalance) {
    Node experiment = with(serving_experiment(), "workload.expert_balance",
                           "{drift_time: 10 s" + rebalance + "}");
    return with(experiment, "alternatives.A.experts",
                "{redundant: 32, popularity: zipf, zipf_exponent: 0.6}");
}

// 288 slots on 32 ranks, 9 each, 58 MoE layers; an expert is 3 x 7,168 x 2,048 INT8 elements and
// their scales, 44.04 MB; a port of the test's links 196 GB/s.
TEST(ServingRun, ExpertsThatArePlacedAnewKeepTheirBalanceAndStall) {
    const AlternativeResult left = run_test(drifting_experiment(""));
    const AlternativeResult placed = run_test(drifting_experiment(", rebalance_every: 2 s"));
    EXPECT_THAT(broken_laws(left), ::testing::IsEmpty());
    EXPECT_THAT(broken_laws(placed), ::testing::IsEmpty());
    EXPECT_EQ(value_of(left, "rebalances"), 0);
    EXPECT_GE(value_of(placed, "rebalances"), 4);
    EXPECT_DOUBLE_EQ(value_of(left, "expert_imbalance_placed"),
                     value_of(placed, "expert_imbalance_placed"));
    EXPECT_GT(value_of(left, "expert_imbalance_drifted"),
              value_of(placed, "expert_imbalance_drifted"));
    EXPECT_GT(value_of(placed, "expert_imbalance_drifted"),
              value_of(placed, "expert_imbalance_placed"));
    EXPECT_GT(value_of(left, "popularity_moved"), value_of(placed, "popularity_moved"));
    EXPECT_GT(value_of(placed, "rebalance_stall"), 0);
}

// Bytes over the rank's port, and the pause: by hand from what the busiest rank receives.
TEST(ServingRun, APlacingMovesExpertsOverThePort) {
    Catalog catalog = test_catalog();
    const ResolvedExperiment experiment =
        resolve(drifting_experiment(", rebalance_every: 2 s, rebalance_pause: 30 ms"), catalog);
    RunOptions options;
    ServingFleet fleet(experiment, experiment.alternatives[0], options);
    const ExpertMigration all = fleet.aged(0)->migration(1.0, Seconds(0.03));
    const double expert = 3.0 * 7168 * 2048;
    const ResolvedAlternative& replica = fleet.replica(0);
    const double port = rank_fabric(replica.system, replica.chip.ranks).scale_up.value();
    EXPECT_LE(all.received, 9 * 58);
    EXPECT_GT(all.received, 7 * 58);  // nothing is where it was
    EXPECT_NEAR(all.stall, 0.03 + all.received * expert / port, 0.01 * all.stall);
    EXPECT_GT(all.bytes, 0.8 * 32 * all.received * expert * 0.9);
    EXPECT_LE(all.bytes, 1.01 * 32 * all.received * expert);
    const ExpertMigration none = fleet.aged(0)->migration(0.0, Seconds(0.03));
    EXPECT_EQ(none.received, 0);
    EXPECT_DOUBLE_EQ(none.stall, 0.03);
}

// Placed anew once the busiest rank is asked 1.5 times the mean: at the age a at which what has
// moved, 1 - exp(-a / 10 s), makes it so; and at whole looks.
TEST(ServingRun, APlacingMayWaitForAnImbalance) {
    Catalog catalog = test_catalog();
    const ResolvedExperiment experiment = resolve(drifting_experiment(""), catalog);
    RunOptions options;
    ServingFleet fleet(experiment, experiment.alternatives[0], options);
    AgedSteps& aged = *fleet.aged(0);
    EXPECT_LT(aged.expected_imbalance(0), 1.1);
    EXPECT_GT(aged.expected_imbalance(1), 2);
    const Seconds drift(10.0), at = *aged.first_above(1.5, drift, Seconds(0.0));
    // An expert more has moved, and that is above it.
    const double moved = 1 - std::exp(-at.value() / 10);
    EXPECT_GT(aged.expected_imbalance(moved + 1e-6), 1.5);
    EXPECT_LE(aged.expected_imbalance(moved - 1e-6), 1.5);
    const double looks = aged.first_above(1.5, drift, Seconds(0.7))->value() / 0.7;
    EXPECT_NEAR(looks, std::ceil(at.value() / 0.7), 1e-9);
    // So uneven they never are.
    EXPECT_FALSE(aged.first_above(50, drift, Seconds(0.0)).has_value());

    const AlternativeResult result = run_test(drifting_experiment(", rebalance_above: 1.5"));
    EXPECT_THAT(broken_laws(result), ::testing::IsEmpty());
    EXPECT_NEAR(value_of(result, "rebalance_period"), at.value(), 1e-9);
    EXPECT_GE(value_of(result, "rebalances"),
              std::floor(result.served->span_seconds / at.value()) - 1);
    EXPECT_EQ(value_of(run_test(drifting_experiment(", rebalance_above: 50")), "rebalances"), 0);
    Catalog again = test_catalog();
    const auto refusal = [&](const std::string& more) -> std::string {
        try {
            check_experiment(drifting_experiment(more), again);
        } catch (const InputError& error) {
            return error.what();
        }
        return "";
    };
    EXPECT_THAT(refusal(", rebalance_above: 1.0001"),
                HasSubstr("times the mean just after placing"));
    EXPECT_EQ(refusal(", rebalance_above: 1.0001, rebalance_every: 3 s"), "");
    EXPECT_THAT(refusal(", rebalance_above: 1"), HasSubstr("rebalance_above"));
}

TEST(ServingRun, WhatCannotDriftIsRefused) {
    const auto problem = [](const Node& experiment) -> std::string {
        Catalog catalog = test_catalog();
        try {
            (void)resolve(experiment, catalog);
        } catch (const InputError& error) {
            return error.what();
        }
        return "";
    };
    EXPECT_THAT(
        problem(with(serving_experiment(), "workload.expert_balance", "{drift_time: 10 s}")),
        HasSubstr("nothing to drift where experts are equally popular"));
    EXPECT_THAT(
        problem(with(drifting_experiment(", rebalance_every: 2 s"), "alternatives.A.experts",
                     "{popularity: zipf, zipf_exponent: 0.6, placement: contiguous}")),
        HasSubstr("expert_balance.rebalance_every"));
    EXPECT_THAT(problem(drifting_experiment(", drift_part: domains.c4")),
                HasSubstr("names a part of a histogram"));
    EXPECT_THAT(problem(drifting_experiment(", rebalance_every: 0 s")),
                HasSubstr("rebalance_every"));
}

// Two sessions of ten turns take the memory from each other; a tier of host memory keeps both.
Node sessions_with(const std::string& tiers) {
    Node experiment = serving_experiment();
    for (const auto& [path, value] :
         {std::pair<std::string, std::string>("workload.traffic",
                                              "{arrivals: {law: poisson, rate: 2 req/s}, sessions: "
                                              "{turns: 5, think_time: {mean: 20 s}}, input: {mean: "
                                              "4000 tokens}, output: {mean: 100 tokens}, requests: "
                                              "400}"),
          {"workload.scheduler",
           "{gpu_memory_utilization: 0.76, max_num_seqs: 8, "
           "max_num_batched_tokens: 4096" +
               tiers + "}"}})
        experiment = with(std::move(experiment), path, value);
    return experiment;
}

TEST(ServingCosts, TiersArePaidForInARowOfTheirOwn) {
    Catalog catalog = test_catalog();
    catalog.embed("prices", "test-prices",
                  parse_yaml(std::string(kTestPrices) + "media: {ddr5: {purchase: 12 USD/GB}}\n",
                             "test-prices.yaml"));
    const std::string tier = "{name: host, capacity: 4 TB, bandwidth: 400 GB/s";
    const auto run = [&](const std::string& medium) {
        Catalog own = catalog;
        return run_experiment(sessions_with(", cache_tiers: [" + tier + medium + "}]"), own,
                              quick())
            .alternatives.front();
    };
    const AlternativeResult free = run(""), paid = run(", medium: ddr5");
    EXPECT_THAT(broken_laws(paid), ::testing::IsEmpty());
    EXPECT_THAT(free.warnings, Contains(HasSubstr("names no medium")));
    EXPECT_EQ(free.metric("usd_per_million_tokens_of_cache_tiers"), nullptr);
    // 4 TB at 12 USD/GB: 48,000 x 0.308669 / (8766 x 0.9 h) x 1.2 = 2.25357 USD/h.
    const ServedTraffic& served = *paid.served;
    const double tokens = served.input_tokens + served.output_tokens;
    EXPECT_NEAR(value_of(paid, "usd_per_million_tokens_of_cache_tiers"),
                2.25357 * served.span_seconds / 3600 / tokens * 1e6, 1e-4);
    EXPECT_NEAR(value_of(paid, "usd_per_hour_per_chip"),
                value_of(free, "usd_per_hour_per_chip") + 2.25357 / 16, 1e-5);
    EXPECT_NEAR(value_of(paid, "usd_per_million_total_tokens"),
                value_of(free, "usd_per_million_total_tokens") +
                    value_of(paid, "usd_per_million_tokens_of_cache_tiers"),
                1e-6);
    // What came up would have been read anew.
    ASSERT_GT(served.pools[0].tier_tokens, 0);
    EXPECT_LE(served.pools[0].tier_tokens, served.pools[0].hit_tokens);
    const double computed = served.input_tokens - served.cached_tokens;
    EXPECT_NEAR(value_of(paid, "usd_per_million_tokens_spared_by_cache_tiers") * tokens,
                value_of(paid, "usd_per_million_input_tokens") * computed /
                    served.pools[0].prefill_tokens * served.pools[0].tier_tokens,
                1e-3);
    // What was found bears the tier; nobody's engine waits for it.
    EXPECT_NEAR(value_of(paid, "usd_per_million_cached_input_tokens"),
                2.25357 * served.span_seconds / 3600 / served.cached_tokens * 1e6, 1e-4);
    EXPECT_EQ(value_of(free, "usd_per_million_cached_input_tokens"), 0);
    EXPECT_THAT(free.warnings, Contains(HasSubstr("found in the chips' own memory")));
    // 16 chips at 2 USD an hour, of which steps that read have their share.
    EXPECT_NEAR(value_of(free, "usd_per_million_input_tokens"),
                16 * 2.0 / 3600 * served.pools[0].prefill_seconds / computed * 1e6, 1e-6);
    const auto usd = [&](const char* metric, double count) {
        return value_of(paid, metric) * count * 1e-6;
    };
    EXPECT_NEAR(usd("usd_per_million_input_tokens", computed) +
                    usd("usd_per_million_cached_input_tokens", served.cached_tokens) +
                    usd("usd_per_million_output_tokens", served.output_tokens) +
                    usd("usd_per_million_tokens_of_idle_time", tokens),
                value_of(paid, "usd_per_hour_per_chip") * 16 * served.span_seconds / 3600, 1e-6);
    Node unknown = sessions_with(", cache_tiers: [" + tier + ", medium: tape}]");
    try {
        check_experiment(unknown, catalog);
        FAIL();
    } catch (const InputError& error) {
        EXPECT_THAT(error.what(), HasSubstr("know no medium tape"));
    }
}

TEST(ServingCosts, WhereNothingIsFoundTiersStandByThemselves) {
    Catalog catalog = test_catalog();
    catalog.embed("prices", "test-prices",
                  parse_yaml(std::string(kTestPrices) + "media: {ddr5: {purchase: 12 USD/GB}}\n",
                             "test-prices.yaml"));
    const Node experiment =
        with(serving_experiment(), "workload.scheduler",
             "{cache_tiers: [{name: host, capacity: 1 TB, bandwidth: 400 GB/s, medium: ddr5}]}");
    const AlternativeResult result =
        run_experiment(experiment, catalog, quick()).alternatives.front();
    EXPECT_THAT(broken_laws(result), ::testing::IsEmpty());
    EXPECT_EQ(result.metric("usd_per_million_cached_input_tokens"), nullptr);
    EXPECT_GT(value_of(result, "usd_per_million_tokens_of_cache_tiers"), 0);
}

// Steps that wait for a prefix from below are what it costs to find it, not what answers do.
TEST(ServingCosts, StepsThatWaitForPrefixesAreTheirs) {
    Catalog catalog = test_catalog();
    catalog.embed("engine", "waits",
                  parse_yaml(std::string(kTestEngine) +
                                 "prefix_fetch: {value: 4 GB/s, source: a test, confidence: "
                                 "assumed}\n",
                             "waits.yaml"));
    const Node sessions =
        sessions_with(", cache_tiers: [{name: host, capacity: 4 TB, bandwidth: 40 GB/s}]");
    const auto run = [&](const char* engine) {
        return run_experiment(with(sessions, "alternatives.A.engine", engine), catalog, quick())
            .alternatives.front();
    };
    const AlternativeResult waits = run("waits");
    EXPECT_THAT(broken_laws(waits), ::testing::IsEmpty());
    EXPECT_GT(value_of(waits, "usd_per_million_cached_input_tokens"), 0);
}

TEST(ServingRun, NothingIsKeptWhereNothingWasPromised) {
    const AlternativeResult without_promise =
        run_test(without(serving_experiment(), "workload", "slo"));
    EXPECT_EQ(without_promise.metric("goodput_share"), nullptr);
    EXPECT_EQ(without_promise.metric("goodput_requests_per_second"), nullptr);
    EXPECT_NE(run_test(serving_experiment()).metric("goodput_share"), nullptr);
}

TEST(ServingRun, PoolsThatDifferAreAllNamed) {
    Node experiment = pools_experiment();
    Node& writers = experiment.find("alternatives")->items.front().find("pools")->items[1];
    set_path(writers, "engine", "nominal", {"test.yaml", 99, 1});
    const AlternativeResult result = run_test(experiment);
    EXPECT_EQ(result.engine, "test-engine, nominal");
    EXPECT_EQ(result.chip, "test-chip");
}

TEST(ServingCheck, AnExchangeOfNobodyIsRefused) {
    Node experiment =
        with(serving_experiment(), "alternatives.A.mapping", "{context_exchange: ring}");
    EXPECT_THAT(problems_of(experiment), HasSubstr("mapping.context_exchange"));
    Node prefill = with(test_experiment(), "alternatives.A.mapping", "{context_exchange: ring}");
    prefill = with(without(prefill, "workload", "context"), "workload.kind", "prefill");
    prefill = with(prefill, "workload.prompt", "2048 tokens");
    EXPECT_THAT(problems_of(prefill), HasSubstr("no ranks share a sequence"));
    Node pools = pools_experiment();
    set_path(pools.find("alternatives")->items.front().find("pools")->items[1], "mapping",
             "{context_parallel: 2, context_exchange: ring}", {"test.yaml", 99, 1});
    EXPECT_THAT(problems_of(pools), HasSubstr("is of prompts"));
}

}  // namespace
}  // namespace podsim
