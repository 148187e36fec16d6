// A run of days failure by failure, against which the closed form is held.
#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <queue>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "workloads/training_run_rates.hpp"

namespace podsim {

namespace {

constexpr double endless = std::numeric_limits<double>::infinity();

// Work is a line from 0 to its end; checkpoints stand on it at whole multiples
// of their intervals, copies in memory also at each of them.
class Simulation {
  public:
    Simulation(const TrainingRunSpec& spec, const FailureRates& rates, std::uint64_t seed)
        : spec_(spec), rates_(rates), seed_(seed), end_(work_of(spec).value()) {
        run_.work = work_of(spec);
        run_.evaluations = evaluations_of(spec);
        run_.storage_interval = spec.storage.interval;
        run_.memory_interval = spec.memory.interval;
        next_failure_ = draw_interval();
        next_slow_ = draw_slow(0);
    }

    TrainingRun run() {
        while (done_ < end_) {
            skip_quiet_intervals();
            const double target = next_checkpoint();
            if (!work(target - done_)) continue;
            done_ = target;
            if (done_ >= end_) break;
            save();
        }
        run_.wall = Seconds(now_);
        run_.lost =
            run_.wall - run_.work - run_.slowed - run_.checkpoints - run_.restarts - run_.waiting;
        run_.goodput = (run_.work - run_.evaluations) / run_.wall;
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

    // When the next unit turns slow after `from`: also while the job stands still.
    double draw_slow(double from) {
        if (!(spec_.slow.rate > 0)) return endless;
        return from - std::log(uniform(seed_, 2, slow_draws_++)) / spec_.slow.rate;
    }

    static double after(double done, double interval) {
        return (std::floor(done / interval * (1 + 1e-12)) + 1) * interval;
    }

    double next_checkpoint() const {
        double next = std::min(end_, after(done_, spec_.storage.interval.value()));
        if (has_memory(spec_)) next = std::min(next, after(done_, spec_.memory.interval.value()));
        return next;
    }

    // Whole storage intervals in which nothing happens go by at once: a run of a million of them
    // costs what its failures do. What is not usable yet when a failure comes is saved one by one.
    void skip_quiet_intervals() {
        const double interval = spec_.storage.interval.value();
        if (!is_multiple(done_, interval) || !slow_until_.empty()) return;
        double stalls = spec_.storage.stall.value(), until = spec_.storage.until_usable.value();
        if (has_memory(spec_)) {
            stalls += spec_.storage.interval / spec_.memory.interval * spec_.memory.stall.value();
            until = std::max(until, spec_.memory.until_usable.value());
        }
        const double cycle = interval + stalls, last = std::ceil(until / cycle) + 2;
        const double quiet =
            std::floor(std::min((std::min(next_failure_, next_slow_) - now_) / cycle,
                                (end_ - done_) / interval) -
                       last);
        if (!(quiet > 0)) return;
        now_ += quiet * cycle;
        done_ = (std::round(done_ / interval) + quiet) * interval;
        run_.checkpoints += Seconds(quiet * stalls);
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

    // Work of so long at the usual speed, slower while units are slow, unless a failure comes
    // first.
    bool work(double length) {
        while (true) {
            const auto& steps = spec_.slow.steps;
            const double pace =
                slow_until_.empty() ? 1 : steps[std::min(slow_until_.size(), steps.size() - 1)];
            const double usual = slow_until_.empty() ? endless : slow_until_.front();
            // What came due while the job stood still comes now.
            const double change = std::max(now_, std::min(usual, next_slow_));
            const double begun = now_, whole = length * pace;
            const bool ends = now_ + whole <= change;
            if (!proceed(ends ? whole : change - now_)) return false;
            const double done = ends ? length : (now_ - begun) / pace;
            run_.slowed += Seconds((now_ - begun) - done);
            if (ends) return true;
            length -= done;
            if (usual <= next_slow_) {
                slow_until_.pop_front();
                const double before = now_;
                if (!proceed(spec_.slow.stall.value())) return false;
                run_.slowed += Seconds(now_ - before);
            } else {
                slow_until_.push_back(next_slow_ + spec_.slow.lasts.value());
                next_slow_ = draw_slow(next_slow_);
            }
        }
    }

    static bool is_multiple(double work, double interval) {
        return std::abs(work / interval - std::round(work / interval)) < 1e-9;
    }

    void save() {
        const bool storage = is_multiple(done_, spec_.storage.interval.value());
        const double stall = (storage ? spec_.storage.stall.value() : 0) +
                             (has_memory(spec_) ? spec_.memory.stall.value() : 0);
        const double before = now_;
        if (!proceed(stall)) return;
        run_.checkpoints += Seconds(now_ - before);
        if (storage) keep(storage_, {done_, now_ + spec_.storage.until_usable.value()});
        if (has_memory(spec_)) keep(memory_, {done_, now_ + spec_.memory.until_usable.value()});
    }

    // The newest usable one and those being written.
    void keep(std::vector<Saved>& kept, const Saved& saved) const {
        const auto newest = std::find_if(kept.rbegin(), kept.rend(),
                                         [&](const Saved& one) { return one.usable_at <= now_; });
        if (newest != kept.rend()) kept.erase(kept.begin(), std::prev(newest.base()));
        kept.push_back(saved);
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

    // Until as many chips are back as the spares do not stand for. Nothing fails, turns slow or
    // recovers while the job stands and waits.
    void wait_for_spare(const FailureSource& source) {
        while (!repairs_.empty() && repairs_.top().first <= now_) take_back();
        if (source.repair == Seconds(0.0)) return;
        repairs_.emplace(now_ + source.repair.value(), source.chips);
        away_ += source.chips;
        while (away_ > spec_.spares) {
            const double back = std::max(now_, repairs_.top().first);
            run_.waiting += Seconds(back - now_);
            next_failure_ += back - now_;
            next_slow_ += back - now_;
            for (double& until : slow_until_) until += back - now_;
            now_ = back;
            take_back();
        }
    }
    void take_back() {
        away_ -= repairs_.top().second;
        repairs_.pop();
    }

    const TrainingRunSpec& spec_;
    const FailureRates& rates_;
    std::uint64_t seed_;
    double end_, now_ = 0, done_ = 0, next_failure_ = 0;
    std::uint64_t draws_ = 0, slow_draws_ = 0;
    double next_slow_ = endless;
    std::deque<double> slow_until_;  // of each unit that is slow
    std::vector<Saved> storage_, memory_;
    using Repair = std::pair<double, long>;  // when it is done, chips
    std::priority_queue<Repair, std::vector<Repair>, std::greater<>> repairs_;
    long away_ = 0;  // chips under repair
    TrainingRun run_;
};

}  // namespace

TrainingRun simulated_run(const TrainingRunSpec& spec, std::uint64_t seed) {
    const FailureRates rates = rates_of(spec);
    return Simulation(resolved_run(spec, rates), rates, seed).run();
}

}  // namespace podsim
