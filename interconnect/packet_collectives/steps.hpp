// The steps that algorithms are made of: turns of rings, exchanges of all with all, trees level by
// level, and which halves of an all-reduce a collective asks for.
#pragma once

#include <vector>

#include "interconnect/packet_collectives.hpp"
#include "interconnect/packet_collectives/chains.hpp"

namespace podsim::packet_collectives {

// Of an all-reduce: its reduce-scatter, its all-gather, either.
bool scatters(Collective collective);
bool gathers(Collective collective);
// Gathers, or gathers the parts of a broadcast.
bool gathers_all(const PacketCollectiveSpec& spec);

// Ranks so that neighbours are near, as the layout has them.
std::vector<int> near_order(const PacketCollectiveSpec& spec);

// Adds n - 1 steps of a part of `bytes` to the next in each ring of n.
void turn(const std::vector<std::vector<int>>& rings, double bytes, bool back, Chain& chain);

// Each its S to the next, all at once.
Chain neighbours(const PacketCollectiveSpec& spec);

// Adds to a step all of `members` to each other, in the order that is asked for.
void exchange(const PacketCollectiveSpec& spec, const std::vector<int>& members,
              const ByteMatrix& bytes, Step& step);

// A binary tree level by level, up or down.
Chain tree_steps(const std::vector<int>& parents, double bytes, bool up);

}  // namespace podsim::packet_collectives
