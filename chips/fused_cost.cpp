// Products as in chips/gemm_cost.cpp, of which the fused kernel's persistent cores take tile after
// tile, those of the next group behind those of this one, so that a wave is not waited for:
//
//   tiles = (expected rows of tiles over groups) ceil(N / TN)
//   tile  = |2 max(TM, minimum rows) TN K / (peak per core x efficiency),
//            (min(TM, M) b_a + min(TN, N) b_w) K / (feed x factor), K/64 steps|_p
//           + overhead TM TN / 32768
//   n     = max(tiles / cores, 1)
//   cores = sum over products of n tile + (ceil(N) - N) least tile,  N = sum of n
//
// (the last round is not full) with one tile for all products, the one that makes `cores` least. A
// chunk is one group: its tiles are taken once its rows are there.
#include "chips/fused_cost.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <stdexcept>

#include "chips/gemm_cost.hpp"

namespace podsim {

namespace {

struct Groups {
    double all = 0, active = 0, rows = 0;  // rows of all of them
};

Groups groups_of(const Gemm& gemm) {
    Groups groups;
    groups.active = static_cast<double>(gemm.groups);
    groups.all = static_cast<double>(gemm.groups + gemm.idle_groups);
    groups.rows =
        static_cast<double>(gemm.m) * groups.active + static_cast<double>(gemm.longer_groups);
    return groups;
}

struct Tile {
    long rows, columns;
};

// What is the same for every tile and product.
struct Setting {
    const RankHardware& hardware;
    const GemmHabits& habits;
    double p, cores, row_deviation;
    FlopsPerSecond core_peak;
};

double tiles_of(const Gemm& gemm, const Tile& tile, double row_deviation) {
    const Groups groups = groups_of(gemm);
    const double columns =
        std::ceil(static_cast<double>(gemm.n) / static_cast<double>(tile.columns));
    if (row_deviation > 0) {
        return columns * expected_tile_rows(groups.all, groups.active, groups.rows / groups.all,
                                            row_deviation, tile.rows);
    }
    const auto up = [&](long rows) {
        return std::ceil(static_cast<double>(rows) / static_cast<double>(tile.rows));
    };
    const double longer = static_cast<double>(gemm.longer_groups);
    return columns * ((groups.active - longer) * up(gemm.m) + longer * up(gemm.m + 1));
}

// Of one tile of the product.
Seconds tile_time(const Gemm& gemm, const Tile& tile, const Setting& s) {
    const double k = static_cast<double>(gemm.k);
    const Groups groups = groups_of(gemm);
    const double rows =
        std::min(static_cast<double>(tile.rows), std::max(1.0, groups.rows / groups.active));
    const Seconds multiply =
        Flops(2.0 * k *
              static_cast<double>(std::max(tile.rows, s.hardware.minimum_rows) * tile.columns)) /
        s.core_peak;
    const Seconds load =
        Bytes(k * (rows * bytes_of(gemm.a) +
                   static_cast<double>(std::min(tile.columns, gemm.n)) * bytes_of(gemm.b))) /
        (s.hardware.feed_per_core * s.habits.feed_factor);
    return smooth_maximum(smooth_maximum(multiply, load, s.p), k / 64.0 * s.habits.k_step, s.p) +
           static_cast<double>(tile.rows * tile.columns) / 32768.0 * s.habits.tile_overhead;
}

// Of all products, over all cores.
Seconds core_time(const std::vector<const Gemm*>& products, const Tile& tile, const Setting& s) {
    Seconds sum(0.0);
    std::optional<Seconds> least;
    double rounds = 0;
    for (const Gemm* gemm : products) {
        const double n = std::max(1.0, tiles_of(*gemm, tile, s.row_deviation) / s.cores);
        const Seconds one = tile_time(*gemm, tile, s);
        sum += n * one;
        rounds += n;
        least = least ? min(*least, one) : one;
    }
    return sum + (std::ceil(rounds) - rounds) * *least;
}

struct Choice {
    Tile tile;
    Seconds cores;
};

// The fastest tile for all products together; of equal ones the first.
Choice best_tile(const std::vector<const Gemm*>& products, const Setting& s) {
    static constexpr std::array<long, 5> sides = {16, 32, 64, 128, 256};
    std::optional<Choice> best;
    for (const long rows : sides) {
        if (rows < s.habits.smallest_tile) continue;
        for (const long columns : sides) {
            const long padded = std::max(rows, s.hardware.minimum_rows);
            if (Bytes(static_cast<double>(padded * columns) * 4.0) > s.hardware.accumulator)
                continue;
            const Seconds cores = core_time(products, {rows, columns}, s);
            if (!best || cores < best->cores) best = Choice{{rows, columns}, cores};
        }
    }
    if (!best) {
        throw std::invalid_argument(
            fmt::format("the accumulator of {} holds no tile", to_string(s.hardware.accumulator)));
    }
    return *best;
}

// The products, of which one at least is needed to know the format.
std::vector<const Gemm*> products_of(const FusedStages& stages) {
    std::vector<const Gemm*> products;
    for (const OperatorBody& body : stages.bodies) {
        if (const auto* gemm = std::get_if<Gemm>(&body)) products.push_back(gemm);
    }
    if (products.empty()) throw std::invalid_argument("a fused exchange without a product");
    return products;
}

}  // namespace

double expected_tile_rows(double groups, double active, double mean, double deviation, long tile) {
    const double side = static_cast<double>(tile);
    if (!(deviation > 0)) return groups * std::ceil(mean / side);
    // Nearly all groups have as many rows of tiles behind the first as fit below their law.
    const double full = std::max(0.0, std::floor((mean - 8 * deviation) / side));
    double rows = active + groups * full;
    // Half a row: counts are whole, the normal law is not.
    for (double edge = (full + 1) * side;; edge += side) {
        const double beyond = 0.5 * std::erfc((edge + 0.5 - mean) / deviation * std::sqrt(0.5));
        rows += groups * beyond;
        if (beyond < 1e-9) return rows;
    }
}

FusedKernelCost fused_kernel_cost(const FusedStages& stages, const RankHardware& hardware,
                                  const KernelLibrarySpec& library, Fidelity fidelity,
                                  double core_share) {
    if (!(core_share > 0.0 && core_share <= 1.0))
        throw std::invalid_argument(fmt::format("core share {} is not in (0, 1]", core_share));
    const std::vector<const Gemm*> products = products_of(stages);
    const DType format = executed_format(hardware, compute_dtype_of(*products.front()));
    const GemmHabits& habits = fused_habits(library, format);
    for (const Gemm* gemm : products) {
        const bool narrow = bytes_of(gemm->b) < bytes_of(format);
        if (!narrow || (bytes_of(format) <= 1.0 && hardware.peak_matrix.count(gemm->b) > 0))
            continue;
        throw std::invalid_argument(
            fmt::format("fused kernels take weights as they are stored, and the matrix units do "
                        "not multiply {} by {}",
                        to_string(gemm->a), to_string(gemm->b)));
    }
    const FlopsPerSecond peak = peak_for(hardware, format);
    const double cores = static_cast<double>(usable_cores(hardware, core_share));
    const double share = cores / static_cast<double>(hardware.matrix_cores);

    FusedKernelCost cost;
    cost.chunks = static_cast<double>(products.front()->groups);
    OperatorCost& kernel = cost.kernel;
    kernel.launch = habits.launch;
    kernel.basis = habits.record.basis;
    kernel.held_out_error = habits.record.held_out_error;
    for (const OperatorBody& body : stages.bodies) {
        kernel.matrix += matrix_work_of(body) / peak;
        kernel.hbm += compulsory_bytes_of(body);
        if (std::holds_alternative<VectorWork>(body))
            kernel.vector += work_of(body) / hardware.peak_vector;
    }
    kernel.hbm -= min(Bytes(stages.on_chip), kernel.hbm);
    cost.memory = hardware.hbm_bandwidth * habits.memory_efficiency;
    kernel.hbm_time = kernel.hbm / cost.memory;
    cost.vector_units = kernel.vector / (library.vector.vector_efficiency * share);
    if (fidelity == Fidelity::analytic) {
        cost.cores = kernel.matrix / (habits.matrix_efficiency * share);
        kernel.choice = "roofline";
        return cost;
    }
    const Setting setting{
        hardware,
        habits,
        library.smooth_maximum,
        cores,
        stages.row_deviation,
        peak / static_cast<double>(hardware.matrix_cores) * habits.matrix_efficiency};
    const Choice best = best_tile(products, setting);
    cost.cores = best.cores;
    kernel.choice = fmt::format("{}x{} fused", best.tile.rows, best.tile.columns);
    return cost;
}

}  // namespace podsim
