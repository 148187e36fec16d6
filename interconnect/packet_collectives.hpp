// The messages of a collective by an algorithm, step by step: in each step a rank sends when all
// that came to it in the step before is there. Who sends to whom is what
// interconnect/collective_algorithms has; here nothing is routed and nothing is added up.
#pragma once

#include <vector>

#include "interconnect/collective_algorithms.hpp"
#include "interconnect/packet_traffic.hpp"

namespace podsim {

// How ranks lie, for algorithms that ask: members in an order in which neighbours are near; groups
// of `inner` of them, one after the other, that are near (1: none); sizes of a torus or mesh that
// they fill.
struct RankLayout {
    std::vector<int> near_order;
    int inner = 1;
    bool direct_within = false;  // these groups: all at once instead of rings (meshes)
    std::vector<long> dimensions;
    bool is_torus = false;
};

struct PacketCollectiveSpec {
    Collective collective = Collective::all_to_all;
    Algorithm algorithm = Algorithm::direct;
    int ranks = 2;
    Bytes size{0.0};  // as nccl-tests count it
    RankLayout layout;
    AllToAllSpec exchange;  // order and walks, wherever all send to all
    ByteMatrix bytes;       // of an exchange whose pairs are unequal, instead of the size
    // Of trees and of rings in two levels: pieces that follow each other, so long at least.
    int most_pieces = 16;
    Bytes least_piece{65536.0};
};

// What of it no messages are made of, in words; "" where they are.
std::string without_messages(const PacketCollectiveSpec& spec);

// How many messages it is of, at most.
double most_messages(const PacketCollectiveSpec& spec);

// Throws std::invalid_argument with those words.
PacketTraffic collective_traffic(const PacketCollectiveSpec& spec);

// Messages above `most` in pieces that follow each other at once; each message in `pieces` at
// least.
PacketTraffic in_pieces(const PacketTraffic& traffic, long pieces, Bytes most);

}  // namespace podsim
