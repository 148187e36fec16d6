// The closed form of the pipeline over random cores and shapes: more of anything is never slower,
// and nothing is faster than the matrix unit or memory alone.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "chips/attention_walk.hpp"
#include "chips/gemm_bound.hpp"
#include "chips/pipeline_cost.hpp"
#include "tests/support/core_structures.hpp"

namespace podsim {
namespace {

double any(double low, double high) {
    return low + (high - low) * *rc::gen::inRange(0, 1000) / 1000.0;
}

CoreStructure any_core() {
    CoreStructure core = *rc::gen::arbitrary<bool>() ? systolic_core() : small_core();
    const bool systolic = core.matrix.dataflow == Dataflow::weight_stationary;
    core.cores = *rc::gen::inRange(1, systolic ? 5 : 65);
    core.path.l2_rate = any(0.5, 4) * 1e12;
    core.path.memory_rate = any(0.05, 3) * 1e12;
    core.path.l2_bytes = any(1, 64) * (1 << 20);
    core.path.l2_latency = any(0, 500) * 1e-9;
    core.path.memory_latency = any(0, 800) * 1e-9;
    core.buffers.level1_buffers = *rc::gen::inRange(2, 9);
    if (!systolic) {
        core.buffers.level1 = any(64, 512) * 1024;
        core.buffers.accumulator = any(16, 256) * 1024;
        core.path.read = core.path.write = core.path.memory_read = any(16, 128);
        if (*rc::gen::arbitrary<bool>()) {
            core.buffers.level0_a = core.buffers.level0_b = any(16, 64) * 1024;
            core.buffers.level0_a_rate = core.buffers.level0_b_rate = any(128, 512);
        }
    }
    return core;
}

GemmWork any_product() {
    Gemm gemm;
    gemm.m = *rc::gen::inRange(1, 1500);
    gemm.n = *rc::gen::inRange(1, 3000);
    gemm.k = *rc::gen::inRange(1, 3000);
    gemm.groups = *rc::gen::inRange(1, 4);
    return gemm_work(gemm, DType::bf16);
}

AttentionWork any_attention() {
    Attention a;
    a.phase = *rc::gen::element(Phase::decode, Phase::prefill);
    a.batch = *rc::gen::inRange(1, 9);
    a.query = a.phase == Phase::decode ? 1 : *rc::gen::inRange(1, 600);
    a.context = a.query + *rc::gen::inRange(0, 4000);
    a.kv_heads = *rc::gen::inRange(1, 5);
    a.heads = a.kv_heads * *rc::gen::inRange(1, 9);
    a.head_dim_qk = a.head_dim_v = 64;
    return attention_work(a, DType::bf16);
}

template <class Work>
double seconds(const CoreStructure& core, const Work& work) {
    return best_tilings(core, work).front().time.seconds;
}

// One thing made better.
CoreStructure improved(CoreStructure core) {
    const double by = any(1, 3);
    switch (*rc::gen::inRange(0, 9)) {
        case 0:
            core.path.memory_rate *= by;
            break;
        case 1:
            core.path.l2_rate *= by;
            break;
        case 2:
            core.path.l2_bytes *= by;
            break;
        case 3:
            core.clock *= by;
            break;
        case 4:
            core.buffers.level1 *= by;
            break;
        case 5:
            core.buffers.accumulator *= by;
            break;
        case 6:
            core.path.read *= by;
            core.path.memory_read *= by;
            break;
        case 7:
            core.path.outstanding *= by;
            break;
        default:
            core.buffers.drain *= by;
            break;
    }
    return core;
}

RC_GTEST_PROP(Pipeline, MoreIsNeverSlower, ()) {
    const CoreStructure core = any_core();
    const CoreStructure better = improved(core);
    const GemmWork product = any_product();
    RC_ASSERT(seconds(better, product) <= seconds(core, product) * (1 + 1e-9));
    const AttentionWork attention = any_attention();
    RC_ASSERT(seconds(better, attention) <= seconds(core, attention) * (1 + 1e-9));
}

// Whatever fewer cores can do is among the choices of more.
RC_GTEST_PROP(Pipeline, MoreCoresAreNeverSlower, ()) {
    const CoreStructure core = any_core();
    CoreStructure more = core;
    more.cores += *rc::gen::inRange(1, 32);
    const GemmWork product = any_product();
    RC_ASSERT(seconds(more, product) <= seconds(core, product) * (1 + 1e-9));
    const AttentionWork attention = any_attention();
    RC_ASSERT(seconds(more, attention) <= seconds(core, attention) * (1 + 1e-9));
}

// The search leaves out what it may: no tiling is faster than its bound.
RC_GTEST_PROP(Pipeline, BoundsAreBelowTheTime, ()) {
    const CoreStructure core = any_core();
    const GemmWork work = any_product();
    const GemmBound bound(core, work);
    for (const auto& choice : best_tilings(core, work, 6)) {
        GemmTiling tiling = choice.tiling;
        for (const long cores : {tiling.cores, (tiling.cores + 1) / 2, 1L}) {
            tiling.cores = cores;
            const double seconds = gemm_time(core, work, tiling).seconds * (1 + 1e-9);
            const TilingBound of_tiling = bound.of(tiling);
            RC_ASSERT(of_tiling.with(cores) <= seconds);
            RC_ASSERT(of_tiling.with_any(cores) <= seconds);
            RC_ASSERT(bound.of_tile(tiling) <= seconds);
        }
    }
    const AttentionWork attention = any_attention();
    for (const auto& choice : best_tilings(core, attention, 6)) {
        AttentionWalk walk(core, attention, choice.tiling);
        const AttentionBound least(walk, choice.tiling.lookahead);
        for (const long cores : {choice.tiling.cores, (choice.tiling.cores + 1) / 2, 1L}) {
            const double seconds = walk.time(cores, choice.tiling.lookahead).seconds;
            RC_ASSERT(least.with(cores) <= seconds * (1 + 1e-9));
        }
    }
}

RC_GTEST_PROP(Pipeline, NeverBelowMatrixUnitOrMemory, ()) {
    const CoreStructure core = any_core();
    const GemmWork work = any_product();
    double rows = 0;
    for (const long each : work.rows) rows += static_cast<double>(each);
    const double n = static_cast<double>(work.n), k = static_cast<double>(work.k);
    const double groups = static_cast<double>(work.rows.size());
    const double peak =
        core.matrix.macs_per_cycle.at(DType::bf16) * core.clock * static_cast<double>(core.cores);
    RC_ASSERT(seconds(core, work) >= rows * n * k / peak);
    RC_ASSERT(seconds(core, work) >=
              2 * (rows * k + groups * n * k + rows * n) / core.path.memory_rate * (1 - 1e-9));
}

}  // namespace
}  // namespace podsim
