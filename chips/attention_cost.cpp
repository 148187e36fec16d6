// A piece of work is `row_block` query rows (heads that share a KV head, times query tokens) of one
// sequence against blocks of 64 keys. Kernels cut the keys of long sequences into s splits so that
// every core has work, and pay a fixed number of block times for each piece:
//
//   pieces = batch x kv_heads x ceil(rows / row_block)      blocks = ceil(keys / 64)
//   span   = least over s = 1, 2, 4 .. 64 of ceil(pieces s / cores) (ceil(blocks / s) + overhead)
//   t_core = span x (2 (d_qk + d_v) TM 64 / (peak per core x efficiency) + block latency)
//   t_hbm  = bytes / (HBM x efficiency) + ramp
//   t      = launch + (t_core^p + t_hbm^p)^(1/p)
//
// with TM = row_block, or where all rows fit into one block, rows padded to the minimum of a matrix
// instruction: few heads leave the kernel bound by memory.
//
// In decode every query sees the context; causal prefill counts the mean of visible keys, as if
// long and short rows were dealt out evenly, and heads that share a KV head are pieces of their
// own. The launch includes the kernel that joins the splits. The exponentials are per score
// whatever the head size: they are in the block latency, or in the matrix efficiency where one head
// size alone was fitted.
#include "chips/attention_cost.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "chips/gemm_cost.hpp"

namespace podsim {

namespace {

constexpr double kKeyBlock = 64.0;
constexpr double kMostSplits = 64.0;

// Keys a query sees: all of them in decode, the causal mean in prefill.
double mean_keys(const Attention& a) {
    const double context = static_cast<double>(a.context);
    return a.phase == Phase::decode ? context
                                    : context - (static_cast<double>(a.query) - 1.0) / 2.0;
}

bool packs_heads(const Attention& a) {
    return a.phase == Phase::decode || a.form == AttentionForm::mla_absorbed;
}

// Query rows that one piece may be cut from: heads of a KV head, times new tokens; in the prefill
// of grouped heads those of one head.
double rows_of(const Attention& a) {
    if (!packs_heads(a)) return static_cast<double>(a.query);
    return static_cast<double>(a.heads * a.query) / static_cast<double>(a.kv_heads);
}

// Rows of one block as the matrix unit counts them.
double padded_rows(const Attention& a, const AttentionHabits& habits, long minimum_rows) {
    const double block = static_cast<double>(habits.row_block);
    const double minimum = static_cast<double>(minimum_rows);
    if (rows_of(a) > block) return std::max(block, minimum);
    return std::min(std::max(block, minimum), std::ceil(rows_of(a) / minimum) * minimum);
}

// The span: how many block times the busiest core works.
double block_times(const Attention& a, const AttentionHabits& habits, long cores) {
    const double pieces = static_cast<double>(a.batch * (packs_heads(a) ? a.kv_heads : a.heads)) *
                          std::ceil(rows_of(a) / static_cast<double>(habits.row_block));
    const double blocks = std::ceil(mean_keys(a) / kKeyBlock);
    double span = std::numeric_limits<double>::infinity();
    // Up to the first split that leaves one block to a piece: a longer context never has a choice
    // that a shorter one lacks and gains by it.
    for (double splits = 1; splits <= kMostSplits && splits < 2 * blocks; splits *= 2) {
        const double turns = std::ceil(pieces * splits / static_cast<double>(cores));
        span = std::min(span, turns * (std::ceil(blocks / splits) + habits.split_overhead));
    }
    return span;
}

}  // namespace

OperatorCost attention_cost(const Attention& a, const RankHardware& hardware,
                            const KernelLibrarySpec& library, Fidelity fidelity,
                            double core_share) {
    const AttentionHabits& habits = attention_habits(library, a);
    const FlopsPerSecond peak = peak_for(hardware, a.compute);
    const long cores = usable_cores(hardware, core_share);
    const double share = static_cast<double>(cores) / static_cast<double>(hardware.matrix_cores);
    const BytesPerSecond memory = hardware.hbm_bandwidth * habits.memory_efficiency;

    OperatorCost cost;
    cost.launch = habits.launch;
    cost.matrix = work_of(a) / peak;
    cost.hbm = compulsory_bytes_of(a);
    cost.hbm_time = cost.hbm / memory;
    cost.basis = habits.record.basis;
    cost.held_out_error = habits.record.held_out_error;
    if (fidelity == Fidelity::analytic) {
        cost.time =
            habits.launch + max(cost.matrix / (habits.matrix_efficiency * share), cost.hbm_time);
        cost.choice = "roofline";
        return cost;
    }

    const Seconds per_block =
        Flops(2.0 * static_cast<double>(a.head_dim_qk + a.head_dim_v) *
              padded_rows(a, habits, hardware.minimum_rows) * kKeyBlock) /
            (peak / static_cast<double>(hardware.matrix_cores) * habits.matrix_efficiency) +
        habits.block_latency;
    const Seconds stream = cost.hbm_time + stream_ramp(cost.hbm, habits.ramp, habits.ramp_bytes);
    cost.time = habits.launch + smooth_maximum(block_times(a, habits, cores) * per_block, stream,
                                               library.smooth_maximum);
    cost.choice = "split keys";
    return cost;
}

}  // namespace podsim
