// A fused exchange as one task: its time worked by hand, what it moves, what experiments say of it.
#include "sim/fused_exchange_cost.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/expert_exchange.hpp"
#include "tests/unit/chips/tiny_chip.hpp"
#include "tests/unit/interconnect/plain_fabric.hpp"
#include "tests/unit/sim/audit_cases.hpp"
#include "tests/unit/sim/experiment_cases.hpp"

namespace podsim {
namespace {

using ::testing::HasSubstr;

KernelLibrarySpec fused_library() {
    KernelLibrarySpec library = tiny_library();
    library.fused_experts = {{DType::bf16, tiny_habits()}};
    return library;
}

// Two ranks that send 160 kB there and 240 kB back, half of it to each other: 0.8 us and 1.2 us of
// a port. Sixteen tiles of 500 ns on four cores: 2 us.
Program two_ranks() {
    Program program;
    program.classes = {{"ranks", 2}};
    program.streams = {{"stream", 1.0}};
    program.operators = {{"expert_up", Gemm{16, 16, 64, 16}}};
    program.transfers = {collective(TransferType::dispatch, 2, 1.6e5),
                         collective(TransferType::combine, 2, 2.4e5)};
    program.fused = {{"fused_experts", 0, 1, {{{0}, false, 0, 0}}, {0}}};
    Task task;
    task.kind = TaskKind::fused;
    program.tasks = {task};
    return program;
}

struct Ran {
    ProgramCosts costs;
    RunRecord record;
};

Ran run(const Program& program, const RankHardware& hardware,
        const KernelLibrarySpec& library = fused_library(), Fidelity fidelity = Fidelity::tile) {
    CostCache cache(hardware, library, fidelity, false);
    Ran ran;
    ran.costs = cost_program(program, cache, plain_fabric(), plain_library(), 8);
    ran.record = run_program(program, ran.costs, hardware, Driver::plain);
    return ran;
}

double microseconds_of(Picoseconds time) {
    return to_seconds(time).value() * 1e6;
}

// Sixteen chunks: the first arrives after 0.05 us, the last leaves in 0.075. Of the ports' 2 us
// 15/16 are left for the time between, 1.875, beside 2 us of the cores: with p = 2 their square
// sum.
TEST(FusedExchange, TimeByHand) {
    const RankHardware hardware = without_memory(tiny_chip());
    const Ran fast = run(two_ranks(), hardware);
    // Launch 2 us; latencies twice 20 us of software and 1 us of wire.
    const double body = std::sqrt(2.0 * 2.0 + 1.875 * 1.875);
    EXPECT_NEAR(microseconds_of(fast.record.end), 2 + 42 + 0.125 + body, 1e-5);
    const TaskRecord& task = fast.record.tasks.front();
    EXPECT_EQ(microseconds_of(task.launch), 2);
    EXPECT_EQ(microseconds_of(task.latency), 42);
    // The roofline's level knows no chunks: the busier of 2 us and 2 us.
    const Ran low = run(two_ranks(), hardware, fused_library(), Fidelity::analytic);
    EXPECT_LE(low.record.end, fast.record.end);
    EXPECT_NEAR(microseconds_of(low.record.end), 2 + 42 + 2, 1e-5);
}

TEST(FusedExchange, OneChunkDoesNothingAtATime) {
    Program program = two_ranks();
    program.operators.front().body = Gemm{16, 16, 64, 1};
    const Ran serial = run(program, without_memory(tiny_chip()));
    EXPECT_NEAR(microseconds_of(serial.record.end), 2 + 42 + 0.8 + 0.5 + 1.2, 1e-5);
}

TEST(FusedExchange, TheSumOfResultsComesLast) {
    Program program = two_ranks();
    // 10,240 B take 1.2 us at the memory's attained rate, when nothing else asks for it.
    program.operators.push_back({"combine_sum", VectorWork{"sum", 1, 0, 5120, 5120}});
    program.fused.front().parts.front().operators = {0, 1};
    program.fused.front().parts.front().closes = true;
    const Ran with = run(program, tiny_chip()), without = run(two_ranks(), tiny_chip());
    EXPECT_NEAR(microseconds_of(with.record.end - without.record.end), 1.2, 1e-5);
    EXPECT_NEAR(with.costs.fused.front().parts.front().closing.value(), 1.2e-6, 1e-15);
}

TEST(FusedExchange, WhatItMovesIsWhatItsPartsMove) {
    const Ran one = run(two_ranks(), tiny_chip());
    double matrix = 0, hbm = 0, sent = 0, received = 0;
    for (const UsageSegment& segment : one.record.usage.front()) {
        matrix += segment.matrix_seconds;
        hbm += segment.hbm_bytes;
        sent += segment.port_bytes[0];
        received += segment.port_bytes[1];
    }
    EXPECT_NEAR(matrix, 16.0 * 32768 / (4 * tiny_core_peak), 1e-12);
    // Products of 4,608 B each; 80 kB of tokens are read for the other rank, as many land here.
    EXPECT_NEAR(hbm, 16 * 4608 + 2 * 8e4, 1e-3);
    EXPECT_NEAR(sent, 8e4 + 1.2e5, 1e-3);
    EXPECT_NEAR(received, 8e4 + 1.2e5, 1e-3);
}

// The busiest rank has twelve of sixteen groups; the other waits for it and ends with it.
TEST(FusedExchange, EveryoneWaitsForTheBusiest) {
    Program program = two_ranks();
    program.classes = {{"busiest", 1}, {"other", 1}};
    program.operators = {{"expert_up", Gemm{16, 16, 64, 12}}, {"expert_up", Gemm{16, 16, 64, 4}}};
    program.transfers[0].shares = {{1, Bytes(1.6e5), Bytes(2.4e5)},
                                   {1, Bytes(1.6e5), Bytes(0.8e5)}};
    program.transfers[1].shares = {{1, Bytes(3.6e5), Bytes(2.4e5)},
                                   {1, Bytes(1.2e5), Bytes(2.4e5)}};
    program.fused = {{"fused_experts", 0, 1, {{{0}, false, 0, 0}, {{1}, false, 0, 0}}, {0, 1}}};
    program.tasks.push_back(program.tasks.front());
    program.tasks.back().rank_class = 1;
    const Ran both = run(program, tiny_chip());
    EXPECT_EQ(both.record.tasks[0].end, both.record.tasks[1].end);
    EXPECT_EQ(both.record.tasks[0].start, both.record.tasks[1].start);
    // A part that nobody names, or that names another's task.
    program.fused.front().tasks = {0, 0};
    EXPECT_THROW(require_valid(program), std::invalid_argument);
    program.fused.front().tasks = {0};
    EXPECT_THROW(require_valid(program), std::invalid_argument);
}

MoeLayer small_layer() {
    MoeLayer layer;
    layer.form = {64, 128, 64, 16, 4, 4, 128, Popularity::balanced, 0, ExpertPlacement::contiguous};
    layer.dtypes = {{"weights", DType::fp8}};
    return layer;
}

// 64 tokens of 4 copies over 4 ranks: 64 rows each on 4 experts of 3 x 128 x 64 B. A row is 128 B
// in, 64 out and in again, 256 out. A token with its scale is 132 B there, 256 B back.
TEST(ExpertExchange, BytesByHand) {
    const ExchangeBytes bytes = exchange_bytes(small_layer());
    EXPECT_DOUBLE_EQ(bytes.experts.value(), 4 * 3 * 128 * 64 + 64 * (128 + 2 * 64 + 256));
    EXPECT_DOUBLE_EQ(bytes.links.value(), 64 * (132 + 256));
}

TEST(ExpertExchange, FusedAndSeparateDoTheSame) {
    const Program fused = exchange_program(small_layer(), ExpertExchange::fused);
    const Program separate = exchange_program(small_layer(), ExpertExchange::all_to_all);
    require_valid(fused);
    require_valid(separate);
    EXPECT_EQ(fused.tasks.size(), 1u);
    EXPECT_EQ(total_work(fused), total_work(separate));
    EXPECT_EQ(fused.transfers, separate.transfers);
    // Gate and up in BF16, 64 rows of 128, are written and read again when they are kernels apart.
    EXPECT_DOUBLE_EQ(fused.fused.front().parts.front().on_chip, 2 * 64 * 128 * 2);
}

TEST(ExpertExchange, TheBusiestRankIsAClassOfItsOwn) {
    MoeLayer layer = small_layer();
    layer.form.popularity = Popularity::uniform;
    const Program program = exchange_program(layer, ExpertExchange::fused);
    require_valid(program);
    ASSERT_EQ(program.classes.size(), 2u);
    EXPECT_EQ(program.classes[0].count + program.classes[1].count, 4);
    // Copies of a token reach an expert with the chance of one in four: the deviation of 64 draws.
    EXPECT_NEAR(program.fused.front().parts.front().row_deviation, std::sqrt(64 * 0.25 * 0.75),
                1e-12);
    layer.form.tokens = 63;
    EXPECT_THROW(exchange_program(layer, ExpertExchange::fused), std::invalid_argument);
}

constexpr const char* kLayer = R"(
experiment: an expert layer
workload:
  kind: operator
  operator: {type: moe, tokens: 4096, hidden: 4096, inter: 2048, experts: 256, top_k: 6, ranks: 8,
             popularity: uniform, scale_block: 128, dtypes: {weights: fp4, activations: fp8}}
alternatives:
  - {name: one, system: dgx-b200, chips: 8, collectives: deepgemm-mega, experts: {exchange: fused}}
)";

double value_of(const AlternativeResult& result, const char* name) {
    for (const auto& metric : result.metrics) {
        if (metric.name == name) return metric.value;
    }
    ADD_FAILURE() << "no " << name;
    return 0;
}

// 512 tokens a rank of 6 copies, 3,072 rows of 6 x 4096 x 2048 FLOP; 32 experts of 12.58 MB.
TEST(ExpertExchange, AnExperimentOfOneFusedLayer) {
    const Audited audited = audited_run(kLayer);
    EXPECT_EQ(audited.broken(), Laws{});
    const AlternativeResult& result = audited.result;
    ASSERT_EQ(result.operators.size(), 2u);  // of the busiest rank, and of the others
    EXPECT_EQ(result.operators.front().kind, "fused_exchange");
    const double seconds = value_of(result, "operator_time") * 1e-6;
    const double rows = 3072, flops = rows * 6 * 4096 * 2048;
    EXPECT_NEAR(value_of(result, "achieved_flops") * 1e12 * seconds, flops, 0.01 * flops);
    // Without the sum of six results a token, which takes 4.5 us at 6.5 TB/s.
    const double span = seconds - 512 * 4096 * 2 * 7 / 6.5e12;
    const double weights = 32 * 3.0 * 4096 * 2048 / 2, row = 4096 + 2 * 2048 + 2 * 4096;
    EXPECT_NEAR(value_of(result, "expert_bandwidth") * 1e9 * span, weights + rows * row, 1e6);
    EXPECT_NEAR(value_of(result, "logical_link_bandwidth") * 1e9 * span,
                rows * (3 * 4096 + 4 * 4096 / 128), 1e5);
    // Seven eighths of it leave the rank.
    EXPECT_NEAR(value_of(result, "link_bandwidth") * 1e9 * seconds,
                rows * (3 * 4096 + 4 * 4096 / 128) * 7 / 8, 1e5);
}

TEST(ExpertExchange, TheAuditCountsTokensAndTheirWay) {
    const Audited sound = audited_run(kLayer);
    Audited other = sound;
    other.configuration["experiment"]["workload"]["operator"]["tokens"] = 8192;
    EXPECT_THAT(other.broken(), ::testing::IsSupersetOf({kWork, kExchange}));
    Audited dropped = sound;
    dropped.result.totals.sent_bytes *= 0.5;
    dropped.result.totals.received_bytes *= 0.5;
    EXPECT_THAT(dropped.broken(), ::testing::Contains(kExchange));
}

TEST(ExpertExchange, FusingIsFaster) {
    Node both = parse_yaml(kLayer, "layer.yaml");
    const double fused = value_of(audited_run(kLayer).result, "operator_time");
    set_path(both, "alternatives.one.experts.exchange", "all_to_all", {"layer.yaml", 1, 1});
    set_path(both, "alternatives.one.collectives", "deepep-node-b200", {"layer.yaml", 1, 1});
    Catalog catalog(PODSIM_SOURCE_DIR "/configs");
    const Result separate = run_experiment(both, catalog, quick());
    EXPECT_GT(value_of(separate.alternatives.front(), "operator_time"), fused);
    EXPECT_EQ(separate.alternatives.front().audit.size(), audited_run(kLayer).result.audit.size());
}

TEST(ExpertExchange, WhatCannotBeExchangedIsRefused) {
    for (const auto& [path, value, said] :
         {std::tuple("alternatives.one.chips", "4",
                     "alternatives.one.chips: make 4 ranks, and 8 share the experts"),
          {"alternatives.one.experts", "{exchange: gather}",
           "alternatives.one.experts.exchange: gather is of whole steps alone"},
          {"alternatives.one.experts", "{exchange: fused, redundant: 8}",
           "alternatives.one.experts.redundant: says nothing"},
          {"alternatives.one.experts", "{redundant: 8}", "alternatives.one.experts: says nothing"},
          {"alternatives.one.kernels", "trtllm-h200",
           "trtllm-h200 has no kernel that fuses fp8 experts with their exchange"},
          {"workload.operator.tokens", "4095", "4095 tokens do not divide over 8 ranks"}}) {
        Node wrong = parse_yaml(kLayer, "layer.yaml");
        set_path(wrong, path, value, {"layer.yaml", 99, 1});
        EXPECT_THAT(problems_of(wrong), HasSubstr(said)) << path;
    }
    const Node step = with(test_experiment(), "alternatives.A.experts", "{exchange: fused}");
    EXPECT_THAT(problems_of(step),
                HasSubstr("alternatives.A.experts.exchange: fused is of one expert layer"));
}

}  // namespace
}  // namespace podsim
