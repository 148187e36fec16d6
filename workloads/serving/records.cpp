#include "workloads/serving/records.hpp"

#include <algorithm>
#include <cmath>

namespace podsim {

namespace {

constexpr double kLeast = 1e-6, kMostSeconds = 1e3;
constexpr double kRatio = 1e-3;  // ln of the ratio of neighbouring bins

std::size_t bin_of(double seconds) {
    const double held = std::clamp(seconds, kLeast, kMostSeconds);
    return static_cast<std::size_t>(std::lround(std::log(held / kLeast) / kRatio));
}

}  // namespace

LogHistogram::LogHistogram() : bins_(bin_of(kMostSeconds) + 1, 0.0) {}

void LogHistogram::add(double seconds, double weight) {
    if (!(weight > 0)) return;
    bins_[bin_of(seconds)] += weight;
    weight_ += weight;
    sum_ += seconds * weight;
    largest_ = std::max(largest_, seconds);
}

double LogHistogram::percentile(double percent) const {
    const double wanted = weight_ * percent / 100.0;
    double below = 0;
    for (std::size_t i = 0; i < bins_.size(); ++i) {
        below += bins_[i];
        if (below >= wanted && bins_[i] > 0)
            return std::min(largest_, kLeast * std::exp(kRatio * static_cast<double>(i)));
    }
    return largest_;
}

Distribution distribution_of(const LogHistogram& histogram) {
    return {histogram.mean(),         histogram.percentile(50), histogram.percentile(90),
            histogram.percentile(95), histogram.percentile(99), histogram.largest(),
            histogram.weight()};
}

Distribution distribution_of(std::vector<float>& values) {
    if (values.empty()) return {};
    std::sort(values.begin(), values.end());
    double sum = 0;
    for (const float value : values) sum += static_cast<double>(value);
    // Type 7 of Hyndman and Fan, as base/statistics has it.
    const auto at = [&](double percent) {
        const double h = static_cast<double>(values.size() - 1) * percent / 100.0;
        const auto below = static_cast<std::size_t>(h);
        if (below + 1 >= values.size()) return static_cast<double>(values.back());
        const auto low = static_cast<double>(values[below]);
        return low + (h - std::floor(h)) * (static_cast<double>(values[below + 1]) - low);
    };
    const auto count = static_cast<double>(values.size());
    return {sum / count, at(50), at(90), at(95), at(99), static_cast<double>(values.back()), count};
}

void Windows::reach(double end) {
    while (end > width_ * static_cast<double>(kMost)) {
        for (std::size_t i = 0; 2 * i < sums_.size(); ++i)
            sums_[i] = sums_[2 * i] + (2 * i + 1 < sums_.size() ? sums_[2 * i + 1] : 0.0);
        sums_.resize((sums_.size() + 1) / 2);
        width_ *= 2;
    }
}

void Windows::add(double begin, double end, double value) {
    if (!(end > begin)) return;
    total_ += value * (end - begin);
    reach(end);
    const auto first = static_cast<std::size_t>(begin / width_);
    const auto last = std::min(static_cast<std::size_t>(end / width_), kMost - 1);
    if (sums_.size() <= last) sums_.resize(last + 1, 0.0);
    for (std::size_t i = first; i <= last; ++i) {
        const double from = std::max(begin, width_ * static_cast<double>(i)),
                     to = std::min(end, width_ * static_cast<double>(i + 1));
        if (to > from) sums_[i] += value * (to - from);
    }
}

std::vector<double> Windows::means(double span, std::size_t parts, double scale) const {
    if (!(span > 0) || !(scale > 0)) return {};
    std::vector<double> means(parts, 0.0);
    const double part = span / static_cast<double>(parts);
    for (std::size_t i = 0; i < sums_.size(); ++i) {
        const double from = width_ * static_cast<double>(i), to = std::min(from + width_, span);
        if (!(to > from)) break;
        // What a window holds is spread evenly over as much of it as the span has.
        for (auto p = static_cast<std::size_t>(from / part); p < parts; ++p) {
            const double begin = part * static_cast<double>(p), end = begin + part;
            const double covered = std::min(to, end) - std::max(from, begin);
            if (covered <= 0) break;
            means[p] += sums_[i] * covered / (to - from) / (part * scale);
        }
    }
    return means;
}

}  // namespace podsim
