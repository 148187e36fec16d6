// What the power cap of a chip leaves of its clock under long matrix work. A chip may draw more
// than its cap for a while; then its controller lowers the clock until the matrix units do a
// certain share S of their peak, and kernels that would do more take longer:
//
//   t_sustained = max(t, work / (S x peak))
//   rate(x)     = s + (1 - s) exp(-x / r),  s = t / t_sustained
//
// after x of work on end, r being the controller's response. Work of t at full clock is done at x
// with  s x + (1 - s) r (1 - exp(-x / r)) = t.  Power follows the work of the matrix units, not
// their clock alone: a kernel that leaves them idle half of the time keeps its clock (measured:
// docs/calibration.md). Voltage falls with the clock too, so that S would be a little higher for
// busier kernels; the tables do not tell the two apart.
#pragma once

#include "base/units.hpp"
#include "chips/chip.hpp"

namespace podsim {

// How a kernel was timed: the mean of `timed` executions that follow `before` others without a
// pause, on a chip that had been at rest.
struct Repeats {
    double before = 0, timed = 1;
};

// Of a kernel that takes `time` at full clock, on a rank busy with such work for long. `matrix` is
// its work at the peak of the matrix units.
Seconds sustained_time(Seconds time, Seconds matrix, const RankHardware& hardware);

// The mean of repeated executions. Throws std::invalid_argument for none that are timed.
Seconds repeated_time(Seconds time, Seconds sustained, const RankHardware& hardware,
                      const Repeats& repeats);

}  // namespace podsim
