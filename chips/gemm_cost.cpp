// For each candidate tile (TM, TN) and split s along K, with ks = K / s rounded up to 64:
//
//   tiles  = (sum over groups of ceil(M/TM)) ceil(N/TN) s        waves = ceil(tiles / cores)
//   t_mma  = 2 max(TM, minimum rows) TN ks / (peak per core x matrix efficiency)
//   t_load = (min(TM,M) b_a + min(TN,N) b_w) ks / (feed per core x feed factor)
//   t_step = ks / 64 x latency of a step along K
//   t_wide = 2 min(TN,N) ks / (vector peak per core x vector efficiency)     [weights to widen]
//   t_core = waves (t_mma^p + t_load^p + t_step^p + t_wide^p)^(1/p) + waves t_tile TM TN / 32768
//   t_hbm  = bytes / min(HBM x memory efficiency, active cores x feed) + ramp
//   t      = launch + (t_core^p + t_hbm^p)^(1/p) + [s > 1: second phase over the partial sums]
//
// Weights narrower than what the matrix units execute are widened on the vector units, a conversion
// and a multiplication by a scale for each element. Where matrix and vector units share a core, as
// in the mixed-input kernels of GPUs (Marlin, arXiv 2408.11743), each core widens the panel of its
// own tile in the main loop, so that an element is widened for every row of tiles that loads it.
// Where vector cores are apart, the two meet in the last-level cache: vector cores widen each
// element once, t_wide = 2 N K groups / (vector peak x vector efficiency) beside t_core as a whole,
// and matrix cores load the wide panel (b_w of the executed format in t_load). The pieces that wait
// there are taken to fit.
//
// and the answer is the least over the tiles whose (padded) sums of 4 bytes fit into a core's
// accumulator, as a library's autotuner would choose. Padding to whole tiles and whole waves is
// what separates it from a roofline. Operands are counted once (the last-level cache holds what
// tiles of a wave share). Left out: cache misses between waves of very large products. The clock is
// full: what it sinks to under load comes on top (chips/sustained_clock.hpp).
#include "chips/gemm_cost.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <stdexcept>
#include <vector>

namespace podsim {

namespace {

long ceil_div(long a, long b) {
    return (a + b - 1) / b;
}

struct Tiling {
    long rows, columns, split;
};

struct Timing {
    Seconds total{0.0}, hbm_time{0.0};
    Bytes bytes{0.0};
    Flops widening{0.0};
};

// Everything about one product that does not depend on the tiling.
struct Product {
    const Gemm& gemm;
    const GemmHabits& habits;
    double p;
    long cores;
    long minimum_rows;
    FlopsPerSecond core_peak;     // one core's sustained matrix rate
    BytesPerSecond feed, memory;  // one core's feed; the attainable memory bandwidth
    // Weights that are widened first: at what rate all usable cores do that, and whether vector
    // cores hand them on in the last-level cache.
    bool widens, hands_on;
    FlopsPerSecond widening;
    double loaded_weight;  // bytes of an element as a matrix core loads it
};

// A conversion, and a multiplication by the scale of its block.
constexpr double kWideningWork = 2;

// Whether the matrix units cannot take the weights as they are stored. Units that have a rate for
// these take them beside wider operands up to 8 bits, as mixed FP8 and FP4 (PTX ISA, tcgen05.mma
// kind::mxf8f6f4); 16-bit operands have no such partner.
bool widens_weights(const Gemm& gemm, DType executed, const RankHardware& hardware) {
    if (bytes_of(gemm.b) >= bytes_of(executed)) return false;
    return bytes_of(executed) > 1.0 || hardware.peak_matrix.count(gemm.b) == 0;
}

// Every group's weights, `panels` rows of tiles in all.
Flops widening_work(const Gemm& gemm, double panels) {
    return Flops(kWideningWork * static_cast<double>(gemm.n) * static_cast<double>(gemm.k) *
                 panels);
}

// `join` is how two times that overlap become one: smooth_maximum, or max for less than it.
template <class Join>
Timing time_of(const Product& product, const Tiling& tiling, const Join& join) {
    const Gemm& g = product.gemm;
    const long slice = ceil_div(ceil_div(g.k, tiling.split), 64) * 64;
    // Counted in doubles: a product of sizes may be more than a long holds.
    const long longest = g.m + (g.longer_groups > 0 ? 1 : 0);
    const double down =
        static_cast<double>(ceil_div(g.m, tiling.rows)) *
            static_cast<double>(g.groups - g.longer_groups) +
        static_cast<double>(ceil_div(longest, tiling.rows)) * static_cast<double>(g.longer_groups);
    const double tiles = down * static_cast<double>(ceil_div(g.n, tiling.columns)) *
                         static_cast<double>(tiling.split);
    const double cores = static_cast<double>(product.cores);
    const double active = std::min(tiles, cores);
    const double waves = std::ceil(tiles / cores);

    const double area = static_cast<double>(tiling.rows * tiling.columns);
    const Seconds multiply =
        Flops(2.0 *
              static_cast<double>(std::max(tiling.rows, product.minimum_rows) * tiling.columns) *
              static_cast<double>(slice)) /
        product.core_peak;
    const Seconds load =
        Bytes((static_cast<double>(std::min(tiling.rows, longest)) * bytes_of(g.a) +
               static_cast<double>(std::min(tiling.columns, g.n)) * product.loaded_weight) *
              static_cast<double>(slice)) /
        (product.feed * product.habits.feed_factor);
    const Seconds steps = static_cast<double>(slice) / 64.0 * product.habits.k_step;
    Seconds joined = join(join(multiply, load), steps);
    Timing timing;
    if (product.widens) {
        const double panels = product.hands_on ? static_cast<double>(g.groups) : down;
        timing.widening = widening_work(g, panels);
    }
    if (product.widens && !product.hands_on) {
        const Flops panel(kWideningWork * static_cast<double>(std::min(tiling.columns, g.n)) *
                          static_cast<double>(slice));
        joined = join(joined, panel * cores / product.widening);
    }
    Seconds core = waves * joined + waves * (area / 32768.0) * product.habits.tile_overhead;
    if (product.widens && product.hands_on) core = join(core, timing.widening / product.widening);

    // Few active cores draw no more than their feeds.
    const BytesPerSecond bandwidth = min(product.memory, active * product.feed);
    const Bytes operands = compulsory_bytes_of(g);
    const Seconds stream = operands / bandwidth +
                           stream_ramp(operands, product.habits.ramp, product.habits.ramp_bytes);
    Bytes partial_sums(0.0);
    Seconds second_phase(0.0);
    if (tiling.split > 1) {
        // 4-byte sums of each split, written and read again.
        const long rows = g.m * g.groups + g.longer_groups;
        partial_sums = Bytes(static_cast<double>(rows) * static_cast<double>(g.n) *
                             static_cast<double>(tiling.split) * 4.0 * 2.0);
        second_phase = product.habits.split_reduce + partial_sums / product.memory;
    }
    const long groups = g.groups + g.idle_groups;
    const long visited = groups > 1 ? groups : 0;
    timing.bytes = operands + partial_sums;
    timing.hbm_time = timing.bytes / product.memory;
    timing.total = product.habits.launch + join(core, stream) + second_phase +
                   static_cast<double>(visited) * product.habits.group_overhead;
    return timing;
}

bool holds_sums(const RankHardware& hardware, long rows, long columns) {
    const long padded = std::max(rows, hardware.minimum_rows);
    return Bytes(static_cast<double>(padded * columns) * 4.0) <= hardware.accumulator;
}

// Whether fewer splits would leave longer slices. Further ones only add partial sums, so that a
// deeper product never gains by a split that a shallower one could not have.
bool is_worth(long k, long split) {
    return 2 * k > 64 * split;
}

struct Choice {
    Tiling tiling;
    Timing timing;
};

// Those that the accumulator holds, from the smallest on.
std::vector<Tiling> candidates(const Product& product, const RankHardware& hardware) {
    static constexpr std::array<long, 5> sides = {16, 32, 64, 128, 256};
    static constexpr std::array<long, 6> splits = {1, 2, 4, 8, 16, 32};
    std::vector<Tiling> found;
    found.reserve(sides.size() * sides.size() * splits.size());
    for (const long rows : sides) {
        if (rows < product.habits.smallest_tile) continue;
        for (const long columns : sides) {
            if (!holds_sums(hardware, rows, columns)) continue;
            for (const long split : splits) {
                if (split == 1 || (product.habits.splits_k && is_worth(product.gemm.k, split)))
                    found.push_back({rows, columns, split});
            }
        }
    }
    return found;
}

// The fastest candidate; of equal ones the first. Joined by max() a tiling takes no longer than it
// does, and that is quickly known: powers are worked out only for those that may be the fastest.
Choice best_choice(const Product& product, const RankHardware& hardware) {
    const auto joined = [&](Seconds a, Seconds b) { return smooth_maximum(a, b, product.p); };
    const std::vector<Tiling> tilings = candidates(product, hardware);
    std::vector<Seconds> least;
    least.reserve(tilings.size());
    for (const Tiling& tiling : tilings)
        least.push_back(
            time_of(product, tiling, [](Seconds a, Seconds b) { return max(a, b); }).total);
    Seconds limit(std::numeric_limits<double>::infinity());
    if (!tilings.empty()) {
        const auto promising = std::min_element(least.begin(), least.end()) - least.begin();
        limit = time_of(product, tilings[static_cast<std::size_t>(promising)], joined).total;
    }
    std::optional<Choice> best;
    for (std::size_t i = 0; i < tilings.size(); ++i) {
        if (least[i] > limit) continue;
        const Timing timing = time_of(product, tilings[i], joined);
        if (!best || timing.total < best->timing.total) best = Choice{tilings[i], timing};
    }
    if (!best) {
        throw std::invalid_argument(
            fmt::format("the accumulator of {} holds no tile, not even {} x 16 sums of 4 bytes",
                        to_string(hardware.accumulator), std::max(16L, hardware.minimum_rows)));
    }
    return *best;
}

std::string text_of(const Tiling& tiling) {
    return fmt::format("{}x{}{}", tiling.rows, tiling.columns,
                       tiling.split > 1 ? fmt::format(" split {}", tiling.split) : "");
}

}  // namespace

Seconds smooth_maximum(Seconds a, Seconds b, double p) {
    const Seconds large = max(a, b), small = min(a, b);
    if (large <= Seconds(0.0)) return large;
    return large * std::pow(1.0 + std::pow(small / large, p), 1.0 / p);
}

Seconds stream_ramp(Bytes bytes, Seconds ramp, Bytes ramp_bytes) {
    return bytes / (bytes + ramp_bytes) * ramp;
}

long usable_cores(const RankHardware& hardware, double core_share) {
    return std::max(1L, std::lround(static_cast<double>(hardware.matrix_cores) * core_share));
}

OperatorCost gemm_cost(const Gemm& gemm, const RankHardware& hardware,
                       const KernelLibrarySpec& library, Fidelity fidelity, double core_share) {
    const DType format = executed_format(hardware, compute_dtype_of(gemm));
    const GemmHabits& habits = gemm_habits(library, gemm, format);
    const FlopsPerSecond peak = peak_for(hardware, format);
    const BytesPerSecond memory = hardware.hbm_bandwidth * habits.memory_efficiency;
    const long cores = usable_cores(hardware, core_share);
    const double share = static_cast<double>(cores) / static_cast<double>(hardware.matrix_cores);

    OperatorCost cost;
    cost.launch = habits.launch;
    cost.matrix = work_of(gemm) / peak;
    cost.basis = habits.record.basis;
    cost.held_out_error = habits.record.held_out_error;
    const bool widens = widens_weights(gemm, format, hardware);
    const double vector_efficiency = library.vector.vector_efficiency * share;
    if (fidelity == Fidelity::analytic) {
        cost.hbm = compulsory_bytes_of(gemm);
        cost.hbm_time = cost.hbm / memory;
        cost.time =
            habits.launch + max(cost.matrix / (habits.matrix_efficiency * share), cost.hbm_time);
        cost.choice = "roofline";
        if (!widens) return cost;
        cost.vector = widening_work(gemm, static_cast<double>(gemm.groups)) / hardware.peak_vector;
        cost.time = max(cost.time, habits.launch + cost.vector / vector_efficiency);
        return cost;
    }

    const bool hands_on = widens && hardware.separate_vector;
    const Product product{
        gemm,
        habits,
        library.smooth_maximum,
        cores,
        hardware.minimum_rows,
        peak / static_cast<double>(hardware.matrix_cores) * habits.matrix_efficiency,
        hardware.feed_per_core,
        memory,
        widens,
        hands_on,
        hardware.peak_vector * vector_efficiency,
        bytes_of(hands_on ? format : gemm.b)};
    const Choice best = best_choice(product, hardware);
    cost.time = best.timing.total;
    cost.hbm = best.timing.bytes;
    cost.hbm_time = best.timing.hbm_time;
    cost.choice = text_of(best.tiling);
    if (widens) cost.vector = best.timing.widening / hardware.peak_vector;
    return cost;
}

}  // namespace podsim
