// A network as the packet level wants it: endpoints, switches, directed links, and who sends where
// next. Plain data, which topologies fill in; interconnect/packet makes SystemC modules of it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/units.hpp"
#include "interconnect/packet_settings.hpp"

namespace podsim {

struct PacketSwitchSpec {
    SwitchQueues queues = SwitchQueues::virtual_output_queued;
    SwitchArbitration arbitration = SwitchArbitration::round_robin;
    PacketForwarding forwarding = PacketForwarding::store_and_forward;
    PathChoice path_choice = PathChoice::hash_message;
    Seconds latency{0.0};
    Bytes input_buffer{0.0};  // of each input and virtual channel; 0: without end, no credits
    Bytes mark_above{0.0};    // packets that find more waiting for their output are marked; 0: none
};

struct PacketNode {
    std::string name;  // dots make levels: plane0.switch3
    bool is_switch = false;
    PacketSwitchSpec switch_spec;  // where it is one
};

struct PacketLink {
    int from = 0, to = 0;
    BytesPerSecond bandwidth{0.0};
    Seconds latency{0.0};
    double bit_error_rate = 0;
    bool dead = false;
    // A packet that crosses a dateline changes to its class's second lane, so that a ring of
    // buffers has an end (Dally and Seitz, IEEE Trans. Computers 36(5), 1987). Where it turns into
    // another ring (of another dimension of a torus) it begins in the first lane again.
    bool dateline = false;
    int ring = 0;
};

// Endpoints are nodes too and are counted in the order of the nodes: 0, 1, 2...
struct PacketNetworkSpec {
    std::vector<PacketNode> nodes;
    std::vector<PacketLink> links;

    // Which links of `node` lead to an endpoint: next_links[node][endpoint] is a row of `choices`,
    // or -1 where there is no way. `shares` of a choice, which add up to 1, say how much goes over
    // each of its links, as packets take turns or are hashed; none: as the path choice of the node
    // has it.
    std::vector<std::vector<int>> choices;
    std::vector<std::vector<double>> shares;
    std::vector<std::vector<int>> next_links;

    // Paths given whole for a (source, destination) go before the tables; several are shared as
    // the source's path choice says.
    std::map<std::pair<int, int>, std::vector<std::vector<int>>> paths;

    int add_endpoint(std::string name);
    int add_switch(std::string name, const PacketSwitchSpec& spec = {});
    int add_link(int from, int to, BytesPerSecond bandwidth, Seconds latency);
    int endpoints() const;
    std::vector<int> endpoint_nodes() const;
    void set_next_links(int node, int endpoint, const std::vector<int>& next,
                        const std::vector<double>& shares = {});

  private:
    std::map<std::pair<std::vector<int>, std::vector<double>>, int> known_choices_;
};

// Fills next_links by shortest paths (hops) over links that live; equally short ones are all kept.
void route_shortest(PacketNetworkSpec& network);

// Throws std::invalid_argument with the name of what is wrong: a link from or to nowhere, without
// bandwidth; two nodes of a name; an endpoint no other reaches is found when something is sent.
void require_valid(const PacketNetworkSpec& network);

}  // namespace podsim
