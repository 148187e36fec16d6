// The search over training mappings: the same best as every mapping timed, memory as it is worked
// out for one plan, bounds below every step, and experiments that give the number that was found.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "base/yaml_writer.hpp"
#include "sim/experiment.hpp"
#include "sim/plan_bound.hpp"
#include "sim/plan_memory.hpp"
#include "sim/plan_run.hpp"
#include "sim/training_run_step.hpp"
#include "tests/support/readers.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

// Mixtral 8x7B is small and has experts; its chips hold 80 GB.
const std::string kExperts = R"(
experiment: Mixtral on H100
workload:
  kind: training
  model: mixtral-8x7b
  global_batch: 128
  sequence: 4096 tokens
  micro_batch: 1
  schedule: 1f1b
  run:
    tokens: 1 Ttok
    checkpoint: {stall: 10 s, restore: 60 s}
    restart: 300 s
    failures: [{component: chip, mean_time_between: 20000 h, repair: 24 h}]
alternatives:
  - name: H100
    system: h100-ib
    chips: 32
    engine: megatron
prices: default
plan:
  tensor_parallel: [1, 2, 4]
  pipeline_parallel: [1, 2, 4]
  expert_parallel: [1, 4, 8]
  schedule: [1f1b, interleaved, zb-h1]
  recompute: [none, full]
)";

const std::string kDense = R"(
experiment: GPT on Selene
workload: {kind: training, model: megatron-18b, global_batch: 256, sequence: 2048 tokens, schedule: 1f1b}
alternatives:
  - {name: Selene, system: selene, chips: 64, engine: megatron}
prices: default
plan: {tensor_parallel: [2, 4, 8], pipeline_parallel: [1, 2, 4], micro_batch: [1, 2], recompute: [selective, full], zero_stage: [1]}
)";

// Beside all policies the workload's own: two layers of each part.
const std::string kLayers = R"(
experiment: GPT on Selene
workload: {kind: training, model: megatron-18b, global_batch: 256, sequence: 2048 tokens, schedule: 1f1b, recompute: full, recompute_layers: 2}
alternatives:
  - {name: Selene, system: selene, chips: 64, engine: megatron}
prices: default
plan: {tensor_parallel: [4, 8], pipeline_parallel: [2, 4], micro_batch: [1], zero_stage: [1]}
)";

Node document(const std::string& text) {
    return parse_yaml(text, "plan.yaml");
}

PlanReport planned(const std::string& text, PlanOptions options = {}) {
    Catalog catalog(configs_root);
    options.fidelity = Fidelity::analytic;
    return plan_experiment(document(text), catalog, options);
}

std::string refusal(const std::string& text) {
    return refusal_of([&] { (void)planned(text); });
}

// What the search rests on, for a test to ask it one by one.
struct Scene {
    Catalog catalog{configs_root};
    ResolvedExperiment experiment;
    const ResolvedAlternative& alternative;
    TrainingJob job;
    TrainingPlan start;
    RankHardware hardware;
    RankFabric fabric;
    CostCache cache;
    TrainingMachine machine;
    TrainingCase training;
    PlanSpace space;

    explicit Scene(const std::string& text)
        : experiment(resolve(document(text), catalog)),
          alternative(experiment.alternatives.front()),
          job(training_job(experiment, alternative)),
          start(training_plan(experiment, alternative)),
          hardware(hardware_of(alternative)),
          fabric(rank_fabric(alternative.system, alternative.chip.ranks)),
          cache(hardware, alternative.kernels, Fidelity::analytic, true, RankState::busy),
          machine{hardware, fabric, alternative.collectives, alternative.ranks, Driver::plain},
          training(job, machine, cache) {
        const PlanGround ground{job,
                                start,
                                alternative.packages,
                                alternative.chip.ranks,
                                alternative.system.scale_up.domain.value,
                                {}};
        space = plan_space(ground, filled_form(ground, *experiment.spec.plan, {}));
    }

    Bytes need(const PlanCandidate& one) {
        job.global_batch = one.global_batch;
        Bytes most(0.0);
        for (const StageNeed& stage : training.memory(one.plan))
            most = max(most, stage.need.total());
        return most;
    }
};

TEST(PlanSpace, DegreesMultiplyToTheChips) {
    Scene scene(kExperts);
    ASSERT_FALSE(scene.space.candidates.empty());
    for (const PlanCandidate& one : scene.space.candidates) {
        EXPECT_EQ(one.plan.ranks(), 32);
        EXPECT_EQ(one.chips, 32);
        EXPECT_TRUE(training_problems(scene.job, one.plan, 32).empty());
    }
    // 3 tensor x 3 pipeline x 3 expert x 3 schedules x 2 recompute x 3 ZeRO stages.
    EXPECT_EQ(scene.space.combinations, 486);
}

// 30 chips carry 7 groups of 4, of which 128 sequences take no 7: the largest batch that 7 groups
// divide is 126, and 2 chips stand by.
TEST(PlanSpace, RaggedNumbersOfChipsLeaveSomeStandingBy) {
    Scene scene(replaced(replaced(kDense, "chips: 64", "chips: 30"),
                         "plan: {tensor_parallel: [2, 4, 8], pipeline_parallel: [1, 2, 4]",
                         "plan: {batch: at-most, idle: 10 %, tensor_parallel: [4], "
                         "pipeline_parallel: [1]"));
    ASSERT_FALSE(scene.space.candidates.empty());
    const PlanCandidate& one = scene.space.candidates.front();
    EXPECT_EQ(one.plan.data_parallel, 7);
    EXPECT_EQ(one.chips, 28);
    EXPECT_EQ(one.chips_there, 30);
    EXPECT_EQ(one.global_batch, 252);
}

// 64 chips are sixteen groups of four, and one chip in 31 h fails for 48 h: 1.5 under repair and
// twice 1.2 beside, four in all. Fifteen groups leave as many.
TEST(PlanSpace, AGroupLessWhereNothingStandsByForRepairs) {
    const std::string plan =
        "plan: {batch: at-most, idle: 10 %, tensor_parallel: [4], pipeline_parallel: [1]";
    const std::string text =
        replaced(kDense, "plan: {tensor_parallel: [2, 4, 8], pipeline_parallel: [1, 2, 4]", plan);
    const auto groups = [](const PlanReport& report) {
        std::set<int> found;
        for (const PlanTimed& one : report.alternatives.front().found.timed)
            found.insert(one.candidate.plan.data_parallel);
        return found;
    };
    EXPECT_EQ(groups(planned(text)), (std::set<int>{16}));
    const std::string run =
        "schedule: 1f1b, run: {tokens: 1 Ttok, restart: 600 s, checkpoint: {stall: 10 s}, "
        "failures: "
        "[{component: chip, mean_time_between: 2000 h, repair: 46 h}]}}";
    const PlanReport failing = planned(replaced(text, "schedule: 1f1b}", run));
    EXPECT_EQ(groups(failing), (std::set<int>{15, 16}));
}

TEST(PlanMemory, IsThatOfThePlanAlone) {
    for (const std::string& text : {kExperts, kDense}) {
        Scene scene(text);
        PlanMemory memory(scene.job);
        for (const PlanCandidate& one : scene.space.candidates) {
            const Bytes need = scene.need(one);
            EXPECT_NEAR(memory.fullest(one.plan, positions_of(scene.job, one.plan)) / need, 1,
                        1e-12);
        }
    }
}

// States alone never fill more than all of it, so that what they prune would not have fitted.
TEST(PlanMemory, StatesAloneAreNoMoreThanAll) {
    Scene scene(kExperts);
    for (const PlanCandidate& one : scene.space.candidates) {
        const Bytes need = scene.need(one);
        EXPECT_LE(least_need(scene.job, one.plan, positions_of(scene.job, one.plan)), need);
    }
}

TEST(PlanMemory, RoundsOfMicroBatchesAddNothing) {
    for (const auto& [name, kind] : names_of(static_cast<const ScheduleKind*>(nullptr))) {
        Scene scene(replaced(kDense, "global_batch: 256", "global_batch: 4096"));
        TrainingPlan plan = scene.space.candidates.front().plan;
        plan.tensor_parallel = 2;
        plan.pipeline_parallel = 4;
        plan.data_parallel = 8;
        plan.micro_batch = 1;
        plan.schedule = kind;
        plan.more.positions_per_stage = kind == ScheduleKind::interleaved ? 2 : 0;
        Bytes all(0.0);
        for (const StageNeed& stage : scene.training.memory(plan))
            all = max(all, stage.need.total());
        PlanMemory memory(scene.job);
        EXPECT_NEAR(memory.fullest(plan, positions_of(scene.job, plan)) / all, 1, 1e-12) << name;
    }
}

TEST(PlanBound, IsBelowEveryStep) {
    for (const std::string& text : {kDense, kExperts, kLayers,
                                    replaced(kExperts, "[1f1b, interleaved, zb-h1]",
                                             "[dualpipe, dualpipe-v, gpipe, zb-v]")}) {
        Scene scene(text);
        PlanBound bound(scene.job, scene.training);
        double tightest = 0, sum = 0, sum_closer = 0;
        for (const PlanCandidate& one : scene.space.candidates) {
            const auto positions = positions_of(scene.job, one.plan);
            const Seconds step = scene.training.time(one.plan);
            const double share = bound.of(one.plan, positions) / step;
            EXPECT_LE(share, 1);
            tightest = std::max(tightest, share);
            const double close = bound.closer(one.plan, positions) / step;
            EXPECT_LE(close, 1);
            sum += share;
            sum_closer += close;
        }
        EXPECT_GT(tightest, 0.9);
        const auto plans = static_cast<double>(scene.space.candidates.size());
        EXPECT_GT(sum_closer, 0.9 * plans);
        EXPECT_GE(sum_closer, sum);
    }
}

// The layers that the workload says stand in the file of a mapping that has them.
TEST(PlanSearch, TriesTheWorkloadsLayers) {
    const Scene scene(kLayers);
    const auto has = [](const PlanCandidate& one) { return one.plan.recompute.layers() == 2; };
    EXPECT_TRUE(std::any_of(scene.space.candidates.begin(), scene.space.candidates.end(), has));
    // 40 layers of 18 G parameters on eight ranks: some of them have to run again.
    const std::string tight = replaced(replaced(kLayers, "[4, 8]", "[8]"), "[2, 4]", "[1]");
    for (const std::string& text : {kLayers, tight}) {
        const PlanReport report = planned(text);
        for (const auto& [objective, winner] : report.alternatives.front().winners) {
            const auto& timed = report.alternatives.front().found.timed[winner.timed];
            const std::string file = to_yaml(winner.experiment);
            EXPECT_EQ(file.find("recompute_layers: 2") != std::string::npos, has(timed.candidate))
                << file;
        }
    }
}

TEST(PlanSearch, FindsWhatTimingEverythingFinds) {
    for (const std::string& text : {kDense, kExperts}) {
        Scene scene(text);
        std::map<std::string, double> best_of;  // by mapping, whatever its ZeRO stage
        long fitting = 0;
        for (const PlanCandidate& one : scene.space.candidates) {
            if (scene.need(one) > scene.hardware.hbm_capacity) continue;
            ++fitting;
            double& most = best_of[mapping_key(one)];
            most = std::max(most, static_cast<double>(one.global_batch * scene.job.sequence) /
                                      scene.training.time(one.plan).value());
        }
        std::vector<double> all;
        for (const auto& [mapping, most] : best_of) all.push_back(most);
        std::sort(all.begin(), all.end(), std::greater<>());
        ASSERT_GE(all.size(), 5U);
        const PlanReport report = planned(text);
        const PlanFound& found = report.alternatives.front().found;
        const auto& best = found.best.at(PlanObjective::throughput);
        ASSERT_EQ(best.size(), 5U);
        for (std::size_t i = 0; i < best.size(); ++i)
            EXPECT_NEAR(found.timed[best[i]].tokens_per_second / all[i], 1, 1e-12);
        std::set<std::string> shown;
        for (const std::size_t i : best) shown.insert(mapping_key(found.timed[i].candidate));
        EXPECT_EQ(shown.size(), 5U);
        EXPECT_LT(found.counts.timed, fitting);
        EXPECT_EQ(found.counts.possible - found.counts.too_large, fitting);
        EXPECT_EQ(found.counts.timed + found.counts.hopeless, fitting);
    }
}

TEST(PlanSearch, MoreChipsAreNoSlower) {
    double before = 0;
    for (const char* chips : {"16", "32", "64", "128"}) {
        const PlanReport report =
            planned(replaced(kExperts, "chips: 32", std::string("chips: ") + chips));
        const PlanFound& found = report.alternatives.front().found;
        if (found.timed.empty()) continue;
        const double tokens =
            found.timed[found.best.at(PlanObjective::throughput).front()].tokens_per_second;
        EXPECT_GT(tokens, before);
        before = tokens;
    }
    EXPECT_GT(before, 0);
}

TEST(PlanSearch, SaysTheSameTwice) {
    const PlanReport a = planned(kExperts), b = planned(kExperts);
    const PlanFound &x = a.alternatives.front().found, &y = b.alternatives.front().found;
    ASSERT_EQ(x.timed.size(), y.timed.size());
    for (std::size_t i = 0; i < x.timed.size(); ++i) {
        EXPECT_EQ(x.timed[i].order, y.timed[i].order);
        EXPECT_EQ(x.timed[i].step.value(), y.timed[i].step.value());
    }
    EXPECT_EQ(x.best, y.best);
}

TEST(PlanSearch, SaysWhatItHasWhenStopped) {
    PlanOptions options;
    int polls = 0;
    options.stop = [&] { return ++polls > 250; };
    const PlanReport report = planned(kExperts, options);
    EXPECT_TRUE(report.partial());
    EXPECT_TRUE(report.alternatives.front().found.partial);
}

// Fifty chips fail once in 20,000 h each and stay away a day: spares keep the run going.
TEST(PlanSearch, IdleChipsAreSparesOfTheRun) {
    const std::string text =
        replaced(replaced(kExperts, "chips: 32", "chips: 36"), "plan:\n", "plan:\n  idle: 20 %\n");
    const PlanReport report = planned(text);
    const PlanFound& found = report.alternatives.front().found;
    ASSERT_FALSE(found.timed.empty());
    const PlanReport none = planned(kExperts);
    const PlanFound& without = none.alternatives.front().found;
    const PlanTimed& spared = found.timed[found.best.at(PlanObjective::failures).front()];
    const PlanTimed& bare = without.timed[without.best.at(PlanObjective::failures).front()];
    EXPECT_EQ(spared.candidate.chips, 32);
    EXPECT_GT(spared.days.goodput, bare.days.goodput);
}

// Chips that differ by 3 % and turn slow now and then: more ranks in lock-step wait for a slower
// one, and what is said to be best under failures is worked out with it.
TEST(PlanSearch, StragglersAreOfTheRun) {
    const std::string text =
        replaced(kExperts, "    restart: 300 s\n",
                 "    restart: 300 s\n    stragglers: {spread: 3 %, slow: {factor: 1.5, "
                 "mean_time_between: 1000 h, detection: 1 h, replacement: 10 min}}\n");
    const PlanReport report = planned(text);
    const PlanAlternative& of = report.alternatives.front();
    const PlanReport usual = planned(kExperts);
    ASSERT_FALSE(of.found.timed.empty());
    for (const PlanTimed& one : of.found.timed) {
        EXPECT_GT(one.days.slowdown, 1.02);
        EXPECT_LT(one.days.slowdown, 1.12);
    }
    const PlanTimed& best = of.found.timed[of.found.best.at(PlanObjective::failures).front()];
    const auto& before = usual.alternatives.front().found;
    const PlanTimed& equal = before.timed[before.best.at(PlanObjective::failures).front()];
    EXPECT_DOUBLE_EQ(equal.days.slowdown, 1);
    EXPECT_LT(best.tokens_under_failures(), equal.tokens_under_failures());
    // The run of it says the same.
    const AlternativeResult& ran = of.winners.at(PlanObjective::failures).result;
    EXPECT_NEAR(ran.metric("goodput")->value, best.days.goodput, 1e-3);
    EXPECT_NEAR(ran.metric("straggler_slowdown")->value, best.days.slowdown, 1e-3);
    EXPECT_GT(best.days.slowdown, best.days.lasting);
    EXPECT_NEAR(ran.metric("run_time")->value * 86400 * best.tokens_under_failures(), 1e12, 2e9);
}

TEST(PlanRun, TheExperimentThatIsWrittenGivesTheSameNumbers) {
    for (const std::string& text : {kDense, kExperts}) {
        const PlanReport report = planned(text);
        const PlanAlternative& of = report.alternatives.front();
        for (const auto& [objective, winner] : of.winners) {
            const PlanTimed& timed = of.found.timed[winner.timed];
            Catalog catalog(configs_root);
            RunOptions options;
            options.fidelity = Fidelity::analytic;
            options.driver = Driver::plain;
            options.neighbour = false;
            const std::string file = to_yaml(winner.experiment);
            const Result result = run_experiment(parse_yaml(file, "best.yaml"), catalog, options);
            const AlternativeResult& one = result.alternatives.front();
            EXPECT_DOUBLE_EQ(one.metric("step_time")->value, timed.step.value()) << file;
            EXPECT_NEAR(one.metric("exposed_communication_time")->value,
                        timed.exposed.value() * 1e3, 1e-6 + timed.exposed.value() * 1e-6);
            EXPECT_NEAR(one.metric("model_flops_utilization")->value, timed.model_flops_utilization,
                        1e-9);
            EXPECT_NEAR(one.metric("memory_peak")->value, timed.memory.value() / 1e9, 1e-9);
            if (one.metric("goodput") != nullptr) {
                EXPECT_NEAR(one.metric("goodput")->value, timed.days.goodput, 1e-3);
            }
            EXPECT_TRUE(result.audit_passed());
        }
    }
}

TEST(PlanRun, RefusesWhatCannotBe) {
    EXPECT_THAT(refusal(replaced(kExperts, "tensor_parallel: [1, 2, 4]", "tensor_parallel: []")),
                HasSubstr("plan.yaml:22:20: plan.tensor_parallel: is an empty list"));
    EXPECT_THAT(refusal(replaced(kExperts, "tensor_parallel: [1, 2, 4]", "tensor_paralel: [1]")),
                HasSubstr("did you mean tensor_parallel?"));
    EXPECT_THAT(refusal(replaced(kExperts, "tensor_parallel: [1, 2, 4]", "tensor_parallel: [3]")),
                HasSubstr("plan.tensor_parallel: 3 does not divide 32 heads; 2 would"));
    EXPECT_THAT(refusal(replaced(kExperts, "expert_parallel: [1, 4, 8]", "expert_parallel: [3]")),
                HasSubstr("plan.expert_parallel: 3 does not divide 8 routed experts; 2 would"));
    EXPECT_THAT(refusal(replaced(kExperts, "expert_parallel: [1, 4, 8]", "chips: [99999]")),
                HasSubstr("plan.chips: 99999 chips asked of h100-ib, which has 1024"));
    EXPECT_THAT(
        refusal(replaced(kExperts, "pipeline_parallel: [1, 2, 4]", "pipeline_parallel: [3]")),
        HasSubstr("no data_parallel puts"));
    EXPECT_THAT(refusal(replaced(kExperts, "engine: megatron",
                                 "engine: megatron\n    mapping: {data_parallel: 4}")),
                HasSubstr("mapping.data_parallel: follows from the other degrees"));
    EXPECT_THAT(refusal(replaced(kExperts, "plan:\n", "planned:\n")),
                HasSubstr("unknown key planned"));
    EXPECT_THAT(refusal(kExperts.substr(0, kExperts.find("plan:"))),
                HasSubstr("plan: missing: what is searched"));
}

TEST(PlanRun, SaysWhatWouldFitWhereNothingDoes) {
    const std::string text = replaced(
        replaced(replaced(kDense, "megatron-18b", "megatron-145b"), "chips: 64", "chips: 8"),
        "recompute: [selective, full], zero_stage: [1]", "recompute: [none], zero_stage: [0]");
    const std::string said = refusal(text);
    EXPECT_THAT(said, HasSubstr("mappings of Selene fits: the nearest ("));
    EXPECT_THAT(said, HasSubstr("too much; "));
    // The change it names makes a mapping fit.
    EXPECT_THAT(said, testing::AnyOf(HasSubstr("would fit"), HasSubstr("no single change helps")));
}

TEST(PlanRun, APlanIsSearchedAndNotRun) {
    Catalog catalog(configs_root);
    EXPECT_THAT(refusal_of([&] { (void)run_experiment(document(kDense), catalog, RunOptions{}); }),
                HasSubstr("plan: asks for a search, not for a run"));
    EXPECT_TRUE(check_experiment(document(kDense), catalog).empty());
}

// Of a chip with a stated band both ends of it are looked at.
TEST(PlanRun, ABandIsPutOnTheRanking) {
    const PlanReport report = planned(kExperts);
    const PlanFound& found = report.alternatives.front().found;
    ASSERT_TRUE(found.band.has_value());
    EXPECT_GT(found.band->band.share, 0);
    const PlanTimed& best = found.timed[found.best.at(PlanObjective::throughput).front()];
    EXPECT_LT(best.low, best.step);
    EXPECT_GT(best.high, best.step);
    EXPECT_LE(best.high / best.step, 1 + found.band->band.share + 1e-9);
}

// Where chips are few, mappings fit that keep states elsewhere; their experiment gives their step.
TEST(PlanSearch, OffloadIsAnAxis) {
    std::string text = kDense;
    text.replace(text.find("chips: 64"), 9, "chips: 16");
    text.replace(text.find("zero_stage: [1]"), 15,
                 "zero_stage: [1], offload: [none, optimizer, both]");
    const PlanReport report = planned(text);
    const PlanAlternative& one = report.alternatives.front();
    ASSERT_FALSE(one.found.timed.empty());
    std::set<std::string> kinds;
    for (const PlanTimed& timed : one.found.timed) {
        kinds.insert(to_string(timed.candidate.plan.offload));
        EXPECT_LE(timed.bound.value(), timed.step.value() * (1 + 1e-9));
    }
    EXPECT_GT(kinds.size(), 1U);
    const PlanWinner& best = one.winners.at(PlanObjective::throughput);
    EXPECT_NEAR(best.result.iteration_seconds, one.found.timed[best.timed].step.value(),
                1e-9 * best.result.iteration_seconds);
}

TEST(PlanSearch, WholeLayersAreAsManyAsTheWorkloadSays) {
    const auto layers = [](const std::string& text) {
        std::set<long> found;
        for (const PlanCandidate& one : Scene(text).space.candidates)
            found.insert(one.plan.recompute.layers());
        return found;
    };
    const std::string full = replaced(kLayers, "micro_batch: [1]", "recompute: [full]");
    EXPECT_EQ(layers(full), std::set<long>{2});
    // Of 40 layers on 4 stages none has 11, on 2 stages all have.
    EXPECT_EQ(layers(replaced(full, "recompute_layers: 2", "recompute_layers: 11")),
              (std::set<long>{0, 11}));
    // A list of its own, beside the policies.
    EXPECT_EQ(layers(replaced(full, "recompute: [full]", "recompute_layers: [1, 3, 3]")),
              (std::set<long>{1, 3}));
    EXPECT_EQ(
        layers(replaced(full, "recompute: [full]", "recompute: [full], recompute_layers: [1, 3]")),
        (std::set<long>{0, 1, 3}));
}

// Schedules that have passes of their own side by side, or none, are searched beside those that
// overlap_passes is of.
TEST(PlanSearch, SchedulesThatTakeNoOverlapGoWithout) {
    std::string text =
        replaced(kExperts, "schedule: 1f1b\n", "schedule: 1f1b\n  overlap_passes: true\n");
    text = replaced(text, "[1f1b, interleaved, zb-h1]", "[1f1b, zb-h1, dualpipe]");
    std::set<std::pair<ScheduleKind, bool>> found;
    for (const PlanCandidate& one : Scene(text).space.candidates) {
        if (one.plan.pipeline_parallel > 1)
            found.emplace(one.plan.schedule, one.plan.overlap_passes);
    }
    EXPECT_EQ(found, (std::set<std::pair<ScheduleKind, bool>>{
                         {ScheduleKind::one_forward_one_backward, true},
                         {ScheduleKind::zero_bubble_h1, false},
                         {ScheduleKind::dual_pipe, false}}));
    text = replaced(text, "[1f1b, zb-h1, dualpipe]", "[zb-h1]");
    const PlanReport report =
        planned(replaced(text, "pipeline_parallel: [1, 2, 4]", "pipeline_parallel: [2, 4]"));
    const PlanAlternative& of = report.alternatives.front();
    EXPECT_THAT(of.warnings,
                testing::Contains(HasSubstr("combinations of zb-h1 are taken without")));
    const PlanWinner& winner = of.winners.at(PlanObjective::throughput);
    EXPECT_THAT(to_yaml(winner.experiment), HasSubstr("overlap_passes: false"));
    EXPECT_DOUBLE_EQ(winner.result.metric("step_time")->value,
                     of.found.timed[winner.timed].step.value());
}

// Orders that part groups are counted.
TEST(PlanSearch, OrdersThatPartGroupsAreSaid) {
    EXPECT_THAT(
        planned(replaced(replaced(kExperts, "expert_parallel: [1, 4, 8]",
                                  "expert_parallel: [8]\n  placement: [flat, tp-cp-pp-dp]"),
                         "tensor_parallel: [1, 2, 4]", "tensor_parallel: [2]"))
            .alternatives.front()
            .warnings,
        testing::Contains(HasSubstr("combinations are left out: placement tp-cp-pp-dp parts")));
}

}  // namespace
}  // namespace podsim
