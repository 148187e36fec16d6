#include "workloads/ping_pong.hpp"

#include <algorithm>

#include "base/at.hpp"

namespace podsim {

namespace {

// Takes one thing at a time, in the order in which it is asked.
struct Server {
    Seconds free{0.0}, busy{0.0};
    Seconds serve(Seconds ready, Seconds time) {
        free = max(free, ready) + time;
        busy += time;
        return free;
    }
};

}  // namespace

PingPongTimes ping_pong(const std::vector<PingPongBatch>& batches, Seconds latency) {
    PingPongTimes times;
    if (batches.empty()) return times;
    int stages = 1;
    for (const PingPongLayer& layer : batches.front().layers)
        stages = std::max(stages, layer.stage + 1);
    Server attention, there, back;
    std::vector<Server> feed_forward(static_cast<std::size_t>(stages));
    std::vector<Seconds> ready(batches.size(), Seconds(0.0));
    for (std::size_t l = 0; l < batches.front().layers.size(); ++l) {
        for (std::size_t b = 0; b < batches.size(); ++b) {
            const PingPongLayer& layer = batches[b].layers.at(l);
            const Seconds before = l == 0 ? batches[b].enter : batches[b].layers[l - 1].sum;
            Seconds now = attention.serve(ready[b], before + layer.attention);
            now = there.serve(now, layer.wire_there) + latency;
            now = at(feed_forward, layer.stage).serve(now, layer.feed_forward);
            ready[b] = back.serve(now, layer.wire_back) + latency;
        }
    }
    for (std::size_t b = 0; b < batches.size(); ++b) {
        const Seconds sum =
            batches[b].layers.empty() ? batches[b].enter : batches[b].layers.back().sum;
        times.end = max(times.end, attention.serve(ready[b], sum + batches[b].leave));
    }
    times.attention = attention.busy;
    for (const Server& stage : feed_forward)
        times.feed_forward += stage.busy / static_cast<double>(stages);
    times.wire_there = there.busy;
    times.wire_back = back.busy;
    return times;
}

}  // namespace podsim
