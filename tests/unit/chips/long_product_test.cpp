// Products of more tiles than are walked: the rest goes at the pace of those that are.
#include <gtest/gtest.h>

#include "chips/pipeline_cost.hpp"
#include "tests/support/core_structures.hpp"

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
