// Chips of hosts that a pool uses in part: who takes a host for its memory and processors keeps its
// other chips from everybody else. With `charge: whole_hosts` they are paid for:
//
//   idle = ceil(chips / chips of a host) x chips of a host - chips
//   USD/h of a chip at work = own price x (1 + idle / chips)
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/price.hpp"
#include "sim/resolve.hpp"

namespace podsim {

// Of all replicas of a pool; 0 where they are nobody's, or no host is used in part.
double idle_chips(const ResolvedAlternative& pool);
// If it had so many replicas.
double idle_chips(const ResolvedAlternative& pool, int replicas);

// Each basis with a part of its own for them, of a chip at work.
std::vector<CostBasis> charged(std::vector<CostBasis> bases, const ResolvedAlternative& pool);
// As charged() writes it: USD/h of a chip at work.
double idle_usd(const CostBasis& basis);

// Of a pool that has hosts to itself and pays for a part of their chips.
std::optional<std::string> unpaid_hosts(const ResolvedAlternative& pool);

// Where the record of the system says nothing of its host.
void check_charge(const ResolvedAlternative& pool, Problems& problems);

inline constexpr const char* kIdleChips = "idle chips of its hosts";

}  // namespace podsim
