// One step of serving a model whose attention and feed-forward blocks are on pools of their own:
// what each pool does in a layer for one micro-batch, as programs of that pool, what goes between
// them, what each holds. Weights and cache of attention, embedding, head and routers are on the
// one, experts and dense FFNs on the other, which sees tokens and no sequences.
//
//   attention pool                               feed-forward pool
//   attention, (reduce-scatter), router  --->    (all-gather) experts, shared expert
//   (reduce-scatter) sum of what comes back, (all-gather) <---
//
// A token goes straight to the ranks of its experts, and of the shared one, and its results come
// straight back: k + 1 rows each way, of a dense FFN one. On the feed-forward pool the ranks of a
// tensor-parallel group share the width of every expert and FFN: a row comes to one of them, is
// gathered there, and leaves as sums, an equal part on each. (Step-3, arXiv 2507.19427;
// MegaScale-Infer, arXiv 2504.02263.) How the parts follow each other: workloads/ping_pong.
#pragma once

#include <vector>

#include "workloads/step.hpp"

namespace podsim {

// Layers of one kind, and of one popularity of their experts, for one micro-batch.
struct DisaggregatedLayer {
    Program attention, sum;  // of the attention pool, the sum's without tasks where there is none
    Program feed_forward;    // of one stage of the other pool
    // A rank's, of the busiest: what it sends, or takes in, on each way.
    Bytes sent{0.0}, returned{0.0};  // of the attention pool: there, and what comes back
    Bytes received, sent_back;       // of the feed-forward pool
    double rows = 0;                 // of a rank of the attention pool, each way
    double imbalance = 1;            // of the experts' ranks
};

struct DisaggregatedStep {
    Program enter, leave;  // embedding; head and choice of the next token
    std::vector<DisaggregatedLayer> alike;
    std::vector<int> layers;  // of each layer its entry of `alike`
    std::vector<int> stages;  // of each layer the stage of the feed-forward pool
};

// The parts of both pools' steps: same model, phase, context, prompt. `attention` has a micro-batch
// in sequences_per_group, mapping.micro_batches does not count here; of `feed_forward` mapping,
// experts, precision and engine are asked.
struct DisaggregatedSpec {
    StepSpec attention, feed_forward;
};

// All that is wrong with it; `pool` says whose key it is.
struct DisaggregatedError {
    bool of_feed_forward = false;
    StepError error;
};
std::vector<DisaggregatedError> disaggregated_problems(const DisaggregatedSpec& spec);

// Throws StepError as those say.
DisaggregatedStep build_disaggregated(const DisaggregatedSpec& spec);

// What a rank of the attention pool holds with all its sequences (of `attention`, which here counts
// them all), and one of the fullest stage of the feed-forward pool while it works on one
// micro-batch.
MemoryNeed attention_memory(const DisaggregatedSpec& spec);
MemoryNeed feed_forward_memory(const DisaggregatedSpec& spec);

}  // namespace podsim
