#include "workloads/serving/replica.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace podsim {

namespace {

std::size_t phase_of(std::int64_t offset, long block) {
    const std::int64_t rest = offset % block;
    return static_cast<std::size_t>(rest < 0 ? rest + block : rest);
}

}  // namespace

Replica::Replica(std::size_t index, const ServingPool& pool, long prefix_block_tokens,
                 Bytes block_bytes, Calendar& calendar, std::vector<Live>& lives, ReplicaHost host)
    : index_(index),
      pool_(pool),
      calendar_(calendar),
      lives_(lives),
      host_(std::move(host)),
      store_(pool.knobs.enable_prefix_caching ? prefix_block_tokens : 0, pool.knobs.block_size,
             pool.kv_blocks, pool.tiers, block_bytes),
      phases_(static_cast<std::size_t>(pool.knobs.block_size), 0) {}

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
    double reading = 0;
    for (const std::size_t slot : prefilling_) reading += static_cast<double>(lives_[slot].target);
    return waiting_tokens_ + cached + reading + static_cast<double>(reserved_ + ready_.size());
}

void Replica::enqueue(std::size_t slot) {
    Live& one = live(slot);
    one.replica = index_;
    waiting_.insert(key_of(slot));
    waiting_tokens_ += static_cast<double>(one.target);
    poke();
}

bool Replica::drop(std::size_t slot) {
    if (waiting_.erase(key_of(slot)) == 0) return false;
    waiting_tokens_ -= static_cast<double>(live(slot).target);
    return true;
}

bool Replica::reserve(std::size_t slot) {
    const long blocks = pages(live(slot).target);
    if (static_cast<long>(sequences()) >= pool_.knobs.max_num_seqs) return false;
    const auto fits = [&](long steps) {
        return blocks <= available() - (decoding_.empty() ? 0 : growth(gained_by(steps)));
    };
    if (!fits(1)) return false;
    // The stretch under way counts on blocks that are free.
    if (step_.running) cut();
    if (step_.running && !fits(step_.steps)) return false;
    take(blocks);
    ++reserved_;
    live(slot).replica = index_;
    return true;
}

void Replica::join(std::size_t slot) {
    --reserved_;
    live(slot).computed = live(slot).target;
    ready_.push_back(slot);
    poke();
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
}

// A prompt that is read is there for others too.
void Replica::share_prompt(Live& one) {
    if (!store_.works()) return;
    const long whole = store_.whole_blocks(one.request);
    if (whole <= one.reused || one.computed < whole * store_.block_tokens()) return;
    give(pages(own_tokens(one)));
    one.reused += store_.name(one.request, one.reused, used_, now());
    take(pages(own_tokens(one)));
}

// Whether it is worth ending the stretch of steps under way for who waits.
bool Replica::head_fits() const {
    if (waiting_.empty() || static_cast<long>(sequences()) >= pool_.knobs.max_num_seqs)
        return false;
    const Live& head = lives_[std::get<2>(*waiting_.begin())];
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

void Replica::make_room_to_decode() {
    while (!decoding_.empty() && growth(gained_by(1)) > available()) {
        (void)preempt_younger_than({std::numeric_limits<int>::min(), 0, 0}, 0);
    }
}

// The youngest of the lowest priority loses its blocks if it comes after `key`. Of those that read
// only the ones from `first` on are looked at.
bool Replica::preempt_younger_than(const Key& key, std::size_t first) {
    Key last = key;
    bool found = false;
    const auto look_at = [&](std::size_t slot) {
        const Key other = key_of(slot);
        if (other <= last) return;
        last = other;
        found = true;
    };
    for (const auto& [leave, order, slot] : decoding_) look_at(slot);
    for (std::size_t i = first; i < prefilling_.size(); ++i) look_at(prefilling_[i]);
    if (found) preempt(std::get<2>(last));
    return found;
}

void Replica::preempt(std::size_t slot) {
    Live& one = live(slot);
    const bool decodes = one.joined >= 0;
    ++sums_.preemptions;
    if (decodes) {
        const std::int64_t remaining = one.leave - whole_clock_;
        end_decode(slot);
        one.generated = one.request.output_tokens - static_cast<long>(remaining);
        one.target = one.request.input_tokens + one.generated;
    } else {
        prefilling_.erase(std::find(prefilling_.begin(), prefilling_.end(), slot));
    }
    let_go(one);
    one.lost_at = calendar_.now();
    if (decodes && pool_.knobs.preemption == Preemption::swap) {
        one.swapped = true;
        // All but the newest token, whose keys and values the next step works out.
        one.target -= 1;
        moving_seconds_ += pool_.swap_each.value() * static_cast<double>(one.target);
    } else {
        one.computed = 0;
    }
    waiting_.insert(key_of(slot));
    waiting_tokens_ += static_cast<double>(one.target);
}

// Who reads in the next step, and how much of its prompt: those that have begun, then those that
// wait, in their order, as far as tokens, sequences and blocks go.
std::vector<Replica::Chunk> Replica::choose_chunks(long budget) {
    const SchedulerKnobs& knobs = pool_.knobs;
    std::vector<Chunk> chunks;
    const auto free_blocks = [&] { return available() - growth(gained_by(1)); };
    const auto needed = [&](const Live& one, long tokens) {
        const long own = own_tokens(one);
        return pages(own + tokens) - pages(own);
    };
    const auto read = [&](std::size_t slot, long tokens) {
        Live& one = live(slot);
        take(needed(one, tokens));
        one.computed += tokens;
        budget -= tokens;
        chunks.push_back({slot, tokens});
    };
    for (std::size_t i = 0; i < prefilling_.size() && budget > 0; ++i) {
        const std::size_t slot = prefilling_[i];
        const long tokens = first_chunk(live(slot), budget);
        bool fits = needed(live(slot), tokens) <= free_blocks();
        while (!fits && preempt_younger_than(key_of(slot), i + 1))
            fits = needed(live(slot), tokens) <= free_blocks();
        if (!fits) break;
        read(slot, tokens);
    }
    while (budget > 0 && !waiting_.empty() && static_cast<long>(sequences()) < knobs.max_num_seqs) {
        const std::size_t slot = std::get<2>(*waiting_.begin());
        Live& one = live(slot);
        if (one.swapped) {
            if (pages(one.target + static_cast<long>(gained_by(1))) > free_blocks()) break;
            waiting_.erase(waiting_.begin());
            waiting_tokens_ -= static_cast<double>(one.target);
            take(pages(one.target));
            moving_seconds_ += pool_.swap_each.value() * static_cast<double>(one.target);
            one.swapped = false;
            one.computed = one.target;
            begin_decode(slot);
            continue;
        }
        long reused = 0;
        double load = 0;  // seconds, of what lies in lower tiers
        if (!one.looked_up && store_.works()) {
            // At least the last token is computed: its output is the next one.
            reused = std::min(store_.found(one.request, now()),
                              (one.target - 1) / store_.block_tokens());
            const auto loaded = store_.pin(one.request, reused, now());
            if (!loaded) reused = 0;
            load = loaded.value_or(Seconds(0.0)).value();
            one.reused = reused;
            one.computed = reused * store_.block_tokens();
        }
        const long tokens =
            knobs.enable_chunked_prefill ? first_chunk(one, budget) : one.target - one.computed;
        const bool alone = chunks.empty();
        const bool fits = needed(one, tokens) <= free_blocks() &&
                          (knobs.enable_chunked_prefill || tokens <= budget || alone);
        if (!fits) {
            store_.unpin(one.request, reused, now());
            one.reused = 0;
            one.computed = 0;
            break;
        }
        one.looked_up = true;
        moving_seconds_ += load;
        waiting_.erase(waiting_.begin());
        waiting_tokens_ -= static_cast<double>(one.target);
        const Picoseconds now = calendar_.now();
        if (one.first_scheduled < 0) {
            one.first_scheduled = now;
            one.cached = one.computed;
            sums_.hit_tokens += static_cast<double>(one.computed);
            sums_.looked_up_tokens += static_cast<double>(one.target);
        }
        if (one.first_token < 0) end_loss(one);
        prefilling_.push_back(slot);
        read(slot, tokens);
    }
    return chunks;
}

void Replica::next_step() {
    step_.running = false;
    step_.chunks.clear();
    take_in_ready();
    make_room_to_decode();
    const long budget = pool_.knobs.max_num_batched_tokens -
                        static_cast<long>(decoding_.size()) * pool_.query_tokens;
    std::vector<Chunk> chunks = choose_chunks(std::max(budget, 1L));
    sums_.peak_sequences = std::max(sums_.peak_sequences, static_cast<long>(sequences()));
    if (!chunks.empty()) {
        const bool with_decodes = pool_.knobs.enable_chunked_prefill && !decoding_.empty();
        return plan_mixed(std::move(chunks), with_decodes);
    }
    if (!decoding_.empty()) return plan_stretch();
    if (prefilling_.size() > 1) {  // they hold each other's blocks: the oldest goes on
        if (!preempt_younger_than(key_of(prefilling_.front()), 1))
            (void)preempt_younger_than({std::numeric_limits<int>::min(), 0, 0}, 0);
        return next_step();
    }
}

void Replica::plan_mixed(std::vector<Chunk> chunks, bool with_decodes) {
    StepLoad load;
    double seen = 0;
    for (const Chunk& chunk : chunks) {
        const auto tokens = static_cast<double>(chunk.tokens);
        const double before = static_cast<double>(live(chunk.slot).computed) - tokens;
        load.prefill_tokens += tokens;
        seen += tokens * (before + (tokens + 1) / 2);
    }
    load.prefill_context = seen / load.prefill_tokens;
    if (with_decodes) {
        load.decodes = static_cast<double>(decoding_.size());
        load.decode_context =
            static_cast<double>(context_) / load.decodes + static_cast<double>(whole_clock_);
    }
    step_.begin = calendar_.now();
    step_.steps = 1;
    step_.load = load;
    step_.extra = moving_seconds_;
    moving_seconds_ = 0;
    step_.first = pool_.step_time(load).value();
    step_.slope = 0;
    step_.chunks = std::move(chunks);
    start(step_.seconds(1));
}

void Replica::plan_stretch() {
    const auto sequences = static_cast<double>(decoding_.size());
    const double context =
        static_cast<double>(context_) / sequences + static_cast<double>(whole_clock_);
    const double each = pool_.tokens_per_step;
    const auto steps_for = [&](double tokens) {
        return std::max(1L, static_cast<long>(std::ceil(tokens / each - 1e-9)));
    };
    long steps = steps_for(static_cast<double>(std::get<0>(*decoding_.begin())) - clock_);
    steps = std::min(steps, steps_for(std::max(32.0, context / 8)));
    // As many as the blocks last.
    long low = 1, high = steps + 1;
    while (high - low > 1) {
        const long middle = low + (high - low) / 2;
        (growth(gained_by(middle)) <= available() ? low : high) = middle;
    }
    steps = low;
    StepLoad load;
    load.decodes = sequences;
    load.decode_context = context;
    step_.begin = calendar_.now();
    step_.steps = steps;
    step_.extra = moving_seconds_;
    moving_seconds_ = 0;
    step_.first = pool_.step_time(load).value();
    step_.slope = 0;
    if (steps > 1) {
        StepLoad last = load;
        last.decode_context += static_cast<double>(steps - 1) * each;
        step_.slope =
            (pool_.step_time(last).value() - step_.first) / static_cast<double>(steps - 1);
    }
    step_.load = load;
    start(step_.seconds(steps));
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
        prefilling_.erase(std::find(prefilling_.begin(), prefilling_.end(), chunk.slot));
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

void Replica::finish(std::size_t slot) {
    Live& one = live(slot);
    let_go(one);
    store_.keep(one.request, used_, now());
    host_.finished(slot);
}

void Replica::record(const Step& step) {
    const double begin = to_seconds(step.begin).value(), end = to_seconds(calendar_.now()).value();
    const double steps = static_cast<double>(step.steps);
    busy_.add(begin, end, 1);
    blocks_.add(begin, end, static_cast<double>(used_ + store_.pinned_pages()));
    sums_.busy += end - begin;
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
    if (host_.worked) host_.worked(load, steps);
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
    host_.room(index_);
    next_step();
}

PoolOutcome Replica::outcome(double span, std::size_t windows) const {
    PoolOutcome outcome = sums_;
    outcome.block_seconds = blocks_.total();
    outcome.busy_windows = busy_.means(span, windows, 1);
    outcome.block_windows = blocks_.means(span, windows, static_cast<double>(pool_.kv_blocks));
    return outcome;
}

}  // namespace podsim
