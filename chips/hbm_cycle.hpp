// What a memory does with a pattern of accesses, found by running its banks in SystemC: share of
// the peak, latencies, row hits, what refresh takes, bytes and energy. Plain data in and out.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "chips/memory_device.hpp"

namespace podsim {

enum class AccessOrder { sequential, streams, random, strided };
const std::vector<std::pair<const char*, AccessOrder>>& names_of(const AccessOrder*);

// Requests of `request` bytes each. `random` walks through chunks that lie anywhere; `streams`
// takes its streams in turn, each of which walks through 8 KiB at a time; `strided` leaves `stride`
// between the beginnings of two requests.
struct AccessPattern {
    AccessOrder order = AccessOrder::sequential;
    long request = 64;       // bytes
    long chunk = 64;         // random: bytes side by side, a multiple of request
    long streams = 8;        // streams: how many
    long stride = 4096;      // strided
    double write_share = 0;  // of requests; of chunks and of streams where there are any
    double load = 0;         // offered share of the peak; 0: as much as fits
    bool mixed = false;      // streams: their requests are writes by chance, not whole streams
    bool even = false;       // a load's requests come evenly instead of at random times
    long outstanding = 0;    // requests under way where load is 0; 0: enough to fill every queue
    long requests = 20000;   // of which the first tenth does not count
    std::uint64_t footprint = std::uint64_t{1} << 32;  // bytes that addresses spread over
    std::uint64_t seed = 1;
};

// How much of a device: `stacks` of them, or for its own sake one pseudo-channel.
struct MemoryExtent {
    long stacks = 1;
    bool one_pseudo_channel = false;
    BytesPerSecond pin_rate{0.0};  // 0: the device's own
};

struct LatencyFigures {
    Seconds mean{0.0}, p50{0.0}, p95{0.0}, p99{0.0};  // of a request, arrival to last byte
};

struct MemoryRun {
    BytesPerSecond peak{0.0};
    double share = 0;  // of the peak, achieved after warming up
    LatencyFigures latency;
    double row_hits = 0;          // share of accesses that found their row open
    double row_conflicts = 0;     // share that had to close another one first
    double refresh_loss = 0;      // share of the time that a bank is kept by refreshes, mean
    double mean_outstanding = 0;  // requests under way, mean over the time counted
    Bytes bytes{0.0};             // of all requests
    Joules energy{0.0};
    Seconds time{0.0};  // from the first request to the last byte
    std::uint64_t requests = 0, activates = 0, refreshes = 0, held_back = 0;
};

// Runs in the process's one SystemC context. Throws std::invalid_argument for a pattern that makes
// no sense, std::logic_error where a request is lost.
MemoryRun run_memory(const MemoryDevice& device, const MemoryExtent& extent,
                     const AccessPattern& pattern);

}  // namespace podsim
