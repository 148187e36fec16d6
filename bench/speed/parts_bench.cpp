// The parts below a step: one new operator, one coflow, one fair sharing, one event.
#include <benchmark/benchmark.h>

#include "base/calendar.hpp"
#include "base/fluid.hpp"
#include "base/systemc_driver.hpp"
#include "bench/speed/scenes.hpp"
#include "interconnect/coflow.hpp"

namespace podsim {
namespace {

const Scene& ep320() {
    static const Scene scene = resolve_scene(ep320_experiment("batch_per_chip: 96"));
    return scene;
}

void new_operator(benchmark::State& state, const OperatorBody& body) {
    const Scene& scene = ep320();
    for (auto _ : state) {
        benchmark::DoNotOptimize(
            operator_cost(body, scene.hardware, scene.alternative().kernels, Fidelity::tile, 1.0));
    }
}
BENCHMARK_CAPTURE(new_operator, gemm, Gemm{96, 24576, 1536, 1, DType::int8, DType::int8});
BENCHMARK_CAPTURE(new_operator, grouped_gemm, Gemm{427, 4096, 7168, 8, DType::int8, DType::int8});
BENCHMARK_CAPTURE(new_operator, attention,
                  Attention{AttentionForm::mla_absorbed, Phase::decode, 48, 2, 4224, 128, 1, 576,
                            512});
BENCHMARK_CAPTURE(new_operator, vector, VectorWork{"rms_norm", 688128, 4, 1376256, 1376256});

void known_operator(benchmark::State& state) {
    const Scene& scene = ep320();
    CostCache cache = scene.empty_cache();
    const OperatorBody body = Gemm{96, 24576, 1536, 1, DType::int8, DType::int8};
    for (auto _ : state) benchmark::DoNotOptimize(cache.cost(body, 1.0));
}
BENCHMARK(known_operator);

void new_operator_analytic(benchmark::State& state) {
    const Scene& scene = ep320();
    const OperatorBody body = Gemm{96, 24576, 1536, 1, DType::int8, DType::int8};
    for (auto _ : state) {
        benchmark::DoNotOptimize(operator_cost(body, scene.hardware, scene.alternative().kernels,
                                               Fidelity::analytic, 1.0));
    }
}
BENCHMARK(new_operator_analytic);

// As many as a file on disk holds.
constexpr long kStored = 1000;

std::string file_of_costs() {
    CostCache cache = ep320().empty_cache();
    cache.recall(StoredCosts(cache.setting()));
    for (long m = 1; m <= kStored; ++m)
        (void)cache.cost(Gemm{m, 24576, 1536, 1, DType::int8, DType::int8}, 1.0);
    return cache.file(1U << 20);
}

// All that are in a file, for the first time.
void stored_operators(benchmark::State& state) {
    const std::string file = file_of_costs();
    for (auto _ : state) {
        CostCache cache = ep320().empty_cache();
        cache.recall(StoredCosts(cache.setting(), file));
        for (long m = 1; m <= kStored; ++m) {
            const OperatorBody body = Gemm{m, 24576, 1536, 1, DType::int8, DType::int8};
            benchmark::DoNotOptimize(cache.cost(body, 1.0));
        }
    }
    state.SetItemsProcessed(state.iterations() * kStored);
}
BENCHMARK(stored_operators)->Unit(benchmark::kMicrosecond);

// What a run pays before the first of them, and for adding one at its end; disk apart.
void recall_and_keep(benchmark::State& state) {
    const std::string file = file_of_costs();
    for (auto _ : state) {
        CostCache cache = ep320().empty_cache();
        cache.recall(StoredCosts(cache.setting(), file));
        if (state.range(0) == 0) continue;
        (void)cache.cost(Gemm{5000, 24576, 1536, 1, DType::int8, DType::int8}, 1.0);
        benchmark::DoNotOptimize(cache.file(1U << 20));
    }
}
BENCHMARK(recall_and_keep)->Arg(0)->Arg(1)->Unit(benchmark::kMicrosecond);

void one_coflow(benchmark::State& state) {
    const Scene& scene = ep320();
    const ServingStep step = build_step(scene.step(48));
    const Transfer& dispatch = step.program.transfers.front();
    for (auto _ : state) {
        benchmark::DoNotOptimize(
            make_coflow(dispatch, scene.fabric, scene.alternative().collectives, 320));
    }
}
BENCHMARK(one_coflow);

// A transfer, a kernel and a memory copy share the memory; so do more of each.
void fair_shares(benchmark::State& state) {
    std::vector<FluidActivity> activities;
    for (int i = 0; i < state.range(0); ++i) {
        activities.push_back({{{i % 3, 0.5}, {3, 0.2 + 0.1 * (i % 7)}}, 1.0});
    }
    for (auto _ : state) benchmark::DoNotOptimize(max_min_speeds(activities, 7));
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(fair_shares)->Arg(1)->Arg(2)->Arg(8)->Arg(64);

// Each event schedules its successor: `pending` of them are in the calendar at any time.
void events(benchmark::State& state, void (*drive)(Calendar&)) {
    constexpr int kEvents = 100000;
    const auto pending = static_cast<int>(state.range(0));
    for (auto _ : state) {
        Calendar calendar;
        int left = kEvents;
        struct Chain {
            Calendar& calendar;
            int& left;
            std::uint64_t state;
            void operator()() {
                if (--left < 0) return;
                state = state * 6364136223846793005u + 1442695040888963407u;
                calendar.at(calendar.now() + 1 + static_cast<Picoseconds>(state >> 44),
                            EventClass::completion, *this);
            }
        };
        for (int i = 0; i < pending; ++i) {
            Chain{calendar, left, static_cast<std::uint64_t>(i)}();
        }
        drive(calendar);
        benchmark::DoNotOptimize(calendar.now());
    }
    state.SetItemsProcessed(state.iterations() * kEvents);
}
BENCHMARK_CAPTURE(events, plain, run_plain)->Arg(4)->Arg(64)->Arg(8192);
BENCHMARK_CAPTURE(events, systemc, run_systemc)->Arg(4)->Arg(64)->Arg(8192);

}  // namespace
}  // namespace podsim
