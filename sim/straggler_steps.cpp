#include "sim/straggler_steps.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "base/at.hpp"
#include "base/random.hpp"
#include "base/statistics.hpp"
#include "workloads/straggler_law.hpp"
#include "workloads/training_groups.hpp"

namespace podsim {

namespace {

constexpr int kDraws = 20;

int stage_of(const Schedule& schedule, const Cell& cell) {
    return at(at(schedule.stage_of, cell.pipe), cell.position);
}

// Ranks that wait for each other in every pass, and how many such groups each stage has.
struct LockStep {
    long group_ranks = 1, blocks = 1;
    double unit_ranks = 1;  // that share their speed
    int stages = 1;

    double all_units() const {
        return std::max(1.0, static_cast<double>(group_ranks) * static_cast<double>(blocks) *
                                 stages / unit_ranks);
    }
    // Of one group; a unit may span several, whose slowness they then share.
    double units() const { return std::max(1.0, static_cast<double>(group_ranks) / unit_ranks); }
    // That one unit spans, which are then slow together.
    double stages_of_unit() const {
        return std::max(1.0, unit_ranks / static_cast<double>(group_ranks * blocks));
    }
    // Sets of stages that are slow apart from each other; a stage's.
    int set_of(int stage) const { return static_cast<int>(stage / stages_of_unit() + 1e-9); }
    int sets() const { return set_of(stages - 1) + 1; }
    // Groups of a stage that are slow apart from each other.
    double apart() const {
        return std::max(1.0, static_cast<double>(group_ranks * blocks) / unit_ranks / units());
    }
};

LockStep lock_step(const TrainingJob& job, const TrainingPlan& plan, int ranks_per_chip,
                   const StragglerSpec& spec) {
    LockStep lock;
    lock.stages = plan.pipeline_parallel;
    const long groups = std::max(1L, groups_of_block(job, plan));
    lock.blocks = std::max(1L, plan.data_parallel / groups);
    lock.group_ranks = plan.stage_ranks() / lock.blocks;
    lock.unit_ranks = static_cast<double>(spec.chips * ranks_per_chip);
    return lock;
}

// Mean number beyond the first of the slow among so many, each with a chance p, in the group of
// `groups` that has most: sum over n from 2 of 1 - P(fewer than n)^groups.
double beyond_the_first(int many, double p, double groups) {
    double sum = 0, term = std::pow(1 - p, many), fewer = term;
    for (int n = 1; n < many && p < 1; ++n) {
        term *= p / (1 - p) * (many - n + 1) / n;
        fewer = std::min(1.0, fewer + term);  // than n + 1
        sum += 1 - std::pow(fewer, groups);
    }
    return p < 1 ? sum : many - 1;
}

// The same of so many slow units, each in any of the sets of stages of any group with equal chance:
// `slow` counts the sets that are slow already, group by group.
double beyond_the_first_of(int units, double sets, double groups, std::vector<int>& slow) {
    if (units == 0) return std::max(0, *std::max_element(slow.begin(), slow.end()) - 1);
    const auto next = [&] { return beyond_the_first_of(units - 1, sets, groups, slow); };
    const double places = sets * groups;
    double sum = std::accumulate(slow.begin(), slow.end(), 0) / places * next();
    const std::size_t begun = slow.size();
    for (std::size_t group = 0; group < begun; ++group) {
        const double chance = (sets - slow[group]) / places;
        ++slow[group];
        sum += chance * next();
        --slow[group];
    }
    slow.push_back(1);
    sum += std::max(0.0, groups - static_cast<double>(begun)) * sets / places * next();
    slow.pop_back();
    return sum;
}

double beyond_the_first_of(int units, double sets, double groups) {
    std::vector<int> slow = {1};
    return units > 1 ? beyond_the_first_of(units - 1, sets, groups, slow) : 0;
}

// What a step grows by with one set of stages so many times as slow, the others as their groups are
// on the mean, between factors that were looked at.
struct Growth {
    std::vector<double> factors, amounts;

    // Of a stage faster than the mean as far as it holds the others up.
    double first_rise() const {
        return factors[1] > 1 ? (amounts[1] - amounts[0]) / (factors[1] - 1) : 0;
    }
    double least(double factor) const { return amounts[0] + first_rise() * (factor - 1); }
    // The largest factor that makes no more of it; 0: none.
    double reaches(double amount) const {
        if (amount < amounts[0])
            return first_rise() > 0 ? 1 + (amount - amounts[0]) / first_rise() : 0;
        if (amount >= amounts.back()) return std::numeric_limits<double>::infinity();
        std::size_t i = factors.size() - 1;
        while (i > 0 && amounts[i] > amount) --i;
        const double rise = amounts[i + 1] - amounts[i];
        return factors[i] + (factors[i + 1] - factors[i]) * (amount - amounts[i]) / rise;
    }
};

class Slower {
  public:
    Slower(const TrainingStep& step, const LockStep& lock, const StragglerSpec& spec,
           std::uint64_t seed)
        : step_(step), lock_(lock), spec_(spec), seed_(seed) {
        const UnitSpeed speed = unit_speed(spec);
        // What a share that is slow adds beside the slowest stage comes on top (beside()).
        StragglerSpec usual = spec;
        usual.slow.reset();
        const double of_group = expected_largest(usual, lock.units());
        const double slowest = std::max(spec.slow ? spec.slow->factor : 1, speed.factor);
        const double most = slowest * std::exp(6 * speed.deviation) - 1;
        constexpr int points = 6;
        const auto stages = static_cast<std::size_t>(lock.stages);
        growth_.resize(static_cast<std::size_t>(lock.sets()));
        const auto grown = [&](const std::vector<double>& factors) {
            return (slowed_step(step, factors) - step.total).value();
        };
        const auto with_set = [&](int set, double factor) {
            std::vector<double> factors(stages, of_group);
            for (int s = 0; s < lock.stages; ++s)
                if (lock.set_of(s) == set) factors[static_cast<std::size_t>(s)] = factor;
            return grown(factors);
        };
        for (int i = 0; i <= points; ++i) {
            const double f = 1 + most * i * i / (points * points);
            for (int set = 0; set < lock.sets(); ++set) {
                Growth& one = growth_[static_cast<std::size_t>(set)];
                one.factors.push_back(f);
                one.amounts.push_back(with_set(set, f));
            }
        }
        if (!spec.slow || lock.sets() < 2) return;
        double one = 0;
        for (int set = 0; set < lock.sets(); ++set) one = std::max(one, with_set(set, slowest));
        each_beside_ =
            std::max(0.0, (grown(std::vector<double>(stages, slowest)) - one) / (lock.sets() - 1));
    }

    // Slow sets of stages of a pipeline beside its slowest one, on the mean.
    double beside(int slow) const {
        if (slow > 0) return beyond_the_first_of(slow, lock_.sets(), lock_.apart());
        const double share = unit_speed(spec_).share;
        if (share == 0) return 0;
        const double slow_group = -std::expm1(lock_.units() * std::log1p(-share));
        return beyond_the_first(lock_.sets(), slow_group, lock_.apart());
    }

    double expected(double slow) const {
        const UnitSpeed speed = unit_speed(spec_);
        const double factor = spec_.slow ? spec_.slow->factor : 1;
        const auto sets = static_cast<double>(growth_.size());
        const double each = std::max(1.0, lock_.all_units() / sets);
        // Nothing of it lies below `from`, nothing above `to`.
        double from = growth_.front().amounts.front(), to = from;
        for (const Growth& one : growth_) {
            from = std::min(from, one.least(std::exp(-6 * speed.deviation)));
            to = std::max(to, one.amounts.back());
        }
        constexpr int parts = 2000;
        const double width = (to - from) / parts;
        double sum = from;
        for (int i = 0; i < parts; ++i) {
            const double g = from + (i + 0.5) * width;
            double below = 1, slow_below = 0;
            for (const Growth& one : growth_) {
                const double most = one.reaches(g);
                below *= std::pow(unit_below(speed, most), std::max(0.0, each - slow / sets));
                slow_below += usual_below(speed, most / factor) / sets;
            }
            sum += (1 - below * (slow > 0 ? std::pow(slow_below, slow) : 1)) * width;
        }
        return 1 + (sum + each_beside_ * beside(static_cast<int>(slow))) / step_.total.value();
    }

    std::vector<double> draws(long slow) const {
        std::vector<double> each;
        for (int i = 0; i < kDraws; ++i) each.push_back(draw(i, slow));
        return each;
    }

  private:
    // Where each of the slow units is: over all draws each is about as often in any place.
    std::vector<long> placed(int i, long slow, long places) const {
        constexpr std::array<int, 4> strides = {1, 3, 7, 9};  // coprime to the draws
        std::vector<long> at_place(static_cast<std::size_t>(places), 0);
        for (long k = 0; k < slow; ++k) {
            const int part = i * strides[static_cast<std::size_t>(k) % strides.size()] % kDraws;
            const double u = (part + uniform(seed_, 6, i, k)) / kDraws;
            ++at_place[static_cast<std::size_t>(u * static_cast<double>(places))];
        }
        return at_place;
    }

    double draw(int i, long slow) const {
        const auto stages = static_cast<std::size_t>(lock_.stages);
        const long cells = lock_.blocks * lock_.stages;
        const long units = std::lround(lock_.units());
        // A unit of several groups gives all of them its speed.
        const auto shared = static_cast<long>(
            std::max(1.0, lock_.unit_ranks / static_cast<double>(lock_.group_ranks)));
        const std::vector<long> at_place = placed(i, slow, (cells + shared - 1) / shared);
        std::vector<std::vector<double>> blocks;
        for (long block = 0; block < lock_.blocks; ++block) {
            std::vector<double> factors;
            for (std::size_t s = 0; s < stages; ++s) {
                // Ranks of a stage lie side by side.
                const long place = (static_cast<long>(s) * lock_.blocks + block) / shared;
                factors.push_back(drawn_largest(
                    spec_, units, std::min(units, at(at_place, static_cast<int>(place))), seed_,
                    place * kDraws + i));
            }
            blocks.push_back(std::move(factors));
        }
        // The step's is one of the blocks whose slowest stages are slowest.
        constexpr std::size_t looked_at = 8;
        const std::size_t few = std::min(looked_at, blocks.size());
        std::partial_sort(blocks.begin(), blocks.begin() + static_cast<std::ptrdiff_t>(few),
                          blocks.end(), [](const auto& a, const auto& b) {
                              return *std::max_element(a.begin(), a.end()) >
                                     *std::max_element(b.begin(), b.end());
                          });
        Seconds longest(0.0);
        for (std::size_t b = 0; b < few; ++b) longest = max(longest, slowed_step(step_, blocks[b]));
        return longest / step_.total;
    }

    const TrainingStep& step_;
    const LockStep& lock_;
    const StragglerSpec& spec_;
    std::uint64_t seed_;
    std::vector<Growth> growth_;  // by set of stages
    double each_beside_ = 0;      // s, of each slow set beside the slowest
};

}  // namespace

Seconds slowed_step(const TrainingStep& step, const std::vector<double>& factors) {
    const auto more = [&](const Cell& cell, Seconds time) {
        return (at(factors, stage_of(step.schedule, cell)) - 1) * time;
    };
    const PassDelay delay = [&](const Pass& pass) {
        const PassTimes& t = times_of(step.times, pass.cell.position);
        switch (pass.kind) {
            case PassKind::forward:
                return more(pass.cell, t.forward);
            case PassKind::backward:
                return more(pass.cell, t.input_gradient + t.weight_gradient);
            case PassKind::input_gradient:
                return more(pass.cell, t.input_gradient);
            case PassKind::weight_gradient:
                return more(pass.cell, t.weight_gradient);
            case PassKind::overlapped:
                break;
        }
        const PassTimes& b = times_of(step.times, pass.backward.position);
        if (t.overlapped > Seconds(0.0))
            return more(pass.cell, 0.5 * (t.overlapped + b.overlapped));
        return more(pass.cell, t.forward + b.input_gradient + b.weight_gradient);
    };
    const ScheduleTiming timing = time_schedule(step.schedule, step.times, false, delay);
    Seconds later(0.0), own(0.0);
    for (int stage = 0; stage < step.schedule.stages; ++stage) {
        const Seconds more_of = at(timing.stages, stage).last - at(step.timing.stages, stage).last;
        later = max(later, step.own_norm(stage) + more_of);
        own = max(own, step.own_norm(stage));
    }
    const double most = *std::max_element(factors.begin(), factors.end());
    return step.total + later - own + (most - 1) * step.optimizer;
}

namespace {

StragglerSteps steps_with(const TrainingStep& step, const TrainingJob& job,
                          const TrainingPlan& plan, int ranks_per_chip, const StragglerSpec& spec,
                          std::optional<std::uint64_t> seed) {
    const LockStep lock = lock_step(job, plan, ranks_per_chip, spec);
    const Slower slower(step, lock, spec, seed.value_or(0));
    StragglerSteps steps;
    steps.chips = static_cast<double>(plan.ranks()) / ranks_per_chip;
    steps.unit_chips = static_cast<double>(spec.chips);
    long most = 0;
    if (spec.slow && spec.slow->mean_time_between > Seconds(0.0)) {
        // More of them hardly make a step longer. Two turns of one unit are one slow unit.
        most = lock.all_units() < 2 ? 1 : 4;
    }
    for (long k = 0; k <= most; ++k) {
        steps.expected.push_back(slower.expected(static_cast<double>(k)));
        if (!seed) continue;
        const std::vector<double> draws = slower.draws(k);
        steps.drawn.push_back(mean(draws));
        if (k == 0) steps.drawn_error = standard_error(draws);
    }
    return steps;
}

}  // namespace

StragglerSteps straggler_steps(const TrainingStep& step, const TrainingJob& job,
                               const TrainingPlan& plan, int ranks_per_chip,
                               const StragglerSpec& spec, std::uint64_t seed) {
    return steps_with(step, job, plan, ranks_per_chip, spec, seed);
}

StragglerSteps expected_straggler_steps(const TrainingStep& step, const TrainingJob& job,
                                        const TrainingPlan& plan, int ranks_per_chip,
                                        const StragglerSpec& spec) {
    return steps_with(step, job, plan, ranks_per_chip, spec, {});
}

SlowUnits slow_units(const StragglerSpec& spec, const std::vector<double>& steps, double units) {
    SlowUnits slow;
    if (!spec.slow || !(spec.slow->mean_time_between > Seconds(0.0))) return slow;
    const SlowUnitsForm& form = *spec.slow;
    slow.rate = units / form.mean_time_between.value();
    const bool replaced = form.detection > Seconds(0.0) &&
                          (form.lasts == Seconds(0.0) || form.detection < form.lasts);
    slow.lasts = replaced ? form.detection : form.lasts;
    if (replaced) slow.stall = form.replacement;
    for (const double one : steps) slow.steps.push_back(one / steps.front());
    return slow;
}

}  // namespace podsim
