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
// The same without what stays within a cell of `cell` chips (numbers 0 to cell - 1, and so on),
// which goes other ways.
LinkBytes uniform_loads_between(const Topology& topology, const std::vector<int>& members,
                                long cell, RoutingPolicy routing, long flows_per_pair);
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

}  // namespace podsim
