// Bound by memory; few tokens by the length of one token's streams:
//
//   bytes = operands once + (stream reads - 1) x the streams, on the way in
//   walk  = elements of a token's streams (in) or of one stream (out) / 64 x step latency
//   t     = launch + iterations x Sinkhorn iteration (in) + |walk, bytes / (HBM x efficiency)|_p
//
// The norm and the product with the mixing matrix need all streams before the weighted sum that the
// sub-layer reads can begin, so a kernel that does not keep them on chip reads them twice.
// Sinkhorn's normalisation of a few numbers is latency alone.
#include "chips/stream_cost.hpp"

#include "chips/gemm_cost.hpp"

namespace podsim {

OperatorCost stream_cost(const StreamMix& m, const RankHardware& hardware,
                         const StreamHabits& habits, double p, Fidelity fidelity,
                         double core_share) {
    const double share = static_cast<double>(usable_cores(hardware, core_share)) /
                         static_cast<double>(hardware.matrix_cores);
    const bool in = m.side == StreamSide::mix_in, tile = fidelity == Fidelity::tile;
    const double token = static_cast<double>(in ? m.streams * m.hidden : m.hidden);

    OperatorCost cost;
    cost.launch = habits.launch;
    cost.matrix = matrix_work_of(m) / peak_for(hardware, m.stream);
    cost.vector = (work_of(m) - matrix_work_of(m)) / hardware.peak_vector;
    cost.hbm = compulsory_bytes_of(m);
    if (in && tile) {
        cost.hbm += Bytes((habits.stream_reads - 1) * static_cast<double>(m.tokens) * token *
                          bytes_of(m.stream));
    }
    cost.hbm_time = cost.hbm / (hardware.hbm_bandwidth * habits.memory_efficiency);
    cost.basis = habits.record.basis;
    cost.held_out_error = habits.record.held_out_error;
    const Seconds stream = max(max(cost.matrix, cost.vector) / share, cost.hbm_time);
    cost.choice = tile ? "streams" : "roofline";
    cost.time = habits.launch;
    if (!tile) {
        cost.time += stream;
        return cost;
    }
    if (in) cost.time += static_cast<double>(m.iterations) * habits.iteration;
    cost.time += smooth_maximum(token / 64.0 * habits.step_latency, stream, p);
    return cost;
}

}  // namespace podsim
