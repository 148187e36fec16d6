// Runs messages over a network packet by packet, on SystemC (interconnect/packet). This header
// knows nothing of SystemC: plain data in, plain data out.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <vector>

#include "base/units.hpp"
#include "interconnect/packet_network.hpp"
#include "interconnect/packet_settings.hpp"
#include "interconnect/packet_traffic.hpp"

namespace podsim {

// Which waiting source gets credits that return to the pool of a destination: who has waited
// longest, or whose number is lowest.
enum class CreditGrant { first_come, lowest_source };

struct PacketEndpointSpec {
    PathChoice path_choice = PathChoice::least_queued;
    SourceQueues queues = SourceQueues::one;
    // How many messages of one queue a source looks at for one that may go: 1 is a plain queue,
    // whose head holds up the rest.
    int lookahead = 1;
    // For packets in flight to an endpoint, shared by all senders: taken before a packet leaves
    // its source, back there `pool_return` after it is delivered. 0: without end.
    Bytes pool{0.0};
    Seconds pool_return{0.0};
    CreditGrant grant = CreditGrant::first_come;
    Bytes input_buffer{0.0};  // of each port and virtual channel; 0: without end, no credits
    // Requests wait, and hold up what is behind them on their channel, while so many responses
    // have not left the endpoint. 0: without end.
    int response_limit = 0;
    Seconds handling{0.0};  // from a message's delivery to the start of what waits for it
    CongestionControlSpec congestion;
};

struct PacketSettings {
    Bytes packet_payload{4096.0};
    Bytes packet_header{24.0};
    // Else both classes share one channel, and a protocol may lock itself up.
    bool separate_classes = true;
    PacketEndpointSpec endpoint;
    std::uint64_t seed = 1;  // of bit errors and hashes
    // The kernel's clock may lag behind the network's by so much; results do not depend on it.
    Seconds quantum{1e-6};
};

struct PacketLatency {
    std::uint64_t packets = 0;
    Seconds least{0.0}, mean{0.0}, median{0.0}, percentile_99{0.0}, most{0.0};
};

struct PacketLinkUse {
    Bytes payload{0.0}, wire{0.0};  // delivered; replayed bytes apart
    Bytes replayed{0.0};
    std::uint64_t packets = 0, retries = 0;
    Bytes deepest_queue{0.0};  // waiting for this link, payload and headers
};

struct PacketResult {
    Seconds time{0.0};                                       // of the last delivery
    std::vector<Seconds> endpoints;                          // last delivery to each endpoint
    std::vector<Seconds> collectives;                        // last delivery of each collective
    std::vector<std::vector<Seconds>> collective_endpoints;  // [collective][endpoint]
    std::vector<Seconds> messages;                           // delivery of each message
    std::vector<PacketLinkUse> links;
    std::vector<std::uint64_t> injected, delivered;  // packets of each virtual channel
    Bytes payload{0.0};
    std::uint64_t packets = 0, packet_hops = 0, marked = 0, events = 0;
    Bytes credits_returned{0.0};
    PacketLatency latency;  // of packets, from leaving their source to delivery
};

// Packets that wait for each other: who for whom.
class PacketStandstill : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Throws std::invalid_argument (bad network, settings or traffic; no route: names the pair),
// PacketStandstill and std::runtime_error: a law of conservation broken: packets injected =
// delivered on each channel, bytes alike, credits back to what they were at first.
PacketResult run_packets(const PacketNetworkSpec& network, const PacketTraffic& traffic,
                         const PacketSettings& settings = {});

}  // namespace podsim
