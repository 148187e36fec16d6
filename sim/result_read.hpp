// A result.json back into the fields it was written from.
#pragma once

#include "sim/result.hpp"

namespace podsim {

// All but the timeline, which no result.json holds, and the switches of the run. Numbers that are
// null come back as NaN. Throws std::runtime_error with the path of what is missing or of another
// kind, "alternatives.0.totals.flops: ...".
Result read_result(const nlohmann::ordered_json& json);

}  // namespace podsim
