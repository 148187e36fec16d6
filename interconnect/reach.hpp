// What part of a collective's size crosses which port of a rank.
#pragma once

#include <vector>

#include "interconnect/system.hpp"
#include "program/transfer.hpp"

namespace podsim {

// How the members of a group fall into scale-up domains.
struct Placement {
    double members = 0, domains = 0;
    double largest = 0, smallest = 0;  // members in one domain
};

// Member i of the group that begins at rank 0 is rank i x stride; domains are full one after the
// other, domain k with the members from ceil(k d / stride) on. Groups that begin elsewhere are
// taken to fall alike.
Placement placement_of(const Transfer& transfer, const RankFabric& fabric);

// Of the pool's ranks that somebody names.
Placement placement_of(const std::vector<int>& ranks, long domain_ranks);

// Parts of what a rank sends: to itself, within its domain, beyond it. Where the group fills its
// domains unevenly the parts are of different ranks: the busiest of each port.
struct Reach {
    double self, up, out;
};

// Of a library that does as its kind does.
Reach reach_of(TransferType type, const Placement& placement);

// The same by the algorithm that the transfer asks for, if it does.
Reach reach_of_asked(const Transfer& transfer, const Placement& placement);

// Of a token's k copies, those to one rank travel as one: to a domain once over the network, from
// the rank there that has the sender's place in the row once to every other rank that is meant. As
// parts of the payload of k copies, spread evenly over ranks and domains.
Reach reach_of_merged(const Transfer& transfer, const Placement& placement);

// An all-reduce is a reduce-scatter and an all-gather of the same size.
double passes(TransferType type);

}  // namespace podsim
