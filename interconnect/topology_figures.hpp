// What a topology comes to: its cut in half, its longest way, its latencies.
#pragma once

#include "interconnect/topology.hpp"

namespace podsim {

struct TopologyFigures {
    double bisection = 0;      // B/s one way between halves: the least cut
    int diameter = 0;          // links on the longest of the shortest paths
    double near = 0, far = 0;  // s: the least and the greatest latency of a pair
    int near_from = 0, near_to = 0, far_from = 0, far_to = 0;
};
TopologyFigures figures_of(const Topology& topology);

}  // namespace podsim
