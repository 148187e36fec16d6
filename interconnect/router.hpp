// Shortest paths through a topology, and what is sent down them.
#pragma once

#include <cstddef>
#include <vector>

#include "interconnect/topology.hpp"

namespace podsim {

// Shortest paths from one node at a time.
class Router {
  public:
    explicit Router(const Topology& topology);

    // To all nodes, or until `to` is reached.
    void search(int from, int to = -1);
    // Until all of these nodes are reached. Of others those may be missing that are as far, and
    // ends that pass nothing on.
    void search(int from, const std::vector<int>& to);
    int distance(int node) const;  // sum of the links' cost; -1: not reached
    int hops(int node) const;      // links on a shortest path; -1: not reached
    // Of the last search: adds to each link what passes when `bytes[node]` go to each node, spread
    // over all shortest paths.
    void spread(const std::vector<double>& bytes, std::vector<double>& loads);
    void spread_to(int to, double bytes, std::vector<double>& loads);
    // One shortest path to a node: the first of equal links, or the destination's by turns where
    // there are switches. Links in order; empty where it is not reached.
    std::vector<int> path(int to);
    // Of a small message over a shortest path, ends included: those of one cost are as long.
    double latency(int to) const;
    // Links that the last search looked at and that lead on: what it cost.
    std::size_t looked_at() const { return tree_.size(); }

  private:
    void search(int from, int to, int goals);
    void clear_needs();
    void collect(std::vector<double>& loads);

    const Topology& topology_;
    // What a search knows of a node, and what it needs of a link: close together, as a search of a
    // large fabric is all memory.
    struct Reached {
        int stamp = 0, distance = 0, hops = 0;
        bool is_end = false;  // passes nothing on
        double paths = 0, latency = 0;
    };
    struct Arc {
        int to = 0, cost = 0;
        double weight = 1, latency = 0;
    };
    int from_ = 0, stamp_ = 0;
    std::vector<Reached> nodes_;
    std::vector<Arc> arcs_;  // of the topology's links; made for the second search
    std::vector<double> need_;
    std::vector<int> tree_;  // links on shortest paths, by the distance of their start
    std::vector<std::vector<int>> buckets_;
    std::vector<char> marked_;
    std::vector<int> goal_;  // stamp of the search that looks for the node
};

// Throws std::invalid_argument that names the pair.
[[noreturn]] void no_route(const Topology& topology, int from, int to);

// Hardware latency of a small message from chip to chip over a shortest path, ends included.
double pair_latency(const Topology& topology, int from, int to);

}  // namespace podsim
