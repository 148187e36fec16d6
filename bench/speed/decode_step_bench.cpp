// One decode step over 320 ranks at `tile`, from an empty cache: the whole, and its stages.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <fstream>
#include <utility>

#include "bench/speed/scenes.hpp"
#include "sim/assemble.hpp"

namespace podsim {
namespace {

constexpr long kSequences = 48;

const Scene& ep320() {
    static const Scene scene = resolve_scene(ep320_experiment("batch_per_chip: 96"));
    return scene;
}

// Linux: what the process held at most starts anew, so that each bench reports its own.
void forget_peak_memory() {
    std::ofstream("/proc/self/clear_refs") << "5";
}

double peak_memory_megabytes() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_maxrss) * 1024.0 / 1e6;
}

double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

ProgramCosts cost(const Scene& scene, const Program& program, CostCache& cache) {
    return cost_program(program, cache, scene.fabric, scene.alternative().collectives,
                        scene.alternative().ranks);
}

void decode_step(benchmark::State& state, Driver driver) {
    const Scene& scene = ep320();
    forget_peak_memory();
    const double before = cpu_seconds();
    std::uint64_t events = 0;
    for (auto _ : state) {
        CostCache cache = scene.empty_cache();
        const ServingStep step = build_step(scene.step(kSequences));
        const ProgramCosts costs = cost(scene, step.program, cache);
        const RunRecord record = run_program(step.program, costs, scene.hardware, driver);
        const AssemblyInput input{step.program,
                                  costs,
                                  record,
                                  scene.hardware,
                                  scene.fabric,
                                  scene.alternative().ranks,
                                  {}};
        benchmark::DoNotOptimize(breakdown_of(input));
        benchmark::DoNotOptimize(operator_rows(input));
        benchmark::DoNotOptimize(bounds_of(input));
        benchmark::DoNotOptimize(totals_of(input));
        events = record.events;
    }
    state.counters["events"] = static_cast<double>(events);
    state.counters["cpu_seconds"] =
        benchmark::Counter(cpu_seconds() - before, benchmark::Counter::kAvgIterations);
    state.counters["peak_MB"] = peak_memory_megabytes();
}
BENCHMARK_CAPTURE(decode_step, ep320_plain, Driver::plain)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(decode_step, ep320_systemc, Driver::systemc)->Unit(benchmark::kMillisecond);

void build_program(benchmark::State& state, Popularity popularity) {
    StepSpec spec = ep320().step(kSequences);
    spec.experts.popularity = popularity;
    spec.experts.zipf_exponent = 0.3;
    spec.experts.histogram = "bench";
    // Each layer counted, each another way.
    for (long layer = 0; layer < layer_count(spec.model); ++layer) {
        ExpertCounts counted{layer, {}};
        for (long i = 0; i < spec.model.routed_experts; ++i)
            counted.counts.push_back(static_cast<double>(1 + (i * (layer + 7)) % 13));
        spec.experts.counts.push_back(std::move(counted));
    }
    for (auto _ : state) {
        const ServingStep step = build_step(spec);
        benchmark::DoNotOptimize(step);
        state.counters["tasks"] = static_cast<double>(step.program.tasks.size());
        state.counters["operators"] = static_cast<double>(step.program.operators.size());
    }
}
BENCHMARK_CAPTURE(build_program, balanced, Popularity::balanced)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(build_program, uniform, Popularity::uniform)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(build_program, zipf, Popularity::zipf)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(build_program, by_layer, Popularity::histogram)->Unit(benchmark::kMillisecond);

void cost_program_cold(benchmark::State& state) {
    const Scene& scene = ep320();
    const ServingStep step = build_step(scene.step(kSequences));
    for (auto _ : state) {
        CostCache cache = scene.empty_cache();
        const ProgramCosts costs = cost(scene, step.program, cache);
        benchmark::DoNotOptimize(costs);
        state.counters["new_operators"] = static_cast<double>(cache.misses());
    }
}
BENCHMARK(cost_program_cold)->Unit(benchmark::kMillisecond);

void run_step(benchmark::State& state) {
    const Scene& scene = ep320();
    const ServingStep step = build_step(scene.step(kSequences));
    CostCache cache = scene.empty_cache();
    const ProgramCosts costs = cost(scene, step.program, cache);
    double events = 0;
    for (auto _ : state) {
        const RunRecord record = run_program(step.program, costs, scene.hardware, Driver::plain);
        benchmark::DoNotOptimize(record);
        events += static_cast<double>(record.events);
    }
    state.counters["events_per_second"] = benchmark::Counter(events, benchmark::Counter::kIsRate);
}
BENCHMARK(run_step)->Unit(benchmark::kMillisecond);

void assemble_result(benchmark::State& state) {
    const Scene& scene = ep320();
    const ServingStep step = build_step(scene.step(kSequences));
    CostCache cache = scene.empty_cache();
    const ProgramCosts costs = cost(scene, step.program, cache);
    const RunRecord record = run_program(step.program, costs, scene.hardware, Driver::plain);
    const AssemblyInput input{
        step.program, costs, record, scene.hardware, scene.fabric, scene.alternative().ranks, {}};
    for (auto _ : state) {
        benchmark::DoNotOptimize(breakdown_of(input));
        benchmark::DoNotOptimize(operator_rows(input));
        benchmark::DoNotOptimize(bounds_of(input));
        benchmark::DoNotOptimize(totals_of(input));
    }
}
BENCHMARK(assemble_result)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace podsim
