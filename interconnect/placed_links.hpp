// The very links that a transfer's groups use, by where their members sit: for jobs that share a
// fabric. link_ratio.hpp knows classes of links, and takes all groups and what lies between their
// members to be alike; here nothing moves but what the groups move.
//
//   ratio of link l = (sum over groups of bytes on l, of a size of 1 byte) / bandwidth(l) / port
//
// with port the time of a chip's port for the same size: 1 where the link is as busy as the port.
#pragma once

#include <vector>

#include "interconnect/link_ratio.hpp"
#include "interconnect/system.hpp"
#include "program/transfer.hpp"

namespace podsim {

// As link_ratio, `LinkUse::link` numbering each link of the pool: those of scale-up domain after
// domain, then those of scale-out. `groups`: the pool's ranks that take part, a message's sender
// before its receiver. All groups move at the same time. Throws std::invalid_argument where faults
// leave no route.
LinkRatio placed_link_ratio(const Transfer& transfer, const RankFabric& fabric,
                            const std::vector<std::vector<int>>& groups);

}  // namespace podsim
