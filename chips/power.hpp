// How fast a chip may go under its power cap. At a share f of its clock a chip that does dynamic
// work draws
//
//   P(f) = P_static + P_memory + P_dynamic f^alpha,
//
// voltage falling with the clock (alpha 2 to 3). Above the cap its controller settles at
//
//   f = ((cap - P_static - P_memory) / P_dynamic)^(1 / alpha);
//
// what the clock bounds slows down, memory does not. What the best product can do for long is then
// S = u f of the peak, u being the share that it reaches at full clock: the chip's sustained rate.
// Where the best product stays below the cap, S is the share at which one would draw it at full
// clock, at most 1: the same u at the cap's edge, so that nothing jumps there.
#pragma once

#include "base/units.hpp"
#include "chips/chip.hpp"
#include "chips/energy.hpp"

namespace podsim {

// Of a package.
struct PowerDraw {
    Watts fixed{0.0};    // static, and traffic of memory and links
    Watts dynamic{0.0};  // of all that follows the clock, at full clock
    Watts total() const { return fixed + dynamic; }
};

// Share of the full clock that the cap leaves, at most 1. A chip whose fixed power fills the cap
// crawls at the floor of 0.1: below that clocks are gated, which is not modelled.
double clock_share(const PowerDraw& draw, Watts cap, double alpha);

// Of a product of 8192^3 in 16-bit (or the chip's widest narrower format) that keeps the matrix
// units busy at `share` of their peak, at full clock.
PowerDraw product_draw(const ChipSpec& chip, const Energies& energies, double share);

// S: the share of the matrix peak that the best product sustains.
double sustained_share(const ChipSpec& chip, const Energies& energies);

// The format of that product.
DType product_format(const ChipSpec& chip);

// All energies and power at rest at the low end of their bands (end < 0) or the high one (end > 0).
Energies at_end(Energies energies, int end);

// Energy of work that takes `matrix_time` at full clock and `time` at the clock it got: a slower
// clock is a lower voltage.
Joules at_clock(Joules at_full_clock, double clock, double alpha);

}  // namespace podsim
