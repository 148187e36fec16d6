// Networks of a few common forms for the packet level. Systems of configs/ come from topologies.
#pragma once

#include "interconnect/packet_network.hpp"

namespace podsim {

struct PacketPortSpec {
    BytesPerSecond bandwidth{0.0};
    Seconds latency{0.0};  // of one link
    double bit_error_rate = 0;
};

// Every endpoint chipN has a port to the switch of each of `planes` planes: planeK.switch.
PacketNetworkSpec switched_planes(int endpoints, int planes, const PacketPortSpec& port,
                                  const PacketSwitchSpec& spec = {});

// `per_leaf` endpoints under each leaf, every leaf with one link to each of `spines`.
PacketNetworkSpec leaf_spine(int endpoints, int per_leaf, int spines, const PacketPortSpec& port,
                             const PacketPortSpec& uplink, const PacketSwitchSpec& spec = {});

// A link from each endpoint to every other.
PacketNetworkSpec full_mesh(int endpoints, const PacketPortSpec& port);

// Endpoints with a router each, routers in a ring both ways, with datelines between the last and
// the first. Antipodes of an even ring are reached both ways. Endpoint and router are joined by a
// link as fast as both of the router's together, without latency.
PacketNetworkSpec ring_of_routers(int endpoints, const PacketPortSpec& port,
                                  const PacketSwitchSpec& spec = {});

// The whole plane's links at `share` of their bandwidth; 0 kills them and routes are made anew.
void degrade_plane(PacketNetworkSpec& network, int plane, double share);

}  // namespace podsim
