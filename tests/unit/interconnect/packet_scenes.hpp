// Networks and messages with round numbers: 1 GB/s (a byte a nanosecond), packets of 1,000 bytes
// of which 0 are header unless a test says so, links of 100 ns, switches of 50 ns.
#pragma once

#include "interconnect/packet_builders.hpp"
#include "interconnect/packet_run.hpp"

namespace podsim {

inline Seconds nanoseconds(double n) {
    return Seconds(n * 1e-9);
}
inline double in_nanoseconds(Seconds t) {
    return t.value() * 1e9;
}

inline PacketPortSpec plain_port() {
    return {BytesPerSecond(1e9), nanoseconds(100), 0.0};
}

inline PacketSwitchSpec plain_switch() {
    PacketSwitchSpec spec;
    spec.latency = nanoseconds(50);
    return spec;
}

inline PacketSettings plain_packets() {
    PacketSettings settings;
    settings.packet_payload = Bytes(1000);
    settings.packet_header = Bytes(0);
    settings.quantum = Seconds(0.0);
    return settings;
}

inline PacketMessage message(int source, int destination, double bytes) {
    PacketMessage it;
    it.source = source;
    it.destination = destination;
    it.size = Bytes(bytes);
    return it;
}

// The exchange of reference/modelling.md 4.1: ports of 196 GB/s, 1.2 us over two links and a
// switch, 128 tokens of each rank to 8 experts of 7,680 B.
inline PacketNetworkSpec dispatch_network(int ranks, int planes = 1) {
    PacketSwitchSpec spec;
    spec.latency = microseconds(0.4);
    return switched_planes(ranks, planes, {BytesPerSecond(196e9 / planes), microseconds(0.4), 0.0},
                           spec);
}

// 256 experts, at random on the ranks, as DeepSeek-R1 has them.
inline TokenMatrixSpec dispatch_tokens(int ranks, double zipf = 0, std::uint64_t placement = 1) {
    TokenMatrixSpec spec;
    spec.ranks = ranks;
    spec.experts = ranks <= 256 ? 256 : ranks;
    spec.zipf = zipf;
    spec.placement = placement;
    return spec;
}

}  // namespace podsim
