// Queries are rows of `heads` against blocks of 64 keys; a scheduler deals out all blocks evenly,
// whichever query they are of (DeepGEMM's mqa_logits kernels):
//
//   blocks = ceil(mean entries / key block) key block / 64        queries = batch x query
//   span   = ceil(queries blocks / cores) + query overhead ceil(queries / cores)
//   block  = 2 d heads' 64 / (peak per core x matrix efficiency)
//            + 3 heads 64 / (vector peak per core x vector efficiency) + block latency
//   t      = launch + |span x block, bytes / (HBM x efficiency)|_p
//
// with heads' padded to the rows of a matrix instruction. The epilogue (relu, weight, sum over
// heads) waits for its own product, so the two add up. Keys cross memory once for each sequence:
// queries of a sequence share them in the last-level cache. Scores are written in FP32.
#include "chips/index_cost.hpp"

#include <cmath>

#include "chips/gemm_cost.hpp"

namespace podsim {

namespace {

constexpr double kKeys = 64.0;          // of a block
constexpr double kEpilogueFlops = 3.0;  // of a head and pair: relu, weight, sum

double real(long count) {
    return static_cast<double>(count);
}

}  // namespace

OperatorCost index_cost(const IndexScores& s, const RankHardware& hardware,
                        const IndexHabits& habits, double p, Fidelity fidelity, double core_share) {
    const FlopsPerSecond peak = peak_for(hardware, s.compute);
    const long cores = usable_cores(hardware, core_share);
    const double all_cores = real(hardware.matrix_cores), share = real(cores) / all_cores;

    OperatorCost cost;
    cost.launch = habits.launch;
    cost.matrix = matrix_work_of(s) / peak;
    cost.vector = (work_of(s) - matrix_work_of(s)) / hardware.peak_vector;
    cost.hbm = compulsory_bytes_of(s);
    cost.hbm_time = cost.hbm / (hardware.hbm_bandwidth * habits.memory_efficiency);
    cost.basis = habits.record.basis;
    cost.held_out_error = habits.record.held_out_error;
    if (fidelity == Fidelity::analytic) {
        cost.time = habits.launch + max(max(cost.matrix / (habits.matrix_efficiency * share),
                                            cost.vector / (habits.vector_efficiency * share)),
                                        cost.hbm_time);
        cost.choice = "roofline";
        return cost;
    }
    const double minimum = real(hardware.minimum_rows);
    const double rows = std::ceil(real(s.heads) / minimum) * minimum;
    const Seconds block = Flops(2.0 * real(s.head_dim) * rows * kKeys) /
                              (peak / all_cores * habits.matrix_efficiency) +
                          Flops(kEpilogueFlops * real(s.heads) * kKeys) /
                              (hardware.peak_vector / all_cores * habits.vector_efficiency) +
                          habits.block_latency;
    const double queries = real(s.batch) * real(s.query);
    const double entries = visible_pairs(s) / real(s.query);
    const double block_keys = real(habits.key_block);
    const double blocks = std::ceil(entries / block_keys) * block_keys / kKeys;
    const double span = std::ceil(queries * blocks / real(cores)) +
                        habits.query_overhead * std::ceil(queries / real(cores));
    cost.time = habits.launch + smooth_maximum(span * block, cost.hbm_time, p);
    cost.choice = "dealt blocks";
    return cost;
}

}  // namespace podsim
