// What the benches run: steps of the shipped configurations, resolved once.
#pragma once

#include <string>

#include "base/catalog.hpp"
#include "sim/experiment.hpp"
#include "sim/resolve.hpp"
#include "workloads/step.hpp"

namespace podsim {

// DeepSeek-R1 on CloudMatrix384: 61 layers over 320 ranks, two micro-batches, one draft token, a
// class of ranks for the shared expert (arXiv 2506.12708).
Node ep320_experiment(const std::string& batch);  // "batch_per_chip: 96"

// One alternative of an experiment with everything it takes to run a step.
struct Scene {
    ResolvedExperiment experiment;
    RankHardware hardware;
    RankFabric fabric;
    const ResolvedAlternative& alternative() const { return experiment.alternatives.front(); }
    StepSpec step(long sequences_per_group) const;
    CostCache empty_cache() const;
};
Scene resolve_scene(const Node& experiment);

std::string configs_root();

}  // namespace podsim
