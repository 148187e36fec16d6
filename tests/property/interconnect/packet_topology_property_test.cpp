// Networks of packets from topologies: whatever the fabric, the group and its buffers, everything
// arrives, nothing is faster than its fullest link, and links carry what routing.hpp puts on them.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "interconnect/packet_bound.hpp"
#include "interconnect/packet_run.hpp"
#include "interconnect/packet_topology.hpp"
#include "interconnect/routing.hpp"
#include "interconnect/topology_times.hpp"

namespace podsim {
namespace {

int any(int from, int to) {
    return *rc::gen::inRange(from, to + 1);
}

struct Scene {
    RankFabric fabric;
    int chips = 0;
};

// Two to thirty chips of any family, with one or two ranks each.
Scene any_fabric() {
    TopologySpec spec;
    TopologyLevelSpec& level = spec.level;
    long chips = 1, planes = 1;
    switch (any(0, 4)) {
        case 0:
            level.family = "torus";
            level.dimensions = {any(2, 6), any(1, 5)};
            break;
        case 1:
            level.family = "full-mesh";
            level.dimensions = {any(2, 5), any(1, 4)};
            break;
        case 2:
            level.family = "dragonfly";
            level.routers_per_group = any(1, 3);
            level.chips_per_router = any(1, 2);
            level.global_links = any(1, 2);
            chips = level.routers_per_group * level.chips_per_router *
                    any(2, static_cast<int>(level.routers_per_group * level.global_links) + 1);
            break;
        case 3:
            level.family = "fat-tree";
            level.node_chips = any(2, 5);
            level.second_tier = any(1, 3);
            level.oversubscription = any(1, 3);
            chips = any(2, 16);
            break;
        default:
            level.family = "switched-planes";
            level.node_chips = any(2, 6);
            level.second_tier = any(1, 3);
            planes = any(1, 3);
            chips = any(2, 16);
    }
    for (const long n : level.dimensions) chips *= n;
    level.electrical_latency = level.optical_latency = Seconds(any(0, 300) * 1e-9);
    level.switch_latency = Seconds(any(0, 100) * 1e-9);
    Scene scene;
    scene.chips = static_cast<int>(chips);
    scene.fabric.ranks_per_chip = any(1, 2);
    scene.fabric.domain_ranks = chips * scene.fabric.ranks_per_chip;
    scene.fabric.scale_up = BytesPerSecond(10e9);
    scene.fabric.scale_up_links = std::make_shared<const TopologyTimes>(
        build_topology(spec, chips, BytesPerSecond(10e9 * scene.fabric.ranks_per_chip), planes,
                       "topology"),
        false);
    return scene;
}

TEST(PacketTopologyProperty, EverythingArrives) {
    EXPECT_TRUE(rc::check("no buffers in a circle, no link above its rate", [] {
        const Scene scene = any_fabric();
        const int ranks = static_cast<int>(scene.fabric.domain_ranks);
        const int stride = any(1, std::max(1, ranks / 2));
        const int members = any(2, std::max(2, (ranks - 1) / stride + 1));
        RC_PRE((members - 1) * stride < ranks);
        PacketFabricSpec spec;
        spec.switches.input_buffer = Bytes(any(0, 1) * any(1010, 5000));
        spec.switches.queues =
            *rc::gen::element(SwitchQueues::shared_memory, SwitchQueues::virtual_output_queued);
        if (any(0, 1) == 1) spec.path_choice = PathChoice::hash_message;
        const TopologyNetwork made = packet_network(scene.fabric, {members, stride}, spec);
        RC_ASSERT(made.network.endpoints() == members);
        AllToAllSpec order;
        order.order = *rc::gen::element(SendOrder::rotated, SendOrder::same_for_all);
        const auto traffic = all_to_all(uniform_matrix(members, Bytes(any(1, 9000))), order);
        PacketSettings settings;
        settings.packet_payload = Bytes(1000);
        settings.packet_header = Bytes(10);
        settings.endpoint.path_choice = made.endpoint_choice;
        settings.endpoint.lookahead = any(1, 4);
        const PacketResult result = run_packets(made.network, traffic, settings);
        for (std::size_t l = 0; l < result.links.size(); ++l) {
            const Seconds busy = result.links[l].wire / made.network.links[l].bandwidth;
            RC_ASSERT(busy <= result.time + Seconds(1e-9));
        }
        RC_ASSERT(result.time >= path_latency(made.network, traffic) - Seconds(1e-11));
        RC_ASSERT(static_cast<double>(result.packet_hops) >=
                  packet_hops(made.network, traffic, settings.packet_payload) - 0.5);
    }));
}

}  // namespace
}  // namespace podsim
