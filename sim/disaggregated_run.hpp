// One decode step of an alternative whose attention and feed-forward blocks are on pools of their
// own (sim/disaggregated_steps): finds its batch, refuses what does not fit, says what users ask of
// it. Per-chip figures are over the packages of both pools.
#pragma once

#include "sim/disaggregated_steps.hpp"
#include "sim/experiment.hpp"
#include "sim/resolve.hpp"
#include "sim/step_run.hpp"

namespace podsim {

// A step's alternative of two pools; serving has others beside them.
bool is_disaggregated_step(const WorkloadSpec& workload, const ResolvedAlternative& alternative);

// Throws InputError as run_serving_step and check_step do, at the pool that it is about.
AlternativeResult run_disaggregated_step(const ResolvedExperiment& experiment,
                                         const ResolvedAlternative& alternative,
                                         const RunOptions& options, RunCounts& counts);
void check_disaggregated_step(const ResolvedExperiment& experiment,
                              const ResolvedAlternative& alternative);

// How the two pools share a step: who works how much of it, what a layer of one micro-batch takes
// on each and on the way, what a token sends there and back.
void add_pool_shares(AlternativeResult& result, const Provenance& provenance,
                     const DisaggregatedCost& cost);

}  // namespace podsim
