// Ranks drawn one by one against the ranks that a folded step takes as equal.
#include "sim/training_unfolded.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/sim/experiment_cases.hpp"
#include "tests/unit/sim/training_bench.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

struct Drawn {
    TrainingStep folded;
    RoutedLoad routed;
    std::vector<UnfoldedStep> steps;  // by seed
    double mean_step() const {
        double sum = 0;
        for (const UnfoldedStep& one : steps) sum += one.total.value();
        return sum / static_cast<double>(steps.size());
    }
    double mean_imbalance() const {
        double sum = 0;
        for (const UnfoldedStep& one : steps) sum += one.imbalance;
        return sum / static_cast<double>(steps.size());
    }
};

Drawn drawn(TrainingJob job, TrainingPlan plan, int seeds) {
    TrainingBench bench;
    bench.job = std::move(job);
    CostCache cache = bench.cache();
    const TrainingMachine machine = bench.machine(plan);
    TrainingCase training(bench.job, machine, cache);
    plan.routed = routed_load(bench.job, plan);
    Drawn result;
    result.routed = plan.routed;
    result.folded = training.step(plan);
    for (int seed = 1; seed <= seeds; ++seed) {
        result.steps.push_back(unfolded_step(training, bench.job, plan, result.folded,
                                             static_cast<std::uint64_t>(seed)));
    }
    return result;
}

TrainingJob skewed(double exponent) {
    TrainingJob job = small_moe();
    job.experts.popularity = exponent < 0 ? Popularity::balanced : Popularity::zipf;
    job.experts.zipf_exponent = std::max(0.0, exponent);
    return job;
}

TrainingPlan over(int data, int expert, int stages) {
    TrainingPlan plan;
    plan.data_parallel = data;
    plan.expert_parallel = expert;
    plan.pipeline_parallel = stages;
    return plan;
}

// Nothing is drawn where every expert gets as much: the same step to the last digit.
TEST(UnfoldedStep, BalancedExpertsAreTheFoldedStep) {
    const Drawn result = drawn(skewed(-1), over(8, 4, 2), 1);
    EXPECT_DOUBLE_EQ(result.steps.front().total.value(), result.folded.total.value());
    EXPECT_EQ(result.steps.front().draws, 0);
    EXPECT_EQ(result.steps.front().blocks, 2);
}

// One block without a pipeline: the step is a sum of passes, each with the mean of its draws, so
// that over seeds it is the folded one. 8 micro-batches x 8 layers x 4 ranks are drawn.
TEST(UnfoldedStep, IsTheFoldedStepInTheMeanOfSeeds) {
    for (const double exponent : {0.0, 0.6}) {
        TrainingJob job = skewed(exponent);
        job.global_batch = 32;
        const Drawn result = drawn(job, over(4, 4, 1), 100);
        EXPECT_EQ(result.steps.front().draws, 8 * 8 * 4);
        EXPECT_NEAR(result.mean_imbalance(), result.routed.imbalance,
                    0.01 * result.routed.imbalance);
        EXPECT_NEAR(result.mean_step(), result.folded.total.value(),
                    0.01 * result.folded.total.value());
        EXPECT_NE(result.steps[0].total.value(), result.steps[1].total.value());
    }
}

// Two blocks wait for the slower one: over seeds no less than one of them alone takes in the mean.
TEST(UnfoldedStep, BlocksWaitForTheSlowest) {
    TrainingJob job = skewed(0.6);
    job.global_batch = 32;
    const double one = drawn(job, over(4, 4, 1), 50).mean_step();
    job.global_batch = 256;
    TrainingPlan plan = over(32, 4, 1);
    plan.zero_stage = 0;
    const Drawn eight = drawn(job, plan, 50);
    EXPECT_EQ(eight.steps.front().blocks, 8);
    EXPECT_GT(eight.mean_step(), eight.folded.total.value());
    EXPECT_GT(eight.mean_step(), one);
}

TEST(UnfoldedStep, SaysTheSameTwice) {
    const Drawn a = drawn(skewed(0.3), over(8, 4, 2), 1), b = drawn(skewed(0.3), over(8, 4, 2), 1);
    EXPECT_DOUBLE_EQ(a.steps.front().total.value(), b.steps.front().total.value());
}

TEST(UnfoldedStep, IsAskedForAndRefusedInAnExperiment) {
    const Node node = parse_yaml(R"(
experiment: Mixtral on H100
workload: {kind: training, model: mixtral-8x7b, global_batch: 64, sequence: 1024 tokens, schedule: 1f1b, recompute: full, fold: false}
alternatives:
  - {name: A, system: h100-ib, chips: 32, engine: megatron, mapping: {pipeline_parallel: 4, expert_parallel: 8}, experts: {popularity: zipf, zipf_exponent: 0.3}}
prices: default
)",
                                 "test.yaml");
    const AlternativeResult one = run_test(node);
    EXPECT_NEAR(value_of(one, "step_time_unfolded"), value_of(one, "step_time"),
                0.02 * value_of(one, "step_time"));
    EXPECT_NEAR(value_of(one, "expert_imbalance_unfolded"), value_of(one, "expert_imbalance"),
                0.02);
    EXPECT_THAT(problems_of(with(node, "alternatives.A.experts.capacity_factor", "1.25")),
                HasSubstr("workload.fold: draws what comes to experts, experts.capacity_factor "
                          "would drop some"));
    EXPECT_THAT(problems_of(with(node, "alternatives.A.mapping.unequal_groups", "true")),
                HasSubstr("workload.fold: draws groups that are alike"));
}

}  // namespace
}  // namespace podsim
