// The kernel of a fused exchange as one rank's chip sees it: what its products and the vector work
// between them ask of cores and memory. What they wait for on the links is not the chip's to know;
// whoever knows both joins them (sim/fused_exchange_cost.hpp).
#pragma once

#include <vector>

#include "chips/cost.hpp"
#include "program/operator.hpp"

namespace podsim {

// Products of the rank's groups, each with the same groups, and vector work between them.
struct FusedStages {
    std::vector<OperatorBody> bodies;
    double on_chip = 0;        // bytes of their compulsory traffic that never reach memory
    double row_deviation = 0;  // standard deviation of the rows of a group
};

struct FusedKernelCost {
    // Everything but `time`, which the links have a say in: launch, work and traffic, and on what
    // that rests. hbm_time is at the bandwidth that the library attains.
    OperatorCost kernel;
    Seconds cores{0.0};          // the tiles of all products, over all cores
    Seconds vector_units{0.0};   // the vector work at the rate the library attains
    BytesPerSecond memory{0.0};  // the bandwidth that the library attains
    double chunks = 1;           // pieces in which groups follow each other through the kernel
};

// Throws std::invalid_argument where the library has no fused kernels of the format, where the chip
// cannot compute it, where the accumulator holds no tile, for a core share outside (0, 1].
FusedKernelCost fused_kernel_cost(const FusedStages& stages, const RankHardware& hardware,
                                  const KernelLibrarySpec& library, Fidelity fidelity,
                                  double core_share);

// Rows of tiles that `groups` need whose rows have this mean and standard deviation, all of the
// `active` ones one at least: active + groups sum over j >= 1 of P(rows > j tile), rows taken as
// normal. Without deviation groups ceil(mean / tile).
double expected_tile_rows(double groups, double active, double mean, double deviation, long tile);

}  // namespace podsim
