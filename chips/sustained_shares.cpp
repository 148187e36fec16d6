#include "chips/sustained_shares.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "base/plain_bytes.hpp"
#include "chips/hbm_cycle.hpp"
#include "chips/measured_file.hpp"
#include "chips/memory_surface.hpp"
#include "chips/model_code.hpp"

namespace podsim {

namespace {

constexpr std::string_view kMagic = "podsim sustained shares, form 1\n";
// Some fifteen refresh intervals of a pseudo-channel.
constexpr double kBytesOfARun = 1 << 21;

}  // namespace

double share_at(const SustainedShares& row, double write_share) {
    if (row.writes.empty() || row.writes.size() != row.shares.size())
        throw std::invalid_argument("shares of a memory that nobody measured");
    const auto above = std::upper_bound(row.writes.begin(), row.writes.end(), write_share);
    if (above == row.writes.begin()) return row.shares.front();
    if (above == row.writes.end()) return row.shares.back();
    const auto i = static_cast<std::size_t>(above - row.writes.begin());
    const double part = (write_share - row.writes[i - 1]) / (row.writes[i] - row.writes[i - 1]);
    return row.shares[i - 1] * (1 - part) + row.shares[i] * part;
}

SustainedShares measure_shares(const MemoryDevice& device, BytesPerSecond pin_rate, long cores) {
    AccessPattern pattern;
    pattern.order = AccessOrder::streams;
    pattern.streams = cores;
    pattern.request = std::lround(channel_interleave(device, 1).bytes);
    pattern.chunk = pattern.request;
    pattern.requests = std::lround(kBytesOfARun / static_cast<double>(pattern.request));
    pattern.mixed = true;
    SustainedShares row;
    row.writes = {0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1};
    for (const double writes : row.writes) {
        pattern.write_share = writes;
        row.shares.push_back(run_memory(device, {1, true, pin_rate}, pattern).share);
    }
    return row;
}

std::string shares_setting(const MemoryDevice& device, BytesPerSecond pin_rate, long cores) {
    ByteWriter writer;
    writer.add(std::string(model_code_hash()));
    writer.add(device);
    writer.add(pin_rate);
    writer.add(cores);
    return writer.take();
}

std::string shares_file(const std::string& setting, const SustainedShares& row) {
    ByteWriter values;
    values.add(row);
    return measured_file(kMagic, setting, values.bytes());
}

std::optional<SustainedShares> stored_shares(std::string_view file, const std::string& setting) {
    const auto values = measured_values(file, kMagic, setting);
    if (!values) return std::nullopt;
    SustainedShares row;
    ByteReader reader(*values);
    const bool whole = take_numbers(reader, row.writes) && take_numbers(reader, row.shares) &&
                       reader.at_end() && !row.writes.empty() &&
                       row.writes.size() == row.shares.size();
    if (!whole) return std::nullopt;
    return row;
}

}  // namespace podsim
