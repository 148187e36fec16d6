// Rings in two levels: what groups of near members do, what goes between their equal places, and
// how the pieces of both follow each other.
#pragma once

#include <vector>

#include "interconnect/packet_collectives.hpp"
#include "interconnect/packet_collectives/chains.hpp"

namespace podsim::packet_collectives {

// What each near group does with `bytes` of its own: adds them up, a part at each member, or
// gathers the parts. Where its algorithm is of several chains, step by step of all of them.
Chain within_groups(const PacketCollectiveSpec& spec, double bytes, bool adding);

// In pieces that follow each other, so that both levels are at work.
std::vector<Chain> two_levels(const PacketCollectiveSpec& spec);

// Of rings in two levels: two pieces within groups at a time; between groups, where they begin
// there, as many as cover the way.
Pipeline pipeline_of(const PacketCollectiveSpec& spec);

}  // namespace podsim::packet_collectives
