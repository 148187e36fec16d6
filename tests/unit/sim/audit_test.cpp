// Each way of lying about a result breaks its law, and no other.
#include "sim/audit.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/unit/sim/audit_cases.hpp"

namespace podsim {
namespace {

// The same answer in 1/k of the time, told without a contradiction but for what is used.
void shorten(AlternativeResult& r, double k) {
    r.iteration_seconds /= k;
    for (auto& part : r.breakdown) part.seconds /= k;
    for (auto& row : r.operators) row.seconds_critical /= k;
    for (double* bound : {&r.bounds.roofline, &r.bounds.critical_path, &r.bounds.perfect_overlap,
                          &r.bounds.serial}) {
        *bound /= k;
    }
    const Laws rates = {"decode_tokens_per_second_per_chip", "tokens_per_second_per_user",
                        "achieved_flops", "achieved_bandwidth"};
    for (auto& metric : r.metrics) {
        const bool cost = metric.name.rfind("usd_per_million", 0) == 0 ||
                          metric.name.rfind("usd_per_eflop_hour_achieved", 0) == 0;
        const bool time = metric.name == "iteration_time" || metric.name == "time_per_output_token";
        if (cost || time) metric.value /= k;
        if (rates.count(metric.name) != 0) metric.value *= k;
    }
}

// Emitted tokens times k, in everything that follows from them.
void multiply_tokens(AlternativeResult& r, double k) {
    r.totals.tokens_out *= k;
    for (auto& metric : r.metrics) {
        if (metric.name == "decode_tokens_per_second_per_chip") metric.value *= k;
        if (metric.name.rfind("usd_per_million_output_tokens", 0) == 0) metric.value /= k;
        if (metric.name == "energy_per_token") metric.value /= k;
    }
}

void multiply_flops(AlternativeResult& r, double k) {
    r.totals.flops *= k;
    r.totals.matrix_flops *= k;
    for (auto& row : r.operators) row.flops_each *= k;
    for (auto& metric : r.metrics) {
        if (metric.name == "achieved_flops") metric.value *= k;
        if (metric.name.rfind("usd_per_eflop_hour_achieved", 0) == 0) metric.value /= k;
    }
}

TEST(Audit, SoundResultsPass) {
    EXPECT_EQ(hand_worked_step().broken(), Laws{});
    EXPECT_EQ(audited_cloudmatrix().broken(), Laws{});
    EXPECT_EQ(audit(hand_worked_step().result, "decode", hand_worked_configuration()).size(), 22u);
}

// Experts, tokens and sequences that do and do not divide, on three fabrics.
TEST(Audit, SoundResultsPassHoweverTheyAreLaidOut) {
    const char* const fp8 = "weights: fp8, experts: fp8, activations: fp8, dispatch: fp8";
    const char* const int8 = "weights: int8, experts: int8, activations: int8, kv_cache: int8";
    struct Layout {
        const char *system, *precision, *mapping, *experts;
        int chips, batch_per_rank, drafts;
    };
    for (const Layout& layout : {
             Layout{"cloudmatrix384", int8, "tensor_parallel: 4, micro_batches: 2", "redundant: 64",
                    160, 7, 3},
             Layout{"cloudmatrix384", int8, "expert_parallel: 64", "shared_ranks: 8, redundant: 24",
                    128, 5, 1},
             Layout{"cloudmatrix384", int8, "micro_batches: 2", "redundant: 32, shared_ranks: 32",
                    160, 2, 0},
             Layout{"h800-ib", fp8, "expert_parallel: 36", "redundant: 32", 72, 11, 2},
             Layout{"h800-ib", fp8, "tensor_parallel: 2, micro_batches: 2", "redundant: 32", 144,
                    13, 1},
             Layout{"custom-supernode", fp8, "expert_parallel: 16", "redundant: 16", 32, 24, 1},
             Layout{"custom-supernode", fp8, "tensor_parallel: 8", "redundant: 0", 256, 1, 2},
             Layout{"cloudmatrix384", int8, "micro_batches: 2",
                    "redundant: 32, shared_ranks: 32, popularity: uniform", 160, 24, 1},
             Layout{"h800-ib", fp8, "expert_parallel: 36",
                    "redundant: 32, popularity: zipf, zipf_exponent: 0.6, placement: contiguous",
                    72, 11, 2},
             Layout{"custom-supernode", fp8, "tensor_parallel: 2, expert_parallel: 16",
                    "popularity: zipf, zipf_exponent: 3", 32, 1, 0},
             Layout{"h800-ib", fp8, "expert_parallel: 16", "exchange: gather", 32, 7, 1},
             Layout{"cloudmatrix384", int8, "micro_batches: 2",
                    "exchange: gather, popularity: uniform", 16, 9, 0},
             Layout{"h800-ib", fp8, "tensor_parallel: 16, expert_parallel: 16",
                    "exchange: gather, popularity: uniform", 32, 1, 3},
             Layout{"custom-supernode", fp8, "tensor_parallel: 8, expert_parallel: 8",
                    "exchange: gather", 8, 1, 2},
         }) {
        const std::string experiment = fmt::format(
            "experiment: a layout\n"
            "workload: {{kind: decode, model: deepseek-r1, context: 1000 tokens, batch_per_rank: "
            "{}, "
            "speculation: {{draft_tokens: {}, acceptance: 0.6}}}}\n"
            "alternatives: [{{name: one, system: {}, chips: {}, precision: {{{}}}, mapping: "
            "{{{}}}, "
            "experts: {{{}}}}}]\n",
            layout.batch_per_rank, layout.drafts, layout.system, layout.chips, layout.precision,
            layout.mapping, layout.experts);
        EXPECT_EQ(audited_run(experiment).broken(), Laws{}) << experiment;
    }
}

// The audit counts the draft's work, weights and cache from its own config.
TEST(Audit, AModelThatDrafts) {
    for (const char* mapping : {"tensor_parallel: 4", "tensor_parallel: 2, pipeline_parallel: 2"}) {
        const Audited sound = audited_run(fmt::format(R"(
experiment: a model that drafts
workload:
  kind: decode
  model: llama-3.1-70b
  context: 4096 tokens
  batch_per_chip: 4
  speculation: {{draft_tokens: 3, acceptance_by_position: [0.8, 0.7, 0.5], draft_model: llama-3.1-8b, draft_weights: fp8}}
alternatives:
  - name: one
    system: custom-supernode
    chips: 4
    precision: {{weights: fp8, experts: fp8, activations: fp8}}
    mapping: {{{}}}
)",
                                                      mapping));
        EXPECT_EQ(sound.broken(), Laws{}) << mapping;
    }
}

// Twice the mean is possible on 32 ranks of 8 experts, 33 times is not, nor less than once.
TEST(Audit, BusiestRankBeyondItsSlots) {
    const Audited sound = audited_run(R"(
experiment: drawn experts
workload: {kind: decode, model: deepseek-r1, context: 4224 tokens, batch_per_chip: 32}
alternatives:
  - name: drawn
    system: cloudmatrix384
    chips: 16
    precision: {weights: int8, experts: int8, activations: int8, dispatch: int8}
    experts: {popularity: uniform}
)");
    EXPECT_EQ(sound.broken(), Laws{});
    for (const auto& [ratio, laws] :
         {std::pair(2.0, Laws{}), {33.0, Laws{kBusiest}}, {0.9, Laws{kBusiest}}}) {
        Audited tampered = sound;
        tampered.metric("expert_imbalance").value = ratio;
        EXPECT_EQ(tampered.broken(), laws) << ratio;
    }
    Audited forgotten = sound;
    forgotten.result.memory.pop_back();  // the other ranks
    EXPECT_EQ(forgotten.broken().count(kHolds), 1u);
}

TEST(Audit, ChipsCountedAsDies) {
    for (Audited audited : {hand_worked_step(), audited_cloudmatrix()}) {
        audited.result.packages *= 8;
        EXPECT_EQ(audited.broken(), Laws{kChips});
    }
    Audited dies = audited_cloudmatrix();
    dies.result.packages = dies.result.ranks;
    EXPECT_EQ(dies.broken(), Laws{kChips});
    Audited too_many = hand_worked_step();
    too_many.configuration["documents"]["system/toy-pod"]["chips"] = 1;
    EXPECT_EQ(too_many.broken(), Laws{kChips});
    Audited other_chip = audited_cloudmatrix();
    other_chip.result.chip = "h800";
    EXPECT_EQ(other_chip.broken(), Laws{kChips});
}

TEST(Audit, RateOfAnotherNumberOfChips) {
    for (Audited audited : {hand_worked_step(), audited_cloudmatrix()}) {
        audited.metric("decode_tokens_per_second_per_chip").value *= 8;
        EXPECT_EQ(audited.broken(), Laws{kRates});
    }
    Audited user = audited_cloudmatrix();
    user.metric("time_per_output_token").value /= 1.7;
    EXPECT_EQ(user.broken(), Laws{kRates});
    Audited unit = audited_cloudmatrix();
    unit.metric("iteration_time").unit = "us";
    EXPECT_EQ(unit.broken(), Laws{kRates});
}

TEST(Audit, DroppedPort) {
    for (Audited audited : {hand_worked_step(), audited_cloudmatrix()}) {
        ResourceUse& port = audited.resource("scale-up receive");
        port.amount = port.mean = port.peak = 0;
        for (double& window : port.windows) window = 0;
        EXPECT_EQ(audited.broken(), Laws{kConserved});
    }
    Audited lost = audited_cloudmatrix();
    lost.result.totals.received_bytes *= 0.999;
    EXPECT_EQ(lost.broken(), Laws{kConserved});
}

TEST(Audit, BytesThatNeverCrossedALink) {
    for (Audited audited : {hand_worked_step(), audited_cloudmatrix()}) {
        for (auto& use : audited.result.resources) {
            if (use.resource.rfind("scale-", 0) != 0) continue;
            use.amount /= 2;
            use.mean /= 2;
            use.peak /= 2;
            for (double& window : use.windows) window /= 2;
        }
        audited.result.totals.sent_bytes /= 2;
        audited.result.totals.received_bytes /= 2;
        EXPECT_EQ(audited.broken(), Laws{kExchange});
    }
}

TEST(Audit, FasterThanTheMatrixUnits) {
    // 88,320 FLOP at 4 x 100 GFLOPS are 0.2208 us: an efficiency of 110 %.
    Audited fast = hand_worked_step();
    shorten(fast.result, 5);
    for (auto& use : fast.result.resources) {
        if (use.resource != "matrix units") {
            use.mean *= 5;
            use.peak *= 5;
            for (double& window : use.windows) window *= 5;
        } else {
            use.amount /= 5;
        }
    }
    fast.metric("utilization_hbm").value *= 5;
    EXPECT_EQ(fast.broken(), (Laws{kFlopBound, kPeak}));  // 225 of 120 GFLOPS a chip
    // Half of the work done in no time of the matrix units.
    Audited idle = hand_worked_step();
    ResourceUse& units = idle.resource("matrix units");
    units.amount /= 4;
    units.mean /= 4;
    units.peak /= 4;
    for (double& window : units.windows) window /= 4;
    EXPECT_EQ(idle.broken(), Laws{kFlopBound});
}

TEST(Audit, FasterThanTheDataSheet) {
    Audited audited = audited_cloudmatrix();
    const auto& totals = audited.result.totals;
    const double took = audited.result.iteration_seconds;
    const double flop_bound = totals.matrix_flops / (160 * 1415.6e12);
    const double memory_bound = totals.hbm_bytes / (160 * 3.2e12);
    ASSERT_LT(std::max(flop_bound, memory_bound), took);
    shorten(audited.result, took / (0.99 * std::min(flop_bound, memory_bound)));
    const Laws broken = audited.broken();
    EXPECT_TRUE(broken.count(kFlopBound) == 1 && broken.count(kMemoryBound) == 1 &&
                broken.count(kUse) == 1)
        << testing::PrintToString(broken);
    EXPECT_EQ(broken.count(kRates) + broken.count(kPath) + broken.count(kPrices) +
                  broken.count(kBreakdown) + broken.count(kTokens),
              0u);
}

TEST(Audit, FasterThanMemoryAndPorts) {
    Audited memory = hand_worked_step();  // 1e6 bytes a rank at 1 TB/s are 1 us
    memory.result.totals.hbm_bytes = 4.04e6;
    memory.metric("achieved_bandwidth").value = 4.04e6 / 1e-6 / 2 / 1e9;
    ResourceUse& hbm = memory.resource("HBM");
    hbm.amount = 1.01e6;
    hbm.mean = hbm.peak = 1.01;
    hbm.windows = {1.01, 1.01};
    EXPECT_EQ(memory.broken(), (Laws{kMemoryBound, kUse}));

    Audited port = hand_worked_step();  // 12.5 kB a rank at 12.5 GB/s are 1 us
    for (const char* name : {"scale-out send", "scale-out receive"}) {
        ResourceUse& use = port.resource(name);
        use.amount = 13000;
        use.mean = use.peak = 1.04;
        use.windows = {1.04, 1.04};
    }
    port.result.totals.sent_bytes = port.result.totals.received_bytes = 4 * 13100;
    EXPECT_EQ(port.broken(), (Laws{kPortBound, kUse}));
}

TEST(Audit, FasterThanTheScaleOutNetworkCanCarryTheExperts) {
    // 1024 bytes leave their domain over two chips' ports; at 400 MB/s in all they take 2.56 us.
    Audited slow = hand_worked_step();
    slow.configuration["documents"]["system/toy-pod"]["scale_out"]["bandwidth"] = "200 MB/s";
    for (const char* name : {"scale-out send", "scale-out receive"}) {
        ResourceUse& use = slow.resource(name);
        use.amount = use.mean = use.peak = 0;
        use.capacity = 0.1e9;
        use.windows = {0, 0};
        ResourceUse& up = slow.resource(name == std::string("scale-out send") ? "scale-up send"
                                                                              : "scale-up receive");
        up = slow.result.resources[0];
        up.resource = name == std::string("scale-out send") ? "scale-up send" : "scale-up receive";
        up.capacity = 37.5e9;
        up.amount = 400;
        up.mean = up.peak = 400 / 37.5e3;
        up.windows = {up.mean, up.mean};
    }
    EXPECT_EQ(slow.broken(), Laws{kExchange});
}

TEST(Audit, FasterThanTheCriticalPathOrSlowerThanSerial) {
    for (Audited audited : {hand_worked_step(), audited_cloudmatrix()}) {
        Bounds& bounds = audited.result.bounds;
        const Bounds sound = bounds;
        bounds.critical_path = 1.001 * audited.result.iteration_seconds;
        EXPECT_EQ(audited.broken(), Laws{kPath});
        bounds = sound;
        bounds.roofline = 1.001 * audited.result.iteration_seconds;
        EXPECT_EQ(audited.broken(), Laws{kPath});
        bounds = sound;
        bounds.serial = 0.999 * audited.result.iteration_seconds;
        EXPECT_EQ(audited.broken(), Laws{kPath});
    }
}

TEST(Audit, TokensFromNowhere) {
    for (Audited audited : {hand_worked_step(), audited_cloudmatrix()}) {
        Audited in = audited;
        multiply_tokens(audited.result, 2);
        EXPECT_EQ(audited.broken(), Laws{kTokens});
        in.result.totals.tokens_in *= 2;
        EXPECT_EQ(in.broken(), Laws{kTokens});
    }
}

TEST(Audit, BreakdownWithAHole) {
    for (Audited audited : {hand_worked_step(), audited_cloudmatrix()}) {
        audited.result.breakdown.pop_back();
        EXPECT_EQ(audited.broken(), Laws{kBreakdown});
    }
    Audited shares = hand_worked_step();
    shares.result.breakdown[0].share = 0.4;
    shares.result.breakdown[1].share = 0.6;
    EXPECT_EQ(shares.broken(), Laws{kBreakdown});
    Audited negative = hand_worked_step();
    negative.result.breakdown = {{"attention", 1.1e-6, 1.1}, {"host", -0.1e-6, -0.1}};
    EXPECT_EQ(negative.broken(), Laws{kBreakdown});
    Audited row = audited_cloudmatrix();
    for (auto& one : row.result.operators) one.seconds_critical *= 0.99;
    EXPECT_EQ(row.broken(), Laws{kBreakdown});
}

TEST(Audit, WindowAboveItsCapacity) {
    Audited full = audited_cloudmatrix();
    ResourceUse& units = full.resource("matrix units");
    // What one window has too much the others lack: the mean does not show it.
    const double sum = units.mean * static_cast<double>(units.windows.size());
    const double others = (sum - 1.2) / (sum - units.windows[10]);
    ASSERT_GT(others, 0);
    for (double& share : units.windows) share *= others;
    units.windows[10] = units.peak = 1.2;
    EXPECT_EQ(full.broken(), Laws{kUse});
    Audited peak = audited_cloudmatrix();
    peak.resource("HBM").peak = 1.2;
    EXPECT_EQ(peak.broken(), Laws{kUse});
    Audited sheet = audited_cloudmatrix();  // a die with the whole package's memory
    ResourceUse& hbm = sheet.resource("HBM");
    hbm.capacity *= 2;
    hbm.mean /= 2;
    hbm.peak /= 2;
    for (double& window : hbm.windows) window /= 2;
    EXPECT_EQ(sheet.broken(), Laws{kUse});
    Audited metric = hand_worked_step();
    metric.metric("utilization_hbm").value = 1.2;
    EXPECT_EQ(metric.broken(), Laws{kUse});
}

TEST(Audit, MemoryThatDoesNotFit) {
    for (Audited audited : {hand_worked_step(), audited_cloudmatrix()}) {
        MemoryUse& use = audited.result.memory.front();
        const double more = 1.01 * use.capacity - use.total;
        use.parts.front().bytes += more;
        use.total += more;
        EXPECT_EQ(audited.broken(), Laws{kMemory});
        use.capacity *= 2;  // of the package, not of the die
        EXPECT_EQ(audited.broken(), Laws{kMemory});
    }
    Audited part = audited_cloudmatrix();
    part.result.memory.back().parts.pop_back();
    EXPECT_EQ(part.broken(), Laws{kMemory});
    Audited none = audited_cloudmatrix();
    none.result.memory.clear();
    EXPECT_EQ(none.broken().count(kMemory), 1u);
}

// Changed parts are told without a contradiction: the total follows.
void multiply_part(AlternativeResult& r, const std::string& name, double k) {
    for (MemoryUse& use : r.memory) {
        for (MemoryPart& part : use.parts) {
            if (part.part != name) continue;
            use.total += (k - 1) * part.bytes;
            part.bytes *= k;
        }
    }
}

TEST(Audit, MemoryOfAnotherModel) {
    for (const Audited& sound : {hand_worked_step(), audited_cloudmatrix()}) {
        for (const double k : {8.0, 1.001, 0.999, 0.0}) {
            Audited cache = sound;
            multiply_part(cache.result, "KV cache", k);
            const Laws broken = cache.broken();
            EXPECT_EQ(broken.count(kHolds), 1u) << k;
            if (k < 8) {
                EXPECT_EQ(broken, Laws{kHolds}) << k;
            }
        }
        for (const char* part : {"attention weights", "dense FFN weights", "embedding and head",
                                 "routed experts", "shared expert", "router"}) {
            Audited less = sound;
            multiply_part(less.result, part, 0.9);
            EXPECT_EQ(less.broken(), Laws{kHolds}) << part;
        }
    }
    // Eight times the toy's 1152 bytes leave room: capacity alone does not see it.
    Audited roomy = hand_worked_step();
    multiply_part(roomy.result, "runtime reserve", 0.1);
    multiply_part(roomy.result, "KV cache", 8);
    EXPECT_EQ(roomy.broken(), Laws{kHolds});
    Audited classes = audited_cloudmatrix();
    std::swap(classes.result.memory[0].ranks, classes.result.memory[1].ranks);
    EXPECT_EQ(classes.broken().count(kHolds), 1u);
}

TEST(Audit, LatencyTargetMissed) {
    // 1 us a step of 1.5 tokens: 0.667 us a token.
    Audited kept = hand_worked_step();
    auto& experiment = kept.configuration["experiment"];
    experiment["workload"].erase("batch_per_chip");
    experiment["workload"]["latency_target"] = "0.667 us";
    EXPECT_EQ(kept.broken(), Laws{});
    experiment["workload"]["latency_target"] = "0.666 us";
    EXPECT_EQ(kept.broken(), Laws{kTarget});
    // The alternative's own target comes first.
    experiment["alternatives"][1]["latency_target"] = "1 us";
    EXPECT_EQ(kept.broken(), Laws{});
    experiment["alternatives"][1]["latency_target"] = "0.1 us";
    EXPECT_EQ(kept.broken(), Laws{kTarget});
}

TEST(Audit, MoreThanThePeak) {
    // 45 GFLOPS a chip; at a peak of 40 GFLOPS as sold and by its matrix units, the rest in order.
    Audited chip = hand_worked_step();
    auto& sheet = chip.configuration["documents"]["chip/toy-chip"];
    sheet["peak_published"]["bf16"] = "40 GFLOPS";
    const auto dearer = [&](double factor) {
        for (const char* suffix : {"", "_owned"})
            chip.metric(std::string("usd_per_eflop_hour_peak") + suffix).value *= factor;
    };
    // The sheet of what it was: its matrix units do 100, and prices go by them.
    dearer(1.2);
    EXPECT_EQ(chip.broken(), Laws{});
    dearer(2.5);
    EXPECT_EQ(chip.broken(), (Laws{kPeak, kPrices}));
    sheet["peak_matrix"]["bf16"] = "40 GFLOPS";
    EXPECT_EQ(chip.broken(), (Laws{kPeak, kFlopBound}));
    // A figure that says more than the peak of 120 GFLOPS.
    Audited figure = hand_worked_step();
    figure.metric("achieved_flops").value = 0.121;
    EXPECT_EQ(figure.broken(), (Laws{kPeak, kRates}));
    Audited price = hand_worked_step();
    price.metric("usd_per_eflop_hour_achieved_owned").value =
        0.99 * price.metric("usd_per_eflop_hour_peak_owned").value;
    EXPECT_EQ(price.broken(), (Laws{kPeak, kPrices}));
}

TEST(Audit, WorkAtTheRateOfAnotherFormat) {
    // In 0.3 us at 2 x 200 GFLOPS of INT8 the work of 88,320 FLOP would fit; in BF16 it takes
    // 0.44 us.
    Audited fast = hand_worked_step();
    shorten(fast.result, 1 / 0.3);
    for (auto& use : fast.result.resources) {
        if (use.resource == "matrix units") {
            use.amount = 0.25e-6;
            use.mean = use.peak = 0.25 / 0.3;
            use.windows = {use.mean, use.mean};
            continue;
        }
        use.mean /= 0.3;
        use.peak /= 0.3;
        for (double& window : use.windows) window /= 0.3;
    }
    for (const char* format : {"weights", "experts", "activations", "attention"}) {
        EXPECT_TRUE(fast.broken().count(kFlopBound) == 1) << format;
        fast.configuration["experiment"]["alternatives"][1]["precision"][format] = "int8";
    }
    // All but router, head and draft projection at twice the rate. A sequence: 5520 - 4 x 32 -
    // 3 x 80 - 2 x 128 = 4896 in INT8, 624 in BF16: 8 x 2 x (4896 / 400 + 624 / 200) ns = 0.246 us.
    EXPECT_EQ(fast.broken().count(kFlopBound), 0u);
    // 0.3 us of the INT8 product's time are not enough where its weights stay in BF16.
    fast.configuration["experiment"]["alternatives"][1]["precision"]["weights"] = "bf16";
    EXPECT_EQ(fast.broken().count(kFlopBound), 1u);
}

TEST(Audit, WorkLeftUndone) {
    for (Audited audited : {hand_worked_step(), audited_cloudmatrix()}) {
        audited.result.totals.unfinished = 1;
        EXPECT_EQ(audited.broken(), Laws{kFinished});
        audited.result.totals.unfinished = 0;
        audited.result.totals.tasks = 0;
        EXPECT_EQ(audited.broken(), Laws{kFinished});
    }
}

TEST(Audit, ProvenanceThatDoesNotAddUp) {
    for (Audited audited : {hand_worked_step(), audited_cloudmatrix()}) {
        Audited without = audited;
        audited.result.metrics.back().rests_on.shares.begin()->second += 0.01;
        EXPECT_EQ(audited.broken(), Laws{kProvenance});
        without.result.metrics.front().rests_on.shares.clear();
        EXPECT_EQ(without.broken(), Laws{kProvenance});
    }
}

TEST(Audit, LayerLeftOut) {
    Audited dropped = audited_cloudmatrix();
    multiply_flops(dropped.result, 60.0 / 61.0);
    EXPECT_EQ(dropped.broken(), Laws{kWork});
    Audited twice = audited_cloudmatrix();
    multiply_flops(twice.result, 62.0 / 61.0);
    EXPECT_EQ(twice.broken(), Laws{kWork});
    Audited row = audited_cloudmatrix();
    auto& rows = row.result.operators;
    std::max_element(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
        return a.flops_each < b.flops_each;
    })->count -= 1;
    EXPECT_EQ(row.broken(), Laws{kWork});
    Audited exact = hand_worked_step();  // nothing is rounded: one FLOP less is seen
    exact.result.totals.matrix_flops -= 1;
    EXPECT_EQ(exact.broken(), Laws{kWork});
}

TEST(Audit, WeightsThatWereNeverRead) {
    for (Audited audited : {hand_worked_step(), audited_cloudmatrix()}) {
        audited.result.totals.hbm_bytes /= 8;
        audited.metric("achieved_bandwidth").value /= 8;
        for (auto& use : audited.result.resources) {
            if (use.resource != "HBM") continue;
            use.amount /= 8;
            use.mean /= 8;
            use.peak /= 8;
            for (double& window : use.windows) window /= 8;
        }
        EXPECT_EQ(audited.broken(), Laws{kTraffic});
    }
}

TEST(Audit, PriceThatSlipped) {
    for (Audited audited : {hand_worked_step(), audited_cloudmatrix()}) {
        for (const char* name : {"usd_per_million_output_tokens", "usd_per_eflop_hour_achieved",
                                 "usd_per_eflop_hour_peak", "usd_per_hour_per_chip_owned"}) {
            Audited slipped = audited;
            // What costs more at peak than in use breaks another law, too.
            const bool at_peak = std::string(name) == "usd_per_eflop_hour_peak";
            slipped.metric(name).value *= at_peak ? 0.001 : 1000;
            EXPECT_EQ(slipped.broken(), Laws{kPrices}) << name;
        }
        audited.result.cost.back().parts.pop_back();
        EXPECT_EQ(audited.broken(), Laws{kPrices});
    }
}

TEST(Audit, SequencesThatAreNotTheBatch) {
    // One more on every chip, in all that follows from it but the work.
    Audited more = audited_cloudmatrix();
    auto& totals = more.result.totals;
    const double k = (totals.sequences + 160) / totals.sequences;
    totals.sequences *= k;
    totals.tokens_in *= k;
    multiply_tokens(more.result, k);
    EXPECT_EQ(more.broken(), (Laws{kBatch, kWork, kFlopBound, kHolds}));

    Audited asked = hand_worked_step();
    asked.configuration["experiment"]["workload"]["batch_per_chip"] = 5;
    EXPECT_EQ(asked.broken(), Laws{kBatch});
    // The alternative's own batch comes first.
    asked.configuration["experiment"]["alternatives"][1]["batch_per_rank"] = 2;
    EXPECT_EQ(asked.broken(), Laws{});
    asked.configuration["experiment"]["alternatives"][1]["batch_per_rank"] = 3;
    EXPECT_EQ(asked.broken(), Laws{kBatch});
}

TEST(Audit, NumbersThatAreNone) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    Audited time = audited_cloudmatrix();
    time.result.iteration_seconds = nan;
    EXPECT_THAT(time.broken(), testing::IsSupersetOf({kFlopBound, kPath, kBreakdown, kRates}));
    Audited zero = hand_worked_step();
    zero.result.iteration_seconds = 0;
    EXPECT_THAT(zero.broken(), testing::IsSupersetOf({kFlopBound, kPath, kBreakdown}));
    Audited window = hand_worked_step();
    window.resource("HBM").windows.back() = nan;
    EXPECT_EQ(window.broken(), Laws{kUse});
    Audited work = hand_worked_step();
    work.result.totals.matrix_flops = nan;
    EXPECT_EQ(work.broken(), (Laws{kFlopBound, kWork}));
    Audited empty = hand_worked_step();
    empty.result = {};
    empty.result.name = "toy";
    EXPECT_THAT(empty.broken(), testing::IsSupersetOf({kFinished, kChips, kBreakdown, kProvenance,
                                                       kBatch, kRates, kMemory}));
}

}  // namespace
}  // namespace podsim
