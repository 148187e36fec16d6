// The packet level: packet-hops and events a CPU-second.
#include <benchmark/benchmark.h>

#include "interconnect/packet_builders.hpp"
#include "interconnect/packet_run.hpp"

namespace podsim {
namespace {

// An exchange of 128 tokens of each rank with 8 others, 7,680 B each, over a port of 196 GB/s a
// rank in `planes` planes, 1.2 us; uniform, each sender from the rank after itself on.
void packet_exchange(benchmark::State& state) {
    const auto ranks = static_cast<int>(state.range(0)), planes = static_cast<int>(state.range(1));
    PacketSwitchSpec spec;
    spec.latency = microseconds(0.4);
    const auto network = switched_planes(
        ranks, planes, {BytesPerSecond(196e9 / planes), microseconds(0.4), 0.0}, spec);
    const auto traffic = all_to_all(uniform_matrix(ranks, Bytes(128.0 * 8 * 7680 / ranks)));
    PacketSettings settings;
    settings.endpoint.pool = Bytes(1024e3);
    settings.endpoint.pool_return = microseconds(0.34);
    double hops = 0, events = 0;
    for (auto _ : state) {
        const PacketResult result = run_packets(network, traffic, settings);
        hops += static_cast<double>(result.packet_hops);
        events += static_cast<double>(result.events);
    }
    state.counters["packet_hops"] = benchmark::Counter(hops, benchmark::Counter::kIsRate);
    state.counters["events"] = benchmark::Counter(events, benchmark::Counter::kIsRate);
}
BENCHMARK(packet_exchange)
    ->Args({8, 1})
    ->Args({64, 1})
    ->Args({320, 1})
    ->Args({320, 7})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace podsim
