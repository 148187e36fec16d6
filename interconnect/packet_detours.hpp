// Messages sent over third endpoints, so that no link is busier than the rest.
#pragma once

#include <cstdint>

#include "interconnect/packet_traffic.hpp"

namespace podsim {

// A `share` of each message's bytes goes over third endpoints (Valiant, SIAM J. Computing 11(2),
// 1982): in pieces, each over another one, which passes a piece on when it has it whole; they start
// at a place drawn by the seed. Without the third being an end itself the way is two messages.
struct DetourSpec {
    double share = 1;
    int most_pieces = 64;
    Bytes least_piece{16384.0};
    double most_messages = 2e6;
    std::uint64_t seed = 1;
};
PacketTraffic over_thirds(const PacketTraffic& traffic, int endpoints, const DetourSpec& spec);

}  // namespace podsim
