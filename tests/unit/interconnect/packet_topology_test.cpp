// Networks of packets from topologies: latency by hand, the links that the routes of coflows take,
// no circle of waiting buffers.
#include "interconnect/packet_topology.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "interconnect/packet_bound.hpp"
#include "interconnect/topology_times.hpp"
#include "tests/unit/interconnect/packet_scenes.hpp"
#include "tests/unit/interconnect/plain_fabric.hpp"
#include "tests/unit/interconnect/topology_text.hpp"

namespace podsim {
namespace {

RankFabric fabric_of(const std::string& yaml, long chips, double bandwidth, int ranks_per_chip = 1,
                     long planes = 1) {
    RankFabric fabric;
    fabric.scale_up = BytesPerSecond(bandwidth / ranks_per_chip);
    fabric.domain_ranks = chips * ranks_per_chip;
    fabric.ranks_per_chip = ranks_per_chip;
    fabric.scale_up_links =
        std::make_shared<const TopologyTimes>(stack_of(yaml, chips, bandwidth, planes), false);
    return fabric;
}

PacketFabricSpec stored() {
    PacketFabricSpec spec;
    spec.switches.forwarding = PacketForwarding::store_and_forward;
    return spec;
}

constexpr const char* kTwoTiers =
    "family: switched-planes\nnode_chips: 4\nsecond_tier: 2\nelectrical_latency: 100 ns\n"
    "optical_latency: 200 ns\nswitch_latency: 50 ns\n";

// 1,000 B at 1 B/ns, stored whole at each switch: two links of 100 ns and a switch of 50 ns in a
// node, two more links of 200 ns and two more switches between nodes. Uplinks of 4 chips over two
// planes and two switches carry 2 B/ns.
TEST(PacketTopology, LatencyByHand) {
    const auto made = packet_network(fabric_of(kTwoTiers, 8, 2e9, 1, 2), {8, 1}, stored());
    const auto near = run_packets(made.network, {message(0, 1, 1000)}, plain_packets());
    EXPECT_NEAR(in_nanoseconds(near.time), 2 * 1000 + 2 * 100 + 50, 1e-3);
    const auto far = run_packets(made.network, {message(0, 7, 1000)}, plain_packets());
    EXPECT_NEAR(in_nanoseconds(far.time), 2 * 1000 + 2 * 500 + 2 * 100 + 2 * 200 + 3 * 50, 1e-3);
    EXPECT_NEAR(in_nanoseconds(path_latency(made.network, {message(0, 7, 1000)})), 750, 1e-3);
}

// Two ranks a chip have half of its links each, and meet at their first switch.
TEST(PacketTopology, RanksOfAChip) {
    const auto made = packet_network(fabric_of(kTwoTiers, 8, 4e9, 2, 2), {16, 1}, stored());
    const auto both =
        run_packets(made.network, {message(0, 1, 1000), message(2, 3, 1000)}, plain_packets());
    EXPECT_NEAR(in_nanoseconds(both.time), 2 * 1000 + 2 * 100 + 50, 1e-3);
    EXPECT_EQ(packet_hops(made.network, {message(0, 1, 2500)}, Bytes(1000)), 6);
    EXPECT_EQ(packet_hops(made.network, {message(0, 15, 2500)}, Bytes(1000)), 12);
}

// Ports alone: a switch of each plane, half of the latency on each link; a network outside domains.
TEST(PacketTopology, PortsAlone) {
    RankFabric fabric;
    fabric.scale_up = BytesPerSecond(2e9);
    fabric.scale_up_planes = 2;
    fabric.scale_up_latency = nanoseconds(300);
    fabric.domain_ranks = 4;
    fabric.scale_out = BytesPerSecond(0.5e9);
    fabric.scale_out_latency = nanoseconds(1000);
    const auto made = packet_network(fabric, {8, 1}, stored());
    const auto near = run_packets(made.network, {message(0, 3, 1000)}, plain_packets());
    EXPECT_NEAR(in_nanoseconds(near.time), 2 * 1000 + 300, 1e-3);
    const auto far = run_packets(made.network, {message(0, 4, 1000)}, plain_packets());
    EXPECT_NEAR(in_nanoseconds(far.time), 2 * 2000 + 1000, 1e-3);
    // Every second rank: of two domains two each.
    const auto some = packet_network(fabric, {4, 2});
    EXPECT_EQ(some.network.endpoints(), 4);
    EXPECT_EQ(packet_hops(some.network, {message(0, 1, 1), message(0, 2, 1)}, Bytes(1)), 4);
}

struct Family {
    const char* name;
    const char* yaml;
    int chips;
    double within;  // of the coflow
};
const Family kFamilies[] = {
    {"one tier", "family: switched-planes\n", 16, 1.02},
    {"two tiers", "family: switched-planes\nnode_chips: 4\nsecond_tier: 2\n", 16, 1.03},
    {"2:1", "family: fat-tree\nnode_chips: 4\nsecond_tier: 4\noversubscription: 2\n", 16, 1.03},
    {"mesh", "family: full-mesh\ndimensions: [4, 4]\n", 16, 1.04},
    {"torus", "family: torus\ndimensions: [4, 4]\n", 16, 1.06},
    {"odd torus", "family: torus\ndimensions: [3, 5]\n", 15, 1.03},
    {"dragonfly", "family: dragonfly\nrouters_per_group: 2\nchips_per_router: 2\nglobal_links: 2\n",
     20, 1.06},
    {"racks",
     "levels:\n  - {family: full-mesh, dimensions: [4], chips: 4, bandwidth: 60 GB/s}\n"
     "  - {family: switched-planes, bandwidth: 40 GB/s}\n",
     16, 1.06},
    {"a link to a chip at half",
     "family: switched-planes\nnode_chips: 4\nsecond_tier: 2\nplanes: 2\n"
     "faults: [{link: [chip7, l1.p0.1], capacity: 0.5}]\n",
     16, 1.04},
    {"an uplink dead",
     "family: switched-planes\nnode_chips: 4\nsecond_tier: 4\nplanes: 2\n"
     "faults: [{link: [l1.p0.0, l2.p0.1]}]\n",
     16, 1.04},
    {"a spine at half",
     "family: fat-tree\nnode_chips: 4\nsecond_tier: 4\noversubscription: 2\n"
     "faults: [{switch: l2.p0.1, capacity: 0.5}]\n",
     16, 1.04},
    {"a mesh's link at half",
     "family: full-mesh\ndimensions: [4, 4]\nfaults: [{link: [chip0, chip1], capacity: 0.5}]\n", 16,
     1.06},
    {"a torus' chip at half",
     "family: torus\ndimensions: [4, 4]\nfaults: [{chip: 5, capacity: 0.5}]\n", 16, 1.06}};

// An all-to-all's bytes land on the links that routing.hpp puts them on, without latency; and
// packets take as long as the fullest of these links, in many walks.
TEST(PacketTopology, LinksOfTheCoflow) {
    for (const Family& family : kFamilies) {
        const RankFabric fabric = fabric_of(family.yaml, family.chips, 100e9);
        const auto made = packet_network(fabric, {family.chips, 1});
        const double pair = 400e3;
        AllToAllSpec walks;
        walks.walks = 20;
        const auto traffic = all_to_all(uniform_matrix(family.chips, Bytes(pair)), walks);
        PacketSettings settings;
        settings.packet_header = Bytes(0);
        settings.endpoint.path_choice = made.endpoint_choice;
        settings.endpoint.lookahead = family.chips;
        const double expected =
            terms_of(fabric.scale_up_links->stack(), Collective::all_to_all, Algorithm::direct)
                .seconds_per_byte *
            pair * family.chips;
        const Seconds coflow = coflow_time(made.network, traffic, settings);
        EXPECT_NEAR(coflow.value() / expected, 1, 1e-6) << family.name;
        const Seconds packets = run_packets(made.network, traffic, settings).time;
        std::printf("  %s: packets %.4f of the coflow\n", family.name, packets / coflow);
        EXPECT_GE(packets / coflow, 1 - 1e-9) << family.name;
        EXPECT_LE(packets / coflow, family.within) << family.name;
    }
}

// A half dead plane of seven, a dead link of a torus: nothing is sent over what is gone.
TEST(PacketTopology, Faults) {
    const RankFabric dead =
        fabric_of("family: switched-planes\nfaults: [{plane: 3}, {plane: 4, capacity: 0.5}]\n", 8,
                  70e9, 1, 7);
    const auto traffic = all_to_all(uniform_matrix(8, Bytes(1e6)));
    PacketSettings settings;
    settings.packet_header = Bytes(0);
    settings.endpoint.lookahead = 8;
    const auto planes = packet_network(dead, {8, 1});
    EXPECT_NEAR(coflow_time(planes.network, traffic, settings).value(), 7e6 / 55e9, 1e-9);
    EXPECT_NEAR(run_packets(planes.network, traffic, settings).time.value() * 55e9 / 7e6, 1, 0.03);
    const RankFabric ring =
        fabric_of("family: torus\ndimensions: [6]\nfaults: [{link: [chip0, chip1]}]\n", 6, 20e9);
    const auto line = packet_network(ring, {6, 1});
    EXPECT_EQ(packet_hops(line.network, {message(0, 1, 1)}, Bytes(1)), 5 + 2);
}

// Buffers of one packet: on rings the dateline ends the circle, and in the next dimension packets
// begin in the first lane again. Without, five senders of two hops each wait for each other.
TEST(PacketTopology, NoCircleOfBuffers) {
    PacketFabricSpec spec;
    spec.switches.input_buffer = Bytes(1000);
    for (const char* yaml :
         {"family: torus\ndimensions: [5]\n", "family: torus\ndimensions: [5, 5]\n",
          "family: torus\ndimensions: [3, 4, 3]\n", "family: full-mesh\ndimensions: [3, 3]\n",
          "family: dragonfly\nrouters_per_group: 3\nchips_per_router: 1\nglobal_links: 1\n"}) {
        const TopologySpec read_spec =
            read<TopologySpec>(parse_yaml(yaml, "topology.yaml"), "topology");
        int chips = read_spec.level.family == "dragonfly" ? 12 : 1;
        for (const long n : read_spec.level.dimensions) chips *= static_cast<int>(n);
        auto made = packet_network(fabric_of(yaml, chips, 10e9), {chips, 1}, spec);
        const auto traffic = all_to_all(uniform_matrix(chips, Bytes(20000)));
        PacketSettings settings = plain_packets();
        settings.endpoint.path_choice = made.endpoint_choice;
        EXPECT_NO_THROW(run_packets(made.network, traffic, settings)) << yaml;
        if (chips != 5) continue;
        for (PacketLink& link : made.network.links) link.dateline = false;
        EXPECT_THROW(run_packets(made.network, traffic, settings), PacketStandstill);
    }
}

TEST(PacketTopology, Refused) {
    const auto refused = [](const RankFabric& fabric, const PacketMembers& members) {
        try {
            (void)packet_network(fabric, members);
        } catch (const std::invalid_argument& error) {
            return std::string(error.what());
        }
        return std::string();
    };
    const RankFabric ring = fabric_of("family: torus\ndimensions: [6]\n", 6, 20e9);
    EXPECT_THAT(refused(ring, {8, 1}), testing::HasSubstr("no route from rank0 to rank6"));
    EXPECT_THAT(refused(ring, {1, 1}), testing::HasSubstr("two ranks"));
}

// The longest chain of messages that wait for each other: three steps of a ring of two links.
TEST(PacketTopology, ChainByHand) {
    const auto network = switched_planes(3, 1, plain_port(), plain_switch());
    PacketTraffic traffic = ring_all_reduce(3, Bytes(300));
    EXPECT_NEAR(in_nanoseconds(chain_latency(network, traffic)), 4 * 250, 1e-6);
    traffic.back().after = {static_cast<int>(traffic.size()) - 1};
    EXPECT_THROW(chain_latency(network, traffic), std::invalid_argument);
}

}  // namespace
}  // namespace podsim
