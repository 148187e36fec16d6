// The slowest of many units by hand and drawn; what units that turn slow cost a run.
#include "workloads/stragglers.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "workloads/training_run.hpp"

namespace podsim {
namespace {

StragglerSpec spread(double variation) {
    StragglerSpec spec;
    spec.spread = variation;
    return spec;
}

double mean_drawn(const StragglerSpec& spec, long units, long slow, int draws) {
    double sum = 0;
    for (int i = 0; i < draws; ++i) sum += drawn_largest(spec, units, slow, 1, i);
    return sum / draws;
}

TEST(Stragglers, OneUnitIsTheMean) {
    EXPECT_DOUBLE_EQ(expected_largest(StragglerSpec{}, 1), 1);
    EXPECT_DOUBLE_EQ(expected_largest(StragglerSpec{}, 1e5), 1);
    EXPECT_NEAR(expected_largest(spread(0.3), 1), 1, 1e-6);
}

// Of two that are log-normal with mean 1 the larger has a mean of 2 Phi(s / sqrt 2).
TEST(Stragglers, LargerOfTwoByHand) {
    for (const double variation : {0.01, 0.1, 0.5}) {
        const double s = std::sqrt(std::log1p(variation * variation));
        EXPECT_NEAR(expected_largest(spread(variation), 2), std::erfc(-s / 2), 1e-6) << variation;
    }
    // Spread and jitter make one: s^2 is their sum.
    StragglerSpec both = spread(0.03);
    both.jitter = 0.04;
    const double s2 = std::log1p(0.0009) + std::log1p(0.0016);
    EXPECT_DOUBLE_EQ(unit_speed(both).deviation, std::sqrt(s2));
}

// The largest of 10,000 normal numbers lies 3.8517 deviations up in the mean (the integral, by a
// computer algebra system's tables: 3.85).
TEST(Stragglers, LargestOfManyAndDrawn) {
    EXPECT_NEAR(expected_largest(spread(0.001), 10'000), 1 + 0.001 * 3.8517, 2e-5);
    for (const long units : {8L, 1000L, 100'000L})
        EXPECT_NEAR(mean_drawn(spread(0.05), units, 0, 4000),
                    expected_largest(spread(0.05), static_cast<double>(units)), 0.001)
            << units;
}

// A tenth of a percent of 1,000 units 1.3 times as slow: one at least with 1 - 0.999^1000 = 0.6323.
TEST(Stragglers, AShareThatIsSlow) {
    StragglerSpec spec;
    spec.slow = SlowUnitsForm{};
    spec.slow->factor = 1.3;
    spec.slow->share = 0.001;
    EXPECT_NEAR(expected_largest(spec, 1000), 1 + 0.3 * 0.63230, 1e-5);
    EXPECT_NEAR(mean_drawn(spec, 1000, 0, 4000), expected_largest(spec, 1000), 0.01);
    spec.spread = 0.02;
    EXPECT_NEAR(mean_drawn(spec, 1000, 0, 4000), expected_largest(spec, 1000), 0.01);
    // One for sure.
    spec.slow->share = 0;
    EXPECT_NEAR(mean_drawn(spec, 1000, 1, 4000), expected_largest(spec, 1000, 1), 0.002);
    spec.spread = 0;
    EXPECT_DOUBLE_EQ(expected_largest(spec, 1000, 1), 1.3);
}

TrainingRunSpec run_with(double rate, double lasts, double stall) {
    TrainingRunSpec spec;
    spec.steps = 1e5;
    spec.step_time = Seconds(10);
    spec.storage.interval = Seconds(1000);
    spec.storage.stall = Seconds(10);
    spec.slow = {rate, Seconds(lasts), Seconds(stall), {1, 1.3, 1.35}};
    return spec;
}

double mean_wall(const TrainingRunSpec& spec, int runs) {
    double sum = 0;
    for (int seed = 0; seed < runs; ++seed)
        sum += simulated_run(spec, static_cast<std::uint64_t>(seed)).wall.value();
    return sum / runs;
}

// Half an hour each two hours: k of mean 0.25, P = 0.7788, 0.1947, 0.0265 and more:
// 1 / (0.77880 + 0.19470 / 1.3 + 0.02650 / 1.35) = 1.05463; replaced in 5 minutes each, x 1 / (1 -
// 300 / 7200).
TEST(Stragglers, SlowNowAndThenByHand) {
    const TrainingRunSpec spec = run_with(1.0 / 7200, 1800, 300);
    EXPECT_NEAR(slowed_by(spec.slow), 1.05463 / (1 - 300.0 / 7200), 1e-4);
    const TrainingRun run = expected_run(spec);
    // Units turn slow during checkpoints too, 10 s each 1,000.
    EXPECT_NEAR(run.wall.value(), 1e6 * (slowed_by(spec.slow) + 0.01 / (1 - 300.0 / 7200)), 1);
    EXPECT_NEAR(
        (run.work + run.checkpoints + run.slowed + run.lost + run.restarts + run.waiting).value(),
        run.wall.value(), 1e-3);
    EXPECT_DOUBLE_EQ(slowed_by(SlowUnits{}), 1);
}

// A unit turns slow every 1,000 s and its replacement stops the job for 800: four fifths of all
// time, whatever runs meanwhile; k of mean 0.6 while it works, 1 / (0.54881 + 0.32929 / 1.3 +
// 0.12190 / 1.35) = 1.12057, so that a second of work takes 1.12057 / (1 - 0.8) = 5.603.
TEST(Stragglers, NearTheLimit) {
    TrainingRunSpec spec = run_with(1e-3, 600, 800);
    EXPECT_NEAR(slowed_by(spec.slow), 5.603, 0.001);
    EXPECT_NEAR(expected_run(spec).goodput, 1 / (5.603 + 0.01 / 0.2), 1e-4);
    EXPECT_NEAR(mean_wall(spec, 20) / expected_run(spec).wall.value(), 1, 0.015);
    // Units that turn slow while the job is down are replaced before it works again.
    spec = run_with(1e-3, 600, 500);
    spec.failures = {{"chip", 1000, Seconds(1000 * 7200.0), Seconds(0.0), true}};
    spec.restart = Seconds(3600);
    EXPECT_NEAR(mean_wall(spec, 100) / expected_run(spec).wall.value(), 1, 0.02);
    spec.restart = Seconds(300);
    EXPECT_NEAR(mean_wall(spec, 100) / expected_run(spec).wall.value(), 1, 0.02);
}

TEST(Stragglers, SingleEventsMeetTheClosedForm) {
    TrainingRunSpec spec = run_with(1.0 / 7200, 1800, 300);
    EXPECT_NEAR(mean_wall(spec, 40) / expected_run(spec).wall.value(), 1, 0.002);
    // With failures that lose work besides.
    spec.failures = {{"chip", 1000, Seconds(1000 * 1e4), Seconds(0.0), true}};
    spec.restart = Seconds(300);
    EXPECT_NEAR(mean_wall(spec, 200) / expected_run(spec).wall.value(), 1, 0.005);
    spec.memory = {Seconds(100), Seconds(0.5), Seconds(0.0), Seconds(30)};
    EXPECT_NEAR(mean_wall(spec, 200) / expected_run(spec).wall.value(), 1, 0.005);
    // Seldom and long: a day each two weeks, not replaced.
    TrainingRunSpec seldom = run_with(1.0 / (14 * 86400), 86400, 0);
    seldom.steps = 1e6;
    EXPECT_NEAR(mean_wall(seldom, 200) / expected_run(seldom).wall.value(), 1, 0.003);
}

// Units that are slow for long and waits for repairs that are longer than the work between them:
// the job stands still, and so does what its units do.
TEST(Stragglers, NothingRecoversInAWait) {
    TrainingRunSpec spec = run_with(1.0 / 36000, 72000, 0);
    spec.slow.steps = {1, 2, 2.5, 3};
    spec.steps = 3e5;
    spec.failures = {{"chip", 32, Seconds(32 * 11250.0), Seconds(7200), true}};
    for (const double repair : {7200.0, 86400.0}) {
        spec.failures.front().repair = Seconds(repair);
        EXPECT_NEAR(mean_wall(spec, 100) / expected_run(spec).wall.value(), 1, 0.007) << repair;
    }
}

// Without slow units nothing is drawn for them.
TEST(Stragglers, EqualChipsChangeNoDraw) {
    TrainingRunSpec spec = run_with(0, 0, 0);
    spec.slow = {};
    spec.failures = {{"chip", 1000, Seconds(1000 * 1e4), Seconds(0.0), true}};
    const double wall = simulated_run(spec, 7).wall.value();
    spec.slow.steps = {1, 2};
    EXPECT_DOUBLE_EQ(simulated_run(spec, 7).wall.value(), wall);
    EXPECT_GT(wall, 1e6);
}

}  // namespace
}  // namespace podsim
