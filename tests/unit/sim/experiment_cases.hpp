// An experiment and everything it names, with round numbers, for tests to change key by key.
#pragma once

#include <string>
#include <vector>

#include "base/catalog.hpp"
#include "sim/experiment.hpp"

namespace podsim {

inline const char* const kTestChip = R"(
title: A chip
ranks: 2
hbm: {capacity: 128 GB, bandwidth: 3.2 TB/s}
cores:
  matrix: 48
  vector: 96
  separate_vector: true
  clock: 2 GHz
  macs_per_cycle: {bf16: 4096, int8: 8192}
  minimum_rows: 16
  accumulator: 64 KiB
  l2: 384 MiB
  feed: 200 GB/s
peak_matrix: {bf16: 786.432 TFLOPS, int8: 1572.864 TOPS}
peak_published: {bf16: 800 TFLOPS, int8: 1600 TOPS}
peak_vector: 24 TFLOPS
power: 700 W
kernels: test-kernels
)";

inline const char* const kTestSystem = R"(
title: A system
chip: test-chip
chips: 384
scale_up: {technology: a switch, bandwidth: 400 GB/s, domain: 384, latency: 1 us}
scale_out: {technology: a network, bandwidth: 50 GB/s, domain: 1000000, latency: 5 us}
collectives: test-collectives
power_per_chip: 1000 W
)";

inline std::string test_kernels() {
    const std::string record =
        "record: {basis: measured, held_out_error: 0.05, source: a test, date: 2026-01-01}";
    const std::string gemm =
        "{matrix_efficiency: 0.8, memory_efficiency: 0.8, launch: 3 us, " + record + "}";
    const std::string attention =
        "{matrix_efficiency: 0.6, memory_efficiency: 0.8, launch: 10 us, " + record + "}";
    return "title: Kernels\nchip: test-chip\ngemm: {bf16: " + gemm + ", int8: " + gemm +
           "}\nattention_decode: " + attention + "\nattention_prefill: " + attention +
           "\nvector: {memory_efficiency: 0.8, vector_efficiency: 0.5, launch: 2 us, " + record +
           "}\n";
}

inline std::string test_collectives() {
    std::string text = "title: Collectives\ntransfers:\n";
    for (const char* type : {"dispatch", "combine", "all_reduce", "all_gather", "reduce_scatter"}) {
        text += std::string("  ") + type +
                ": {base: 30 us, scale_up_efficiency: 0.8, scale_out_efficiency: 0.8, record: "
                "{basis: measured, source: a test, date: 2026-01-01}}\n";
    }
    return text;
}

inline const char* const kTestEngine = R"(
title: An engine
overlap: two_batch
kernel_gap: 1 us
host_step: 1 ms
rank_skew: 0
memory_reserve: 4 GB
record: {basis: assumed, source: a test, date: 2026-01-01}
)";

inline const char* const kTestPrices = R"(
title: Prices
electricity: 0.10 USD/kWh
power_usage_effectiveness: 1.2
interest: 9 %
life_years: 4
use: 90 %
operations: 20 %
chips: {test-chip: {rental: 2 USD/h, purchase: 20000 USD}}
systems: {test-system: {share_per_chip: 10000 USD}}
)";

// The shipped configurations, and the documents above in front of them.
inline Catalog test_catalog(std::vector<Setting> settings = {}) {
    Catalog catalog(PODSIM_SOURCE_DIR "/configs", std::move(settings));
    catalog.embed("chip", "test-chip", parse_yaml(kTestChip, "test-chip.yaml"));
    catalog.embed("system", "test-system", parse_yaml(kTestSystem, "test-system.yaml"));
    catalog.embed("kernels", "test-kernels", parse_yaml(test_kernels(), "test-kernels.yaml"));
    catalog.embed("collectives", "test-collectives",
                  parse_yaml(test_collectives(), "test-collectives.yaml"));
    catalog.embed("engine", "test-engine", parse_yaml(kTestEngine, "test-engine.yaml"));
    catalog.embed("prices", "test-prices", parse_yaml(kTestPrices, "test-prices.yaml"));
    return catalog;
}

// DeepSeek-R1 on 16 chips of two ranks: 32 ranks with 8 experts each.
inline Node test_experiment() {
    return parse_yaml(R"(experiment: a test
workload:
  kind: decode
  model: deepseek-r1
  context: 2048 tokens
  batch_per_chip: 16
alternatives:
  - name: A
    system: test-system
    chips: 16
    precision: {weights: int8, experts: int8, activations: int8, dispatch: int8}
    engine: test-engine
prices: test-prices
)",
                      "test.yaml");
}

// Requests on one engine of these chips.
inline Node serving_experiment() {
    return parse_yaml(R"(experiment: a test
workload:
  kind: serving
  model: deepseek-r1
  traffic:
    arrivals: {law: poisson, rate: 20 req/s}
    input: {mean: 500 tokens}
    output: {mean: 100 tokens}
    requests: 200
  slo: {ttft: 5 s, tpot: 100 ms}
alternatives:
  - name: A
    system: test-system
    chips: 16
    precision: {weights: int8, experts: int8, activations: int8, dispatch: int8}
    engine: test-engine
prices: test-prices
)",
                      "test.yaml");
}

// The experiment with the value at a dotted path replaced, or made.
inline Node with(Node experiment, const std::string& path, const std::string& value) {
    set_path(experiment, path, value, {"test.yaml", 99, 1});
    return experiment;
}
inline Node without(Node experiment, const std::string& map, const std::string& key) {
    Node& node = map.empty()               ? experiment
                 : map == "alternatives.A" ? experiment.find("alternatives")->items.front()
                                           : *experiment.find(map);
    for (std::size_t i = 0; i < node.entries.size(); ++i) {
        if (node.entries[i].key == key)
            node.entries.erase(node.entries.begin() + static_cast<std::ptrdiff_t>(i));
    }
    return experiment;
}

inline RunOptions quick() {
    RunOptions options;
    options.driver = Driver::plain;
    options.neighbour = false;
    return options;
}

// All that is wrong with an experiment, a line each; empty when nothing is.
inline std::string problems_of(const Node& experiment, std::vector<Setting> settings = {}) {
    Catalog catalog = test_catalog(std::move(settings));
    try {
        check_experiment(experiment, catalog);
    } catch (const InputError& error) {
        return error.what();
    }
    return "";
}

inline AlternativeResult run_test(const Node& experiment, std::vector<Setting> settings = {},
                                  const RunOptions& options = quick()) {
    Catalog catalog = test_catalog(std::move(settings));
    return run_experiment(experiment, catalog, options).alternatives.front();
}

inline double value_of(const AlternativeResult& result, const std::string& metric) {
    const Metric* found = result.metric(metric);
    if (found == nullptr) throw std::out_of_range(metric);
    return found->value;
}

inline std::vector<std::string> broken_laws(const AlternativeResult& result) {
    std::vector<std::string> broken;
    for (const AuditFinding& finding : result.audit)
        if (!finding.passed) broken.push_back(finding.law + ": " + finding.detail);
    return broken;
}

}  // namespace podsim
