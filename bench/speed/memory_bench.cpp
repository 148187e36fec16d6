// The bank model: accesses of 64 B a second of CPU, through the SystemC module.
#include <benchmark/benchmark.h>

#include "bench/speed/scenes.hpp"
#include "chips/hbm_cycle.hpp"

namespace podsim {
namespace {

void bank_model(benchmark::State& state, const AccessPattern& pattern, bool whole_stack) {
    const MemoryDevice device =
        read_memory(Catalog(configs_root()).load("memory", "hbm3", {}, ""), "hbm3");
    double share = 0;
    for (auto _ : state)
        share = run_memory(device, {1, !whole_stack, BytesPerSecond(0)}, pattern).share;
    state.SetItemsProcessed(state.iterations() * pattern.requests * (pattern.request / 64));
    state.counters["share_of_peak"] = share;
}

AccessPattern pattern_of(AccessOrder order, long chunk, long request) {
    AccessPattern pattern;
    pattern.order = order;
    pattern.chunk = chunk;
    pattern.request = request;
    pattern.requests = 200000 * 64 / request;
    return pattern;
}

BENCHMARK_CAPTURE(bank_model, sequential_64, pattern_of(AccessOrder::sequential, 64, 64), false)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(bank_model, random_512, pattern_of(AccessOrder::random, 512, 64), false)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(bank_model, random_64, pattern_of(AccessOrder::random, 64, 64), false)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(bank_model, stack_in_4_KiB, pattern_of(AccessOrder::sequential, 4096, 4096), true)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace podsim
