#include "workloads/serving/fleet.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace podsim {

const std::vector<std::pair<const char*, Preemption>>& names_of(const Preemption*) {
    static const std::vector<std::pair<const char*, Preemption>> names = {
        {"recompute", Preemption::recompute}, {"swap", Preemption::swap}};
    return names;
}

const std::vector<std::pair<const char*, SchedulingPolicy>>& names_of(const SchedulingPolicy*) {
    static const std::vector<std::pair<const char*, SchedulingPolicy>> names = {
        {"fcfs", SchedulingPolicy::fcfs}, {"priority", SchedulingPolicy::priority}};
    return names;
}

const std::vector<std::pair<const char*, CapacityPolicy>>& names_of(const CapacityPolicy*) {
    static const std::vector<std::pair<const char*, CapacityPolicy>> names = {
        {"max_utilization", CapacityPolicy::max_utilization},
        {"guaranteed_no_evict", CapacityPolicy::guaranteed_no_evict}};
    return names;
}

const std::vector<std::pair<const char*, Routing>>& names_of(const Routing*) {
    static const std::vector<std::pair<const char*, Routing>> names = {
        {"round_robin", Routing::round_robin},
        {"least_loaded", Routing::least_loaded},
        {"prefix_aware", Routing::prefix_aware}};
    return names;
}

const std::vector<std::pair<const char*, PoolRole>>& names_of(const PoolRole*) {
    static const std::vector<std::pair<const char*, PoolRole>> names = {
        {"serve", PoolRole::serve}, {"prefill", PoolRole::prefill}, {"decode", PoolRole::decode}};
    return names;
}

ServiceObjective promised(const ServiceObjective& all, const std::vector<ServiceClass>& classes,
                          int service_class) {
    ServiceObjective objective = all;
    const auto index = static_cast<std::size_t>(service_class);
    if (index >= classes.size()) return objective;
    const ServiceClass& own = classes[index];
    if (own.time_to_first_token) objective.time_to_first_token = own.time_to_first_token;
    if (own.time_per_output_token) objective.time_per_output_token = own.time_per_output_token;
    return objective;
}

namespace {

// A prompt goes where most of it is kept, unless that replica has this many times the load of the
// least loaded one: then there.
constexpr double kMostUneven = 2.0;
constexpr std::uint64_t kEventsBetweenLooks = 4096;
// Of one request that failures end: it would go on for ever.
constexpr int kMostTries = 1000;

constexpr std::size_t kWindows = 60;

void add(std::vector<double>& sums, const std::vector<double>& values) {
    sums.resize(std::max(sums.size(), values.size()), 0.0);
    for (std::size_t i = 0; i < values.size(); ++i) sums[i] += values[i];
}

void add(PoolOutcome& sum, const PoolOutcome& one) {
    for (double PoolOutcome::*field :
         {&PoolOutcome::busy, &PoolOutcome::steps, &PoolOutcome::mixed_steps,
          &PoolOutcome::prefill_tokens, &PoolOutcome::written_tokens, &PoolOutcome::decode_seconds,
          &PoolOutcome::decode_sequences, &PoolOutcome::decode_contexts, &PoolOutcome::decode_steps,
          &PoolOutcome::sequence_seconds, &PoolOutcome::block_seconds, &PoolOutcome::hit_tokens,
          &PoolOutcome::looked_up_tokens, &PoolOutcome::tier_tokens, &PoolOutcome::shared_tokens,
          &PoolOutcome::early_tokens, &PoolOutcome::rebalancing, &PoolOutcome::moved_seconds,
          &PoolOutcome::fetching})
        sum.*field += one.*field;
    sum.peak_blocks = std::max(sum.peak_blocks, one.peak_blocks);
    sum.peak_sequences = std::max(sum.peak_sequences, one.peak_sequences);
    sum.preemptions += one.preemptions;
    sum.rebalances += one.rebalances;
    add(sum.condition_seconds, one.condition_seconds);
    add(sum.condition_steps, one.condition_steps);
    add(sum.busy_windows, one.busy_windows);
    add(sum.block_windows, one.block_windows);
}

void divide(std::vector<double>& sums, const std::vector<double>& by) {
    for (std::size_t i = 0; i < std::min(sums.size(), by.size()); ++i)
        sums[i] = by[i] > 0 ? sums[i] / by[i] : 0;
}

void require(const ServingCase& serving) {
    bool serve = false, prefill = false, decode = false;
    for (const ServingPool& pool : serving.pools) {
        serve = serve || pool.role == PoolRole::serve;
        prefill = prefill || pool.role == PoolRole::prefill;
        decode = decode || pool.role == PoolRole::decode;
        if (pool.replicas < 1 || pool.kv_blocks < 1 || !pool.step_time)
            throw std::invalid_argument("pool " + pool.name + " has no replica, blocks or steps");
        if (pool.knobs.block_size < 1 || pool.knobs.max_num_seqs < 1 ||
            pool.knobs.max_num_batched_tokens < 1 || !(pool.tokens_per_step >= 1))
            throw std::invalid_argument("pool " + pool.name + " has knobs below 1");
        std::set<int> lost;
        for (const ReplicaOutage& outage : pool.outages) {
            if (!outage.until) lost.insert(outage.replica);
        }
        if (lost.size() >= static_cast<std::size_t>(pool.replicas))
            throw std::invalid_argument("pool " + pool.name + " loses all its replicas for good");
        if (pool.shared && pool.groups < 1)
            throw std::invalid_argument("pool " + pool.name + " has no data-parallel group");
        if (!pool.degraded_links.empty() && pool.degraded_links.size() != pool.degraded.size())
            throw std::invalid_argument("pool " + pool.name + " has links of other conditions");
        for (const ConditionChange& change : pool.changes) {
            if (change.condition > pool.degraded.size() || change.replica >= pool.replicas)
                throw std::invalid_argument("pool " + pool.name + " changes what it does not have");
        }
        if (!pool.autoscaling) continue;
        const AutoscalingRule& rule = *pool.autoscaling;
        if (!(rule.target > 0) || !(rule.interval > Seconds(0.0)) || rule.min_replicas < 0 ||
            rule.initial_replicas < rule.min_replicas || rule.initial_replicas > pool.replicas)
            throw std::invalid_argument("pool " + pool.name +
                                        " is scaled by a rule that leaves its bounds");
    }
    if (!serve && !prefill) throw std::invalid_argument("no pool reads prompts");
    if (prefill != decode)
        throw std::invalid_argument("a prefill pool needs a decode pool, and the other way round");
}

}  // namespace

Fleet::Fleet(const ServingCase& serving, RequestStream& requests)
    : serving_(serving), requests_(requests) {
    require(serving);
    if (!serving.shared_tiers.empty() && requests.block_tokens > 0)
        shared_.emplace(serving.shared_tiers, requests.block_tokens, serving.kv_per_token);
    for (std::size_t p = 0; p < serving.pools.size(); ++p) {
        const ServingPool& pool = serving.pools[p];
        for (int i = 0; i < pool.replicas; ++i) {
            const std::size_t index = replicas_.size();
            ReplicaHost host;
            host.first_token = [this](std::size_t slot) { return first_token(slot); };
            host.finished = [this](std::size_t slot) { finish(slot); };
            host.lost = [this](std::size_t slot) { begin_again(slot); };
            host.room = [this](std::size_t replica) {
                admit_waiting_caches(replica);
                stop_if_drained(replica);
            };
            if (serving.worked)
                host.worked = [this, p](std::size_t condition, const StepLoad& load, double steps) {
                    serving_.worked(p, condition, load, steps);
                };
            host.inter_token = &inter_token_;
            const Bytes block = static_cast<double>(requests.block_tokens) * serving.kv_per_token;
            replicas_.push_back(std::make_unique<Replica>(index, pool, requests.block_tokens, block,
                                                          shared_ ? &*shared_ : nullptr, calendar_,
                                                          lives_, std::move(host)));
            pool_of_.push_back(p);
            (pool.role == PoolRole::decode ? writers_ : readers_).push_back(index);
        }
    }
    port_free_.resize(replicas_.size(), 0);
    inbound_.resize(replicas_.size());
    inbound_tokens_.resize(replicas_.size(), 0);
    life_.resize(replicas_.size());
    for (const ServingPool& pool : serving.pools) {
        scalers_.emplace_back();
        if (pool.autoscaling) scalers_.back().emplace(*pool.autoscaling, pool.replicas);
    }
}

// The next arrival is on the calendar before the last one has been worked off.
void Fleet::pull() {
    Request request;
    // A burst comes in one go: a signal ends it.
    if (serving_.stop && ++pulled_ % kEventsBetweenLooks == 0 && serving_.stop())
        exhausted_ = out_.stopped = true;
    if (exhausted_ || !requests_.next(request)) {
        exhausted_ = true;
        return;
    }
    if (!begun_) begin_ = to_picoseconds(request.arrival);
    begun_ = true;
    const Picoseconds at = time_of(request);
    calendar_.at(at, EventClass::arrival, [this, request = std::move(request)]() mutable {
        arrive(std::move(request));
        pull();
    });
}

// The calendar begins with the first arrival.
Picoseconds Fleet::time_of(const Request& request) const {
    return std::max(to_picoseconds(request.arrival) - begin_, calendar_.now());
}

void Fleet::schedule(Request request) {
    const Picoseconds at = time_of(request);
    ++coming_;
    calendar_.at(at, EventClass::arrival, [this, request = std::move(request)]() mutable {
        --coming_;
        arrive(std::move(request));
    });
}

void Fleet::count_change(long change) {
    out_.number_integral +=
        static_cast<double>(number_) * to_seconds(calendar_.now() - changed_).value();
    changed_ = calendar_.now();
    number_ += change;
    last_end_ = std::max(last_end_, calendar_.now());
}

// Why no replica could ever serve it; "" where one can.
std::string Fleet::refusal(const Request& request) const {
    const long whole = request.input_tokens + request.output_tokens;
    if (request.input_tokens < 1 || request.output_tokens < 1)
        return "prompts or answers without a token";
    if (serving_.max_model_len > 0 && whole > serving_.max_model_len)
        return fmt::format("prompt and answer longer than max_model_len, {} tokens",
                           serving_.max_model_len);
    std::size_t first = 0;
    for (const ServingPool& pool : serving_.pools) {
        const Replica& replica = *replicas_[first];
        first += static_cast<std::size_t>(pool.replicas);
        const long held = pool.role == PoolRole::prefill ? request.input_tokens : whole;
        const long all = held + static_cast<long>(std::ceil(pool.tokens_per_step));
        if (replica.blocks_for(request, all) <= replica.usable_blocks()) continue;
        std::string why =
            fmt::format("prompt and answer larger than the KV cache of {}, {} blocks of {}",
                        pool.name, pool.kv_blocks, pool.knobs.block_size);
        if (replica.usable_blocks() < pool.kv_blocks)
            why += fmt::format(
                ", of which {} can be used by prompts in blocks of {} tokens that have names",
                replica.usable_blocks(), requests_.block_tokens);
        return why;
    }
    return "";
}

// Where none takes requests, one that will.
std::size_t Fleet::least_loaded(const std::vector<std::size_t>& replicas) const {
    std::size_t best = replicas.front();
    for (const ReplicaState state : {ReplicaState::serves, ReplicaState::starts}) {
        const auto found = std::find_if(replicas.begin(), replicas.end(),
                                        [&](std::size_t one) { return life_[one].state == state; });
        if (found == replicas.end()) continue;
        best = *found;
        break;
    }
    double least = -1;
    for (const std::size_t replica : replicas) {
        if (!takes(replica)) continue;
        const double load = replicas_[replica]->load() + inbound_tokens_[replica];
        if (least >= 0 && load >= least) continue;
        least = load;
        best = replica;
    }
    return best;
}

std::size_t Fleet::route(const Request& request) {
    if (serving_.routing == Routing::round_robin) {
        std::size_t next = readers_[next_reader_++ % readers_.size()];
        for (std::size_t i = 1; i < readers_.size() && !takes(next); ++i)
            next = readers_[next_reader_++ % readers_.size()];
        return next;
    }
    const std::size_t least = least_loaded(readers_);
    if (serving_.routing == Routing::least_loaded) return least;
    std::size_t best = least;
    long most = 0;
    for (const std::size_t replica : readers_) {
        if (!takes(replica)) continue;
        const long found = replicas_[replica]->found(request);
        if (found <= most) continue;
        most = found;
        best = replica;
    }
    const double own = static_cast<double>(request.input_tokens);
    return replicas_[best]->load() <= kMostUneven * (replicas_[least]->load() + own) ? best : least;
}

void Fleet::arrive(Request request) {
    ++out_.arrived;
    if (ClassOutcome* own = class_of(request)) ++own->arrived;
    const std::string why = refusal(request);
    const std::size_t replica = why.empty() ? route(request) : 0;
    const bool full = why.empty() && serving_.max_queue > 0 &&
                      (takes(replica) ? replicas_[replica]->waiting() : stranded_.size()) >=
                          static_cast<std::size_t>(serving_.max_queue);
    if (!why.empty() || full) {
        ++out_.rejected;
        if (ClassOutcome* own = class_of(request)) ++own->rejected;
        Rejected& alike =
            rejected_[full ? fmt::format("queues of {} requests", serving_.max_queue) : why];
        if (alike.count++ == 0) alike.first = request.place;
        count_change(0);
        return follow(request);
    }
    count_change(1);
    std::size_t slot = lives_.size();
    if (free_slots_.empty()) {
        lives_.emplace_back();
    } else {
        slot = free_slots_.back();
        free_slots_.pop_back();
    }
    Live& one = lives_[slot];
    const std::uint32_t visit = one.visit + 1;
    one = Live();
    one.visit = visit;
    one.order = next_order_++;
    one.arrived = calendar_.now();
    one.target = request.input_tokens;
    const auto& classes = requests_.classes;
    const auto index = static_cast<std::size_t>(request.service_class);
    std::optional<Seconds> timeout;
    if (index < classes.size()) {
        one.priority = classes[index].priority;
        timeout = classes[index].timeout;
    }
    one.request = std::move(request);
    if (timeout)
        calendar_.at(calendar_.now() + to_picoseconds(*timeout), EventClass::arrival,
                     [this, slot, visit] { time_out(slot, visit); });
    one.replica = replica;
    put(slot);
}

// Into the queue of its replica, or where none takes any aside until one does.
void Fleet::put(std::size_t slot) {
    const std::size_t replica = lives_[slot].replica;
    if (takes(replica)) {
        replicas_[replica]->enqueue(slot);
    } else {
        stranded_.push_back(slot);
    }
}

// Its replica has failed: another one reads the prompt and what was written once more.
void Fleet::begin_again(std::size_t slot) {
    Live& one = lives_[slot];
    if (one.first_scheduled >= 0) ++out_.retried;
    if (one.first_scheduled >= 0 && ++one.begun_again >= kMostTries)
        throw std::domain_error(fmt::format(
            "replicas of {} failed {} times in {} and ended one request {} times over",
            serving_.pools[pool_of_[one.replica]].name, out_.pools[pool_of_[one.replica]].failures,
            to_string(to_seconds(calendar_.now())), kMostTries));
    if (one.lost_at < 0 && one.first_scheduled >= 0) one.lost_at = calendar_.now();
    one.moved_at = one.there_at = -1;
    one.replica = route(one.request);
    put(slot);
}

// Whoever waits for the first token so long gives up; what is being read is read to its end.
void Fleet::time_out(std::size_t slot, std::uint32_t visit) {
    const Live& one = lives_[slot];
    if (one.visit != visit || one.first_token >= 0) return;
    const auto stranded = std::find(stranded_.begin(), stranded_.end(), slot);
    if (stranded != stranded_.end()) {
        stranded_.erase(stranded);
    } else if (!replicas_[one.replica]->drop(slot)) {
        return;
    }
    ++out_.timed_out;
    if (ClassOutcome* own = class_of(lives_[slot].request)) ++own->timed_out;
    const std::size_t replica = one.replica;
    leave(slot);
    stop_if_drained(replica);
}

bool Fleet::first_token(std::size_t slot) {
    const std::size_t from = lives_[slot].replica;
    if (role_of(from) != PoolRole::prefill) return true;
    const std::size_t to = least_loaded(writers_);
    // Of one that failed before, the way is part of what the failure took.
    if (lives_[slot].lost_at < 0) lives_[slot].moved_at = calendar_.now();
    inbound_[to].insert({lives_[slot].order, slot});
    inbound_tokens_[to] += static_cast<double>(lives_[slot].target);
    admit_waiting_caches(to);
    return false;
}

void Fleet::admit_waiting_caches(std::size_t replica) {
    auto& waiting = inbound_[replica];
    while (!waiting.empty()) {
        const std::size_t slot = waiting.begin()->second;
        const std::size_t from = lives_[slot].replica;
        if (!replicas_[replica]->reserve(slot)) return;
        lives_[slot].replica = from;  // until its cache has left
        waiting.erase(waiting.begin());
        transfer(slot, replica);
    }
}

// A cache goes through the port of its replica and the one of the other, each one cache at a time:
//   end = max(both free) + bytes / min(rates), and the latency on top,
//
// at the rates of the two fabrics as they are when it begins.
BytesPerSecond Fleet::link_of(std::size_t replica) const {
    const ServingPool& pool = serving_.pools[pool_of_[replica]];
    const std::size_t condition = replicas_[replica]->condition();
    return condition == 0 || pool.degraded_links.empty() ? pool.link
                                                         : pool.degraded_links[condition - 1];
}

void Fleet::transfer(std::size_t slot, std::size_t to) {
    const std::size_t from = lives_[slot].replica;
    const double tokens = static_cast<double>(lives_[slot].target);
    const BytesPerSecond rate = min(link_of(from), link_of(to));
    const Seconds wire =
        rate > BytesPerSecond(0.0) ? tokens * serving_.kv_per_token / rate : Seconds(0.0);
    const Picoseconds begin = std::max({calendar_.now(), port_free_[from], port_free_[to]});
    const Picoseconds sent = begin + to_picoseconds(wire);
    port_free_[from] = port_free_[to] = sent;
    out_.transferred_tokens += tokens;
    calendar_.at(sent + to_picoseconds(serving_.transfer_latency), EventClass::completion,
                 [this, slot, from, to, tokens] {
                     replicas_[from]->release(slot);
                     stop_if_drained(from);
                     inbound_tokens_[to] -= tokens;
                     lives_[slot].replica = to;
                     if (lives_[slot].moved_at >= 0) lives_[slot].there_at = calendar_.now();
                     replicas_[to]->join(slot);
                 });
}

void Fleet::finish(std::size_t slot) {
    const Live& one = lives_[slot];
    const Request& request = one.request;
    const auto seconds = [](Picoseconds from, Picoseconds to) {
        return to_seconds(to - from).value();
    };
    const Picoseconds end = calendar_.now();
    const double ttft = seconds(one.arrived, one.first_token),
                 writing = seconds(one.first_token, end), whole = seconds(one.arrived, end);
    const auto output = static_cast<double>(request.output_tokens);
    ++out_.finished;
    out_.input_tokens += static_cast<double>(request.input_tokens);
    out_.cached_tokens += static_cast<double>(one.cached);
    out_.output_tokens += output;
    out_.recomputed_tokens += static_cast<double>(one.read - (request.input_tokens - one.cached));
    ttft_.push_back(static_cast<float>(ttft));
    e2e_.push_back(static_cast<float>(whole));
    const double tpot = output > 1 ? writing / (output - 1) : 0;
    if (output > 1) tpot_.push_back(static_cast<float>(tpot));

    const ServiceObjective objective =
        promised(serving_.objective, requests_.classes, request.service_class);
    const bool late_first =
        objective.time_to_first_token && ttft > objective.time_to_first_token->value();
    const bool late_tokens = objective.time_per_output_token && output > 1 &&
                             tpot > objective.time_per_output_token->value();
    out_.late_first += late_first ? 1 : 0;
    out_.late_tokens += late_tokens ? 1 : 0;
    if (ClassOutcome* own = class_of(request)) {
        const auto index = static_cast<std::size_t>(request.service_class);
        ++own->finished;
        own->good += late_first || late_tokens ? 0 : 1;
        own->output_tokens += output;
        class_ttft_[index].push_back(static_cast<float>(ttft));
        if (output > 1) class_tpot_[index].push_back(static_cast<float>(tpot));
    }
    if (!late_first && !late_tokens) {
        out_.good += 1;
        out_.good_tokens += output;
    }

    WaitSums& waits = out_.waits;
    const double queue = seconds(one.arrived, one.first_scheduled) - one.fetching,
                 moving = one.there_at >= 0 ? seconds(one.moved_at, one.there_at) : 0;
    waits.queue += queue;
    waits.prefill += ttft - queue - one.fetching - one.lost_reading;
    waits.transfer += moving + one.fetching;
    waits.decode += writing - moving - one.lost_writing;
    waits.preempted += one.lost_reading + one.lost_writing;
    leave(slot);
}

ClassOutcome* Fleet::class_of(const Request& request) {
    const auto index = static_cast<std::size_t>(request.service_class);
    return index < out_.classes.size() ? &out_.classes[index] : nullptr;
}

void Fleet::leave(std::size_t slot) {
    Live& one = lives_[slot];
    out_.sojourn_sum += to_seconds(calendar_.now() - one.arrived).value();
    count_change(-1);
    follow(one.request);
    ++one.visit;
    free_slots_.push_back(slot);
}

// The next turn of a session, or of whoever sends a request when the last one has ended.
void Fleet::follow(const Request& ended) {
    if (!ended.continues || !requests_.follow) return;
    Request following;
    if (requests_.follow(ended, to_seconds(calendar_.now() + begin_), following))
        schedule(std::move(following));
}

ServingOutcome Fleet::run() {
    out_.pools.resize(serving_.pools.size());
    if (const auto& classes = requests_.classes; classes.size() > 1) {
        out_.classes.resize(classes.size());
        class_ttft_.resize(classes.size());
        class_tpot_.resize(classes.size());
        for (std::size_t i = 0; i < classes.size(); ++i) {
            out_.classes[i].name = classes[i].name;
            out_.classes[i].objective = promised(serving_.objective, classes, static_cast<int>(i));
        }
    }
    pull();
    std::vector<int> begun(serving_.pools.size(), 0);
    for (std::size_t replica = 0; replica < replicas_.size(); ++replica) {
        const std::size_t pool = pool_of_[replica];
        if (scalers_[pool] && begun[pool]++ >= scalers_[pool]->rule().initial_replicas) {
            replicas_[replica]->stop();
            continue;
        }
        life_[replica].state = ReplicaState::serves;
        life_[replica].paid_since = 0;
        await_failure(replica);
    }
    schedule_faults();
    for (std::size_t pool = 0; pool < scalers_.size(); ++pool) {
        if (scalers_[pool])
            calendar_.at(to_picoseconds(scalers_[pool]->rule().interval), EventClass::observe,
                         [this, pool] { look(pool); });
    }
    std::uint64_t looked = 0;
    while (!calendar_.empty()) {
        calendar_.run_at(calendar_.next_time());
        if (out_.stopped) break;
        if (!serving_.stop || calendar_.events_run() - looked < kEventsBetweenLooks) continue;
        looked = calendar_.events_run();
        if (serving_.stop()) {
            out_.stopped = true;
            break;
        }
    }
    if (number_ > 0 || (out_.stopped && !is_over())) count_change(0);
    out_.in_flight = number_;
    if (number_ > 0) {
        std::vector<bool> is_free(lives_.size(), false);
        for (const std::size_t slot : free_slots_) is_free[slot] = true;
        for (std::size_t slot = 0; slot < lives_.size(); ++slot) {
            if (is_free[slot]) continue;
            out_.sojourn_sum += to_seconds(calendar_.now() - lives_[slot].arrived).value();
        }
    }
    if (number_ == 0 && !out_.stopped) {
        for (std::size_t i = 0; i < replicas_.size(); ++i) {
            if (!replicas_[i]->is_empty())
                throw std::logic_error("a replica of " + serving_.pools[pool_of_[i]].name +
                                       " has blocks that nobody gave back");
        }
    }
    out_.span = begun_ ? to_seconds(last_end_).value() : 0;
    out_.time_to_first_token = distribution_of(ttft_);
    out_.time_per_output_token = distribution_of(tpot_);
    out_.end_to_end = distribution_of(e2e_);
    for (std::size_t i = 0; i < out_.classes.size(); ++i) {
        ClassOutcome& own = out_.classes[i];
        own.in_flight = own.arrived - own.finished - own.rejected - own.timed_out;
        own.time_to_first_token = distribution_of(class_ttft_[i]);
        own.time_per_output_token = distribution_of(class_tpot_[i]);
    }
    out_.inter_token_latency = distribution_of(inter_token_);
    for (const auto& [why, alike] : rejected_)
        out_.reasons.push_back(fmt::format("{} ({} of them, the first is line or draw {})", why,
                                           alike.count, alike.first));
    out_.events = calendar_.events_run();
    if (shared_) out_.shared = shared_->outcome(out_.span, kWindows);
    close_books();
    for (std::size_t i = 0; i < replicas_.size(); ++i) {
        PoolOutcome& pool = out_.pools[pool_of_[i]];
        add(pool, replicas_[i]->outcome(out_.span, kWindows));
        add(pool.paid_windows, life_[i].paid_over_time.means(out_.span, kWindows, 1));
    }
    for (PoolOutcome& pool : out_.pools) {
        divide(pool.busy_windows, pool.paid_windows);
        divide(pool.block_windows, pool.paid_windows);
    }
    return out_;
}

ServingOutcome simulate_serving(const ServingCase& serving, RequestStream& requests) {
    return Fleet(serving, requests).run();
}

}  // namespace podsim
