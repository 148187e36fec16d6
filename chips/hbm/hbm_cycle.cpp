#include "chips/hbm_cycle.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "base/statistics.hpp"
#include "chips/hbm/memory.hpp"
#include "chips/hbm/traffic_source.hpp"

namespace podsim {

const std::vector<std::pair<const char*, AccessOrder>>& names_of(const AccessOrder*) {
    static const std::vector<std::pair<const char*, AccessOrder>> names = {
        {"sequential", AccessOrder::sequential},
        {"streams", AccessOrder::streams},
        {"random", AccessOrder::random},
        {"strided", AccessOrder::strided}};
    return names;
}

namespace {

// The first tenth fills queues and opens rows; what completes after the last request has come
// empties them. Neither counts.
struct Counted {
    double share = 0, outstanding = 0;
    LatencyFigures latency;
};

// Of sorted values, the nearest rank.
Seconds at_percent(const std::vector<double>& sorted, double percent) {
    const auto last = static_cast<double>(sorted.size() - 1);
    return Seconds(sorted[static_cast<std::size_t>(std::lround(last * percent / 100))]);
}

Counted count(const std::vector<TrafficRecord>& records, const AccessPattern& pattern,
              BytesPerSecond peak) {
    std::vector<Picoseconds> completions;
    completions.reserve(records.size());
    for (const TrafficRecord& record : records) completions.push_back(record.completion);
    std::sort(completions.begin(), completions.end());
    const std::size_t warm = records.size() / 10;
    const Picoseconds from = completions[warm];
    const Picoseconds last_arrival =
        std::max_element(records.begin(), records.end(), [](const auto& a, const auto& b) {
            return a.arrival < b.arrival;
        })->arrival;
    const Picoseconds to = std::max(last_arrival, completions[warm + 1]);
    const auto counted =
        static_cast<double>(std::upper_bound(completions.begin(), completions.end(), to) -
                            std::upper_bound(completions.begin(), completions.end(), from));
    const double seconds = to_seconds(to - from).value();
    Counted result;
    result.share = counted * static_cast<double>(pattern.request) / seconds / peak.value();
    std::vector<double> latencies;
    double area = 0;
    for (const TrafficRecord& record : records) {
        const Picoseconds begin = std::max(from, record.arrival);
        const Picoseconds end = std::min(to, record.completion);
        if (end > begin) area += to_seconds(end - begin).value();
        if (record.completion > from && record.completion <= to)
            latencies.push_back(to_seconds(record.completion - record.arrival).value());
    }
    result.outstanding = area / seconds;
    result.latency.mean = Seconds(mean(latencies));
    std::sort(latencies.begin(), latencies.end());
    result.latency.p50 = at_percent(latencies, 50);
    result.latency.p95 = at_percent(latencies, 95);
    result.latency.p99 = at_percent(latencies, 99);
    return result;
}

HbmMemorySpec spec_of(const MemoryDevice& device, const MemoryExtent& extent) {
    HbmMemorySpec spec;
    spec.device = device;
    spec.stacks = extent.stacks;
    spec.pin_rate = extent.pin_rate;
    spec.responses = Responses::annotated;
    if (extent.one_pseudo_channel) {
        spec.stacks = 1;
        spec.device.organisation.channels.value = 1;
        spec.device.organisation.pseudo_channels.value = 1;
    }
    return spec;
}

}  // namespace

MemoryRun run_memory(const MemoryDevice& device, const MemoryExtent& extent,
                     const AccessPattern& pattern) {
    if (pattern.requests < 100) throw std::invalid_argument("fewer than 100 requests say nothing");
    const HbmMemorySpec spec = spec_of(device, extent);
    const BytesPerSecond peak = peak_bandwidth(spec);
    const MemoryController& controller = device.controller;
    const long channels = address_shape(spec).channels;
    long outstanding = pattern.outstanding;
    if (outstanding == 0) {
        const long accesses = std::max(1L, pattern.request / controller.access);
        const long queues = controller.read_window + controller.write_window + controller.entry;
        outstanding = std::max(4L, 2 * channels * queues / accesses);
    }
    const double interval = pattern.load > 0 ? static_cast<double>(pattern.request) /
                                                   (pattern.load * peak.value()) * 1e12
                                             : 0;

    const SystemcSession session;
    HbmMemory memory("hbm", spec);
    TrafficSource source("source", pattern, outstanding, std::llround(interval));
    source.socket.bind(*memory.sockets.front());
    sc_core::sc_start();
    if (source.completed() != pattern.requests || memory.outstanding() != 0) {
        throw std::logic_error(fmt::format("{} of {} requests came back, {} are under way",
                                           source.completed(), pattern.requests,
                                           memory.outstanding()));
    }
    const std::vector<TrafficRecord>& records = source.records();
    const HbmStatistics statistics = memory.statistics();
    Picoseconds end = 0;
    for (const TrafficRecord& record : records) end = std::max(end, record.completion);
    const Counted counted = count(records, pattern, peak);
    MemoryRun run;
    run.peak = peak;
    run.share = counted.share;
    run.latency = counted.latency;
    run.mean_outstanding = counted.outstanding;
    run.bytes = statistics.bytes;
    run.energy = statistics.energy;
    run.time = to_seconds(end);
    run.requests = statistics.responses;
    run.held_back = statistics.held_back;
    const PseudoChannelStatistics& commands = statistics.commands;
    const auto accesses = static_cast<double>(commands.accesses);
    run.row_hits = static_cast<double>(commands.row_hits) / accesses;
    run.row_conflicts = static_cast<double>(commands.row_conflicts) / accesses;
    run.activates = commands.activates;
    run.refreshes = commands.refreshes;
    run.refresh_loss = static_cast<double>(commands.refresh_cycles) * memory.timing().period_ps *
                       1e-12 / static_cast<double>(channels) / run.time.value();
    return run;
}

}  // namespace podsim
