// What gave way where a fleet did not keep its objective, in words.
#pragma once

#include <string>

#include "sim/serving_fleet.hpp"

namespace podsim {

// Which promise breaks, and in which pool: of the busiest for the first token among those that
// read, for the others among those that write. With the latency at the percentile that is promised.
std::string what_gave_way(ServingFleet& fleet, const ServingOutcome& out,
                          PlanPercentile percentile);

}  // namespace podsim
