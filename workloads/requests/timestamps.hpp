// Times of a coarse clock, made arrivals of.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "workloads/requests/rows.hpp"

namespace podsim {

using RowFunction = std::function<bool(TraceRow&)>;

// What the gaps between the first rows say of the clock.
struct ClockStep {
    std::int64_t step = 0;  // ns, the smallest gap that is not zero
    double zero_gaps = 0;   // share of gaps
    bool coarse() const { return zero_gaps > 0.1 && step >= 10'000'000; }
};
ClockStep clock_step(const RowFunction& rows);

// Rows of one time t spread over [t, t + w), where w is the step, or the time to the next row where
// that is less: the i-th of n at t + i w / n, or n sorted draws. Throws InputError: more than a
// million rows of one time.
RowFunction spread_times(RowFunction rows, std::int64_t step, Timestamps how, std::uint64_t seed,
                         const std::string& path);

}  // namespace podsim
