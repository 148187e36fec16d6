// The knobs of packets that an experiment turns: plain words and numbers, without the network and
// the messages that they are of (packet_network.hpp, packet_traffic.hpp, packet_run.hpp).
#pragma once

#include "base/units.hpp"

namespace podsim {

// Where packets wait in a switch: one row for each input (the head of which holds up the rest), or
// a row for each input and output. One packet leaves an input at a time; of a shared memory any
// number.
enum class SwitchQueues { input_queued, virtual_output_queued, shared_memory };

// Which of the inputs that want an output is next: in turn; whose packet has waited longest; in
// turn those from other switches before those from endpoints.
enum class SwitchArbitration { round_robin, oldest_first, transit_first };

// Does a packet go on when it is here whole, or when its header is?
enum class PacketForwarding { store_and_forward, cut_through };

// Of several ways to a destination: one for each pair of endpoints, and piece of what they send, by
// a hash; one for each packet in turn; one for each packet by the shortest queue. (At an endpoint
// the last means: whichever port is free takes the next packet.)
enum class PathChoice { hash_message, round_robin, least_queued };

// In which order a sender walks its destinations: from the one after itself (rotated), all from
// 0 on (same_for_all), each in an order drawn for it (random).
enum class SendOrder { rotated, same_for_all, random };

// How messages of a source wait for a port: one after the other, or in a queue for each destination
// (and piece), of which each in turn sends a packet, as queue pairs do.
enum class SourceQueues { one, per_destination };

// Additive increase, multiplicative decrease by marked packets (as DCTCP, SIGCOMM 2010, and DCQCN,
// SIGCOMM 2015, but with one constant cut): a source's rate to a destination, as a share of its
// ports', is cut to (1 - cut) of itself by a mark, at most once an interval, and grows by `growth`
// an interval without one.
struct CongestionControlSpec {
    double cut = 0;  // 0: none
    double growth = 0.05;
    double lowest = 0.01;
    Seconds interval{5e-6};
    Seconds acknowledge{1e-6};  // from delivery to the source's knowledge of the mark
};

}  // namespace podsim
