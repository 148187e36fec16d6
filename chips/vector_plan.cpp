#include "chips/vector_plan.hpp"

#include <algorithm>
#include <cmath>

namespace podsim {

VectorPlan vector_plan(const CoreStructure& core, double read, double write, double operations) {
    VectorPlan plan;
    const double room = core.vector.buffer * core.vector.cores / 2;
    const double all = read + write;
    // No chunk is smaller than 4 KiB: less than that is not worth a core.
    const double smallest = 4096;
    plan.cores = static_cast<long>(
        std::clamp(std::floor(all / smallest), 1.0, static_cast<double>(core.cores)));
    const double turns =
        std::max(1.0, std::ceil(all / (static_cast<double>(plan.cores) * room)));
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

}  // namespace podsim
