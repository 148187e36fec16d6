// One engine instance: its queue, its batch, its blocks, and what its next step works on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <tuple>
#include <vector>

#include "base/calendar.hpp"
#include "workloads/serving.hpp"
#include "workloads/serving/prefix_store.hpp"
#include "workloads/serving/records.hpp"

namespace podsim {

// A request on its way. Times are of the calendar, -1 for not yet.
struct Live {
    Request request;
    std::uint64_t order = 0;  // by arrival
    int priority = 0;
    long generated = 0;  // output tokens before it joined the batch it is in
    long computed = 0;   // tokens in the cache, while it is read
    long target = 0;     // tokens to read: the prompt, and what it had written if preempted
    long promised = 0;   // blocks of the engine that it may take until its last token
    long reused = 0;     // blocks of the prefix store that it holds on to
    long cached = 0;     // tokens of the prompt that the store had at first
    long from_tiers = 0, from_shared = 0;  // blocks that came up for it from below
    std::uint64_t load = 0;                // the last time that some did, by the replica's count
    Picoseconds fetched_since = -1;        // while it is put aside for them
    double fetching = 0;                   // seconds put aside so before it was first read
    std::int64_t leave = 0;                // clock at which it ends, while it decodes
    std::int64_t joined_clock = 0;
    std::int64_t offset = 0;  // its own cached tokens less the clock, while it decodes
    bool swapped = false;     // its cache is with the host
    bool looked_up = false;   // in the prefix store
    bool waited_for_start = false;
    int begun_again = 0;      // after failures
    std::size_t replica = 0;  // that has it now
    std::size_t group = 0;    // of that replica, while it is read
    std::uint32_t visit = 0;  // of its slot: an event of an earlier request finds another number
    Picoseconds arrived = 0, first_scheduled = -1, first_token = -1, joined = -1;
    Picoseconds moved_at = -1, there_at = -1;   // handed to another replica, arrived there
    long read = 0;                              // prompt tokens computed for it
    Picoseconds lost_at = -1;                   // without blocks since
    double lost_reading = 0, lost_writing = 0;  // seconds without blocks, before and after the
                                                // first token
};

// What a replica tells who runs it.
struct ReplicaHost {
    // The first token is written and the cache is whole. False: another replica goes on with it.
    std::function<bool(std::size_t slot)> first_token;
    std::function<void(std::size_t slot)> finished;
    std::function<void(std::size_t replica)> room;  // blocks were given back
    std::function<void(std::size_t slot)> lost;     // by a failure: to be begun again
    std::function<void(std::size_t condition, const StepLoad&, double steps)> worked;
    LogHistogram* inter_token = nullptr;
};

class Replica {
  public:
    // All but `index` must outlive it.
    // `block_bytes`: of the cache of a block of the prompts' names. `shared`: of all replicas, null
    // for none.
    Replica(std::size_t index, const ServingPool& pool, long prefix_block_tokens, Bytes block_bytes,
            SharedStore* shared, Calendar& calendar, std::vector<Live>& lives, ReplicaHost host);

    // To be read, from now on.
    void enqueue(std::size_t slot);
    // Blocks for a cache that is to come; false where there is no room yet.
    bool reserve(std::size_t slot);
    // That cache has come.
    void join(std::size_t slot);
    // The cache of a sequence that another replica goes on with has left.
    void release(std::size_t slot);
    // Takes a request out of the queue; false where it does not wait.
    bool drop(std::size_t slot);

    // It has failed: once the step under way has ended, all that it had is lost.
    void fail();
    void repaired();
    // It is empty and its chips are given back: nothing is kept, in tiers neither. Serves again
    // once `repaired`.
    void stop();
    bool is_empty() const;
    // Of its fabric, from the end of the step under way on.
    void set_condition(std::size_t condition);
    std::size_t condition() const { return condition_; }
    bool is_down() const { return down_; }

    // Tokens of prompts that wait and tokens in the cache: what routing balances.
    double load() const;
    std::size_t waiting() const { return waiting_.size() + loading_.size(); }
    std::vector<std::size_t> waiting_slots() const;
    // Requests that wait or have blocks of their own.
    std::size_t ongoing() const { return waiting() + sequences(); }
    double blocks_in_use() const;  // share
    // Leading blocks of the prompt in its own store: those that are shared are as near to others.
    long found(const Request& request) { return store_.found_here(request, now()); }
    std::size_t index() const { return index_; }
    const ServingPool& pool() const { return pool_; }
    // Blocks that requests can use: named ones are whole. Those that one takes with so many tokens.
    long usable_blocks() const { return store_.usable_pages(); }
    long blocks_for(const Request& request, long tokens) const {
        return store_.pages_of(request, tokens);
    }
    PoolOutcome outcome(double span, std::size_t windows) const;

  private:
    struct Chunk {
        std::size_t slot;
        long tokens;
    };
    struct Step {  // under way: some steps of decoding alone, or one with prompt tokens
        bool running = false;
        Picoseconds begin = 0;
        long steps = 1;
        std::size_t condition = 0;
        double first = 0, slope = 0, extra = 0;  // seconds of the i-th: first + i slope
        StepLoad load;
        std::vector<Chunk> chunks;
        double seconds(long count) const;
        long steps_until(double elapsed) const;
    };
    using Key = std::tuple<int, std::uint64_t, std::size_t>;  // -priority, order, slot

    PrefixStore empty_store();
    Live& live(std::size_t slot) { return lives_[slot]; }
    Key key_of(std::size_t slot) const;
    long pages(long tokens) const;
    long own_tokens(const Live& one) const;  // cached ones that no store holds, while it is read
    long available() const { return store_.pages_for(used_); }
    Seconds now() const { return to_seconds(calendar_.now()); }
    std::size_t group_of(const Live& one) const;
    bool bring_up(std::size_t slot, const PrefixPin& pinned);
    double wait_for_caches();
    void came_up(std::size_t slot, std::uint64_t load);
    void end_fetch(Live& one);
    void let_go_of_prefix(Live& one);
    bool free_held_by_waiting();
    void count_tiers(const Live& one);
    void count_early(const std::vector<Chunk>& chunks, double wait);
    void take(long blocks);
    void give(long blocks);
    long growth(std::int64_t gained) const;
    std::int64_t gained_by(long steps) const;
    std::size_t sequences() const;
    void poke();
    void cut();
    bool head_fits() const;
    bool may_finish(const Live& one) const;
    long whole(const Live& one) const;
    void promise(Live& one);
    long first_chunk(const Live& one, long budget) const;
    void next_step();
    void take_in_ready();
    void make_room_to_decode();
    std::vector<Chunk> choose_chunks(long budget);
    double fullest(const std::vector<Chunk>& chunks) const;
    bool preempt_younger_than(const Key& key, std::size_t first);
    void preempt(std::size_t slot);
    void lose_all();
    void begin_decode(std::size_t slot);
    void end_decode(std::size_t slot);
    void plan_stretch();
    void place_experts();
    double moved(double from_now) const;
    void plan_mixed(std::vector<Chunk> chunks, bool with_decodes);
    Seconds time_of(const StepLoad& load) const;
    void start(double seconds);
    void end_step();
    void advance(long steps);
    void read_chunks(const std::vector<Chunk>& chunks);
    void share_prompt(Live& one);
    void let_go(Live& one);
    void end_loss(Live& one);
    void finish(std::size_t slot);
    void leave_prefilling(std::size_t slot);
    void record(const Step& step);

    std::size_t index_;
    const ServingPool& pool_;
    long prefix_block_tokens_;
    Bytes block_bytes_;
    Calendar& calendar_;
    std::vector<Live>& lives_;
    ReplicaHost host_;
    std::optional<SharedPort> shared_;
    PrefixStore store_;
    std::set<Key> waiting_;
    std::set<std::size_t> loading_;  // whose prefix comes up: they wait for it, others go on
    double waiting_tokens_ = 0;      // of both
    std::vector<std::size_t> prefilling_;
    double prefilling_tokens_ = 0;  // their targets, which stand while they are read
    std::set<std::tuple<std::int64_t, std::uint64_t, std::size_t>> decoding_;  // leave, order, slot
    std::vector<std::size_t> ready_;
    long reserved_ = 0;
    long used_ = 0, promised_ = 0;
    double clock_ = 0;              // tokens that whoever decodes has gained
    std::int64_t whole_clock_ = 0;  // of these the whole ones
    std::int64_t context_ = 0;      // sum of cached tokens less the clock over decoding sequences
    std::vector<long> phases_;      // decoding sequences by offset modulo the block size
    Step step_;
    std::uint64_t generation_ = 0;
    std::size_t condition_ = 0;
    bool down_ = false;          // failed, or off
    bool loses_ = false;         // it failed in the step under way, be it repaired meanwhile or not
    bool begins_ = false;        // a first step is on the calendar
    double busy_until_ = -1;     // seconds: its last step
    double placed_at_ = -1;      // seconds: the experts, -1 before the first step
    double moving_seconds_ = 0;  // of caches that are swapped, that the next step pays
    double tiers_free_ = 0;      // seconds: when the way up from its own tiers is
    double there_ = 0;           // seconds: when what the next step waits for has come up
    std::uint64_t loads_ = 0;
    PoolOutcome sums_;
    Windows busy_, blocks_;
};

}  // namespace podsim
