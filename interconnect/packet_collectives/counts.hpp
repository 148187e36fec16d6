// How many pieces follow each other, and with them at most how many messages a collective is of
// (most_messages, which interconnect/packet_collectives.hpp declares).
#pragma once

#include <cstddef>

#include "interconnect/packet_collectives.hpp"

namespace podsim::packet_collectives {

// Of messages of so many bytes.
int pieces_of(const PacketCollectiveSpec& spec, double bytes);

// Of two trees, in pieces as those of a chain but fewer: their depth is a logarithm.
int tree_pieces_of(const PacketCollectiveSpec& spec);

// Of each of the `parts` of a broadcast that goes along rows.
int row_pieces_of(const PacketCollectiveSpec& spec, std::size_t parts);

}  // namespace podsim::packet_collectives
