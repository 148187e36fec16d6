#include "sim/lifecycle.hpp"

namespace podsim {

double days_until_share(Usd training, Usd daily, double share) {
    return training / daily * (1 / share - 1);
}

std::vector<LifecyclePoint> lifecycle(const LifecycleSpec& spec, Usd daily, double tokens) {
    std::vector<LifecyclePoint> points;
    for (const double days : spec.days) {
        const Usd bill = spec.training + days * daily;
        const double written = days * tokens;
        points.push_back({days, bill.value(), spec.training / bill,
                          written > 0 ? bill.value() / written * 1e6 : 0});
    }
    return points;
}

}  // namespace podsim
