// How few replicas can carry a traffic, in closed form. A replica reads prompts and writes answers
// no faster than its best step does, and no sequence is in a batch whose step breaks its promise:
//
//   reading  = tokens to compute / max over q of q / P(q, m)
//   writing  = tokens to write   / max over b of b g / D(b, c)
//              with D(b, c) / g <= the promised time, b <= max_num_seqs, b c <= tokens of KV cache
//   replicas >= max(reading, writing) / time that the traffic leaves
//
// q tokens of prompts that see m tokens each, b sequences of c cached tokens, g tokens a step. One
// replica does both in the same step, so that the two do not add up.
#pragma once

#include <string>

#include "sim/serving_demand.hpp"
#include "sim/step_table.hpp"

namespace podsim {

// One replica, as the bound sees it.
struct BoundReplica {
    PoolRole role = PoolRole::serve;
    SchedulerKnobs knobs;  // of the replica: of all its data-parallel groups
    long kv_blocks = 0;
    double tokens_per_step = 1;
    long groups = 1;  // data-parallel ones, one of which reads a prompt
};

struct ServingBound {
    double reading = 0, writing = 0;       // replicas, not rounded
    double read_rate = 0, write_rate = 0;  // tokens a second of a replica at its best step
    double batch = 0;                      // of the best step that writes
    std::string limit;                     // of that batch: tpot, KV room, max_num_seqs
    int replicas = 1;                      // at least
    int likely = 1;                        // that do both one after the other
    // Of the share `good` of requests, each served alone: what it takes at best.
    double first_token_alone = 0, each_token_alone = 0;  // seconds
    double kept_alone = 1;                               // share whose promises are kept so
};

ServingBound serving_bound(const ServingDemand& demand, const BoundReplica& replica, double good,
                           StepTable& table);

}  // namespace podsim
