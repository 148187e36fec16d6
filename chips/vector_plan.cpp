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

VectorPlan vector_plan(const CoreStructure& core, double read, double write, double operations) {
    const double room = core.vector.buffer * core.vector.cores / 2;
    VectorPlan best;
    double least = 0;
    // Turns are powers of two: a larger buffer adds to what there is to choose from. Beyond 16 more
    // than needed nothing is gained by smaller chunks.
    int beyond = 0;
    for (double turns = 1; beyond <= 4; turns *= 2) {
        const VectorPlan plan = plan_in(core, read, write, operations, turns);
        if (plan.read + plan.write > room) continue;
        const double seconds = vector_time(core, plan, true).seconds;
        if (beyond == 0 || seconds < least) {
            best = plan;
            least = seconds;
        }
        ++beyond;
    }
    return best;
}

}  // namespace podsim
