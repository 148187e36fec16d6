// What a search for fleets starts from: the experiment resolved and looked over, and its traffic
// counted, as it is planned and as it has to be carried.
#pragma once

#include "sim/resolve.hpp"
#include "sim/serving_demand.hpp"

namespace podsim {

struct PlanOptions;

struct ServingPlanGround {
    Node document;
    ResolvedExperiment resolved;
    ServingDemand demand;   // grown
    ServingDemand carried;  // grown, at the burst
};

// Throws InputError: what is wrong with the file, traffic without a request.
ServingPlanGround serving_plan_ground(const Node& experiment, Catalog& catalog,
                                      const PlanOptions& options);

}  // namespace podsim
