// Where a packet goes next: the network's tables or its paths given whole, without dead links.
#pragma once

#include <cstdint>
#include <vector>

#include "interconnect/packet/protocol.hpp"
#include "interconnect/packet_network.hpp"

namespace podsim {

class PacketRoutes {
  public:
    explicit PacketRoutes(const PacketNetworkSpec& network);

    // Links (numbers of the network) that a source may begin with; empty: no way.
    std::vector<int> first_links(int source, int destination) const;

    // Makes the packet follow a path given whole that begins with `link`, where there are such;
    // several take turns by `turn`.
    void assign_path(Packet& packet, int link, std::uint64_t turn) const;

    // Links by which the packet may leave `node`. Throws std::invalid_argument, naming the pair,
    // where it cannot.
    const std::vector<int>& next_links(int node, const Packet& packet) const;

    bool has_paths() const { return !network_.paths.empty(); }

  private:
    [[noreturn]] void throw_no_way(int node, int source, int destination) const;

    const PacketNetworkSpec& network_;
    std::vector<int> endpoint_nodes_;
    std::vector<std::vector<int>> choices_;  // as the network's, living links alone
    std::vector<std::vector<int>> paths_;    // living ones
    std::vector<std::vector<int>> steps_;    // [link]: itself alone, as a choice
    std::map<std::pair<int, int>, std::vector<int>> paths_of_;
};

}  // namespace podsim
