// The steps of a collective by each algorithm.
#pragma once

#include <vector>

#include "interconnect/packet_collectives.hpp"
#include "interconnect/packet_collectives/chains.hpp"

namespace podsim::packet_collectives {

// None where no messages are made of it (without_messages).
std::vector<Chain> chains_of(const PacketCollectiveSpec& spec);

}  // namespace podsim::packet_collectives
