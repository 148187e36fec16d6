// The search for attention's tiling: every piece and block that the buffers hold, on every number
// of cores that shares them evenly, in the order of what each cannot be faster than.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <stdexcept>
#include <vector>

#include "chips/attention_walk.hpp"
#include "chips/pipeline_cost.hpp"

namespace podsim {

namespace {

double as_double(long value) {
    return static_cast<double>(value);
}

struct Candidate {
    AttentionTiling tiling;
    AttentionWalk* walk = nullptr;
    double least = 0;
};

// Of each tile the fastest.
void keep(std::vector<PipelineChoice<AttentionTiling>>& best, const AttentionTiling& tiling,
          const PipelineTime& time, std::size_t most) {
    const auto known = std::find_if(best.begin(), best.end(), [&](const auto& choice) {
        return choice.tiling.same_tile(tiling);
    });
    if (known == best.end()) {
        best.push_back({tiling, time});
    } else if (time.seconds < known->time.seconds) {
        *known = {tiling, time};
    }
    std::stable_sort(best.begin(), best.end(),
                     [](const auto& x, const auto& y) { return x.time.seconds < y.time.seconds; });
    if (best.size() > most) best.resize(most);
}

}  // namespace

// The busiest core, by its products, has its pieces' blocks to do one after another, and the last
// to carry away: no less time than its products at the best rate of any piece. The shared servers
// have all pieces to serve; where all pieces are alike that core also has the last of them, and
// works on it behind them.
AttentionBound::AttentionBound(AttentionWalk& walk, long lookahead) {
    const CoreStructure& core = walk.core_;
    const double way = core.vector.handoff_cycles / core.clock;
    AttentionWork one = walk.work_;
    one.sequences = 1;
    double tail = std::numeric_limits<double>::infinity();
    least_ = tail;
    double last_store = tail, rate = tail;
    for (const AttentionPiece& piece : pieces_of(one, walk.tiling_)) {
        double seconds = 0, loads = 0;
        const auto add = [&](double blocks, long keys) {
            const AttentionBlock& block = walk.blocks_.of(piece.rows, keys);
            const double matrix = block.scores + block.values;
            const double vector = block.exponentials + block.rescale;
            seconds += blocks * (lookahead == 1 ? matrix + block.exponentials + 2 * way
                                                : std::max(matrix, vector));
            loads += blocks * block.loaded * walk.own_;
            tail = std::min(tail, matrix + vector + 3 * way);
        };
        const long whole = piece.keys / walk.tiling_.keys, rest = piece.keys % walk.tiling_.keys;
        if (whole > 0) add(as_double(whole), walk.tiling_.keys);
        if (rest > 0) add(1, rest);
        const double takes =
            std::max(seconds, loads + query_bytes(walk.work_, piece.rows) * walk.queries_own_);
        const double work =
            as_double(piece.keys) * as_double(std::max(piece.rows, core.matrix.minimum_rows));
        all_ += work * as_double(walk.work_.sequences);
        whole_ = std::max(whole_, work);
        least_ = std::min(least_, work);
        rate = std::min(rate, takes / work);
        last_store =
            std::min(last_store, output_bytes(walk.work_, piece.rows, walk.tiling_.splits > 1) /
                                     core.path.write / core.clock);
    }
    count_ = walk.count_;
    start_ = walk.first_latency_ + last_store + walk.end_ + walk.join_.seconds;
    shared_ = walk.shared_ + walk.latency_ + walk.join_.seconds;
    if (least_ == whole_) shared_ += tail + last_store + walk.end_;
    all_ *= rate;
    whole_ *= rate;
    least_ *= rate;
}

double AttentionBound::with(long cores) const {
    const double c = std::min(as_double(cores), count_);
    const double waves = std::ceil(count_ / c);
    // The busiest core has the mean of all products, as much as a piece in every wave, as the
    // longest piece.
    return std::max(start_ + std::max({all_ / c, waves * least_, whole_}), shared_);
}

std::vector<PipelineChoice<AttentionTiling>> best_tilings(const CoreStructure& core,
                                                          const AttentionWork& work,
                                                          std::size_t most,
                                                          const TilingRules& rules) {
    std::deque<AttentionWalk> walks;
    std::vector<Candidate> candidates;
    const auto consider = [&](AttentionTiling tiling) {
        const long rows = work.heads * work.query;
        for (long splits = 1; splits <= 64; splits *= 2) {
            if (splits > 1 && longest_keys(work) < 2 * splits * tiling.keys) break;
            tiling.splits = splits;
            const double down = std::ceil(as_double(rows) / as_double(tiling.rows));
            const double pieces = as_double(work.sequences) * down * as_double(splits);
            if (splits > 1 && pieces > 2 * as_double(core.cores)) break;
            AttentionWalk* walk = nullptr;
            for (const long lookahead : {2L, 1L}) {
                tiling.lookahead = lookahead;
                if (!fits(core, work, tiling)) continue;
                if (walk == nullptr) walk = &walks.emplace_back(core, work, tiling);
                const AttentionBound bound(*walk, lookahead);
                // As many cores as share the waves evenly, or fewer: see the search of products.
                const long most_cores =
                    rules.cores > 0 ? std::min(rules.cores, core.cores) : core.cores;
                for (long limit = most_cores; limit > 0; limit = tiling.cores - 1) {
                    const double waves = std::ceil(pieces / as_double(limit));
                    tiling.cores = static_cast<long>(std::ceil(pieces / waves));
                    candidates.push_back({tiling, walk, bound.with(tiling.cores)});
                }
            }
        }
    };
    const bool forced = !rules.attention_tile.empty();
    if (forced) {
        AttentionTiling tiling;
        tiling.rows = rules.attention_tile[0];
        tiling.keys = rules.attention_tile[1];
        consider(tiling);
    }
    const auto consider_blocks = [&](const std::vector<long>& sizes) {
        for (long block = std::max(core.matrix.minimum_rows, 16L); block <= 256; block *= 2) {
            for (const long keys : sizes) {
                AttentionTiling tiling;
                tiling.rows = block;
                tiling.keys = keys;
                consider(tiling);
            }
            if (block >= work.heads * work.query) break;
        }
    };
    if (!forced) consider_blocks({64, 128, 256, 512});
    // Small buffers: less of the keys at a time.
    if (!forced && candidates.empty()) consider_blocks({16, 32});
    if (candidates.empty()) {
        throw std::invalid_argument(fmt::format(
            "no block of attention{} fits into the core's buffers: see core.accumulator, "
            "core.level1",
            forced ? fmt::format(" of {} rows x {} keys", rules.attention_tile[0],
                                 rules.attention_tile[1])
                   : ""));
    }
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const auto& x, const auto& y) { return x.least < y.least; });
    std::vector<PipelineChoice<AttentionTiling>> best;
    for (const Candidate& candidate : candidates) {
        if (best.size() >= most && candidate.least >= best.back().time.seconds) break;
        const AttentionTiling& tiling = candidate.tiling;
        keep(best, tiling, candidate.walk->time(tiling.cores, tiling.lookahead), most);
    }
    return best;
}

}  // namespace podsim
