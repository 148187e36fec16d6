#include "workloads/autoscaling.hpp"

#include <algorithm>
#include <cmath>

namespace podsim {

namespace {

constexpr double kRounding = 1e-9;

template <class Entries>
void forget_before(Entries& entries, double when) {
    while (entries.size() > 1 && entries.front().first < when - kRounding) entries.pop_front();
}

}  // namespace

Autoscaler::Autoscaler(AutoscalingRule rule, int most) : rule_(rule), most_(most) {
    wanted_.emplace_back(0.0, rule.initial_replicas);
}

int Autoscaler::look(Seconds now, double load, int replicas) {
    const double time = now.value();
    loads_.emplace_back(time, load);
    // A look stands for the interval before it.
    forget_before(loads_, time - rule_.look_back.value() + rule_.interval.value());
    double mean = 0;
    for (const auto& [when, one] : loads_) mean += one / static_cast<double>(loads_.size());

    int wanted = static_cast<int>(
        std::min(std::ceil(mean / rule_.target - kRounding), static_cast<double>(most_)));
    const double full = rule_.target * replicas;
    if (replicas > 0 && std::abs(mean / full - 1) <= rule_.tolerance) wanted = replicas;
    // However little there is to do, somebody has to do it.
    wanted = std::clamp(wanted, std::max(rule_.min_replicas, mean > 0 ? 1 : 0), most_);

    wanted_.emplace_back(time, wanted);
    const double longest = std::max(rule_.scale_up_delay, rule_.scale_down_delay).value();
    forget_before(wanted_, time - longest);
    int up = wanted, down = wanted;
    for (const auto& [when, one] : wanted_) {
        if (when >= time - rule_.scale_up_delay.value() - kRounding) up = std::min(up, one);
        if (when >= time - rule_.scale_down_delay.value() - kRounding) down = std::max(down, one);
    }
    return replicas < up ? up : std::max(std::min(replicas, down), rule_.min_replicas);
}

}  // namespace podsim
