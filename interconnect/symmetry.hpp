// Which chips and links a fabric's symmetries map onto each other, of those symmetries that keep a
// pattern of traffic as it is. One source of each orbit then stands for the others: with a group H,
// sources s_1 ... of its orbits and the load l_s of what s sends,
//
//   load of a link = sum over i of |orbit of s_i| x mean of l_(s_i) over the link's orbit.
//
// Symmetries are proposed by the shape (turns and mirrors of coordinates, exchanged chips, nodes
// and groups of nodes) and each is checked link by link, so that whatever breaks one, a fault or an
// uneven group, takes it out and leaves more sources.
#pragma once

#include <vector>

#include "interconnect/topology.hpp"

namespace podsim {

// Each chip's and each link's representative, the least of its orbit.
struct Orbits {
    std::vector<int> chips, links;
};

// Under symmetries that leave chips of one mark among themselves.
Orbits orbits_of(const Topology& topology, const std::vector<int>& marks);

// Under symmetries that map each pair onto one of the same amount.
struct PairAmount {
    int from = 0, to = 0;
    double amount = 0;
};
Orbits orbits_of(const Topology& topology, const std::vector<PairAmount>& pairs);

// For each link the mean over its orbit.
void average_over_orbits(const Orbits& orbits, std::vector<double>& loads);

}  // namespace podsim
