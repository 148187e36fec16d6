// What `podsim plan --inventory` found, for a terminal of 80 columns and as JSON.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "sim/inventory_plan.hpp"

namespace podsim {

std::string inventory_text(const InventoryReport& report);

// "plan" (format version), "kind": inventory, "services": of each its alternative and pools, or why
// it is unmet; "systems": chips owned, used, left and to be bought.
nlohmann::ordered_json inventory_json(const InventoryReport& report);

}  // namespace podsim
