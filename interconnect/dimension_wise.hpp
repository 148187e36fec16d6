// All-reduces, all-gathers and reduce-scatters along the dimensions of a torus or mesh, one after
// the other, by groups that are boxes of it.
#pragma once

#include <cstddef>
#include <vector>

#include "interconnect/collective_algorithms.hpp"

namespace podsim {

// A group as a box of a torus or mesh: in each dimension `members` chips, every `spacing`-th.
struct BoxSide {
    long members = 1, spacing = 1;
    bool closed = false;        // goes all the way round
    bool has_gap = false;       // a fault took a link of one of its rings: rows are left
    long sharing = 1;           // siblings whose rings run over the same links
    std::size_t dimension = 0;  // of the topology
};

// Sides longer than one chip of a group of these chips; none where it is no box, or where faults
// took more than one link of a ring or any of a row or mesh. `siblings` groups that begin at the
// chips from the first on do the same.
std::vector<BoxSide> box_of(const Topology& topology, const std::vector<int>& chips, long siblings);

// Along each side of the box in turn; as many shares as sides, each in an order turned by one, so
// that all are at work, and as large as lets the first phase end everywhere at a time. Rings of n
// in n - 1 steps both ways round, rows of a torus that are not closed one way to and one fro,
// meshes of n in one step.
void dimension_wise(const Topology& topology, const std::vector<BoxSide>& sides,
                    const std::vector<int>& chips, long siblings, double passes,
                    CollectiveTerms& terms);

}  // namespace podsim
