// The JSON Schema of result.json, for those who read results with programs of their own.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace podsim {

nlohmann::ordered_json result_schema();

}  // namespace podsim
