// One collective packet by packet, or several at a time, at `--fidelity cycle`.
//
// Packets stand for what ports and links take for the bytes; the latency in front and what else a
// library adds to the wire stay its habits, as at tile. Links run at the share of their bandwidth
// that the library attains.
//
//   wire = packets' time - (latency of the longest chain of messages) + the habits' own part
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "interconnect/coflow.hpp"
#include "interconnect/packet_run.hpp"
#include "sim/packet_knobs.hpp"

namespace podsim {

// Packets times links of a run, above which a transfer stays as at tile: some 20 s of a core.
inline constexpr double kMostPacketHops = 6e7;
inline constexpr double kMostMessages = 4e6;  // some 600 MB of them

// Of several at a time what packets met is of all of them together.
struct PacketCollectiveRun {
    std::string stays;  // why it is not run; "" where it is
    std::string algorithm;
    std::vector<Seconds> wire;  // of each share of the coflow
    Seconds time{0.0};          // from its start to its last delivery
    // Of the same bytes on the same links: the longest chain's latency and the fullest link, one
    // after the other or, of pieces that follow each other, the longer of the two.
    Seconds coflow{0.0};
    PacketLatency latency;
    Bytes deepest_queue{0.0};
    double packet_hops = 0, packets = 0, retries = 0;
    double marked = 0, fullest_link = 0;  // shares: of packets, of the time
};

// A collective of ranks first_rank + i x stride that begins at `start`.
struct PacketJob {
    const Transfer& transfer;
    const Coflow& coflow;
    int first_rank = 0;
    Seconds start{0.0};
};

// All of them on one network; where one stays as it is all do, since they share links. Where the
// library attains different shares of the links, they run at the greatest and the others send as
// much more. Throws PacketStandstill: packets that wait for each other in a circle.
std::vector<PacketCollectiveRun> run_packet_collectives(const std::vector<PacketJob>& jobs,
                                                        const RankFabric& fabric,
                                                        const CollectiveLibrarySpec& library,
                                                        const PacketKnobs& knobs,
                                                        const ExpertsSpec& experts,
                                                        std::uint64_t seed);

// The coflow with the packets' wire; as it is where none were run.
void take_wire(const PacketCollectiveRun& run, Coflow& coflow);

}  // namespace podsim
