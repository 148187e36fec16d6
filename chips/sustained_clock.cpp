#include "chips/sustained_clock.hpp"

#include <cmath>
#include <stdexcept>

namespace podsim {

namespace {

// How long what takes `work` at full clock takes from rest: Newton's method on a function that
// rises ever more slowly. Its tangents lie above it, so that no step passes the answer.
double time_from_rest(double work, double share, double response) {
    double x = work;
    for (int step = 0; step < 100; ++step) {
        const double decay = std::exp(-x / response);
        const double done = share * x + (1 - share) * response * (1 - decay);
        const double next = x + (work - done) / (share + (1 - share) * decay);
        if (!(next > x * (1 + 1e-13))) return x;
        x = next;
    }
    return x;
}

}  // namespace

Seconds sustained_time(Seconds time, Seconds matrix, const RankHardware& hardware) {
    return max(time, matrix / hardware.sustained_matrix);
}

Seconds repeated_time(Seconds time, Seconds sustained, const RankHardware& hardware,
                      const Repeats& repeats) {
    if (!(repeats.timed > 0 && repeats.before >= 0))
        throw std::invalid_argument("at least one execution has to be timed");
    if (!(sustained > time) || !(time > Seconds(0.0))) return time;
    const double response = hardware.power_response.value();
    if (!(response > 0)) return sustained;
    const double share = time / sustained;
    const auto from_rest = [&](double executions) {
        return time_from_rest(executions * time.value(), share, response);
    };
    return Seconds((from_rest(repeats.before + repeats.timed) - from_rest(repeats.before)) /
                   repeats.timed);
}

}  // namespace podsim
