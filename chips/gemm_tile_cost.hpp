// What one tile of a product costs a core, whoever runs beside it.
#pragma once

#include <deque>

#include "chips/core_spec.hpp"
#include "chips/tile_plan.hpp"

namespace podsim {

struct TileCost {
    Tile tile;
    double steps = 0, step = 0, start_up = 0, multiply = 0;  // seconds
    double a_bytes = 0, b_bytes = 0;                         // of all steps
    double drain = 0, skew = 0, sums = 0;
    double ahead = 0;  // share of its panels that is loaded beside the tile before
};

// Of a size of tile of this tiling.
TileCost tile_cost(const CoreStructure& core, const GemmWork& work, const GemmTiling& tiling,
                   const Tile& tile);

// A burst sets out when it and those under way are no more bytes than a core may have outstanding,
// A's and B's in turn: so many of them, one at least.
double bursts_in_flight(double outstanding, const TileCost& cost);

// Of a tiling's few sizes of tiles, each worked out once.
class TileCosts {
  public:
    TileCosts(const CoreStructure& core, const GemmWork& work, const GemmTiling& tiling)
        : core_(core), work_(work), tiling_(tiling) {}

    const TileCost& of(const Tile& tile);

  private:
    const CoreStructure& core_;
    const GemmWork& work_;
    const GemmTiling& tiling_;
    std::deque<TileCost> known_;  // what was handed out stays where it is
    const TileCost* last_ = nullptr;
};

}  // namespace podsim
