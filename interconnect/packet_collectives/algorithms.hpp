// The steps of a collective by each algorithm.
#pragma once

#include <vector>

#include "interconnect/packet_collectives.hpp"
#include "interconnect/packet_collectives/chains.hpp"

namespace podsim::packet_collectives {

// None where no messages are made of it (without_messages).
std::vector<Chain> chains_of(const PacketCollectiveSpec& spec);

// Steps in which all of an algorithm's chains go on together: the phases of a dimension-wise one.
// Without that the short phases of one share would be in the way of the long ones of another.
std::vector<std::size_t> joins_of(const PacketCollectiveSpec& spec);

}  // namespace podsim::packet_collectives
