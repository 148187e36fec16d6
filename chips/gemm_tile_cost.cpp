#include "chips/gemm_tile_cost.hpp"

#include <algorithm>
#include <cmath>

namespace podsim {

namespace {

double as_double(long value) {
    return static_cast<double>(value);
}

bool same_size(const Tile& a, const Tile& b) {
    return a.rows == b.rows && a.columns == b.columns && a.depth == b.depth;
}

}  // namespace

TileCost tile_cost(const CoreStructure& core, const GemmWork& work, const GemmTiling& tiling,
                   const Tile& tile) {
    TileCost cost;
    cost.tile = tile;
    const long whole = tile.depth / tiling.depth;
    const long rest = tile.depth % tiling.depth;
    const auto step = [&](long depth) {
        return matrix_step(core, work.format, tile.rows, tile.columns, depth, work.a, work.b);
    };
    const MatrixStep full = step(whole > 0 ? tiling.depth : rest);
    cost.steps = as_double(whole + (rest > 0 ? 1 : 0));
    cost.step = full.cycles / core.clock;
    cost.start_up = full.start_up / core.clock;
    cost.skew = full.drain / core.clock;
    cost.multiply =
        (as_double(whole) * full.cycles + (rest > 0 && whole > 0 ? step(rest).cycles : 0)) /
        core.clock;
    if (whole == 0) cost.multiply = cost.step;
    cost.a_bytes = as_double(tile.rows) * as_double(tile.depth) * work.a;
    cost.b_bytes = as_double(tile.columns) * as_double(tile.depth) * work.b;
    cost.sums = as_double(tile.rows) * as_double(tile.columns);
    cost.ahead = std::min(1.0, as_double(tiling.stages) / cost.steps);
    cost.drain = drain_cycles(core, cost.sums, tiling.split > 1 ? 4 : work.c) / core.clock;
    return cost;
}

const TileCost& TileCosts::of(const Tile& tile) {
    if (last_ != nullptr && same_size(last_->tile, tile)) return *last_;
    last_ = nullptr;
    for (const TileCost& known : known_) {
        if (same_size(known.tile, tile)) last_ = &known;
    }
    if (last_ == nullptr) {
        known_.push_back(tile_cost(core_, work_, tiling_, tile));
        last_ = &known_.back();
    }
    return *last_;
}

double bursts_in_flight(double outstanding, const TileCost& cost) {
    const double a = cost.a_bytes / cost.steps, b = cost.b_bytes / cost.steps;
    const double pairs = std::floor(outstanding / (a + b));
    const double rest = outstanding - pairs * (a + b);
    double bursts = 2 * pairs;
    if (rest >= std::min(a, b)) bursts += rest >= std::max(a, b) ? 1 : 0.5;
    return std::max(bursts, 1.0);
}

}  // namespace podsim
