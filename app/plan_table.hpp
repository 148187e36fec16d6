// What `podsim plan` found, for a terminal of 80 columns and as JSON.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "sim/plan_run.hpp"

namespace podsim {

std::string plan_text(const PlanReport& report);

// "plan" (format version), "experiment", "partial", "alternatives": of each its counts, the
// mappings that were timed, and by objective the indexes of the best, the first one's metrics too.
nlohmann::ordered_json plan_json(const PlanReport& report);

}  // namespace podsim
