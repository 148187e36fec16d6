// Attention on a core structure: blocks i of a core's pieces pass four stages, scores q and
// weighted values v on the matrix unit, exponentials e and rescaling r on the vector unit, with h
// the way between the units and a blocks of scores in work at once:
//
//   S(i) = max(matrix, loaded(i)) + q         in the order S(0) .. S(a-1), V(0), S(a), V(1) ...
//   E(i) = max(vector, S(i) + h) + e          in the order E(0), E(1), R(0), E(2), R(1) ...
//   V(i) = max(matrix, E(i) + h, R(i-2)) + v
//   R(i) = max(vector, V(i) + h) + r
//
// A block is loaded when the block two before it was used, after its piece's queries, which wait
// for the scores of the piece before; loads pass the core's port, and the shared memory and cache,
// whose round i is block i of every core. The recurrence is followed for the core that has most to
// do.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <stdexcept>

#include "chips/pipeline_cost.hpp"

namespace podsim {

namespace {

double as_double(long value) {
    return static_cast<double>(value);
}

// Costs of blocks of a few sizes.
class BlockCosts {
  public:
    BlockCosts(const CoreStructure& core, const AttentionWork& work) : core_(core), work_(work) {}

    const AttentionBlock& of(long rows, long keys) {
        for (const Known& known : known_) {
            if (known.rows == rows && known.keys == keys) return known.block;
        }
        known_.push_back({rows, keys, attention_block(core_, work_, rows, keys)});
        return known_.back().block;
    }

  private:
    struct Known {
        long rows, keys;
        AttentionBlock block;
    };
    const CoreStructure& core_;
    const AttentionWork& work_;
    std::deque<Known> known_;  // what was handed out stays where it is
};

struct Block {
    const AttentionBlock* cost;
    double load;         // seconds of the core's port
    double turn = 0;     // seconds of the shared servers for this block of all cores
    double queries = 0;  // seconds of its port for queries that come first
    bool last = false;
};

// What a core's blocks take from a common start, with a latency for each load.
double core_time(const std::vector<Block>& blocks, long lookahead, double handoff, double latency,
                 double first_latency) {
    const auto count = static_cast<long>(blocks.size());
    std::vector<double> scores(blocks.size()), weights(blocks.size()), values(blocks.size()),
        rescaled(blocks.size());
    double asked = 0, server = 0, shared = 0, matrix = 0, vector = 0, queries_used = 0;
    long next_scores = 0, next_weights = 0;
    const auto at = [](std::vector<double>& times, long i) {
        return i < 0 ? 0.0 : times[static_cast<std::size_t>(i)];
    };
    const auto block = [&](long i) -> const Block& { return blocks[static_cast<std::size_t>(i)]; };
    const auto do_scores = [&] {
        const long i = next_scores++;
        // Loads are asked for in their order.
        if (block(i).queries > 0) {
            asked = std::max(asked, queries_used);
            server = std::max(server, asked + first_latency) + block(i).queries;
        }
        asked = std::max(asked, at(values, i - 2));
        server = std::max(server, asked + latency) + block(i).load;
        // Who asks first finds the servers free a round before who asks last.
        shared = std::max(shared + block(i).turn, asked + block(i).load);
        matrix = std::max({matrix, server, shared + latency}) + block(i).cost->scores;
        scores[static_cast<std::size_t>(i)] = matrix;
        if (block(i).last) queries_used = matrix;
    };
    const auto do_weights = [&] {
        const long i = next_weights++;
        vector = std::max(vector, at(scores, i) + handoff) + block(i).cost->exponentials;
        weights[static_cast<std::size_t>(i)] = vector;
    };
    for (long i = 0; i < count; ++i) {
        while (next_scores < count && next_scores - i < lookahead) do_scores();
        if (next_weights == i) do_weights();
        matrix = std::max({matrix, at(weights, i) + handoff, at(rescaled, i - 2)}) +
                 block(i).cost->values;
        values[static_cast<std::size_t>(i)] = matrix;
        // The next block's exponentials come before this one's output, where its scores are done
        // or come next.
        if (next_weights == i + 1 && i + 1 < count) {
            if (next_scores == i + 1) do_scores();
            do_weights();
        }
        vector = std::max(vector, at(values, i) + handoff) + block(i).cost->rescale;
        rescaled[static_cast<std::size_t>(i)] = vector;
    }
    return vector;
}

}  // namespace

PipelineTime attention_time(const CoreStructure& core, const AttentionWork& work,
                            const AttentionTiling& tiling) {
    const std::vector<AttentionPiece> pieces = pieces_of(work, tiling);
    const MemoryPath& path = core.path;
    const auto cores = static_cast<std::size_t>(tiling.cores);
    BlockCosts costs(core, work);
    // The busiest core, by matrix work.
    std::size_t busiest = 0;
    double most = -1;
    double all_loaded = 0;
    for (std::size_t c = 0; c < cores; ++c) {
        double mine = 0;
        for (std::size_t i = c; i < pieces.size(); i += cores) {
            mine += as_double(pieces[i].keys) *
                    as_double(std::max(pieces[i].rows, core.matrix.minimum_rows));
            all_loaded +=
                as_double(pieces[i].keys) * work.entry + query_bytes(work, pieces[i].rows);
        }
        if (mine > most) {
            most = mine;
            busiest = c;
        }
    }
    // Pieces that share a cache and run side by side fetch it once, those of a causal mask as long
    // as L2 holds all caches.
    double queries = 0, stored = 0, caches = 0;
    const bool partial = tiling.splits > 1;
    std::vector<long> reach(static_cast<std::size_t>(work.sequences), 0);
    for (const AttentionPiece& piece : pieces) {
        long& end = reach[static_cast<std::size_t>(piece.cache)];
        end = std::max(end, piece.first_key + piece.keys);
        queries += query_bytes(work, piece.rows);
        stored += output_bytes(work, piece.rows, partial);
    }
    for (const long end : reach) caches += as_double(end) * work.entry;
    const bool held = !work.causal || caches <= path.l2_bytes;
    double fetched = held ? caches + queries : all_loaded;
    if (path.resident) fetched = 0;
    const double to_memory = fetched + (partial || path.resident ? 0 : stored);
    const double away = 1 - 1 / as_double(path.dies);
    double shared =
        std::max(to_memory / path.memory_rate, std::max(all_loaded, stored) / path.l2_rate);
    if (path.dies > 1)
        shared = std::max(shared, all_loaded * away / as_double(path.dies) / path.link_rate);
    const double missed = std::min(1.0, fetched / all_loaded);
    const double seconds_per_byte =
        ((1 - missed) / path.read + missed / path.memory_read) / core.clock;
    // A load waits for memory as often as it misses, and then for its own bytes at least. Queries
    // always miss.
    const double missed_keys =
        path.resident ? 0 : std::clamp((fetched - queries) / (all_loaded - queries), 0.0, 1.0);
    const double hit_latency = path.l2_latency + 2 * away * path.link_latency;
    const double latency = hit_latency + missed_keys * path.memory_latency;
    const double first_latency = hit_latency + (path.resident ? 0 : path.memory_latency);
    const double own = std::max(seconds_per_byte, missed_keys / path.memory_rate);
    const double queries_own = std::max(seconds_per_byte, path.resident ? 0 : 1 / path.memory_rate);

    // Round i of the shared servers is block i of every core, with the queries before it.
    std::vector<double> rounds;
    for (std::size_t c = 0; c < cores; ++c) {
        std::size_t round = 0;
        for (std::size_t i = c; i < pieces.size(); i += cores) {
            for (long first = 0; first < pieces[i].keys; first += tiling.keys, ++round) {
                if (rounds.size() == round) rounds.push_back(0);
                rounds[round] +=
                    as_double(std::min(tiling.keys, pieces[i].keys - first)) * work.entry +
                    (first == 0 ? query_bytes(work, pieces[i].rows) : 0);
            }
        }
    }
    const double seconds_each = shared / all_loaded;
    std::vector<Block> blocks;
    double last_store = 0;
    for (std::size_t i = busiest; i < pieces.size(); i += cores) {
        const AttentionPiece& piece = pieces[i];
        for (long first = 0; first < piece.keys; first += tiling.keys) {
            const long keys = std::min(tiling.keys, piece.keys - first);
            const AttentionBlock& cost = costs.of(piece.rows, keys);
            const double asked = first == 0 ? query_bytes(work, piece.rows) : 0;
            Block block{&cost, cost.loaded * own};
            block.turn = rounds[blocks.size()] * seconds_each;
            block.queries = asked * queries_own;
            block.last = first + tiling.keys >= piece.keys;
            blocks.push_back(block);
        }
        last_store = output_bytes(work, piece.rows, partial) / path.write / core.clock;
    }
    PipelineTime time;
    const double handoff = core.vector.handoff_cycles / core.clock;
    time.seconds = core_time(blocks, tiling.lookahead, handoff, latency, first_latency) +
                   last_store + (partial || path.resident ? 0 : path.memory_latency);
    time.seconds = std::max(time.seconds, shared + latency);
    time.memory_bytes = to_memory;
    time.l2_bytes = all_loaded;
    if (partial) {
        const VectorPlan second = join_plan(core, work, tiling);
        const PipelineTime joined =
            vector_time(core, second, second.read * as_double(second.chunks) > path.l2_bytes);
        time.seconds += joined.seconds;
        time.memory_bytes += joined.memory_bytes;
        time.l2_bytes += joined.l2_bytes;
    }
    return time;
}

namespace {

// What no number of cores is faster than: the blocks' own work over all cores, one after another
// without lookahead; and what L2 hands out.
struct LeastTime {
    double core = 0, shared = 0;

    LeastTime(const CoreStructure& structure, const AttentionWork& work,
              const AttentionTiling& tiling) {
        BlockCosts costs(structure, work);
        const auto add = [&](double blocks, long rows, long keys) {
            const AttentionBlock& block = costs.of(rows, keys);
            const double matrix = block.scores + block.values;
            const double way = 2 * structure.vector.handoff_cycles / structure.clock;
            core += blocks * (tiling.lookahead == 1
                                  ? matrix + block.exponentials + way
                                  : std::max(matrix, block.exponentials + block.rescale));
            shared += blocks * block.loaded / structure.path.l2_rate;
        };
        for (const AttentionPiece& piece : pieces_of(work, tiling)) {
            add(as_double(piece.keys / tiling.keys), piece.rows, tiling.keys);
            if (piece.keys % tiling.keys > 0) add(1, piece.rows, piece.keys % tiling.keys);
        }
        const double caches = as_double(work.sequences) * as_double(work.context) * work.entry;
        if (!structure.path.resident)
            shared = std::max(shared, caches / structure.path.memory_rate);
    }
    double with(long cores) const { return std::max(core / as_double(cores), shared); }
};

// Of each tile the fastest.
void keep(std::vector<PipelineChoice<AttentionTiling>>& best, const CoreStructure& core,
          const AttentionWork& work, const AttentionTiling& tiling) {
    const PipelineTime time = attention_time(core, work, tiling);
    for (auto& other : best) {
        if (!other.tiling.same_tile(tiling)) continue;
        if (time.seconds < other.time.seconds) other = {tiling, time};
        return;
    }
    best.push_back({tiling, time});
}

void order(std::vector<PipelineChoice<AttentionTiling>>& best, std::size_t most) {
    std::stable_sort(best.begin(), best.end(),
                     [](const auto& x, const auto& y) { return x.time.seconds < y.time.seconds; });
    if (best.size() > most) best.resize(most);
}

}  // namespace

std::vector<PipelineChoice<AttentionTiling>> best_tilings(const CoreStructure& core,
                                                          const AttentionWork& work,
                                                          std::size_t most) {
    struct Candidate {
        AttentionTiling tiling;
        LeastTime least;
        double pieces = 0;
    };
    std::vector<Candidate> candidates;
    const long rows = work.heads * work.query;
    for (long block = std::max(core.matrix.minimum_rows, 16L); block <= 256; block *= 2) {
        for (const long keys : {64L, 128L, 256L, 512L}) {
            for (const long lookahead : {2L, 1L}) {
                AttentionTiling tiling;
                tiling.rows = block;
                tiling.keys = keys;
                tiling.lookahead = lookahead;
                tiling.cores = 1;
                if (!fits(core, work, tiling)) continue;
                for (long splits = 1; splits <= 64; splits *= 2) {
                    if (splits > 1 && work.context < 2 * splits * keys) break;
                    tiling.splits = splits;
                    const double down = std::ceil(as_double(rows) / as_double(block));
                    const double pieces = as_double(work.sequences) * down * as_double(splits);
                    if (splits > 1 && pieces > 2 * as_double(core.cores)) break;
                    candidates.push_back({tiling, LeastTime(core, work, tiling), pieces});
                }
            }
        }
        if (block >= rows) break;
    }
    if (candidates.empty()) {
        throw std::invalid_argument(
            "no block of attention fits into the core's buffers: see core.accumulator, "
            "core.level1");
    }
    std::stable_sort(candidates.begin(), candidates.end(), [&](const auto& x, const auto& y) {
        return x.least.with(core.cores) < y.least.with(core.cores);
    });
    // As many cores as share the waves evenly, or fewer: see the search of products.
    std::vector<PipelineChoice<AttentionTiling>> best;
    for (const Candidate& candidate : candidates) {
        AttentionTiling tiling = candidate.tiling;
        for (long most_cores = core.cores; most_cores > 0; most_cores = tiling.cores - 1) {
            const double waves = std::ceil(candidate.pieces / as_double(most_cores));
            tiling.cores = static_cast<long>(std::ceil(candidate.pieces / waves));
            if (best.size() >= most &&
                candidate.least.with(tiling.cores) >= best.back().time.seconds)
                break;
            keep(best, core, work, tiling);
            order(best, most);
        }
    }
    return best;
}

}  // namespace podsim
