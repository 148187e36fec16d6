// What moves caches between the pools of a serving alternative: the ports of a replica's ranks, and
// how much longer links inside the fabric take, where parts of it are broken.
//
//   rate = ranks x port / max(1, time of the fullest link / time of the port)
//
// with the bytes spread evenly over the chips of the system, 1,024 of them at most: where the other
// pool stands in it is not said. Over the network beyond the scale-up domain where there is
// one.
#pragma once

#include "base/units.hpp"
#include "sim/resolve.hpp"

namespace podsim {

// Of one replica, what it sends or takes in together. Throws std::invalid_argument where what is
// broken leaves no route.
BytesPerSecond pool_link(const ResolvedAlternative& replica);
Seconds pool_link_latency(const ResolvedAlternative& replica);

}  // namespace podsim
