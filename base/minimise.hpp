// The least value of a function without derivatives inside a box.
#pragma once

#include <functional>
#include <vector>

namespace podsim {

struct Box {
    std::vector<double> low, high;
};

struct Minimum {
    std::vector<double> at;
    double value = 0;
};

// Subplex (Rowan 1990; NLopt's SBPLX): Nelder-Mead on subspaces, which stands the kinks of a model
// that takes a least over tilings. Stops after `evaluations` or when the value no longer moves by
// `tolerance` (relative). Deterministic. A NaN counts as infinitely bad. Throws
// std::invalid_argument: sizes that differ, low above high, a start outside the box, nothing to
// move.
Minimum minimise(const std::function<double(const std::vector<double>&)>& function,
                 const std::vector<double>& start, const Box& box, int evaluations,
                 double tolerance = 1e-6);

}  // namespace podsim
