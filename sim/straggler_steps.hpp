// What chips of unequal speed make of a training step (workloads/stragglers.hpp).
//
// Ranks of a stage that exchange tokens, sums or keys in every pass are in lock-step: their passes
// take as long as those of the slowest unit among them. A pipeline is held up by its slowest stage
// most of the time, and by the sum over its stages while it fills and drains; the optimiser's step
// waits for all. With M the expected largest of all units and m that of one lock-step group,
//
//   step = T + A (w (M - 1) + (1 - w) (m - 1))
//
// A the part of the step that grows with the passes (all of it slowed by a factor, over that
// factor), w the share of A that a single stage is answerable for: that of the schedule with one
// stage after the other slowed by M, in the mean. Drawn, each block of groups goes through the
// schedule with factors of its own and the step waits for the slowest.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/training_case.hpp"
#include "workloads/stragglers.hpp"
#include "workloads/training_run.hpp"

namespace podsim {

// Step times over that of equal chips, with 0, 1, ... units that are slow for a while.
struct StragglerSteps {
    std::vector<double> expected, drawn;  // drawn: the mean of twenty
    double chips = 0;                     // that compute
    double units() const { return chips / unit_chips; }
    double unit_chips = 1;
};

// The step with passes of each stage so many times as long, and the optimiser's by the most.
Seconds slowed_step(const TrainingStep& step, const std::vector<double>& factors);

StragglerSteps straggler_steps(const TrainingStep& step, const TrainingJob& job,
                               const TrainingPlan& plan, int ranks_per_chip,
                               const StragglerSpec& spec, std::uint64_t seed);

// Units that turn slow now and then, in a run.
SlowUnits slow_units(const StragglerSpec& spec, const std::vector<double>& steps, double units);

}  // namespace podsim
