#include "base/statistics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace podsim {
namespace {

void require_numbers(const std::vector<double>& values, const char* of_what) {
    const bool numbers =
        std::none_of(values.begin(), values.end(), [](double value) { return std::isnan(value); });
    if (values.empty() || !numbers) {
        throw std::invalid_argument(
            fmt::format("{} of {}", of_what, values.empty() ? "no values" : "a NaN"));
    }
}

}  // namespace

double mean(const std::vector<double>& values) {
    require_numbers(values, "mean");
    double sum = 0.0;
    for (const double value : values) sum += value;
    return sum / static_cast<double>(values.size());
}

double geometric_mean(const std::vector<double>& values) {
    require_numbers(values, "geometric mean");
    double sum = 0.0;
    for (const double value : values) {
        if (!(value > 0.0)) throw std::invalid_argument("geometric mean of a value not above 0");
        sum += std::log(value);
    }
    return std::exp(sum / static_cast<double>(values.size()));
}

double percentile(std::vector<double> values, double percent) {
    require_numbers(values, "percentile");
    if (!(percent >= 0.0 && percent <= 100.0)) {
        throw std::invalid_argument(fmt::format("percentile {}, not of 0 to 100", percent));
    }
    std::sort(values.begin(), values.end());
    const double h = static_cast<double>(values.size() - 1) * percent / 100.0;
    const auto below = static_cast<std::size_t>(h);
    if (below + 1 >= values.size()) return values.back();
    return values[below] + (h - std::floor(h)) * (values[below + 1] - values[below]);
}

double relative_error(double simulated, double published) {
    if (published == 0.0) throw std::invalid_argument("relative error against a published 0");
    return (simulated - published) / published;
}

double mape(const std::vector<double>& errors) {
    require_numbers(errors, "mean absolute error");
    double sum = 0.0;
    for (const double error : errors) sum += std::abs(error);
    return sum / static_cast<double>(errors.size());
}

double bias(const std::vector<double>& errors) {
    return mean(errors);
}

double worst(const std::vector<double>& errors) {
    require_numbers(errors, "worst error");
    return *std::max_element(errors.begin(), errors.end(),
                             [](double a, double b) { return std::abs(a) < std::abs(b); });
}

TimeWeighted::TimeWeighted(std::string name, std::string description, std::string unit,
                           Seconds start, double level)
    : name_(std::move(name)),
      description_(std::move(description)),
      unit_(std::move(unit)),
      start_(start),
      last_(start),
      level_(level) {}

void TimeWeighted::set(Seconds time, double level) {
    if (!(time >= last_)) {
        throw std::logic_error(fmt::format("{}: a level at {} s, after one at {} s", name_,
                                           time.value(), last_.value()));
    }
    integral_ = integral(time);
    if (time > last_) held_ = std::max(held_, level_);
    last_ = time;
    level_ = level;
}

double TimeWeighted::integral(Seconds until) const {
    if (!(until >= last_)) {
        throw std::logic_error(fmt::format("{}: an integral until {} s, before the level of {} s",
                                           name_, until.value(), last_.value()));
    }
    return integral_ + level_ * (until - last_).value();
}

double TimeWeighted::mean(Seconds until) const {
    const double whole = integral(until);
    return until > start_ ? whole / (until - start_).value() : level_;
}

}  // namespace podsim
