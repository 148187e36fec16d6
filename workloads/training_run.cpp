#include "workloads/training_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <queue>
#include <stdexcept>

#include "base/random.hpp"

namespace podsim {

namespace {

constexpr double endless = std::numeric_limits<double>::infinity();

double rate_of(const FailureSource& source) {
    return source.units / source.mean_time_between.value();
}

struct Rates {
    double all = 0, memory = 0;  // failures; those that copies in memory survive
    double replaced = 0;         // those that need a repair
    double repairs = 0;          // units under repair at a time, were there no end of spares
    Seconds repair{0.0};         // mean of those that need one
};

Rates rates_of(const TrainingRunSpec& spec) {
    Rates rates;
    for (const FailureSource& source : spec.failures) {
        const double rate = rate_of(source);
        rates.all += rate;
        if (source.spares_memory) rates.memory += rate;
        if (source.repair > Seconds(0.0)) rates.replaced += rate;
        rates.repairs += rate * source.repair.value();
    }
    if (rates.replaced > 0) rates.repair = Seconds(rates.repairs / rates.replaced);
    return rates;
}

Seconds work_of(const TrainingRunSpec& spec) {
    const double evaluations =
        spec.evaluate_every > 0 ? std::floor(spec.steps / spec.evaluate_every) : 0;
    return spec.steps * spec.step_time + evaluations * spec.evaluation;
}

bool has_memory(const TrainingRunSpec& spec) {
    return spec.memory.interval > Seconds(0.0);
}

// 1 - sum over k < n of e^-y y^k / k!: chance that n failures come within y mean times between
// them.
double within(long n, double y) {
    double term = std::exp(-y), sum = 0;
    for (long k = 0; k < n; ++k) {
        sum += term;
        term *= y / static_cast<double>(k + 1);
    }
    return std::max(0.0, 1 - sum);
}

// Mean over all failures. A failed unit takes the place of the one that failed S failures before,
// S being the spares, as soon as that is repaired: w = max(0, repair - the last S times between
// failures and waits), the times being exponential. With x = repair - S w and G the sum of the
// times,
//   E max(0, x - G) = x P(G < x) - S / L P(G' < x),  G' the sum of one more.
Seconds expected_wait(const TrainingRunSpec& spec, const Rates& rates) {
    if (rates.repairs == 0) return Seconds(0.0);
    const double repair = rates.repair.value(), count = static_cast<double>(spec.spares);
    double low = 0, high = repair;
    for (int i = 0; i < 60; ++i) {
        const double wait = (low + high) / 2, x = std::max(0.0, repair - count * wait);
        const double found = x * within(spec.spares, rates.replaced * x) -
                             count / rates.replaced * within(spec.spares + 1, rates.replaced * x);
        (found > wait ? low : high) = wait;
    }
    return Seconds(low * rates.replaced / rates.all);
}

Seconds whole_steps(Seconds interval, Seconds step) {
    return std::max(1.0, std::round(interval / step)) * step;
}

// `wait` is that of expected_wait(), which depends on no interval.
TrainingRun expected_at(const TrainingRunSpec& spec, const Rates& rates, Seconds wait,
                        Seconds storage, Seconds memory) {
    TrainingRun run;
    run.work = work_of(spec);
    run.storage_interval = storage;
    run.memory_interval = memory;
    const double work = run.work.value();
    const double t = storage.value(), stall = spec.storage.stall.value();
    const double stalls =
        stall / t + (has_memory(spec) ? spec.memory.stall.value() / memory.value() : 0);
    run.checkpoints = Seconds(work * stalls);
    if (rates.all == 0) {
        run.wall = run.work + run.checkpoints;
        run.goodput = run.work / run.wall;
        return run;
    }
    const double from_storage = has_memory(spec) ? rates.all - rates.memory : rates.all;
    const double from_memory = rates.all - from_storage;
    const double down = spec.restart.value();
    double wall = 0;
    if (from_memory == 0) {
        const double restart = down + spec.storage.restore.value();
        wall = work / t * std::exp(rates.all * restart) / rates.all *
               std::expm1(rates.all * (t + stall));
        // A failure before a checkpoint is usable also loses what it holds.
        wall *= 1 + rates.all * spec.storage.until_usable.value();
    } else {
        const double lost = from_storage * (t / 2 + spec.storage.until_usable.value() +
                                            spec.storage.restore.value() + down) +
                            from_memory * (memory.value() / 2 + spec.memory.until_usable.value() +
                                           spec.memory.restore.value() + down);
        wall = lost < 1 ? work * (1 + stalls) / (1 - lost) : endless;
    }
    run.interruptions = wall * rates.all;
    run.waiting = run.interruptions * wait;
    run.wall = Seconds(wall) + run.waiting;
    const double restore =
        from_storage * spec.storage.restore.value() + from_memory * spec.memory.restore.value();
    run.restarts = Seconds(wall * (rates.all * spec.restart.value() + restore));
    run.lost = run.wall - run.work - run.checkpoints - run.restarts - run.waiting;
    run.goodput = run.work / run.wall;
    return run;
}

// The interval with the least expected time: unimodal, so by thirds of its logarithm.
Seconds best_interval(const TrainingRunSpec& spec, const Rates& rates) {
    if (rates.all == 0) return work_of(spec);
    const Seconds wait = expected_wait(spec, rates);
    const auto wall = [&](double logarithm) {
        return expected_at(spec, rates, wait, Seconds(std::exp(logarithm)), spec.memory.interval)
            .wall;
    };
    double low = std::log(spec.step_time.value());
    double high = std::max(low, std::log(10 / rates.all));
    for (int i = 0; i < 100; ++i) {
        const double a = low + (high - low) / 3, b = high - (high - low) / 3;
        (wall(a) <= wall(b) ? high : low) = wall(a) <= wall(b) ? b : a;
    }
    return Seconds(std::exp(low));
}

void check(const TrainingRunSpec& spec, const Rates& rates) {
    if (!(spec.steps > 0) || !(spec.step_time > Seconds(0.0)))
        throw std::invalid_argument("a run needs steps that take time");
    for (const FailureSource& source : spec.failures) {
        if (!(source.mean_time_between > Seconds(0.0)) || source.units < 0) {
            throw std::invalid_argument(
                fmt::format("failures of {}: {} units with {} between failures of one",
                            source.component, source.units, to_string(source.mean_time_between)));
        }
    }
    if (rates.all == 0) return;
    const Seconds between(1 / rates.all);
    const auto refuse = [&](const char* what, Seconds length) {
        if (length <= between) return;
        throw std::invalid_argument(
            fmt::format("{} takes {}, but the job fails every {}: nothing would ever be finished",
                        what, to_string(length), to_string(between)));
    };
    refuse("a checkpoint", spec.storage.stall + spec.storage.until_usable);
    refuse("a restart", spec.restart + spec.storage.restore);
    if (!has_memory(spec)) refuse("work between two checkpoints", spec.storage.interval);
}

TrainingRunSpec resolved(const TrainingRunSpec& spec, const Rates& rates) {
    TrainingRunSpec run = spec;
    if (run.storage.interval == Seconds(0.0)) run.storage.interval = best_interval(spec, rates);
    run.storage.interval = whole_steps(run.storage.interval, spec.step_time);
    if (has_memory(spec)) run.memory.interval = whole_steps(spec.memory.interval, spec.step_time);
    return run;
}

// Failure by failure. Work is a line from 0 to its end; checkpoints stand on it at whole multiples
// of their intervals.
class Simulation {
  public:
    Simulation(const TrainingRunSpec& spec, const Rates& rates, std::uint64_t seed)
        : spec_(spec), rates_(rates), seed_(seed), end_(work_of(spec).value()) {
        run_.work = work_of(spec);
        run_.storage_interval = spec.storage.interval;
        run_.memory_interval = spec.memory.interval;
        next_failure_ = draw_interval();
    }

    TrainingRun run() {
        while (done_ < end_) {
            const double target = next_checkpoint();
            if (!proceed(target - done_)) continue;
            done_ = target;
            if (done_ >= end_) break;
            save();
        }
        run_.wall = Seconds(now_);
        run_.lost = run_.wall - run_.work - run_.checkpoints - run_.restarts - run_.waiting;
        run_.goodput = run_.work / run_.wall;
        return run_;
    }

  private:
    struct Saved {
        double work = 0, usable_at = 0;
    };

    double draw_interval() {
        if (rates_.all == 0) return endless;
        return -std::log(uniform(seed_, 0, draws_++)) / rates_.all;
    }

    static double after(double done, double interval) {
        return (std::floor(done / interval * (1 + 1e-12)) + 1) * interval;
    }

    double next_checkpoint() const {
        double next = std::min(end_, after(done_, spec_.storage.interval.value()));
        if (has_memory(spec_)) next = std::min(next, after(done_, spec_.memory.interval.value()));
        return next;
    }

    // Time goes by unless a failure comes first.
    bool proceed(double length) {
        if (now_ + length <= next_failure_) {
            now_ += length;
            return true;
        }
        now_ = next_failure_;
        fail();
        return false;
    }

    static bool is_multiple(double work, double interval) {
        return std::abs(work / interval - std::round(work / interval)) < 1e-9;
    }

    void save() {
        const bool storage = is_multiple(done_, spec_.storage.interval.value());
        const CheckpointSpec& of = storage ? spec_.storage : spec_.memory;
        const double stall =
            of.stall.value() +
            (storage && has_memory(spec_) && is_multiple(done_, spec_.memory.interval.value())
                 ? spec_.memory.stall.value()
                 : 0);
        const double before = now_;
        if (!proceed(stall)) return;
        run_.checkpoints += Seconds(now_ - before);
        const Saved saved{done_, now_ + of.until_usable.value()};
        if (storage) keep(storage_, saved);
        if (has_memory(spec_)) keep(memory_, saved);
    }

    // The newest usable one and the one being written.
    static void keep(std::vector<Saved>& kept, const Saved& saved) {
        kept.push_back(saved);
        if (kept.size() > 8) kept.erase(kept.begin());
    }

    double usable(const std::vector<Saved>& kept) const {
        double work = 0;
        for (const Saved& saved : kept) {
            if (saved.usable_at <= now_) work = std::max(work, saved.work);
        }
        return work;
    }

    const FailureSource& draw_source() {
        double left = uniform(seed_, 1, draws_++) * rates_.all;
        for (const FailureSource& source : spec_.failures) {
            left -= rate_of(source);
            if (left <= 0) return source;
        }
        return spec_.failures.back();
    }

    void fail() {
        bool from_memory = has_memory(spec_);
        // What was still being written is gone with the processes that wrote it.
        const double stored = usable(storage_), copied = usable(memory_);
        for (bool again = true; again;) {
            again = false;
            ++run_.interruptions;
            const FailureSource& source = draw_source();
            from_memory = from_memory && source.spares_memory;
            next_failure_ = now_ + draw_interval();
            wait_for_spare(source);
            const Seconds down =
                spec_.restart + (from_memory ? spec_.memory : spec_.storage).restore;
            const double up = now_ + down.value();
            if (next_failure_ < up) {
                run_.restarts += Seconds(next_failure_ - now_);
                now_ = next_failure_;
                again = true;
            } else {
                run_.restarts += down;
                now_ = up;
            }
        }
        if (!from_memory) memory_.clear();
        done_ = std::max(stored, from_memory ? copied : 0.0);
        std::erase_if(storage_, [&](const Saved& s) { return s.work > done_; });
        std::erase_if(memory_, [&](const Saved& s) { return s.work > done_; });
    }

    // Nothing fails while the job stands and waits.
    void wait_for_spare(const FailureSource& source) {
        while (!repairs_.empty() && repairs_.top() <= now_) repairs_.pop();
        if (source.repair == Seconds(0.0)) return;
        repairs_.push(now_ + source.repair.value());
        if (static_cast<long>(repairs_.size()) <= spec_.spares) return;
        const double back = repairs_.top();
        run_.waiting += Seconds(back - now_);
        next_failure_ += back - now_;
        now_ = back;
        repairs_.pop();
    }

    const TrainingRunSpec& spec_;
    const Rates& rates_;
    std::uint64_t seed_;
    double end_, now_ = 0, done_ = 0, next_failure_ = 0;
    std::uint64_t draws_ = 0;
    std::vector<Saved> storage_, memory_;
    std::priority_queue<double, std::vector<double>, std::greater<>> repairs_;
    TrainingRun run_;
};

}  // namespace

Seconds time_between_failures(const std::vector<FailureSource>& failures) {
    double rate = 0;
    for (const FailureSource& source : failures) rate += rate_of(source);
    return Seconds(1 / rate);
}

TrainingRun expected_run(const TrainingRunSpec& spec) {
    const Rates rates = rates_of(spec);
    check(spec, rates);
    const TrainingRunSpec run = resolved(spec, rates);
    return expected_at(run, rates, expected_wait(run, rates), run.storage.interval,
                       run.memory.interval);
}

TrainingRun simulated_run(const TrainingRunSpec& spec, std::uint64_t seed) {
    const Rates rates = rates_of(spec);
    check(spec, rates);
    const TrainingRunSpec run = resolved(spec, rates);
    return Simulation(run, rates, seed).run();
}

}  // namespace podsim
