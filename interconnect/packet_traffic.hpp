// What is sent over a packet network: messages, in the order in which each source takes them.
#pragma once

#include <cstdint>
#include <vector>

#include "base/units.hpp"
#include "interconnect/packet_settings.hpp"

namespace podsim {

// Requests and responses travel on virtual channels of their own.
enum class MessageClass { request, response };

struct PacketMessage {
    int source = 0, destination = 0;  // endpoints
    Bytes size{0.0};
    int piece = 0;  // of what its pair sends: pieces are hashed, and queued, apart
    int collective = 0;
    MessageClass message_class = MessageClass::request;
    Seconds entry{0.0};      // not before
    std::vector<int> after;  // nor before these messages, by index, have been delivered
};

// A source takes its messages in the order of this list.
using PacketTraffic = std::vector<PacketMessage>;

// Bytes from each rank (row) to each (column); the diagonal stays at home.
using ByteMatrix = std::vector<std::vector<double>>;

ByteMatrix uniform_matrix(int ranks, Bytes per_pair);

// `tokens` tokens of each rank to `top_k` different ones of `experts` each (0: as many as ranks),
// drawn by popularity (i + 1)^-zipf of expert i (0: all alike), a copy of `token` for each.
// Experts are spread evenly over the ranks, in the order of popularity or, with a `placement` not
// 0, in an order drawn by it.
struct TokenMatrixSpec {
    int ranks = 64, tokens = 128, top_k = 8;
    int experts = 0;
    double zipf = 0;
    Bytes token{7680.0};
    std::uint64_t seed = 1, placement = 0;
};
ByteMatrix token_matrix(const TokenMatrixSpec& spec);

// The same without chance: an expert gets its share of each sender's tokens x top_k, in whole
// bytes.
ByteMatrix expected_matrix(const TokenMatrixSpec& spec);

// A message for each pair in each of `walks` walks over the destinations, all walks alike.
// `entries` of each rank, none: all at 0. `members[i]` is the endpoint of rank i, none: i.
struct AllToAllSpec {
    SendOrder order = SendOrder::rotated;
    int walks = 1;
    int collective = 0;
    std::vector<Seconds> entries;
    std::vector<int> members;
    std::uint64_t seed = 1;
};
PacketTraffic all_to_all(const ByteMatrix& bytes, const AllToAllSpec& spec = {});

// All-reduce of `size` on each of `ranks`, 2 (P - 1) steps around a ring, each a message of
// size / P that waits for the one before.
PacketTraffic ring_all_reduce(int ranks, Bytes size, int collective = 0);

// All-reduce by recursive halving of the vector and doubling of the distance, and back: 2 log2 P
// steps (Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005). P is a power of two.
PacketTraffic halving_doubling_all_reduce(int ranks, Bytes size, int collective = 0);

// One list after the other; indices in `after` move along.
void append(PacketTraffic& all, PacketTraffic more);

}  // namespace podsim
