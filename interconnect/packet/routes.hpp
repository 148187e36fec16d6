// Where a packet goes next: the network's tables or its paths given whole, without dead links.
#pragma once

#include <cstdint>
#include <vector>

#include "interconnect/packet/protocol.hpp"
#include "interconnect/packet_network.hpp"

namespace podsim {

// Links (numbers of the network) among which a node chooses, by shares where they are unequal.
struct PacketChoice {
    std::vector<int> links;
    std::vector<std::uint32_t> below;  // of each link but the last: the sum of shares to it, x 2^32

    bool by_shares() const { return !below.empty(); }
    // The place of the link on which a part of all, x 2^32, falls.
    std::size_t at(std::uint32_t part) const {
        std::size_t i = 0;
        while (i < below.size() && part >= below[i]) ++i;
        return i;
    }
    // Of the packets that take turns, so that any few in a row are shared as all are: multiples of
    // the golden section fill a circle evenly.
    std::size_t in_turn(std::uint32_t begin, std::uint32_t turn) const {
        return at(begin + turn * 0x9E3779B9U);
    }
};

class PacketRoutes {
  public:
    explicit PacketRoutes(const PacketNetworkSpec& network);

    // Links that a source may begin with; empty: no way.
    PacketChoice first_links(int source, int destination) const;

    // Makes the packet follow a path given whole that begins with `link`, where there are such;
    // several take turns by `turn`.
    void assign_path(Packet& packet, int link, std::uint64_t turn) const;

    // Links by which the packet may leave `node`. Throws std::invalid_argument, naming the pair,
    // where it cannot.
    const PacketChoice& next_links(int node, const Packet& packet) const;

    bool has_paths() const { return !network_.paths.empty(); }

  private:
    [[noreturn]] void throw_no_way(int node, int source, int destination) const;

    const PacketNetworkSpec& network_;
    std::vector<int> endpoint_nodes_;
    std::vector<PacketChoice> choices_;    // as the network's, living links alone
    std::vector<std::vector<int>> paths_;  // living ones
    std::vector<PacketChoice> steps_;      // [link]: itself alone
    std::map<std::pair<int, int>, std::vector<int>> paths_of_;
};

}  // namespace podsim
