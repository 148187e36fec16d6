#include "interconnect/packet_builders.hpp"

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace podsim {

namespace {

void require(bool good, const char* what) {
    if (!good) throw std::invalid_argument(what);
}

void add_both(PacketNetworkSpec& network, int a, int b, const PacketPortSpec& port) {
    for (const auto& [from, to] : {std::pair{a, b}, std::pair{b, a}}) {
        const int link = network.add_link(from, to, port.bandwidth, port.latency);
        network.links[static_cast<std::size_t>(link)].bit_error_rate = port.bit_error_rate;
    }
}

}  // namespace

PacketNetworkSpec switched_planes(int endpoints, int planes, const PacketPortSpec& port,
                                  const PacketSwitchSpec& spec) {
    require(endpoints >= 2 && planes >= 1, "planes want two endpoints and one plane at least");
    PacketNetworkSpec network;
    for (int e = 0; e < endpoints; ++e) network.add_endpoint(fmt::format("chip{}", e));
    for (int p = 0; p < planes; ++p) {
        const int node = network.add_switch(fmt::format("plane{}.switch0", p), spec);
        for (int e = 0; e < endpoints; ++e) add_both(network, e, node, port);
    }
    route_shortest(network);
    return network;
}

PacketNetworkSpec leaf_spine(int endpoints, int per_leaf, int spines, const PacketPortSpec& port,
                             const PacketPortSpec& uplink, const PacketSwitchSpec& spec) {
    require(endpoints >= 2 && per_leaf >= 1 && spines >= 1,
            "leaves and spines want two endpoints, one a leaf and one spine at least");
    PacketNetworkSpec network;
    for (int e = 0; e < endpoints; ++e) network.add_endpoint(fmt::format("chip{}", e));
    std::vector<int> tops;
    for (int s = 0; s < spines; ++s)
        tops.push_back(network.add_switch(fmt::format("spines.switch{}", s), spec));
    for (int first = 0; first < endpoints; first += per_leaf) {
        const int leaf = network.add_switch(fmt::format("leaves.switch{}", first / per_leaf), spec);
        for (int e = first; e < std::min(endpoints, first + per_leaf); ++e)
            add_both(network, e, leaf, port);
        for (const int top : tops) add_both(network, leaf, top, uplink);
    }
    route_shortest(network);
    return network;
}

PacketNetworkSpec full_mesh(int endpoints, const PacketPortSpec& port) {
    require(endpoints >= 2, "a mesh wants two endpoints at least");
    PacketNetworkSpec network;
    for (int e = 0; e < endpoints; ++e) network.add_endpoint(fmt::format("chip{}", e));
    for (int a = 0; a < endpoints; ++a)
        for (int b = a + 1; b < endpoints; ++b) add_both(network, a, b, port);
    route_shortest(network);
    return network;
}

PacketNetworkSpec ring_of_routers(int endpoints, const PacketPortSpec& port,
                                  const PacketSwitchSpec& spec) {
    require(endpoints >= 3, "a ring wants three endpoints at least");
    PacketNetworkSpec network;
    for (int e = 0; e < endpoints; ++e) network.add_endpoint(fmt::format("chip{}", e));
    const PacketPortSpec local{2.0 * port.bandwidth, Seconds(0.0), 0.0};
    for (int e = 0; e < endpoints; ++e) {
        const int router = network.add_switch(fmt::format("router{}", e), spec);
        add_both(network, e, router, local);
    }
    for (int e = 0; e < endpoints; ++e)
        add_both(network, endpoints + e, endpoints + (e + 1) % endpoints, port);
    const std::size_t links = network.links.size();
    network.links[links - 1].dateline = network.links[links - 2].dateline = true;
    route_shortest(network);
    return network;
}

void degrade_plane(PacketNetworkSpec& network, int plane, double share) {
    require(share >= 0 && share <= 1, "a plane keeps 0 to 1 of its bandwidth");
    const std::string name = fmt::format("plane{}.", plane);
    bool found = false;
    for (PacketLink& link : network.links) {
        for (const int end : {link.from, link.to}) {
            if (network.nodes[static_cast<std::size_t>(end)].name.rfind(name, 0) != 0) continue;
            found = true;
            if (share > 0) link.bandwidth *= share;
            link.dead = link.dead || share <= 0;
            break;
        }
    }
    require(found, "there is no plane of that number");
    if (share <= 0) route_shortest(network);
}

}  // namespace podsim
