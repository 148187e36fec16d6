#include "base/random.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace podsim {
namespace {

TEST(Random, MixingIsThatOfSplitmix64) {
    // The first outputs of splitmix64 from state 0, as in its reference implementation.
    EXPECT_EQ(mix_bits(0), 0xe220a8397b1dcdafu);
    EXPECT_EQ(mix_bits(0x9e3779b97f4a7c15u), 0x6e789e6aa1b965f4u);
    EXPECT_EQ(mix_bits(2 * 0x9e3779b97f4a7c15u), 0x06c45d188009454fu);
}

TEST(Random, ADrawBelongsToItsName) {
    EXPECT_EQ(uniform(1, 2, 3), uniform(1, 2L, 3u));
    const std::set<std::uint64_t> draws{
        random_bits(1),    random_bits(2),    random_bits(1, 0),    random_bits(1, 0, 0),
        random_bits(1, 2), random_bits(2, 1), random_bits(1, 2, 3), random_bits(1, 3, 2)};
    EXPECT_EQ(draws.size(), 8u);
    static_assert(uniform(7, 1) > 0.0 && uniform(7, 1) < 1.0);
}

// Neighbouring names are as good as far ones: 16 x 4,096 draws along each id fall into 64 bins
// like a uniform law. Chi-squared of 63 degrees of freedom is below 103 in 99.9 % of cases; the
// draws are fixed, so this either holds or does not.
TEST(Random, DrawsAreUniformAlongEveryId) {
    const auto chi_squared = [](auto draw) {
        constexpr int count = 65536, bins = 64, each = count / bins;
        std::vector<int> filled(bins, 0);
        for (int i = 0; i < count; ++i) ++filled[static_cast<std::size_t>(draw(i) * bins)];
        double sum = 0.0;
        for (const int n : filled) sum += std::pow(n - each, 2) / each;
        return sum;
    };
    EXPECT_LT(chi_squared([](int i) { return uniform(42, i); }), 103);
    EXPECT_LT(chi_squared([](int i) { return uniform(42, 0, i); }), 103);
    EXPECT_LT(chi_squared([](int i) { return uniform(42, 1, 2, i); }), 103);
    EXPECT_LT(chi_squared([](int i) { return uniform(static_cast<std::uint64_t>(i), 3); }), 103);
    EXPECT_LT(chi_squared([](int i) { return uniform(42, i / 256, i % 256); }), 103);
}

// Of independent draws the correlation over n = 65,536 pairs has a deviation of 1/256; four of
// them are allowed.
TEST(Random, NeighboursAreIndependent) {
    constexpr int count = 65536;
    const auto correlation = [](auto pair) {
        double sum = 0.0;
        for (int i = 0; i < count; ++i) {
            const auto [a, b] = pair(i);
            sum += (a - 0.5) * (b - 0.5);
        }
        return sum / count * 12.0;
    };
    const double most = 4.0 / 256;
    EXPECT_LT(std::abs(correlation([](int i) {
                  return std::pair{uniform(1, i), uniform(1, i + 1)};
              })),
              most);
    EXPECT_LT(std::abs(correlation([](int i) {
                  return std::pair{uniform(1, i, 5), uniform(1, 5, i)};
              })),
              most);
    EXPECT_LT(std::abs(correlation([](int i) {
                  return std::pair{uniform(1, i), uniform(2, i)};
              })),
              most);
}

}  // namespace
}  // namespace podsim
