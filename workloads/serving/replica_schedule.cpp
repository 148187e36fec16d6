// What a replica's next step works on: who reads how much, who decodes how far, who has to wait.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "workloads/serving/replica.hpp"

namespace podsim {

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
        leave_prefilling(slot);
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

// A prompt whose prefix lies below, or with all replicas, waits until it has come up, and others go
// on; or the step does that reads it. What a replica has in tiers of its own comes up one prompt
// after the other; what comes up for another one already is waited for as long as that. Whether the
// prompt is put aside.
bool Replica::bring_up(std::size_t slot, const PrefixPin& pinned) {
    if (pinned.from_below.empty() && pinned.on_its_way <= now()) return false;
    Live& one = live(slot);
    one.from_tiers += pinned.from_tiers;
    one.from_shared += pinned.from_shared;
    double there = std::max({now(), pinned.shared_there, pinned.on_its_way}).value();
    if (pinned.from_tiers > 0) {
        tiers_free_ = std::max(now().value(), tiers_free_) + pinned.load.value();
        there = std::max(there, tiers_free_);
    }
    store_.expect(pinned.from_below, Seconds(there));
    if (pool_.fetches_in_step) {
        there_ = std::max(there_, there);
        return false;
    }
    one.looked_up = true;
    one.load = ++loads_;
    one.fetched_since = calendar_.now();
    waiting_.erase(waiting_.begin());
    loading_.insert(slot);
    calendar_.at(std::max(calendar_.now(), to_picoseconds(Seconds(there))), EventClass::arrival,
                 [this, slot, load = one.load] { came_up(slot, load); });
    return true;
}

// Before the next step begins: for what is swapped, and for what comes up for it, seconds.
double Replica::wait_for_caches() {
    const double fetched = std::max(0.0, std::exchange(there_, 0.0) - now().value());
    sums_.fetching += fetched;
    return std::exchange(moving_seconds_, 0.0) + fetched;
}

// Unless it was lost or gave up meanwhile.
void Replica::came_up(std::size_t slot, std::uint64_t load) {
    if (live(slot).load != load || loading_.erase(slot) == 0) return;
    end_fetch(live(slot));
    waiting_.insert(key_of(slot));
    poke();
}

// A wait of its own before the prompt is first read; later it is part of what a preemption took.
void Replica::end_fetch(Live& one) {
    if (one.fetched_since < 0) return;
    if (one.first_scheduled < 0)
        one.fetching += to_seconds(calendar_.now() - one.fetched_since).value();
    one.fetched_since = -1;
}

// Where nobody can go on, those that wait let go of the prefixes that came up for them; the first
// keeps its own if nobody has begun. Whether any did.
bool Replica::free_held_by_waiting() {
    bool any = false;
    for (auto key = waiting_.begin(); key != waiting_.end(); ++key) {
        Live& one = live(std::get<2>(*key));
        const bool is_next = prefilling_.empty() && key == waiting_.begin();
        if (is_next || !one.looked_up) continue;
        let_go_of_prefix(one);
        any = true;
    }
    return any;
}

// Of what it found in the cache: what came up for it, be it at an earlier try.
void Replica::count_tiers(const Live& one) {
    const double block = static_cast<double>(store_.block_tokens());
    const long shared = std::min(one.from_shared, one.reused),
               own = std::min(one.from_tiers, one.reused - shared);
    sums_.tier_tokens += static_cast<double>(own + shared) * block;
    sums_.shared_tokens += static_cast<double>(shared) * block;
}

// For the audit: what a step, which computes after `wait` seconds, takes of prefixes that have not
// come up by then, told from when each was to be there and not from who was put aside for it.
void Replica::count_early(const std::vector<Chunk>& chunks, double wait) {
    const long block = store_.block_tokens();
    for (const Chunk& chunk : chunks) {
        const Live& one = live(chunk.slot);
        if (one.reused == 0 || one.computed - chunk.tokens != one.reused * block) continue;
        const long late = store_.under_way(one.request, one.reused, now() + Seconds(wait));
        sums_.early_tokens += static_cast<double>(late * block);
    }
}

// Who reads in the next step, and how much of its prompt: those that have begun, then those that
// wait, in their order, as far as tokens, sequences and blocks go. A prompt is read by one
// data-parallel group, that with the most tokens left when it begins.
std::vector<Replica::Chunk> Replica::choose_chunks(long budget) {
    const SchedulerKnobs& knobs = pool_.knobs;
    std::vector<Chunk> chunks;
    const long each = (budget + pool_.groups - 1) / pool_.groups;
    std::vector<long> left(static_cast<std::size_t>(pool_.groups), each);
    const auto emptiest = [&] {
        return static_cast<std::size_t>(std::max_element(left.begin(), left.end()) - left.begin());
    };
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
        left[one.group] -= tokens;
        chunks.push_back({slot, tokens});
    };
    for (std::size_t i = 0; i < prefilling_.size() && budget > 0; ++i) {
        const std::size_t slot = prefilling_[i];
        if (left[live(slot).group] <= 0) continue;
        const long tokens = first_chunk(live(slot), left[live(slot).group]);
        bool fits = needed(live(slot), tokens) <= free_blocks();
        while (!fits && preempt_younger_than(key_of(slot), i + 1))
            fits = needed(live(slot), tokens) <= free_blocks();
        if (!fits) break;
        read(slot, tokens);
    }
    // Those whose prefix comes up do not run: they take no seat (as vLLM's that wait for remote
    // KV).
    while (budget > 0 && !waiting_.empty() && static_cast<long>(sequences()) < knobs.max_num_seqs) {
        const std::size_t slot = std::get<2>(*waiting_.begin());
        Live& one = live(slot);
        if (!may_finish(one)) break;
        if (one.swapped) {
            if (pages(one.target + static_cast<long>(gained_by(1))) > free_blocks()) break;
            waiting_.erase(waiting_.begin());
            waiting_tokens_ -= static_cast<double>(one.target);
            take(pages(one.target));
            promise(one);
            moving_seconds_ += pool_.swap_each.value() * static_cast<double>(one.target);
            one.swapped = false;
            one.computed = one.target;
            begin_decode(slot);
            continue;
        }
        const std::size_t group = emptiest();
        if (!one.looked_up && store_.works()) {
            // At least the last token is computed: its output is the next one. What has to come up
            // is let in as a whole: it holds room while it waits.
            const long found = std::min(store_.found(one.request, now()),
                                        (one.target - 1) / store_.block_tokens());
            if (found > 0 && store_.has_below() && pages(one.target) > free_blocks()) break;
            const auto pinned = store_.pin(one.request, found, group, now());
            one.reused = pinned ? found : 0;
            one.computed = one.reused * store_.block_tokens();
            if (pinned && bring_up(slot, *pinned)) continue;
        }
        const long room = left[group];
        const long tokens =
            knobs.enable_chunked_prefill ? first_chunk(one, room) : one.target - one.computed;
        const bool alone = room == each;  // in its group
        const bool fits = needed(one, tokens) <= free_blocks() &&
                          (knobs.enable_chunked_prefill ? room > 0 : tokens <= room || alone);
        if (!fits) {
            store_.unpin(one.request, one.reused, now());
            one.reused = 0;
            one.computed = 0;
            one.looked_up = false;
            break;
        }
        one.looked_up = true;
        one.group = group;
        promise(one);
        waiting_.erase(waiting_.begin());
        waiting_tokens_ -= static_cast<double>(one.target);
        const Picoseconds now = calendar_.now();
        if (one.first_scheduled < 0) {
            one.first_scheduled = now;
            one.cached = one.computed;
            sums_.hit_tokens += static_cast<double>(one.computed);
            count_tiers(one);
            sums_.looked_up_tokens += static_cast<double>(one.target);
        }
        if (one.first_token < 0) end_loss(one);
        prefilling_.push_back(slot);
        prefilling_tokens_ += static_cast<double>(one.target);
        read(slot, tokens);
    }
    return chunks;
}

void Replica::next_step() {
    step_.running = false;
    step_.chunks.clear();
    if (down_) return;
    take_in_ready();
    if (pool_.experts) place_experts();
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
    if (free_held_by_waiting()) return next_step();
    if (prefilling_.size() > 1) {  // they hold each other's blocks: the oldest goes on
        if (!preempt_younger_than(key_of(prefilling_.front()), 1))
            (void)preempt_younger_than({std::numeric_limits<int>::min(), 0, 0}, 0);
        return next_step();
    }
}

// As often as it was to be since the last time; an idle engine did so while it had nothing to do.
void Replica::place_experts() {
    const ExpertBalancing& experts = *pool_.experts;
    const double time = now().value(), every = experts.rebalance_every.value();
    if (placed_at_ < 0) placed_at_ = time;
    if (!(every > 0) || time - placed_at_ < every) return;
    const double times = std::floor((time - placed_at_) / every);
    placed_at_ += times * every;
    sums_.rebalances += static_cast<long>(times);
    if (time - placed_at_ > experts.stall.value() && busy_until_ < placed_at_) return;
    sums_.rebalancing += experts.stall.value();
    moving_seconds_ += experts.stall.value();
}

// Of the experts' popularity, so many seconds from now.
double Replica::moved(double from_now) const {
    if (!pool_.experts) return 0;
    return pool_.experts->moved(now() + Seconds(from_now - placed_at_));
}

// Tokens of the group that reads the most of these.
double Replica::fullest(const std::vector<Chunk>& chunks) const {
    std::vector<long> tokens(static_cast<std::size_t>(pool_.groups));
    for (const Chunk& chunk : chunks) tokens[lives_[chunk.slot].group] += chunk.tokens;
    return static_cast<double>(*std::max_element(tokens.begin(), tokens.end()));
}

void Replica::plan_mixed(std::vector<Chunk> chunks, bool with_decodes) {
    StepLoad load;
    if (pool_.groups > 1) load.fullest_prefill = fullest(chunks);
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
    load.moved = moved(0);
    step_.begin = calendar_.now();
    step_.condition = condition_;
    step_.steps = 1;
    step_.load = load;
    step_.extra = wait_for_caches();
    count_early(chunks, step_.extra);
    step_.first = time_of(load).value();
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
    load.moved = moved(0);
    step_.begin = calendar_.now();
    step_.condition = condition_;
    step_.extra = wait_for_caches();
    step_.first = time_of(load).value();
    step_.slope = 0;
    // Not beyond the next placing, nor a tenth of the drift's time.
    if (pool_.experts) {
        const double every = pool_.experts->rebalance_every.value(),
                     left = placed_at_ + every - now().value();
        double most = pool_.experts->drift_time.value() / 10;
        if (every > 0) most = std::min(most, left);
        steps = std::clamp(static_cast<long>(most / step_.first) + 1, 1L, steps);
    }
    step_.steps = steps;
    if (steps > 1) {
        StepLoad last = load;
        last.decode_context += static_cast<double>(steps - 1) * each;
        last.moved = moved(static_cast<double>(steps - 1) * step_.first);
        step_.slope = (time_of(last).value() - step_.first) / static_cast<double>(steps - 1);
    }
    load.moved = moved(step_.seconds(steps) / 2);  // halfway
    step_.load = load;
    start(step_.seconds(steps));
}

}  // namespace podsim
