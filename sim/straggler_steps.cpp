#include "sim/straggler_steps.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/at.hpp"
#include "base/random.hpp"
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

class Slower {
  public:
    Slower(const TrainingStep& step, const LockStep& lock, const StragglerSpec& spec,
           std::uint64_t seed)
        : step_(step), lock_(lock), spec_(spec), seed_(seed) {}

    double expected(double slow) const {
        const double units = lock_.all_units();
        const double most = expected_largest(spec_, units, std::min(slow, units));
        if (!(most > 1)) return 1;
        const double of_group = expected_largest(spec_, lock_.units());
        const double total = step_.total.value();
        const auto more = [&](const std::vector<double>& factors) {
            return (slowed_step(step_, factors).value() - total) / (most - 1);
        };
        const auto stages = static_cast<std::size_t>(lock_.stages);
        const double all = more(std::vector<double>(stages, most));
        double one = 0;
        for (std::size_t s = 0; s < stages; ++s) {
            std::vector<double> factors(stages, 1.0);
            factors[s] = most;
            one += more(factors) / static_cast<double>(stages);
        }
        const double w = all > 0 ? std::min(1.0, one / all) : 0;
        return 1 + all / total * (w * (most - 1) + (1 - w) * (of_group - 1));
    }

    double drawn(long slow) const {
        double sum = 0;
        for (int i = 0; i < kDraws; ++i) sum += draw(i, slow);
        return sum / kDraws;
    }

  private:
    // Where each of the slow units is.
    std::vector<long> placed(int i, long slow, long places) const {
        std::vector<long> at_place(static_cast<std::size_t>(places), 0);
        for (long k = 0; k < slow; ++k) {
            const double u = uniform(seed_, 6, i, k);
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
                const long place = (block * lock_.stages + static_cast<long>(s)) / shared;
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

StragglerSteps straggler_steps(const TrainingStep& step, const TrainingJob& job,
                               const TrainingPlan& plan, int ranks_per_chip,
                               const StragglerSpec& spec, std::uint64_t seed) {
    const LockStep lock = lock_step(job, plan, ranks_per_chip, spec);
    const Slower slower(step, lock, spec, seed);
    StragglerSteps steps;
    steps.chips = static_cast<double>(plan.ranks()) / ranks_per_chip;
    steps.unit_chips = static_cast<double>(spec.chips);
    long most = 0;
    if (spec.slow && spec.slow->mean_time_between > Seconds(0.0)) {
        // As many as a time ever has.
        const SlowUnits slow = slow_units(spec, {1.0}, steps.units());
        const double mean = slow.rate * slow.lasts.value();
        most = std::max(1L, static_cast<long>(std::ceil(mean + 6 * std::sqrt(mean) + 2)));
        most = std::min({most, static_cast<long>(lock.all_units()), 32L});
    }
    for (long k = 0; k <= most; ++k) {
        steps.expected.push_back(slower.expected(static_cast<double>(k)));
        steps.drawn.push_back(slower.drawn(k));
    }
    return steps;
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
