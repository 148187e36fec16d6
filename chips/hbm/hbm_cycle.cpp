#include "chips/hbm_cycle.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

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

// Nearest ranks. Counted in steps of a fine grid first, so that only the values of one step have to
// be put in order: selecting among all of them would take a tenth as long as the simulation.
class Percentiles {
  public:
    explicit Percentiles(const std::vector<Picoseconds>& values) : values_(values) {
        const Picoseconds most = *std::max_element(values.begin(), values.end());
        while (step_of(most) >= kSteps) ++shift_;
        counts_.assign(kSteps, 0);
        for (const Picoseconds value : values) ++counts_[step_of(value)];
    }

    Seconds at(double percent) const {
        const auto last = static_cast<double>(values_.size() - 1);
        auto rank = static_cast<std::size_t>(std::lround(last * percent / 100));
        std::size_t step = 0;
        for (; rank >= counts_[step]; ++step) rank -= counts_[step];
        std::vector<Picoseconds> near;
        for (const Picoseconds value : values_) {
            if (step_of(value) == step) near.push_back(value);
        }
        const auto nth = near.begin() + static_cast<std::ptrdiff_t>(rank);
        std::nth_element(near.begin(), nth, near.end());
        return to_seconds(*nth);
    }

  private:
    std::size_t step_of(Picoseconds value) const {
        return static_cast<std::size_t>(value) >> shift_;
    }

    static constexpr std::size_t kSteps = 1024;
    const std::vector<Picoseconds>& values_;
    int shift_ = 0;
    std::vector<std::size_t> counts_;
};

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
    std::vector<Picoseconds> latencies;
    latencies.reserve(records.size());
    Picoseconds area = 0;
    for (const TrafficRecord& record : records) {
        const Picoseconds begin = std::max(from, record.arrival);
        const Picoseconds end = std::min(to, record.completion);
        if (end > begin) area += end - begin;
        if (record.completion > from && record.completion <= to)
            latencies.push_back(record.completion - record.arrival);
    }
    const double bytes =
        static_cast<double>(latencies.size()) * static_cast<double>(pattern.request);
    result.share = bytes / seconds / peak.value();
    result.outstanding = to_seconds(area).value() / seconds;
    const Percentiles percentiles(latencies);
    result.latency.mean =
        to_seconds(std::accumulate(latencies.begin(), latencies.end(), Picoseconds{0})) /
        static_cast<double>(latencies.size());
    result.latency.p50 = percentiles.at(50);
    result.latency.p95 = percentiles.at(95);
    result.latency.p99 = percentiles.at(99);
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
