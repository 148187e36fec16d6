// What `podsim plan` found of served traffic, for a terminal of 80 columns and as JSON.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "sim/serving_plan.hpp"

namespace podsim {

std::string serving_plan_text(const ServingPlanReport& report);

// "plan" (format version), "kind": serving, "experiment", "demand", "alternatives": of each its
// counts, the fleet, its bound, what ends it and its metrics; "api": bills of the same tokens.
nlohmann::ordered_json serving_plan_json(const ServingPlanReport& report);

}  // namespace podsim
