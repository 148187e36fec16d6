#include "sim/audit.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <regex>
#include <set>

#include "sim/audit_closed_form.hpp"
#include "sim/experiment.hpp"

namespace podsim {
namespace {

using Json = nlohmann::ordered_json;
using Laws = std::set<std::string>;

const char* const kConfiguration = "the configuration says what was run";
const char* const kFinished = "all work finished";
const char* const kChips = "chips counted as packages";
const char* const kFlopBound = "not faster than its FLOPs at the matrix peak";
const char* const kMemoryBound = "not faster than its bytes at the HBM bandwidth";
const char* const kPortBound = "not faster than its bytes at the port rate";
const char* const kPath = "not faster than its critical path, not slower than serial";
const char* const kUse = "no resource above 100 % in any window";
const char* const kPorts = "bytes sent = bytes received";
const char* const kBreakdown = "the breakdown sums to the whole";
const char* const kProvenance = "provenance shares sum to one";
const char* const kBatch = "sequences = batch x chips";
const char* const kTokens = "tokens in = tokens out";
const char* const kRates = "rates follow from tokens, time and chips";
const char* const kMemory = "memory fits";
const char* const kWork = "FLOPs executed = FLOPs of the graph";
const char* const kTraffic = "memory carries weights and cache";
const char* const kExchange = "links carry what the experts exchange";
const char* const kPrices = "prices follow from rates";

// What one alternative is audited from.
struct Audited {
    AlternativeResult result;
    std::string kind;
    Json configuration;

    Laws broken() const {
        Laws laws;
        for (const auto& finding : audit(result, kind, configuration)) {
            EXPECT_FALSE(finding.detail.empty()) << finding.law;
            if (!finding.passed) laws.insert(finding.law);
        }
        return laws;
    }
    Metric& metric(const std::string& name) {
        for (auto& metric : result.metrics) {
            if (metric.name == name) return metric;
        }
        throw std::out_of_range(name);
    }
    ResourceUse& resource(const std::string& name) {
        for (auto& use : result.resources) {
            if (use.resource == name) return use;
        }
        throw std::out_of_range(name);
    }
};

// A hand-worked step: 2 chips of 2 ranks, 8 sequences with a draft token each.
//
//   attention per token: linear 80 + 32 + 32 + 32, core 2 heads x 16 x (2 x 4 + 2) = 320: 496
//   dense 3 x 8 x 16 = 384; MoE 32 + 2 x 96 + 96 = 320; head 80; draft projection 128
//   a sequence: 2 (496 + 384) + 2 (496 + 320) + 2 x 80 + [2 (128 + 816) + 80] = 5520
//   in all 2 FLOP x 8 x 5520 = 88,320
Json toy_configuration() {
    return Json::parse(R"({
      "experiment": {
        "workload": {"kind": "decode", "model": "toy-model", "context": "16 tokens",
                     "batch_per_chip": 4,
                     "speculation": {"draft_tokens": 1, "acceptance": "50 %"}},
        "alternatives": [{"name": "other"},
                         {"name": "toy", "system": "toy-pod", "chips": 2, "mapping": {}}]},
      "documents": {
        "chip/toy-chip": {
          "ranks": 2,
          "hbm": {"capacity": {"value": "32 kB", "source": "made up"}, "bandwidth": "2 TB/s"},
          "peak_matrix": {"bf16": "100 GFLOPS", "int8": {"value": "200 GFLOPS"}},
          "peak_published": {"bf16": "120 GFLOPS"}},
        "system/toy-pod": {
          "chip": "toy-chip", "chips": 8,
          "scale_up": {"bandwidth": "100 GB/s", "domain": 1, "planes": 4, "planes_down": 1},
          "scale_out": {"bandwidth": "200 Gb/s", "domain": 1000}},
        "model/toy-model": {
          "model_type": "deepseek_v3", "num_hidden_layers": 2, "first_k_dense_replace": 1,
          "hidden_size": 8, "vocab_size": 10, "num_attention_heads": 2, "q_lora_rank": 4,
          "kv_lora_rank": 4, "qk_nope_head_dim": 2, "qk_rope_head_dim": 2, "v_head_dim": 2,
          "intermediate_size": 16, "moe_intermediate_size": 4, "n_routed_experts": 4,
          "n_shared_experts": 1, "num_experts_per_tok": 2}}})");
}

// 1 us a step, 12 tokens emitted: 6e6 tok/s a chip; 3.6 USD/h are 0.001 USD/s.
Audited toy() {
    Audited toy;
    toy.kind = "decode";
    toy.configuration = toy_configuration();
    AlternativeResult& r = toy.result;
    r.name = "toy";
    r.chip = "toy-chip";
    r.system = "toy-pod";
    r.packages = 2;
    r.ranks = 4;
    r.ranks_per_chip = 2;
    r.iteration_seconds = 1e-6;
    r.totals = {90000, 88320, 20000, 1600, 1600, 16, 12, 8, 10, 0};
    r.bounds = {0.45e-6, 0.9e-6, 0.8e-6, 1.5e-6};
    r.breakdown = {{"attention", 0.6e-6, 0.6}, {"host", 0.4e-6, 0.4}};
    r.memory = {{"ranks", 4, {{"weights", 12000}, {"cache", 3000}}, 15000, 16000}};
    const auto use = [&](const char* name, double amount, double capacity) {
        const double mean = amount / (capacity * 1e-6);
        r.resources.push_back(
            {name, "ranks", mean, 1.5 * mean, amount, "", capacity, {0.5 * mean, 1.5 * mean}});
    };
    use("matrix units", 88320 / 4 / 50e9, 1);  // 0.44 us at the rank's BF16 peak
    use("HBM", 5000, 1e12);
    use("scale-up send", 100, 37.5e9);
    use("scale-up receive", 100, 37.5e9);
    use("scale-out send", 300, 12.5e9);
    use("scale-out receive", 300, 12.5e9);
    OperatorRow attention, host;
    attention.rank_class = host.rank_class = "ranks";
    attention.count = 2;
    attention.flops_each = 11250;  // 2 x 11,250 on 4 ranks: 90,000
    attention.seconds_critical = 0.6e-6;
    host.seconds_critical = 0.4e-6;
    r.operators = {attention, host};
    const Provenance basis{{{"measured", 0.75}, {"assumed", 0.25}}, 0.05};
    const auto add = [&](const char* name, double value, const char* unit) {
        r.metrics.push_back({name, value, unit, {}, {}, basis});
    };
    add("iteration_time", 1e-3, "ms");
    add("decode_tokens_per_second_per_chip", 6e6, "tok/s");
    add("time_per_output_token", 1e-3 / 1.5, "ms");
    add("tokens_per_second_per_user", 1.5e6, "tok/s");
    add("achieved_flops", 90000 / 1e-6 / 2 / 1e12, "TFLOPS");
    add("achieved_bandwidth", 20000 / 1e-6 / 2 / 1e9, "GB/s");
    add("utilization_hbm", 0.005, "share");
    r.cost = {{"rental", 3.6, "vendor", "made up", {{"rental", 3.6}}},
              {"owned", 1.8, "estimate", "made up", {{"chip", 1.0}, {"power", 0.8}}}};
    add("usd_per_hour_per_chip", 3.6, "USD/h");
    add("usd_per_million_output_tokens", 0.001 / 6e6 * 1e6, "USD/Mtok");
    add("usd_per_eflop_hour_peak", 0.001 / 120e9 * 3.6e21, "USD/EFLOP-h");
    add("usd_per_eflop_hour_achieved", 0.001 / 45e9 * 3.6e21, "USD/EFLOP-h");
    add("usd_per_hour_per_chip_owned", 1.8, "USD/h");
    add("usd_per_million_output_tokens_owned", 0.0005 / 6e6 * 1e6, "USD/Mtok");
    add("usd_per_eflop_hour_peak_owned", 0.0005 / 120e9 * 3.6e21, "USD/EFLOP-h");
    add("usd_per_eflop_hour_achieved_owned", 0.0005 / 45e9 * 3.6e21, "USD/EFLOP-h");
    return toy;
}

// EP320 on CloudMatrix384, run once.
Audited run_case(const std::string& experiment) {
    Catalog catalog(PODSIM_SOURCE_DIR "/configs");
    RunOptions options;
    options.neighbour = false;
    Result result = run_experiment(parse_yaml(experiment, "experiment.yaml"), catalog, options);
    return {result.alternatives.front(), result.kind, result.configuration};
}

Audited cloudmatrix() {
    static const Audited once = run_case(R"(
experiment: EP320
workload: {kind: decode, model: deepseek-r1, context: 4224 tokens, batch_per_chip: 96,
           speculation: {draft_tokens: 1, acceptance: 0.7}}
alternatives:
  - name: CloudMatrix384
    system: cloudmatrix384
    chips: 160
    precision: {weights: int8, experts: int8, activations: int8, dispatch: int8}
    mapping: {data_parallel: 320, expert_parallel: 320, micro_batches: 2}
    experts: {redundant: 32, shared_ranks: 32}
    engine: cloudmatrix-infer
)");
    return once;
}

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
    EXPECT_EQ(toy().broken(), Laws{});
    EXPECT_EQ(cloudmatrix().broken(), Laws{});
    EXPECT_EQ(audit(toy().result, "decode", toy_configuration()).size(), 19u);
}

TEST(Audit, ClosedFormsMatchTheHandWorkedStep) {
    const AuditFacts facts = read_audit_facts(toy_configuration(), "toy", "decode");
    const ClosedForm form = closed_form(facts, *facts.decode->model, 8);
    EXPECT_DOUBLE_EQ(form.matrix_flops, 88320);
    EXPECT_DOUBLE_EQ(form.rounding_flops, 0);  // 4 tokens x 4 ranks x 2 / 4 = 8 on one slot
    // Cache 8 x 16 x 6 x 2 B x 3 layers = 4608; weights of a rank 2 B x (3 x 176 + 384 + 2 x
    // (96 + 96) + 80) = 2752.
    EXPECT_DOUBLE_EQ(form.memory_bytes, 4608 + 4 * 2752);
    // 8 sequences x 4 tokens through MoE layers x 2 copies x 8 x (2 + 2) B = 2048, a quarter of
    // which stays on its rank and a half in its domain of two ranks.
    EXPECT_DOUBLE_EQ(form.exchange_bytes, 1536);
    EXPECT_DOUBLE_EQ(form.scale_out_bytes, 1024);
}

TEST(Audit, RoundingIsOneTokenAnExpertSlotLayerAndMicroBatch) {
    Json configuration = toy_configuration();
    configuration["documents"]["model/toy-model"]["n_routed_experts"] = 12;  // 3 slots a rank
    const AuditFacts facts = read_audit_facts(configuration, "toy", "decode");
    // 8 tokens on 3 slots do not come out whole: up to 3 more tokens on each of 4 ranks, in the
    // MoE layer and in the draft's, 2 x 96 FLOP each.
    EXPECT_DOUBLE_EQ(closed_form(facts, *facts.decode->model, 8).rounding_flops,
                     2 * 4 * 3 * 2 * 96.0);
}

TEST(Audit, TensorParallelRanksRepeatTheDownProjections) {
    Json configuration = toy_configuration();
    configuration["experiment"]["alternatives"][1]["mapping"] = {{"tensor_parallel", 2}};
    const AuditFacts facts = read_audit_facts(configuration, "toy", "decode");
    EXPECT_DOUBLE_EQ(facts.mapping.data_parallel, 2);
    // Per sequence 6 token-layers of attention (2 x 2 and the draft's 2) repeat 80, and 2 tokens
    // repeat the draft's projection of 128.
    EXPECT_DOUBLE_EQ(closed_form(facts, *facts.decode->model, 8).matrix_flops,
                     88320 + 2 * 8 * (6 * 80 + 2 * 128.0));
}

TEST(Audit, ChipsCountedAsDies) {
    for (Audited audited : {toy(), cloudmatrix()}) {
        audited.result.packages *= 8;
        EXPECT_EQ(audited.broken(), Laws{kChips});
    }
    Audited dies = cloudmatrix();
    dies.result.packages = dies.result.ranks;
    EXPECT_EQ(dies.broken(), Laws{kChips});
    Audited too_many = toy();
    too_many.configuration["documents"]["system/toy-pod"]["chips"] = 1;
    EXPECT_EQ(too_many.broken(), Laws{kChips});
    Audited other_chip = cloudmatrix();
    other_chip.result.chip = "h800";
    EXPECT_EQ(other_chip.broken(), Laws{kChips});
}

TEST(Audit, RateOfAnotherNumberOfChips) {
    for (Audited audited : {toy(), cloudmatrix()}) {
        audited.metric("decode_tokens_per_second_per_chip").value *= 8;
        EXPECT_EQ(audited.broken(), Laws{kRates});
    }
    Audited user = cloudmatrix();
    user.metric("time_per_output_token").value /= 1.7;
    EXPECT_EQ(user.broken(), Laws{kRates});
    Audited unit = cloudmatrix();
    unit.metric("iteration_time").unit = "us";
    EXPECT_EQ(unit.broken(), Laws{kRates});
}

TEST(Audit, DroppedPort) {
    for (Audited audited : {toy(), cloudmatrix()}) {
        ResourceUse& port = audited.resource("scale-up receive");
        port.amount = port.mean = port.peak = 0;
        for (double& window : port.windows) window = 0;
        EXPECT_EQ(audited.broken(), Laws{kPorts});
    }
    Audited lost = cloudmatrix();
    lost.result.totals.received_bytes *= 0.999;
    EXPECT_EQ(lost.broken(), Laws{kPorts});
}

TEST(Audit, BytesThatNeverCrossedALink) {
    for (Audited audited : {toy(), cloudmatrix()}) {
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
    Audited fast = toy();
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
    EXPECT_EQ(fast.broken(), Laws{kFlopBound});
    // Half of the work done in no time of the matrix units.
    Audited idle = toy();
    ResourceUse& units = idle.resource("matrix units");
    units.amount /= 4;
    units.mean /= 4;
    units.peak /= 4;
    for (double& window : units.windows) window /= 4;
    EXPECT_EQ(idle.broken(), Laws{kFlopBound});
}

TEST(Audit, FasterThanTheDataSheet) {
    Audited audited = cloudmatrix();
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
    Audited memory = toy();  // 1e6 bytes a rank at 1 TB/s are 1 us
    memory.result.totals.hbm_bytes = 4.04e6;
    memory.metric("achieved_bandwidth").value = 4.04e6 / 1e-6 / 2 / 1e9;
    ResourceUse& hbm = memory.resource("HBM");
    hbm.amount = 1.01e6;
    hbm.mean = hbm.peak = 1.01;
    hbm.windows = {1.01, 1.01};
    EXPECT_EQ(memory.broken(), (Laws{kMemoryBound, kUse}));

    Audited port = toy();  // 12.5 kB a rank at 12.5 GB/s are 1 us
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
    Audited slow = toy();
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
    for (Audited audited : {toy(), cloudmatrix()}) {
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
    for (Audited audited : {toy(), cloudmatrix()}) {
        Audited in = audited;
        multiply_tokens(audited.result, 2);
        EXPECT_EQ(audited.broken(), Laws{kTokens});
        in.result.totals.tokens_in *= 2;
        EXPECT_EQ(in.broken(), Laws{kTokens});
    }
}

TEST(Audit, BreakdownWithAHole) {
    for (Audited audited : {toy(), cloudmatrix()}) {
        audited.result.breakdown.pop_back();
        EXPECT_EQ(audited.broken(), Laws{kBreakdown});
    }
    Audited shares = toy();
    shares.result.breakdown[0].share = 0.4;
    shares.result.breakdown[1].share = 0.6;
    EXPECT_EQ(shares.broken(), Laws{kBreakdown});
    Audited negative = toy();
    negative.result.breakdown = {{"attention", 1.1e-6, 1.1}, {"host", -0.1e-6, -0.1}};
    EXPECT_EQ(negative.broken(), Laws{kBreakdown});
    Audited row = cloudmatrix();
    for (auto& one : row.result.operators) one.seconds_critical *= 0.99;
    EXPECT_EQ(row.broken(), Laws{kBreakdown});
}

TEST(Audit, WindowAboveItsCapacity) {
    Audited full = cloudmatrix();
    ResourceUse& units = full.resource("matrix units");
    // What one window has too much the others lack: the mean does not show it.
    const double sum = units.mean * static_cast<double>(units.windows.size());
    const double others = (sum - 1.2) / (sum - units.windows[10]);
    ASSERT_GT(others, 0);
    for (double& share : units.windows) share *= others;
    units.windows[10] = units.peak = 1.2;
    EXPECT_EQ(full.broken(), Laws{kUse});
    Audited peak = cloudmatrix();
    peak.resource("HBM").peak = 1.2;
    EXPECT_EQ(peak.broken(), Laws{kUse});
    Audited sheet = cloudmatrix();  // a die with the whole package's memory
    ResourceUse& hbm = sheet.resource("HBM");
    hbm.capacity *= 2;
    hbm.mean /= 2;
    hbm.peak /= 2;
    for (double& window : hbm.windows) window /= 2;
    EXPECT_EQ(sheet.broken(), Laws{kUse});
    Audited metric = toy();
    metric.metric("utilization_hbm").value = 1.2;
    EXPECT_EQ(metric.broken(), Laws{kUse});
}

TEST(Audit, MemoryThatDoesNotFit) {
    for (Audited audited : {toy(), cloudmatrix()}) {
        MemoryUse& use = audited.result.memory.front();
        const double more = 1.01 * use.capacity - use.total;
        use.parts.front().bytes += more;
        use.total += more;
        EXPECT_EQ(audited.broken(), Laws{kMemory});
        use.capacity *= 2;  // of the package, not of the die
        EXPECT_EQ(audited.broken(), Laws{kMemory});
    }
    Audited part = cloudmatrix();
    part.result.memory.back().parts.pop_back();
    EXPECT_EQ(part.broken(), Laws{kMemory});
    Audited none = cloudmatrix();
    none.result.memory.clear();
    EXPECT_EQ(none.broken().count(kMemory), 1u);
}

TEST(Audit, WorkLeftUndone) {
    for (Audited audited : {toy(), cloudmatrix()}) {
        audited.result.totals.unfinished = 1;
        EXPECT_EQ(audited.broken(), Laws{kFinished});
        audited.result.totals.unfinished = 0;
        audited.result.totals.tasks = 0;
        EXPECT_EQ(audited.broken(), Laws{kFinished});
    }
}

TEST(Audit, ProvenanceThatDoesNotAddUp) {
    for (Audited audited : {toy(), cloudmatrix()}) {
        Audited without = audited;
        audited.result.metrics.back().rests_on.shares.begin()->second += 0.01;
        EXPECT_EQ(audited.broken(), Laws{kProvenance});
        without.result.metrics.front().rests_on.shares.clear();
        EXPECT_EQ(without.broken(), Laws{kProvenance});
    }
}

TEST(Audit, LayerLeftOut) {
    Audited dropped = cloudmatrix();
    multiply_flops(dropped.result, 60.0 / 61.0);
    EXPECT_EQ(dropped.broken(), Laws{kWork});
    Audited twice = cloudmatrix();
    multiply_flops(twice.result, 62.0 / 61.0);
    EXPECT_EQ(twice.broken(), Laws{kWork});
    Audited row = cloudmatrix();
    auto& rows = row.result.operators;
    std::max_element(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
        return a.flops_each < b.flops_each;
    })->count -= 1;
    EXPECT_EQ(row.broken(), Laws{kWork});
    Audited exact = toy();  // nothing is rounded: one FLOP less is seen
    exact.result.totals.matrix_flops -= 1;
    EXPECT_EQ(exact.broken(), Laws{kWork});
}

TEST(Audit, WeightsThatWereNeverRead) {
    for (Audited audited : {toy(), cloudmatrix()}) {
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
    for (Audited audited : {toy(), cloudmatrix()}) {
        for (const char* name : {"usd_per_million_output_tokens", "usd_per_eflop_hour_achieved",
                                 "usd_per_eflop_hour_peak", "usd_per_hour_per_chip_owned"}) {
            Audited slipped = audited;
            slipped.metric(name).value *= 1000;
            EXPECT_EQ(slipped.broken(), Laws{kPrices}) << name;
        }
        audited.result.cost.back().parts.pop_back();
        EXPECT_EQ(audited.broken(), Laws{kPrices});
    }
}

TEST(Audit, SequencesThatAreNotTheBatch) {
    // One more on every chip, in all that follows from it but the work.
    Audited more = cloudmatrix();
    auto& totals = more.result.totals;
    const double k = (totals.sequences + 160) / totals.sequences;
    totals.sequences *= k;
    totals.tokens_in *= k;
    multiply_tokens(more.result, k);
    EXPECT_EQ(more.broken(), (Laws{kBatch, kWork}));

    Audited asked = toy();
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
    Audited time = cloudmatrix();
    time.result.iteration_seconds = nan;
    EXPECT_THAT(time.broken(), testing::IsSupersetOf({kFlopBound, kPath, kBreakdown, kRates}));
    Audited zero = toy();
    zero.result.iteration_seconds = 0;
    EXPECT_THAT(zero.broken(), testing::IsSupersetOf({kFlopBound, kPath, kBreakdown}));
    Audited window = toy();
    window.resource("HBM").windows.back() = nan;
    EXPECT_EQ(window.broken(), Laws{kUse});
    Audited work = toy();
    work.result.totals.matrix_flops = nan;
    EXPECT_EQ(work.broken(), (Laws{kFlopBound, kWork}));
    Audited empty = toy();
    empty.result = {};
    empty.result.name = "toy";
    EXPECT_THAT(empty.broken(), testing::IsSupersetOf({kFinished, kChips, kBreakdown, kProvenance,
                                                       kBatch, kRates, kMemory}));
}

TEST(Audit, ConfigurationThatIsNotTheResults) {
    Audited lost = toy();
    lost.configuration["documents"].erase("chip/toy-chip");
    EXPECT_EQ(lost.broken(), Laws{kConfiguration});
    Audited renamed = toy();
    renamed.result.name = "nobody";
    EXPECT_EQ(renamed.broken(), Laws{kConfiguration});
    Audited unit = toy();
    unit.configuration["documents"]["chip/toy-chip"]["hbm"]["capacity"] = 32;
    EXPECT_EQ(unit.broken(), Laws{kConfiguration});
    Audited kind = toy();
    kind.kind = "collective";
    EXPECT_EQ(kind.broken(), Laws{kConfiguration});
    Audited empty = toy();
    empty.configuration = nullptr;
    EXPECT_EQ(empty.broken(), Laws{kConfiguration});
}

TEST(Audit, OneOperator) {
    const Audited sound = run_case(R"(
experiment: a product
workload: {kind: operator, operator: {type: gemm, m: 4096, n: 7168, k: 2048, dtypes: {a: int8, b: int8}}}
alternatives: [{name: one, system: cloudmatrix384, chips: 1}]
)");
    EXPECT_EQ(sound.broken(), Laws{});
    EXPECT_DOUBLE_EQ(sound.result.totals.matrix_flops, 2 * 2.0 * 4096 * 7168 * 2048);  // two dies
    Audited other = sound;
    other.configuration["experiment"]["workload"]["operator"]["k"] = 4096;
    EXPECT_EQ(other.broken(), Laws{kWork});
    Audited rate = sound;
    rate.metric("achieved_flops").value *= 2;
    EXPECT_EQ(rate.broken(), Laws{kRates});
    const Audited attention = run_case(R"(
experiment: causal attention
workload:
  kind: operator
  operator: {type: attention, form: gqa, phase: prefill, batch: 2, query: 1024, context: 4096,
             heads: 32, kv_heads: 8, head_dims: [128, 128]}
alternatives: [{name: one, system: h800-ib, chips: 1}]
)");
    EXPECT_EQ(attention.broken(), Laws{});
}

TEST(Audit, OneCollective) {
    const Audited sound = run_case(R"(
experiment: dispatch
workload:
  kind: collective
  collective: {type: dispatch, ranks: 8, tokens_per_rank: 128, hidden: 7168, top_k: 8,
               element_bytes: 1, scale_block: 128}
alternatives: [{name: one, system: h800-ib, chips: 16}]
)");
    EXPECT_EQ(sound.broken(), Laws{});
    Audited more = sound;
    more.configuration["experiment"]["workload"]["collective"]["top_k"] = 9;
    EXPECT_EQ(more.broken(), Laws{kExchange});
    Audited fast = sound;
    fast.metric("collective_time").value /= 8;
    EXPECT_EQ(fast.broken(), Laws{kRates});
}

// It shares no code with what it judges.
TEST(Audit, IncludesNeitherModelsNorMachines) {
    const std::regex include(R"re(^\s*#\s*include\s*"([^"]+)")re");
    const Laws allowed = {"base/units.hpp", "sim/result.hpp"};
    int files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(PODSIM_SOURCE_DIR "/sim")) {
        const std::string name = entry.path().filename().string();
        if (name.rfind("audit", 0) != 0) continue;
        ++files;
        std::ifstream file(entry.path());
        for (std::string line; std::getline(file, line);) {
            std::smatch match;
            if (!std::regex_search(line, match, include)) continue;
            const std::string header = match[1];
            EXPECT_TRUE(allowed.count(header) == 1 || header.rfind("sim/audit", 0) == 0)
                << name << " includes " << header;
        }
    }
    EXPECT_GE(files, 3);
}

}  // namespace
}  // namespace podsim
