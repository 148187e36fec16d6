#include "workloads/serving/replica.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace podsim {

namespace {

std::size_t phase_of(std::int64_t offset, long block) {
    const std::int64_t rest = offset % block;
    return static_cast<std::size_t>(rest < 0 ? rest + block : rest);
}

}  // namespace

Replica::Replica(std::size_t index, const ServingPool& pool, long prefix_block_tokens,
                 Bytes block_bytes, SharedStore* shared, Calendar& calendar,
                 std::vector<Live>& lives, ReplicaHost host)
    : index_(index),
      pool_(pool),
      prefix_block_tokens_(pool.knobs.enable_prefix_caching ? prefix_block_tokens : 0),
      block_bytes_(block_bytes),
      calendar_(calendar),
      lives_(lives),
      host_(std::move(host)),
      shared_(shared != nullptr && pool.shared
                  ? std::optional(SharedPort(*shared, *pool.shared, pool.groups))
                  : std::nullopt),
      store_(empty_store()),
      phases_(static_cast<std::size_t>(pool.knobs.block_size), 0) {
    sums_.condition_seconds.resize(1 + pool.degraded.size(), 0.0);
    sums_.condition_steps.resize(1 + pool.degraded.size(), 0.0);
}

PrefixStore Replica::empty_store() {
    return {prefix_block_tokens_, pool_.knobs.block_size, pool_.kv_blocks,
            pool_.tiers,          block_bytes_,           shared_ ? &*shared_ : nullptr};
}

// Whose ports its cache goes over: those of the group that reads it; who decodes is spread evenly.
std::size_t Replica::group_of(const Live& one) const {
    return pool_.role == PoolRole::decode ? one.order % static_cast<std::size_t>(pool_.groups)
                                          : one.group;
}

double Replica::Step::seconds(long count) const {
    const auto n = static_cast<double>(count);
    return count == 0 ? 0 : extra + n * first + slope * n * (n - 1) / 2;
}

// The first end of a step at or after `elapsed`.
long Replica::Step::steps_until(double elapsed) const {
    long low = 0, high = steps;
    while (high - low > 1) {
        const long middle = low + (high - low) / 2;
        (seconds(middle) < elapsed ? low : high) = middle;
    }
    return high;
}

Replica::Key Replica::key_of(std::size_t slot) const {
    const Live& one = lives_[slot];
    const bool by_class = pool_.knobs.scheduling_policy == SchedulingPolicy::priority;
    return {by_class ? -one.priority : 0, one.order, slot};
}

long Replica::pages(long tokens) const {
    return (tokens + pool_.knobs.block_size - 1) / pool_.knobs.block_size;
}

long Replica::own_tokens(const Live& one) const {
    return one.computed - one.reused * store_.block_tokens();
}

void Replica::take(long blocks) {
    used_ += blocks;
    store_.make_room(used_, now());
    sums_.peak_blocks = std::max(sums_.peak_blocks, used_ + store_.pinned_pages());
}

void Replica::give(long blocks) {
    used_ -= blocks;
    store_.make_room(used_, now());
}

// Blocks that decoding sequences ask for while each gains so many tokens: one at every full block.
long Replica::growth(std::int64_t gained) const {
    const long block = pool_.knobs.block_size;
    long sum = static_cast<long>(gained / block) * static_cast<long>(decoding_.size());
    for (std::int64_t i = 0; i < gained % block; ++i)
        sum += phases_[phase_of(-(whole_clock_ + i), block)];
    return sum;
}

std::int64_t Replica::gained_by(long steps) const {
    const double clock = clock_ + static_cast<double>(steps) * pool_.tokens_per_step;
    return static_cast<std::int64_t>(std::floor(clock + 1e-9)) - whole_clock_;
}

std::size_t Replica::sequences() const {
    return decoding_.size() + prefilling_.size() + ready_.size() +
           static_cast<std::size_t>(reserved_);
}

double Replica::load() const {
    double cached = 0;
    if (!decoding_.empty())
        cached = static_cast<double>(context_) +
                 static_cast<double>(whole_clock_) * static_cast<double>(decoding_.size());
    return waiting_tokens_ + cached + prefilling_tokens_ +
           static_cast<double>(reserved_ + ready_.size());
}

void Replica::enqueue(std::size_t slot) {
    Live& one = live(slot);
    one.replica = index_;
    waiting_.insert(key_of(slot));
    waiting_tokens_ += static_cast<double>(one.target);
    poke();
}

bool Replica::drop(std::size_t slot) {
    if (loading_.erase(slot) == 0 && waiting_.erase(key_of(slot)) == 0) return false;
    Live& one = live(slot);
    waiting_tokens_ -= static_cast<double>(one.target);
    const bool held = one.looked_up;
    let_go_of_prefix(one);
    if (held) poke();
    return true;
}

bool Replica::reserve(std::size_t slot) {
    if (down_) return false;
    const long blocks = pages(live(slot).target);
    if (static_cast<long>(sequences()) >= pool_.knobs.max_num_seqs) return false;
    if (!may_finish(live(slot))) return false;
    const auto fits = [&](long steps) {
        return blocks <= available() - (decoding_.empty() ? 0 : growth(gained_by(steps)));
    };
    if (!fits(1)) return false;
    // The stretch under way counts on blocks that are free.
    if (step_.running) cut();
    if (step_.running && !fits(step_.steps)) return false;
    take(blocks);
    promise(live(slot));
    ++reserved_;
    live(slot).replica = index_;
    return true;
}

void Replica::join(std::size_t slot) {
    --reserved_;
    live(slot).computed = live(slot).target;
    ready_.push_back(slot);
    if (down_ && !step_.running) return lose_all();
    poke();
}

void Replica::fail() {
    down_ = true;
    if (step_.running) {
        loses_ = true;
        cut();
    } else {
        lose_all();
    }
}

void Replica::repaired() {
    down_ = false;
    poke();
    host_.room(index_);
}

void Replica::set_condition(std::size_t condition) {
    condition_ = condition;
    if (step_.running) cut();
}

Seconds Replica::time_of(const StepLoad& load) const {
    return condition_ == 0 ? pool_.step_time(load) : pool_.degraded[condition_ - 1](load);
}

bool Replica::is_empty() const {
    return waiting() == 0 && sequences() == 0 && used_ == 0 && store_.pinned_pages() == 0;
}

void Replica::stop() {
    down_ = true;
    moving_seconds_ = there_ = 0;
    store_ = empty_store();
}

std::vector<std::size_t> Replica::waiting_slots() const {
    std::vector<std::size_t> slots(loading_.begin(), loading_.end());
    for (const Key& key : waiting_) slots.push_back(std::get<2>(key));
    return slots;
}

double Replica::blocks_in_use() const {
    return static_cast<double>(used_ + store_.pinned_pages()) /
           static_cast<double>(pool_.kv_blocks);
}

// Whoever was here is to be read again from the first token, with what it had written. What is on
// its way to another replica has left.
void Replica::lose_all() {
    take_in_ready();
    const long before = sums_.preemptions;
    while (!decoding_.empty()) preempt(std::get<2>(*decoding_.begin()));
    while (!prefilling_.empty()) preempt(prefilling_.back());
    sums_.preemptions = before;
    moving_seconds_ = there_ = 0;
    const std::vector<std::size_t> slots = waiting_slots();
    for (const std::size_t slot : slots) {
        end_fetch(live(slot));
        let_go_of_prefix(live(slot));
    }
    loading_.clear();
    waiting_.clear();
    waiting_tokens_ = 0;
    store_.make_room(pool_.kv_blocks, now());  // nothing is kept
    store_.make_room(used_, now());
    for (const std::size_t slot : slots) {
        Live& one = live(slot);
        if (one.swapped) ++one.target;  // its newest token too
        one.swapped = false;
        one.computed = 0;
        one.from_tiers = one.from_shared = 0;
        host_.lost(slot);
    }
    host_.room(index_);
}

void Replica::release(std::size_t slot) {
    let_go(live(slot));
    poke();
}

// Blocks of its own and its hold on the store.
void Replica::let_go(Live& one) {
    give(pages(own_tokens(one)));
    store_.unpin(one.request, one.reused, now());
    one.reused = 0;
    one.looked_up = false;
    promised_ -= std::exchange(one.promised, 0);
}

// What a prompt that waits holds of the store: all of it has come up, or is on its way.
void Replica::let_go_of_prefix(Live& one) {
    if (!one.looked_up) return;
    let_go(one);
    one.computed = 0;
}

// Whether it has room to its last token beside all others to theirs, where that is asked for.
bool Replica::may_finish(const Live& one) const {
    if (pool_.knobs.capacity_policy == CapacityPolicy::max_utilization) return true;
    return promised_ + whole(one) <= usable_blocks();
}

// Blocks that it takes at most: a prompt's where another pool writes the answer, else all its
// tokens, and drafts beyond the last one.
long Replica::whole(const Live& one) const {
    const long read = one.request.input_tokens;
    if (pool_.role == PoolRole::prefill) return blocks_for(one.request, read + 1);
    return blocks_for(one.request, read + one.request.output_tokens +
                                       static_cast<long>(std::ceil(pool_.tokens_per_step)));
}

void Replica::promise(Live& one) {
    promised_ -= one.promised;
    one.promised = whole(one);
    promised_ += one.promised;
}

// A prompt that is read is there for others too.
void Replica::share_prompt(Live& one) {
    if (!store_.works()) return;
    const long whole = store_.whole_blocks(one.request);
    if (whole <= one.reused || one.computed < whole * store_.block_tokens()) return;
    give(pages(own_tokens(one)));
    one.reused += store_.name(one.request, one.reused, used_, group_of(one), now());
    take(pages(own_tokens(one)));
}

// Whether it is worth ending the stretch of steps under way for who waits.
bool Replica::head_fits() const {
    if (waiting_.empty() || static_cast<long>(sequences()) >= pool_.knobs.max_num_seqs)
        return false;
    const Live& head = lives_[std::get<2>(*waiting_.begin())];
    if (!may_finish(head)) return false;
    const long budget = pool_.knobs.max_num_batched_tokens -
                        static_cast<long>(decoding_.size()) * pool_.query_tokens;
    return pages(head.swapped ? head.target : first_chunk(head, budget)) <=
           available() - growth(gained_by(1));
}

long Replica::first_chunk(const Live& one, long budget) const {
    long tokens = std::min(one.target - one.computed, std::max(budget, 1L));
    const long threshold = pool_.knobs.long_prefill_token_threshold;
    if (threshold > 0) tokens = std::min(tokens, threshold);
    return tokens;
}

// Something to do has come. An idle replica begins when all that comes at this time has come.
void Replica::poke() {
    if (down_) return;
    if (!step_.running) {
        if (begins_) return;
        begins_ = true;
        calendar_.at(calendar_.now(), EventClass::start, [this] {
            begins_ = false;
            if (!step_.running) next_step();
        });
        return;
    }
    if (!ready_.empty() || head_fits()) cut();
}

// A stretch of steps ends with the one that is under way.
void Replica::cut() {
    if (!step_.chunks.empty() || step_.steps == 1) return;
    const long steps = step_.steps_until(to_seconds(calendar_.now() - step_.begin).value());
    if (steps >= step_.steps) return;
    step_.steps = steps;
    start(step_.seconds(steps));
}

// (Re)schedules the end of the step under way.
void Replica::start(double seconds) {
    step_.running = true;
    const std::uint64_t generation = ++generation_;
    const Picoseconds end =
        std::max(calendar_.now(), step_.begin + to_picoseconds(Seconds(seconds)));
    calendar_.at(end, EventClass::completion, [this, generation] {
        if (generation == generation_) end_step();
    });
}

void Replica::take_in_ready() {
    for (const std::size_t slot : ready_) begin_decode(slot);
    ready_.clear();
}

void Replica::begin_decode(std::size_t slot) {
    Live& one = live(slot);
    const long remaining = one.request.output_tokens - one.generated;
    one.leave = whole_clock_ + remaining;
    one.offset = own_tokens(one) - whole_clock_;
    one.joined_clock = whole_clock_;
    one.joined = calendar_.now();
    end_loss(one);
    decoding_.insert({one.leave, one.order, slot});
    ++phases_[phase_of(one.offset, pool_.knobs.block_size)];
    context_ += one.computed - whole_clock_;
}

// `computed` then says how large its cache has become.
void Replica::end_decode(std::size_t slot) {
    Live& one = live(slot);
    decoding_.erase({one.leave, one.order, slot});
    --phases_[phase_of(one.offset, pool_.knobs.block_size)];
    context_ -= one.computed - one.joined_clock;
    one.computed += static_cast<long>(whole_clock_ - one.joined_clock);
    one.joined = -1;
}

// It has blocks again: the time without counts as such, and as one long wait for a token.
void Replica::end_loss(Live& one) {
    if (one.lost_at < 0) return;
    const double lost = to_seconds(calendar_.now() - one.lost_at).value();
    (one.first_token < 0 ? one.lost_reading : one.lost_writing) += lost;
    if (one.first_token >= 0 && host_.inter_token != nullptr) host_.inter_token->add(lost, 1);
    one.lost_at = -1;
}

void Replica::advance(long steps) {
    const double before = clock_;
    const std::int64_t gained = gained_by(steps);
    take(growth(gained));
    clock_ = before + static_cast<double>(steps) * pool_.tokens_per_step;
    whole_clock_ += gained;
    sums_.written_tokens += static_cast<double>(decoding_.size()) * static_cast<double>(gained);
}

void Replica::read_chunks(const std::vector<Chunk>& chunks) {
    for (const Chunk& chunk : chunks) {
        Live& one = live(chunk.slot);
        sums_.prefill_tokens += static_cast<double>(chunk.tokens);
        one.read += chunk.tokens;
        if (one.computed < one.target) continue;
        leave_prefilling(chunk.slot);
        share_prompt(one);
        ++one.generated;
        sums_.written_tokens += 1;
        if (one.first_token < 0) one.first_token = calendar_.now();
        if (one.generated >= one.request.output_tokens) {
            end_loss(one);
            finish(chunk.slot);
        } else if (host_.first_token(chunk.slot)) {
            begin_decode(chunk.slot);
        }
    }
}

void Replica::leave_prefilling(std::size_t slot) {
    prefilling_.erase(std::find(prefilling_.begin(), prefilling_.end(), slot));
    prefilling_tokens_ -= static_cast<double>(live(slot).target);
}

void Replica::finish(std::size_t slot) {
    Live& one = live(slot);
    let_go(one);
    store_.keep(one.request, used_, group_of(one), now());
    host_.finished(slot);
}

void Replica::record(const Step& step) {
    const double begin = to_seconds(step.begin).value(), end = to_seconds(calendar_.now()).value();
    const double steps = static_cast<double>(step.steps);
    busy_.add(begin, end, 1);
    blocks_.add(begin, end, static_cast<double>(used_ + store_.pinned_pages()));
    sums_.busy += end - begin;
    sums_.moved_seconds += (end - begin) * step.load.moved;
    busy_until_ = end;
    sums_.steps += steps;
    sums_.sequence_seconds +=
        (end - begin) * static_cast<double>(decoding_.size() + prefilling_.size());
    StepLoad load = step.load;
    // Halfway, for what is linear in the context.
    load.decode_context += (steps - 1) / 2 * pool_.tokens_per_step;
    if (step.chunks.empty()) {
        sums_.decode_seconds += end - begin;
        sums_.decode_steps += steps;
        sums_.decode_sequences += load.decodes * steps;
        sums_.decode_contexts += load.decodes * load.decode_context * steps;
    } else {
        sums_.mixed_steps += 1;
    }
    sums_.condition_seconds[step.condition] += end - begin;
    sums_.condition_steps[step.condition] += steps;
    if (host_.worked) host_.worked(step.condition, load, steps);
    if (host_.inter_token == nullptr || load.decodes == 0) return;
    // Steps of a stretch differ by what its context grows: a few parts are enough.
    const long parts = std::min(step.steps, 4L);
    for (long i = 0; i < parts; ++i) {
        const long from = step.steps * i / parts, to = step.steps * (i + 1) / parts;
        const auto count = static_cast<double>(to - from);
        host_.inter_token->add((step.seconds(to) - step.seconds(from)) / count,
                               load.decodes * count);
    }
}

void Replica::end_step() {
    const Step step = std::move(step_);
    step_ = Step();
    step_.running = true;  // nobody begins another one before this one has been worked off
    step_.steps = 1;
    record(step);
    if (step.load.decodes > 0) {
        advance(step.steps);
        while (!decoding_.empty() && std::get<0>(*decoding_.begin()) <= whole_clock_) {
            const std::size_t slot = std::get<2>(*decoding_.begin());
            // Drafts beyond the end are not part of the answer.
            sums_.written_tokens -= static_cast<double>(whole_clock_ - live(slot).leave);
            end_decode(slot);
            finish(slot);
        }
    }
    read_chunks(step.chunks);
    if (std::exchange(loses_, false) || down_) {
        step_.running = false;
        lose_all();
        if (!down_) poke();
        return;
    }
    host_.room(index_);
    next_step();
}

PoolOutcome Replica::outcome(double span, std::size_t windows) const {
    PoolOutcome outcome = sums_;
    outcome.block_seconds = blocks_.total();
    // In the same steps for all replicas.
    Windows busy = busy_, blocks = blocks_;
    busy.reach(span);
    blocks.reach(span);
    outcome.busy_windows = busy.means(span, windows, 1);
    outcome.block_windows = blocks.means(span, windows, static_cast<double>(pool_.kv_blocks));
    return outcome;
}

}  // namespace podsim
