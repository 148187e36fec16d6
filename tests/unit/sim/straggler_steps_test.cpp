// Steps of chips of unequal speed, by hand and drawn.
#include "sim/straggler_steps.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "base/names.hpp"
#include "tests/unit/sim/training_bench.hpp"

namespace podsim {
namespace {

TrainingPlan pipeline(ScheduleKind schedule) {
    TrainingPlan plan;
    plan.pipeline_parallel = 4;
    plan.data_parallel = 4;
    plan.tensor_parallel = 2;
    plan.more.sequence_parallel = true;
    plan.schedule = schedule;
    return plan;
}

// One stage: all of its 64 passes each way, and the optimiser, by 1.25.
TEST(StragglerSteps, OneStageGrowsWithItsPasses) {
    TrainingBench bench;
    const TrainingStep step = bench.step({});
    const PositionPasses& passes = step.passes.front();
    const double work = 64 * (passes.forward->time() + passes.backward->time()).value() +
                        step.optimizers.front()->time().value();
    EXPECT_NEAR(slowed_step(step, {1.25}).value(), step.total.value() + 0.25 * work, 1e-9);
    EXPECT_DOUBLE_EQ(slowed_step(step, {1}).value(), step.total.value());
}

// All stages slowed by f take f times the passes; any one of them less, and most of it where all
// have as much to do (the head is small here).
TEST(StragglerSteps, OneOfSeveralStagesHoldsUpLess) {
    TrainingBench bench;
    bench.job.model.vocabulary = 100;
    const TrainingStep step = bench.step(pipeline(ScheduleKind::one_forward_one_backward));
    const double usual = step.total.value();
    const double all = slowed_step(step, std::vector<double>(4, 1.5)).value() - usual;
    for (int stage = 0; stage < 4; ++stage) {
        std::vector<double> factors(4, 1.0);
        factors[static_cast<std::size_t>(stage)] = 1.5;
        const double one = slowed_step(step, factors).value() - usual;
        EXPECT_LT(one, all);
        EXPECT_GT(one, 0.5 * all);
    }
}

// The mean of a hundred draws, by number of slow units.
std::vector<double> drawn(const TrainingBench& bench, const TrainingPlan& plan,
                          const TrainingStep& step, const StragglerSpec& spec) {
    std::vector<double> sum;
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        const auto one = straggler_steps(step, bench.job, plan, 1, spec, seed).drawn;
        sum.resize(one.size(), 0.0);
        for (std::size_t k = 0; k < one.size(); ++k) sum[k] += one[k] / 5;
    }
    return sum;
}

// Every schedule, with stages that are alike and with a head that the others wait for.
TEST(StragglerSteps, DrawnMeetsExpected) {
    TrainingBench bench;
    StragglerSpec spec;
    spec.spread = 0.02;
    spec.jitter = 0.02;
    spec.slow = SlowUnitsForm{};
    spec.slow->factor = 1.3;
    spec.slow->mean_time_between = Seconds(3.6e6);
    spec.slow->lasts = Seconds(36000);
    for (const long vocabulary : {100L, 32000L}) {
        bench.job.model.vocabulary = vocabulary;
        for (const auto& [name, schedule] : names_of(static_cast<const ScheduleKind*>(nullptr))) {
            const TrainingPlan plan = pipeline(schedule);
            if (!training_problems(bench.job, plan, plan.ranks()).empty()) continue;
            const TrainingStep step = bench.step(plan);
            const auto expected = straggler_steps(step, bench.job, plan, 1, spec, 1).expected;
            const auto found = drawn(bench, plan, step, spec);
            ASSERT_GE(expected.size(), 3u) << name;
            EXPECT_GT(expected[0], 1.02) << name;
            EXPECT_GT(expected[1], 1.05) << name;
            for (std::size_t k = 0; k < 3; ++k)
                EXPECT_NEAR(found[k] / expected[k], 1, 0.015) << name << " " << k;
            // Nodes of eight chips are four units in place of 32: less is waited for.
            StragglerSpec nodes = spec;
            nodes.chips = 8;
            nodes.slow.reset();
            const StragglerSteps fewer = straggler_steps(step, bench.job, plan, 1, nodes, 1);
            EXPECT_LT(fewer.expected[0], expected[0]) << name;
            EXPECT_NEAR(drawn(bench, plan, step, nodes)[0] / fewer.expected[0], 1, 0.015) << name;
        }
    }
}

// Two units that are slow for a while among four of a stage each: in the same one with a chance of
// 1/4, else in one of six pairs.
TEST(StragglerSteps, TwoSlowUnitsAreThoseOfAllPlacements) {
    TrainingBench bench;
    bench.job.model.vocabulary = 100;
    const TrainingPlan plan = pipeline(ScheduleKind::one_forward_one_backward);
    const TrainingStep step = bench.step(plan);
    StragglerSpec spec;
    spec.chips = 8;
    spec.slow = SlowUnitsForm{};
    spec.slow->factor = 3;
    spec.slow->mean_time_between = Seconds(1e5);
    spec.slow->lasts = Seconds(1e4);
    const auto closed = expected_straggler_steps(step, bench.job, plan, 1, spec).expected;
    double exact = 0;
    for (std::size_t a = 0; a < 4; ++a) {
        for (std::size_t b = 0; b < 4; ++b) {
            std::vector<double> factors(4, 1.0);
            factors[a] = factors[b] = 3;
            exact += slowed_step(step, factors) / step.total / 16;
        }
    }
    EXPECT_NEAR((closed.at(2) - 1) / (exact - 1), 1, 0.01);
}

TEST(StragglerSteps, SlowUnitsOfAJob) {
    StragglerSpec spec;
    EXPECT_EQ(slow_units(spec, {1}, 100).rate, 0);
    spec.slow = SlowUnitsForm{1.3, 0, Seconds(1e6), Seconds(7200), Seconds(3600), Seconds(60)};
    const SlowUnits slow = slow_units(spec, {1.1, 1.43}, 100);
    EXPECT_DOUBLE_EQ(slow.rate, 1e-4);
    EXPECT_DOUBLE_EQ(slow.lasts.value(), 3600);  // replaced before it would be as usual
    EXPECT_DOUBLE_EQ(slow.stall.value(), 60);
    EXPECT_DOUBLE_EQ(slow.steps[1], 1.3);
    spec.slow->lasts = Seconds(600);
    EXPECT_DOUBLE_EQ(slow_units(spec, {1, 1.3}, 100).stall.value(), 0);
}

// All 32 chips as one unit: the step is a mean one on the mean, and with chance p that of all
// stages slow. Exactly: what no pass takes is no longer.
TEST(StragglerSteps, OneUnitIsAllStages) {
    TrainingBench bench;
    for (const ScheduleKind schedule :
         {ScheduleKind::one_forward_one_backward, ScheduleKind::zero_bubble_h1}) {
        const TrainingPlan plan = pipeline(schedule);
        const TrainingStep step = bench.step(plan);
        StragglerSpec spec;
        spec.chips = 32;
        spec.spread = 0.05;
        const auto expected = [&] {
            return expected_straggler_steps(step, bench.job, plan, 1, spec).expected;
        };
        EXPECT_NEAR(expected().front(), 1, 1e-3);
        spec.spread = 0;
        spec.slow = SlowUnitsForm{};
        spec.slow->factor = 3;
        spec.slow->share = 0.5;
        const double all = slowed_step(step, std::vector<double>(4, 3.0)) / step.total;
        EXPECT_GT(all, 2.5);
        EXPECT_NEAR(expected().front(), 1 + 0.5 * (all - 1), 2e-3);
        // A hundred draws of two values, all - 1 apart: three standard errors.
        EXPECT_NEAR(drawn(bench, plan, step, spec).front(), 1 + 0.5 * (all - 1),
                    3 * 0.5 * (all - 1) / 10);
        const double error = straggler_steps(step, bench.job, plan, 1, spec, 1).drawn_error;
        EXPECT_NEAR(error, 0.5 * (all - 1) / std::sqrt(19.0), 0.15 * error);
        spec.slow->share = 0;
        spec.slow->mean_time_between = Seconds(1e5);
        spec.slow->lasts = Seconds(1e3);
        ASSERT_EQ(expected().size(), 2u);
        EXPECT_NEAR(expected()[1], all, 2e-3);
    }
}

// Units of one stage and of two, slow for good by a share: all placements, with the step of each.
TEST(StragglerSteps, ASlowShareOfAPipelineIsThatOfAllPlacements) {
    TrainingBench bench;
    bench.job.model.vocabulary = 100;
    const TrainingPlan plan = pipeline(ScheduleKind::one_forward_one_backward);
    const TrainingStep step = bench.step(plan);
    for (const int units : {4, 2}) {
        for (const double share : {0.02, 0.1, 0.5, 0.9, 1.0}) {
            StragglerSpec spec;
            spec.chips = 32 / units;
            spec.slow = SlowUnitsForm{};
            spec.slow->factor = 1.5;
            spec.slow->share = share;
            double exact = 0;
            for (int which = 0; which < 1 << units; ++which) {
                double chance = 1;
                std::vector<double> factors;
                for (int stage = 0; stage < 4; ++stage)
                    factors.push_back((which >> stage * units / 4 & 1) != 0 ? 1.5 : 1);
                for (int unit = 0; unit < units; ++unit)
                    chance *= (which >> unit & 1) != 0 ? share : 1 - share;
                exact += chance * (slowed_step(step, factors) / step.total);
            }
            const double closed =
                expected_straggler_steps(step, bench.job, plan, 1, spec).expected.front();
            EXPECT_NEAR((closed - 1) / (exact - 1), 1, 0.03) << units << " " << share;
        }
    }
}

}  // namespace
}  // namespace podsim
