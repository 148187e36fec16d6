// What a fused exchange asks of a chip, worked by hand on the tiny chip.
#include "chips/fused_cost.hpp"

#include <gtest/gtest.h>

#include "tests/unit/chips/tiny_chip.hpp"

namespace podsim {
namespace {

KernelLibrarySpec fused_library() {
    KernelLibrarySpec library = tiny_library();
    library.fused_experts = {{DType::bf16, tiny_habits()}};
    return library;
}

FusedKernelCost cost_of(const FusedStages& stages, const RankHardware& hardware = tiny_chip(),
                        const KernelLibrarySpec& library = fused_library(),
                        Fidelity fidelity = Fidelity::tile) {
    return fused_kernel_cost(stages, hardware, library, fidelity, 1.0);
}

// 16 rows, 16 columns: a tile each group and product, 500 ns for 64 steps along K, 1,000 for 128.
FusedStages two_products(long groups) {
    return {{Gemm{16, 16, 64, groups}, Gemm{16, 16, 128, groups}}, 0, 0};
}

TEST(FusedCost, CoresTakeTileAfterTile) {
    // Eight groups on four cores: two rounds of either product.
    EXPECT_NEAR(cost_of(two_products(8)).cores.value(), 3e-6, 1e-15);
    // Six: one round and a half each, which make three together without a pause between.
    EXPECT_NEAR(cost_of(two_products(6)).cores.value(), 2.25e-6, 1e-15);
    // Five: two rounds and a half. The last is not full: half a tile more, the shorter one.
    EXPECT_NEAR(cost_of(two_products(5)).cores.value(), 1.25 * 1.5e-6 + 0.25e-6, 1e-15);
    // One: the second product waits for the first.
    EXPECT_NEAR(cost_of(two_products(1)).cores.value(), 1.5e-6, 1e-15);
}

TEST(FusedCost, EachGroupIsAChunk) {
    EXPECT_EQ(cost_of(two_products(8)).chunks, 8);
    EXPECT_EQ(cost_of(two_products(1)).chunks, 1);
}

TEST(FusedCost, WhatStaysOnTheChipDoesNotCrossMemory) {
    // 8 groups of (16 x 64 + 64 x 16 + 16 x 16) + (16 x 128 + 128 x 16 + 16 x 16) elements of 2 B.
    constexpr double all = 8 * 2 * (2304 + 4352);
    FusedStages stages = two_products(8);
    EXPECT_DOUBLE_EQ(cost_of(stages).kernel.hbm.value(), all);
    stages.on_chip = 8 * 2 * 256;
    EXPECT_DOUBLE_EQ(cost_of(stages).kernel.hbm.value(), all - 4096);
    // 1,200 ns for 10,240 B at the library's efficiency.
    EXPECT_NEAR(cost_of(stages).kernel.hbm_time.value(), (all - 4096) / 10240 * 1200e-9, 1e-15);
}

TEST(FusedCost, VectorWorkBetweenTheProductsCounts) {
    FusedStages stages = two_products(8);
    stages.bodies.insert(stages.bodies.begin() + 1, VectorWork{"swiglu", 1000, 5, 0, 0});
    // 5,000 FLOP at 1 GFLOP/s, of which the library reaches a half.
    EXPECT_NEAR(cost_of(stages).kernel.vector.value(), 5e-6, 1e-15);
    EXPECT_NEAR(cost_of(stages).vector_units.value(), 10e-6, 1e-15);
}

TEST(FusedCost, RowsThatDifferNeedMoreTiles) {
    // All of four groups have 96 rows: two tiles of 64 each.
    EXPECT_DOUBLE_EQ(expected_tile_rows(4, 4, 96, 0, 64), 8);
    // 64 of them on average, with a deviation of 8: 0.4751 of the groups have more than 64, by the
    // normal law at half a row above, P(z > 0.0625).
    EXPECT_NEAR(expected_tile_rows(4, 4, 64, 8, 64), 4 * 1.4751, 1e-3);
    // Few rows over many groups: a tile for each group that has any.
    EXPECT_NEAR(expected_tile_rows(32, 5, 0.2, 0.4, 16), 5, 1e-9);
    // Many: as many as fit, and half a tile more.
    EXPECT_NEAR(expected_tile_rows(32, 32, 6400, 80, 64), 32 * 100.5, 32 * 0.01);
}

TEST(FusedCost, TheRooflineIsNotSlower) {
    for (const long groups : {1L, 5L, 8L, 100L}) {
        const FusedStages stages = two_products(groups);
        const FusedKernelCost low =
            cost_of(stages, tiny_chip(), fused_library(), Fidelity::analytic);
        EXPECT_LE(low.cores, cost_of(stages).cores);
        EXPECT_EQ(low.kernel.hbm, cost_of(stages).kernel.hbm);
    }
}

TEST(FusedCost, RefusesWhatIsNotThere) {
    EXPECT_THROW(cost_of(two_products(1), tiny_chip(), tiny_library()), std::invalid_argument);
    EXPECT_THROW(cost_of({{VectorWork{"sum", 1, 1, 1, 1}}, 0, 0}), std::invalid_argument);
    RankHardware small = tiny_chip();
    small.accumulator = Bytes(16);
    EXPECT_THROW(cost_of(two_products(1), small), std::invalid_argument);
    // Weights that the matrix units do not take as they are.
    FusedStages narrow{{Gemm{16, 16, 64, 1, DType::bf16, DType::fp4}}, 0, 0};
    EXPECT_THROW(cost_of(narrow), std::invalid_argument);
    EXPECT_THROW(
        fused_kernel_cost(two_products(1), tiny_chip(), fused_library(), Fidelity::tile, 0),
        std::invalid_argument);
}

}  // namespace
}  // namespace podsim
