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

// Nearest ranks, from the highest down: each leaves the smaller ones before it. Sorting all would
// take a sixth as long as the simulation.
void find_percentiles(std::vector<double>& values, LatencyFigures& figures) {
    const auto last = static_cast<double>(values.size() - 1);
    auto end = values.end();
    const auto at_percent = [&](double percent) {
        const auto nth = values.begin() + std::lround(last * percent / 100);
        if (nth < end) std::nth_element(values.begin(), nth, end);
        end = std::min(end, nth);
        return Seconds(*nth);
    };
    figures.p99 = at_percent(99);
    figures.p95 = at_percent(95);
    figures.p50 = at_percent(50);
}

Counted count(const std::vector<TrafficRecord>& records, const AccessPattern& pattern,
              BytesPerSecond peak) {
    std::vector<Picoseconds> completions;
    completions.reserve(records.size());
    for (const TrafficRecord& record : records) completions.push_back(record.completion);
    const auto warm = completions.begin() + static_cast<std::ptrdiff_t>(records.size() / 10);
    std::nth_element(completions.begin(), warm, completions.end());
    const Picoseconds from = *warm;
    const Picoseconds last_arrival =
        std::max_element(records.begin(), records.end(), [](const auto& a, const auto& b) {
            return a.arrival < b.arrival;
        })->arrival;
    const Picoseconds to =
        std::max(last_arrival, *std::min_element(std::next(warm), completions.end()));
    const double seconds = to_seconds(to - from).value();
    Counted result;
    std::vector<double> latencies;
    latencies.reserve(records.size());
    double area = 0;
    for (const TrafficRecord& record : records) {
        const Picoseconds begin = std::max(from, record.arrival);
        const Picoseconds end = std::min(to, record.completion);
        if (end > begin) area += to_seconds(end - begin).value();
        if (record.completion > from && record.completion <= to)
            latencies.push_back(to_seconds(record.completion - record.arrival).value());
    }
    const double bytes =
        static_cast<double>(latencies.size()) * static_cast<double>(pattern.request);
    result.share = bytes / seconds / peak.value();
    result.outstanding = area / seconds;
    result.latency.mean = Seconds(mean(latencies));
    find_percentiles(latencies, result.latency);
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
