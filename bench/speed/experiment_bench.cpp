// What a user waits for: reading the configuration, one alternative from file to Result, and the
// search for the largest batch that keeps a latency target.
#include <benchmark/benchmark.h>

#include "bench/speed/scenes.hpp"
#include "sim/experiment.hpp"

namespace podsim {
namespace {

void load_configuration(benchmark::State& state) {
    const Node experiment = ep320_experiment("batch_per_chip: 96");
    for (auto _ : state) {
        Catalog catalog(configs_root());
        benchmark::DoNotOptimize(resolve(experiment, catalog));
    }
}
BENCHMARK(load_configuration)->Unit(benchmark::kMillisecond);

void experiment(benchmark::State& state, const char* batch) {
    const Node document = ep320_experiment(batch);
    RunOptions options;
    options.driver = Driver::plain;
    for (auto _ : state) {
        Catalog catalog(configs_root());
        benchmark::DoNotOptimize(run_experiment(document, catalog, options));
    }
}
BENCHMARK_CAPTURE(experiment, given_batch, "batch_per_chip: 96")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(experiment, latency_target_search, "latency_target: 50 ms")
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace podsim
