// What chips of unequal speed make of a training step (workloads/stragglers.hpp).
//
// Ranks of a stage that exchange tokens, sums or keys in every pass are in lock-step: their passes
// take as long as those of the slowest unit among them. Let D_s(f) be what the step grows by with
// stage s f times as slow and the others m times, the expected largest of one lock-step group: the
// schedule says (little up to where the stage's bubbles end, then all of its passes). Stages that
// one unit spans are slow together and count as one. With F_s the largest of all units of stage s
//
//   step = T + E max over s of D_s(F_s),  P(max <= g) = product over s of P(D_s(F_s) <= g),
//
// as stages are independent (units slow by a factor add, for each slow stage of a pipeline beside
// its slowest, an equal part of what all stages slow take beyond one) and pipelines wait for each
// other with the gradients: order statistics over stages, whatever the number of units. Of k units
// that are slow for a while each is in any stage with equal chance. Drawn, each block of groups
// goes through the schedule with factors of its own and the step waits for the slowest.
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
    double drawn_error = 0;               // standard error of the first of these
    double chips = 0;                     // that compute
    double units() const { return chips / unit_chips; }
    double unit_chips = 1;
};

// The step with passes of each stage so many times as long, and the optimiser's by the most.
Seconds slowed_step(const TrainingStep& step, const std::vector<double>& factors);

StragglerSteps straggler_steps(const TrainingStep& step, const TrainingJob& job,
                               const TrainingPlan& plan, int ranks_per_chip,
                               const StragglerSpec& spec, std::uint64_t seed);
// The same without drawing anything.
StragglerSteps expected_straggler_steps(const TrainingStep& step, const TrainingJob& job,
                                        const TrainingPlan& plan, int ranks_per_chip,
                                        const StragglerSpec& spec);

// Units that turn slow now and then, in a run.
SlowUnits slow_units(const StragglerSpec& spec, const std::vector<double>& steps, double units);

}  // namespace podsim
