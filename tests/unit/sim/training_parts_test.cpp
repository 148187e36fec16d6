// Experiments whose data-parallel groups are not alike.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/audit.hpp"
#include "sim/plan_run.hpp"
#include "sim/training_days.hpp"
#include "tests/support/readers.hpp"
#include "tests/unit/sim/experiment_cases.hpp"

namespace podsim {
namespace {

// Copies in memory without an interval: the best one against failures that leave them, one in 500 s
// here; sqrt(2 x 8 s x 500 s) = 89.4 s, and a step at least. None where nobody asks for copies.
TEST(TrainingDays, CopiesInMemoryFindTheirInterval) {
    TrainingRunForm form;
    FailureSource source;
    source.units = 2;
    source.mean_time_between = Seconds(1000);
    source.spares_memory = true;
    form.failures = {source};
    EXPECT_EQ(training_run_spec(form, 16, 100, Seconds(10)).memory.interval, Seconds(0));
    form.memory.stall = Seconds(8);
    EXPECT_NEAR(training_run_spec(form, 16, 100, Seconds(10)).memory.interval.value(), 89.4427,
                1e-4);
    EXPECT_EQ(training_run_spec(form, 16, 100, Seconds(200)).memory.interval, Seconds(200));
    form.memory.interval = Seconds(60);
    EXPECT_EQ(training_run_spec(form, 16, 100, Seconds(10)).memory.interval, Seconds(60));
}

using testing::HasSubstr;

Node dense(const char* chips, const char* batch) {
    Node node = parse_yaml(R"(
experiment: GPT on Selene
workload: {kind: training, model: megatron-3.6b, global_batch: 64, sequence: 2048 tokens, recompute: full}
alternatives:
  - name: A
    system: selene
    chips: 32
    engine: megatron-2022
    mapping: {tensor_parallel: 2, pipeline_parallel: 2, unequal_groups: true}
prices: default
)",
                           "test.yaml");
    node = with(node, "alternatives.A.chips", chips);
    return with(node, "workload.global_batch", batch);
}

std::string warnings(const AlternativeResult& one) {
    std::string text;
    for (const std::string& warning : one.warnings) text += warning + "\n";
    return text;
}

void expect_audited(const AlternativeResult& one) {
    for (const AuditFinding& finding : one.audit)
        EXPECT_TRUE(finding.passed) << finding.law << ": " << finding.detail;
}

// 60 sequences over 8 groups of 4 ranks: four groups of 8, four of 7. The step is that of 64
// sequences, its work 60/64 of theirs.
TEST(UnequalGroups, TheStepWaitsForThoseWithOneMore) {
    const AlternativeResult uneven = run_test(dense("32", "60")),
                            even = run_test(dense("32", "64"));
    EXPECT_DOUBLE_EQ(uneven.iteration_seconds, even.iteration_seconds);
    EXPECT_DOUBLE_EQ(uneven.totals.sequences, 60);
    // The optimiser's step has no matrix work.
    EXPECT_NEAR(uneven.totals.matrix_flops / even.totals.matrix_flops, 60.0 / 64, 1e-9);
    EXPECT_NEAR(value_of(uneven, "training_tokens_per_second_per_chip") /
                    value_of(even, "training_tokens_per_second_per_chip"),
                60.0 / 64, 1e-9);
    EXPECT_THAT(warnings(uneven), HasSubstr("8 data-parallel groups are not alike: 4 of 8 "
                                            "micro-batches in "));
    EXPECT_THAT(warnings(even), testing::Not(HasSubstr("groups")));
    expect_audited(uneven);
}

// 34 chips hold 8 groups of 4; two stand by, are paid, and are spares of the run.
TEST(UnequalGroups, WhatMakesNoGroupStandsBy) {
    const AlternativeResult all = run_test(dense("32", "64"));
    const AlternativeResult ragged = run_test(dense("34", "64"));
    EXPECT_EQ(ragged.packages, 32);
    EXPECT_DOUBLE_EQ(ragged.iteration_seconds, all.iteration_seconds);
    EXPECT_THAT(warnings(ragged), HasSubstr("2 of 34 chips make no data-parallel group and stand "
                                            "by"));
    EXPECT_NEAR(
        value_of(ragged, "usd_per_trillion_tokens") / value_of(all, "usd_per_trillion_tokens"),
        34.0 / 32, 1e-9);
    expect_audited(ragged);
    const auto run = [](Node node, const char* spares) {
        node = with(node, "workload.run.tokens", "1 Ttok");
        node = with(node, "workload.run.restart", "60 s");
        node = with(node, "workload.run.spares", spares);
        Node failing =
            parse_yaml("[{component: chip, mean_time_between: 3000 h, repair: 24 h}]", "t.yaml");
        node.find("workload")
            ->find("run")
            ->entries.push_back({"failures", {"test.yaml", 9, 1}, failing});
        return run_test(node);
    };
    const AlternativeResult standing = run(dense("34", "64"), "0"),
                            spared = run(dense("32", "64"), "2");
    EXPECT_DOUBLE_EQ(value_of(standing, "goodput"), value_of(spared, "goodput"));
    EXPECT_DOUBLE_EQ(value_of(standing, "run_cost"), value_of(spared, "run_cost"));
    Node refused = with(dense("34", "64"), "alternatives.A.mapping.unequal_groups", "false");
    refused = with(refused, "alternatives.A.mapping.data_parallel", "8");
    EXPECT_THAT(problems_of(refused), HasSubstr("which lets what is over stand by"));
}

// Mixtral's 8 experts over 4 of 11 groups: the last 3 ranks hold 3 experts each for 2, so that its
// memory is the fullest and all its ranks are told of.
TEST(UnequalGroups, TheLastBlockHoldsMoreExperts) {
    const Node node = parse_yaml(R"(
experiment: Mixtral on H100
workload: {kind: training, model: mixtral-8x7b, global_batch: 63, sequence: 1024 tokens, schedule: 1f1b, recompute: full}
alternatives:
  - {name: A, system: h100-ib, chips: 46, engine: megatron, mapping: {pipeline_parallel: 4, expert_parallel: 4, unequal_groups: true}}
prices: default
)",
                                 "test.yaml");
    const AlternativeResult one = run_test(node);
    EXPECT_EQ(one.packages, 44);
    EXPECT_THAT(warnings(one), HasSubstr("8 of 6 micro-batches"));
    EXPECT_THAT(warnings(one),
                HasSubstr("3 of 5 micro-batches with experts over 3 ranks (1 copies)"));
    EXPECT_THAT(warnings(one), HasSubstr("2 of 46 chips"));
    double ranks = 0, of_last = 0, fullest = 0, fullest_last = 0;
    for (const MemoryUse& use : one.memory) {
        const bool last = use.rank_class.rfind("last block, ", 0) == 0;
        ranks += use.ranks;
        if (last) of_last += use.ranks;
        double& most = last ? fullest_last : fullest;
        most = std::max(most, use.total);
    }
    EXPECT_EQ(ranks, 44);
    EXPECT_EQ(of_last, 3 * 4);
    EXPECT_GT(fullest_last, fullest);
    EXPECT_DOUBLE_EQ(value_of(one, "memory_peak"), fullest_last / 1e9);
    double sum = 0;
    for (const BreakdownPart& part : one.breakdown) sum += part.seconds;
    EXPECT_NEAR(sum, one.iteration_seconds, 1e-9 * one.iteration_seconds);
    expect_audited(one);
}

// A search takes groups that fill 24 of 26 chips (a block of 4 groups and one of 2, 4 stages each)
// beside those of whole blocks alone (16), and finds the number that a run gives.
TEST(UnequalGroups, ASearchTriesThem) {
    const Node node = parse_yaml(R"(
experiment: Mixtral on H100
workload: {kind: training, model: mixtral-8x7b, global_batch: 64, sequence: 1024 tokens, schedule: 1f1b, recompute: full}
alternatives:
  - {name: A, system: h100-ib, chips: 26, engine: megatron, mapping: {unequal_groups: true}}
prices: default
plan: {tensor_parallel: [1], pipeline_parallel: [4], expert_parallel: [4], recompute: [full], zero_stage: [1], batch: at-most, idle: 50 %}
)",
                                 "test.yaml");
    Catalog catalog = test_catalog();
    PlanOptions options;
    options.fidelity = Fidelity::analytic;
    const PlanReport report = plan_experiment(node, catalog, options);
    const PlanFound& found = report.alternatives.front().found;
    ASSERT_EQ(found.timed.size(), 2U);
    std::vector<int> chips;
    for (const PlanTimed& one : found.timed) chips.push_back(one.candidate.chips);
    EXPECT_THAT(chips, testing::UnorderedElementsAre(24, 16));
    const PlanWinner& best = report.alternatives.front().winners.at(PlanObjective::throughput);
    EXPECT_DOUBLE_EQ(value_of(best.result, "step_time"), found.timed[best.timed].step.value());
}

}  // namespace
}  // namespace podsim
