#include "interconnect/fullest_link.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace podsim {

namespace {

constexpr long kExactMessages = 32;
constexpr double kSparse = 4;  // messages a link, below which counts are far from normal

using Series = std::vector<double>;

// Up to the term x^m.
Series product(const Series& a, const Series& b) {
    Series c(a.size(), 0.0);
    for (std::size_t i = 0; i < a.size(); ++i)
        for (std::size_t j = 0; i + j < c.size(); ++j) c[i + j] += a[i] * b[j];
    return c;
}

Series power(Series base, long exponent) {
    Series result(base.size(), 0.0);
    result[0] = 1;
    for (; exponent > 0; exponent /= 2) {
        if (exponent % 2 == 1) result = product(result, base);
        if (exponent > 1) base = product(base, base);
    }
    return result;
}

// Each of k links gets x = 1/k of the messages: the factors m! and k^-m stay in the terms.
double exact(long messages, long links, double groups) {
    const auto m = static_cast<std::size_t>(messages);
    const double share = 1.0 / static_cast<double>(links);
    double factorial = 1;
    for (std::size_t i = 2; i <= m; ++i) factorial *= static_cast<double>(i);
    Series upto(m + 1, 0.0);
    double term = 1, expected = 0;
    for (std::size_t most = 0; most < m; ++most) {
        if (most > 0) term *= share / static_cast<double>(most);
        upto[most] = term;
        const double below = std::min(1.0, factorial * power(upto, links)[m]);
        expected += 1 - std::pow(below, groups);
        if (below >= 1 - 1e-12) break;
    }
    return expected;
}

// E[max] of independent counts, each of so many messages with one chance in `links`.
double binomial(double messages, double links, double draws) {
    const double odds = 1 / (links - 1);
    double term = std::exp(messages * std::log1p(-1 / links)), below = term, expected = 0;
    for (double most = 0; most < messages; ++most) {
        const double missed = 1 - std::pow(std::min(1.0, below), draws);
        expected += missed;
        if (missed < 1e-9) break;
        term *= (messages - most) / (most + 1) * odds;
        below += term;
    }
    return expected;
}

// Mean of the greatest of so many draws from N(0, 1): of 2 0.5642, of 4 1.0294, of 8 1.4236.
double greatest_normal(double draws) {
    constexpr double step = 0.125, end = 9;
    double mean = -end;
    for (double x = -end; x < end; x += step)
        mean += step * (1 - std::pow(0.5 * std::erfc(-x / std::sqrt(2.0)), draws));
    return mean - step / 2;  // the first of the trapezoids counts half
}

double normal(double mean, double links, double groups) {
    double c = greatest_normal(links);
    if (groups > 1) c = std::max(c, std::sqrt(1 - 1 / links) * greatest_normal(links * groups));
    return mean + std::sqrt(mean) * c + std::max(0.0, (1 - 2 / links) * (c * c - 1) / 6);
}

double expected_most(double messages, long links, double groups) {
    const double k = static_cast<double>(links), mean = messages / k;
    return mean < kSparse && k > 8 ? binomial(messages, k, k * groups) : normal(mean, k, groups);
}

}  // namespace

double fullest_link(double messages, long links, double groups) {
    if (links <= 1 || messages <= 0) return 1.0;
    const double k = static_cast<double>(links);
    if (messages <= 1) return k;
    double most = 0;
    if (messages <= kExactMessages) {
        const double below = std::floor(messages), part = messages - below;
        most = exact(static_cast<long>(below), links, groups);
        if (part > 0) most += part * (exact(static_cast<long>(below) + 1, links, groups) - most);
    } else {
        most = expected_most(messages, links, groups);
    }
    return std::clamp(most * k / messages, 1.0, k);
}

}  // namespace podsim
