// A product on a core structure: all of its tiles walked, or so many of them as give the pace of
// the rest, and what adds up partial sums.
#include <algorithm>

#include "chips/gemm_bound.hpp"
#include "chips/gemm_walk.hpp"
#include "chips/pipeline_cost.hpp"

namespace podsim {

namespace {

double as_double(long value) {
    return static_cast<double>(value);
}

}  // namespace

PipelineTime join_time(const CoreStructure& core, const GemmWork& work, long split) {
    double sums = 0;
    for (const long rows : work.rows) sums += as_double(rows) * as_double(work.n);
    const double partial = sums * 4 * as_double(split);
    const bool cold = partial > core.path.l2_bytes;
    const VectorPlan second =
        vector_plan(core, partial, sums * work.c, sums * as_double(split), cold);
    return vector_time(core, second, cold);
}

namespace {

// More tiles than this are a steady state: some of them give the pace of the rest.
constexpr double kMostTiles = 20000;

double tiles_for_pace(const GemmTiling& tiling) {
    constexpr double least = 2000, of_core = 64;
    return std::max(least, of_core * as_double(tiling.cores));
}

// Without what adds up the partial sums of slices of K.
PipelineTime products_time(const CoreStructure& core, const GemmWork& work,
                           const GemmTiling& tiling, double limit) {
    const double count = tile_count(work, tiling), most = tiles_for_pace(tiling);
    if (count <= std::max(kMostTiles, most)) return walk_tiles(core, work, tiling, {}, limit).time;
    if (tiling.split > 2) {
        // Slices are products of their own beside each other: fewer of them with as much of L2
        // each.
        GemmWork part = work;
        GemmTiling less = tiling;
        CoreStructure smaller = core;
        const long slice = (work.k + tiling.split - 1) / tiling.split;
        less.split = std::max(2L, static_cast<long>(as_double(tiling.split) * most / count));
        part.k = less.split * slice;
        smaller.path.l2_bytes *= as_double(part.k) / as_double(work.k);
        if (part.k < work.k) {
            const double times = as_double(work.k) / as_double(part.k);
            PipelineTime time = products_time(smaller, part, less, limit / times);
            time.seconds *= times;
            time.memory_bytes *= times;
            time.l2_bytes *= times;
            return time;
        }
    }
    // Fewer groups; of one group fewer rows, then fewer columns.
    GemmWork part = work;
    const double share = most / count;
    const auto cut = [](long size, double to, long tile) {
        const auto tiles = static_cast<long>(as_double(size) * to / as_double(tile));
        return std::min(size, std::max(1L, tiles) * tile);
    };
    if (part.rows.size() > 1) {
        const auto groups =
            static_cast<std::size_t>(as_double(static_cast<long>(part.rows.size())) * share);
        part.rows.resize(std::max<std::size_t>(1, groups));
    }
    // Whole bands: what L2 holds of the first operand from column to column is a band's. Two of
    // them where it holds the second operand from band to band.
    const long band_rows = tiling.band * tiling.rows;
    const double second = as_double(work.n) * as_double(work.k) * work.b;
    const double band_bytes = as_double(band_rows) * as_double(work.k) * work.a;
    const bool holds = second + band_bytes <= core.path.l2_bytes;
    for (long& rows : part.rows) {
        const double rest = most / tile_count(part, tiling);
        if (rest < 1)
            rows = std::min(
                rows, std::max(cut(rows, rest, band_rows), holds ? 2 * band_rows : band_rows));
    }
    const double rest = most / tile_count(part, tiling);
    if (rest < 1) part.n = cut(part.n, rest, tiling.columns);
    // Tiles at the edges take nearly as long as whole ones, and move fewer bytes.
    const auto busy = [&](const GemmWork& product) {
        return GemmBound(core, product).of(tiling).work;
    };
    const Whole whole{busy(work) / busy(part),
                      compulsory_bytes(work, tiling) / compulsory_bytes(part, tiling)};
    const Walked walked = walk_tiles(core, part, tiling, whole, limit);
    PipelineTime time = walked.time;
    // What is fetched once is; what L2 loses is fetched again at the pace of the work.
    const double once = compulsory_bytes(part, tiling);
    time.memory_bytes = once * whole.bytes + std::max(0.0, time.memory_bytes - once) * whole.work;
    time.l2_bytes *= whole.work;
    time.seconds = std::max(time.seconds + walked.pace * walked.work * (whole.work - 1),
                            core.path.resident ? 0 : time.memory_bytes / core.path.memory_rate);
    return time;
}

}  // namespace

// The partial sums are those of the whole product, however few of its tiles were walked: what of
// them L2 does not hold comes back from memory.
PipelineTime gemm_time(const CoreStructure& core, const GemmWork& work, const GemmTiling& tiling,
                       double limit) {
    PipelineTime time = products_time(core, work, tiling, limit);
    if (tiling.split == 1) return time;
    const PipelineTime joined = join_time(core, work, tiling.split);
    time.seconds += joined.seconds;
    time.memory_bytes += joined.memory_bytes;
    time.l2_bytes += joined.l2_bytes;
    return time;
}

}  // namespace podsim
