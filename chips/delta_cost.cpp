// Decode streams the state in and out and works on the vector units:
//
//   t = launch + |work / (vector peak x efficiency), bytes / (HBM x efficiency) + ramp|_p
//
// Prefill cuts each sequence into chunks of C = 64 tokens (the chunked form of arXiv 2412.06464, as
// flash-linear-attention's kernels do it). For each chunk and value head, with key size k and value
// size v:
//
//   products = 2 C^2 (3 k + 2 v) + 6 C k v        K K', W, U, Q K', scores x values; W S, K' V, Q S
//   bytes    = 4 k v of the state between chunks, written and read in 16 bits, and for each token
//              of it 4 (k + 2 v) of W, U and the corrected values, 12 C of the C x C matrix
//              (written in FP32, read, inverted into 16 bits, read)
//
// beside the operands once. The state walks through the chunks of a sequence one after another, in
// slices of 64 values that are pieces of their own:
//
//   core = ceil(batch heads ceil(v / 64) / cores) chunks (products of a slice / (peak per core x
//          efficiency) + chunk latency)
//   t    = launch + |core, bytes / (HBM x efficiency) + ramp|_p
#include "chips/delta_cost.hpp"

#include <algorithm>
#include <cmath>

#include "chips/gemm_cost.hpp"

namespace podsim {

namespace {

constexpr double kChunk = 64.0, kSlice = 64.0;

double real(long count) {
    return static_cast<double>(count);
}

double chunks_of(const DeltaRule& d) {
    return std::ceil(real(d.query) / kChunk);
}

Bytes between_kernels(const DeltaRule& d) {
    const double k = real(d.key_dim), v = real(d.value_dim);
    const double chunk = 4 * k * v;
    const double token = 4 * (k + 2 * v) + 12 * kChunk;
    return Bytes(real(d.batch) * real(d.value_heads) *
                 (chunks_of(d) * chunk + real(d.query) * token));
}

// Products of one chunk of one head; where the chunked form would do less than the recurrence it
// stands for, as much as that.
Flops chunk_products(const DeltaRule& d) {
    const double k = real(d.key_dim), v = real(d.value_dim);
    const double chunked = 2 * kChunk * kChunk * (3 * k + 2 * v) + 6 * kChunk * k * v;
    return Flops(std::max(chunked, 7 * k * v * kChunk));
}

}  // namespace

OperatorCost delta_cost(const DeltaRule& d, const RankHardware& hardware, const DeltaHabits& habits,
                        double p, Fidelity fidelity, double core_share) {
    const FlopsPerSecond peak = peak_for(hardware, d.compute);
    const long cores = usable_cores(hardware, core_share);
    const double all_cores = real(hardware.matrix_cores), share = real(cores) / all_cores;
    const bool prefill = d.phase == Phase::prefill, tile = fidelity == Fidelity::tile;

    OperatorCost cost;
    cost.launch = habits.launch;
    cost.matrix = matrix_work_of(d) / peak;
    cost.vector = (work_of(d) - matrix_work_of(d)) / hardware.peak_vector;
    cost.hbm = compulsory_bytes_of(d);
    if (prefill && tile) cost.hbm += between_kernels(d);
    cost.hbm_time = cost.hbm / (hardware.hbm_bandwidth * habits.memory_efficiency);
    cost.basis = habits.record.basis;
    cost.held_out_error = habits.record.held_out_error;
    const Seconds core = max(cost.matrix / (habits.matrix_efficiency * share),
                             cost.vector / (habits.vector_efficiency * share));
    if (!tile) {
        cost.time = habits.launch + max(core, cost.hbm_time);
        cost.choice = "roofline";
        return cost;
    }
    const Seconds stream = cost.hbm_time + stream_ramp(cost.hbm, habits.ramp, habits.ramp_bytes);
    if (!prefill) {
        cost.time = habits.launch + smooth_maximum(core, stream, p);
        cost.choice = "recurrent";
        return cost;
    }
    const double slices = std::ceil(real(d.value_dim) / kSlice);
    const double turns =
        std::ceil(real(d.batch) * real(d.value_heads) * slices / real(cores)) * chunks_of(d);
    const Seconds step =
        chunk_products(d) / slices / (peak / all_cores * habits.matrix_efficiency) +
        habits.chunk_latency;
    cost.time = habits.launch + smooth_maximum(turns * step, stream, p);
    cost.choice = "chunks of 64";
    return cost;
}

}  // namespace podsim
