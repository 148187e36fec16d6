// The law of a unit's speed (workloads/stragglers.hpp), for those who put maxima together.
#pragma once

#include <cmath>
#include <numbers>

#include "workloads/stragglers.hpp"

namespace podsim {

inline double normal_below(double z) {
    return 0.5 * std::erfc(-z / std::numbers::sqrt2);
}

// Chance that a unit as usual takes no longer than x.
inline double usual_below(const UnitSpeed& speed, double x) {
    if (x <= 0) return 0;
    if (speed.deviation == 0) return x >= 1 ? 1 : 0;
    const double s = speed.deviation;
    return normal_below((std::log(x) + s * s / 2) / s);
}

// The same of any unit, with the share that is slow for good.
inline double unit_below(const UnitSpeed& speed, double x) {
    const double usual = usual_below(speed, x);
    if (speed.share == 0) return usual;
    return speed.share * usual_below(speed, x / speed.factor) + (1 - speed.share) * usual;
}

}  // namespace podsim
