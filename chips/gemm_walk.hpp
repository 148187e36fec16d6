// A walk over the tiles of a product on a core structure, wave by wave.
#pragma once

#include "chips/pipeline_cost.hpp"

namespace podsim {

// What tiles took; and the whole waves behind the first, as a pace to go on at.
struct Walked {
    PipelineTime time;
    double work = 0, pace = 0;  // seconds of matrix unit or port; how many pass for each
};

// How many times what is walked the whole product is.
struct Whole {
    double work = 1, bytes = 1;
};

// Operands once, and results where they are no partial sums.
double compulsory_bytes(const GemmWork& work, const GemmTiling& tiling);

// Given up, with an endless time, once matrix units or memory alone cannot be done with the rest
// before `limit`.
Walked walk_tiles(const CoreStructure& core, const GemmWork& work, const GemmTiling& tiling,
                  const Whole& whole, double limit);

}  // namespace podsim
