// What share of its peak a memory sustains, over how it is accessed, measured once from the bank
// model and interpolated: the structural term of memory in the `tile` model. Never mixed with a
// kernel library's fitted memory efficiency, which has all this in it already.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chips/memory_device.hpp"

namespace podsim {

// Of one pseudo-channel, which stands for all: their queues are apart.
struct MemorySurface {
    std::vector<double> chunks;         // bytes side by side in a pseudo-channel, anywhere
    std::vector<double> streams;        // streams taken in turn
    std::vector<double> writes;         // share of writes, of chunks and of streams
    std::vector<double> random_share;   // [chunk][writes]
    std::vector<double> streams_share;  // [streams][writes]
    std::vector<double> loads;          // offered share of the peak, random chunks of 512 B
    std::vector<double> latency_mean, latency_p99;  // seconds, of 64 B or the device's access
    double interleave = 0;  // bytes side by side in a pseudo-channel, by the address map
    double channels = 1;    // pseudo-channels of all stacks
};

// One use of a memory: chunks of so many bytes of the address space anywhere, or, where `streams`
// is above 0, so many streams.
struct MemoryUse {
    double chunk = 4096;
    double write_share = 0;
    double streams = 0;
};

// How an address map deals memory out over the pseudo-channels of so many stacks.
struct ChannelInterleave {
    double bytes = 0;     // side by side in one
    double channels = 1;  // pseudo-channels
};
ChannelInterleave channel_interleave(const MemoryDevice& device, long stacks);

// Some two hundred runs of the bank model: a second or two.
MemorySurface measure_surface(const MemoryDevice& device, long stacks, BytesPerSecond pin_rate);

// Of the peak, for bytes that are asked for: what whole column commands move beyond a chunk's ends
// is not counted. Outside the grid its edge holds.
double sustained_share(const MemorySurface& surface, const MemoryUse& use);

// Mean time of a request at an offered share of the peak; beyond the last measured load its value,
// since past saturation the queue is the issuer's.
Seconds loaded_latency(const MemorySurface& surface, double load);

// Everything a surface depends on, as bytes: device, extent, code. Files carry it whole.
std::string surface_setting(const MemoryDevice& device, long stacks, BytesPerSecond pin_rate);
std::string surface_file(const std::string& setting, const MemorySurface& surface);
// Nothing where the file is of another setting, torn or edited.
std::optional<MemorySurface> stored_surface(std::string_view file, const std::string& setting);

}  // namespace podsim
