// A piece of work is `row_block` query rows (heads that share a KV head, times query tokens) of one
// sequence against blocks of 64 keys. Decode kernels cut the keys of long sequences into s splits
// so that every core has work, and pay a fixed number of block times for each piece:
//
//   pieces = batch x kv_heads x ceil(rows / row_block)      blocks = ceil(context / 64)
//   span   = least over s = 1, 2, 4 .. 64 of ceil(pieces s / cores) (ceil(blocks / s) + overhead)
//   t_core = span x 2 (d_qk + d_v) row_block 64 / (peak per core x efficiency)
//   t_hbm  = bytes / (HBM x efficiency) + ramp
//   t      = launch + (t_core^p + t_hbm^p)^(1/p)
//
// The launch includes the kernel that joins the splits. Causal prefill counts the mean of visible
// keys. The exponentials are inside the matrix efficiency: they are per score, as is the matrix
// work at a fixed head size. Left out: head sizes other than those fitted.
#include "chips/attention_cost.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "chips/gemm_cost.hpp"

namespace podsim {

namespace {

constexpr double kKeyBlock = 64.0;

}  // namespace

OperatorCost attention_cost(const Attention& a, const RankHardware& hardware,
                            const KernelLibrarySpec& library, Fidelity fidelity,
                            double core_share) {
    const AttentionHabits& habits =
        a.phase == Phase::decode ? library.attention_decode : library.attention_prefill;
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

    const double rows = static_cast<double>(a.heads / std::max(1L, a.kv_heads) * a.query);
    const double row_blocks = std::ceil(rows / static_cast<double>(habits.row_block));
    // Mean keys a query sees: all of them in decode, the causal mean in prefill.
    const double keys = a.phase == Phase::decode ? static_cast<double>(a.context)
                                                 : static_cast<double>(a.context) -
                                                       (static_cast<double>(a.query) - 1.0) / 2.0;
    const double pieces = static_cast<double>(a.batch * a.kv_heads) * row_blocks;
    const double blocks = std::ceil(keys / kKeyBlock);
    double span = std::numeric_limits<double>::infinity();
    for (double splits = 1; splits <= std::min(64.0, blocks); splits *= 2) {
        span = std::min(span, std::ceil(pieces * splits / static_cast<double>(cores)) *
                                  (std::ceil(blocks / splits) + habits.split_overhead));
    }
    const Seconds per_block =
        Flops(2.0 * static_cast<double>(a.head_dim_qk + a.head_dim_v) *
              static_cast<double>(habits.row_block) * kKeyBlock) /
        (peak / static_cast<double>(hardware.matrix_cores) * habits.matrix_efficiency);
    const Seconds stream = cost.hbm_time + stream_ramp(cost.hbm, habits.ramp, habits.ramp_bytes);
    cost.time = habits.launch + smooth_maximum(span * per_block, stream, library.smooth_maximum);
    cost.choice = "split keys";
    return cost;
}

}  // namespace podsim
