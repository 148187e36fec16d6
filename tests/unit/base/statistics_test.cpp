#include "base/statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

namespace podsim {
namespace {

TEST(Statistics, Means) {
    EXPECT_DOUBLE_EQ(mean({1, 2, 6}), 3.0);
    EXPECT_DOUBLE_EQ(geometric_mean({2, 8}), 4.0);  // sqrt(16)
    EXPECT_THROW(mean({}), std::invalid_argument);
    EXPECT_THROW(mean({1, std::nan("")}), std::invalid_argument);
    EXPECT_THROW(geometric_mean({}), std::invalid_argument);
    EXPECT_THROW(geometric_mean({1, 0}), std::invalid_argument);
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

TEST(TimeWeighted, IntegratesALevelOverTime) {
    TimeWeighted queue("queue", "requests waiting", "requests", Seconds(1));
    queue.set(Seconds(2), 4);   // 0 for 1 s
    queue.add(Seconds(5), -3);  // 4 for 3 s
    // 1 for 5 s: 0 + 12 + 5 = 17, over 9 s
    EXPECT_DOUBLE_EQ(queue.integral(Seconds(10)), 17.0);
    EXPECT_DOUBLE_EQ(queue.mean(Seconds(10)), 17.0 / 9);
    EXPECT_DOUBLE_EQ(queue.level(), 1.0);
    EXPECT_DOUBLE_EQ(queue.peak(), 4.0);
    EXPECT_EQ(queue.name(), "queue");
    EXPECT_EQ(queue.description(), "requests waiting");
    EXPECT_EQ(queue.unit(), "requests");
}

TEST(TimeWeighted, LevelsOfAnInstantLeaveNoTrace) {
    TimeWeighted use("matrix", "share in use", "", Seconds(0), 0.5);
    EXPECT_DOUBLE_EQ(use.mean(Seconds(0)), 0.5);
    use.set(Seconds(1), 2.0);
    use.set(Seconds(1), 0.25);
    EXPECT_DOUBLE_EQ(use.peak(), 0.5);
    EXPECT_DOUBLE_EQ(use.integral(Seconds(3)), 1.0);
    use.add(Seconds(3), 0.5);
    EXPECT_DOUBLE_EQ(use.peak(), 0.75);
    EXPECT_THROW(use.set(Seconds(2), 1), std::logic_error);
    EXPECT_THROW(use.set(Seconds(std::nan("")), 1), std::logic_error);
    EXPECT_THROW(use.integral(Seconds(2)), std::logic_error);
}

}  // namespace
}  // namespace podsim
