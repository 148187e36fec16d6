// A step whose attention and feed-forward blocks run on pools of their own: micro-batches go to and
// fro between the two, layer after layer, so that one pool works on one of them while the other has
// another.
//
// Four servers take the micro-batches in turn: the attention pool, the ports on the way there, the
// feed-forward pool (with stages the one that holds the layer), the ports on the way back. With
// equal times a, t, f, b a layer, latencies in t and b, and m micro-batches
//
//   layer = max(m a, m f, m wire, a + t + f + b)
//   step  = a + t + f + b + (m L - 1) max(a, f)     where that is m a or m f
//
// (MegaScale-Infer, arXiv 2504.02263, equations 3 to 6). What is between the pools' last layer and
// the next step, sampling and scheduling, is not overlapped: every step begins with both pools
// empty.
#pragma once

#include <vector>

#include "base/units.hpp"

namespace podsim {

// One layer of one micro-batch. Wires: time on the fullest port.
struct PingPongLayer {
    Seconds attention{0.0}, wire_there{0.0}, feed_forward{0.0}, wire_back{0.0};
    Seconds sum{0.0};  // on the attention pool, of what came back, before the next layer
    int stage = 0;     // of the feed-forward pool
};

struct PingPongBatch {
    Seconds enter{0.0},
        leave{0.0};  // on the attention pool: before the first layer, after the last
    std::vector<PingPongLayer> layers;
};

struct PingPongTimes {
    Seconds end{0.0};
    Seconds attention{0.0}, feed_forward{0.0};  // at work; of the stages the mean
    Seconds wire_there{0.0}, wire_back{0.0};
};

// All batches have as many layers; `latency` is of each way, beside its wire.
PingPongTimes ping_pong(const std::vector<PingPongBatch>& batches, Seconds latency);

}  // namespace podsim
