#include "chips/vector_plan.hpp"

#include <algorithm>
#include <cmath>

#include "chips/pipeline_cost.hpp"

namespace podsim {

namespace {

VectorPlan plan_in(const CoreStructure& core, double read, double write, double operations,
                   double turns) {
    VectorPlan plan;
    // No chunk is smaller than 4 KiB: less than that is not worth a core.
    plan.cores = static_cast<long>(
        std::clamp(std::floor((read + write) / 4096), 1.0, static_cast<double>(core.cores)));
    plan.chunks = plan.cores * static_cast<long>(turns);
    const auto chunks = static_cast<double>(plan.chunks);
    plan.read = read / chunks;
    plan.write = write / chunks;
    plan.operations = operations / chunks;
    plan.seconds = std::max(plan.operations / core.vector.operations,
                            (plan.read + plan.write) / core.vector.rate) /
                   core.vector.cores / core.clock;
    return plan;
}

}  // namespace

// Rows that are one core's work each leave cores without one idle: as many work as the turns of the
// core with the most rows take.
VectorPlan vector_plan(const CoreStructure& core, const VectorWork& work) {
    CoreStructure busy = core;
    if (work.rows > 0) {
        const long turns = (work.rows + core.cores - 1) / core.cores;
        busy.cores = (work.rows + turns - 1) / turns;
    }
    return vector_plan(busy, work.read, work.write, work.elements * work.flops_per_element);
}

VectorPlan vector_plan(const CoreStructure& core, double read, double write, double operations,
                       bool cold) {
    const double room = core.vector.buffer * core.vector.cores / 2;
    VectorPlan best;
    double least = 0;
    // Turns are powers of two: a larger buffer, or more cores, add to what there is to choose from.
    // Beyond 4096 nothing is gained by smaller chunks.
    bool any = false;
    for (double turns = 1; turns <= 4096 || !any; turns *= 2) {
        const VectorPlan plan = plan_in(core, read, write, operations, turns);
        if (plan.read + plan.write > room) continue;
        const double seconds = vector_time(core, plan, cold).seconds;
        if (any && seconds >= least) continue;
        best = plan;
        least = seconds;
        any = true;
    }
    return best;
}

}  // namespace podsim
