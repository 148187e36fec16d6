// Messages cut into pieces that follow each other on their ways.
#pragma once

#include "interconnect/packet_traffic.hpp"

namespace podsim {

// Messages above `most` in pieces that follow each other at once; each message in `pieces` at
// least.
PacketTraffic in_pieces(const PacketTraffic& traffic, long pieces, Bytes most);

}  // namespace podsim
