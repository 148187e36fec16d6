// What is done with streams of requests whatever they come from.
#pragma once

#include <cstdint>
#include <vector>

#include "workloads/request.hpp"

namespace podsim {

// Arrivals in [from, until), counted from `from`.
RequestStream slice(RequestStream stream, Seconds from, Seconds until);
// The first so many, those that follow others counted too.
RequestStream first_requests(RequestStream stream, long count);
// Gaps divided by `factor`: twice the rate for 2. What follows comes when it comes.
RequestStream scale_rate(RequestStream stream, double factor);
// All requests of all streams by arrival, of equal ones those of the earlier stream first. Classes
// stand one after the other; sessions and names of blocks of two streams never mean the same.
// Throws InputError where names are of blocks of two sizes.
RequestStream merge(std::vector<RequestStream> streams);

}  // namespace podsim
