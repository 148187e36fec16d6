#include "chips/memory_surface.hpp"

#include <algorithm>
#include <cmath>

#include "base/plain_bytes.hpp"
#include "chips/address_map.hpp"
#include "chips/hbm_cycle.hpp"
#include "chips/measured_file.hpp"
#include "chips/model_code.hpp"

namespace podsim {

namespace {

constexpr std::string_view kMagic = "podsim memory surface, form 1\n";

// Enough for some twenty refresh intervals, in accesses of 64 B.
constexpr double kBytesOfARun = 32768 * 64.0;

// Column commands' worth of bytes and their multiples. Activates bind below 128 B, where the share
// rises in proportion: the grid is dense there.
std::vector<double> chunk_grid(double burst) {
    std::vector<double> grid;
    for (const double n : {1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 64, 96, 128})
        grid.push_back(n * burst);
    return grid;
}

const std::vector<double> kWrites = {0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1};
const std::vector<double> kStreams = {1, 2, 4, 8, 12, 16, 24, 32, 48};
const std::vector<double> kLoads = {0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95};

// Where x lies on an ascending axis: the point below and the part of the way to the next one.
struct Between {
    std::size_t below = 0;
    double part = 0;
};

Between locate(const std::vector<double>& axis, double x, bool logarithmic) {
    if (x <= axis.front()) return {0, 0};
    if (x >= axis.back()) return {axis.size() - 2, 1};
    const auto above = std::upper_bound(axis.begin(), axis.end(), x);
    const auto below = static_cast<std::size_t>(above - axis.begin()) - 1;
    const double from = axis[below], to = axis[below + 1];
    const double part =
        logarithmic ? std::log(x / from) / std::log(to / from) : (x - from) / (to - from);
    return {below, part};
}

double bilinear(const std::vector<double>& values, std::size_t columns, const Between& row,
                const Between& column) {
    const auto at = [&](std::size_t r, std::size_t c) { return values[r * columns + c]; };
    const auto along = [&](std::size_t r) {
        return at(r, column.below) * (1 - column.part) + at(r, column.below + 1) * column.part;
    };
    return along(row.below) * (1 - row.part) + along(row.below + 1) * row.part;
}

AccessPattern saturating(AccessOrder order, double request, double write_share) {
    AccessPattern pattern;
    pattern.order = order;
    pattern.request = std::lround(request);
    pattern.chunk = pattern.request;
    pattern.write_share = write_share;
    pattern.requests = std::max(1000L, std::lround(kBytesOfARun / request));
    return pattern;
}

}  // namespace

ChannelInterleave channel_interleave(const MemoryDevice& device, long stacks) {
    const MemoryOrganisation& o = device.organisation;
    const auto access = static_cast<double>(device.controller.access);
    AddressShape shape;
    shape.access = device.controller.access;
    shape.accesses_per_row = static_cast<long>(o.page.value.value() / access);
    shape.channels = stacks * o.channels.value * o.pseudo_channels.value;
    shape.groups = o.bank_groups.value;
    shape.banks = o.banks.value;
    shape.stack_ids = o.stack_ids.value;
    shape.bursts_per_access = std::lround(access / burst_bytes(device).value());
    const AddressMap map(device.controller.address, shape, false, false);
    return {static_cast<double>(map.interleave()), static_cast<double>(shape.channels)};
}

MemorySurface measure_surface(const MemoryDevice& device, long stacks, BytesPerSecond pin_rate) {
    const MemoryExtent one{1, true, pin_rate};
    const auto access = static_cast<double>(device.controller.access);
    MemorySurface surface;
    surface.chunks = chunk_grid(burst_bytes(device).value());
    surface.streams = kStreams;
    surface.writes = kWrites;
    surface.loads = kLoads;
    for (const double chunk : surface.chunks) {
        for (const double writes : kWrites) {
            const auto pattern = saturating(AccessOrder::random, chunk, writes);
            surface.random_share.push_back(run_memory(device, one, pattern).share);
        }
    }
    for (const double streams : kStreams) {
        for (const double writes : kWrites) {
            auto pattern = saturating(AccessOrder::streams, access, writes);
            pattern.streams = static_cast<int>(streams);
            // A share of a few streams is none: their requests are mixed instead.
            pattern.mixed = true;
            surface.streams_share.push_back(run_memory(device, one, pattern).share);
        }
    }
    for (const double load : kLoads) {
        auto pattern = saturating(AccessOrder::random, access, 0);
        pattern.chunk = pattern.request * std::max(1L, 512 / pattern.request);
        pattern.load = load;
        const MemoryRun run = run_memory(device, one, pattern);
        surface.latency_mean.push_back(run.latency.mean.value());
        surface.latency_p99.push_back(run.latency.p99.value());
    }
    const ChannelInterleave interleave = channel_interleave(device, stacks);
    surface.interleave = interleave.bytes;
    surface.channels = interleave.channels;
    return surface;
}

double sustained_share(const MemorySurface& surface, const MemoryUse& use) {
    const Between writes = locate(surface.writes, use.write_share, false);
    const std::size_t columns = surface.writes.size();
    if (use.streams > 0) {
        return bilinear(surface.streams_share, columns, locate(surface.streams, use.streams, true),
                        writes);
    }
    const auto share_of = [&](double bytes) {
        return bilinear(surface.random_share, columns, locate(surface.chunks, bytes, true), writes);
    };
    // A chunk is dealt out over the pseudo-channels in whole turns; each has one, or its part.
    if (use.chunk > surface.interleave)
        return share_of(std::max(surface.interleave, use.chunk / surface.channels));
    const double burst = surface.chunks.front();
    const double moved = std::ceil(use.chunk / burst - 1e-9) * burst;
    return share_of(moved) * use.chunk / moved;
}

Seconds loaded_latency(const MemorySurface& surface, double load) {
    const Between at = locate(surface.loads, load, false);
    return Seconds(surface.latency_mean[at.below] * (1 - at.part) +
                   surface.latency_mean[at.below + 1] * at.part);
}

std::string surface_setting(const MemoryDevice& device, long stacks, BytesPerSecond pin_rate) {
    ByteWriter writer;
    writer.add(std::string(model_code_hash()));
    writer.add(device);
    writer.add(stacks);
    writer.add(pin_rate);
    return writer.take();
}

std::string surface_file(const std::string& setting, const MemorySurface& surface) {
    ByteWriter values;
    values.add(surface);
    return measured_file(kMagic, setting, values.bytes());
}

std::optional<MemorySurface> stored_surface(std::string_view file, const std::string& setting) {
    const auto values = measured_values(file, kMagic, setting);
    if (!values) return std::nullopt;
    MemorySurface s;
    ByteReader rest(*values);
    const bool whole = take_numbers(rest, s.chunks) && take_numbers(rest, s.streams) &&
                       take_numbers(rest, s.writes) && take_numbers(rest, s.random_share) &&
                       take_numbers(rest, s.streams_share) && take_numbers(rest, s.loads) &&
                       take_numbers(rest, s.latency_mean) && take_numbers(rest, s.latency_p99) &&
                       rest.take(s.interleave) && rest.take(s.channels) && rest.at_end();
    if (!whole) return std::nullopt;
    return s;
}

}  // namespace podsim
