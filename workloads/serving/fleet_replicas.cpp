// Replicas of a fleet that fail and come back, start, drain and stop, and the hours they are paid
// for.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/random.hpp"
#include "workloads/serving/fleet.hpp"

namespace podsim {

// The next failure of a replica, drawn by its number and theirs. None once all is done.
void Fleet::await_failure(std::size_t replica) {
    const ReplicaFailures& failures = serving_.pools[pool_of_[replica]].failures;
    if (!(failures.mean_time_between > Seconds(0.0))) return;
    ReplicaLife& life = life_[replica];
    const Seconds until =
        failures.mean_time_between * -std::log(uniform(serving_.seed, replica, life.failures++));
    // One of them is awaited at a time: a repair in between draws another.
    calendar_.at(calendar_.now() + to_picoseconds(until), EventClass::arrival,
                 [this, replica, number = life.number, which = life.failures] {
                     const ReplicaLife& then = life_[replica];
                     if (!is_over() && then.number == number && then.failures == which)
                         fail(replica, serving_.pools[pool_of_[replica]].failures.repair);
                 });
}

// What fabrics and chips are said to do, on the traffic's clock.
void Fleet::schedule_faults() {
    const auto from_begin = [this](Seconds time) {
        return std::max(Picoseconds{0}, to_picoseconds(time) - begin_);
    };
    std::size_t first = 0;
    for (const ServingPool& pool : serving_.pools) {
        for (const ConditionChange& change : pool.changes) {
            const std::size_t replica = first + static_cast<std::size_t>(change.replica);
            calendar_.at(from_begin(change.at), EventClass::arrival,
                         [this, replica, condition = change.condition] {
                             replicas_[replica]->set_condition(condition);
                         });
        }
        for (const ReplicaOutage& outage : pool.outages) {
            const std::size_t replica = first + static_cast<std::size_t>(outage.replica);
            if (outage.until && to_picoseconds(*outage.until) <= begin_) continue;
            const Picoseconds begin = from_begin(outage.at);
            std::optional<Seconds> repair;
            if (outage.until) repair = to_seconds(from_begin(*outage.until) - begin);
            calendar_.at(begin, EventClass::arrival, [this, replica, repair] {
                if (!is_over()) fail(replica, repair);
            });
        }
        first += static_cast<std::size_t>(pool.replicas);
    }
}

// A replica that is off or starts cannot serve until the repair either.
void Fleet::fail(std::size_t replica, std::optional<Seconds> repair) {
    ReplicaLife& life = life_[replica];
    const Picoseconds until = repair ? calendar_.now() + to_picoseconds(*repair)
                                     : std::numeric_limits<Picoseconds>::max();
    life.broken_until = std::max(life.broken_until, until);
    if (life.state == ReplicaState::starts) stop(replica);
    if (life.state == ReplicaState::off) return;
    ++out_.pools[pool_of_[replica]].failures;
    // One that never comes back is replaced where replicas come and go.
    if (!repair && scalers_[pool_of_[replica]]) life.state = ReplicaState::drains;
    const bool was_down = life.down_since >= 0;
    if (!was_down) life.down_since = calendar_.now();
    if (repair)
        calendar_.at(until, EventClass::arrival, [this, replica, number = life.number] {
            if (life_[replica].number == number) repaired(replica);
        });
    if (was_down) return;
    replicas_[replica]->fail();
    move_inbound(replica);
}

// Caches that waited for room here go to another one that writes.
void Fleet::move_inbound(std::size_t replica) {
    const auto waiting = std::move(inbound_[replica]);
    inbound_[replica].clear();
    for (const auto& entry : waiting) {
        const auto tokens = static_cast<double>(lives_[entry.second].target);
        inbound_tokens_[replica] -= tokens;
        const std::size_t to = least_loaded(writers_);
        inbound_[to].insert(entry);
        inbound_tokens_[to] += tokens;
        if (to != replica) admit_waiting_caches(to);
    }
}

void Fleet::repaired(std::size_t replica) {
    if (is_over() || life_[replica].broken_until > calendar_.now()) return;
    out_.pools[pool_of_[replica]].down +=
        to_seconds(calendar_.now() - life_[replica].down_since).value();
    life_[replica].down_since = -1;
    serves_again(replica);
    stop_if_drained(replica);
}

void Fleet::serves_again(std::size_t replica) {
    replicas_[replica]->repaired();
    await_failure(replica);
    const std::vector<std::size_t> stranded = std::move(stranded_);
    stranded_.clear();
    for (const std::size_t slot : stranded) {
        lives_[slot].replica = route(lives_[slot].request);
        put(slot);
    }
}

// What a pool has to do, in the metric by which it is scaled, summed over its replicas. Those that
// drain will not be there for it.
double Fleet::load_of(std::size_t pool) const {
    const bool requests = scalers_[pool]->rule().metric == ScalingMetric::requests;
    double sum = 0;
    for (std::size_t i = 0; i < replicas_.size(); ++i) {
        if (pool_of_[i] != pool || life_[i].state == ReplicaState::drains) continue;
        sum += requests ? static_cast<double>(replicas_[i]->ongoing() + inbound_[i].size())
                        : replicas_[i]->blocks_in_use();
    }
    const bool reads = serving_.pools[pool].role != PoolRole::decode;
    return requests && reads ? sum + static_cast<double>(stranded_.size()) : sum;
}

void Fleet::look(std::size_t pool) {
    if (is_over()) return;
    Autoscaler& scaler = *scalers_[pool];
    int have = 0;
    for (std::size_t i = 0; i < replicas_.size(); ++i) {
        const ReplicaState state = life_[i].state;
        have +=
            pool_of_[i] == pool && (state == ReplicaState::serves || state == ReplicaState::starts)
                ? 1
                : 0;
    }
    const int wanted = scaler.look(to_seconds(calendar_.now()), load_of(pool), have);
    // Those that drain still have their chips.
    for (std::size_t i = 0; i < replicas_.size() && have < wanted; ++i) {
        if (pool_of_[i] != pool || life_[i].state != ReplicaState::off ||
            life_[i].broken_until > calendar_.now())
            continue;
        start(i, scaler.rule().start_up);
        ++out_.pools[pool].starts;
        ++have;
    }
    for (; have > wanted; --have) drain_one(pool);
    calendar_.at(calendar_.now() + to_picoseconds(scaler.rule().interval), EventClass::observe,
                 [this, pool] { look(pool); });
}

void Fleet::start(std::size_t replica, Seconds start_up) {
    ReplicaLife& life = life_[replica];
    life.state = ReplicaState::starts;
    life.paid_since = calendar_.now();
    calendar_.at(calendar_.now() + to_picoseconds(start_up), EventClass::arrival,
                 [this, replica, number = life.number] {
                     if (!is_over() && life_[replica].number == number) started(replica);
                 });
}

void Fleet::started(std::size_t replica) {
    count_who_waits(pool_of_[replica]);
    life_[replica].state = ReplicaState::serves;
    serves_again(replica);
    for (const std::size_t other : writers_) {
        const ReplicaState state = life_[other].state;
        if (state == ReplicaState::off || state == ReplicaState::starts) move_inbound(other);
    }
}

// Requests that waited for a start: who has not begun when a replica of the pool comes.
void Fleet::count_who_waits(std::size_t pool) {
    const auto count = [&](std::size_t slot) {
        if (lives_[slot].waited_for_start) return;
        lives_[slot].waited_for_start = true;
        ++out_.pools[pool].waited_for_start;
    };
    for (std::size_t i = 0; i < replicas_.size(); ++i) {
        if (pool_of_[i] != pool) continue;
        for (const std::size_t slot : replicas_[i]->waiting_slots()) {
            if (lives_[slot].first_scheduled < 0) count(slot);
        }
        for (const auto& [order, slot] : inbound_[i]) count(slot);
    }
    if (serving_.pools[pool].role == PoolRole::decode) return;
    for (const std::size_t slot : stranded_) count(slot);
}

// Of those that start the last one is called off, else the least loaded takes no more.
void Fleet::drain_one(std::size_t pool) {
    std::size_t chosen = replicas_.size();
    for (std::size_t i = 0; i < replicas_.size(); ++i) {
        if (pool_of_[i] != pool || life_[i].state != ReplicaState::starts) continue;
        if (chosen == replicas_.size() || life_[i].paid_since >= life_[chosen].paid_since)
            chosen = i;
    }
    if (chosen < replicas_.size()) return stop(chosen);
    double least = 0;
    for (std::size_t i = 0; i < replicas_.size(); ++i) {
        if (pool_of_[i] != pool || life_[i].state != ReplicaState::serves) continue;
        const double load = replicas_[i]->load() + inbound_tokens_[i];
        if (chosen < replicas_.size() && load > least) continue;
        least = load;
        chosen = i;
    }
    if (chosen == replicas_.size()) return;
    life_[chosen].state = ReplicaState::drains;
    if (!inbound_[chosen].empty()) move_inbound(chosen);
    stop_if_drained(chosen);
}

void Fleet::stop_if_drained(std::size_t replica) {
    if (life_[replica].state != ReplicaState::drains || !inbound_[replica].empty() ||
        !replicas_[replica]->is_empty())
        return;
    stop(replica);
}

void Fleet::stop(std::size_t replica) {
    ReplicaLife& life = life_[replica];
    const double begin = to_seconds(life.paid_since).value(),
                 end = to_seconds(calendar_.now()).value();
    life.paid += end - begin;
    life.paid_over_time.add(begin, end, 1);
    PoolOutcome& out = out_.pools[pool_of_[replica]];
    if (life.down_since >= 0) out.down += to_seconds(calendar_.now() - life.down_since).value();
    life.paid_since = life.down_since = -1;
    life.state = ReplicaState::off;
    ++life.number;
    ++out.stops;
    replicas_[replica]->stop();
}

// Whoever is still there is paid for until the last request ends.
void Fleet::close_books() {
    for (std::size_t i = 0; i < replicas_.size(); ++i) {
        ReplicaLife& life = life_[i];
        PoolOutcome& out = out_.pools[pool_of_[i]];
        if (life.down_since >= 0 && last_end_ > life.down_since)
            out.down += to_seconds(last_end_ - life.down_since).value();
        if (life.paid_since >= 0 && last_end_ > life.paid_since) {
            const double begin = to_seconds(life.paid_since).value();
            life.paid += out_.span - begin;
            life.paid_over_time.add(begin, out_.span, 1);
        }
        out.paid += life.paid;
    }
}

}  // namespace podsim
