// Serving with attention and feed-forward blocks on pools of their own: what the result says of
// both pools, what the audit sees, what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "sim/audit.hpp"
#include "sim/plan_run.hpp"
#include "sim/pool_links.hpp"
#include "sim/serving_plan.hpp"
#include "sim/step_case.hpp"
#include "tests/support/readers.hpp"
#include "tests/unit/sim/experiment_cases.hpp"

namespace podsim {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The test library and sends from rank to rank, which the pools exchange tokens with.
Node with_sends() {
    return parse_yaml(test_collectives() +
                          "  send_recv: {base: 2 us, scale_up_efficiency: 0.8, "
                          "scale_out_efficiency: 0.8, record: {basis: measured, source: a test, "
                          "date: 2026-01-01}}\n",
                      "sends.yaml");
}

Node apart_experiment() {
    return parse_yaml(R"(experiment: a test
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
      - {name: readers, role: prefill, system: test-system, chips: 16, precision: {weights: int8, experts: int8, activations: int8, dispatch: int8}, engine: test-engine}
      - {name: attention, role: attention, system: test-system, chips: 16, precision: {weights: int8, experts: int8, activations: int8, dispatch: int8}, mapping: {data_parallel: 32, micro_batches: 3}, engine: test-engine, collectives: sends}
      - {name: experts, role: ffn, system: test-system, chips: 8, precision: {weights: int8, experts: int8, activations: int8, dispatch: int8}, mapping: {expert_parallel: 16}, engine: test-engine, collectives: sends}
prices: test-prices
)",
                      "test.yaml");
}

AlternativeResult run_apart(const Node& experiment) {
    Catalog catalog = test_catalog();
    catalog.embed("collectives", "sends", with_sends());
    return run_experiment(experiment, catalog, quick()).alternatives.front();
}

std::string problems_apart(const Node& experiment) {
    Catalog catalog = test_catalog();
    catalog.embed("collectives", "sends", with_sends());
    try {
        check_experiment(experiment, catalog);
    } catch (const InputError& error) {
        return error.what();
    }
    return "";
}

Node pool_with(Node experiment, std::size_t pool, const std::string& key,
               const std::string& value) {
    Node& pools = *experiment.find("alternatives")->items.front().find("pools");
    set_path(pools.items[pool], key, value, {"test.yaml", 99, 1});
    return experiment;
}

TEST(Disaggregated, BothPoolsServeTogether) {
    const AlternativeResult result = run_apart(apart_experiment());
    EXPECT_THAT(broken_laws(result), IsEmpty());
    ASSERT_EQ(result.served->pools.size(), 3U);
    const ServedPool &attention = result.served->pools[1], &experts = result.served->pools[2];
    EXPECT_EQ(attention.role, "attention");
    EXPECT_EQ(experts.role, "ffn");
    EXPECT_EQ(result.served->finished, 200);
    EXPECT_EQ(attention.written_tokens, 200 * 99);
    EXPECT_EQ(experts.written_tokens, 0);
    EXPECT_EQ(experts.busy_seconds, attention.busy_seconds);
    EXPECT_EQ(experts.paid_seconds, attention.paid_seconds);
    EXPECT_GT(experts.flops, 0);
    EXPECT_GT(experts.memory_bytes, 0);
    EXPECT_EQ(result.packages, 40);
    EXPECT_EQ(result.ranks, 80);
    // The memory of each pool apart: the cache is the one's, the experts the other's.
    ASSERT_EQ(result.memory.size(), 3U);
    const auto part = [&](std::size_t pool, const std::string& name) {
        for (const MemoryPart& one : result.memory[pool].parts)
            if (one.part == name) return one.bytes;
        return 0.0;
    };
    EXPECT_GT(part(1, "KV cache"), 0);
    EXPECT_EQ(part(1, "routed experts"), 0);
    EXPECT_EQ(part(2, "KV cache"), 0);
    EXPECT_GT(part(2, "routed experts"), 16 * 58 * 3 * 7168.0 * 2048);
    EXPECT_EQ(result.memory[2].ranks, 16);
    // 9 rows there in 8 bits with a scale and 9 back in 16 in 58 layers, one each in three.
    EXPECT_NEAR(value_of(result, "exchanged_bytes_per_token_and_layer"),
                (58 * 9 + 3) / 61.0 * (7172 + 14336) / 1e3, 1e-6);
    EXPECT_GT(value_of(result, "attention_busy"), 0);
    EXPECT_LE(value_of(result, "attention_busy"), 1);
}

// One sequence in flight: nothing overlaps, and a token takes its layers on both pools and both
// ways, and the host's step.
TEST(Disaggregated, AloneATokenGoesToAndFro) {
    Node one = with(apart_experiment(), "workload.traffic.requests", "1");
    one = with(with(one, "workload.traffic.input.mean", "1023 tokens"),
               "workload.traffic.output.mean", "2 tokens");
    const AlternativeResult result = run_apart(one);
    const double layers = 61 * (value_of(result, "attention_time_per_layer") +
                                value_of(result, "feed_forward_time_per_layer") +
                                value_of(result, "exchange_time_per_layer"));
    // Of 32 groups each has a sequence in the table's step of one. The mean layer of attention
    // holds embedding and head.
    EXPECT_NEAR(value_of(result, "time_per_output_token"), layers / 1e3 + 1, 0.02 * layers / 1e3);
    // Two ways of 2 us and a microsecond of the switch beside the wire.
    EXPECT_GT(value_of(result, "exchange_time_per_layer"), 2 * 3);
}

// Over the network the same bytes take eight times as long, and the latency of 5 us.
TEST(Disaggregated, TheLinksBetweenThePoolsAreAChoice) {
    const AlternativeResult up = run_apart(apart_experiment());
    const AlternativeResult out =
        run_apart(pool_with(apart_experiment(), 2, "exchange_over", "scale_out"));
    EXPECT_THAT(broken_laws(out), IsEmpty());
    EXPECT_GT(value_of(out, "exchange_time_per_layer"),
              value_of(up, "exchange_time_per_layer") + 2 * 4 - 0.01);
    EXPECT_GT(value_of(out, "time_per_output_token"), value_of(up, "time_per_output_token"));
}

TEST(Disaggregated, TheAuditSeesBothPools) {
    Catalog catalog = test_catalog();
    catalog.embed("collectives", "sends", with_sends());
    const Result result = run_experiment(apart_experiment(), catalog, quick());
    const auto bent = [&](const auto& bend) {
        AlternativeResult other = result.alternatives.front();
        bend(*other.served);
        std::vector<std::string> broken;
        for (const AuditFinding& finding : audit(other, result.kind, result.configuration))
            if (!finding.passed) broken.push_back(finding.law);
        return broken;
    };
    EXPECT_THAT(bent([](ServedTraffic&) {}), IsEmpty());
    EXPECT_THAT(bent([](ServedTraffic& served) {
                    served.pools[1].flops /= 8;
                    served.pools[2].flops /= 8;
                }),
                Contains("both pools do the model's work"));
    EXPECT_THAT(bent([](ServedTraffic& served) { served.pools[1].decode_step_seconds /= 100; }),
                Contains("steps take at least what the data sheet allows"));
    EXPECT_THAT(bent([](ServedTraffic& served) { served.pools[2].chips *= 2; }),
                Contains("chips counted as packages"));
}

// Twelve leaves of 32 chips under six spines. Of what is spread evenly over 384 chips 352 of 383
// parts leave their leaf; with one spine left they have a sixth of the way.
TEST(PoolLink, SpinesThatAreDeadAreMissed) {
    const auto link = [](const std::string& faults) {
        Node experiment =
            with(with(serving_experiment(), "alternatives.A.system", "cloudmatrix384"),
                 "alternatives.A.faults", faults);
        Catalog catalog = test_catalog();
        return pool_link(resolve(experiment, catalog).alternatives[0].pools[0]).value();
    };
    const double whole = 32 * 25e9;  // 16 packages of two dies, 400 Gb/s a package
    EXPECT_DOUBLE_EQ(link("[]"), whole);
    std::string five;
    for (int spine = 0; spine < 5; ++spine)
        five += (spine > 0 ? ", " : "") + ("{switch: l2.p0." + std::to_string(spine)) +
                ", level: scale_out}";
    EXPECT_NEAR(link("[" + five + "]"), whole / (6 * 352.0 / 383), 0.01 * whole);
    // Planes of the supernode are another network.
    EXPECT_DOUBLE_EQ(link("[{plane: 3}]"), whole);
}

Node planned_apart() {
    Node experiment = apart_experiment();
    for (const auto& [path, value] :
         {std::pair("workload.traffic.arrivals", "{law: constant, rate: 400 req/s}"),
          std::pair("workload.traffic.requests", "4000"),
          std::pair("workload.slo", "{ttft: 1 s, tpot: 80 ms}"),
          std::pair(
              "plan",
              "{tensor_parallel: [1], pools: [{name: experts, chips_per_replica: [8, 16]}]}")})
        experiment = with(std::move(experiment), path, value);
    // As many tokens a step as is usual: they are not what is searched here.
    experiment = with(std::move(experiment), "workload.scheduler.max_num_batched_tokens", "8192");
    return experiment;
}

ServingPlanReport plan_apart(const Node& experiment) {
    Catalog catalog = test_catalog();
    catalog.embed("collectives", "sends", with_sends());
    return plan_serving(experiment, catalog, {});
}

// Both are bought together, as many of the one as of the other, the second in both sizes; what is
// written runs as it was found, and one pair fewer does not do.
TEST(Disaggregated, APlanBuysPairs) {
    const ServingPlanReport report = plan_apart(planned_apart());
    ASSERT_TRUE(report.alternatives[0].answer.has_value()) << report.alternatives[0].nothing;
    EXPECT_EQ(report.alternatives[0].counts.candidates, 1 + 2);
    const ServingAnswer& answer = *report.alternatives[0].answer;
    ASSERT_EQ(answer.pools.size(), 3U);
    const PlannedPool &readers = answer.pools[0], &attention = answer.pools[1],
                      &experts = answer.pools[2];
    EXPECT_EQ(experts.name, "experts");
    EXPECT_EQ(experts.role, "ffn");
    EXPECT_EQ(experts.replicas, attention.replicas);
    EXPECT_EQ(experts.mapping.expert_parallel, 2 * experts.chips);
    EXPECT_EQ(answer.chips, readers.chips * readers.replicas +
                                (attention.chips + experts.chips) * attention.replicas);
    EXPECT_NEAR(answer.usd_per_month, 2 * answer.chips * 730.5, 1e-6);
    EXPECT_THAT(broken_laws(answer.result), IsEmpty());
    EXPECT_GE(value_of(answer.result, "goodput_share"), 0.99);
    EXPECT_EQ(value_of(run_apart(answer.experiment), "usd_per_million_total_tokens"),
              value_of(answer.result, "usd_per_million_total_tokens"));
    // The other size is no cheaper.
    const Node other = with(planned_apart(), "plan.pools",
                            experts.chips == 8 ? "[{name: experts, chips_per_replica: [16]}]"
                                               : "[{name: experts, chips_per_replica: [8]}]");
    const ServingPlanReport only = plan_apart(other);
    ASSERT_TRUE(only.alternatives[0].answer.has_value());
    EXPECT_GE(only.alternatives[0].answer->chips, answer.chips);
}

// Two ranks do not hold 256 experts: that size has no room, and alone there is no fleet.
TEST(Disaggregated, APlanSeesTheMemoryOfBoth) {
    const ServingPlanReport both = plan_apart(
        with(planned_apart(), "plan.pools", "[{name: experts, chips_per_replica: [1, 8]}]"));
    ASSERT_TRUE(both.alternatives[0].answer.has_value());
    EXPECT_EQ(both.alternatives[0].counts.refused + both.alternatives[0].counts.do_not_fit, 1);
    EXPECT_EQ(both.alternatives[0].answer->pools[2].chips, 8);
    try {
        (void)plan_apart(
            with(planned_apart(), "plan.pools", "[{name: experts, chips_per_replica: [1]}]"));
        FAIL();
    } catch (const InputError& refused) {
        EXPECT_THAT(refused.what(), HasSubstr("pools.experts.chips"));
        EXPECT_THAT(refused.what(), HasSubstr("a rank that holds feed-forward blocks needs"));
    }
}

// A list that a pool's blocks have no use for would be ignored.
TEST(Disaggregated, APlanRefusesListsOfTheOtherPool) {
    const auto refused = [](const std::string& pools) {
        return refusal_of([&] { (void)plan_apart(with(planned_apart(), "plan.pools", pools)); });
    };
    EXPECT_THAT(refused("[{name: experts, max_num_seqs: [16]}]"),
                HasSubstr("experts says max_num_seqs, which means nothing to a pool of role ffn"));
    EXPECT_THAT(refused("[{name: experts, context_parallel: [1, 8]}]"),
                HasSubstr("experts says context_parallel"));
}

TEST(Disaggregated, SaysWhatIsWrongWithThePair) {
    EXPECT_EQ(problems_apart(apart_experiment()), "");
    EXPECT_THAT(problems_apart(pool_with(apart_experiment(), 1, "role", "decode")),
                HasSubstr("0 pools of role attention and 1 of role ffn: they come as a pair"));
    EXPECT_THAT(problems_apart(pool_with(apart_experiment(), 2, "replicas", "2")),
                HasSubstr("replicas: 2 beside 1 of the attention pool"));
    EXPECT_THAT(problems_apart(pool_with(apart_experiment(), 1, "exchange_over", "scale_up")),
                HasSubstr("exchange_over: is of a pool of role ffn"));
    EXPECT_THAT(problems_apart(pool_with(apart_experiment(), 1, "experts", "{redundant: 32}")),
                HasSubstr("is the feed-forward pool's to say"));
    EXPECT_THAT(problems_apart(pool_with(apart_experiment(), 2, "scheduler", "{max_num_seqs: 8}")),
                HasSubstr("is the attention pool's to say"));
    EXPECT_THAT(problems_apart(with(apart_experiment(), "workload.speculation",
                                    "{draft_tokens: 1, acceptance: 0.7}")),
                HasSubstr("speculation: is not modelled where attention and feed-forward"));
    EXPECT_THAT(problems_apart(pool_with(apart_experiment(), 2, "mapping",
                                         "{expert_parallel: 16, micro_batches: 2}")),
                HasSubstr("pools.experts.mapping.micro_batches"));
    EXPECT_THAT(problems_apart(pool_with(apart_experiment(), 2, "collectives", "test-collectives")),
                HasSubstr("send_recv"));
    // Two ranks cannot hold 256 experts.
    Node few = pool_with(apart_experiment(), 2, "chips", "1");
    few = pool_with(few, 2, "mapping", "{expert_parallel: 2}");
    EXPECT_THAT(problems_apart(few), HasSubstr("a rank that holds feed-forward blocks needs"));
    EXPECT_THAT(problems_of(with(test_experiment(), "alternatives.A.role", "ffn")),
                HasSubstr("role"));
}

// One decode step of both pools, without traffic.
Node apart_step() {
    return parse_yaml(R"(experiment: a test
workload:
  kind: decode
  model: deepseek-r1
  context: 4096 tokens
  batch_per_group: 24
alternatives:
  - name: A
    pools:
      - {name: attention, role: attention, system: test-system, chips: 16, precision: {weights: int8, experts: int8, activations: int8, dispatch: int8}, mapping: {data_parallel: 32, micro_batches: 3}, engine: test-engine, collectives: sends}
      - {name: experts, role: ffn, system: test-system, chips: 8, precision: {weights: int8, experts: int8, activations: int8, dispatch: int8}, mapping: {expert_parallel: 16}, engine: test-engine, collectives: sends}
prices: test-prices
)",
                      "test.yaml");
}

TEST(DisaggregatedDecode, OneStepCountsTheChipsOfBothPools) {
    const AlternativeResult result = run_apart(apart_step());
    EXPECT_EQ(result.packages, 24);
    EXPECT_EQ(result.ranks, 48);
    // 32 groups of 24 sequences.
    EXPECT_DOUBLE_EQ(result.totals.sequences, 768);
    EXPECT_DOUBLE_EQ(value_of(result, "batch_per_chip"), 48);  // of the attention pool's 16
    const double took = result.iteration_seconds;
    EXPECT_DOUBLE_EQ(value_of(result, "time_per_output_token"), took * 1e3);
    EXPECT_NEAR(value_of(result, "decode_tokens_per_second_per_chip"), 768 / took / 24, 1e-6);
    EXPECT_GT(value_of(result, "attention_busy"), 0);
    EXPECT_LE(value_of(result, "feed_forward_busy"), 1);
    ASSERT_EQ(result.memory.size(), 2u);
    EXPECT_EQ(result.memory.back().rank_class, "experts");
    double parts = 0;
    for (const BreakdownPart& part : result.breakdown) parts += part.seconds;
    EXPECT_NEAR(parts, took, 1e-12);
    for (const AuditFinding& finding : result.audit)
        EXPECT_TRUE(finding.passed) << finding.law << ": " << finding.detail;
    EXPECT_GE(result.audit.size(), 5u);
}

TEST(DisaggregatedDecode, IsTheStepThatServingTakes) {
    // Three micro-batches at a time are the same program whether a user or a step asks.
    Catalog catalog = test_catalog();
    catalog.embed("collectives", "sends", with_sends());
    const ResolvedExperiment resolved = resolve(apart_step(), catalog);
    const auto& pools = resolved.alternatives.front().pools;
    ASSERT_EQ(pools.size(), 2u);
    DisaggregatedSteps steps(pools.front(), pools.back(), Fidelity::tile, "");
    const StepCase one(resolved, pools.front());
    EXPECT_DOUBLE_EQ(run_apart(apart_step()).iteration_seconds, steps.cost(one.spec(24)).seconds);
}

// 120 ms are between the step of three sequences and that of the most that find room.
TEST(DisaggregatedDecode, ALatencyTargetFindsTheLargestBatch) {
    Node experiment = without(apart_step(), "workload", "batch_per_group");
    experiment = with(experiment, "workload.latency_target", "120 ms");
    const AlternativeResult found = run_apart(experiment);
    const long batch = std::lround(found.totals.sequences / 32);
    EXPECT_LE(found.iteration_seconds, 0.120);
    const AlternativeResult more =
        run_apart(with(apart_step(), "workload.batch_per_group", std::to_string(batch + 1)));
    EXPECT_GT(more.iteration_seconds, 0.120);
    EXPECT_THAT(problems_apart(with(apart_step(), "workload.batch_per_group", "100000")),
                HasSubstr("pools.attention.chips: memory does not fit"));
}

TEST(DisaggregatedDecode, TheAuditSeesTamperedResults) {
    Catalog catalog = test_catalog();
    catalog.embed("collectives", "sends", with_sends());
    const Result whole = run_experiment(apart_step(), catalog, quick());
    const auto broken = [&](auto tamper) {
        AlternativeResult one = whole.alternatives.front();
        tamper(one);
        std::vector<std::string> laws;
        for (const AuditFinding& finding : audit(one, "decode", whole.configuration))
            if (!finding.passed) laws.push_back(finding.law);
        return laws;
    };
    EXPECT_THAT(broken([](auto&) {}), IsEmpty());
    EXPECT_THAT(broken([](auto& one) { one.packages = 16; }),
                Contains("chips counted as packages"));
    EXPECT_THAT(broken([](auto& one) { one.iteration_seconds /= 100; }),
                Contains("steps take at least what the data sheet allows"));
    EXPECT_THAT(broken([](auto& one) { one.totals.matrix_flops /= 2; }),
                Contains("both pools do the model's work"));
    EXPECT_THAT(broken([](auto& one) { one.memory.back().total = one.memory.back().capacity * 2; }),
                Contains("memory fits"));
}

TEST(DisaggregatedDecode, RefusesWhatNoPairIs) {
    Node prefill = with(apart_step(), "workload.kind", "prefill");
    EXPECT_THAT(problems_apart(without(with(prefill, "workload.prompt", "4096 tokens"), "workload",
                                       "context")),
                HasSubstr("is half of a pair, of kind decode or serving"));
    Node lone = apart_step();
    Node& pools = *lone.find("alternatives")->items.front().find("pools");
    pools.items.pop_back();
    EXPECT_THAT(problems_apart(lone), HasSubstr("one pool of role attention and one of role ffn"));
    EXPECT_THAT(problems_apart(pool_with(apart_step(), 1, "batch_per_group", "8")),
                HasSubstr("it has the sequences"));
}

}  // namespace
}  // namespace podsim
