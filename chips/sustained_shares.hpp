// What share of its peak a memory sustains under all cores of a chip, over the share of writes: the
// row of the bank model that a core's closed form and its pipeline go by where the chip states the
// path to its memory alone (`core.memory.fabric`).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/units.hpp"

namespace podsim {

struct MemoryDevice;

// Cores that read side by side, each of them as bursts far longer than what the address map lays
// side by side in one pseudo-channel: of every core in turn it sees that much.
struct SustainedShares {
    std::vector<double> writes;  // share of writes, ascending
    std::vector<double> shares;  // of the peak
};

// Between two points the line; outside them the nearest.
double share_at(const SustainedShares& row, double write_share);

// Of one pseudo-channel, which stands for all: nine runs of the bank model.
SustainedShares measure_shares(const MemoryDevice& device, BytesPerSecond pin_rate, long cores);

// Everything a row depends on, as bytes: device, pins, cores, code. Files carry it whole.
std::string shares_setting(const MemoryDevice& device, BytesPerSecond pin_rate, long cores);
std::string shares_file(const std::string& setting, const SustainedShares& row);
// Nothing where the file is of another setting, torn or edited.
std::optional<SustainedShares> stored_shares(std::string_view file, const std::string& setting);

}  // namespace podsim
