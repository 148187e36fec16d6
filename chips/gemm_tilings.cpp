// The search for a product's tiling: every tile and number of cores that the buffers hold, in the
// order of what each cannot be faster than.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "chips/gemm_bound.hpp"
#include "chips/pipeline_cost.hpp"
#include "chips/tiling_check.hpp"

namespace podsim {

namespace {

double as_double(long value) {
    return static_cast<double>(value);
}

// A branch of the search: a tile and split, with its depth and stages, with its cores.
struct Branch {
    enum class Open { depth, cores, nothing };

    double least = 0;  // nothing of it can be faster
    std::size_t serial = 0;
    Open open = Open::depth;
    GemmTiling tiling;
    TilingBound bound;
};

// Branches in the order of what they cannot be faster than; what was found first breaks ties.
class Branches {
  public:
    bool empty() const { return heap_.empty(); }
    void add(const Branch& branch) {
        heap_.push_back(branch);
        heap_.back().serial = serial_++;
        std::push_heap(heap_.begin(), heap_.end(), later);
    }
    Branch next() {
        std::pop_heap(heap_.begin(), heap_.end(), later);
        const Branch branch = heap_.back();
        heap_.pop_back();
        return branch;
    }

  private:
    static bool later(const Branch& x, const Branch& y) {
        return x.least != y.least ? x.least > y.least : x.serial > y.serial;
    }
    std::vector<Branch> heap_;
    std::size_t serial_ = 0;
};

// Of each tile the fastest tiling that was tried, the fastest tile first.
class Fastest {
  public:
    explicit Fastest(std::size_t most) : most_(most) {}

    bool beats(double least) const { return least >= limit(); }
    // What takes as long is not kept.
    double limit() const {
        return best_.size() >= most_ ? best_.back().time.seconds
                                     : std::numeric_limits<double>::infinity();
    }
    void keep(const GemmTiling& tiling, const PipelineTime& time) {
        if (time.seconds >= limit()) return;
        const auto known = std::find_if(best_.begin(), best_.end(), [&](const auto& choice) {
            return choice.tiling.same_tile(tiling);
        });
        if (known == best_.end()) {
            best_.push_back({tiling, time});
        } else if (time.seconds < known->time.seconds) {
            *known = {tiling, time};
        } else {
            return;
        }
        std::stable_sort(best_.begin(), best_.end(), [](const auto& x, const auto& y) {
            return x.time.seconds < y.time.seconds;
        });
        if (best_.size() > most_) best_.resize(most_);
    }
    std::vector<PipelineChoice<GemmTiling>> take() && { return std::move(best_); }

  private:
    std::size_t most_;
    std::vector<PipelineChoice<GemmTiling>> best_;
};

void require_room(const CoreStructure& core, const GemmWork& work) {
    if (!core.path.resident) return;
    double bytes = 0;
    for (const long rows : work.rows)
        bytes += as_double(rows) * (as_double(work.k) * work.a + as_double(work.n) * work.c) +
                 as_double(work.n) * as_double(work.k) * work.b;
    if (bytes <= core.path.l2_bytes) return;
    throw std::invalid_argument(
        fmt::format("operands of {} do not fit into the {} of SRAM, and there is no DRAM: "
                    "spread the product over more chips",
                    to_string(Bytes(bytes)), to_string(Bytes(core.path.l2_bytes))));
}

class Search {
  public:
    Search(const CoreStructure& core, const GemmWork& work, std::size_t most,
           const TilingRules& rules)
        : core_(core),
          work_(work),
          rules_(rules),
          bound_(core, work),
          depths_(rules.tile.empty() ? step_depths(core, work) : std::vector{rules.tile[2]}),
          longest_(*std::max_element(work.rows.begin(), work.rows.end())),
          fastest_(most) {}

    std::vector<PipelineChoice<GemmTiling>> run() {
        add_tiles();
        if (branches_.empty()) {
            throw std::invalid_argument(
                "no tile" + misfit() +
                " fits into the core's buffers: see core.accumulator, core.level1, core.level0");
        }
        while (!branches_.empty()) {
            const Branch branch = branches_.next();
            if (fastest_.beats(branch.least)) break;
            if (branch.open == Branch::Open::depth) {
                add_depths(branch);
            } else if (branch.open == Branch::Open::cores) {
                add_cores(branch);
            } else {
                try_bands(branch.tiling);
            }
        }
        auto found = std::move(fastest_).take();
        if (!found.empty()) return found;
        // Tiles fit, but none in so many panels as are asked for.
        throw std::invalid_argument(fmt::format(
            "no tile{} leaves room for {} panels in core.level1 ({}): {} at most", misfit(),
            rules_.stages, to_string(Bytes(core_.buffers.level1)), most_stages_));
    }

  private:
    void add_tiles() {
        const MatrixUnit& unit = core_.matrix;
        const bool systolic = unit.dataflow == Dataflow::weight_stationary;
        const long row_unit = std::max(systolic ? 8 : unit.rows, std::min(unit.minimum_rows, 128L));
        const long column_unit = std::max(16L, unit.columns);
        const bool forced = !rules_.tile.empty();
        const std::vector<long> heights =
            forced ? std::vector{rules_.tile[0]}
                   : allowed(rules_.rows, tile_sizes(row_unit, longest_, systolic ? 4096 : 512),
                             longest_);
        const std::vector<long> widths =
            forced ? std::vector{rules_.tile[1]}
                   : allowed(rules_.columns,
                             tile_sizes(column_unit, work_.n, systolic ? 2048 : 512), work_.n);
        for (const long rows : heights) {
            for (const long columns : widths) {
                const long first = std::max(1L, rules_.split);
                const long last = rules_.split > 0 ? rules_.split : 16;
                for (long split = first;
                     split <= last && (split == first || work_.k / split >= 256); split *= 2) {
                    Branch branch;
                    branch.tiling.rows = rows;
                    branch.tiling.columns = columns;
                    branch.tiling.split = split;
                    branch.tiling.depth = depths_.front();
                    if (!fits(core_, work_, branch.tiling)) break;
                    if (split > first && bound_.tiles(branch.tiling) > 4 * as_double(core_.cores))
                        break;
                    branch.least = bound_.of_tile(branch.tiling);
                    branches_.add(branch);
                }
            }
        }
    }

    void add_depths(Branch branch) {
        GemmTiling& tiling = branch.tiling;
        branch.open = Branch::Open::cores;
        // With room for two tiles of sums one may still be the better choice, as for a core that
        // has room for one.
        const double sums = 8.0 * as_double(tiling.rows) * as_double(tiling.columns);
        for (const long accumulators : {2L, 1L}) {
            if (accumulators == 2 && sums > core_.buffers.accumulator) continue;
            tiling.accumulators = accumulators;
            add_depths_of(branch);
        }
    }

    void add_depths_of(Branch branch) {
        GemmTiling& tiling = branch.tiling;
        for (const long depth : depths_) {
            tiling.depth = depth;
            tiling.stages = 2;
            if (!fits(core_, work_, tiling)) break;
            const double panel = step_bytes(work_, tiling.rows, tiling.columns, depth);
            tiling.stages = std::clamp(static_cast<long>(core_.buffers.level1 / panel), 2L,
                                       core_.buffers.level1_buffers);
            most_stages_ = std::max(most_stages_, tiling.stages);
            if (tiling.stages < rules_.stages) break;
            if (rules_.stages > 0) tiling.stages = rules_.stages;
            branch.bound = bound_.of(tiling);
            branch.least = branch.bound.with_any(core_.cores);
            if (!fastest_.beats(branch.least)) branches_.add(branch);
            if (depth * tiling.split >= work_.k) break;
        }
    }

    // As many cores as share the waves evenly, or fewer: with more cores there are more of these
    // choices and none fewer, so that it is never slower.
    void add_cores(Branch branch) {
        branch.open = Branch::Open::nothing;
        const double count = branch.bound.count;
        if (rules_.cores > 0) {
            branch.tiling.cores = std::min({rules_.cores, core_.cores, static_cast<long>(count)});
            branches_.add(branch);
            return;
        }
        for (long most = core_.cores; most > 0; most = branch.tiling.cores - 1) {
            if (fastest_.beats(branch.bound.with_any(most))) break;
            const double waves = std::ceil(count / as_double(most));
            branch.tiling.cores = static_cast<long>(std::ceil(count / waves));
            branch.least = branch.bound.with(branch.tiling.cores);
            if (!fastest_.beats(branch.least)) branches_.add(branch);
        }
    }

    // Of those that a library has the ones up to the first that covers `size`.
    static std::vector<long> allowed(const std::vector<long>& has, std::vector<long> all,
                                     long size) {
        if (has.empty()) return all;
        std::vector<long> sizes = has;
        std::sort(sizes.begin(), sizes.end());
        const auto covers = std::lower_bound(sizes.begin(), sizes.end(), size);
        if (covers != sizes.end()) sizes.erase(covers + 1, sizes.end());
        return sizes;
    }

    // What a forced tile needs, and what there is.
    std::string misfit() const {
        if (rules_.tile.empty()) return "";
        const long rows = rules_.tile[0], columns = rules_.tile[1], depth = rules_.tile[2];
        const double sums = 4.0 * as_double(rows) * as_double(columns);
        const OnChipBuffers& buffers = core_.buffers;
        return fmt::format(
            " of {} x {} x {} (sums {} of {} of accumulator, two panels {} of {} of level 1)", rows,
            columns, depth, to_string(Bytes(sums)), to_string(Bytes(buffers.accumulator)),
            to_string(Bytes(2 * step_bytes(work_, rows, columns, depth))),
            to_string(Bytes(buffers.level1)));
    }

    // Bands of all rows of tiles, or as high as what is at work together is wide.
    void try_bands(GemmTiling tiling) {
        const long down = (longest_ + tiling.rows - 1) / tiling.rows;
        const long square = std::lround(std::sqrt(
            as_double(tiling.cores) * as_double(tiling.columns) / as_double(tiling.rows)));
        long tried = 0;
        for (const long band : {down, std::clamp(square, 1L, down)}) {
            if (band == tried) continue;
            tried = band;
            tiling.band = band;
            fastest_.keep(tiling, gemm_time(core_, work_, tiling, fastest_.limit()));
        }
    }

    const CoreStructure& core_;
    const GemmWork& work_;
    const TilingRules& rules_;
    GemmBound bound_;
    std::vector<long> depths_;
    long longest_;
    long most_stages_ = 0;  // that any tile leaves room for
    Fastest fastest_;
    Branches branches_;
};

}  // namespace

std::vector<PipelineChoice<GemmTiling>> best_tilings(const CoreStructure& core,
                                                     const GemmWork& work, std::size_t most,
                                                     const TilingRules& rules) {
    require_room(core, work);
    if (rules.split > 1) require_slices(work.k, rules.split);
    return Search(core, work, most, rules).run();
}

}  // namespace podsim
