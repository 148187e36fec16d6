// How chains of steps become messages that wait for each other.
#pragma once

#include <cstddef>
#include <vector>

#include "interconnect/packet_traffic.hpp"

namespace podsim::packet_collectives {

struct Send {
    int from, to;
    double bytes;
    bool is_waited_for = false;  // by its sender too, before it goes on
};
using Step = std::vector<Send>;
using Chain = std::vector<Step>;

// Chains wait for nothing of each other; or the first step of each waits for what came to its
// senders in the first `steps` steps of the chain `behind` places before it, so that the pieces of
// a pipeline do not all stand in its first stage.
// A chain that is forked begins with what came in the first `steps` steps of chain `from` instead.
// In the steps of `joins`, which chains have at the same time, a sender waits for what came to it
// in all chains.
struct Fork {
    std::size_t from = 0, steps = 0;  // of an earlier chain; 0 steps: it waits for nothing
};
struct Pipeline {
    std::size_t behind = 0, steps = 0;
    std::vector<std::size_t> joins = {};
    std::vector<Fork> forks = {};  // of each chain; none: of no chain
};

// Messages of chains of steps: those of one chain wait for those of its step before.
PacketTraffic messages_of(const std::vector<Chain>& chains, const Pipeline& pipeline, int ranks,
                          int collective);

}  // namespace podsim::packet_collectives
