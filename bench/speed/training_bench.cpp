// One training step from file to Result: DeepSeek-V4-Pro on 8,192 chips with 16 stages and
// DualPipe, ranks folded and every rank's experts drawn; 10 T parameters on 98,304 chips, folded.
#include <benchmark/benchmark.h>

#include <string>

#include "bench/speed/scenes.hpp"

namespace podsim {
namespace {

std::string v4_pro(const char* fold, const char* experts) {
    return std::string(R"(
experiment: DeepSeek-V4-Pro on 8,192 chips
workload: {kind: training, model: deepseek-v4-pro, global_batch: 16384, sequence: 4096 tokens, schedule: dualpipe, recompute: full, zero_stage: 1, optimizer: {moments: bf16}, fold: )") +
           fold + R"(}
alternatives:
  - name: Atlas 950
    system: atlas-950-superpod
    chips: 8192
    precision: {weights: fp8, experts: fp8, activations: fp8, attention: bf16, dispatch: fp8, combine: bf16}
    engine: dualpipe
    mapping: {pipeline_parallel: 16, data_parallel: 512, expert_parallel: 64, placement: flat}
    experts: )" +
           experts + R"(
prices: default
)";
}

const char* const kTenTrillion = R"(
experiment: 10 T parameters on 98,304 chips
workload: {kind: training, model: moe-10t, global_batch: 116736, sequence: 4096 tokens, schedule: dualpipe, recompute: deepseek-v3, zero_stage: 1, optimizer: {moments: bf16}}
alternatives:
  - name: pods of 1,024
    system: atlas-950dt-pods-1024
    chips: 98304
    precision: {weights: fp8, experts: fp8, activations: fp8, attention: bf16, dispatch: fp8, combine: bf16}
    engine: dualpipe
    mapping: {tensor_parallel: 4, pipeline_parallel: 8, data_parallel: 3072, expert_parallel: 2048, sequence_parallel: true, placement: flat}
prices: default
)";

void training_step(benchmark::State& state, const std::string& text) {
    const Node document = parse_yaml(text, "bench");
    RunOptions options;
    options.driver = Driver::plain;
    options.cache = false;
    for (auto _ : state) {
        Catalog catalog(configs_root());
        benchmark::DoNotOptimize(run_experiment(document, catalog, options));
    }
}
BENCHMARK_CAPTURE(training_step, v4_pro_8192_folded, v4_pro("true", "{popularity: balanced}"))
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(training_step, v4_pro_8192_unfolded_skewed,
                  v4_pro("false", "{popularity: zipf, zipf_exponent: 0.3}"))
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(training_step, ten_trillion_98304_folded, kTenTrillion)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace podsim
