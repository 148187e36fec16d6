#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/audit.hpp"
#include "sim/program_trace.hpp"
#include "sim/replay_run.hpp"
#include "tests/support/readers.hpp"
#include "tests/unit/sim/experiment_cases.hpp"
#include "tests/unit/workloads/trace_cases.hpp"
#include "workloads/trace_program.hpp"
#include "workloads/trace_writing.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

class Replays : public testing::Test {
  protected:
    Result run(const std::string& text, RunOptions options = {}) const {
        Catalog catalog(configs_root);
        options.neighbour = false;
        options.driver = Driver::plain;
        return run_experiment(parse_yaml(text, folder.path() + "/experiment.yaml"), catalog,
                              options);
    }
    AlternativeResult replay(const std::string& keys, const std::string& chips = "8") const {
        const Result result =
            run("experiment: a\nworkload: {kind: replay, trace: ., " + keys +
                "}\nalternatives: [{name: a, system: hgx-h100, chips: " + chips + "}]\n");
        for (const AuditFinding& finding : result.alternatives[0].audit)
            EXPECT_TRUE(finding.passed) << finding.law << ": " << finding.detail;
        return result.alternatives[0];
    }
    void write(const std::vector<std::string>& ranks) const {
        for (std::size_t i = 0; i < ranks.size(); ++i)
            folder.write("t." + std::to_string(i) + ".et", kChakraHeader + ranks[i]);
    }
    TraceFolder folder;
};

// A collective in a trace takes as long as the collective alone.
TEST_F(Replays, AMicrobenchmarkIsItsCollective) {
    for (const auto& [type, number] :
         {std::pair("all_reduce", 0), std::pair("all_gather", 2), std::pair("all_to_all", 6),
          std::pair("reduce_scatter", 7)}) {
        write(std::vector<std::string>(
            8, chakra_collective(1, static_cast<std::uint64_t>(number), 1 << 20)));
        const Result alone = run(std::string("experiment: a\nworkload: {kind: collective, "
                                             "collective: {type: ") +
                                 type +
                                 ", bytes: 1 MiB, ranks: 8}}\nalternatives: [{name: a, system: "
                                 "hgx-h100, chips: 8}]\n");
        EXPECT_DOUBLE_EQ(replay("compute: recorded").iteration_seconds,
                         alone.alternatives[0].iteration_seconds)
            << type;
    }
}

// Rank 1 is 100 us late: rank 0 waits so long, and the step is as long as if both were.
TEST_F(Replays, WaitingIsToldApartFromTransfer) {
    const auto rank = [](std::uint64_t micros) {
        return chakra_compute(1, micros) + chakra_collective(2, 0, 1 << 20, "", {1});
    };
    write({rank(100), rank(200)});
    const AlternativeResult late = replay("compute: recorded", "2");
    write({rank(200), rank(200)});
    const AlternativeResult even = replay("compute: recorded", "2");
    EXPECT_DOUBLE_EQ(late.iteration_seconds, even.iteration_seconds);
    EXPECT_DOUBLE_EQ(late.metric("waiting_time")->value, 0.05);  // ms, mean of 100 us and none
    EXPECT_DOUBLE_EQ(even.metric("waiting_time")->value, 0);
    EXPECT_DOUBLE_EQ(late.metric("communication_time")->value,
                     even.metric("communication_time")->value);
}

// Beside 1 ms of compute an all-reduce of 1 MiB is not exposed; after it, it is.
TEST_F(Replays, ExposedIsWhatNothingHides) {
    const auto rank = [](const std::vector<std::uint64_t>& after) {
        return chakra_compute(1, 1000) + chakra_collective(2, 0, 1 << 20, "", after);
    };
    write({rank({}), rank({})});
    const AlternativeResult beside = replay("compute: recorded", "2");
    EXPECT_DOUBLE_EQ(beside.iteration_seconds, 1e-3);
    EXPECT_EQ(beside.metric("exposed_communication_time")->value, 0);
    write({rank({1}), rank({1})});
    const AlternativeResult after = replay("compute: recorded", "2");
    EXPECT_NEAR(after.iteration_seconds,
                1e-3 + after.metric("exposed_communication_time")->value * 1e-3, 1e-12);
    EXPECT_GT(after.metric("exposed_communication_time")->value, 0);
}

// Ranks that are told apart by a name alone run as classes of their own, in the same time.
TEST_F(Replays, FoldedEqualsUnfolded) {
    const auto rank = [](const std::string& name) {
        return chakra_node(1, name, 4, number_field(7, 40)) +
               chakra_collective(2, 6, 1 << 22, "", {1}) + chakra_compute(3, 60, {2}) +
               chakra_collective(4, 2, 1 << 20, "", {1});
    };
    write(std::vector<std::string>(8, rank("a")));
    const AlternativeResult folded = replay("compute: recorded");
    std::vector<std::string> ranks;
    for (int i = 0; i < 8; ++i) ranks.push_back(rank("a" + std::to_string(i)));
    write(ranks);
    const AlternativeResult apart = replay("compute: recorded");
    EXPECT_EQ(folded.totals.tasks, 4);
    EXPECT_EQ(apart.totals.tasks, 32);
    EXPECT_EQ(folded.iteration_seconds, apart.iteration_seconds);
    EXPECT_DOUBLE_EQ(folded.totals.sent_bytes, apart.totals.sent_bytes);
    EXPECT_DOUBLE_EQ(folded.metric("exposed_communication_time")->value,
                     apart.metric("exposed_communication_time")->value);
}

TEST_F(Replays, ComputeByTheChip) {
    // 3.35 GB at the H100's 3.35 TB/s take a millisecond at least.
    const std::string work = chakra_node(
        1, "n", 4, number_field(7, 50) + whole_attribute("tensor_size", 13, 3'350'000'000));
    write({work});
    EXPECT_DOUBLE_EQ(replay("compute: recorded", "1").iteration_seconds, 50e-6);
    EXPECT_DOUBLE_EQ(replay("compute_scale: 2", "1").iteration_seconds, 100e-6);
    const AlternativeResult chip = replay("compute: chip", "1");
    EXPECT_GT(chip.iteration_seconds, 1e-3);
    EXPECT_LT(chip.iteration_seconds, 1.5e-3);
    EXPECT_DOUBLE_EQ(chip.totals.hbm_bytes, 3.35e9);
}

TEST_F(Replays, OneRankForAll) {
    write({chakra_collective(1, 0, 1 << 20)});
    const std::string alone = "experiment: a\nworkload: {kind: replay, trace: .";
    const std::string rest = "}\nalternatives: [{name: a, system: hgx-h100, chips: 4}]\n";
    EXPECT_THAT(refusal_of([&] { (void)run(alone + rest); }), HasSubstr("workload.ranks says"));
    EXPECT_EQ(run(alone + ", ranks: 4" + rest).alternatives[0].totals.tasks, 1);
    EXPECT_THAT(refusal_of([&] { (void)run(alone + ", ranks: 8" + rest); }),
                HasSubstr("8 ranks replay on 4 of 4 chips (chips: 8 would do)"));
}

TEST_F(Replays, WhatIsWrongInTheExperiment) {
    const std::string rest = "}\nalternatives: [{name: a, system: hgx-h100, chips: 4}]\n";
    EXPECT_THAT(refusal_of([&] {
                    (void)run("experiment: a\nworkload: {kind: replay, trace: nowhere.et" + rest);
                }),
                HasSubstr("experiment.yaml:2:33: workload.trace: there is no file or folder"));
}

TEST_F(Replays, ATraceOfNoLengthIsRefused) {
    write({chakra_node(1, "n", 4, number_field(7, 0))});
    EXPECT_THAT(refusal_of([&] {
                    (void)run(
                        "experiment: a\nworkload: {kind: replay, trace: .}\nalternatives: "
                        "[{name: a, system: hgx-h100, chips: 1}]\n");
                }),
                HasSubstr("workload.trace: all its nodes together take no time"));
}

// The audit sees bytes that were lost and work that was not done.
TEST_F(Replays, AuditReadsTheTraceAgain) {
    write(std::vector<std::string>(4, chakra_collective(1, 0, 1 << 20)));
    const Result result =
        run("experiment: a\nworkload: {kind: replay, trace: .}\nalternatives: "
            "[{name: a, system: hgx-h100, chips: 4}]\n");
    const auto broken = [&](auto change) {
        AlternativeResult tampered = result.alternatives[0];
        change(tampered);
        std::string laws;
        for (const AuditFinding& one : audit(tampered, "replay", result.configuration))
            if (!one.passed) laws += one.law + "; ";
        return laws;
    };
    EXPECT_EQ(broken([](AlternativeResult&) {}), "");
    EXPECT_THAT(broken([](auto& r) { r.totals.sent_bytes = r.totals.received_bytes = 1e6; }),
                HasSubstr("links carry what the trace moves"));
    EXPECT_THAT(broken([](auto& r) { r.totals.tasks = 0; }),
                HasSubstr("all nodes of the trace ran"));
    EXPECT_THAT(broken([](auto& r) { r.totals.flops = 5; }), HasSubstr("FLOPs executed"));
}

const char* const kDecodeStep =
    "experiment: a\nworkload: {kind: decode, model: deepseek-r1, context: 4096 tokens, "
    "batch_per_rank: 16}\nalternatives: [{name: a, system: h800-ib, chips: 64, engine: "
    "deepseek-infer, mapping: {data_parallel: 64, expert_parallel: 64, micro_batches: 2}, experts: "
    "{popularity: balanced}}]\n";

// A program written as Chakra and read again: the same tasks, dependencies, transfers and bytes.
TEST_F(Replays, AnyProgramIsWrittenAndReadAgain) {
    RunOptions options;
    Program program;
    double gap_free = 0;
    options.program = [&](const RanProgram& ran) {
        program = ran.program;
        gap_free = to_seconds(ran.record.end).value();
        (void)write_trace(trace_of_program(ran), folder.path(), "a step");
    };
    (void)run(kDecodeStep, options);
    const TraceProgram again = program_of_trace(read_trace({folder.path()}), 0, 1);
    ASSERT_EQ(again.program.tasks.size(), program.tasks.size());
    EXPECT_EQ(again.ranks, 64);
    EXPECT_EQ(again.program.streams.size(), program.streams.size());
    double flops = 0;
    for (std::size_t i = 0; i < program.tasks.size(); ++i) {
        const Task &a = program.tasks[i], &b = again.program.tasks[i];
        ASSERT_EQ(a.after, b.after) << i;
        EXPECT_EQ(a.stream, b.stream);
        EXPECT_EQ(a.rank_class, b.rank_class);
        EXPECT_EQ(a.priority, b.priority);
        EXPECT_EQ(a.continues, b.continues);
        EXPECT_EQ(a.kind == TaskKind::transfer, b.kind == TaskKind::transfer);
        if (b.kind == TaskKind::compute)
            flops += again.work[static_cast<std::size_t>(b.body)].flops;
        if (a.kind != TaskKind::transfer) continue;
        const auto transfer_of = [](const Program& p, const Task& task) {
            const auto instance = p.instances[static_cast<std::size_t>(task.body)];
            return p.transfers[static_cast<std::size_t>(instance.transfer)];
        };
        EXPECT_EQ(transfer_of(program, a), transfer_of(again.program, b));
    }
    // Whole FLOP are written: of some thousand kernels half a FLOP each may be lost.
    EXPECT_NEAR(flops * 64, total_work(program).value(), 64 * 0.5 * double(program.tasks.size()));
}

// Replayed on the system it ran on it takes as long.
TEST_F(Replays, WhatIsWrittenReplaysInItsTime) {
    RunOptions options;
    options.program = [&](const RanProgram& ran) {
        (void)write_trace(trace_of_program(ran), folder.path(), "a program");
    };
    const auto replayed = [&](const std::string& text, const std::string& pool) {
        const double once = run(text, options).alternatives[0].iteration_seconds;
        const Result again =
            run("experiment: a\nworkload: {kind: replay, trace: .}\nalternatives: "
                "[{name: a, " +
                pool + "}]\n");
        EXPECT_TRUE(again.audit_passed());
        return again.alternatives[0].iteration_seconds / once;
    };
    EXPECT_NEAR(replayed(kDecodeStep, "system: h800-ib, chips: 64"), 1, 0.01);
    EXPECT_NEAR(replayed("experiment: a\nworkload: {kind: collective, collective: {type: "
                         "all_to_all, ranks: 16, bytes: 8 MiB}}\nalternatives: [{name: a, system: "
                         "h800-ib, chips: 16}]\n",
                         "system: h800-ib, chips: 16"),
                1, 1e-9);
    // Two classes without a transfer between them: one kernel holds both.
    EXPECT_NEAR(
        replayed("experiment: a\nworkload: {kind: operator, operator: {type: moe, tokens: 4096, "
                 "hidden: 7168, inter: 3072, experts: 384, top_k: 6, ranks: 8, popularity: "
                 "uniform, scale_block: 128, dtypes: {weights: fp4, activations: "
                 "fp8}}}\nalternatives: [{name: a, system: dgx-b200, chips: 8, experts: {exchange: "
                 "fused}, collectives: deepgemm-mega}]\n",
                 "system: dgx-b200, chips: 8, collectives: deepgemm-mega"),
        1, 0.01);
}

}  // namespace
}  // namespace podsim
