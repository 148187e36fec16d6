#include "base/statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

namespace podsim {
namespace {

TEST(Statistics, Means) {
    EXPECT_DOUBLE_EQ(mean({1, 2, 6}), 3.0);
    EXPECT_THROW(mean({}), std::invalid_argument);
    EXPECT_THROW(mean({1, std::nan("")}), std::invalid_argument);
}

// Of 1, 2 and 6 around 3: sqrt((4 + 1 + 9) / (3 x 2)).
TEST(Statistics, StandardErrorOfAMean) {
    EXPECT_DOUBLE_EQ(standard_error({1, 2, 6}), std::sqrt(14.0 / 6));
    EXPECT_DOUBLE_EQ(standard_error({5}), 0.0);
    EXPECT_THROW(standard_error({}), std::invalid_argument);
}

TEST(Statistics, PercentilesAreLinearBetweenOrderStatistics) {
    // n = 4: h = 3 p / 100; p = 50 gives h = 1.5, half way from 20 to 30
    const std::vector<double> values{40, 10, 30, 20};
    EXPECT_DOUBLE_EQ(percentile(values, 50), 25.0);
    EXPECT_DOUBLE_EQ(percentile(values, 0), 10.0);
    EXPECT_DOUBLE_EQ(percentile(values, 100), 40.0);
    EXPECT_DOUBLE_EQ(percentile(values, 90), 37.0);  // h = 2.7
    EXPECT_DOUBLE_EQ(percentile({5}, 99), 5.0);
    EXPECT_THROW(percentile({}, 50), std::invalid_argument);
    EXPECT_THROW(percentile({1}, 101), std::invalid_argument);
    EXPECT_THROW(percentile({1}, -1), std::invalid_argument);
    EXPECT_THROW(percentile({std::nan("")}, 50), std::invalid_argument);
}

TEST(Statistics, ErrorsAreFractionsOfThePublishedValue) {
    EXPECT_DOUBLE_EQ(relative_error(105, 100), 0.05);
    EXPECT_DOUBLE_EQ(relative_error(90, 100), -0.1);
    EXPECT_THROW(relative_error(1, 0), std::invalid_argument);
    // errors +10 %, -20 %, +1 %: mean size 31/3 %, mean -3 %
    const std::vector<double> errors{0.10, -0.20, 0.01};
    EXPECT_DOUBLE_EQ(mape(errors), 0.31 / 3);
    EXPECT_DOUBLE_EQ(bias(errors), -0.03);
    EXPECT_DOUBLE_EQ(worst(errors), -0.20);
    EXPECT_THROW(mape({}), std::invalid_argument);
    EXPECT_THROW(bias({}), std::invalid_argument);
    EXPECT_THROW(worst({}), std::invalid_argument);
}

}  // namespace
}  // namespace podsim
