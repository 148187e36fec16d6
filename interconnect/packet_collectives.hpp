// The messages of a collective by an algorithm, step by step: in each step a rank sends when all
// that came to it in the step before is there. Who sends to whom is what
// interconnect/collective_algorithms has; here nothing is routed and nothing is added up. How the
// steps are found is in packet_collectives/.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "interconnect/collective_algorithms.hpp"
#include "interconnect/packet_traffic.hpp"

namespace podsim {

// A side of the box of a torus or mesh that ranks fill.
struct RankSide {
    long members = 2;
    bool closed = true;                          // of a torus: it goes all the way round
    double rate = 1;                             // of its links, against those of the other sides
    std::vector<std::pair<int, int>> gaps = {};  // neighbours of rings that faults left no link
};

// How ranks lie, for algorithms that ask: members in an order in which neighbours are near; sides
// of a torus or mesh that they fill, the first rank's neighbours along the first one; groups of
// `inner` of them, one after the other, that are near (1: none), what is done within each and how
// its members lie. Groups of unequal `sizes` (none: all of `inner`, the largest) lie as the first
// does, as far as it goes. Walks over others' groups of `near` begin with one's own place there.
struct RankLayout {
    std::vector<int> near_order;
    std::vector<RankSide> sides;
    bool is_torus = false;
    int inner = 1, near = 1;
    std::vector<int> sizes;
    Algorithm within = Algorithm::ring;
    std::vector<RankLayout> group;  // one or none
};

// An exchange in which copies of a token for one group travel as one, to the member with the
// sender's place, which sends on to each rank that is meant; or back. Parts of a rank's size.
struct MergedCopies {
    double between = 0, within = 0;
    bool gathers_first = false;  // within groups, then between them
};

struct PacketCollectiveSpec {
    Collective collective = Collective::all_to_all;
    Algorithm algorithm = Algorithm::direct;
    int ranks = 2;
    Bytes size{0.0};  // as nccl-tests count it
    RankLayout layout;
    AllToAllSpec exchange;  // order and walks, wherever all send to all
    ByteMatrix bytes;       // of an exchange whose pairs are unequal, instead of the size
    std::optional<MergedCopies> merged;  // hierarchical
    bool in_pieces = false;              // hierarchical: both levels at work at a time
    // A broadcast: a part to each, then an all-gather by the algorithm, instead of all to the next.
    bool scatters_first = false;
    // Of two levels: pieces that follow each other, so long at least.
    int most_pieces = 32;
    Bytes least_piece{16384.0};
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
