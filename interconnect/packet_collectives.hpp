// The messages of a collective by an algorithm, step by step: in each step a rank sends when all
// that came to it in the step before is there. Who sends to whom is what
// interconnect/collective_algorithms has; here nothing is routed and nothing is added up. How the
// steps are found is in packet_collectives/.
#pragma once

#include <string>
#include <vector>

#include "interconnect/collective_algorithms.hpp"
#include "interconnect/packet_traffic.hpp"

namespace podsim {

// How ranks lie, for algorithms that ask: members in an order in which neighbours are near; sizes
// of a torus or mesh that they fill; groups of `inner` of them, one after the other, that are near
// (1: none), what is done within each and how its members lie.
struct RankLayout {
    std::vector<int> near_order;
    std::vector<long> dimensions;
    bool is_torus = false;
    int inner = 1;
    Algorithm within = Algorithm::ring;
    std::vector<RankLayout> group;  // one or none
};

struct PacketCollectiveSpec {
    Collective collective = Collective::all_to_all;
    Algorithm algorithm = Algorithm::direct;
    int ranks = 2;
    Bytes size{0.0};  // as nccl-tests count it
    RankLayout layout;
    AllToAllSpec exchange;  // order and walks, wherever all send to all
    ByteMatrix bytes;       // of an exchange whose pairs are unequal, instead of the size
    // A broadcast: a part to each, then an all-gather by the algorithm, instead of all to the next.
    bool scatters_first = false;
    // Of rings in two levels: pieces that follow each other, so long at least.
    int most_pieces = 16;
    Bytes least_piece{65536.0};
    // The same of a chain, whose last of P ranks waits for P - 2 of them, and of trees (an eighth).
    int most_links = 4096;
    Bytes least_link{16384.0};
};

// What of it no messages are made of, in words; "" where they are.
std::string without_messages(const PacketCollectiveSpec& spec);

// How many messages it is of, at most.
double most_messages(const PacketCollectiveSpec& spec);

// Throws std::invalid_argument with those words.
PacketTraffic collective_traffic(const PacketCollectiveSpec& spec);

}  // namespace podsim
