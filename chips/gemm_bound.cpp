#include "chips/gemm_bound.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>

#include "chips/gemm_tile_cost.hpp"
#include "chips/pipeline_cost.hpp"

namespace podsim {

namespace {

double as_double(long value) {
    return static_cast<double>(value);
}
long ceil_div(long a, long b) {
    return (a + b - 1) / b;
}
long up(long size, long unit) {
    return ceil_div(size, unit) * unit;
}

}  // namespace

// What lies around the last piece of memory traffic is estimated from above in rare cases: of some
// thousand random ones a bound came out 6.3 % over the time of a wave or two, 4 % over that of
// four, 1.3 % over that of eighteen. More than that is taken off.
double slack(double waves) {
    constexpr double most = 0.07, of_wave = 1.3;
    return 1 - std::min(most, of_wave / waves);
}

double TilingBound::with(long cores) const {
    const double c = as_double(cores);
    const double waves = std::ceil(count / c);
    // Tiles of the last wave: so many cores have one in every wave.
    const double last = count - c * (waves - 1);
    // The busiest core has the mean at least, and of those in the last wave the mean lacks no more
    // than all edges do.
    const double busy =
        begin + std::max({work / c, waves * work_least, waves * work_whole - less / last});
    const double ringed = std::max(rings / c, waves * rings_least);
    const double behind = last > edges ? after : after_least;
    const double before_last = std::max(0.0, memory - last * results);
    return slack(waves) *
           (end + std::max({busy + tail, ringed + tail, start + first + drains / c, start + memory,
                            start + before_last + behind, start + cache + behind}));
}

double TilingBound::with_any(long most) const {
    const double c = std::min(as_double(most), count);
    const double waves = std::ceil(count / c);
    const double busy = begin + std::max(work / c, waves * work_least);
    const double ringed = std::max(rings / c, waves * rings_least);
    return slack(waves) * (end + std::max({busy + tail, ringed + tail, start + first + drains / c,
                                           start + memory, start + cache + after_least}));
}

GemmBound::GemmBound(const CoreStructure& core, const GemmWork& work) : core_(core), work_(work) {
    std::map<long, double> groups;
    for (const long rows : work.rows) groups[rows] += 1;
    groups_.assign(groups.begin(), groups.end());
    const double n = as_double(work.n), k = as_double(work.k);
    for (const auto& [rows, many] : groups_) {
        operands_ += many * k * (as_double(rows) * work.a + n * work.b);
        results_ += many * as_double(rows) * n * work.c;
    }
    const MemoryPath& path = core.path;
    const double away = 1 - 1 / as_double(path.dies);
    start_ =
        path.l2_latency + 2 * away * path.link_latency + (path.resident ? 0 : path.memory_latency);
    for (long split = 2; split <= 16; split *= 2)
        join_.push_back(join_time(core, work, split).seconds);
}

double GemmBound::join(long split) const {
    if (split == 1) return 0;
    const auto slices = static_cast<unsigned long>(split);
    const auto index = static_cast<std::size_t>(std::bit_width(slices)) - 2;
    if (std::has_single_bit(slices) && index < join_.size()) return join_[index];
    return join_time(core_, work_, split).seconds;  // one that a user forces
}

// Every size of tile, the whole one first, and how many there are.
template <class Use>
void GemmBound::sizes(const GemmTiling& tiling, Use&& use) const {
    const long slice = ceil_div(work_.k, tiling.split);
    struct Cut {
        double whole;
        long rest;
    };
    const auto cut = [](long size, long by) { return Cut{as_double(size / by), size % by}; };
    const Cut slices = cut(work_.k, slice), across = cut(work_.n, tiling.columns);
    const auto depths = [&](long rows, long columns, double many) {
        if (many <= 0) return;
        if (slices.whole > 0) use(rows, columns, slice, many * slices.whole);
        if (slices.rest > 0) use(rows, columns, slices.rest, many);
    };
    const auto wide = [&](long rows, double many) {
        if (many <= 0) return;
        depths(rows, tiling.columns, many * across.whole);
        if (across.rest > 0) depths(rows, across.rest, many);
    };
    double down = 0;
    for (const auto& [rows, many] : groups_) down += many * cut(rows, tiling.rows).whole;
    wide(tiling.rows, down);
    for (const auto& [rows, many] : groups_) {
        const long rest = rows % tiling.rows;
        if (rest > 0) wide(rest, many);
    }
}

double GemmBound::tiles(const GemmTiling& tiling) const {
    double count = 0;
    sizes(tiling, [&](long, long, long, double many) { count += many; });
    return count;
}

double GemmBound::of_tile(const GemmTiling& tiling) const {
    const MatrixUnit& unit = core_.matrix;
    const bool padded = unit.dataflow == Dataflow::output_stationary;
    double macs = 0, loads = 0, count = 0;
    sizes(tiling, [&](long rows, long columns, long depth, double many) {
        const double deep = as_double(depth);
        const double r =
            as_double(padded ? up(std::max(rows, unit.minimum_rows), unit.rows) : rows);
        const double c = as_double(
            padded ? up(ceil_div(columns, unit.arrays), unit.columns) * unit.arrays : columns);
        macs += many * r * c * deep;
        loads += many * deep * (as_double(rows) * work_.a + as_double(columns) * work_.b);
        count += many;
    });
    const MemoryPath& path = core_.path;
    const double cores = std::min(count, as_double(core_.cores));
    const double busy = macs / unit.macs_per_cycle.at(work_.format) / core_.clock / cores;
    const double port = loads / std::max(path.read, path.memory_read) / core_.clock / cores;
    const double bytes = operands_ + (tiling.split > 1 ? 0 : results_);
    const double memory = path.resident ? 0 : bytes / path.memory_rate;
    const double cache = loads / as_double(path.multicast) / path.l2_rate;
    // Slices share what is fetched last: of few tiles with few slices one in 40,000 came out 11 %
    // over.
    const double of_slices = tiling.split > 1 ? 0.95 : 1;
    return of_slices * slack(count / cores) *
           (start_ + std::max({busy, port, memory, cache}) + join(tiling.split));
}

TilingBound GemmBound::of(const GemmTiling& tiling) const {
    const MemoryPath& path = core_.path;
    const bool partial = tiling.split > 1;
    const double slots = as_double(tiling.stages);
    const double read = path.read * core_.clock, memory_read = path.memory_read * core_.clock;
    const double hit = start_ - (path.resident ? 0 : path.memory_latency);
    // Panels that no two tiles share come from memory for each of them.
    const bool own_a = !path.resident && work_.n <= tiling.columns;
    const bool own_b = !path.resident && groups_.back().first <= tiling.rows;
    TilingBound bound;
    bound.start = bound.begin = start_;
    bound.end = join(tiling.split) + (path.resident || partial ? 0 : path.memory_latency);
    const double most = std::numeric_limits<double>::infinity();
    bound.work_least = bound.rings_least = bound.first = bound.tail = bound.after_least = most;
    double loads = 0, stored = 0;
    bool whole = true;
    sizes(tiling, [&](long rows, long columns, long depth, double many) {
        const TileCost cost = tile_cost(core_, work_, tiling, {rows, columns, depth, 0, 0});
        const double bytes = cost.a_bytes + cost.b_bytes;
        const double missed = (own_a ? cost.a_bytes : 0) + (own_b ? cost.b_bytes : 0);
        const double port = missed > 0 ? (bytes - missed) / read + missed / memory_read
                                       : bytes / std::max(read, path.resident ? read : memory_read);
        const double p = port / cost.steps;
        const double exposed = tiling.accumulators == 1 ? cost.drain + cost.skew : 0;
        const double work = std::max(port, cost.multiply + exposed);
        // Panels pass the port while memory is waited for; the matrix unit waits for both.
        if (port > cost.multiply + exposed) bound.begin = hit;
        const double latency = missed > 0 ? start_ : hit;
        const double own = std::max(p, missed / cost.steps / path.memory_rate);
        const double responses = 2 * hit + p;
        const double ring =
            std::max({port, cost.multiply, cost.steps * (latency + own + cost.step) / slots,
                      cost.steps * responses / bursts_in_flight(path.outstanding, cost)});
        const double after = cost.step + cost.skew + cost.drain;
        if (whole) {
            bound.work_whole = work;
            bound.after = after;
            bound.results = partial || path.resident ? 0 : cost.sums * work_.c / path.memory_rate;
        } else {
            bound.edges += many;
            bound.less += many * std::max(0.0, bound.work_whole - work);
        }
        whole = false;
        bound.count += many;
        bound.work += many * work;
        bound.work_least = std::min(bound.work_least, work);
        bound.rings += many * ring;
        bound.rings_least = std::min(bound.rings_least, ring);
        bound.tail = std::min(bound.tail, tiling.accumulators == 1 ? 0 : cost.skew + cost.drain);
        bound.drains += many * cost.drain;
        bound.first = std::min(bound.first, cost.multiply + cost.skew);
        bound.after_least = std::min(bound.after_least, after);
        loads += many * bytes;
        stored += many * cost.sums * (partial ? 4 : work_.c);
    });
    bound.memory = path.resident ? 0 : (operands_ + (partial ? 0 : results_)) / path.memory_rate;
    bound.cache = std::max(loads / as_double(path.multicast), stored) / path.l2_rate;
    if (path.dies > 1) {
        const double away = 1 - 1 / as_double(path.dies);
        bound.cache =
            std::max(bound.cache, (loads + stored) * away / as_double(path.dies) / path.link_rate);
    }
    return bound;
}

}  // namespace podsim
