// How a kernel is cut for the structure of a core: tiles, their order, the steps along K, and how
// long the matrix unit and the ports are busy with each. Plain arithmetic that the SystemC pipeline
// (chips/npu) executes and its closed form (pipeline_cost) adds up; neither time nor contention.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "chips/core_spec.hpp"
#include "program/operator.hpp"

namespace podsim {

// Products of one kernel: group g is C[rows[g], n] = A[rows[g], k] B_g[k, n].
struct GemmWork {
    std::vector<long> rows;
    long n = 0, k = 0;
    double a = 2, b = 2, c = 2;  // bytes of an element
    DType format = DType::bf16;  // that the matrix unit executes
};
// `format` is what the chip executes the product in (executed_format).
GemmWork gemm_work(const Gemm& gemm, DType format);

struct GemmTiling {
    long rows = 0, columns = 0;  // of a tile of sums
    long depth = 0;              // of one step along K
    long split = 1;              // slices of K, added up in a second phase
    long accumulators = 1;       // tiles of sums in work at once
    long stages = 2;             // panels in level 1
    long cores = 1;              // in use
    long band = 1;               // rows of tiles that are walked together
    std::string text() const;    // "128x256x64 split 2 ..."
    bool same_tile(const GemmTiling& other) const {
        return rows == other.rows && columns == other.columns && split == other.split;
    }
};

// One tile of one slice of K. `a_panel` and `b_panel` number the operands' panels (of a slice):
// tiles with the same number read the same bytes.
struct Tile {
    long rows = 0, columns = 0, depth = 0;
    long a_panel = 0, b_panel = 0;
};

// In the order in which they are dealt out, a wave of one tile a core after another; from wave to
// wave by one core on, so that tiles at an edge fall to all of them. Bands of `band` rows of tiles
// are walked column by column, so that tiles at work together share panels.
inline long core_of(long tile, long cores) {
    return (tile + tile / cores) % cores;
}
inline long tile_of(long core, long wave, long cores) {
    return wave * cores + ((core - wave) % cores + cores) % cores;
}
template <class Use>
void for_each_tile(const GemmWork& work, const GemmTiling& tiling, Use&& use) {
    const auto ceil_div = [](long a, long b) { return (a + b - 1) / b; };
    const long across = ceil_div(work.n, tiling.columns);
    const long slice = ceil_div(work.k, tiling.split);
    long a_first = 0, b_first = 0;
    for (const long rows : work.rows) {
        const long down = ceil_div(rows, tiling.rows);
        for (long band = 0; band < down; band += tiling.band) {
            const long end = std::min(down, band + tiling.band);
            for (long column = 0; column < across; ++column) {
                for (long row = band; row < end; ++row) {
                    for (long part = 0; part * slice < work.k; ++part) {
                        use(Tile{std::min(tiling.rows, rows - row * tiling.rows),
                                 std::min(tiling.columns, work.n - column * tiling.columns),
                                 std::min(slice, work.k - part * slice),
                                 a_first + row * tiling.split + part,
                                 b_first + column * tiling.split + part});
                    }
                }
            }
        }
        a_first += down * tiling.split;
        b_first += across * tiling.split;
    }
}
std::vector<Tile> tiles_of(const GemmWork& work, const GemmTiling& tiling);
double tile_count(const GemmWork& work, const GemmTiling& tiling);

// The matrix unit's time for one step: rows x columns x depth.
struct MatrixStep {
    double cycles = 0;    // unit or its feed, whichever is longer
    double start_up = 0;  // cycles until the first operands are in when the pipeline ran empty
    double drain = 0;     // cycles from the last operand to the last sum (a systolic array's)
};
MatrixStep matrix_step(const CoreStructure& core, DType format, long rows, long columns, long depth,
                       double a_bytes, double b_bytes);

// Whether the buffers hold it: sums in the accumulator, panels in level 1, an instruction in level
// 0.
bool fits(const CoreStructure& core, const GemmWork& work, const GemmTiling& tiling);

// Tile sizes that the unit's shape suggests, ascending, up to the first that covers `size`.
std::vector<long> tile_sizes(long unit, long size, long largest);
// Depths of a step: whole instructions, ascending.
std::vector<long> step_depths(const CoreStructure& core, const GemmWork& work);

// Bytes that a panel of one step occupies and moves.
inline double step_bytes(const GemmWork& work, long rows, long columns, long depth) {
    return static_cast<double>(depth) *
           (static_cast<double>(rows) * work.a + static_cast<double>(columns) * work.b);
}

// Sums leave through the drain in 4 bytes and reach L2 in the result's format: the slower of both.
double drain_cycles(const CoreStructure& core, double elements, double bytes_per_element);

}  // namespace podsim
