// One decode alternative: finds its batch, refuses what does not fit, runs the step, and says
// what users ask of it.
#pragma once

#include "sim/assemble.hpp"
#include "sim/experiment.hpp"
#include "sim/resolve.hpp"
#include "workloads/step.hpp"

namespace podsim {

struct RunCounts {
    long events = 0, cache_hits = 0, cache_misses = 0, stored_hits = 0;
    void add(const RunRecord& record, const CostCache& cache) {
        events += static_cast<long>(record.events);
        cache_hits += cache.hits();
        cache_misses += cache.misses();
        stored_hits += cache.stored_hits();
    }
};

// Throws InputError: a mapping that does not work out, memory that does not fit (with by how
// much, and what would help), a latency target no batch keeps.
AlternativeResult run_serving_step(const ResolvedExperiment& experiment,
                                   const ResolvedAlternative& alternative,
                                   const RunOptions& options, RunCounts& counts);

// The same checks without a run.
void check_step(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative);

// Rows of MemoryUse, capacity from the data sheet.
std::vector<MemoryUse> memory_use(const ServingStep& step, const ResolvedAlternative& alternative);

}  // namespace podsim
