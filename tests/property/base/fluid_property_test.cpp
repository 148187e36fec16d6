#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>

#include "base/fluid.hpp"

namespace podsim {
namespace {

constexpr double slack = 1e-9;

std::vector<FluidActivity> any_activities(int resources) {
    std::vector<FluidActivity> activities(static_cast<std::size_t>(*rc::gen::inRange(1, 20)));
    for (FluidActivity& activity : activities) {
        activity.weight = *rc::gen::inRange(1, 2000) / 100.0;
        const int uses = *rc::gen::inRange(0, 4);
        for (int k = 0; k < uses; ++k) {
            activity.usage.emplace_back(*rc::gen::inRange(0, resources),
                                        *rc::gen::inRange(0, 3000) / 1000.0);
        }
    }
    return activities;
}

std::vector<double> loads(const std::vector<FluidActivity>& activities,
                          const std::vector<double>& speeds, int resources) {
    std::vector<double> load(static_cast<std::size_t>(resources), 0.0);
    for (std::size_t i = 0; i < activities.size(); ++i) {
        for (const auto& [r, u] : activities[i].usage) {
            load[static_cast<std::size_t>(r)] += u * speeds[i];
        }
    }
    return load;
}

// (1), (2) and (3) of the header, of which there is one solution only.
TEST(FluidProperty, SpeedsAreTheFairOnes) {
    EXPECT_TRUE(rc::check([] {
        const int resources = *rc::gen::inRange(1, 6);
        const auto activities = any_activities(resources);
        const auto speeds = max_min_speeds(activities, resources);
        const auto load = loads(activities, speeds, resources);
        for (const double each : load) RC_ASSERT(each <= 1.0 + slack);
        for (std::size_t i = 0; i < activities.size(); ++i) {
            RC_ASSERT(speeds[i] > 0.0);
            RC_ASSERT(speeds[i] <= 1.0);
            bool held = speeds[i] == 1.0;
            for (const auto& [r, u] : activities[i].usage) {
                if (u == 0.0 || load[static_cast<std::size_t>(r)] < 1.0 - slack) continue;
                double fastest = 0.0;
                for (std::size_t j = 0; j < activities.size(); ++j) {
                    for (const auto& [other, share] : activities[j].usage) {
                        if (other != r || share == 0.0) continue;
                        fastest = std::max(fastest, speeds[j] / activities[j].weight);
                    }
                }
                held = held || speeds[i] / activities[i].weight >= fastest * (1.0 - slack);
            }
            RC_ASSERT(held);
        }
    }));
}

TEST(FluidProperty, OrderAndScaleOfWeightsDoNotMatter) {
    EXPECT_TRUE(rc::check([] {
        const int resources = *rc::gen::inRange(1, 6);
        const auto activities = any_activities(resources);
        const auto speeds = max_min_speeds(activities, resources);

        auto turned = activities;
        std::reverse(turned.begin(), turned.end());
        auto again = max_min_speeds(turned, resources);
        std::reverse(again.begin(), again.end());

        auto scaled = activities;
        for (FluidActivity& activity : scaled) activity.weight *= 37.0;
        const auto same = max_min_speeds(scaled, resources);
        for (std::size_t i = 0; i < speeds.size(); ++i) {
            RC_ASSERT(std::abs(speeds[i] - again[i]) <= slack);
            RC_ASSERT(std::abs(speeds[i] - same[i]) <= slack);
        }
    }));
}

// A new activity slows some and may, by holding those back, speed up others; but the least
// speed per weight never rises.
TEST(FluidProperty, OneMoreNeverHelpsTheWorstOff) {
    EXPECT_TRUE(rc::check([] {
        const int resources = *rc::gen::inRange(1, 6);
        auto activities = any_activities(resources);
        const auto least = [&] {
            const auto speeds = max_min_speeds(activities, resources);
            double result = 1e300;
            for (std::size_t i = 0; i < activities.size(); ++i) {
                result = std::min(result, speeds[i] / activities[i].weight);
            }
            return result;
        };
        const double before = least();
        activities.push_back(any_activities(resources).front());
        RC_ASSERT(least() <= before * (1.0 + slack));
    }));
}

}  // namespace
}  // namespace podsim
