// Products of more tiles than are walked: the rest goes at the pace of those that are.
#include <gtest/gtest.h>

#include "chips/npu_cycle.hpp"
#include "chips/pipeline_cost.hpp"
#include "tests/support/core_structures.hpp"
#include "tests/support/shipped_cores.hpp"

namespace podsim {
namespace {

CoreStructure many_cores() {
    CoreStructure core = small_core();
    core.cores = 64;
    core.path.memory_rate = 2e12;
    core.path.l2_rate = 4e12;
    core.path.l2_bytes = 32 << 20;
    return core;
}

GemmWork product(long m, long n, long k, long groups) {
    Gemm gemm;
    gemm.m = m;
    gemm.n = n;
    gemm.k = k;
    gemm.groups = groups;
    return gemm_work(gemm, DType::bf16);
}

// Bound by the matrix units: eight times the rows are eight times the work, but for what lies
// around the first wave and the last.
TEST(LongProduct, GrowsWithItsRows) {
    const CoreStructure core = many_cores();
    const GemmTiling tiling = best_tilings(core, product(32768, 2048, 2048, 1)).front().tiling;
    const auto seconds = [&](long m) {
        return gemm_time(core, product(m, 2048, 2048, 1), tiling).seconds;
    };
    ASSERT_LT(tile_count(product(32768, 2048, 2048, 1), tiling), 20000);
    ASSERT_GT(tile_count(product(524288, 2048, 2048, 1), tiling), 20000);
    const double walked = seconds(32768), paced = seconds(524288);
    EXPECT_NEAR(paced / walked, 16, 0.1);
    // 2 x 524,288 x 2,048 x 2,048 over 64 cores x 16 x 16 x 16 products a cycle of 1 ns.
    EXPECT_GE(paced, 524288.0 * 2048 * 2048 / (64 * 4096.0) * 1e-9);
}

// Bound by memory: 512 groups of 2,048 x 1,024 x 64 read (2,048 + 1,024) x 64 x 2 B and write
// 2,048 x 1,024 x 2 B each.
TEST(LongProduct, MovesItsBytes) {
    const CoreStructure core = many_cores();
    const GemmWork work = product(2048, 1024, 64, 512);
    const auto best = best_tilings(core, work).front();
    ASSERT_GT(tile_count(work, best.tiling), 20000);
    const double bytes = 512 * (3072.0 * 128 + 2048.0 * 1024 * 2);
    EXPECT_GE(best.time.memory_bytes, bytes * (1 - 1e-12));
    EXPECT_GE(best.time.seconds, bytes / core.path.memory_rate);
    EXPECT_LT(best.time.seconds, 1.1 * bytes / core.path.memory_rate);
}

// 128 rows of tiles in one band of 8,192 x 8,192: the first operand's 134 MB are read for each of
// 171 columns of tiles, as the H20's 60 MB of L2 lose a row before it comes again.
TEST(LongProduct, LosesWhatL2CannotHold) {
    const CoreStructure core = core_of("h20");
    const Gemm whole{8192, 8192, 8192, 1, DType::bf16, DType::bf16, DType::bf16};
    GemmTiling tiling;
    tiling.rows = 64;
    tiling.columns = 48;
    tiling.depth = 512;
    tiling.accumulators = 2;
    tiling.cores = 78;
    tiling.band = 128;
    const GemmWork work = gemm_work(whole, DType::bf16);
    ASSERT_GT(tile_count(work, tiling), 20000);
    const PipelineTime closed = gemm_time(core, work, tiling);
    EXPECT_NEAR(closed.memory_bytes / (171 * 134.2e6 + 2 * 134.2e6), 1, 0.03);
    NpuOptions options;
    options.gemm = tiling;
    const NpuRun run = run_npu(core, whole, options);
    EXPECT_NEAR(closed.memory_bytes / (run.memory_read + run.memory_written).value(), 1, 0.03);
    EXPECT_NEAR(closed.seconds / run.time.value(), 1, 0.04);
}

// What is given up is slower than the limit, and nothing faster is given up.
TEST(LongProduct, IsGivenUpBeyondItsLimitOnly) {
    const CoreStructure core = many_cores();
    for (const GemmWork& work : {product(8192, 4096, 512, 1), product(2048, 512, 64, 32)}) {
        const auto best = best_tilings(core, work, 4);
        for (const auto& choice : best) {
            const double seconds = gemm_time(core, work, choice.tiling).seconds;
            EXPECT_DOUBLE_EQ(gemm_time(core, work, choice.tiling, seconds * 1.001).seconds,
                             seconds);
            EXPECT_GT(gemm_time(core, work, choice.tiling, seconds / 2).seconds, seconds / 2);
        }
    }
}

}  // namespace
}  // namespace podsim
