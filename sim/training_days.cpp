#include "sim/training_days.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "base/statistics.hpp"
#include "sim/energy_use.hpp"
#include "sim/training_run_step.hpp"
#include "workloads/training_run.hpp"

namespace podsim {

namespace {

constexpr double day = 86400, hour = 3600;

// Chips that make no group take the place of what is repaired.
TrainingRunForm with_standing_by(const ResolvedExperiment& experiment,
                                 const ResolvedAlternative& alternative) {
    TrainingRunForm form = *experiment.spec.workload.training->run;
    form.spares += alternative.standing_by;
    try {
        return with_checkpoint_times(form, training_job(experiment, alternative),
                                     training_plan(experiment, alternative), alternative);
    } catch (const RunProblem& error) {
        throw InputError({at_key(experiment.spec.workload, "run." + error.key, error.what(),
                                 "give stall and restore themselves")});
    }
}

bool follows_from_bytes(const TrainingRunForm& form) {
    return form.storage.to.has_value() || form.memory.to.has_value();
}

bool can_end(const TrainingRunSpec& spec) {
    try {
        (void)expected_run(spec);
        return true;
    } catch (const RunProblem&) {
        return false;
    }
}

// A value close to the largest below `given` with which a run comes to its end: of one key, where
// it is given.
template <class Set>
std::string nearest_below(const TrainingRunSpec& spec, const char* key, Seconds given,
                          const Set& set) {
    if (!(given > Seconds(0.0))) return "";
    const auto does = [&](Seconds value) {
        TrainingRunSpec other = spec;
        set(other, value);
        return can_end(other);
    };
    constexpr int halves = 30, closer = 6;
    Seconds too_much = given, value = 0.5 * given;
    for (int i = 0; i < halves && !does(value); ++i) {
        too_much = value;
        value = 0.5 * value;
    }
    if (!does(value)) return "";
    for (int i = 0; i < closer; ++i) {
        const Seconds middle = 0.5 * (value + too_much);
        (does(middle) ? value : too_much) = middle;
    }
    // Less by what its text may round away.
    return fmt::format("{}: {} would", key, to_string(0.99 * value));
}

// One key of `run` with which it would come to its end, of those that are given; "" where no single
// one does.
std::string what_would(const TrainingRunSpec& spec) {
    const auto of = [&](const char* key, Seconds given, auto set) {
        return nearest_below(spec, key, given, set);
    };
    const std::string tries[] = {
        of("checkpoint.interval", spec.storage.interval,
           [](auto& s, Seconds value) { s.storage.interval = value; }),
        of("memory_checkpoint.interval", spec.memory.interval,
           [](auto& s, Seconds value) { s.memory.interval = value; }),
        of("restart", spec.restart, [](auto& s, Seconds value) { s.restart = value; }),
        of("checkpoint.stall", spec.storage.stall,
           [](auto& s, Seconds value) { s.storage.stall = value; }),
        of("checkpoint.until_usable", spec.storage.until_usable,
           [](auto& s, Seconds value) { s.storage.until_usable = value; }),
        of("checkpoint.restore", spec.storage.restore,
           [](auto& s, Seconds value) { s.storage.restore = value; }),
        of("memory_checkpoint.until_usable", spec.memory.until_usable,
           [](auto& s, Seconds value) { s.memory.until_usable = value; }),
        of("memory_checkpoint.restore", spec.memory.restore,
           [](auto& s, Seconds value) { s.memory.restore = value; }),
        of("stragglers.slow.replacement", spec.slow.stall,
           [](auto& s, Seconds value) { s.slow.stall = value; })};
    for (const std::string& one : tries)
        if (!one.empty()) return one;
    TrainingRunSpec spared = spec;
    spared.spares = static_cast<long>(std::ceil(chips_under_repair(spec.failures)));
    if (spared.spares > spec.spares && can_end(spared))
        return fmt::format("spares: {} would", spared.spares);
    return "";
}

[[noreturn]] void refuse(const ResolvedExperiment& experiment,
                         const ResolvedAlternative& alternative, const TrainingRunSpec& spec,
                         const RunProblem& error) {
    std::string hint = what_would(spec);
    if (hint.empty() && !spec.failures.empty())
        hint = fmt::format("no single value of run would do: {} chips fail every {}",
                           alternative.packages, to_string(time_between_failures(spec.failures)));
    throw InputError({at_key(experiment.spec.workload, "run." + error.key, error.what(), hint)});
}

// What is wrong, at the key of `run` that says so. Slow units as if they made no step longer.
void require_possible(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative,
                      const TrainingRunForm& form) {
    TrainingRunSpec spec = training_run_spec(form, alternative.packages, 1000, Seconds(1.0));
    if (form.stragglers)
        spec.slow = slow_units(*form.stragglers, {1},
                               static_cast<double>(alternative.packages) /
                                   static_cast<double>(form.stragglers->chips));
    try {
        (void)expected_run(spec);
    } catch (const RunProblem& error) {
        refuse(experiment, alternative, spec, error);
    }
}

// Of an interval that is given, where another would have the run end much sooner.
std::string far_from_best(const TrainingRunSpec& spec, const TrainingRun& run) {
    if (spec.storage.interval <= Seconds(0.0) || spec.failures.empty()) return "";
    // Of checkpoints that cost nothing one at every step would be best.
    if (spec.storage.stall <= Seconds(0.0)) return "";
    TrainingRunSpec free = spec;
    free.storage.interval = Seconds(0.0);
    const TrainingRun best = expected_run(free);
    constexpr double much = 1.02;
    if (run.wall < much * best.wall) return "";
    const bool often = run.storage_interval < best.storage_interval;
    return fmt::format(
        "run.checkpoint.interval: {} is too {}: {}{} of the run {}; {} would end it {:.3g} % "
        "sooner",
        to_string(run.storage_interval), often ? "short" : "long",
        often ? fmt::format("each checkpoint stops the job for {}, ", to_string(spec.storage.stall))
              : fmt::format("the job fails every {}, ",
                            to_string(time_between_failures(spec.failures))),
        fmt::format("{:.3g} %", 100 * ((often ? run.checkpoints : run.lost) / run.wall)),
        often ? "goes by so" : "is done again", to_string(best.storage_interval),
        100 * (1 - best.wall / run.wall));
}

}  // namespace

TrainingRunForm with_checkpoint_times(TrainingRunForm form, const TrainingJob& job,
                                      const TrainingPlan& plan,
                                      const ResolvedAlternative& alternative) {
    if (!follows_from_bytes(form)) return form;
    const RankHardware hardware = hardware_of(alternative);
    const RankFabric fabric = rank_fabric(alternative.system, alternative.chip.ranks);
    const CheckpointWays ways{hardware.host_bandwidth, fabric.scale_out, hardware.pool_bandwidth};
    const CheckpointBytes bytes = checkpoint_bytes(job, plan);
    static_cast<CheckpointSpec&>(form.storage) = checkpoint_times(form.storage, bytes, ways, false);
    static_cast<CheckpointSpec&>(form.memory) = checkpoint_times(form.memory, bytes, ways, true);
    return form;
}

namespace {

bool is_asked_for(const CheckpointForm& form) {
    return form.to || form.stall > Seconds(0.0) || form.until_usable > Seconds(0.0) ||
           form.restore > Seconds(0.0);
}

// Of a run that fails and is never said what a checkpoint on storage costs it.
std::string free_checkpoints(const TrainingRunForm& form, const TrainingRun& run) {
    if (form.failures.empty() || is_asked_for(form.storage)) return "";
    return fmt::format(
        "run.checkpoint: is of no time, and one is taken for nothing every {}; checkpoint: "
        "{{stall: 1 min, restore: 5 min}}, or {{to: storage, bandwidth: 1 TB/s}}, would count them",
        to_string(run.storage_interval));
}

// Of copies in memory, against the failures that leave them: sqrt(2 x stall x time between them)
// (Young, CACM 17(9), 1974); 0 where none does.
Seconds best_memory_interval(const TrainingRunSpec& spec) {
    double rate = 0;
    for (const FailureSource& source : spec.failures)
        if (source.spares_memory) rate += source.units / source.mean_time_between.value();
    return Seconds(rate > 0 ? std::sqrt(2 * spec.memory.stall.value() / rate) : 0);
}

}  // namespace

TrainingRunSpec training_run_spec(const TrainingRunForm& form, double chips, double steps,
                                  Seconds step) {
    TrainingRunSpec spec;
    spec.steps = steps;
    spec.step_time = step;
    spec.evaluate_every = form.evaluate_every;
    spec.evaluation = form.evaluation;
    spec.storage = form.storage;
    spec.memory = form.memory;
    spec.restart = form.restart;
    spec.failures = form.failures;
    for (FailureSource& source : spec.failures) {
        if (source.units == 0) source.units = chips / static_cast<double>(source.chips);
    }
    spec.spares = form.spares;
    if (is_asked_for(form.memory) && spec.memory.interval <= Seconds(0.0))
        spec.memory.interval = max(step, best_memory_interval(spec));
    return spec;
}

void check_days(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative) {
    const auto& run = experiment.spec.workload.training->run;
    if (!run) return;
    if (run->stragglers && run->stragglers->chips > alternative.packages)
        throw InputError({at_key(experiment.spec.workload, "run.stragglers.chips",
                                 fmt::format("{} share their speed, and the job has {}",
                                             run->stragglers->chips, alternative.packages),
                                 fmt::format("{}: all of them", alternative.packages))});
    require_possible(experiment, alternative, with_standing_by(experiment, alternative));
}

void add_days(AlternativeResult& result, const ResolvedExperiment& experiment,
              const ResolvedAlternative& alternative, const StragglerSteps* slowed,
              std::uint64_t seed) {
    if (!experiment.spec.workload.training->run) return;
    const TrainingRunForm form = with_standing_by(experiment, alternative);
    const Provenance provenance = result.metrics.front().rests_on;
    const auto add = [&](const std::string& name, double value, const char* unit) {
        result.metrics.push_back({name, value, unit, {}, {}, provenance});
    };
    const double tokens_of_step = result.totals.tokens_in;
    const Metric* of_trace = result.metric("trace_step_time");
    const Seconds usual(of_trace != nullptr ? of_trace->value : result.iteration_seconds);
    const Seconds step = slowed ? slowed->expected.front() * usual : usual;
    const double paid = static_cast<double>(alternative.packages + form.spares);
    const double dollars_per_second =
        result.cost.empty() ? 0 : paid * result.cost.front().usd_per_hour_per_chip / hour;
    double tokens = form.tokens ? form.tokens->value() : 0;
    const auto spec_of = [&](double steps, Seconds each, const std::vector<double>* ratios) {
        TrainingRunSpec spec = training_run_spec(form, alternative.packages, steps, each);
        if (ratios != nullptr) spec.slow = slow_units(*form.stragglers, *ratios, slowed->units());
        return spec;
    };
    const auto run_of = [&](double steps) {
        const TrainingRunSpec spec = spec_of(steps, step, slowed ? &slowed->expected : nullptr);
        try {
            return expected_run(spec);
        } catch (const RunProblem& error) {
            refuse(experiment, alternative, spec, error);
        }
    };
    if (form.budget) {
        if (!(dollars_per_second > 0)) {
            result.warnings.emplace_back("without a price no budget buys tokens");
            return;
        }
        // Wall time goes with the steps, evaluations in whole numbers apart.
        const double wall = form.budget->value() / dollars_per_second;
        const double steps = std::max(1.0, wall / step.value());
        tokens = steps * run_of(steps).work / run_of(steps).wall * tokens_of_step;
        if (form.evaluate_every > 0) {
            const double each = form.evaluation.value() / form.evaluate_every;
            tokens *= step.value() / (step.value() + each);
        }
    }
    const double steps = std::max(1.0, std::ceil(tokens / tokens_of_step - 1e-9));
    const TrainingRun run = run_of(steps);
    const double wall = run.wall.value();
    if (const std::string why =
            far_from_best(spec_of(steps, step, slowed ? &slowed->expected : nullptr), run);
        !why.empty())
        result.warnings.push_back(why);
    if (const std::string why = free_checkpoints(form, run); !why.empty())
        result.warnings.push_back(why);
    if (slowed) {
        add("step_time_with_stragglers", (step + run.slowed / steps).value(), "s");
        add("straggler_slowdown", (step + run.slowed / steps) / usual, "ratio");
    }
    if (follows_from_bytes(form)) {
        const CheckpointBytes bytes = checkpoint_bytes(training_job(experiment, alternative),
                                                       training_plan(experiment, alternative));
        add("checkpoint_size", bytes.all.value() / 1e12, "TB");
        const bool storage = form.storage.to.has_value();
        const CheckpointSpec& of = storage ? form.storage : form.memory;
        add("checkpoint_stall", of.stall.value(), "s");
        add("checkpoint_until_usable", of.until_usable.value(), "s");
        add("checkpoint_restore", of.restore.value(), "s");
        if (storage && form.memory.to) {
            add("memory_checkpoint_stall", form.memory.stall.value(), "s");
            add("memory_checkpoint_until_usable", form.memory.until_usable.value(), "s");
            add("memory_checkpoint_restore", form.memory.restore.value(), "s");
        }
    }
    add("run_tokens", tokens / 1e12, "Ttok");
    add("run_steps", steps, "steps");
    add("run_time", wall / day, "day");
    add("goodput", run.goodput, "share");
    if (!form.failures.empty()) add("interruptions", run.interruptions, "failures");
    if (!form.failures.empty() || form.storage.interval > Seconds(0.0))
        add("checkpoint_interval", run.storage_interval.value() / hour, "h");
    add("run_chip_hours", wall / hour * paid, "h");
    for (std::size_t i = 0; i < result.cost.size(); ++i) {
        const CostBasis& basis = result.cost[i];
        const double hours = wall / hour * paid / 1e6;
        Metric metric{"run_cost" + (i == 0 ? "" : "_" + basis.name),
                      hours * basis.usd_per_hour_per_chip,
                      "MUSD",
                      {},
                      {},
                      provenance};
        if (basis.low) metric.low = hours * *basis.low;
        if (basis.high) metric.high = hours * *basis.high;
        result.metrics.push_back(std::move(metric));
    }
    if (!result.cost.empty())
        add("run_cost_per_trillion_tokens",
            wall / hour * paid * result.cost.front().usd_per_hour_per_chip / 1e6 / (tokens / 1e12),
            "MUSD/Ttok");
    // What waits and restarts, and spares all the while, draws what it draws at rest.
    double energy = 0;
    for (const EnergyPart& part : result.energy) energy += part.joules;
    const double rest = energy_at_rest(result.energy);
    const double idle = (run.waiting + run.restarts).value(),
                 spares = paid / alternative.packages - 1;
    add("run_energy",
        (energy * (wall - idle) + rest * (idle + spares * wall)) / step.value() / 3.6e12, "GWh");
    if (form.failures.empty() && !slowed) return;
    // The expectation against twenty drawn runs, of as much of the run as has so many failures: a
    // mean of 400,000 is within 0.2 %.
    constexpr int draws = 20;
    constexpr double most_failures = 20'000;
    const double slow =
        slowed ? slow_units(*form.stragglers, slowed->expected, slowed->units()).rate * wall : 0;
    const double part = std::min(1.0, most_failures / std::max(1.0, run.interruptions + slow));
    TrainingRunSpec drawn =
        spec_of(std::max(1.0, std::ceil(steps * part)),
                slowed ? slowed->drawn.front() * usual : step, slowed ? &slowed->drawn : nullptr);
    // Both are shares of the same step, as expected: drawn chips that are slower show.
    const double same_step = step / drawn.step_time;
    std::vector<double> goodputs;
    for (std::uint64_t i = 1; i <= draws; ++i)
        goodputs.push_back(same_step * simulated_run(drawn, (seed - 1) * draws + i).goodput);
    const double middle = mean(goodputs);
    add("goodput_drawn", middle, "share");
    // The chips of all twenty are of one draw of their steps.
    const double of_chips = slowed ? middle * slowed->drawn_error / slowed->drawn.front() : 0;
    add("goodput_drawn_error", std::hypot(standard_error(goodputs), of_chips), "share");
}

}  // namespace podsim
