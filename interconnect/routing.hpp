// Which links messages take, and how many bytes land on each.
//
// Shortest paths come from one search a source, and its bytes to all others go down them in one
// pass over the links (each pair's bytes spread over its shortest paths by their weight), so that
// P sources cost P passes and never P^2 walks. Where the fabric is symmetric and all chips take
// part, one source of each class of chips stands for all: every link of a class carries the same.
// Where some take part, one source of each orbit of the symmetries that are left does
// (interconnect/symmetry.hpp).
#pragma once

#include <string>
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

// Bytes over each link of the topology, in the order of its links.
using LinkBytes = std::vector<double>;

struct Flow {
    int from = 0, to = 0;  // chips
    double bytes = 0;
};

// Each of `members` sends an equal part of 1 byte to each of them, itself included (which needs no
// link): the load of an all-to-all of 1 byte a chip.
LinkBytes uniform_loads(const Topology& topology, const std::vector<int>& members,
                        RoutingPolicy routing, long flows_per_pair);
// Loads of flows, and the greatest latency of one of them. Flows of nothing and to oneself are left
// out. Throws std::invalid_argument: no route.
struct RoutedFlows {
    LinkBytes loads;
    double latency = 0;
};
RoutedFlows route_flows(const Topology& topology, const std::vector<Flow>& all,
                        RoutingPolicy routing, long flows_per_pair);
LinkBytes flow_loads(const Topology& topology, const std::vector<Flow>& flows,
                     RoutingPolicy routing, long flows_per_pair);

// Seconds of the fullest link.
double slowest(const Topology& topology, const LinkBytes& loads);

// Hardware latency of a small message from chip to chip over a shortest path, ends included.
double pair_latency(const Topology& topology, int from, int to);

struct TopologyFigures {
    double bisection = 0;      // B/s one way between halves: the least cut
    int diameter = 0;          // links on the longest of the shortest paths
    double near = 0, far = 0;  // s: the least and the greatest latency of a pair
    int far_from = 0, far_to = 0;
};
TopologyFigures figures_of(const Topology& topology);

// Virtual channels that a policy needs on a topology.
int channels_needed(const Topology& topology, RoutingPolicy routing);

// Channel dependencies of the routes of a level (Dally and Seitz 1987): dimension order with a
// dateline on tori, up and down in trees, one channel more behind the global hop of a dragonfly,
// as many again for the second half of Valiant's paths. Large levels are checked with each size cut
// to a few: the rules do not see sizes. Returns "" where nothing waits in a circle, else the
// circle.
std::string deadlock_of(const TopologyLevelSpec& level, RoutingPolicy routing);

}  // namespace podsim
