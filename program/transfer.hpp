// What the fabric is asked to move: one collective among the ranks of a group, as bytes per
// rank. Who sits where and how long it takes is the fabric's business (interconnect/).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/units.hpp"

namespace podsim {

// dispatch and combine are the two all-to-alls of expert parallelism.
enum class TransferType {
    dispatch,
    combine,
    all_to_all,
    all_reduce,
    all_gather,
    reduce_scatter,
    broadcast,
    send_recv
};

const std::vector<std::pair<const char*, TransferType>>& names_of(const TransferType*);
std::string to_string(TransferType type);

// What one rank of a class sends and receives in payload bytes, its own share that never leaves
// the rank included (the fabric takes that out: it knows who is local).
struct TransferShare {
    int ranks = 0;  // members of the group in this class
    Bytes send{0.0}, receive{0.0};
    bool operator==(const TransferShare&) const = default;
};

// A collective over a group of `group_ranks` members, every `stride`-th rank, placed one after
// the other. Sizes follow nccl-tests: `size` is the buffer an all-reduce reduces, the result of
// an all-gather, the input of a reduce-scatter, what the root of a broadcast holds, the send buffer
// of an all-to-all, the message of a send. Dispatch and combine give what each class sends and
// receives in `shares`; `size` is then the payload behind `messages_per_rank` messages, from which
// a message's length follows.
struct Transfer {
    std::string name;
    TransferType type = TransferType::all_reduce;
    int group_ranks = 1;
    int stride = 1;
    Bytes size{0.0};
    double messages_per_rank = 0;  // tokens x copies of a dispatch: how many pieces it is cut into
    std::vector<TransferShare> shares;  // empty: all ranks alike
    // Of a dispatch or combine, for libraries that send a token once to several of its experts or
    // count by expert. 0: not known; of the limit: none.
    long copies = 0;        // experts a token goes to
    long experts = 0;       // they are chosen among
    long domain_limit = 0;  // scale-up domains the experts of a token lie in, at most
    // The one that has to be taken, by its name in interconnect/collective_algorithms; "": the one
    // that is done first.
    std::string algorithm = {};
    bool operator==(const Transfer&) const = default;
};

// Payload a rank sends in expert-parallel dispatch or combine: tokens x copies x token bytes.
Bytes expert_payload(double tokens, double copies, Bytes bytes_per_token);

// How many of `places` (ranks, nodes) that hold equal parts of `experts` are hit by a token's
// `copies`, drawn without repetition: n (1 - C(E - E/n, k) / C(E, k)). All of them where no copy
// can miss.
double distinct_places(double places, double experts, long copies);

// Bytes of one token on its way to an expert: hidden elements and one 4-byte scale for each
// `scale_block` of them (0: no scales).
Bytes token_bytes(long hidden, double element_bytes, long scale_block);

// nccl-tests: algorithm bandwidth = size / time; bus bandwidth corrects it to what a link must
// carry: all-reduce 2(n-1)/n, all-gather, reduce-scatter and all-to-all (n-1)/n, broadcast and
// send 1.
double bus_factor(TransferType type, int ranks);

// Throws std::invalid_argument: a group below 1, bytes or messages below zero or without end,
// shares that do not add up.
void require_valid(const Transfer& transfer);

}  // namespace podsim
