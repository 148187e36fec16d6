// Modules on a bench of one's own: sockets bound by hand, without a network around them.
#include <gtest/gtest.h>

#include <vector>

#include "base/systemc.hpp"
#include "interconnect/packet/latency_histogram.hpp"
#include "interconnect/packet/link.hpp"
#include "interconnect/packet/number_set.hpp"
#include "interconnect/packet/packet_switch.hpp"
#include "tests/unit/interconnect/packet_scenes.hpp"

namespace podsim {
namespace {

// A source's port and a sink's, and one packet to send.
struct Bench : sc_core::sc_module, PortOwner, EventTarget {
    Bench(const sc_core::sc_module_name& name, PacketEngine& engine)
        : sc_module(name), out("out", engine, *this, 0), in("in", engine, *this, 0, 0) {
        packet.payload = packet.wire = 500;
        engine.at(0, *this);
    }
    void on_event(std::uint64_t) override { out.send(packet); }
    void transmit_ready(int, bool freed) override { frees += freed ? 1 : 0; }
    void packet_arrived(int, Packet& arrived) override { arrivals.push_back(arrived.arrived); }
    TransmitPort out;
    ReceivePort in;
    Packet packet;
    int frees = 0;
    std::vector<Picoseconds> arrivals;
};

// Source port, link of 1 B/ns and 100 ns, sink port: 500 B are there after 600 ns, and the port is
// free after 500.
TEST(PacketModules, ALinkAlone) {
    const SystemcSession session;
    PacketEngine engine("engine", 0);
    Bench bench("bench", engine);
    LinkParameters parameters;
    parameters.bytes_per_picosecond = 1e-3;
    parameters.latency = 100000;
    Link link("link", engine, parameters);
    bench.out.socket.bind(link.in);
    link.out.bind(bench.in.socket);
    sc_core::sc_start();
    EXPECT_EQ(engine.error(), nullptr);
    EXPECT_EQ(bench.arrivals, std::vector<Picoseconds>{600000});
    EXPECT_EQ(bench.frees, 1);
    EXPECT_EQ(link.statistics().payload, 500u);
    EXPECT_EQ(to_picoseconds(sc_core::sc_time_stamp()), 600000);
}

// A switch between two links, fed by hand: (500 + 100) + 50 + (500 + 100) ns, and its name.
TEST(PacketModules, ASwitchAlone) {
    const auto network = switched_planes(2, 1, plain_port(), plain_switch());
    const SystemcSession session;
    PacketEngine engine("engine", 0);
    const PacketRoutes routes(network);
    Bench bench("bench", engine);
    // The links of node 2, the switch: to endpoint 0 (1) and to endpoint 1 (3).
    PacketSwitch device("switch3", engine, routes, network.nodes[2].switch_spec, 2, 1, {-1, 3}, 1);
    LinkParameters parameters;
    parameters.bytes_per_picosecond = 1e-3;
    parameters.latency = 100000;
    Link first("first", engine, parameters), second("second", engine, parameters);
    bench.out.socket.bind(first.in);
    first.out.bind(device.input(0).socket);
    device.port(1).socket.bind(second.in);
    second.out.bind(bench.in.socket);
    EXPECT_STREQ(device.port(1).socket.name(), "switch3.port1");
    bench.packet.destination = 1;
    sc_core::sc_start();
    EXPECT_EQ(engine.error(), nullptr);
    EXPECT_EQ(bench.arrivals, std::vector<Picoseconds>{1250000});
    EXPECT_TRUE(device.empty());
    EXPECT_EQ(device.deepest(1), 500);
}

TEST(NumberSetTest, NextInBothGoesAround) {
    NumberSet a(130), b(130);
    for (const int n : {3, 64, 129}) a.insert(n);
    for (const int n : {3, 129}) b.insert(n);
    EXPECT_EQ(NumberSet::next_in_both(a, b, 0), 3);
    EXPECT_EQ(NumberSet::next_in_both(a, b, 4), 129);
    EXPECT_EQ(NumberSet::next_in_both(a, b, 130), 3);
    EXPECT_EQ(NumberSet::next_in_both(a, a, 64), 64);
    b.erase(129);
    EXPECT_EQ(NumberSet::next_in_both(a, b, 4), 3);
    b.erase(3);
    EXPECT_EQ(NumberSet::next_in_both(a, b, 4), -1);
}

// 1, 2, ... 100,000: the ends and the mean are exact, percentiles to 1/64.
TEST(LatencyHistogramTest, PercentilesOfARow) {
    LatencyHistogram histogram;
    for (Picoseconds t = 1; t <= 100000; ++t) histogram.add(t);
    EXPECT_EQ(histogram.least(), 1);
    EXPECT_EQ(histogram.most(), 100000);
    EXPECT_DOUBLE_EQ(histogram.mean(), 50000.5);
    for (const double share : {0.001, 0.5, 0.99})
        EXPECT_NEAR(static_cast<double>(histogram.percentile(share)) / (share * 1e5), 1, 1.0 / 64);
    LatencyHistogram twice;
    twice.add(histogram);
    twice.add(histogram);
    EXPECT_EQ(twice.count(), 200000u);
    EXPECT_EQ(twice.percentile(0.5), histogram.percentile(0.5));
}

}  // namespace
}  // namespace podsim
