// What holds for every network, order and choice: conservation (run_packets() throws otherwise),
// bounds, monotony, determinism.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>

#include "interconnect/packet_bound.hpp"
#include "interconnect/packet_builders.hpp"
#include "interconnect/packet_run.hpp"

namespace podsim {
namespace {

// Links and latencies are in whole picoseconds, each link's row of packets with them.
const Seconds rounding{10e-12};

int any(int from, int to) {
    return *rc::gen::inRange(from, to + 1);
}

PacketPortSpec any_port() {
    return {BytesPerSecond(any(1, 200) * 1e9), Seconds(any(0, 500) * 1e-9), 0.0};
}

PacketSwitchSpec any_switch() {
    PacketSwitchSpec spec;
    spec.queues = *rc::gen::element(SwitchQueues::input_queued, SwitchQueues::virtual_output_queued,
                                    SwitchQueues::shared_memory);
    spec.arbitration =
        *rc::gen::element(SwitchArbitration::round_robin, SwitchArbitration::oldest_first);
    spec.forwarding =
        *rc::gen::element(PacketForwarding::store_and_forward, PacketForwarding::cut_through);
    spec.path_choice = *rc::gen::element(PathChoice::hash_message, PathChoice::round_robin,
                                         PathChoice::least_queued);
    spec.latency = Seconds(any(0, 300) * 1e-9);
    spec.input_buffer = Bytes(any(0, 1) * any(4000, 40000));
    return spec;
}

// Every builder.
PacketNetworkSpec any_network(int endpoints, const PacketPortSpec& port,
                              const PacketSwitchSpec& spec) {
    switch (any(0, 3)) {
        case 0:
            return switched_planes(endpoints, any(1, 4), port, spec);
        case 1:
            return leaf_spine(endpoints, any(1, 4), any(1, 3), port, port, spec);
        case 2:
            return full_mesh(endpoints, port);
        default:
            return ring_of_routers(endpoints, port, spec);
    }
}

PacketSettings any_settings() {
    PacketSettings settings;
    settings.packet_payload = Bytes(any(100, 3000));
    settings.packet_header = Bytes(any(1, 60));
    PacketEndpointSpec& e = settings.endpoint;
    e.path_choice = *rc::gen::element(PathChoice::hash_message, PathChoice::round_robin,
                                      PathChoice::least_queued);
    e.lookahead = any(1, 10);
    e.pool = Bytes(any(0, 1) * any(4000, 40000));
    e.pool_return = Seconds(any(0, 500) * 1e-9);
    e.grant = *rc::gen::element(CreditGrant::first_come, CreditGrant::lowest_source);
    e.input_buffer = Bytes(any(0, 1) * any(4000, 40000));
    return settings;
}

PacketTraffic any_traffic(int endpoints) {
    AllToAllSpec spec;
    spec.order = *rc::gen::element(SendOrder::rotated, SendOrder::same_for_all, SendOrder::random);
    spec.walks = any(1, 3);
    ByteMatrix matrix = uniform_matrix(endpoints, Bytes(0.0));
    for (auto& row : matrix)
        for (double& bytes : row) bytes = any(0, 3) * any(0, 5000);
    matrix[0][1] = 1000;
    return all_to_all(matrix, spec);
}

// Nothing is faster than its bytes through the port of its source and the port of its destination,
// and each packet than its way. All that is sent arrives; links carry what routes say where there
// is no choice.
TEST(PacketProperty, BoundsAndConservation) {
    EXPECT_TRUE(rc::check([] {
        const int endpoints = any(3, 9);
        const PacketPortSpec port = any_port();
        const PacketNetworkSpec network = any_network(endpoints, port, any_switch());
        const PacketSettings settings = any_settings();
        const PacketTraffic traffic = any_traffic(endpoints);
        const PacketResult result = run_packets(network, traffic, settings);
        double payload = 0;
        for (const PacketMessage& m : traffic) payload += std::ceil(m.size.value());
        RC_ASSERT(result.payload.value() == payload);
        RC_ASSERT(result.injected == result.delivered);
        RC_ASSERT(result.latency.least.value() >= port.latency.value());
        for (std::size_t l = 0; l < network.links.size(); ++l) {
            const double busy = result.links[l].wire / network.links[l].bandwidth / seconds(1);
            RC_ASSERT(result.time + rounding >= seconds(busy));
        }
        const PacketResult again = run_packets(network, traffic, settings);
        RC_ASSERT(again.messages == result.messages);
        RC_ASSERT(again.events == result.events);
    }));
}

// Where a pair has one way, the links carry the demand of the coflow and the time is not below it.
TEST(PacketProperty, NeverBelowTheCoflow) {
    EXPECT_TRUE(rc::check([] {
        const int endpoints = any(3, 9);
        PacketNetworkSpec network = any(0, 1)
                                        ? switched_planes(endpoints, 1, any_port(), any_switch())
                                        : full_mesh(endpoints, any_port());
        const PacketSettings settings = any_settings();
        const PacketTraffic traffic = any_traffic(endpoints);
        const PacketResult result = run_packets(network, traffic, settings);
        const std::vector<Bytes> demands = link_demands(network, traffic, settings);
        Seconds longest(0.0);
        for (std::size_t l = 0; l < demands.size(); ++l) {
            RC_ASSERT(std::abs(demands[l].value() - result.links[l].wire.value()) <
                      0.01 * demands[l].value() + 200);
            longest = max(longest, result.links[l].wire / network.links[l].bandwidth);
        }
        RC_ASSERT(result.time + rounding >= longest + path_latency(network, traffic));
    }));
}

// One sender and one receiver: more bandwidth, more credits, less latency are never worse.
TEST(PacketProperty, MonotoneForOnePair) {
    EXPECT_TRUE(rc::check([] {
        PacketPortSpec port = any_port();
        PacketSwitchSpec spec = any_switch();
        PacketSettings settings = any_settings();
        settings.endpoint.pool = Bytes(4000 + any(0, 40000));
        spec.input_buffer = Bytes(4000 + any(0, 40000));
        PacketMessage message;
        message.destination = 1;
        message.size = Bytes(any(1, 100000));
        const auto time = [&] {
            return run_packets(switched_planes(2, 1, port, spec), {message}, settings).time;
        };
        const Seconds before = time();
        switch (any(0, 3)) {
            case 0:
                port.bandwidth *= 1.0 + any(0, 10);
                break;
            case 1:
                settings.endpoint.pool *= 1.0 + any(0, 10);
                break;
            case 2:
                spec.input_buffer *= 1.0 + any(0, 10);
                break;
            default:
                port.latency *= 0.1 * any(0, 10);
                break;
        }
        RC_ASSERT(time() <= before + Seconds(2e-12 * 1100));  // a picosecond a packet of rounding
    }));
}

// Spoilt packets are sent again until they come: all arrive, none twice, later than without.
TEST(PacketProperty, ErrorsCostTimeAndNothingElse) {
    EXPECT_TRUE(rc::check([] {
        PacketPortSpec port = any_port();
        const PacketTraffic traffic = any_traffic(4);
        PacketSettings settings = any_settings();
        settings.endpoint.path_choice = PathChoice::round_robin;
        settings.seed = static_cast<std::uint64_t>(any(1, 1000));
        const PacketResult clean = run_packets(switched_planes(4, 1, port), traffic, settings);
        port.bit_error_rate = any(1, 100) * 1e-7;
        const PacketResult noisy = run_packets(switched_planes(4, 1, port), traffic, settings);
        RC_ASSERT(noisy.delivered == clean.delivered);
        RC_ASSERT(noisy.packet_hops == clean.packet_hops);
        std::uint64_t retries = 0;
        for (const PacketLinkUse& link : noisy.links) retries += link.retries;
        RC_ASSERT(retries > 0 || noisy.messages == clean.messages);
    }));
}

}  // namespace
}  // namespace podsim
