// The table of docs/fabric.md that holds packets against tile, and how fast each of its cells runs:
//   podsim_bench --benchmark_filter=packets_against_tile
// `gap`: tile over packets, less one. A whole run of an experiment, both levels included.
#include <benchmark/benchmark.h>

#include <cmath>

#include "bench/speed/scenes.hpp"
#include "tests/unit/sim/packet_fabric_cases.hpp"

namespace podsim {
namespace {

void packets_against_tile(benchmark::State& state, const FabricCase& fabric,
                          const std::string& collective, const std::string& further) {
    double hops = 0, gap = std::nan("");
    for (auto _ : state) {
        const Result result = run_packets_on(Catalog(configs_root()), fabric, collective, further);
        const AlternativeResult& one = result.alternatives.front();
        const Metric* made = one.metric("packet_hops");
        if (made == nullptr) {
            state.SkipWithError(one.warnings.empty() ? "no packets" : one.warnings.front().c_str());
            return;
        }
        hops += made->value;
        gap = one.neighbour_gap;
    }
    state.counters["gap_percent"] = 100 * gap;
    state.counters["packet_hops"] = benchmark::Counter(hops, benchmark::Counter::kIsRate);
}

const bool kRegistered = [] {
    for (const int ranks : {8, 64, 320}) {
        for (const FabricCase& fabric : table_fabrics(ranks)) {
            for (const auto& [name, collective] : table_collectives()) {
                const std::string further = name == "dispatch" ? kTableExperts : "";
                benchmark::RegisterBenchmark(
                    fmt::format("packets_against_tile/{}/{}/{}", fabric.name, ranks, name).c_str(),
                    [=, what = collective](benchmark::State& state) {
                        packets_against_tile(state, fabric, what, further);
                    })
                    ->Unit(benchmark::kMillisecond)
                    ->Iterations(1);
            }
        }
    }
    return true;
}();

}  // namespace
}  // namespace podsim
