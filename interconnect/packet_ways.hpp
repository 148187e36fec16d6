// Which links of a topology's node lead a packet on to a destination: the tables of its switches.
#pragma once

#include <vector>

#include "interconnect/topology.hpp"

namespace podsim {

// Links that lead on, and how much of what goes there each takes.
struct NextLinks {
    std::vector<int> links;
    std::vector<double> shares;  // add up to 1; none: alike
};

// Shortest ways, by the links' cost, to one node after the other.
class PacketWays {
  public:
    explicit PacketWays(const Topology& topology);

    void search(int to);
    int to() const { return to_; }

    // Links that lead on from `node`: those behind which the rest is shortest (so that a chip that
    // passes nothing on also has a way out and back to itself), each with its share of all the
    // shortest ways, by their weights (Router::spread says the same from the source's side). Where
    // chips forward and turns are not free, of them those of the lowest dimension: both ways round
    // where both are as short. One where routing is minimal.
    NextLinks next(int node, RoutingPolicy routing, bool free_turns) const;

  private:
    bool passes_on(int node) const;
    void count_ways();
    std::size_t place_on_line(int node, int neighbour) const;

    const Topology& topology_;
    std::vector<std::vector<int>> into_;  // links, by their end
    std::vector<long> distance_;
    std::vector<double> ways_;  // to the destination, each by the product of its links' weights
    std::vector<int> reached_;  // nodes, the nearest first
    int to_ = 0;
};

}  // namespace podsim
