#include "base/fluid.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace podsim {
namespace {

void require_valid(const std::vector<FluidActivity>& activities, int resources) {
    for (std::size_t i = 0; i < activities.size(); ++i) {
        if (!(activities[i].weight > 0.0) || !std::isfinite(activities[i].weight)) {
            throw std::invalid_argument(
                fmt::format("activity {}: weight {}", i, activities[i].weight));
        }
        for (const auto& [resource, share] : activities[i].usage) {
            const bool known = resource >= 0 && resource < resources;
            if (known && share >= 0.0 && std::isfinite(share)) continue;
            throw std::invalid_argument(fmt::format("activity {}: usage {} of resource {} of {}", i,
                                                    share, resource, resources));
        }
    }
}

}  // namespace

std::vector<double> max_min_speeds(const std::vector<FluidActivity>& activities, int resources) {
    require_valid(activities, resources);
    std::vector<double> speeds(activities.size(), 0.0);
    std::vector<std::size_t> rising(activities.size());
    for (std::size_t i = 0; i < rising.size(); ++i) rising[i] = i;
    // What those who stay use of each resource, and what those who rise use of it per level.
    const auto count = static_cast<std::size_t>(std::max(resources, 0));
    std::vector<double> held(count, 0.0), growth(count), full_at(count);

    double level = 0.0;
    while (!rising.empty()) {
        std::fill(growth.begin(), growth.end(), 0.0);
        double next = std::numeric_limits<double>::infinity();
        for (const std::size_t i : rising) {
            const FluidActivity& activity = activities[i];
            next = std::min(next, 1.0 / activity.weight);
            for (const auto& [resource, share] : activity.usage) {
                growth[static_cast<std::size_t>(resource)] += activity.weight * share;
            }
        }
        for (std::size_t r = 0; r < count; ++r) {
            full_at[r] = growth[r] > 0.0 ? (1.0 - held[r]) / growth[r]
                                         : std::numeric_limits<double>::infinity();
            next = std::min(next, full_at[r]);
        }
        // Rounding must not let the level fall; those within it of the next stop, stop there.
        level = std::max(level, next);
        const double reached = level * (1.0 + 1e-12);

        std::vector<std::size_t> still_rising;
        for (const std::size_t i : rising) {
            const FluidActivity& activity = activities[i];
            const bool at_full_speed = 1.0 / activity.weight <= reached;
            const bool held_back =
                std::any_of(activity.usage.begin(), activity.usage.end(), [&](const auto& use) {
                    return use.second > 0.0 &&
                           full_at[static_cast<std::size_t>(use.first)] <= reached;
                });
            if (!at_full_speed && !held_back) {
                still_rising.push_back(i);
                continue;
            }
            speeds[i] = at_full_speed ? 1.0 : activity.weight * level;
            for (const auto& [resource, share] : activity.usage) {
                held[static_cast<std::size_t>(resource)] += speeds[i] * share;
            }
        }
        rising = std::move(still_rising);
    }
    return speeds;
}

}  // namespace podsim
