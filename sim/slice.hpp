// A part of a torus or mesh as a machine of its own, in the shape that is asked for.
#pragma once

#include <string>
#include <vector>

#include "interconnect/system.hpp"
#include "sim/resolve.hpp"

namespace podsim {

// Cuts `shape` out of the scale-up links of a system: links keep their bandwidth, sides are closed
// as the whole's are (optical circuit switches join what is cut). Adds a problem at `pool`'s key
// where the links are no torus or mesh, or the shape is not in them.
void cut_slice(SystemSpec& system, const PoolSpec& pool, Problems& problems);

}  // namespace podsim
