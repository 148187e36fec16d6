// What a tiling of a product cannot be faster than, without a walk over its tiles: the recurrence
// of gemm_walk.cpp with every maximum replaced by one side of it.
#pragma once

#include <utility>
#include <vector>

#include "chips/core_spec.hpp"
#include "chips/tile_plan.hpp"

namespace podsim {

// Sums over the tiles of a tiling, whose cores are still open.
struct TilingBound {
    double count = 0, edges = 0;        // tiles, and those that are smaller than the others
    double start = 0, end = 0;          // latencies before the first panels, behind the last result
    double begin = 0;                   // of the first panels, or of L2 alone where ports bind
    double work = 0;                    // of matrix unit or port, whichever is longer, of all tiles
    double work_whole = 0;              // of a whole tile
    double work_least = 0, less = 0;    // of the smallest, and what all edges lack
    double rings = 0, rings_least = 0;  // likewise with the round trips over slots
    double tail = 0;                    // behind a core's last product
    double drains = 0, first = 0;       // of all tiles; before the first of them
    double memory = 0, cache = 0;       // seconds of the shared servers for all tiles
    double results = 0;                 // of `memory`, for the results of a whole tile
    double after = 0, after_least = 0;  // a last wave's last step and drain

    double with(long cores) const;
    double with_any(long most) const;  // so many cores or fewer
};

class GemmBound {
  public:
    GemmBound(const CoreStructure& core, const GemmWork& work);

    // Of a tile and a split, at any depth on any number of cores.
    double of_tile(const GemmTiling& tiling) const;
    TilingBound of(const GemmTiling& tiling) const;
    double tiles(const GemmTiling& tiling) const;

  private:
    const CoreStructure& core_;
    const GemmWork& work_;
    std::vector<std::pair<long, double>> groups_;  // rows, and how many groups have so many
    double operands_ = 0, results_ = 0;            // bytes
    double start_ = 0;
    std::vector<double> join_;  // seconds by the binary logarithm of the split

    template <class Use>
    void sizes(const GemmTiling& tiling, Use&& use) const;
    double join(long split) const;
};

}  // namespace podsim
