// Results to audit: a step small enough to work out by hand, and real runs.
#pragma once

#include <gtest/gtest.h>

#include <set>
#include <stdexcept>
#include <string>

#include "sim/audit.hpp"
#include "sim/experiment.hpp"

namespace podsim {

using Json = nlohmann::ordered_json;
using Laws = std::set<std::string>;

inline const char* const kConfiguration = "the configuration says what was run";
inline const char* const kFinished = "all work finished";
inline const char* const kChips = "chips counted as packages";
inline const char* const kFlopBound = "not faster than its FLOPs at the matrix peak";
inline const char* const kMemoryBound = "not faster than its bytes at the HBM bandwidth";
inline const char* const kPortBound = "not faster than its bytes at the port rate";
inline const char* const kPath = "not faster than its critical path, not slower than serial";
inline const char* const kUse = "no resource above 100 % in any window";
inline const char* const kConserved = "bytes sent = bytes received";
inline const char* const kBreakdown = "the breakdown sums to the whole";
inline const char* const kProvenance = "provenance shares sum to one";
inline const char* const kBatch = "sequences = batch x chips";
inline const char* const kTokens = "tokens in = tokens out";
inline const char* const kRates = "rates follow from tokens, time and chips";
inline const char* const kMemory = "memory fits";
inline const char* const kWork = "FLOPs executed = FLOPs of the graph";
inline const char* const kTraffic = "memory carries weights and cache";
inline const char* const kBusiest = "the busiest rank takes what its slots can";
inline const char* const kExchange = "links carry what the experts exchange";
inline const char* const kHolds = "ranks hold their weights and cache";
inline const char* const kTarget = "the latency target is kept";
inline const char* const kPeak = "achieved is at most peak";
inline const char* const kPrices = "prices follow from rates";

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
inline Json hand_worked_configuration() {
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
          "n_shared_experts": 1, "num_experts_per_tok": 2,
          "num_nextn_predict_layers": 1}}})");
}

// 1 us a step, 12 tokens emitted: 6e6 tok/s a chip; 3.6 USD/h are 0.001 USD/s.
inline Audited hand_worked_step() {
    Audited toy;
    toy.kind = "decode";
    toy.configuration = hand_worked_configuration();
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
    r.memory = {{"ranks", 4, {}, 15000, 16000}};
    // In BF16: attention (80 + 32 + 32 + 32) x 3 layers and the draft's projection 128, dense 384,
    // tables 2 x 80, an expert 96 and the shared one 96 in 2 layers each, router 32 in both; the
    // cache of 2 sequences x 16 tokens x 3 layers x 6.
    r.memory.front().parts = {{"attention weights", 1312},
                              {"dense FFN weights", 768},
                              {"embedding and head", 320},
                              {"KV cache", 1152},
                              {"routed experts", 384},
                              {"shared expert", 384},
                              {"router", 128},
                              {"runtime reserve", 10552}};
    const auto use = [&](const char* name, double amount, double capacity) {
        const double mean = amount / (capacity * 1e-6);
        r.resources.push_back(
            {name, "ranks", mean, 1.5 * mean, amount, "", capacity, {0.5 * mean, 1.5 * mean}});
    };
    use("matrix units", 88320 / (4 * 50e9), 1);  // 0.44 us at the rank's BF16 peak
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
    r.cost = {{"rental", 3.6, {}, {}, "vendor", "made up", {{"rental", 3.6}}},
              {"owned", 1.8, {}, {}, "estimate", "made up", {{"chip", 1.0}, {"power", 0.8}}}};
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
inline Audited audited_run(const std::string& experiment) {
    Catalog catalog(PODSIM_SOURCE_DIR "/configs");
    RunOptions options;
    options.neighbour = false;
    Result result = run_experiment(parse_yaml(experiment, "experiment.yaml"), catalog, options);
    return {result.alternatives.front(), result.kind, result.configuration};
}

inline Audited audited_cloudmatrix() {
    static const Audited once = audited_run(R"(
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

}  // namespace podsim
