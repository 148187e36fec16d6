#include "base/statistics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

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

double standard_error(const std::vector<double>& values) {
    const double middle = mean(values), n = static_cast<double>(values.size());
    double squares = 0.0;
    for (const double value : values) squares += (value - middle) * (value - middle);
    return n > 1 ? std::sqrt(squares / (n * (n - 1))) : 0.0;
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

}  // namespace podsim
