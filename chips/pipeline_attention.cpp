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
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>

#include "chips/attention_walk.hpp"

namespace podsim {

namespace {

double as_double(long value) {
    return static_cast<double>(value);
}

// The recurrence, a block after another. Of each stage as many times are kept as are looked back.
class Recurrence {
  public:
    Recurrence(long lookahead, double handoff, double latency, double first_latency)
        : lookahead_(lookahead),
          handoff_(handoff),
          latency_(latency),
          first_latency_(first_latency),
          kept_(std::bit_ceil(static_cast<std::size_t>(lookahead) + 3)) {}

    struct Block {
        const AttentionBlock* cost = nullptr;
        double load = 0;     // seconds of the core's port
        double turn = 0;     // seconds of the shared servers for this block of all cores
        double queries = 0;  // seconds of its port for queries that come first
        bool last = false;   // of its piece
    };

    // `next` is asked for `count` blocks in their order.
    template <class Next>
    double run(long count, Next&& next) {
        for (long i = 0; i < count; ++i) {
            while (next_scores_ < count && next_scores_ - i < lookahead_) do_scores(next());
            if (next_weights_ == i) do_weights();
            Kept& now = at(i);
            matrix_ = std::max({matrix_, now.weights + handoff_, i < 2 ? 0 : at(i - 2).rescaled}) +
                      now.cost->values;
            now.values = matrix_;
            // The next block's exponentials come before this one's output, where its scores are
            // done or come next.
            if (next_weights_ == i + 1 && i + 1 < count) {
                if (next_scores_ == i + 1) do_scores(next());
                do_weights();
            }
            vector_ = std::max(vector_, now.values + handoff_) + now.cost->rescale;
            now.rescaled = vector_;
        }
        return vector_;
    }

  private:
    struct Kept {
        const AttentionBlock* cost = nullptr;
        double scores = 0, weights = 0, values = 0, rescaled = 0;
    };
    Kept& at(long i) { return kept_[static_cast<std::size_t>(i) & (kept_.size() - 1)]; }

    void do_scores(const Block& block) {
        const long i = next_scores_++;
        // Loads are asked for in their order.
        if (block.queries > 0) {
            asked_ = std::max(asked_, queries_used_);
            server_ = std::max(server_, asked_ + first_latency_) + block.queries;
        }
        asked_ = std::max(asked_, i < 2 ? 0 : at(i - 2).values);
        server_ = std::max(server_, asked_ + latency_) + block.load;
        // Who asks first finds the servers free a round before who asks last.
        shared_ = std::max(shared_ + block.turn, asked_ + block.load);
        matrix_ = std::max({matrix_, server_, shared_ + latency_}) + block.cost->scores;
        at(i).cost = block.cost;
        at(i).scores = matrix_;
        if (block.last) queries_used_ = matrix_;
    }
    void do_weights() {
        Kept& now = at(next_weights_++);
        vector_ = std::max(vector_, now.scores + handoff_) + now.cost->exponentials;
        now.weights = vector_;
    }

    long lookahead_;
    double handoff_, latency_, first_latency_;
    std::vector<Kept> kept_;
    double asked_ = 0, server_ = 0, shared_ = 0, matrix_ = 0, vector_ = 0, queries_used_ = 0;
    long next_scores_ = 0, next_weights_ = 0;
};

}  // namespace

const AttentionBlock& AttentionBlocks::of(long rows, long keys) {
    const auto is_it = [&](const Known& known) { return known.rows == rows && known.keys == keys; };
    if (last_ != nullptr && is_it(*last_)) return last_->block;
    const auto known = std::find_if(known_.begin(), known_.end(), is_it);
    if (known != known_.end()) {
        last_ = &*known;
    } else {
        known_.push_back({rows, keys, attention_block(core_, work_, rows, keys)});
        last_ = &known_.back();
    }
    return last_->block;
}

AttentionWalk::AttentionWalk(const CoreStructure& core, const AttentionWork& work,
                             const AttentionTiling& tiling)
    : core_(core), work_(work), tiling_(tiling), blocks_(core, work) {
    // Every sequence has the same pieces.
    AttentionWork one = work;
    one.sequences = 1;
    const MemoryPath& path = core.path;
    const bool partial = tiling.splits > 1;
    double loaded = 0, queries = 0;
    long begin = work.context, reach = 0;
    for (const AttentionPiece& piece : pieces_of(one, tiling)) {
        loaded += as_double(piece.keys) * work.entry + query_bytes(work, piece.rows);
        queries += query_bytes(work, piece.rows);
        stored_ += output_bytes(work, piece.rows, partial);
        begin = std::min(begin, piece.first_key);
        reach = std::max(reach, piece.first_key + piece.keys);
        ++count_;
    }
    const double sequences = as_double(work.sequences);
    count_ *= sequences;
    all_loaded_ = sequences * loaded;
    queries *= sequences;
    stored_ *= sequences;
    // Pieces that share a cache and run side by side fetch it once, those of a causal mask as long
    // as L2 holds all caches. What several choosers read of one is fetched again as far as L2 does
    // not hold it.
    const double keys = as_double(reach - begin), choosers = as_double(work.choosers);
    // Of n entries c choosers of k each by chance leave out n (1 - k / n)^c.
    const double cached = as_double(work.cached);
    const double touched =
        choosers > 1 ? cached * (1 - std::pow(1 - keys / cached, choosers)) : keys;
    const double caches = sequences / choosers * touched * work.entry;
    const bool held = !work.causal || caches <= path.l2_bytes;
    double fetched = held ? caches + queries : all_loaded_;
    if (work.choosers > 1) {
        const double missed = std::max(0.0, 1 - path.l2_bytes / cache_bytes(work));
        fetched += std::max(0.0, sequences * keys * work.entry - caches) * missed;
    }
    if (path.resident) fetched = 0;
    to_memory_ = fetched + (partial || path.resident ? 0 : stored_);
    const double away = 1 - 1 / as_double(path.dies);
    shared_ =
        std::max(to_memory_ / path.memory_rate, std::max(all_loaded_, stored_) / path.l2_rate);
    if (path.dies > 1)
        shared_ = std::max(shared_, all_loaded_ * away / as_double(path.dies) / path.link_rate);
    const double missed = std::min(1.0, fetched / all_loaded_);
    const double seconds_per_byte =
        ((1 - missed) / path.read + missed / path.memory_read) / core.clock;
    // A load waits for memory as often as it misses, and then for its own bytes at least. Queries
    // always miss.
    const double missed_keys =
        path.resident ? 0 : std::clamp((fetched - queries) / (all_loaded_ - queries), 0.0, 1.0);
    // A window within one block has tokens in it that no piece before has seen: each of its loads
    // waits for memory.
    double waiting = missed_keys;
    if (work.window > 0 && !path.resident) {
        const long tokens = (tiling.rows + work.heads - 1) / work.heads;
        if (work.window + tokens - 1 <= tiling.keys) waiting = 1;
    }
    const double hit_latency = path.l2_latency + 2 * away * path.link_latency;
    latency_ = hit_latency + waiting * path.memory_latency;
    first_latency_ = hit_latency + (path.resident ? 0 : path.memory_latency);
    own_ = std::max(seconds_per_byte, missed_keys / path.memory_rate);
    queries_own_ = std::max(seconds_per_byte, path.resident ? 0 : 1 / path.memory_rate);
    end_ = partial || path.resident ? 0 : path.memory_latency;
    if (partial) {
        const VectorPlan second = join_plan(core, work, tiling);
        join_ = vector_time(core, second, second.read * as_double(second.chunks) > path.l2_bytes);
    }
}

PipelineTime AttentionWalk::time(long core_count, long lookahead) {
    if (pieces_.empty()) pieces_ = pieces_of(work_, tiling_);
    const auto cores = static_cast<std::size_t>(core_count);
    const long keys = tiling_.keys;
    // The busiest core, by matrix work; and what all cores ask for in round i of the shared
    // servers, which is block i of every core with the queries before it: first as differences.
    struct Core {
        double work = 0;
        std::size_t round = 0;
    };
    std::vector<Core> all(cores);
    std::vector<double> rounds;
    std::vector<long> more;
    std::size_t at = 0;
    for (const AttentionPiece& piece : pieces_) {
        Core& core = all[at];
        if (++at == cores) at = 0;
        core.work +=
            as_double(piece.keys) * as_double(std::max(piece.rows, core_.matrix.minimum_rows));
        const long whole = piece.keys / keys, rest = piece.keys - whole * keys;
        const std::size_t begin = core.round;
        core.round += static_cast<std::size_t>(whole + (rest > 0 ? 1 : 0));
        if (rounds.size() < core.round) {
            rounds.resize(core.round);
            more.resize(core.round + 1);
        }
        rounds[begin] += query_bytes(work_, piece.rows);
        more[begin] += keys;
        more[begin + static_cast<std::size_t>(whole)] += rest - keys;
        if (rest > 0) more[core.round] -= rest;
    }
    const auto busiest = static_cast<std::size_t>(
        std::max_element(all.begin(), all.end(),
                         [](const Core& x, const Core& y) { return x.work < y.work; }) -
        all.begin());
    const double seconds_each = shared_ / all_loaded_;
    long asked = 0;
    for (std::size_t i = 0; i < rounds.size(); ++i) {
        asked += more[i];
        rounds[i] = (rounds[i] + as_double(asked) * work_.entry) * seconds_each;
    }
    long count = 0;
    double last_store = 0;
    for (std::size_t i = busiest; i < pieces_.size(); i += cores) {
        count += (pieces_[i].keys + keys - 1) / keys;
        last_store = output_bytes(work_, pieces_[i].rows, tiling_.splits > 1) / core_.path.write /
                     core_.clock;
    }
    std::size_t piece = busiest, round = 0;
    long first = 0;
    const auto next = [&] {
        const AttentionPiece& now = pieces_[piece];
        Recurrence::Block block;
        block.cost = &blocks_.of(now.rows, std::min(keys, now.keys - first));
        block.load = block.cost->loaded * own_;
        block.turn = rounds[round++];
        block.queries = first == 0 ? query_bytes(work_, now.rows) * queries_own_ : 0;
        first += keys;
        block.last = first >= now.keys;
        if (block.last) {
            piece += cores;
            first = 0;
        }
        return block;
    };
    const double handoff = core_.vector.handoff_cycles / core_.clock;
    PipelineTime time;
    time.seconds = Recurrence(lookahead, handoff, latency_, first_latency_).run(count, next) +
                   last_store + end_;
    time.seconds = std::max(time.seconds, shared_ + latency_);
    time.memory_bytes = to_memory_;
    time.l2_bytes = all_loaded_;
    if (tiling_.splits > 1) {
        time.seconds += join_.seconds;
        time.memory_bytes += join_.memory_bytes;
        time.l2_bytes += join_.l2_bytes;
    }
    return time;
}

PipelineTime attention_time(const CoreStructure& core, const AttentionWork& work,
                            const AttentionTiling& tiling) {
    return AttentionWalk(core, work, tiling).time(tiling.cores, tiling.lookahead);
}

}  // namespace podsim
