#include "chips/attention_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "base/random.hpp"
#include "chips/kernel_library.hpp"
#include "chips/tile_plan.hpp"

namespace podsim {

namespace {

long ceil_div(long a, long b) {
    return (a + b - 1) / b;
}
double as_double(long value) {
    return static_cast<double>(value);
}

// FP32 operations of a score beside its exponential: scale, running maximum, difference, sum,
// conversion, mask; and of an element of the output: product and sum.
constexpr double kScoreOperations = 6;
constexpr double kRescaleOperations = 2;
constexpr long kPanelKeys = 128;  // of a block that lie in level 1 at a time

}  // namespace

std::string AttentionTiling::text() const {
    return fmt::format("{} rows x {} keys, {} splits, {} in work, {} cores", rows, keys, splits,
                       lookahead, cores);
}

bool has_pieces(const Attention& a) {
    const bool whole = a.compression == 1 && a.window == 0, windowed = a.compression == 0;
    return reads_own_entries(a) || (a.selected == 0 && (whole || windowed));
}

AttentionWork attention_work(const Attention& a, DType format) {
    if (!has_pieces(a))
        throw std::invalid_argument("there is no pipeline for grouped heads that choose entries");
    AttentionWork work;
    work.sequences = a.batch * a.kv_heads;
    work.query = a.query;
    work.context = a.context;
    work.heads = a.heads / a.kv_heads;
    work.causal = a.phase == Phase::prefill;
    if (reads_own_entries(a)) {
        work.choosers = a.query;
        work.sequences *= a.query;
        work.query = 1;
        work.causal = false;
        const double entries = visible_pairs(a) / as_double(a.query);
        work.context = std::max(1L, static_cast<long>(std::ceil(entries)));
        Attention all = a;
        all.selected = 0;
        work.cached = std::max(work.context, static_cast<long>(std::ceil(entries_read(all))));
    } else if (a.window > 0 && work.causal) {
        work.window = a.window;
    } else if (a.window > 0) {
        work.context = std::min(a.context, a.window);
    }
    work.cached = std::max(work.cached, work.context);
    work.one_cache = a.form == AttentionForm::mla_absorbed;
    work.depth = a.head_dim_qk;
    work.width = a.head_dim_v;
    work.entry =
        as_double(work.one_cache ? a.head_dim_qk : a.head_dim_qk + a.head_dim_v) * bytes_of(a.kv);
    work.query_bytes = bytes_of(a.compute);
    work.format = format;
    return work;
}

std::vector<AttentionPiece> pieces_of(const AttentionWork& work, const AttentionTiling& tiling) {
    std::vector<AttentionPiece> pieces;
    // Rows are heads of a token, then tokens; the last piece of a causal mask sees most.
    const long rows = work.heads * work.query;
    const long down = ceil_div(rows, tiling.rows);
    for (long sequence = 0; sequence < work.sequences; ++sequence) {
        for (long row = down - 1; row >= 0; --row) {
            const long end = std::min(rows, (row + 1) * tiling.rows);
            const long last_token = (end - 1) / work.heads;
            const long before = work.context - work.query;  // the first query token
            const long behind = work.causal ? before + last_token + 1 : work.context;
            // The window of the piece's first token begins first.
            const long first_token = row * tiling.rows / work.heads;
            const long begin =
                work.window > 0 ? std::max(0L, before + first_token + 1 - work.window) : 0;
            const long visible = behind - begin;
            const long part = ceil_div(ceil_div(visible, tiling.splits), tiling.keys) * tiling.keys;
            for (long first = begin; first < behind; first += part) {
                pieces.push_back(
                    {end - row * tiling.rows, std::min(part, behind - first), first, sequence});
            }
        }
    }
    if (work.causal) {
        std::stable_sort(pieces.begin(), pieces.end(),
                         [](const auto& a, const auto& b) { return a.keys > b.keys; });
    }
    return pieces;
}

long longest_keys(const AttentionWork& work) {
    return work.window > 0 ? std::min(work.context, work.window + work.query - 1) : work.context;
}

double cache_bytes(const AttentionWork& work) {
    return as_double(work.sequences) / as_double(work.choosers) * as_double(work.cached) *
           work.entry;
}

double cache_start(const AttentionWork& work, long sequence) {
    constexpr std::uint64_t kSeed = 1;
    const double room = as_double(work.cached - work.context);
    const double first = std::floor(uniform(kSeed, sequence % work.choosers) * room);
    return (as_double(sequence / work.choosers) * as_double(work.cached) + first) * work.entry;
}

AttentionBlock attention_block(const CoreStructure& core, const AttentionWork& work, long rows,
                               long keys) {
    AttentionBlock block;
    const double element = work.query_bytes;
    const auto product = [&](long columns, long depth) {
        return matrix_step(core, work.format, rows, columns, depth, element, element).cycles /
               core.clock;
    };
    block.scores = product(keys, work.depth);
    block.values = product(work.width, keys);
    const VectorUnit& vector = core.vector;
    const double scores = as_double(rows) * as_double(keys);
    const double outputs = as_double(rows) * as_double(work.width);
    const double per_second = vector.cores * core.clock;
    block.exponentials =
        scores * (kScoreOperations / vector.operations + 1 / vector.exponentials) / per_second;
    block.rescale = outputs * kRescaleOperations / vector.operations / per_second;
    if (!vector.sums_in_accumulator) {
        // Scores come in 4 bytes and leave as weights; outputs come in 4 bytes, and the running sum
        // as well, in and out, unless both fit into the vector buffers.
        const double way = 1 / vector.rate / per_second;
        block.exponentials = std::max(block.exponentials, scores * (4 + element) * way);
        const bool kept = outputs * 8 <= vector.buffer * vector.cores;
        block.rescale = std::max(block.rescale, outputs * (kept ? 4 : 12) * way);
    }
    block.loaded = as_double(keys) * work.entry;
    block.macs = scores * as_double(work.depth + work.width);
    return block;
}

double query_bytes(const AttentionWork& work, long rows) {
    return as_double(rows) * as_double(work.depth) * work.query_bytes;
}

double output_bytes(const AttentionWork& work, long rows, bool partial) {
    return as_double(rows) * as_double(work.width) * (partial ? 4 : 2);
}

bool fits(const CoreStructure& core, const AttentionWork& work, const AttentionTiling& tiling) {
    const double rows = as_double(tiling.rows), keys = as_double(tiling.keys);
    const double ahead = as_double(tiling.lookahead);
    const double panel = 2 * std::min(keys, as_double(kPanelKeys)) * work.entry;
    const double queries = query_bytes(work, tiling.rows);
    const double weights = rows * keys * work.query_bytes * ahead;
    const OnChipBuffers& buffers = core.buffers;
    if (core.vector.sums_in_accumulator) {
        // Scores and outputs stay in the accumulator, weights with them.
        return panel + queries <= buffers.level1 &&
               rows * 4 * (as_double(work.width) + keys * ahead) <= buffers.accumulator;
    }
    // Scores and outputs leave the accumulator in pieces of columns; weights come back to level 1.
    return panel + queries + weights <= buffers.level1 &&
           rows * std::min(keys, as_double(core.matrix.columns)) * 4 * ahead <= buffers.accumulator;
}

VectorPlan join_plan(const CoreStructure& core, const AttentionWork& work,
                     const AttentionTiling& tiling) {
    const double outputs =
        as_double(work.sequences) * as_double(work.heads * work.query) * as_double(work.width);
    const double splits = as_double(tiling.splits);
    return vector_plan(core, outputs * 4 * splits, outputs * 2,
                       outputs * splits * kRescaleOperations,
                       outputs * 4 * splits > core.path.l2_bytes);
}

}  // namespace podsim
