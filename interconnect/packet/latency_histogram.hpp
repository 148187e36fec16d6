// A distribution of times in bins that are 1/64 of an octave or less, so that millions of packets
// take a few kilobytes: percentiles are exact to 1.6 %, the ends and the mean are exact.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "base/calendar.hpp"

namespace podsim {

class LatencyHistogram {
  public:
    void add(Picoseconds time) {
        const auto value = static_cast<std::uint64_t>(time);
        const std::size_t bin = bin_of(value);
        if (bin >= bins_.size()) bins_.resize(bin + 1);
        ++bins_[bin];
        least_ = count_ == 0 ? time : std::min(least_, time);
        most_ = std::max(most_, time);
        sum_ += static_cast<double>(time);
        ++count_;
    }

    void add(const LatencyHistogram& other) {
        if (other.count_ == 0) return;
        if (other.bins_.size() > bins_.size()) bins_.resize(other.bins_.size());
        for (std::size_t i = 0; i < other.bins_.size(); ++i) bins_[i] += other.bins_[i];
        least_ = count_ == 0 ? other.least_ : std::min(least_, other.least_);
        most_ = std::max(most_, other.most_);
        sum_ += other.sum_;
        count_ += other.count_;
    }

    std::uint64_t count() const { return count_; }
    Picoseconds least() const { return least_; }
    Picoseconds most() const { return most_; }
    double mean() const { return count_ == 0 ? 0.0 : sum_ / static_cast<double>(count_); }

    // The middle of the bin below which `share` of the values lie, within the ends.
    Picoseconds percentile(double share) const {
        const double rank = share * static_cast<double>(count_);
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < bins_.size(); ++i) {
            seen += bins_[i];
            if (bins_[i] > 0 && static_cast<double>(seen) >= rank) {
                const std::uint64_t from = start_of(i), to = start_of(i + 1);
                return std::clamp(static_cast<Picoseconds>(from + (to - from) / 2), least_, most_);
            }
        }
        return most_;
    }

  private:
    static constexpr int kBits = 6;  // bins of an octave: 2^6
    static std::size_t bin_of(std::uint64_t value) {
        const auto width = static_cast<int>(std::bit_width(value));
        if (width <= kBits) return value;
        const int shift = width - kBits - 1;
        return (static_cast<std::size_t>(shift) << kBits) + (value >> shift);
    }
    static std::uint64_t start_of(std::size_t bin) {
        const std::size_t first = std::size_t{1} << kBits;
        if (bin < 2 * first) return bin;
        const std::size_t shift = (bin >> kBits) - 1;
        return (static_cast<std::uint64_t>((bin & (first - 1)) + first)) << shift;
    }
    std::vector<std::uint64_t> bins_;
    std::uint64_t count_ = 0;
    Picoseconds least_ = 0, most_ = 0;
    double sum_ = 0;
};

}  // namespace podsim
