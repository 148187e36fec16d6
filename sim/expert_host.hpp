// The host behind routed experts that lie outside the chips' memory: what a rank has of its memory,
// drives, link and processors, and whether the experts find room there.
//
// A host keeps all routed experts of the ranks on it, those in the chips' memory too, as engines
// that load from it do; sets of experts of several replicas or data-parallel copies share theirs:
//
//   bytes on a host = one set of experts x min(1, sets / hosts)
#pragma once

#include <optional>

#include "sim/resolve.hpp"

namespace podsim {

// Fills in a rank's part of its host. Problems: a system whose host nobody knows, a chip without a
// link to it, drives or processors that its record leaves out.
void fill_offload(ResolvedAlternative& alternative, Problems& problems);

// What the link of a rank to its host brings, its share of the host's memory or drives if those are
// slower.
BytesPerSecond host_rate(const ResolvedAlternative& alternative, BytesPerSecond link);

// What fills a host's memory or drives; nothing where no experts lie there.
std::optional<MemoryUse> host_memory(const ResolvedAlternative& alternative, const StepSpec& spec);

// Throws InputError where that is too little, with what fits.
void require_host_memory(const ResolvedAlternative& alternative, const StepSpec& spec);

// Names of its row of a result's memory.
inline constexpr const char* kHostMemory = "host memory";
inline constexpr const char* kHostDrives = "host drives";

}  // namespace podsim
