// How a broadcast goes along a row of ranks, and from one near group to the next.
#pragma once

#include <vector>

#include "interconnect/packet_collectives.hpp"
#include "interconnect/packet_collectives/chains.hpp"

namespace podsim::packet_collectives {

// A broadcast from the first rank to the next and on, in pieces. Where there are near groups
// each of their members passes a part on to its place in the next group, where it goes round.
std::vector<Chain> rows(const PacketCollectiveSpec& spec);

// The same where members of a group gather: the first rank gives each of its group a part, that
// one gives it to its place in the next group, and each group gathers.
std::vector<Chain> scattered_rows(const PacketCollectiveSpec& spec);

}  // namespace podsim::packet_collectives
