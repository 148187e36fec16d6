#include "workloads/expert_capacity.hpp"

#include <algorithm>
#include <cmath>

namespace podsim {

namespace {

double log_term(double tokens, double chance, double count) {
    return std::lgamma(tokens + 1) - std::lgamma(count + 1) - std::lgamma(tokens - count + 1) +
           count * std::log(chance) + (tokens - count) * std::log1p(-chance);
}

}  // namespace

Cumulants kept_of(long tokens, double chance, long capacity) {
    const auto all = static_cast<double>(tokens), most = static_cast<double>(capacity);
    if (chance <= 0 || tokens <= 0 || capacity <= 0) return {};
    if (chance >= 1) return {std::min(all, most), 0, 0};
    const double mean = all * chance, variance = mean * (1 - chance);
    // Terms further off weigh less than 1e-15.
    const double reach = 8 * std::sqrt(variance) + 24;
    if (most >= mean + reach || capacity >= tokens)
        return {mean, variance, variance * (1 - 2 * chance)};
    if (most <= mean - reach) return {most, 0, 0};
    // Around the mean, so that nothing cancels.
    const double first = std::max(0.0, std::floor(mean - reach)), end = most;
    const double center = std::min(mean, most);
    double term = std::exp(log_term(all, chance, first)), below = 0;
    double one = 0, two = 0, three = 0;
    for (double count = first; count < end; count += 1) {
        const double off = count - center;
        below += term;
        one += term * off;
        two += term * off * off;
        three += term * off * off * off;
        term *= (all - count) / (count + 1) * chance / (1 - chance);
    }
    const double at_capacity = std::max(0.0, 1 - below), off = most - center;
    one += at_capacity * off;
    two += at_capacity * off * off;
    three += at_capacity * off * off * off;
    return {center + one, std::max(0.0, two - one * one),
            three - 3 * two * one + 2 * one * one * one};
}

Cumulants thinned(const Cumulants& count, double part) {
    const double rest = part * (1 - part);
    return {part * count.first, part * part * count.second + rest * count.first,
            part * part * part * count.third + 3 * part * rest * count.second +
                rest * (1 - 2 * part) * count.first};
}

long expert_capacity(double factor, long tokens, long experts_per_token, long experts) {
    const double even =
        static_cast<double>(tokens * experts_per_token) / static_cast<double>(experts);
    // A product a rounding error above a whole number is that number.
    return static_cast<long>(std::ceil(factor * even * (1 - 1e-12)));
}

}  // namespace podsim
