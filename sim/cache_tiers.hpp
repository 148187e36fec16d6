// Cache tiers on the machine that they are said to have: what a replica's ranks pull from memory
// that replicas share, and whether tiers of its own find room and rate on its hosts.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/resolve.hpp"
#include "workloads/serving.hpp"

namespace podsim {

// The tiers that replicas share, once: pools that share any name the same ones. Where they do not,
// or a fabric does not reach, `problems` says so.
std::vector<CacheTierSetting> shared_tiers(const ResolvedExperiment& experiment,
                                           const ResolvedAlternative& alternative,
                                           Problems& problems);

// A pool's way to them. Each rank reads what it holds of a token (`held`, of the fullest) and
// writes its part of what is kept (`kept`, of all ranks),
//
//   read = held / rate     write = kept / (ranks of a group x rate)
//
// at the rate of its port, or of its engine's `prefix_fetch` where that is less. Nothing for a pool
// that shares none.
std::optional<SharedPath> shared_path(const ResolvedExperiment& experiment,
                                      const ResolvedAlternative& alternative, std::size_t pool,
                                      Bytes held, Bytes kept);

// Over which links: as said, else over the scale-up links where all chips that share stand in one
// domain of one system.
PoolLink shared_over(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative);

// What an hour of the tiers that replicas share costs, once; 0 for those without a medium.
double shared_usd_per_hour(const ResolvedExperiment& experiment,
                           const ResolvedAlternative& alternative);

// Who holds the memory, and the drives, of the fullest of a pool's hosts: cache tiers of all
// replicas on it and routed experts,
//
//   bytes = tiers of a replica x chips at work on the host / chips of a replica + experts
//
// with `experts` as host_memory() has them. Nothing where no record says how much there is.
std::vector<MemoryUse> host_uses(const ResolvedExperiment& experiment,
                                 const ResolvedAlternative& replica,
                                 const std::optional<MemoryUse>& experts);

// Tiers of a pool's replicas that their hosts have no room for, beside the experts that lie there,
// or no rate; `notes` names what no record says.
void check_own_tiers(const ResolvedExperiment& experiment, const ResolvedAlternative& replica,
                     const std::optional<MemoryUse>& experts, Problems& problems,
                     std::vector<std::string>& notes);

// Where the pool has its tiers from.
Diagnostic at_tiers(const ResolvedExperiment& experiment, const ResolvedAlternative& pool,
                    std::string what, std::string hint);

}  // namespace podsim
