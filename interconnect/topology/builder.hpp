// Nodes and links of a topology in any order; classes of links by name.
#pragma once

#include <map>
#include <string>

#include "interconnect/topology.hpp"

namespace podsim {

struct LinkKind {
    double bandwidth = 0, latency = 0;
    int plane = 0;
    Medium medium = Medium::copper;
    int cost = 1;
};

class TopologyBuilder {
  public:
    TopologyBuilder(std::string family, long chips);
    int node(NodeKind kind, int plane);
    // From `a` to `b` alone; `name` is the class.
    void link(int a, int b, const LinkKind& kind, const std::string& name);
    // Both ways: classes NAME up and NAME down.
    void pair(int a, int b, const LinkKind& kind, const std::string& name);
    Topology& topology() { return topology_; }
    Topology finish();

  private:
    Topology topology_;
    std::map<std::string, int> classes_;
    std::map<std::pair<int, int>, int> next_index_;
};

double latency_of(const TopologyLevelSpec& level, Medium medium);

// Of families with `dimensions`: throws std::invalid_argument where they do not make up the chips.
void require_product(const TopologyLevelSpec& level, long chips);
double link_bandwidth(const TopologyLevelSpec& level, std::size_t d, long links_of_chip,
                      BytesPerSecond bandwidth);

// One builder for each family.
Topology build_switched_planes(const TopologyLevelSpec& level, long chips, BytesPerSecond bandwidth,
                               long planes);
Topology build_fat_tree(const TopologyLevelSpec& level, long chips, BytesPerSecond bandwidth,
                        long planes);
Topology build_torus(const TopologyLevelSpec& level, long chips, BytesPerSecond bandwidth,
                     long planes);
Topology build_full_mesh(const TopologyLevelSpec& level, long chips, BytesPerSecond bandwidth,
                         long planes);
Topology build_dragonfly(const TopologyLevelSpec& level, long chips, BytesPerSecond bandwidth,
                         long planes);

}  // namespace podsim
