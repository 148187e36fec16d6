// What no schedule of packets goes below, and what a coflow says of the same messages: bytes on
// each link, the fullest link's time, a latency.
#pragma once

#include <vector>

#include "interconnect/packet_run.hpp"
#include "interconnect/shared_coflows.hpp"

namespace podsim {

// Bytes, headers included, that the messages put on each link. Where several links lead on, packets
// take them evenly, or by bandwidth where the free port or the shortest queue takes the next.
// Messages of one `collective` alone where it is not below 0.
std::vector<Bytes> link_demands(const PacketNetworkSpec& network, const PacketTraffic& traffic,
                                const PacketSettings& settings, int collective = -1);

// Of links and switches on the way, the longest of all pairs that send: what a coflow pays beside
// its bytes.
Seconds path_latency(const PacketNetworkSpec& network, const PacketTraffic& traffic);

// The same of messages that wait for each other, one after the other: when the last would be there
// if none had a byte. Messages stand behind those that they wait for.
Seconds chain_latency(const PacketNetworkSpec& network, const PacketTraffic& traffic);

// The messages of one collective as a coflow of one class, and the links that it runs on, for
// several at a time (interconnect/shared_coflows).
SharedCoflow coflow_of(const PacketNetworkSpec& network, const PacketTraffic& traffic,
                       const PacketSettings& settings, int collective);
std::vector<BytesPerSecond> links_of(const PacketNetworkSpec& network);

// T = latency + max over links of bytes / bandwidth.
Seconds coflow_time(const PacketNetworkSpec& network, const PacketTraffic& traffic,
                    const PacketSettings& settings);

// The same where the order of messages counts: each is a coflow of its own that enters when its
// sender's ports have taken those before it, and shares its links with whatever is under way. In
// one walk over the destinations senders of an oversubscribed leaf leave its uplinks idle while
// they all send within it, which coflow_time, whose bytes cross at any time, does not see. A flow
// for each message: for tens of ranks, not for thousands. Left out: buffers that hold a sender up,
// `after`.
Seconds walk_time(const PacketNetworkSpec& network, const PacketTraffic& traffic,
                  const PacketSettings& settings);

}  // namespace podsim
