// What a training experiment is told beside its numbers: layers computed again until it fits, what
// a run could do better, what its model does not have.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "sim/training_case.hpp"
#include "tests/unit/sim/experiment_cases.hpp"
#include "tests/unit/sim/training_bench.hpp"

namespace podsim {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// On a plain machine a layer that is computed again takes its forward pass again, no more: of the
// four layers of a part in the middle N quarters of it.
TEST(RecomputeLayers, TakeTheirForwardPassAgain) {
    TrainingBench bench;
    bench.job.model.layers.assign(16, LayerKind{});
    TrainingPlan plan;
    plan.pipeline_parallel = 4;
    const auto passes = [&](const RecomputeChoice& recompute) {
        plan.recompute = recompute;
        return bench.step(plan).passes[1];
    };
    const PositionPasses none = passes(RecomputePolicy::none);
    for (const long n : {1L, 2L, 3L, 4L}) {
        const PositionPasses some = passes(RecomputeChoice::of_layers(n));
        EXPECT_EQ(some.forward->record.end, none.forward->record.end);
        const Seconds more = some.backward->time() - none.backward->time();
        EXPECT_NEAR(more / none.forward->time(), static_cast<double>(n) / 4, 1e-6) << n;
    }
    EXPECT_EQ(passes(RecomputeChoice::of_layers(4)).backward->record.end,
              passes(RecomputePolicy::full).backward->record.end);
}

// The fewest layers with which it fits, where no policy that costs less does.
TEST(RecomputeLayers, HelpNamesTheFewestThatFit) {
    TrainingBench bench;
    bench.job.model.layers.assign(16, LayerKind{});
    bench.job.global_batch = 1;
    bench.hardware.host_bandwidth = BytesPerSecond(0.0);
    CostCache known = bench.cache();
    TrainingPlan plan;
    plan.zero_stage = 3;
    const auto need = [&](const RecomputeChoice& recompute) {
        TrainingPlan other = plan;
        other.recompute = recompute;
        TrainingCase training(bench.job, bench.machine(plan), known);
        return training.memory(other).front().need.total();
    };
    int looked = 0;
    for (const long n : {9L, 12L, 15L}) {
        ASSERT_LT(need(RecomputeChoice::of_layers(n)), need(RecomputeChoice::of_layers(n - 1)));
        bench.hardware.hbm_capacity =
            0.5 * (need(RecomputeChoice::of_layers(n)) + need(RecomputeChoice::of_layers(n - 1)));
        // A policy, or feed-forward halves alone, would cost less where they do.
        bool less = false;
        for (const RecomputeChoice& one : {RecomputeChoice(RecomputePolicy::selective),
                                           RecomputeChoice(RecomputePolicy::norms_and_activations),
                                           RecomputeChoice(RecomputePolicy::deepseek_v3),
                                           RecomputeChoice(RecomputeModules{RecomputeModule::mlp})})
            less = less || need(one) <= bench.hardware.hbm_capacity;
        if (less) continue;
        ++looked;
        TrainingCase training(bench.job, bench.machine(plan), known);
        EXPECT_EQ(training.help_for_memory(plan),
                  "recompute: full with recompute_layers: " + std::to_string(n));
        // From a policy, from modules and from fewer layers no more than that either.
        TrainingPlan from = plan;
        from.recompute = RecomputePolicy::selective;
        EXPECT_EQ(training.help_for_memory(from),
                  "recompute: full with recompute_layers: " + std::to_string(n));
        from.recompute = RecomputeChoice(RecomputeModules{RecomputeModule::mlp});
        EXPECT_EQ(training.help_for_memory(from),
                  "recompute: full with recompute_layers: " + std::to_string(n) +
                      " in place of recompute_modules");
        from.recompute = RecomputeChoice::of_layers(n - 3);
        EXPECT_EQ(training.help_for_memory(from), "recompute_layers: " + std::to_string(n));
    }
    EXPECT_GT(looked, 1);
}

// Divided tokens are a part of what halves a tensor-parallel rank's activations.
TEST(MemoryHelp, ADegreeIsNamedWithWhatItNeeds) {
    TrainingBench bench;
    bench.job.model.layers.assign(1, LayerKind{});  // no second stage
    bench.job.global_batch = 4;
    bench.hardware.host_bandwidth = BytesPerSecond(0.0);
    CostCache known = bench.cache();
    TrainingPlan plan, wide;
    plan.data_parallel = 4;
    plan.zero_stage = wide.zero_stage = 3;
    plan.recompute = wide.recompute = RecomputePolicy::full;
    wide.tensor_parallel = wide.data_parallel = 2;
    wide.more.sequence_parallel = true;
    TrainingCase all(bench.job, bench.machine(plan), known);
    bench.hardware.hbm_capacity =
        0.5 * (all.memory(plan).front().need.total() + all.memory(wide).front().need.total());
    TrainingCase training(bench.job, bench.machine(plan), known);
    EXPECT_EQ(training.help_for_memory(plan),
              "tensor_parallel: 2, data_parallel: 2, sequence_parallel: true");
}

Node mixtral() {
    return parse_yaml(R"(experiment: a test
workload: {kind: training, model: mixtral-8x7b, global_batch: 32, sequence: 1024 tokens, schedule: 1f1b, recompute: full}
alternatives:
  - {name: A, system: h100-ib, chips: 32, engine: megatron, mapping: {pipeline_parallel: 4, data_parallel: 8, expert_parallel: 8}}
prices: default
)",
                      "test.yaml");
}

TEST(RecomputeLayers, OfAnExperiment) {
    const Node some = with(mixtral(), "workload.recompute_layers", "2");
    EXPECT_EQ(problems_of(some), "");
    const AlternativeResult two = run_test(some), all = run_test(mixtral()),
                            none = run_test(with(mixtral(), "workload.recompute", "none"));
    EXPECT_GT(value_of(two, "memory_activations"), value_of(all, "memory_activations"));
    EXPECT_LT(value_of(two, "memory_activations"), value_of(none, "memory_activations"));
    EXPECT_LT(value_of(two, "step_time"), value_of(all, "step_time"));
    EXPECT_GT(value_of(two, "step_time"), value_of(none, "step_time"));
    // Eight layers a stage.
    EXPECT_THAT(problems_of(with(some, "workload.recompute_layers", "9")),
                HasSubstr("workload.recompute_layers: 9 of parts of at most 8 layers; 8 would do"));
    EXPECT_THAT(problems_of(with(some, "workload.recompute", "selective")),
                HasSubstr("workload.recompute_layers: is of whole layers, recompute is selective"));
}

// Four micro-batches on four stages: the first stage has no pass beside another, the last has
// three pairs of four. What is hidden is the mean over all of them.
TEST(ExpertExchange, IsThatOfAllStages) {
    const AlternativeResult apart = run_test(mixtral()),
                            over = run_test(with(mixtral(), "workload.overlap_passes", "true"));
    EXPECT_LT(value_of(over, "step_time"), value_of(apart, "step_time"));
    EXPECT_GT(value_of(over, "expert_exchange_hidden"),
              value_of(apart, "expert_exchange_hidden") + 0.05);
    EXPECT_NEAR(value_of(over, "expert_exchange_time"), value_of(apart, "expert_exchange_time"),
                0.02 * value_of(apart, "expert_exchange_time"));
}

std::string said(const AlternativeResult& result) {
    std::string all;
    for (const std::string& one : result.warnings) all += one + "\n";
    return all;
}

TEST(TrainingAdvice, ModulesThatTheModelDoesNotHave) {
    Node experiment = with(mixtral(), "workload.recompute", "none");
    experiment = with(experiment, "workload.recompute_modules", "[mla_up_proj, moe_act]");
    EXPECT_THAT(said(run_test(experiment)),
                AllOf(HasSubstr("has no mla_up_proj, nothing of it is computed again; it has "
                                "core_attn, layernorm, moe_act, moe"),
                      Not(HasSubstr("has no moe_act"))));
    EXPECT_THAT(said(run_test(with(mixtral(), "workload.recompute", "up-projections"))),
                HasSubstr("computes nothing again"));
    EXPECT_THAT(said(run_test(mixtral())), Not(HasSubstr("computed again")));
}

Node failing(const std::string& key, const std::string& value) {
    Node experiment = with(mixtral(), "workload.run.tokens", "1 Ttok");
    experiment = with(experiment, "workload.run.checkpoint.stall", "60 s");
    experiment = with(experiment, "workload.run.restart", "300 s");
    const Node sources =
        parse_yaml("[{component: chip, mean_time_between: 320 h, repair: 1 h}]", "test.yaml");
    experiment.find("workload")
        ->find("run")
        ->entries.push_back({"failures", {"test.yaml", 9, 1}, sources});
    return with(experiment, "workload.run." + key, value);
}

// 32 chips fail every 10 h, a checkpoint takes a minute: Young's interval is sqrt(2 x 60 x 36,000)
// = 2,078 s.
TEST(TrainingAdvice, CheckpointsTooOftenAndTooSeldom) {
    EXPECT_THAT(said(run_test(failing("checkpoint.interval", "35 min"))),
                Not(HasSubstr("checkpoint")));
    EXPECT_THAT(said(run_test(failing("checkpoint.interval", "30 s"))),
                AllOf(HasSubstr("is too short: each checkpoint stops the job for 60 s"),
                      HasSubstr("% sooner")));
    EXPECT_THAT(said(run_test(failing("checkpoint.interval", "9 h"))),
                HasSubstr("is too long: the job fails every"));
}

// A checkpoint that nobody has asked for is not spoken of, spares are what is lacking.
TEST(TrainingAdvice, WhereNoCheckpointIsSaid) {
    Node experiment = with(mixtral(), "workload.run.tokens", "1 Ttok");
    experiment = with(experiment, "workload.run.restart", "1 min");
    const Node sources =
        parse_yaml("[{component: chip, mean_time_between: 320 h, repair: 100000 h}]", "test.yaml");
    experiment.find("workload")
        ->find("run")
        ->entries.push_back({"failures", {"test.yaml", 9, 1}, sources});
    const std::string refused = problems_of(experiment);
    EXPECT_THAT(refused, AllOf(HasSubstr("a run with 60 s of restart, "),
                               HasSubstr("of waiting for a spare"), HasSubstr("(spares: "),
                               Not(HasSubstr("checkpoint"))));
    const std::size_t begin = refused.find("(spares: ") + 9;
    const std::string spares = refused.substr(begin, refused.find(" would", begin) - begin);
    EXPECT_EQ(problems_of(with(experiment, "workload.run.spares", spares)), "");
}

// What is named, put in, lets a run end; and it is a key that is there.
TEST(TrainingAdvice, WhatALongCheckpointCouldBe) {
    const std::string interval = problems_of(failing("checkpoint.interval", "11 h"));
    EXPECT_THAT(interval, AllOf(HasSubstr("workload.run.checkpoint: work between two checkpoints "
                                          "takes"),
                                HasSubstr("checkpoint.interval: ")));
    const std::string restart = problems_of(failing("restart", "20 h"));
    EXPECT_THAT(restart, AllOf(HasSubstr("workload.run.restart"), HasSubstr("(restart: "),
                               Not(HasSubstr("checkpoint.interval"))));
    for (const auto& [key, text] :
         {std::pair<std::string, std::string>{"checkpoint.interval", interval},
          {"restart", restart}}) {
        const std::size_t begin = text.find("(" + key + ": ") + key.size() + 3;
        ASSERT_NE(text.find("(" + key + ": "), std::string::npos) << text;
        const std::string value = text.substr(begin, text.find(" would", begin) - begin);
        EXPECT_EQ(problems_of(failing(key, value)), "") << key << ": " << value;
    }
}

// A unit of 32 chips turns slow every hour or so: replacements that take as long stop the job for
// good, which is said before anything runs.
TEST(TrainingAdvice, ReplacementsThatNeverEnd) {
    const auto slow = [](const std::string& replacement) {
        Node experiment = with(mixtral(), "workload.run.tokens", "1 Ttok");
        const std::string key = "workload.run.stragglers.slow.";
        experiment = with(experiment, key + "factor", "1.3");
        experiment = with(experiment, key + "mean_time_between", "32 h");
        experiment = with(experiment, key + "detection", "30 min");
        return with(experiment, key + "replacement", replacement);
    };
    const std::string refused = problems_of(slow("2 h"));
    EXPECT_THAT(refused, AllOf(HasSubstr("workload.run.stragglers: a unit turns slow every 1 h"),
                               HasSubstr("(stragglers.slow.replacement: ")));
    const std::size_t begin = refused.find("replacement: ") + 13;
    const std::string value = refused.substr(begin, refused.find(" would", begin) - begin);
    EXPECT_EQ(problems_of(slow(value)), "") << value;
}

// A checkpoint after every step, of no time: said where the run fails, and nothing of an interval
// that costs nothing.
TEST(TrainingAdvice, CheckpointsThatCostNothing) {
    Node experiment = with(mixtral(), "workload.run.tokens", "1 Ttok");
    EXPECT_THAT(said(run_test(experiment)), Not(HasSubstr("run.checkpoint")));
    const Node sources =
        parse_yaml("[{component: chip, mean_time_between: 320 h, repair: 1 h}]", "test.yaml");
    experiment.find("workload")
        ->find("run")
        ->entries.push_back({"failures", {"test.yaml", 9, 1}, sources});
    experiment = with(experiment, "workload.run.spares", "8");
    EXPECT_THAT(said(run_test(experiment)),
                HasSubstr("run.checkpoint: is of no time, and one is taken for nothing every "));
    const Node interval = with(experiment, "workload.run.checkpoint.interval", "1 h");
    EXPECT_THAT(said(run_test(interval)),
                AllOf(HasSubstr("for nothing every 1 h"), Not(HasSubstr("sooner"))));
    // What is named is enough.
    const Node named = with(with(experiment, "workload.run.checkpoint.stall", "1 min"),
                            "workload.run.checkpoint.restore", "5 min");
    EXPECT_THAT(said(run_test(named)), Not(HasSubstr("run.checkpoint")));
}

// The seed of a run draws its failures, and the mean is as far off as its standard error says.
TEST(TrainingAdvice, SeedsDrawOtherFailures) {
    const auto of_seed = [](std::uint64_t seed) {
        RunOptions options = quick();
        options.seed = seed;
        return run_test(failing("checkpoint.interval", "35 min"), {}, options);
    };
    const AlternativeResult one = of_seed(1), two = of_seed(2);
    EXPECT_EQ(value_of(one, "goodput_drawn"), value_of(of_seed(1), "goodput_drawn"));
    EXPECT_NE(value_of(one, "goodput_drawn"), value_of(two, "goodput_drawn"));
    const double error = value_of(one, "goodput_drawn_error");
    EXPECT_GT(error, 0);
    EXPECT_NEAR(value_of(one, "goodput_drawn"), value_of(two, "goodput_drawn"), 6 * error);
    EXPECT_NEAR(value_of(one, "goodput_drawn"), value_of(one, "goodput"), 0.005);
}

TEST(TrainingAdvice, AUnitOfMoreChipsThanTheJob) {
    Node experiment = with(mixtral(), "workload.run.tokens", "1 Ttok");
    experiment = with(experiment, "workload.run.stragglers.spread", "2 %");
    EXPECT_THAT(problems_of(with(experiment, "workload.run.stragglers.chips", "33")),
                AllOf(HasSubstr("workload.run.stragglers.chips: 33 share their speed, and the job "
                                "has 32"),
                      HasSubstr("(32: all of them)")));
    EXPECT_EQ(problems_of(with(experiment, "workload.run.stragglers.chips", "32")), "");
}

}  // namespace
}  // namespace podsim
