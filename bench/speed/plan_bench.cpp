// The search over mappings of a training step: a space of more than 8,000 of them, from the file to
// the ranking, with costs of operators worked out anew and with those of a run before.
#include <benchmark/benchmark.h>

#include "bench/speed/scenes.hpp"
#include "sim/plan_run.hpp"

namespace podsim {
namespace {

// DeepSeek-V4-Pro on 8,192 chips.
const char* const kSpace = R"(
experiment: DeepSeek-V4-Pro on an Atlas 950
workload: {kind: training, model: deepseek-v4-pro, global_batch: 64 Mtok, sequence: 4096 tokens, optimizer: {moments: bf16}}
alternatives:
  - name: Atlas 950
    system: atlas-950-superpod
    chips: 8192
    precision: {weights: fp8, experts: fp8, activations: fp8, attention: bf16, dispatch: fp8, combine: bf16}
    engine: megatron
prices: default
plan:
  tensor_parallel: [1, 2, 4, 8]
  pipeline_parallel: [2, 4, 8, 16, 32]
  expert_parallel: [8, 16, 32, 64, 128, 192, 384]
  micro_batch: [1, 2, 4]
  schedule: [1f1b, interleaved, dualpipe, zb-h1]
  zero_stage: [1, 2]
  batch: at-most
  idle: 5 %
)";

void plan_search(benchmark::State& state, Fidelity fidelity) {
    const Node document = parse_yaml(kSpace, "bench");
    PlanOptions options;
    options.fidelity = fidelity;
    double mappings = 0, timed = 0;
    for (auto _ : state) {
        Catalog catalog(configs_root());
        const PlanReport report = plan_experiment(document, catalog, options);
        mappings = static_cast<double>(report.alternatives.front().found.counts.possible);
        timed = static_cast<double>(report.alternatives.front().found.counts.timed);
    }
    state.counters["mappings"] = mappings;
    state.counters["timed"] = timed;
}
BENCHMARK_CAPTURE(plan_search, analytic, Fidelity::analytic)->Unit(benchmark::kSecond);
BENCHMARK_CAPTURE(plan_search, tile, Fidelity::tile)->Unit(benchmark::kSecond);

}  // namespace
}  // namespace podsim
