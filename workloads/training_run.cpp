#include "workloads/training_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "workloads/training_run_rates.hpp"

namespace podsim {

double rate_of(const FailureSource& source) {
    return source.units / source.mean_time_between.value();
}

bool has_memory(const TrainingRunSpec& spec) {
    return spec.memory.interval > Seconds(0.0);
}

FailureRates rates_of(const TrainingRunSpec& spec) {
    FailureRates rates;
    double repairs = 0, chips = 0;  // under repair at a time, were there no end of spares
    for (const FailureSource& source : spec.failures) {
        const double rate = rate_of(source);
        rates.all += rate;
        (has_memory(spec) && source.spares_memory ? rates.from_memory : rates.from_storage) += rate;
        if (source.repair > Seconds(0.0)) rates.replaced += rate;
        repairs += rate * source.repair.value();
        chips += rate * source.repair.value() * static_cast<double>(source.chips);
    }
    if (rates.replaced > 0) rates.repair = Seconds(repairs / rates.replaced);
    if (repairs > 0) rates.chips = chips / repairs;
    return rates;
}

Seconds evaluations_of(const TrainingRunSpec& spec) {
    return spec.evaluate_every > 0 ? std::floor(spec.steps / spec.evaluate_every) * spec.evaluation
                                   : Seconds(0.0);
}

Seconds work_of(const TrainingRunSpec& spec) {
    return spec.steps * spec.step_time + evaluations_of(spec);
}

namespace {

// Mean over all failures. With k units away the job goes on as long as k is at most S, the units
// that the spares replace, and fails at rate L; each comes back after its repair. That is Erlang's
// system of N = S + 1 servers and no queue, whose B does not depend on the distribution of repairs:
// the job waits for a share B of the time,
//   B_0 = 1,  B_n = a B_(n-1) / (n + a B_(n-1)),  a = L repair,   wait = B_N / (L (1 - B_N))
// (Erlang 1917; insensitivity: Sevastyanov 1957). Units of several sizes are taken as of their mean
// one.
Seconds expected_wait(const TrainingRunSpec& spec, const FailureRates& rates) {
    if (rates.replaced == 0) return Seconds(0.0);
    const double away = rates.replaced * rates.repair.value();
    const double units = std::floor(static_cast<double>(spec.spares) / rates.chips + 1e-9);
    double waits = 1;
    for (double n = 1; n <= units + 1 && waits > 1e-18; ++n) waits *= away / (n + away * waits);
    return Seconds(waits / (1 - waits) / rates.all);
}

Seconds whole_steps(Seconds interval, Seconds step) {
    return std::max(1.0, std::round(interval / step)) * step;
}

// Share of the time in which the job stands still for slow units to be replaced, of a job that
// fails so often: a failure meanwhile ends it, as its restart has the unit replaced.
double standing_of(const SlowUnits& slow, double rate) {
    const double stall = slow.stall.value();
    return slow.rate * (rate * stall > 1e-9 ? -std::expm1(-rate * stall) / rate : stall);
}

// Time of a step beside slow units over that of one beside none.
double pace_of(const SlowUnits& slow) {
    if (!(slow.rate > 0) || slow.steps.empty()) return 1;
    const double mean = slow.rate * slow.lasts.value();
    double term = std::exp(-mean), left = 1, speed = 0;
    for (std::size_t k = 0; k < slow.steps.size(); ++k) {
        const bool last = k + 1 == slow.steps.size();
        speed += (last ? left : term) / slow.steps[k];
        left -= term;
        term *= mean / static_cast<double>(k + 1);
    }
    return 1 / speed;
}

// A restart that takes `down`, failures of it included, until work goes on: for the units that
// turned slow meanwhile the job stands still first, a share u of all time X, and what fails then
// asks for the restart again.
//   X = D + u X (1 + L D)
double until_work(double down, double rate, double standing) {
    const double left = 1 - standing * (1 + rate * down);
    return left > 0 ? down / left : std::numeric_limits<double>::infinity();
}

// Of the time with failures, before waits for spares; `restarts` are of it, `replaced` beside
// them for slow units.
struct Survived {
    double wall = 0, restarts = 0, replaced = 0;
};

// V_n of the header for every storage interval of the run.
Survived survive(const TrainingRunSpec& spec, const FailureRates& rates, double work,
                 double storage, double memory) {
    const double parts = memory > 0 ? std::max(1.0, std::round(storage / memory)) : 1;
    const double standing = standing_of(spec.slow, rates.all);
    const double part = (storage + spec.storage.stall.value() / (1 - standing)) / parts +
                        (memory > 0 ? spec.memory.stall.value() / (1 - standing) : 0);
    const double rate = rates.all, q = -std::expm1(-rate * part);
    const double q_m = q * rates.from_memory / rate, q_s = q * rates.from_storage / rate;
    const double stored = std::expm1(rate * (spec.restart + spec.storage.restore).value()) / rate;
    const double from_storage = until_work(stored, rate, standing);
    // A restart from memory until it is done or a failure of the other kind comes.
    const double broken = -std::expm1(-rate * (spec.restart + spec.memory.restore).value());
    const double again = 1 - broken * rates.from_memory / rate;
    const double copied = broken / rate / again, r = (1 - broken) / again;
    const double from_memory = until_work(copied, rate, standing);
    const double same = 1 - q_m * r;
    const double g = (q_m * (1 - r) + q_s) / same;
    const auto downs = [&](double of_memory, double of_storage) {
        return (q_m * (of_memory + (1 - r) * of_storage) + q_s * of_storage) / same;
    };
    const double down = downs(from_memory, from_storage);
    const double b = q / rate / same + down;
    const double times = g > 0 ? std::expm1(-parts * std::log1p(-g)) / g : parts;
    // One copy of `parts` stands beside a checkpoint on storage, and the first to be usable will
    // do.
    const double on_storage = spec.storage.until_usable.value(),
                 in_memory = spec.memory.until_usable.value();
    const double until = in_memory + (std::min(in_memory, on_storage) - in_memory) / parts;
    const double unusable = std::exp(rates.from_storage * on_storage + rates.from_memory * until);
    const double intervals = work / storage * unusable * times;
    const double restarts = downs(copied, stored);
    return {intervals * b, intervals * restarts, intervals * (down - restarts)};
}

// `wait` is that of expected_wait(), which depends on no interval.
TrainingRun expected_at(const TrainingRunSpec& spec, const FailureRates& rates, Seconds wait,
                        Seconds storage, Seconds memory) {
    TrainingRun run;
    run.work = work_of(spec);
    run.evaluations = evaluations_of(spec);
    run.storage_interval = storage;
    run.memory_interval = memory;
    const double stalls =
        spec.storage.stall / storage + (has_memory(spec) ? spec.memory.stall / memory : 0);
    run.checkpoints = run.work * stalls;
    // Intervals are of work, which takes so many times as long.
    const double standing = standing_of(spec.slow, rates.all);
    const double slower = pace_of(spec.slow) / (1 - standing);
    run.slowed = (slower - 1) * run.work + standing / (1 - standing) * run.checkpoints;
    run.wall = run.work + run.slowed + run.checkpoints;
    if (rates.all > 0) {
        const Survived survived = survive(spec, rates, slower * run.work.value(),
                                          slower * storage.value(), slower * memory.value());
        run.interruptions = survived.wall * rates.all;
        run.waiting = run.interruptions * wait;
        run.wall = Seconds(survived.wall) + run.waiting;
        run.restarts = Seconds(survived.restarts);
        run.slowed += Seconds(survived.replaced);
        run.lost = run.wall - run.work - run.slowed - run.checkpoints - run.restarts - run.waiting;
    }
    run.goodput = (run.work - run.evaluations) / run.wall;
    return run;
}

// The interval with the least expected time: unimodal, so by thirds of its logarithm.
Seconds best_interval(const TrainingRunSpec& spec, const FailureRates& rates) {
    if (rates.from_storage == 0) return work_of(spec);
    const Seconds wait = expected_wait(spec, rates);
    const auto wall = [&](double logarithm) {
        return expected_at(spec, rates, wait, Seconds(std::exp(logarithm)), spec.memory.interval)
            .wall;
    };
    double low = std::log(spec.step_time.value());
    double high = std::max(low, std::log(10 / rates.from_storage));
    for (int i = 0; i < 100; ++i) {
        const double a = low + (high - low) / 3, b = high - (high - low) / 3;
        (wall(a) <= wall(b) ? high : low) = wall(a) <= wall(b) ? b : a;
    }
    return Seconds(std::exp(low));
}

[[noreturn]] void refuse(const char* key, const std::string& what, Seconds between) {
    throw RunProblem(
        key, fmt::format("{}, but the job fails every {}: nothing would ever be finished", what,
                         to_string(between)));
}

void require_finite(const char* key, const std::string& what, Seconds length, double rate) {
    if (rate > 0 && length > Seconds(1 / rate))
        refuse(key, fmt::format("{} takes {}", what, to_string(length)), Seconds(1 / rate));
}

void check(const TrainingRunSpec& spec, const FailureRates& rates) {
    if (!(spec.steps > 0) || !(spec.step_time > Seconds(0.0)))
        throw RunProblem("tokens", "a run needs steps that take time");
    for (const FailureSource& source : spec.failures) {
        if (!(source.mean_time_between > Seconds(0.0)) || source.units < 0 || source.chips < 1) {
            throw std::invalid_argument(fmt::format(
                "failures of {}: {} units of {} chips with {} between failures of one",
                source.component, source.units, source.chips, to_string(source.mean_time_between)));
        }
    }
    constexpr long kMostSpares = 10'000'000;
    if (spec.spares > kMostSpares)
        throw RunProblem("spares", fmt::format("{} chips stand by; a run has up to {}", spec.spares,
                                               kMostSpares));
    if (spec.slow.rate * spec.slow.stall.value() >= 1) {
        throw RunProblem(
            "stragglers",
            fmt::format(
                "a unit turns slow every {} and its replacement stops the job for {}: nothing "
                "would ever be finished",
                to_string(Seconds(1 / spec.slow.rate)), to_string(spec.slow.stall)));
    }
    require_finite("checkpoint", "a checkpoint", spec.storage.stall + spec.storage.until_usable,
                   rates.from_storage);
    require_finite("restart", "a restart", spec.restart + spec.storage.restore, rates.all);
    require_finite("checkpoint", "work between two checkpoints", spec.storage.interval,
                   rates.from_storage);
    if (!has_memory(spec)) return;
    require_finite("memory_checkpoint", "a copy in memory",
                   spec.memory.stall + spec.memory.until_usable, rates.from_memory);
    require_finite("memory_checkpoint", "a restart from memory", spec.restart + spec.memory.restore,
                   rates.all);
    require_finite("memory_checkpoint", "work between two copies in memory", spec.memory.interval,
                   rates.from_memory);
}

}  // namespace

double slowed_by(const SlowUnits& slow) {
    const double standing = standing_of(slow, 0);
    return standing < 1 ? pace_of(slow) / (1 - standing) : std::numeric_limits<double>::infinity();
}

TrainingRunSpec resolved_run(const TrainingRunSpec& spec, const FailureRates& rates) {
    check(spec, rates);
    TrainingRunSpec run = spec;
    if (run.storage.interval == Seconds(0.0)) run.storage.interval = best_interval(spec, rates);
    run.storage.interval = whole_steps(run.storage.interval, spec.step_time);
    if (!has_memory(spec)) return run;
    // Each checkpoint on storage leaves a copy in memory as well.
    run.memory.interval =
        min(whole_steps(spec.memory.interval, spec.step_time), run.storage.interval);
    run.storage.interval =
        std::max(1.0, std::round(run.storage.interval / run.memory.interval)) * run.memory.interval;
    return run;
}

Seconds time_between_failures(const std::vector<FailureSource>& failures) {
    double rate = 0;
    for (const FailureSource& source : failures) rate += rate_of(source);
    return Seconds(1 / rate);
}

double chips_under_repair(const std::vector<FailureSource>& failures) {
    double mean = 0, variance = 0;
    for (const FailureSource& source : failures) {
        const double units = rate_of(source) * source.repair.value();
        const auto chips = static_cast<double>(source.chips);
        mean += units * chips;
        variance += units * chips * chips;
    }
    return mean + 2 * std::sqrt(variance);
}

namespace {

// Of what a run was told, what a failure costs it.
std::string what_hinders(const TrainingRunSpec& spec, Seconds wait) {
    std::string text = fmt::format("a run with {} of restart", to_string(spec.restart));
    if (spec.storage.interval > Seconds(0.0))
        text += fmt::format(", {} of work between checkpoints", to_string(spec.storage.interval));
    if (spec.storage.restore > Seconds(0.0))
        text += fmt::format(", {} to restore one", to_string(spec.storage.restore));
    if (wait > spec.restart) text += fmt::format(", {} of waiting for a spare", to_string(wait));
    return text;
}

}  // namespace

TrainingRun expected_run(const TrainingRunSpec& spec) {
    const FailureRates rates = rates_of(spec);
    const TrainingRunSpec run = resolved_run(spec, rates);
    TrainingRun expected = expected_at(run, rates, expected_wait(run, rates), run.storage.interval,
                                       run.memory.interval);
    // A run of more than a thousand times its work is one that nobody would let go on.
    if (!(expected.goodput > 1e-3 * (expected.work - expected.evaluations) / expected.work))
        refuse("failures", what_hinders(spec, expected_wait(run, rates)), Seconds(1 / rates.all));
    return expected;
}

}  // namespace podsim
