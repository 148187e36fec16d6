// The network of packets that a system's fabric is: its topologies level by level, or, where a
// system says no topology, a switch for each plane behind its ports.
//
// Endpoints are the ranks of a group. Each has its share of its chip's links to switches; where
// chips pass on for each other, ranks hang on their chip's router. Pairs of one group of a level
// meet there, others on the levels outside, those of different domains over scale-out. Routes are
// shortest by the links' cost, as in router.hpp. Where chips forward, adaptive routers without an
// end to their buffers take any dimension next; else packets go dimension after dimension, rings
// with a dateline, as deadlock.hpp takes it. Detours over third chips are messages (over_thirds).
#pragma once

#include <optional>

#include "interconnect/packet_network.hpp"
#include "interconnect/packet_traffic.hpp"
#include "interconnect/system.hpp"

namespace podsim {

// Member i is rank i x stride.
struct PacketMembers {
    int members = 2, stride = 1;
};

struct PacketFabricSpec {
    // Of all switches; latency is the topology's. A shared memory by default: in a crossbar an
    // input stands still for as long as a slower output takes. They cut through, as those of
    // NVLink, UB and InfiniBand do.
    PacketSwitchSpec switches{SwitchQueues::shared_memory, SwitchArbitration::round_robin,
                              PacketForwarding::cut_through};
    // Instead of what the topology's routing says: a hash of each message (hashed), the shortest
    // queue (adaptive).
    std::optional<PathChoice> path_choice;
    double bit_error_rate = 0;                       // of each link
    double scale_up_share = 1, scale_out_share = 1;  // of the links' bandwidth that is attained
};

struct TopologyNetwork {
    PacketNetworkSpec network;
    PathChoice endpoint_choice = PathChoice::least_queued;
};

// Nodes and links that no pair of the group uses are left out. Throws std::invalid_argument: ranks
// that the fabric does not have, no route (names the pair).
TopologyNetwork packet_network(const RankFabric& fabric, const PacketMembers& group,
                               const PacketFabricSpec& spec = {});

// Packets times the links on their way (the first, where there are several): what a run costs.
double packet_hops(const PacketNetworkSpec& network, const PacketTraffic& traffic, Bytes payload);

}  // namespace podsim
