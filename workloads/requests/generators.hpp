// Streams that are drawn and not read.
#pragma once

#include <cstdint>

#include "workloads/traffic.hpp"

namespace podsim {

// `spec.arrivals` with lengths, sessions, tools and shared prefixes. Throws InputError: a file of
// lengths that cannot be read.
RequestStream synthetic_stream(const StreamSpec& spec, std::uint64_t seed);

// Of ServeGen's clients in the file `spec.trace` with lengths of the file `spec.lengths`; arrivals
// from `spec.from` to `spec.until` of its clock. Throws InputError.
RequestStream servegen_stream(const StreamSpec& spec, std::uint64_t seed);

}  // namespace podsim
