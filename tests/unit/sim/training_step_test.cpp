// A training step through the whole house: what a step is made of, by hand, what is refused, what
// the audit catches.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <numeric>

#include "base/names.hpp"
#include "sim/audit.hpp"
#include "sim/training_case.hpp"
#include "sim/training_program.hpp"
#include "sim/training_uses.hpp"
#include "tests/unit/sim/experiment_cases.hpp"
#include "tests/unit/sim/training_bench.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

// Alone, without replicas: 64 forward and 64 backward passes, the optimiser, the host.
TEST(TrainingStep, OneRankIsTheSumOfItsPasses) {
    TrainingBench bench;
    bench.job.engine.host_step.value = Seconds(0.005);
    const TrainingStep step = bench.step({});
    const PositionPasses& passes = step.passes.front();
    const double sum = 64 * (passes.forward->time() + passes.backward->time()).value() +
                       step.norms.front()->time().value() +
                       step.optimizers.front()->time().value() + 0.005;
    EXPECT_NEAR(step.total.value(), sum, 1e-9);
    EXPECT_DOUBLE_EQ(step.timing.bubble_fraction, 0);
    EXPECT_DOUBLE_EQ(step.wait_for_others().value(), 0);
}

// Gradients are clipped by their norm over all stages: none steps before the last one has its sums.
// Of two stages with seven and one layers over replicas, whose gradients are reduced after the
// passes, the first has seven times as many to sum and to step.
TEST(TrainingStep, StagesWaitForTheNormOfAll) {
    TrainingBench bench;
    bench.job.engine.training->overlap_gradients = false;
    TrainingPlan plan;
    plan.pipeline_parallel = 2;
    plan.data_parallel = 2;
    plan.more.layers = {7, 1};
    const TrainingStep step = bench.step(plan);
    const double last = std::max(step.own_norm(0).value(), step.own_norm(1).value());
    EXPECT_GE(step.norm_known.value(), last);
    EXPECT_LE(step.norm_known.value(), last + 1e-3);  // four bytes between two stages
    const double longest = std::max(step.optimizers[0]->time(), step.optimizers[1]->time()).value();
    EXPECT_NEAR(step.total.value(),
                step.gather.value() + step.norm_known.value() + longest + step.host.value(), 1e-12);
    EXPECT_DOUBLE_EQ(step.own_norm(step.critical_stage).value(), last);
    const std::size_t kind = step.kind_of_stage[static_cast<std::size_t>(step.critical_stage)];
    EXPECT_NEAR(step.optimizer_time().value(),
                step.norm_known.value() - last + step.norms[kind]->time().value() + longest, 1e-12);
}

// Bytes of gradients that ranks of all stages hand to their replicas in a step.
double reduced_bytes(const TrainingStep& step) {
    double sum = 0;
    for (std::size_t kind = 0; kind < step.needs.size(); ++kind) {
        const auto stages = static_cast<double>(step.needs[kind].stages.size());
        for (const PassUse& use : uses_of_kind(step, kind)) {
            const Program& program = use.pass->program;
            for (const TransferInstance& one : program.instances) {
                const Transfer& transfer =
                    program.transfers[static_cast<std::size_t>(one.transfer)];
                if (transfer.type == TransferType::reduce_scatter)
                    sum += stages * use.times * transfer.size.value();
            }
        }
    }
    return sum;
}

// Whole sums are reduced once a step, each stage's (DualPipe: of each direction's copy). A rank
// that keeps its part of the sums alone reduces with each of its 64 / 4 micro-batches, which go
// through every part of the model once. 4 bytes a parameter, under every schedule.
TEST(TrainingStep, PartsOfSumsAreReducedWithEachMicroBatch) {
    for (const bool hidden : {true, false}) {
        for (const auto& [schedule, copies] : {std::pair{ScheduleKind::gpipe, 1},
                                               {ScheduleKind::one_forward_one_backward, 1},
                                               {ScheduleKind::interleaved, 1},
                                               {ScheduleKind::zero_bubble_h1, 1},
                                               {ScheduleKind::zero_bubble_v, 1},
                                               {ScheduleKind::dual_pipe, 2},
                                               {ScheduleKind::dual_pipe_v, 1}}) {
            TrainingBench bench;
            bench.job.engine.training->overlap_gradients = hidden;
            TrainingPlan plan;
            plan.pipeline_parallel = plan.data_parallel = 4;
            plan.schedule = schedule;
            if (schedule == ScheduleKind::interleaved) plan.more.positions_per_stage = 2;
            double parameters = 0;
            for (const TrainingPosition& one : positions_of(bench.job, plan))
                parameters += held_by(bench.job, plan, one).total();
            const TrainingStep once = bench.step(plan);
            EXPECT_NEAR(reduced_bytes(once), copies * 4 * parameters, 1) << name_of(schedule);
            plan.zero_stage = 2;
            const TrainingStep each = bench.step(plan);
            // A pair of overlapped passes counts half of either position's: the head's norm is
            // 4,096 bytes that the embedding does not have.
            EXPECT_NEAR(reduced_bytes(each), 16 * 4 * parameters, 1e4) << name_of(schedule);
            EXPECT_GT(each.total, once.total) << name_of(schedule);
        }
    }
}

// From what computes least again: norms and activations run again already, the up-projections of
// latents besides are enough where all of the layer is not needed.
TEST(TrainingStep, HelpForMemoryNamesTheSmallestRecompute) {
    TrainingBench bench;
    LatentAttention latent;
    latent.heads = 16;
    latent.query_rank = 256;
    latent.kv_rank = 128;
    latent.nope_head_dim = latent.value_head_dim = 64;
    latent.rope_head_dim = 32;
    bench.job.model.attentions = {latent};
    CostCache known = bench.cache();
    TrainingPlan plan;
    plan.zero_stage = 3;
    const auto need = [&](RecomputePolicy policy) {
        plan.recompute = policy;
        TrainingCase training(bench.job, bench.machine(plan), known);
        return training.memory(plan).front().need.total();
    };
    const Bytes norms = need(RecomputePolicy::norms_and_activations);
    const Bytes v3 = need(RecomputePolicy::deepseek_v3);
    ASSERT_LT(v3, norms);
    bench.hardware.hbm_capacity = 0.5 * (v3 + norms);
    plan.recompute = RecomputePolicy::norms_and_activations;
    TrainingCase training(bench.job, bench.machine(plan), known);
    EXPECT_EQ(training.help_for_memory(plan), "recompute: deepseek-v3");
}

// Four replicas of P parameters in FP32: whole sums 4 P bytes; a part of them P, beside it the
// whole gradients of what is widest, the head of 32,000 x 1,024 with its norm, and as much again
// where that is reduced meanwhile.
TEST(TrainingStep, PartsOfSumsHaveALayersGradientsBesideThem) {
    TrainingBench bench;
    TrainingPlan plan;
    plan.data_parallel = 4;
    const double parameters = held_by(bench.job, plan, positions_of(bench.job, plan)[0]).total();
    const auto gradients = [&] {
        double sum = 0;
        const TrainingStep step = bench.step(plan);
        for (const auto& [part, bytes] : step.needs.front().need.parts) {
            if (part.find("gradients") != std::string::npos) sum += bytes.value();
        }
        return sum;
    };
    EXPECT_DOUBLE_EQ(gradients(), 4 * parameters);
    plan.zero_stage = 2;
    const double head = 32000 * 1024 + 1024;
    bench.job.engine.training->overlap_gradients = false;
    EXPECT_DOUBLE_EQ(gradients(), parameters + 4 * head);
    bench.job.engine.training->overlap_gradients = true;
    EXPECT_DOUBLE_EQ(gradients(), parameters + 8 * head);
}

// 1F1B with p equal stages and m micro-batches takes (m + p - 1)(F + B) where stages are equal;
// here ends have more to do, so that it is at least that of a middle stage.
TEST(TrainingStep, PipelineHasItsBubble) {
    const TrainingBench bench;
    TrainingPlan plan;
    plan.pipeline_parallel = 4;
    const TrainingStep step = bench.step(plan);
    const double middle =
        (step.passes[1].forward->time() + step.passes[1].backward->time()).value();
    EXPECT_GE(step.timing.makespan.value(), (64 + 3) * middle);
    EXPECT_GT(step.timing.bubble_fraction, 0);
    EXPECT_LT(step.timing.bubble_fraction, 0.5);
    // The first stage holds four micro-batches at a time.
    EXPECT_EQ(step.timing.stages.front().peak_in_flight, 4);
}

// Twice the replicas with twice the batch, over links that cost nothing: the same step.
TEST(TrainingStep, MoreReplicasOverFreeLinksTakeAsLong) {
    TrainingBench bench;
    bench.fabric.scale_up = bench.fabric.scale_out = BytesPerSecond(1e30);
    bench.hardware.hbm_bandwidth = BytesPerSecond(1e30);
    TrainingPlan plan;
    plan.zero_stage = 0;
    const double one = bench.step(plan).total.value();
    plan.data_parallel = 2;
    bench.job.global_batch *= 2;
    const double two = bench.step(plan).total.value();
    EXPECT_NEAR(two, one, 0.02 * one);
}

TEST(TrainingStep, MoreBandwidthIsNeverSlower) {
    for (const bool experts : {false, true}) {
        TrainingBench bench;
        if (experts) bench.job = small_moe();
        bench.job.engine.training->overlap_tensor = true;
        TrainingPlan plan;
        plan.tensor_parallel = 2;
        plan.more.sequence_parallel = true;
        plan.data_parallel = 4;
        plan.expert_parallel = experts ? 4 : 1;
        double before = 1e9;
        for (const double factor : {1.0, 2.0, 4.0}) {
            TrainingBench other = bench;
            other.fabric.scale_up = factor * bench.fabric.scale_up;
            other.fabric.scale_out = factor * bench.fabric.scale_out;
            const double time = other.step(plan).total.value();
            EXPECT_LE(time, before * (1 + 1e-9));
            before = time;
        }
    }
}

// Passes are remembered over plans: the second of two that share them runs nothing but its step.
TEST(TrainingStep, PlansShareTheirPasses) {
    const TrainingBench bench;
    CostCache cache(bench.hardware, plain_kernels(), Fidelity::analytic, true, RankState::busy);
    TrainingCase training(bench.job, {bench.hardware, bench.fabric, bench.collectives, 8}, cache);
    TrainingPlan plan;
    plan.pipeline_parallel = 4;
    plan.data_parallel = 2;
    plan.zero_stage = 0;
    const double first = training.time(plan).value();
    const long events = training.events();
    EXPECT_DOUBLE_EQ(training.time(plan).value(), first);
    EXPECT_EQ(training.events(), events);
}

TEST(TrainingStep, MemoryIsTheSameBeforeAndAfter) {
    const TrainingBench bench;
    TrainingPlan plan;
    plan.pipeline_parallel = 4;
    CostCache cache(bench.hardware, plain_kernels(), Fidelity::analytic, true, RankState::busy);
    TrainingCase training(bench.job, {bench.hardware, bench.fabric, bench.collectives, 4}, cache);
    const auto before = training.memory(plan);
    const TrainingStep step = training.step(plan);
    ASSERT_EQ(before.size(), step.needs.size());
    for (std::size_t i = 0; i < before.size(); ++i)
        EXPECT_DOUBLE_EQ(before[i].need.total().value(), step.needs[i].need.total().value());
    EXPECT_LE(least_need(bench.job, plan, step.positions), step.fullest().need.total());
}

// Two stages of four layers, 4 micro-batches under way at most 2: what is away fills the host.
TEST(TrainingOffload, MemoryGoesOverTheHostLink) {
    TrainingBench bench;
    bench.hardware.host_bandwidth = BytesPerSecond(500e9);
    TrainingPlan plan;
    plan.pipeline_parallel = 2;
    const TrainingStep here = bench.step(plan);
    TrainingPlan half = plan;
    half.offload.activations = 0.5;
    const TrainingStep away = bench.step(half);
    const auto part = [](const StageNeed& need, const std::string& name) {
        for (const auto& [of, bytes] : need.need.parts)
            if (of == name) return bytes.value();
        return 0.0;
    };
    ASSERT_EQ(here.needs.size(), away.needs.size());
    EXPECT_LT(part(away.needs[0], "activations"), 0.75 * part(here.needs[0], "activations"));
    EXPECT_GT(away.needs[0].host.value(), 0);
    EXPECT_LT(away.needs[0].need.total(), here.needs[0].need.total());
    // A copy of a layer on a link so fast is hidden; on one so slow it is the pass.
    EXPECT_NEAR(away.total.value(), here.total.value(), 0.05 * here.total.value());
    bench.hardware.host_bandwidth = BytesPerSecond(1e9);
    half.offload.activations = 1;
    const TrainingStep slow = bench.step(half);
    const double copied = 4 * layer_activations(bench.job, half, LayerKind{}).value();
    EXPECT_GE(slow.passes[0].forward->time().value(), copied / 1e9);
    EXPECT_GT(slow.total, here.total);
}

// States of P parameters: master weights and two moments in FP32 are 12 P bytes, in and out over
// the link at the same time; a packet of 256 bytes has 24 of header.
TEST(TrainingOffload, TheOptimizersStatesComeAndGo) {
    TrainingBench bench;
    bench.hardware.host_bandwidth = BytesPerSecond(50e9);
    TrainingPlan plan;
    plan.zero_stage = 0;
    const TrainingStep here = bench.step(plan);
    plan.offload.optimizer = 1;
    const TrainingStep chip = bench.step(plan);
    const double parameters = held_by(bench.job, plan, here.positions.front()).total();
    EXPECT_DOUBLE_EQ(chip.needs[0].host.value(), 12 * parameters);
    const double way = 12 * parameters * (1 + 24.0 / 256) / 50e9;
    EXPECT_GE(chip.optimizers[0]->time().value(), way);
    // The first part in and the last one out have nothing beside them.
    EXPECT_LE(chip.optimizers[0]->time().value(), 1.25 * way + here.optimizers[0]->time().value());
    // The host steps: 4 P bytes of gradients up and 2 P of weights down, beside its own memory's
    // 4 + 2 x 12 + 2 bytes a parameter.
    plan.offload.host_memory = BytesPerSecond(20e9);
    const TrainingStep host = bench.step(plan);
    EXPECT_GE(host.optimizers[0]->time().value(), 30 * parameters / 20e9);
    EXPECT_LE(host.optimizers[0]->time().value(), 1.2 * 30 * parameters / 20e9);
    EXPECT_LT(host.needs[0].need.total(), chip.needs[0].need.total());
}

// The whole step as one program, run by the machine, takes what the schedule says, up to what a
// pass's end and the next one's beginning overlap; its work is that of all micro-batches; ranks do
// not make it longer.
TEST(TrainingProgram, IsTheStepInTasks) {
    for (const ScheduleKind schedule :
         {ScheduleKind::one_forward_one_backward, ScheduleKind::zero_bubble_h1,
          ScheduleKind::dual_pipe, ScheduleKind::zero_bubble_v}) {
        TrainingBench bench;
        bench.job = small_moe();
        bench.job.global_batch = 32;
        bench.job.engine.host_step.value = Seconds(0.001);
        TrainingPlan plan;
        plan.schedule = schedule;
        plan.pipeline_parallel = 4;
        plan.data_parallel = plan.expert_parallel = 2;
        const TrainingStep step = bench.step(plan);
        const StepProgram whole = program_of_step(step, plan, stage_send(bench.job, plan));
        require_valid(whole.program);
        ASSERT_EQ(whole.record.tasks.size(), whole.program.tasks.size());
        ASSERT_EQ(whole.program.classes.size(), 4U);
        CostCache cache(bench.hardware, plain_kernels(), Fidelity::analytic, true, RankState::busy);
        const ProgramCosts costs =
            cost_program(whole.program, cache, bench.fabric, bench.collectives, plan.ranks());
        const RunRecord ran = run_program(whole.program, costs, bench.hardware, Driver::plain);
        EXPECT_EQ(ran.unfinished, 0);
        // Reductions of gradients go on beside the passes that follow, as the step has it.
        // DualPipe sums over two stages what comes to both of its positions on one.
        const double gap = schedule == ScheduleKind::dual_pipe ? 0.07 : 0.04;
        EXPECT_NEAR(to_seconds(ran.end) / step.total, 1, gap) << name_of(schedule);

        // Twice the replicas are the same classes.
        TrainingPlan wide = plan;
        wide.data_parallel = 4;
        bench.job.global_batch = 64;
        const TrainingStep more = bench.step(wide);
        const StepProgram folded = program_of_step(more, wide, stage_send(bench.job, wide));
        EXPECT_EQ(folded.program.classes.size(), whole.program.classes.size());
        EXPECT_EQ(folded.program.classes.front().count, 4);
    }
}

// Uneven experts make two classes of a stage's ranks, which the optimiser takes as one; a forward
// and a backward pass as one are a task list like any other.
TEST(TrainingProgram, UnevenExpertsPartAStagesRanks) {
    for (const bool overlaps : {false, true}) {
        TrainingBench bench;
        bench.job = small_moe();
        bench.job.global_batch = 64;
        bench.job.experts.popularity = Popularity::zipf;
        bench.job.experts.zipf_exponent = 0.5;
        TrainingPlan plan;
        plan.overlap_passes = overlaps;
        plan.pipeline_parallel = 2;
        plan.data_parallel = plan.expert_parallel = 4;
        const TrainingStep step = bench.step(plan);
        const StepProgram whole = program_of_step(step, plan, stage_send(bench.job, plan));
        require_valid(whole.program);
        ASSERT_EQ(whole.program.classes.size(), 4U);
        EXPECT_EQ(whole.program.classes[0].count, 1);
        EXPECT_EQ(whole.program.classes[1].count, 3);
        CostCache cache(bench.hardware, plain_kernels(), Fidelity::analytic, true, RankState::busy);
        const ProgramCosts costs =
            cost_program(whole.program, cache, bench.fabric, bench.collectives, plan.ranks());
        const RunRecord ran = run_program(whole.program, costs, bench.hardware, Driver::plain);
        EXPECT_EQ(ran.unfinished, 0);
        EXPECT_GT(to_seconds(ran.end) / step.total, 1 - 0.05);
        EXPECT_LT(to_seconds(ran.end) / step.total, 1 + 0.05);
    }
}

// Passes that overlap hide what they send: no slower, and faster where experts are exchanged.
TEST(TrainingStep, PassesThatOverlapHideTheExchange) {
    TrainingBench bench;
    bench.job = small_moe();
    bench.job.global_batch = 64;
    TrainingPlan plan;
    plan.data_parallel = plan.expert_parallel = 4;
    const TrainingStep apart = bench.step(plan);
    plan.overlap_passes = true;
    const TrainingStep overlapped = bench.step(plan);
    EXPECT_LT(overlapped.total, apart.total);
    EXPECT_GT(overlapped.needs.front().need.total(), apart.needs.front().need.total());
}

Node training_experiment() {
    return parse_yaml(R"(experiment: a test
workload:
  kind: training
  model: megatron-3.6b
  global_batch: 64
  micro_batch: 1
  sequence: 2048 tokens
  recompute: full
alternatives:
  - name: A
    system: selene
    chips: 32
    engine: megatron-2022
    mapping: {tensor_parallel: 2, pipeline_parallel: 2, data_parallel: 8}
prices: default
)",
                      "test.yaml");
}

TEST(TrainingExperiment, WhatIsWrongIsSaidAtItsKey) {
    const Node good = training_experiment();
    EXPECT_EQ(problems_of(good), "");
    const std::string mapping = "alternatives.A.mapping.";
    EXPECT_THAT(problems_of(with(good, mapping + "data_parallel", "7")),
                HasSubstr("alternatives.A.mapping: tensor_parallel 2 x context_parallel 1 x "
                          "pipeline_parallel 2 x data_parallel 7 are 28 ranks, not 32; "
                          "data_parallel 8 would"));
    const Node odd =
        with(with(good, "workload.global_batch", "24"), "workload.schedule", "dualpipe");
    EXPECT_THAT(problems_of(odd), HasSubstr("workload.schedule: dualpipe halves its micro-batches "
                                            "between two directions: 4, not 3"));
    EXPECT_THAT(problems_of(with(good, "workload.zero_stage", "3")),
                HasSubstr("in a pipeline of 2 stages"));
    EXPECT_THAT(problems_of(with(good, mapping + "pipeline_parallel", "16")), HasSubstr("ranks"));
    EXPECT_THAT(problems_of(with(good, "alternatives.A.engine", "nominal")),
                HasSubstr("nominal does not train"));
    EXPECT_THAT(problems_of(with(good, "workload.global_batch", "100 ktok")),
                HasSubstr("no whole number"));
    Node big = with(good, "workload.model", "megatron-39b");
    big = with(big, "workload.recompute", "none");
    EXPECT_THAT(problems_of(big),
                testing::AllOf(HasSubstr("memory does not fit"), HasSubstr("would fit")));
}

// The link comes from the chip's record; one without it says so.
TEST(TrainingExperiment, OffloadNeedsALinkToTheHost) {
    Node experiment = with(training_experiment(), "workload.offload.optimizer", "100 %");
    EXPECT_EQ(problems_of(experiment), "");
    experiment = with(experiment, "workload.offload.activations", "120 %");
    EXPECT_THAT(problems_of(experiment), HasSubstr("workload.offload.activations"));
    experiment = with(experiment, "workload.offload.activations", "100 %");
    const AlternativeResult one = run_test(experiment);
    EXPECT_GT(value_of(one, "memory_host"), 0);
    for (const AuditFinding& finding : one.audit)
        EXPECT_TRUE(finding.passed) << finding.law << ": " << finding.detail;
    experiment = with(experiment, "workload.offload.host_memory", "20 GB/s");
    experiment = with(experiment, "workload.optimizer.type", "muon");
    EXPECT_THAT(problems_of(experiment), HasSubstr("workload.offload.host_memory"));
}

// A quarter of what all of it would need lets a quarter of it go.
TEST(TrainingExperiment, OffloadFitsTheHostsMemory) {
    Node experiment = with(training_experiment(), "workload.offload.optimizer", "100 %");
    const double all = value_of(run_test(experiment), "memory_host");
    experiment =
        with(experiment, "workload.offload.host_capacity", fmt::format("{:.6f} GB", all * 1.001));
    EXPECT_EQ(problems_of(experiment), "");
    experiment =
        with(experiment, "workload.offload.host_capacity", fmt::format("{:.6f} GB", all * 0.2501));
    EXPECT_THAT(
        problems_of(experiment),
        testing::AllOf(HasSubstr("workload.offload.host_capacity: is "),
                       HasSubstr("in the host's memory"), HasSubstr("optimizer: 25 % would fit")));
    experiment = with(experiment, "workload.offload.optimizer", "25 %");
    EXPECT_EQ(problems_of(experiment), "");
    // States fill it, and activations alone would be more than it holds.
    experiment = with(experiment, "workload.offload.activations", "100 %");
    EXPECT_THAT(problems_of(experiment), HasSubstr("more of the host's memory"));
}

// A trace of three steps: even twice, then all to experts of the first ranks. The same load three
// times is the step itself.
TEST(TrainingExperiment, LoadsOfATraceDriveSteps) {
    const std::string file = testing::TempDir() + "podsim_load_steps.json";
    const auto write = [&](const std::string& text) { std::ofstream(file) << text; };
    Node experiment = parse_yaml(R"(experiment: a test
workload: {kind: training, model: mixtral-8x7b, global_batch: 64, sequence: 1024 tokens, schedule: 1f1b, recompute: full}
alternatives:
  - {name: A, system: h100-ib, chips: 32, engine: megatron, mapping: {pipeline_parallel: 4, expert_parallel: 4}}
prices: default
)",
                                 "test.yaml");
    const Node balanced = experiment;
    const std::string experts = "alternatives.A.experts.";
    experiment = with(experiment, experts + "popularity", "histogram");
    experiment = with(experiment, experts + "histogram", file);
    experiment = with(experiment, experts + "histogram_part", "steps.0");
    experiment = with(experiment, "workload.load_steps", "steps");
    const std::string even = "[1, 1, 1, 1, 1, 1, 1, 1]", first = "[4, 4, 1, 1, 1, 1, 1, 1]";
    write(R"({"steps": {"0": {"0": )" + even + R"(}, "1": {"0": )" + even + R"(}}})");
    const AlternativeResult same = run_test(experiment);
    EXPECT_EQ(value_of(same, "trace_steps"), 2);
    EXPECT_NEAR(value_of(same, "trace_step_time"), same.iteration_seconds, 1e-9);
    EXPECT_EQ(value_of(same, "trace_step_time_deviation"), 0);
    write(R"({"steps": {"0": {"0": )" + even + R"(}, "1": {"0": )" + even + R"(}, "2": {"0": )" +
          first + "}}}");
    const AlternativeResult one = run_test(experiment);
    const double usual = one.iteration_seconds, worst = value_of(one, "trace_step_time_worst");
    EXPECT_GT(worst, 1.05 * usual);
    EXPECT_NEAR(value_of(one, "trace_step_time"), (2 * usual + worst) / 3, 1e-9);
    // Of 0, 0 and d the deviation is d sqrt(2) / 3.
    EXPECT_NEAR(value_of(one, "trace_step_time_deviation"), (worst - usual) * std::sqrt(2.0) / 3,
                1e-9);
    EXPECT_THAT(
        problems_of(with(balanced, "workload.load_steps", "steps")),
        HasSubstr("workload.load_steps: names steps of a histogram, and popularity is none"));
    EXPECT_THAT(problems_of(with(experiment, "workload.load_steps", "stages")), HasSubstr("steps"));
    std::remove(file.c_str());
}

TEST(TrainingExperiment, ModulesTakeThePlaceOfAPolicy) {
    Node experiment = with(training_experiment(), "workload.recompute_modules", "[mlp, core_attn]");
    EXPECT_THAT(problems_of(experiment),
                HasSubstr("workload.recompute_modules: name what is computed again, and so does "
                          "recompute: full"));
    const double full = value_of(run_test(training_experiment()), "memory_activations");
    experiment = with(experiment, "workload.recompute", "selective");
    EXPECT_EQ(problems_of(experiment), "");
    const double modules = value_of(run_test(experiment), "memory_activations");
    const double selective =
        value_of(run_test(with(training_experiment(), "workload.recompute", "selective")),
                 "memory_activations");
    EXPECT_LT(modules, selective);
    EXPECT_GT(modules, full);
    EXPECT_THAT(problems_of(with(experiment, "workload.recompute_modules", "[attn]")),
                HasSubstr("core_attn"));
}

// Pairs of passes that each reduce gradients: were those of weights put off behind the chains,
// their sums would begin late, and a step that computes all layers again would be the faster one
// (5.56 s in place of 5.89).
TEST(TrainingExperiment, LessAgainIsNoSlowerWhereEachPairReduces) {
    const Node none = parse_yaml(R"(experiment: a test
workload: {kind: training, model: mixtral-8x7b, global_batch: 256, micro_batch: 1, sequence: 4096 tokens, schedule: dualpipe, zero_stage: 2}
alternatives:
  - {name: A, system: h100-ib, chips: 64, engine: megatron, mapping: {tensor_parallel: 4, sequence_parallel: true, pipeline_parallel: 4, data_parallel: 4, expert_parallel: 4, placement: flat}}
prices: default
)",
                                 "test.yaml");
    const double least = run_test(none).iteration_seconds;
    EXPECT_LT(least, run_test(with(none, "workload.recompute", "full")).iteration_seconds);
    EXPECT_LT(least, run_test(with(none, "workload.recompute", "selective")).iteration_seconds);
}

// What the timeline draws is at its fullest what the table says, when it says so.
TEST(TrainingExperiment, MemoryOverTime) {
    RunOptions options = quick();
    options.timeline = true;
    const AlternativeResult one =
        run_test(with(training_experiment(), "workload.recompute", "none"), {}, options);
    ASSERT_EQ(one.memory_over_time.size(), 2u);
    double most = 0, at = 0, fullest = 0;
    const auto total = [](const MemoryTrack::Point& point) {
        return std::accumulate(point.bytes.begin(), point.bytes.end(), 0.0);
    };
    for (const MemoryTrack& track : one.memory_over_time) {
        EXPECT_EQ(track.points.front().seconds, 0);
        for (const MemoryTrack::Point& point : track.points) {
            ASSERT_EQ(point.bytes.size(), track.parts.size());
            if (total(point) <= most) continue;
            most = total(point);
            at = point.seconds;
        }
    }
    for (const MemoryUse& use : one.memory) {
        if (use.total <= fullest) continue;
        fullest = use.total;
        EXPECT_DOUBLE_EQ(use.total, most);
        EXPECT_DOUBLE_EQ(use.peak_seconds, at);
        // Two stages: the first has two micro-batches under way, and holds most as a backward pass
        // begins.
        EXPECT_THAT(use.peak_during, HasSubstr("pass of micro-batch"));
        EXPECT_EQ(use.rank_class, "stage 1 ranks");
    }
    EXPECT_DOUBLE_EQ(fullest / 1e9, value_of(one, "memory_peak"));
}

// 14 bytes of each of P parameters over 100 GB/s.
TEST(TrainingExperiment, CheckpointsFromTheirBytes) {
    Node experiment = with(training_experiment(), "workload.run.tokens", "1 Ttok");
    experiment = with(experiment, "workload.run.checkpoint.to", "storage");
    EXPECT_THAT(problems_of(experiment),
                HasSubstr("workload.run.checkpoint.to: is storage of no known bandwidth"));
    experiment = with(experiment, "workload.run.checkpoint.bandwidth", "1 GB/s");
    experiment = with(experiment, "workload.run.checkpoint.interval", "1 h");
    const AlternativeResult one = run_test(experiment);
    const double bytes = value_of(one, "checkpoint_size") * 1e12;
    EXPECT_NEAR(bytes / 14, 3.6e9, 0.15e9);
    EXPECT_NEAR(value_of(one, "checkpoint_stall"), bytes / 1e9, 1e-6 * bytes / 1e9);
    EXPECT_NEAR(value_of(one, "checkpoint_restore"), bytes / 1e9, 1e-6 * bytes / 1e9);
    experiment = with(experiment, "workload.run.checkpoint.stall", "3 s");
    EXPECT_DOUBLE_EQ(value_of(run_test(experiment), "checkpoint_stall"), 3);
    experiment = with(training_experiment(), "workload.run.tokens", "1 Ttok");
    EXPECT_THAT(problems_of(with(experiment, "workload.run.checkpoint.asynchronous", "true")),
                HasSubstr("to: storage, host or pool says where it goes"));
}

TEST(TrainingExperiment, EqualChipsAreNoStragglers) {
    const Node experiment = with(training_experiment(), "workload.run.tokens", "1 Ttok");
    const AlternativeResult usual = run_test(experiment);
    const AlternativeResult same =
        run_test(with(experiment, "workload.run.stragglers.spread", "0"));
    EXPECT_EQ(usual.metric("straggler_slowdown"), nullptr);
    EXPECT_DOUBLE_EQ(value_of(same, "straggler_slowdown"), 1);
    EXPECT_DOUBLE_EQ(value_of(same, "run_time"), value_of(usual, "run_time"));
    const Node uneven = with(experiment, "workload.run.stragglers.spread", "3 %");
    const AlternativeResult slower = run_test(uneven);
    const double slowdown = value_of(slower, "straggler_slowdown");
    EXPECT_GT(slowdown, 1.02);  // the slowest of 32 is 2.07 deviations up
    EXPECT_LT(slowdown, 1.07);
    EXPECT_NEAR(value_of(slower, "run_time"), slowdown * value_of(usual, "run_time"), 1e-3);
    EXPECT_DOUBLE_EQ(value_of(slower, "step_time"), value_of(usual, "step_time"));
    EXPECT_NEAR(value_of(slower, "goodput_drawn"), value_of(slower, "goodput"), 0.005);
    Node slow = with(uneven, "workload.run.stragglers.slow.factor", "1.5");
    EXPECT_THAT(problems_of(slow), HasSubstr("or mean_time_between has to be given"));
    slow = with(slow, "workload.run.stragglers.slow.mean_time_between", "100 h");
    EXPECT_THAT(problems_of(slow), HasSubstr("leaves units slow for ever"));
    slow = with(slow, "workload.run.stragglers.slow.detection", "1 h");
    const AlternativeResult often = run_test(slow);
    EXPECT_GT(value_of(often, "straggler_slowdown"), slowdown);
    EXPECT_NEAR(value_of(often, "goodput_drawn") / value_of(often, "goodput"), 1, 0.005);
}

TEST(TrainingExperiment, CheckpointsShorterThanTheTimeBetweenFailures) {
    Node experiment = with(training_experiment(), "workload.run.tokens", "1 Ttok");
    experiment = with(experiment, "workload.run.checkpoint.stall", "2 h");
    Node failing = parse_yaml("[{component: chip, mean_time_between: 30 h}]", "test.yaml");
    Node& run = *experiment.find("workload")->find("run");
    run.entries.push_back({"failures", {"test.yaml", 9, 1}, failing});
    EXPECT_THAT(problems_of(experiment), HasSubstr("the job fails every"));
}

TEST(TrainingExperiment, StepAddsUpAndPassesTheAudit) {
    Catalog catalog = test_catalog();
    const Result result = run_experiment(training_experiment(), catalog, quick());
    const AlternativeResult& one = result.alternatives.front();
    for (const AuditFinding& finding : one.audit)
        EXPECT_TRUE(finding.passed) << finding.law << ": " << finding.detail;
    double sum = 0;
    for (const BreakdownPart& part : one.breakdown) sum += part.seconds;
    EXPECT_NEAR(sum, one.iteration_seconds, 1e-9 * one.iteration_seconds);
    EXPECT_DOUBLE_EQ(value_of(one, "training_tokens_per_second_per_chip"),
                     64 * 2048 / one.iteration_seconds / 32);
    EXPECT_LT(value_of(one, "model_flops_utilization"), 1);
    EXPECT_LT(value_of(one, "model_flops_utilization"),
              value_of(one, "hardware_flops_utilization"));

    const auto breaks = [&](const auto& change) {
        AlternativeResult other = one;
        change(other);
        std::string laws;
        for (const AuditFinding& finding : audit(other, result.kind, result.configuration)) {
            if (!finding.passed) laws += finding.law + "; ";
        }
        return laws;
    };
    EXPECT_THAT(breaks([](auto& r) { r.totals.matrix_flops /= 8; }),
                HasSubstr("FLOPs executed = FLOPs of the graph"));
    EXPECT_THAT(breaks([](auto& r) { r.totals.sequences *= 8; }), HasSubstr("tokens in"));
    EXPECT_THAT(breaks([](auto& r) { r.iteration_seconds /= 8; }), HasSubstr("not faster"));
    EXPECT_THAT(breaks([](auto& r) { r.memory.front().ranks /= 2; }),
                HasSubstr("product of the degrees"));
    EXPECT_THAT(breaks([](auto& r) {
                    for (MemoryUse& use : r.memory) {
                        for (MemoryPart& part : use.parts) part.bytes /= 20;
                        use.total /= 20;
                    }
                }),
                HasSubstr("ranks hold their weights"));
}

// Uneven experts in two stages, a busiest rank and others in each: what memories carry is what the
// operators ask, the optimiser's part once for each rank.
TEST(TrainingExperiment, UnevenExpertsInStagesPassTheAudit) {
    const Node experiment = parse_yaml(R"(experiment: a test
workload: {kind: training, model: qwen3-30b-a3b, global_batch: 256, micro_batch: 1, sequence: 4096 tokens, schedule: 1f1b, overlap_passes: true}
alternatives:
  - name: A
    system: h100-ib
    chips: 64
    engine: megatron
    collectives: deepep-normal
    mapping: {placement: flat, pipeline_parallel: 2, data_parallel: 32, expert_parallel: 32}
    experts: {popularity: zipf, zipf_exponent: 0.3}
prices: default
)",
                                       "test.yaml");
    const AlternativeResult one = run_test(experiment);
    for (const AuditFinding& finding : one.audit)
        EXPECT_TRUE(finding.passed) << finding.law << ": " << finding.detail;
    EXPECT_GT(value_of(one, "expert_imbalance"), 1.1);
    EXPECT_GT(value_of(one, "overlapped_time"), 0);
}

// What a budget buys at 1.30 USD an hour (the price list): hours / (time of a step / its tokens).
TEST(TrainingExperiment, BudgetBuysTokens) {
    const Node experiment = with(training_experiment(), "workload.run.budget", "1 MUSD");
    const AlternativeResult one = run_test(experiment);
    const double price = value_of(one, "usd_per_hour_per_chip");
    const double seconds = 1e6 / (price * 32) * 3600;
    EXPECT_NEAR(value_of(one, "run_tokens"), seconds / one.iteration_seconds * 64 * 2048 / 1e12,
                1e-3 * value_of(one, "run_tokens"));
    EXPECT_NEAR(value_of(one, "run_cost"), 1, 1e-3);
    EXPECT_DOUBLE_EQ(value_of(one, "goodput"), 1);
}

}  // namespace
}  // namespace podsim
