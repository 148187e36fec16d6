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
// own. Queries that read entries of their own (chosen, compressed or windowed latent attention) are
// pieces of their own: heads x batch x query of them in row blocks, each against the mean of its
// entries, as FlashMLA's sparse kernels do. What they gather comes from the last-level cache but
// for the entries that it cannot hold:
//
//   bytes = distinct + max(0, gathered - distinct) max(0, 1 - L2 / cached of all sequences)
//
// with distinct <= min(cached, query x selected) entries of a sequence. A sliding window over keys
// and values is shared by the rows of a block: window + tokens of the block - 1 keys. A sequence
// costs what the library needs to gather its cache. The launch includes the kernel that joins the
// splits. The exponentials are per score whatever the head size: they are in the block latency, or
// in the matrix efficiency where one head size alone was fitted.
#include "chips/attention_cost.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "chips/gemm_cost.hpp"

namespace podsim {

namespace {

constexpr double kKeyBlock = 64.0;
constexpr double kMostSplits = 64.0;

bool packs_heads(const Attention& a) {
    return a.phase == Phase::decode || a.form == AttentionForm::mla_absorbed;
}

// Query rows that one piece may be cut from: heads of a KV head, times new tokens; those of one
// token where each reads entries of its own; in the prefill of grouped heads those of one head.
double rows_of(const Attention& a) {
    if (reads_own_entries(a)) return static_cast<double>(a.heads / a.kv_heads);
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

// Keys that a piece is multiplied with: the mean of what its queries see. Rows of a block that see
// windows share the keys between them, at most what they would see without a window.
double keys_of(const Attention& a, const AttentionHabits& habits) {
    const double query = static_cast<double>(a.query);
    Attention seen = a;
    // Slots that nothing was chosen for are worked on like those that something was.
    if (habits.pads_selection && a.selected > 0)
        seen.context = std::max(a.context, a.selected * a.compression + a.query);
    const double mean = visible_pairs(seen) / query;
    if (a.window == 0 || packs_heads(a)) return mean;
    Attention whole = a;
    whole.compression = 1;
    whole.selected = whole.window = 0;
    const double shared = std::min(query, static_cast<double>(habits.row_block)) - 1;
    return std::max(mean, std::min(mean + shared, visible_pairs(whole) / query));
}

// Bytes that cross memory: each entry once, and again what the last-level cache cannot hold of
// entries that several queries chose.
Bytes bytes_read(const Attention& a, const RankHardware& hardware) {
    const Bytes once = compulsory_bytes_of(a);
    if (!reads_own_entries(a) || a.selected == 0) return once;
    const double query = static_cast<double>(a.query), batch = static_cast<double>(a.batch);
    const double entry =
        static_cast<double>(a.kv_heads * a.head_dim_qk) * bytes_of(a.kv);  // key and value at once
    Attention chosen = a;
    chosen.window = 0;
    const double gathered = visible_pairs(chosen);
    const double cached = std::floor(static_cast<double>(a.context / a.compression));
    const double counted = std::min(cached, static_cast<double>(a.selected));  // in `once`
    const double distinct =
        std::max(counted, std::min(cached, query * static_cast<double>(a.selected)));
    const double missed = std::max(0.0, 1.0 - hardware.l2.value() / (cached * entry * batch));
    const double again = std::max(0.0, gathered - distinct) * missed;
    return once + Bytes(batch * (distinct - counted + again) * entry);
}

// The span: how many block times the busiest core works.
double block_times(const Attention& a, const AttentionHabits& habits, long cores) {
    const double apart = static_cast<double>(reads_own_entries(a) ? a.query : 1);
    const double pieces = static_cast<double>(a.batch * (packs_heads(a) ? a.kv_heads : a.heads)) *
                          apart * std::ceil(rows_of(a) / static_cast<double>(habits.row_block));
    const double blocks = std::ceil(keys_of(a, habits) / kKeyBlock);
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
    cost.hbm = fidelity == Fidelity::analytic ? compulsory_bytes_of(a) : bytes_read(a, hardware);
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
    cost.time =
        habits.launch + static_cast<double>(a.batch) * habits.sequence_overhead +
        smooth_maximum(block_times(a, habits, cores) * per_block, stream, library.smooth_maximum);
    cost.choice = "split keys";
    return cost;
}

}  // namespace podsim
