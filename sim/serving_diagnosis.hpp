// What gave way where a fleet did not keep its objective, in words.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "sim/serving_fleet.hpp"

namespace podsim {

// Which promise breaks, and in which pool: of the busiest for the first token among those that
// read, for the others among those that write. With the latency at the percentile that is promised.
std::string what_gave_way(ServingFleet& fleet, const ServingOutcome& out,
                          PlanPercentile percentile);

// The tier that replicas share whose bandwidth holds requests up: full throughout, or at its
// busiest while requests wait for it more than for engines.
std::optional<std::size_t> full_tier(const ServingOutcome& out);

}  // namespace podsim
