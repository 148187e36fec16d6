// Whether routes can wait for each other in a circle.
#pragma once

#include <string>

#include "interconnect/topology.hpp"

namespace podsim {

// Virtual channels that a policy needs on a topology.
int channels_needed(const Topology& topology, RoutingPolicy routing);

// Channel dependencies of the routes of a level (Dally and Seitz 1987): dimension order with a
// dateline on tori, up and down in trees, one channel more behind the global hop of a dragonfly,
// as many again for the second half of Valiant's paths. Large levels are checked with each size cut
// to a few: the rules do not see sizes. Returns "" where nothing waits in a circle, else the
// circle.
std::string deadlock_of(const TopologyLevelSpec& level, RoutingPolicy routing);

}  // namespace podsim
