// Minima known by hand, with and without kinks, inside a box and on its wall.
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "base/minimise.hpp"

namespace podsim {
namespace {

TEST(Minimise, ABowlAtOneAndMinusTwo) {
    const auto bowl = [](const std::vector<double>& x) {
        return std::pow(x[0] - 1, 2) + 10 * std::pow(x[1] + 2, 2) + 3;
    };
    const Minimum found = minimise(bowl, {0, 0}, {{-5, -5}, {5, 5}}, 2000, 1e-12);
    EXPECT_NEAR(found.at[0], 1, 1e-3);
    EXPECT_NEAR(found.at[1], -2, 1e-3);
    EXPECT_NEAR(found.value, 3, 1e-5);
}

TEST(Minimise, AKinkAndAWall) {
    // |x - 0.3| + x0 x1 is least at x = (0.3, lowest).
    const auto kink = [](const std::vector<double>& x) { return std::abs(x[0] - 0.3) + x[1]; };
    const Minimum found = minimise(kink, {0.9, 0.9}, {{0, 0.5}, {1, 1}}, 2000, 1e-12);
    EXPECT_NEAR(found.at[0], 0.3, 1e-3);
    EXPECT_NEAR(found.at[1], 0.5, 1e-6);
}

TEST(Minimise, TheSameEveryTime) {
    const auto wavy = [](const std::vector<double>& x) {
        return std::sin(5 * x[0]) + x[0] * x[0] + std::cos(3 * x[1]) * x[1];
    };
    const Box box{{-2, -2}, {2, 2}};
    EXPECT_EQ(minimise(wavy, {1, 1}, box, 300).at, minimise(wavy, {1, 1}, box, 300).at);
}

TEST(Minimise, NaNIsNeverTheLeast) {
    const auto half = [](const std::vector<double>& x) { return x[0] < 0.5 ? std::nan("") : x[0]; };
    const Minimum found = minimise(half, {0.9}, {{0}, {1}}, 500, 1e-12);
    EXPECT_GE(found.at[0], 0.5);
    EXPECT_LT(found.value, 0.6);
}

TEST(Minimise, RefusesABadBoxAndPassesExceptionsOn) {
    const auto zero = [](const std::vector<double>&) { return 0.0; };
    EXPECT_THROW(minimise(zero, {}, {{}, {}}, 10), std::invalid_argument);
    EXPECT_THROW(minimise(zero, {1}, {{0, 0}, {1, 1}}, 10), std::invalid_argument);
    EXPECT_THROW(minimise(zero, {2}, {{0}, {1}}, 10), std::invalid_argument);
    const auto throws = [](const std::vector<double>&) -> double {
        throw std::runtime_error("from inside");
    };
    EXPECT_THROW(minimise(throws, {0.5}, {{0}, {1}}, 10), std::runtime_error);
}

}  // namespace
}  // namespace podsim
