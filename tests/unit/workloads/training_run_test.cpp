// Runs of days with failures: closed form by hand, single failures against it, published anchors.
#include "workloads/training_run.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/statistics.hpp"

namespace podsim {
namespace {

using ::testing::HasSubstr;

constexpr double day = 86400;

TrainingRunSpec spec_of(double between, double interval, double stall, double restart) {
    TrainingRunSpec spec;
    spec.steps = 1e5;
    spec.step_time = Seconds(10);
    spec.storage.interval = Seconds(interval);
    spec.storage.stall = Seconds(stall);
    spec.restart = Seconds(restart);
    if (between > 0) spec.failures = {{"chip", 1000, Seconds(1000 * between), Seconds(0.0), true}};
    return spec;
}

double mean_wall(const TrainingRunSpec& spec, int runs) {
    double sum = 0;
    for (int seed = 0; seed < runs; ++seed)
        sum += simulated_run(spec, static_cast<std::uint64_t>(seed)).wall.value();
    return sum / runs;
}

// No failures: 1e6 s of work, a checkpoint of 5 s every 1,000 s.
TEST(TrainingRun, CheckpointsAlone) {
    const TrainingRun run = expected_run(spec_of(0, 1000, 5, 0));
    EXPECT_DOUBLE_EQ(run.wall.value(), 1e6 * 1.005);
    EXPECT_DOUBLE_EQ(run.goodput, 1 / 1.005);
    // The last one would stand at the end, where nobody needs it.
    EXPECT_NEAR(simulated_run(spec_of(0, 1000, 5, 0), 1).wall.value(), 1e6 * 1.005, 5.001);
}

// Daly's equation by hand: L = 1e-4 /s, T = 1000, C = 10, R = 300:
// 1e6 / 1000 x e^0.03 / 1e-4 x (e^0.101 - 1) = 1e7 x 1.030455 x 0.106277
TEST(TrainingRun, DalyByHand) {
    const TrainingRun run = expected_run(spec_of(1e4, 1000, 10, 300));
    EXPECT_NEAR(run.wall.value(), 1e7 * std::exp(0.03) * (std::exp(0.101) - 1), 1);
    EXPECT_NEAR(run.wall.value(), 1.0951e6, 100);
    EXPECT_NEAR((run.work + run.checkpoints + run.lost + run.restarts + run.waiting).value(),
                run.wall.value(), 1e-3);
}

TEST(TrainingRun, SingleFailuresMeetTheClosedForm) {
    const TrainingRunSpec one = spec_of(1e4, 1000, 10, 300);
    EXPECT_NEAR(mean_wall(one, 200) / expected_run(one).wall.value(), 1, 0.005);

    TrainingRunSpec behind = one;
    behind.storage.until_usable = Seconds(600);
    EXPECT_NEAR(mean_wall(behind, 200) / expected_run(behind).wall.value(), 1, 0.02);

    TrainingRunSpec two = one;
    two.memory = {Seconds(100), Seconds(0.5), Seconds(0.0), Seconds(30)};
    two.failures.push_back({"pod", 1, Seconds(1e5), Seconds(0.0), false});
    EXPECT_NEAR(mean_wall(two, 200) / expected_run(two).wall.value(), 1, 0.02);

    TrainingRunSpec spares = one;
    spares.failures[0].repair = Seconds(2e4);  // two under repair at a time
    for (const long count : {0L, 1L, 3L, 6L}) {
        spares.spares = count;
        EXPECT_NEAR(mean_wall(spares, 200) / expected_run(spares).wall.value(), 1, 0.02) << count;
    }
}

// Far from first order: a checkpoint every minute that is usable after half an hour or nine hours,
// copies in memory with failures every quarter of an hour, intervals that do not divide.
TEST(TrainingRun, SingleFailuresMeetTheClosedFormWhereFailuresAreMany) {
    TrainingRunSpec spec;
    spec.steps = 5e5;
    spec.step_time = Seconds(1);
    spec.restart = Seconds(600);
    spec.storage = {Seconds(60), Seconds(1), Seconds(1800), Seconds(120)};
    spec.failures = {{"chip", 32, Seconds(320 * 3600), Seconds(0.0), true}};
    const auto meets = [&](double within) {
        EXPECT_NEAR(mean_wall(spec, 400) / expected_run(spec).wall.value(), 1, within);
    };
    meets(0.02);
    spec.storage.until_usable = Seconds(9 * 3600);
    meets(0.03);  // at its end a run of a week waits for no checkpoint
    spec.failures[0].mean_time_between = Seconds(8 * 3600);
    spec.storage = {Seconds(0.0), Seconds(10), Seconds(850), Seconds(120)};
    spec.restart = Seconds(60);
    meets(0.02);
    spec.storage.until_usable = Seconds(60);
    spec.memory = {Seconds(300), Seconds(1), Seconds(0.0), Seconds(20)};
    meets(0.02);
    spec.failures.push_back({"pod", 1, Seconds(7200), Seconds(0.0), false});
    meets(0.02);
    spec.storage.interval = Seconds(1000);
    spec.memory = {Seconds(130), Seconds(2), Seconds(40), Seconds(20)};
    meets(0.02);
}

// Nodes of eight chips, a failure every 10 h that takes 12 h to repair: fewer than eight spare
// chips replace none.
TEST(TrainingRun, SparesReplaceWholeUnits) {
    TrainingRunSpec spec = spec_of(0, 1000, 1, 60);
    spec.failures = {{"node of 8", 4, Seconds(40 * 3600), Seconds(12 * 3600), true, 8}};
    const double none = expected_run(spec).goodput;
    EXPECT_NEAR(none, 10.0 / (10 + 12), 0.01);
    for (const long chips : {1L, 7L}) {
        spec.spares = chips;
        EXPECT_DOUBLE_EQ(expected_run(spec).goodput, none);
        EXPECT_DOUBLE_EQ(simulated_run(spec, 1).goodput, [&] {
            TrainingRunSpec without = spec;
            without.spares = 0;
            return simulated_run(without, 1).goodput;
        }());
    }
    for (const long chips : {8L, 16L, 24L}) {
        spec.spares = chips;
        EXPECT_NEAR(mean_wall(spec, 200) / expected_run(spec).wall.value(), 1, 0.02) << chips;
    }
    EXPECT_GT(expected_run(spec).goodput, 0.95);
}

// 32 chips, one fails every 10 h for 12 h: 1.2 away on the mean; nodes of 8: 9.6, variance 64
// x 1.2.
TEST(TrainingRun, ChipsUnderRepair) {
    FailureSource chip{"chip", 32, Seconds(320 * 3600), Seconds(12 * 3600), true};
    EXPECT_NEAR(chips_under_repair({chip}), 1.2 + 2 * std::sqrt(1.2), 1e-12);
    const FailureSource node{"node", 4, Seconds(40 * 3600), Seconds(12 * 3600), true, 8};
    EXPECT_NEAR(chips_under_repair({node}), 9.6 + 2 * 8 * std::sqrt(1.2), 1e-12);
    EXPECT_NEAR(chips_under_repair({chip, node}), 10.8 + 2 * std::sqrt(1.2 + 64 * 1.2), 1e-12);
    chip.repair = Seconds(0.0);
    EXPECT_EQ(chips_under_repair({chip}), 0);
}

// 1e5 steps of 10 s and an evaluation of 600 s every 100 of them: 1e6 of 1.6e6 s are training.
// Erlang: a failure every 2 h, a repair of a day, a = 12; with one spare two units may be away,
// B = (144 / 2) / (1 + 12 + 72) = 72 / 85, and the job waits 72 / 13 of the time that it does not.
TEST(TrainingRun, WaitsForSparesAreErlangs) {
    TrainingRunSpec spec = spec_of(7200, 1800, 10, 600);
    spec.steps = 3e5;
    spec.failures.front().repair = Seconds(day);
    spec.spares = 1;
    const TrainingRun one = expected_run(spec);
    EXPECT_NEAR(one.waiting / (one.wall - one.waiting), 72.0 / 13, 1e-9);
    EXPECT_NEAR(one.waiting.value(), one.interruptions * 7200 * 72 / 13, 1);
    for (const long spares : {0L, 4L, 10L, 16L}) {
        spec.spares = spares;
        EXPECT_NEAR(mean_wall(spec, 60) / expected_run(spec).wall.value(), 1, 0.02) << spares;
    }
}

TEST(TrainingRun, EvaluationsAreNoTraining) {
    TrainingRunSpec spec = spec_of(0, 1e9, 0, 0);
    spec.evaluate_every = 100;
    spec.evaluation = Seconds(600);
    EXPECT_DOUBLE_EQ(expected_run(spec).goodput, 1e6 / 1.6e6);
    EXPECT_DOUBLE_EQ(simulated_run(spec, 1).goodput, 1e6 / 1.6e6);
}

// Young: sqrt(2 C / L) = sqrt(2 x 10 x 1e4) = 447 s.
TEST(TrainingRun, FindsTheBestInterval) {
    TrainingRunSpec spec = spec_of(1e4, 0, 10, 300);
    spec.step_time = Seconds(1);
    const TrainingRun run = expected_run(spec);
    EXPECT_NEAR(run.storage_interval.value(), std::sqrt(2 * 10 * 1e4), 15);
    for (const double other : {200.0, 900.0}) {
        spec.storage.interval = Seconds(other);
        EXPECT_GT(expected_run(spec).wall, run.wall);
    }
}

// Llama 3 405B (arXiv 2407.21783, section 3.3.4): 419 unexpected interruptions in 54 days on 16,384
// GPUs, an effective training time above 90 %. Restarts of ten minutes are an assumption.
TEST(TrainingRun, LlamaThree) {
    TrainingRunSpec spec;
    spec.step_time = Seconds(10);
    spec.steps = 0.95 * 54 * day / 10;
    spec.failures = {{"all causes", 16384, Seconds(16384 * 54 * day / 419), Seconds(0.0), true}};
    spec.storage = {Seconds(0.0), Seconds(5), Seconds(60), Seconds(60)};
    spec.restart = Seconds(540);
    EXPECT_NEAR(time_between_failures(spec.failures).value() / 3600, 3.1, 0.05);
    const TrainingRun run = expected_run(spec);
    EXPECT_GT(run.goodput, 0.90);
    EXPECT_LT(run.goodput, 0.95);
    EXPECT_NEAR(run.interruptions, 419, 0.05 * 419);
}

TEST(TrainingRun, SaysWhatCannotBe) {
    const auto message = [](const TrainingRunSpec& spec) -> std::string {
        try {
            expected_run(spec);
        } catch (const std::invalid_argument& problem) {
            return problem.what();
        }
        return "";
    };
    EXPECT_THAT(message(spec_of(100, 50, 200, 1)), HasSubstr("a checkpoint takes"));
    EXPECT_THAT(message(spec_of(100, 50, 1, 200)), HasSubstr("a restart takes"));
    EXPECT_THAT(message(spec_of(100, 500, 1, 1)), HasSubstr("work between two checkpoints"));
    EXPECT_THAT(message(TrainingRunSpec{}), HasSubstr("needs steps"));
    TrainingRunSpec copies = spec_of(1e4, 1000, 1, 1);
    copies.memory = {Seconds(2e4), Seconds(1), Seconds(0.0), Seconds(20)};
    EXPECT_THAT(message(copies), HasSubstr("work between two copies in memory"));
    TrainingRunSpec waits = spec_of(1e3, 500, 1, 1);
    waits.failures[0].repair = Seconds(1e7);
    EXPECT_THAT(message(waits), HasSubstr("nothing would ever be finished"));
    TrainingRunSpec spec = spec_of(1e4, 0, 10, 300);
    spec.failures[0].mean_time_between = Seconds(0.0);
    EXPECT_THAT(message(spec), HasSubstr("failures of chip"));
}

// DeepSeek-V3 (arXiv 2412.19437, table 1, and arXiv 2505.09343, table 4): 14.8 T tokens in steps of
// 15,360 x 4,096 that take 19.926 s on 2,048 chips are 2.664 M chip-hours, 180 K a trillion; with
// 0.119 M and 0.005 M more at 2 USD 5.576 M USD; 5.2 M USD buy 14.4 T.
TEST(TrainingRun, DeepSeekHoursAndDollars) {
    const double tokens_a_step = 15360.0 * 4096, chips = 2048, usd = 2;
    TrainingRunSpec spec;
    spec.steps = 14.8e12 / tokens_a_step;
    spec.step_time = Seconds(19.926);
    spec.storage.interval = Seconds(3600);
    const TrainingRun run = expected_run(spec);
    EXPECT_DOUBLE_EQ(run.goodput, 1);
    const double hours = run.wall.value() / 3600 * chips;
    EXPECT_NEAR(hours, 2.664e6, 0.002 * 2.664e6);
    EXPECT_NEAR(hours / 14.8, 180e3, 0.002 * 180e3);
    EXPECT_NEAR((hours + 0.124e6) * usd, 5.576e6, 0.002 * 5.576e6);
    EXPECT_NEAR(5.2e6 / usd / (hours / 14.8e12), 14.4e12, 0.005 * 14.4e12);
}

}  // namespace
}  // namespace podsim
