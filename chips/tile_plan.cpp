#include "chips/tile_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace podsim {

namespace {

long ceil_div(long a, long b) {
    return (a + b - 1) / b;
}
double as_double(long value) {
    return static_cast<double>(value);
}

// Depth of one cycle of the unit in a format, as its rate says.
long unit_depth(const MatrixUnit& unit, DType format) {
    const double area = as_double(unit.rows) * as_double(unit.columns) * as_double(unit.arrays);
    return std::max(1L, std::lround(unit.macs_per_cycle.at(format) / area));
}

}  // namespace

GemmWork gemm_work(const Gemm& gemm, DType format) {
    GemmWork work;
    work.rows.assign(static_cast<std::size_t>(gemm.groups), gemm.m);
    for (long g = 0; g < gemm.longer_groups; ++g) ++work.rows[static_cast<std::size_t>(g)];
    work.n = gemm.n;
    work.k = gemm.k;
    work.a = bytes_of(gemm.a);
    work.b = bytes_of(gemm.b);
    work.c = bytes_of(gemm.c);
    work.format = format;
    return work;
}

std::string GemmTiling::text() const {
    std::string name = fmt::format("{} x {} x {}", rows, columns, depth);
    if (split > 1) name += fmt::format(", split {}", split);
    return name + fmt::format(", {} stages, {} accumulator{}, {} cores, band {}", stages,
                              accumulators, accumulators == 1 ? "" : "s", cores, band);
}

std::vector<Tile> tiles_of(const GemmWork& work, const GemmTiling& tiling) {
    std::vector<Tile> tiles;
    tiles.reserve(static_cast<std::size_t>(tile_count(work, tiling)));
    for_each_tile(work, tiling, [&](const Tile& tile) { tiles.push_back(tile); });
    return tiles;
}

double tile_count(const GemmWork& work, const GemmTiling& tiling) {
    double down = 0;
    for (const long rows : work.rows) down += as_double(ceil_div(rows, tiling.rows));
    const long slice = ceil_div(work.k, tiling.split);
    return down * as_double(ceil_div(work.n, tiling.columns)) * as_double(ceil_div(work.k, slice));
}

MatrixStep matrix_step(const CoreStructure& core, DType format, long rows, long columns, long depth,
                       double a_bytes, double b_bytes) {
    const MatrixUnit& unit = core.matrix;
    MatrixStep step;
    const long padded_rows = std::max(rows, unit.minimum_rows);
    if (unit.dataflow == Dataflow::weight_stationary) {
        // More rows than one enter at once where a format is faster than the shape says, and fewer
        // where it is slower.
        const double area = as_double(unit.rows) * as_double(unit.columns) * as_double(unit.arrays);
        const long streamed = static_cast<long>(
            std::ceil(as_double(padded_rows) * area / unit.macs_per_cycle.at(format)));
        const long loaded = ceil_div(unit.rows, unit.weight_rows);
        const long weights =
            ceil_div(ceil_div(depth, unit.rows) * ceil_div(columns, unit.columns), unit.arrays);
        const long skew = unit.rows + unit.columns - 2;
        const long each =
            unit.double_buffered_weights ? std::max(streamed, loaded) : loaded + streamed + skew;
        step.cycles = as_double(weights * (each + unit.issue_cycles));
        step.start_up = unit.double_buffered_weights ? as_double(loaded) : 0;
        step.drain = unit.double_buffered_weights ? as_double(skew) : 0;
        return step;
    }
    const long deep = unit_depth(unit, format);
    const long r = ceil_div(padded_rows, unit.rows) * unit.rows;
    const long c = ceil_div(ceil_div(columns, unit.columns), unit.arrays) * unit.columns;
    const long d = ceil_div(depth, deep) * deep;
    const double busy =
        as_double(r / unit.rows) * as_double(c / unit.columns) * as_double(d / deep);
    if (!(core.buffers.level0_a > 0)) {
        step.cycles = busy + as_double(unit.issue_cycles);
        return step;
    }
    // An instruction's operands fill half of each level-0 buffer while the other half is in use.
    const double a_deep = core.buffers.level0_a / 2 / (as_double(r) * a_bytes);
    const double b_deep = core.buffers.level0_b / 2 / (as_double(c) * b_bytes);
    const long whole = static_cast<long>(std::min(a_deep, b_deep)) / deep * deep;
    const double instructions = as_double(ceil_div(d, std::max(deep, whole)));
    const double feed = std::max(as_double(r * d) * a_bytes / core.buffers.level0_a_rate,
                                 as_double(c * d) * b_bytes / core.buffers.level0_b_rate);
    step.cycles = std::max(busy + instructions * as_double(unit.issue_cycles), feed);
    step.start_up = feed * as_double(deep) / as_double(d);  // the first may be cut short
    return step;
}

bool fits(const CoreStructure& core, const GemmWork& work, const GemmTiling& tiling) {
    const double sums = 4.0 * as_double(tiling.rows) * as_double(tiling.columns);
    if (sums * as_double(tiling.accumulators) > core.buffers.accumulator) return false;
    const double panels = step_bytes(work, tiling.rows, tiling.columns, tiling.depth);
    if (panels * as_double(tiling.stages) > core.buffers.level1) return false;
    if (!(core.buffers.level0_a > 0)) return true;
    const double deep = as_double(unit_depth(core.matrix, work.format));
    return 2 * as_double(tiling.rows) * deep * work.a <= core.buffers.level0_a &&
           2 * as_double(tiling.columns) * deep * work.b <= core.buffers.level0_b;
}

std::vector<long> tile_sizes(long unit, long size, long largest) {
    std::vector<long> sizes;
    for (long times = 1; unit * times <= std::max(largest, unit); times *= 2) {
        for (const long part : {times, times + times / 2}) {
            if ((part == times && times > 1) || times == 1 || times % 2 == 0) {
                if (!sizes.empty() && sizes.back() >= unit * part) continue;
                sizes.push_back(unit * part);
                if (unit * part >= size) return sizes;
            }
        }
    }
    return sizes;
}

std::vector<long> step_depths(const CoreStructure& core, const GemmWork& work) {
    const long base = core.matrix.dataflow == Dataflow::weight_stationary
                          ? core.matrix.rows
                          : std::max(unit_depth(core.matrix, work.format),
                                     static_cast<long>(64 / std::max(work.a, work.b)));
    std::vector<long> depths;
    for (long depth = base; depth <= 1024 || depths.empty(); depth *= 2) {
        depths.push_back(depth);
        if (depth >= work.k) break;
    }
    return depths;
}

double drain_cycles(const CoreStructure& core, double elements, double bytes_per_element) {
    return std::max(elements * 4 / core.buffers.drain,
                    elements * bytes_per_element / core.path.write);
}

}  // namespace podsim
