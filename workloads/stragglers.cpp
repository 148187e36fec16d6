#include "workloads/stragglers.hpp"

#include <algorithm>
#include <cmath>

#include "base/random.hpp"
#include "workloads/straggler_law.hpp"

namespace podsim {

namespace {

double largest_below(const UnitSpeed& speed, double factor, double units, double slow, double x) {
    const double others = std::max(0.0, units - slow);
    return std::pow(unit_below(speed, x), others) *
           (slow > 0 ? std::pow(usual_below(speed, x / factor), slow) : 1);
}

// A share of so many units: the smallest count whose sum of binomial terms reaches u.
long binomial(long units, double share, double u) {
    if (share <= 0) return 0;
    if (share >= 1) return units;
    const double odds = share / (1 - share);
    double term = std::exp(static_cast<double>(units) * std::log1p(-share)), sum = term;
    long count = 0;
    // Beyond any count that a double tells apart from all.
    while (sum < u && count < units && term > 0) {
        term *= odds * static_cast<double>(units - count) / static_cast<double>(count + 1);
        sum += term;
        ++count;
    }
    return count;
}

// The x that so much of the largest of n lies below, without a share that is slow.
double largest_at(const UnitSpeed& speed, long units, double u) {
    if (units <= 0) return 0;
    if (speed.deviation == 0) return 1;
    const double each = std::pow(u, 1 / static_cast<double>(units));
    double low = -9, high = 9;
    for (int i = 0; i < 60; ++i) {
        const double z = (low + high) / 2;
        (normal_below(z) < each ? low : high) = z;
    }
    const double s = speed.deviation;
    return std::exp(s * low - s * s / 2);
}

}  // namespace

UnitSpeed unit_speed(const StragglerSpec& spec) {
    const auto squared = [](double variation) { return std::log1p(variation * variation); };
    UnitSpeed speed;
    speed.deviation = std::sqrt(squared(spec.spread) + squared(spec.jitter));
    if (spec.slow && spec.slow->share > 0) {
        speed.share = spec.slow->share;
        speed.factor = spec.slow->factor;
    }
    return speed;
}

double expected_largest(const StragglerSpec& spec, double units, double slow) {
    const UnitSpeed speed = unit_speed(spec);
    const double factor = spec.slow ? spec.slow->factor : 1;
    const double most = slow > 0 ? std::max(speed.factor, factor) : speed.factor;
    if (speed.deviation == 0) {
        // Only two values.
        if (slow > 0) return most;
        return 1 + (speed.factor - 1) * -std::expm1(units * std::log1p(-speed.share));
    }
    // By the middle of many equal parts of ln x, from where all of a million times as many units
    // lie below to where none of them lies above.
    const double from = -9 * speed.deviation, to = 9 * speed.deviation + std::log(most);
    constexpr int parts = 4000;
    const double width = (to - from) / parts;
    double sum = std::exp(from);
    for (int i = 0; i < parts; ++i) {
        const double x = std::exp(from + (i + 0.5) * width);
        sum += (1 - largest_below(speed, factor, units, slow, x)) * x * width;
    }
    return sum;
}

double drawn_largest(const StragglerSpec& spec, long units, long slow, std::uint64_t seed,
                     long place) {
    const UnitSpeed speed = unit_speed(spec);
    const long others = std::max(0L, units - slow);
    const long of_share = binomial(others, speed.share, uniform(seed, 2, place));
    double largest = largest_at(speed, others - of_share, uniform(seed, 3, place));
    if (of_share > 0)
        largest =
            std::max(largest, speed.factor * largest_at(speed, of_share, uniform(seed, 4, place)));
    if (slow > 0)
        largest =
            std::max(largest, spec.slow->factor * largest_at(speed, slow, uniform(seed, 5, place)));
    return largest;
}

}  // namespace podsim
