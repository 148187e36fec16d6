// The smallest fleet of one alternative that keeps the objective.
#pragma once

#include "sim/serving_plan.hpp"
#include "sim/serving_plan_space.hpp"

namespace podsim {

ServingPlanAlternative search_fleet(const PlanGroundwork& ground, std::size_t alternative,
                                    const PlanOptions& options);

}  // namespace podsim
