#include "chips/gemm_first_wave.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace podsim {

namespace {

// A's or B's bursts.
struct Operand {
    double each, bytes;        // of a burst, of all
    double fetched;            // of all cores, for a byte of this one's
    double pass, issue, turn;  // a burst's time at the port, to ask for it, at L2
    double last;               // block's way through the port
    double blocks = 0;         // bytes of whole blocks that the bursts before took
};

}  // namespace

double FirstWave::tile(const TileCost& cost, double slots, double missed) {
    for (const Known& known : known_) {
        if (known.cost == &cost && known.missed == missed) return known.seconds;
    }
    known_.push_back({&cost, missed, walk(cost, slots, missed)});
    return known_.back().seconds;
}

double FirstWave::walk(const TileCost& cost, double slots, double missed) const {
    const MemoryPath& path = core_.path;
    const auto steps = static_cast<std::size_t>(cost.steps);
    const double read = path.read * core_.clock;
    const double per_byte = (1 - missed) / read + missed / (path.memory_read * core_.clock);
    const double total = cost.a_bytes + cost.b_bytes;
    const auto operand = [&](double bytes, double fetched) {
        const double each = bytes / cost.steps;
        return Operand{each,
                       bytes,
                       fetched / bytes,
                       each * per_byte,
                       each / read,
                       l2_seconds / cost.steps * bytes / total,
                       std::min(each, kL2Block) / read};
    };
    Operand left = operand(cost.a_bytes, a_fetched), right = operand(cost.b_bytes, b_fetched);
    std::vector<double> freed(steps);
    double issue = 0, memory = 0, l2 = 0, port = 0, matrix = 0;
    const auto burst = [&](Operand& from, double next) {
        const double asked = issue;
        issue += from.issue;
        port = std::max(port, asked + l2_latency) + from.pass;
        l2 = std::max(l2, asked) + from.turn;
        if (from.fetched > 0) {
            const double end =
                std::min(from.bytes, std::ceil(next * from.each / kL2Block) * kL2Block);
            const double share = (end - from.blocks) * from.fetched;
            from.blocks = end;
            if (share > 0) {
                memory = std::max(memory, asked) + share / path.memory_rate;
                l2 = std::max(l2, memory + memory_latency);
                port = std::max(port, memory + memory_latency + l2_latency + from.last);
            }
        }
        port = std::max(port, l2 + l2_latency);
    };
    const auto ring = static_cast<std::size_t>(slots);
    for (std::size_t step = 0; step < steps; ++step) {
        if (step >= ring) issue = std::max(issue, freed[step - ring]);
        const double next = static_cast<double>(step + 1);
        burst(left, next);
        burst(right, next);
        const double busy =
            step + 1 < steps ? cost.step : cost.multiply - (cost.steps - 1) * cost.step;
        matrix = std::max(matrix, port) + busy + (step == 0 ? cost.start_up : 0);
        freed[step] = matrix;
    }
    return matrix;
}

}  // namespace podsim
