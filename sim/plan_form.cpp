#include "sim/plan_form.hpp"

namespace podsim {

const std::vector<std::pair<const char*, PlanBatch>>& names_of(const PlanBatch*) {
    static const std::vector<std::pair<const char*, PlanBatch>> names = {
        {"exact", PlanBatch::exact}, {"at-most", PlanBatch::at_most}};
    return names;
}

const std::vector<std::pair<const char*, PlanObjective>>& names_of(const PlanObjective*) {
    static const std::vector<std::pair<const char*, PlanObjective>> names = {
        {"throughput", PlanObjective::throughput},
        {"cost", PlanObjective::cost},
        {"communication", PlanObjective::communication},
        {"failures", PlanObjective::failures}};
    return names;
}

}  // namespace podsim
