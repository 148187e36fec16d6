// How many pieces follow each other, and with them at most how many messages a collective is of
// (most_messages, which interconnect/packet_collectives.hpp declares).
#pragma once

#include <cstddef>

#include "interconnect/packet_collectives.hpp"

namespace podsim::packet_collectives {

// Of messages of so many bytes.
int pieces_of(const PacketCollectiveSpec& spec, double bytes);

// Whether it is an all-gather over equal groups, each group's part by itself: what has come to a
// group in a step of the ring between them is gathered there while the ring goes on. A whole piece
// after the other, the two levels would take turns where pieces are few.
bool gathers_part_by_part(const PacketCollectiveSpec& spec);

// Its pieces, each of which has as many parts as there are groups.
std::size_t pieces_of_parts(const PacketCollectiveSpec& spec, std::size_t groups);

// Rings that run at a time, each with its part of the bytes, so that a link has more to send than
// what a neighbour waits for: as the channels of a library. Of messages of so many bytes in one.
int rings_of(const PacketCollectiveSpec& spec, double bytes);

// Of two trees, in pieces as those of a chain but fewer: their depth is a logarithm.
int tree_pieces_of(const PacketCollectiveSpec& spec);

// Of each of the `parts` of a broadcast that goes along rows.
int row_pieces_of(const PacketCollectiveSpec& spec, std::size_t parts);

}  // namespace podsim::packet_collectives
