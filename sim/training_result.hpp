// What a training step says: metrics, breakdown, rows, resources, bounds, of the passes as often as
// each stage runs them.
#pragma once

#include "sim/experiment.hpp"
#include "sim/resolve.hpp"
#include "sim/training_parts.hpp"

namespace podsim {

struct TrainingAnswerInput {
    const TrainingJob& job;
    const TrainingPlan& plan;
    const TrainingStep& step;              // that the others wait for
    const std::vector<PartStep>& parts;    // all, that one among them
    const TrainingPassPtr& layer_forward;  // one layer of the most common kind
    const TrainingPassPtr& layer_backward;
    const ResolvedExperiment& experiment;
    const ResolvedAlternative& alternative;
    const RankHardware& hardware;
    const RankFabric& fabric;
};

// Everything but the run of many steps. Rows and resources are of kinds of stages, each the mean of
// its stages; the breakdown is of the stage that ends last.
AlternativeResult training_answer(const TrainingAnswerInput& input, bool timeline);

}  // namespace podsim
