// The search for a product's tiling: every tile and number of cores that the buffers hold, in the
// order of what each cannot be faster than.
#include <algorithm>
#include <cmath>
#include <stdexcept>

#include <fmt/format.h>

#include "chips/pipeline_cost.hpp"

namespace podsim {

namespace {

double as_double(long value) {
    return static_cast<double>(value);
}

struct Candidate {
    GemmTiling tiling;
    double least = 0;  // it cannot be faster
};

// Matrix work, ports and memory, each alone.
double least_time(const CoreStructure& core, const GemmWork& work, const GemmTiling& tiling,
                  double count) {
    const long slice = (work.k + tiling.split - 1) / tiling.split;
    // In waves at least the last of which may hold nothing but edges.
    const MatrixStep whole = matrix_step(core, work.format, tiling.rows, tiling.columns,
                                         std::min(slice, tiling.depth), work.a, work.b);
    const double steps = std::floor(as_double(slice) / as_double(std::min(slice, tiling.depth)));
    const long last_slice = work.k - (tiling.split - 1) * slice;
    double elements = 0, rows = 0;
    for (const long each : work.rows) {
        rows += as_double(each);
        elements += as_double(each) * as_double(work.n);
    }
    const double macs = elements * as_double(work.k);
    const double peak = core.matrix.macs_per_cycle.at(work.format) * core.clock;
    const double busy = macs / peak / as_double(tiling.cores);
    const double groups = as_double(static_cast<long>(work.rows.size()));
    const double operands =
        rows * as_double(work.k) * work.a + groups * as_double(work.n) * as_double(work.k) * work.b;
    const double memory =
        core.path.resident ? 0 : (operands + elements * work.c) / core.path.memory_rate;
    // Each tile reads its own panels.
    const double loads =
        elements * as_double(work.k) *
        (work.a / as_double(std::min(tiling.columns, work.n)) + work.b / as_double(tiling.rows));
    const double port = loads / (core.path.read * core.clock) / as_double(tiling.cores);
    const double one = steps * whole.cycles / core.clock;
    // A latency for every ring of slots.
    const MemoryPath& path = core.path;
    const double rings =
        std::floor(count / as_double(tiling.cores)) *
        std::floor(as_double(last_slice / tiling.depth) / as_double(tiling.stages + 1)) *
        path.l2_latency;
    const double ends =
        path.l2_latency + (path.resident ? 0 : path.memory_latency * (tiling.split > 1 ? 1 : 2));
    return ends +
           std::max({busy, memory, port, rings,
                     elements / as_double(tiling.rows * tiling.columns) >= as_double(tiling.cores)
                         ? one
                         : 0});
}

}  // namespace

std::vector<PipelineChoice<GemmTiling>> best_tilings(const CoreStructure& core,
                                                     const GemmWork& work, std::size_t most) {
    const MatrixUnit& unit = core.matrix;
    const bool systolic = unit.dataflow == Dataflow::weight_stationary;
    const long row_unit = std::max(systolic ? 8 : unit.rows, std::min(unit.minimum_rows, 128L));
    const long column_unit = std::max(16L, unit.columns);
    const long longest = *std::max_element(work.rows.begin(), work.rows.end());
    if (core.path.resident) {
        double bytes = 0;
        for (const long rows : work.rows)
            bytes += as_double(rows) * (as_double(work.k) * work.a + as_double(work.n) * work.c) +
                     as_double(work.n) * as_double(work.k) * work.b;
        if (bytes > core.path.l2_bytes) {
            throw std::invalid_argument(
                fmt::format("operands of {} do not fit into the {} of SRAM, and there is no DRAM: "
                            "spread the product over more chips",
                            to_string(Bytes(bytes)), to_string(Bytes(core.path.l2_bytes))));
        }
    }
    std::vector<Candidate> candidates;
    const std::vector<long> depths = step_depths(core, work);
    bool any = false;
    for (const long rows : tile_sizes(row_unit, longest, systolic ? 4096 : 512)) {
        for (const long columns : tile_sizes(column_unit, work.n, systolic ? 2048 : 512)) {
            for (long split = 1; split <= 16 && (split == 1 || work.k / split >= 256); split *= 2) {
                GemmTiling tiling;
                tiling.rows = rows;
                tiling.columns = columns;
                tiling.split = split;
                const double sums = 8.0 * as_double(rows) * as_double(columns);
                tiling.accumulators = sums <= core.buffers.accumulator ? 2 : 1;
                const double count = tile_count(work, tiling);
                if (split > 1 && count > 4 * as_double(core.cores)) break;
                // As many cores as share the waves evenly, or fewer: with more cores there are more
                // of these choices and none fewer, so that it is never slower.
                for (long most_cores = core.cores; most_cores > 0; most_cores = tiling.cores - 1) {
                    const double waves = std::ceil(count / as_double(most_cores));
                    tiling.cores = static_cast<long>(std::ceil(count / waves));
                    for (const long depth : depths) {
                        tiling.depth = depth;
                        tiling.stages = 2;
                        if (!fits(core, work, tiling)) break;
                        const double panel = step_bytes(work, rows, columns, depth);
                        tiling.stages = std::clamp(static_cast<long>(core.buffers.level1 / panel),
                                                   2L, core.buffers.level1_buffers);
                        any = true;
                        candidates.push_back({tiling, least_time(core, work, tiling, count)});
                        if (depth * split >= work.k) break;
                    }
                }
            }
        }
    }
    if (!any) {
        throw std::invalid_argument(
            "no tile fits into the core's buffers: see core.accumulator, core.level1, core.level0");
    }
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const auto& x, const auto& y) { return x.least < y.least; });
    std::vector<PipelineChoice<GemmTiling>> best;
    const auto keep = [&](const GemmTiling& tiling, const PipelineTime& time) {
        for (auto& known : best) {
            if (!known.tiling.same_tile(tiling)) continue;
            if (time.seconds < known.time.seconds) known = {tiling, time};
            return;
        }
        best.push_back({tiling, time});
    };
    const auto order = [&] {
        std::stable_sort(best.begin(), best.end(), [](const auto& x, const auto& y) {
            return x.time.seconds < y.time.seconds;
        });
        if (best.size() > most) best.resize(most);
    };
    for (const Candidate& candidate : candidates) {
        if (best.size() >= most && candidate.least >= best.back().time.seconds) break;
        const long down = (longest + candidate.tiling.rows - 1) / candidate.tiling.rows;
        const long square = std::lround(
            std::sqrt(as_double(candidate.tiling.cores) * as_double(candidate.tiling.columns) /
                      as_double(candidate.tiling.rows)));
        long tried = 0;
        for (const long band : {down, std::clamp(square, 1L, down)}) {
            if (band == tried) continue;
            tried = band;
            GemmTiling tiling = candidate.tiling;
            tiling.band = band;
            keep(tiling, gemm_time(core, work, tiling));
        }
        order();
    }
    return best;
}

}  // namespace podsim
