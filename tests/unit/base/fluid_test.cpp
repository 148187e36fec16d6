#include "base/fluid.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

namespace podsim {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;

auto near(double value) {
    return DoubleNear(value, 1e-12);
}

TEST(Fluid, AloneNothingHoldsBackButItself) {
    EXPECT_THAT(max_min_speeds({}, 0), ElementsAre());
    EXPECT_THAT(max_min_speeds({{{}, 1}}, 0), ElementsAre(1.0));
    EXPECT_THAT(max_min_speeds({{{{0, 1.0}}, 3}}, 1), ElementsAre(1.0));
    EXPECT_THAT(max_min_speeds({{{{0, 0.0}}, 1}}, 1), ElementsAre(1.0));
    EXPECT_THAT(max_min_speeds({{{{0, 4.0}}, 1}}, 1), ElementsAre(near(0.25)));
    EXPECT_THAT(max_min_speeds({{{{0, 1.0}, {0, 1.0}}, 1}}, 1), ElementsAre(near(0.5)));
}

TEST(Fluid, OneResourceIsSharedByWeight) {
    // s = L for both: 2 L = 1
    EXPECT_THAT(max_min_speeds({{{{0, 1.0}}, 1}, {{{0, 1.0}}, 1}}, 1),
                ElementsAre(near(0.5), near(0.5)));
    // s = (L, 3 L): 4 L = 1
    EXPECT_THAT(max_min_speeds({{{{0, 1.0}}, 1}, {{{0, 1.0}}, 3}}, 1),
                ElementsAre(near(0.25), near(0.75)));
    // the second needs a tenth: s = (L, L), L + 0.1 L = 1 at L = 10/11
    EXPECT_THAT(max_min_speeds({{{{0, 1.0}}, 1}, {{{0, 0.1}}, 1}}, 1),
                ElementsAre(near(10.0 / 11), near(10.0 / 11)));
    // what one leaves, the other takes: the second stops at 1 using 0.2, the first gets 0.8
    EXPECT_THAT(max_min_speeds({{{{0, 1.0}}, 1}, {{{0, 0.2}}, 10}}, 1),
                ElementsAre(near(0.8), near(1.0)));
}

// A GEMM (matrix 1.0, HBM 0.3), an attention (matrix 0.2, HBM 0.9) and a transfer (HBM 0.1,
// port 1.0). All rise until HBM is full: 1.3 L = 1, L = 0.769..., matrix then holds 1.2 L < 1.
TEST(Fluid, SeveralResources) {
    const std::vector<FluidActivity> activities{
        {{{0, 1.0}, {1, 0.3}}, 1}, {{{0, 0.2}, {1, 0.9}}, 1}, {{{1, 0.1}, {2, 1.0}}, 1}};
    EXPECT_THAT(max_min_speeds(activities, 3),
                ElementsAre(near(1 / 1.3), near(1 / 1.3), near(1 / 1.3)));
    // a plane of the port dead: it carries half, the transfer stops at 0.5 and HBM goes on to
    // 0.05 + 1.2 L = 1, L = 0.79166...; the matrix unit holds 1.2 L = 0.95
    std::vector<FluidActivity> slower = activities;
    slower[2].usage[1].second = 2.0;
    EXPECT_THAT(max_min_speeds(slower, 3),
                ElementsAre(near(0.95 / 1.2), near(0.95 / 1.2), near(0.5)));
}

// The classic line of two links: a long flow over both, one short flow on each, capacities 1
// and 2 (usage 1/2 on the second). Long and first get 0.5; the second gets min(1, 2 - 0.5).
TEST(Fluid, LineOfTwoLinks) {
    const std::vector<FluidActivity> flows{
        {{{0, 1.0}, {1, 0.5}}, 1}, {{{0, 1.0}}, 1}, {{{1, 0.5}}, 1}};
    EXPECT_THAT(max_min_speeds(flows, 2), ElementsAre(near(0.5), near(0.5), near(1.0)));
}

TEST(Fluid, RefusesNonsense) {
    EXPECT_THROW(max_min_speeds({{{{1, 1.0}}, 1}}, 1), std::invalid_argument);
    EXPECT_THROW(max_min_speeds({{{{-1, 1.0}}, 1}}, 1), std::invalid_argument);
    EXPECT_THROW(max_min_speeds({{{{0, -0.1}}, 1}}, 1), std::invalid_argument);
    EXPECT_THROW(max_min_speeds({{{{0, std::nan("")}}, 1}}, 1), std::invalid_argument);
    EXPECT_THROW(max_min_speeds({{{{0, INFINITY}}, 1}}, 1), std::invalid_argument);
    EXPECT_THROW(max_min_speeds({{{}, 0}}, 1), std::invalid_argument);
    EXPECT_THROW(max_min_speeds({{{}, std::nan("")}}, 1), std::invalid_argument);
}

}  // namespace
}  // namespace podsim
