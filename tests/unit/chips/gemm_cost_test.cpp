// Products on the tiny chip, by hand (see tiny_chip.hpp): launch 2 us; a 16 x 16 tile, 64 deep,
// 300 ns of multiplication and 400 ns of loading, 500 ns joined.
#include "chips/gemm_cost.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "tests/unit/chips/tiny_chip.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

constexpr double exact = 1e-9;  // microseconds

// Four tiles on four cores, one wave: 500 ns of cores beside 10,240 B in 1,200 ns: 1,300 ns.
TEST(GemmCost, ByHand) {
    const OperatorCost cost =
        operator_cost(Gemm{32, 32, 64, 1}, tiny_chip(), tiny_library(), Fidelity::tile, 1.0);
    EXPECT_NEAR(cost.time.value() * 1e6, 2 + 1.3, exact);
    EXPECT_NEAR(cost.launch.value() * 1e6, 2, exact);
    // 2 x 32 x 32 x 64 FLOP on four cores at the peak: 150 ns each.
    EXPECT_NEAR(cost.matrix.value() * 1e6, 0.15, exact);
    EXPECT_EQ(cost.vector.value(), 0.0);
    EXPECT_EQ(cost.hbm.value(), 10240.0);
    EXPECT_NEAR(cost.hbm_time.value() * 1e6, 1.2, exact);
    EXPECT_EQ(cost.choice, "16x16");
    EXPECT_EQ(cost.basis, Confidence::measured);
    EXPECT_EQ(cost.held_out_error, 0.07);
    EXPECT_FALSE(cost.on_vector_cores);
    EXPECT_EQ(cost.warning, "");
}

// Closed form: launch + max(work / (peak x 0.5) = 300 ns, bytes / (memory x 0.8) = 1,200 ns).
TEST(GemmCost, AnalyticByHand) {
    const OperatorCost cost =
        operator_cost(Gemm{32, 32, 64, 1}, tiny_chip(), tiny_library(), Fidelity::analytic, 1.0);
    EXPECT_NEAR(cost.time.value() * 1e6, 2 + 1.2, exact);
    EXPECT_NEAR(operator_cost(Gemm{32, 32, 64, 1}, without_memory(tiny_chip()), tiny_library(),
                              Fidelity::analytic, 1.0)
                        .time.value() *
                    1e6,
                2 + 0.3, exact);
}

// Eight groups of one tile are two waves of four cores. With one row more in one of them it takes a
// tile more, and a third wave; with one row more in all, eight tiles and two waves more.
TEST(GemmCost, ARowMoreInOneGroupIsATileMore) {
    const RankHardware hardware = without_feed(without_memory(tiny_chip()));
    const auto time = [&](long rows, long longer) {
        Gemm gemm{rows, 16, 64, 8};
        gemm.longer_groups = longer;
        // The one tile is 16 x 16: no larger ones fit.
        return tile_microseconds(gemm, hardware, tiny_library());
    };
    EXPECT_NEAR(time(16, 0), 2.6, exact);
    EXPECT_NEAR(time(16, 1), 2.9, exact);
    EXPECT_NEAR(time(16, 4), 2.9, exact);
    EXPECT_NEAR(time(16, 5), 3.2, exact);
    EXPECT_NEAR(time(17, 0), 3.2, exact);
    EXPECT_NEAR(time(15, 7), 2.6, exact);
}

// Traffic aside, the time counts whole waves: 1 to 4 tiles 300 ns, 5 to 8 tiles 600 ns.
TEST(GemmCost, WaveQuantisation) {
    const RankHardware hardware = without_feed(without_memory(tiny_chip()));
    const auto of_tiles = [&](long tiles) {
        return tile_microseconds(Gemm{16, 16 * tiles, 64, 1}, hardware, tiny_library());
    };
    for (const long tiles : {1, 2, 4}) EXPECT_NEAR(of_tiles(tiles), 2.3, exact) << tiles;
    for (const long tiles : {5, 8}) EXPECT_NEAR(of_tiles(tiles), 2.6, exact) << tiles;
    EXPECT_NEAR(of_tiles(9), 2.9, exact);
    // Groups fill the same waves: five groups of one tile.
    EXPECT_NEAR(tile_microseconds(Gemm{16, 16, 64, 5}, hardware, tiny_library()), 2.6, exact);
}

// One row costs the multiplication of the 16 that an instruction takes, 300 ns. Loading counts
// valid rows only: (1 x 2 + 16 x 2) x 64 = 2,176 B in 212.5 ns. The 2,208 B of the whole product
// come through one core's feed, in 215.625 ns.
TEST(GemmCost, PadsToTheMinimumRows) {
    const RankHardware hardware = without_memory(tiny_chip());
    EXPECT_NEAR(tile_microseconds(Gemm{1, 16, 64, 1}, without_feed(hardware), tiny_library()), 2.3,
                exact);
    EXPECT_NEAR(tile_microseconds(Gemm{16, 16, 64, 1}, without_feed(hardware), tiny_library()), 2.3,
                exact);
    EXPECT_NEAR(tile_microseconds(Gemm{1, 16, 64, 1}, hardware, tiny_library()),
                2 + std::hypot(0.3, 0.2125, 0.215625), exact);
    // One column: the same numbers turned round.
    EXPECT_NEAR(tile_microseconds(Gemm{16, 1, 64, 1}, hardware, tiny_library()),
                2 + std::hypot(0.3, 0.2125, 0.215625), exact);
}

// An instruction of 32 rows takes 600 ns for the same 16; its sums need 32 x 16 x 4 B.
TEST(GemmCost, PaddedRowsOccupyTheAccumulator) {
    RankHardware hardware = without_feed(without_memory(tiny_chip()));
    hardware.minimum_rows = 32;
    EXPECT_THROW(tile_microseconds(Gemm{16, 16, 64, 1}, hardware, tiny_library()),
                 std::invalid_argument);
    hardware.accumulator = Bytes(32 * 16 * 4);
    EXPECT_NEAR(tile_microseconds(Gemm{16, 16, 64, 1}, hardware, tiny_library()), 2.6, exact);
}

// K in steps of 64: 65 costs as much as 128. A step's own latency of 400 ns joins the 300 ns.
TEST(GemmCost, StepsAlongK) {
    const RankHardware hardware = without_feed(without_memory(tiny_chip()));
    EXPECT_NEAR(tile_microseconds(Gemm{16, 16, 65, 1}, hardware, tiny_library()), 2.6, exact);
    EXPECT_NEAR(tile_microseconds(Gemm{16, 16, 128, 1}, hardware, tiny_library()), 2.6, exact);
    KernelLibrarySpec library = tiny_library();
    library.gemm[DType::bf16].k_step = microseconds(0.4);
    EXPECT_NEAR(tile_microseconds(Gemm{16, 16, 64, 1}, hardware, library), 2 + 0.5, exact);
}

// A prologue of 12.8 us for 128 x 256 sums is 0.1 us for 16 x 16, in every wave.
TEST(GemmCost, TileOverheadInEveryWave) {
    KernelLibrarySpec library = tiny_library();
    library.gemm[DType::bf16].tile_overhead = microseconds(12.8);
    EXPECT_NEAR(
        tile_microseconds(Gemm{16, 16, 64, 5}, without_feed(without_memory(tiny_chip())), library),
        2 + 2 * (0.3 + 0.1), exact);
}

// Operands shared between cores: a factor of two halves the loading, 400 -> 200 ns. What the
// product needs at least, 4,608 B, still comes through one feed in 450 ns.
TEST(GemmCost, FeedFactor) {
    KernelLibrarySpec library = tiny_library();
    library.gemm[DType::bf16].feed_factor = 2;
    EXPECT_NEAR(tile_microseconds(Gemm{16, 16, 64, 1}, without_memory(tiny_chip()), library),
                2 + std::hypot(0.3, 0.2, 0.45), exact);
}

// One tile occupies one core, which draws no more than its feed: 4,608 B at 4,096 B / 400 ns take
// 450 ns, though memory would need 1 ns.
TEST(GemmCost, FewCoresCannotFillTheMemory) {
    RankHardware hardware = tiny_chip();
    hardware.hbm_bandwidth = BytesPerSecond(4608 / 1e-9 / 0.8);
    EXPECT_NEAR(tile_microseconds(Gemm{16, 16, 64, 1}, hardware, tiny_library()),
                2 + std::hypot(0.5, 0.45), exact);
}

// 10,240 B against a ramp of 1 us and 30,720 B: a quarter of it shows. 1,200 + 250 ns.
TEST(GemmCost, RampOfAStream) {
    KernelLibrarySpec library = tiny_library();
    library.gemm[DType::bf16].ramp = microseconds(1);
    library.gemm[DType::bf16].ramp_bytes = Bytes(30720);
    EXPECT_NEAR(tile_microseconds(Gemm{32, 32, 64, 1}, tiny_chip(), library),
                2 + std::hypot(0.5, 1.45), exact);
}

// K = 256 on one core: 4 x 500 ns. Split four ways over four cores: 500 ns, and 100 ns and the
// partial sums (16 x 16 x 4 parts x 4 B, written and read: 8,192 B, here in 1 ns) behind them.
TEST(GemmCost, SplitsAlongKWhereTheLibraryDoes) {
    RankHardware hardware = tiny_chip();
    hardware.hbm_bandwidth = BytesPerSecond(8192 / 1e-9 / 0.8);
    hardware.feed_per_core = BytesPerSecond(1e30);
    KernelLibrarySpec library = tiny_library();
    library.gemm[DType::bf16].split_reduce = microseconds(0.1);
    const Gemm deep{16, 16, 256, 1};
    const OperatorCost whole = operator_cost(deep, hardware, library, Fidelity::tile, 1.0);
    EXPECT_EQ(whole.choice, "16x16");
    EXPECT_EQ(whole.hbm, compulsory_bytes_of(deep));
    EXPECT_NEAR(whole.time.value() * 1e6, 2 + 1.2, 1e-3);

    library.gemm[DType::bf16].splits_k = true;
    const OperatorCost split = operator_cost(deep, hardware, library, Fidelity::tile, 1.0);
    EXPECT_EQ(split.choice, "16x16 split 4");
    EXPECT_EQ(split.hbm.value(), compulsory_bytes_of(deep).value() + 8192);
    // 0.3 us of cores beside 16,896 B in 2.06 ns, then 0.1 us and 1 ns.
    EXPECT_NEAR(split.time.value() * 1e6, 2 + 0.3 + 0.1 + 0.001, 1e-4);
}

// A slice of K below 64 is no split: K = 128 is cut in two at most.
TEST(GemmCost, NoSplitBelowAStep) {
    RankHardware hardware = without_feed(without_memory(tiny_chip()));
    KernelLibrarySpec library = tiny_library();
    library.gemm[DType::bf16].splits_k = true;
    EXPECT_EQ(operator_cost(Gemm{16, 16, 128, 1}, hardware, library, Fidelity::tile, 1.0).choice,
              "16x16 split 2");
}

// With room for it the library takes the tile that loads least: 32 x 32 sums, one tile on one of
// four cores, against four of 16 x 16. Multiplication alone: 1,200 ns against 300 ns.
TEST(GemmCost, TakesTheBestTile) {
    RankHardware hardware = without_feed(without_memory(tiny_chip()));
    hardware.accumulator = Bytes(64 * 64 * 4);
    const OperatorCost parallel =
        operator_cost(Gemm{32, 32, 64, 1}, hardware, tiny_library(), Fidelity::tile, 1.0);
    EXPECT_EQ(parallel.choice, "16x16");
    // 64 tiles of 32 x 32 load half of what 256 of 16 x 16 do.
    RankHardware fed = without_memory(tiny_chip());
    fed.accumulator = Bytes(32 * 32 * 4);
    const OperatorCost large =
        operator_cost(Gemm{256, 256, 64, 1}, fed, tiny_library(), Fidelity::tile, 1.0);
    EXPECT_EQ(large.choice, "32x32");
    // 16 waves of (1,200 ns, 800 ns); 196,608 B through four feeds in 4.8 us.
    EXPECT_NEAR(large.time.value() * 1e6, 2 + std::hypot(16 * std::hypot(1.2, 0.8), 4.8), exact);
}

TEST(GemmCost, AccumulatorTooSmallForAnyTile) {
    RankHardware hardware = tiny_chip();
    hardware.accumulator = Bytes(16 * 16 * 4 - 1);
    try {
        tile_microseconds(Gemm{32, 32, 64, 1}, hardware, tiny_library());
        FAIL() << "no tile fits";
    } catch (const std::invalid_argument& error) {
        EXPECT_THAT(error.what(), HasSubstr("accumulator"));
    }
}

// FP8 on a chip with BF16 only: BF16's peak, habits and padding, but the bytes of FP8. One wave of
// 300 ns, (16 + 16) x 64 B loaded in 200 ns. 2 (32 x 64) + 2 x 32 x 32 = 6,144 B cross memory, and
// four feeds in 150 ns. Vector units that widen the weights at once.
TEST(GemmCost, FormatTheChipLacksRunsWider) {
    const Gemm narrow{32, 32, 64, 1, DType::fp8, DType::fp8, DType::bf16};
    RankHardware hardware = without_memory(tiny_chip());
    hardware.peak_vector = FlopsPerSecond(1e30);
    const OperatorCost cost = operator_cost(narrow, hardware, tiny_library(), Fidelity::tile, 1.0);
    EXPECT_NEAR(cost.time.value() * 1e6, 2 + std::hypot(0.3, 0.2, 0.15), exact);
    EXPECT_NEAR(cost.matrix.value() * 1e6, 0.15, exact);
    EXPECT_EQ(cost.hbm.value(), 6144.0);
    EXPECT_THAT(cost.warning, HasSubstr("fp8 runs at the rate of bf16"));
    EXPECT_EQ(operator_cost(narrow, tiny_chip(), tiny_library(), Fidelity::analytic, 1.0).warning,
              cost.warning);
}

// The four tiles of a 32 x 32 x 64 product with FP4 weights, 300 ns of multiplication each. A core
// widens the 16 x 64 weights of its tile with two operations each: 2,048, at 20.48 GFLOP/s of four
// cores and an efficiency of one half 0.8 us. Two rows of tiles widen all of the weights: 8,192.
TEST(GemmCost, CoresWidenTheWeightsOfTheirTiles) {
    RankHardware hardware = without_feed(without_memory(tiny_chip()));
    hardware.peak_vector = FlopsPerSecond(20.48e9);
    const Gemm narrow{32, 32, 64, 1, DType::bf16, DType::fp4, DType::bf16};
    const OperatorCost cost = operator_cost(narrow, hardware, tiny_library(), Fidelity::tile, 1.0);
    EXPECT_NEAR(cost.time.value() * 1e6, 2 + std::hypot(0.3, 0.8), exact);
    EXPECT_NEAR(cost.vector.value() * 1e6, 8192 / 20.48e3, exact);
    EXPECT_FALSE(cost.on_vector_cores);
    // Two waves on half of the cores. Five groups of one tile are two waves as well.
    EXPECT_NEAR(tile_microseconds(narrow, hardware, tiny_library(), 0.5),
                2 + 2 * std::hypot(0.3, 0.8), exact);
    EXPECT_NEAR(tile_microseconds(Gemm{16, 16, 64, 5, DType::bf16, DType::fp4, DType::bf16},
                                  hardware, tiny_library()),
                2 + 2 * std::hypot(0.3, 0.8), exact);
    // The closed form widens each weight once: 4,096 operations in 400 ns.
    const OperatorCost closed =
        operator_cost(narrow, hardware, tiny_library(), Fidelity::analytic, 1.0);
    EXPECT_NEAR(closed.time.value() * 1e6, 2 + 0.4, exact);
    EXPECT_NEAR(closed.vector.value() * 1e6, 0.2, exact);
}

// Products of several groups whose weights are widened may have habits of their own: four tiles of
// 300 ns and a launch of 7 us in place of 2. Those of one group, and of weights as they are, not.
TEST(GemmCost, GroupsOfWidenedWeightsHaveHabitsOfTheirOwn) {
    RankHardware hardware = without_feed(without_memory(tiny_chip()));
    hardware.peak_vector = FlopsPerSecond(1e30);
    KernelLibrarySpec library = tiny_library();
    library.widened_gemm[DType::fp4] = library.gemm.at(DType::bf16);
    library.widened_gemm[DType::fp4].launch = Seconds(7e-6);
    const auto microseconds = [&](long groups, DType weights) {
        return tile_microseconds(Gemm{16, 16, 64, groups, DType::bf16, weights, DType::bf16},
                                 hardware, library);
    };
    EXPECT_NEAR(microseconds(4, DType::fp4), 7.3, exact);
    EXPECT_NEAR(microseconds(1, DType::fp4), 2.3, exact);
    EXPECT_NEAR(microseconds(4, DType::bf16), 2.3, exact);
    EXPECT_EQ(gemm_part(library, {16, 16, 64, 4, DType::bf16, DType::fp4}, DType::bf16),
              "widened_gemm.fp4");
    EXPECT_EQ(gemm_part(library, {16, 16, 64, 1, DType::bf16, DType::fp4}, DType::bf16),
              "gemm.bf16");
}

// Vector cores apart widen each weight once, 4,096 operations in 400 ns beside the 300 ns, and the
// matrix cores load BF16: (16 + 16) x 64 x 2 B in 400 ns a tile, not (16 x 2 + 16 / 2) x 64.
TEST(GemmCost, VectorCoresApartHandWidenedWeightsOn) {
    RankHardware hardware = without_feed(without_memory(tiny_chip()));
    hardware.peak_vector = FlopsPerSecond(20.48e9);
    hardware.separate_vector = true;
    const Gemm narrow{32, 32, 64, 1, DType::bf16, DType::fp4, DType::bf16};
    const OperatorCost cost = operator_cost(narrow, hardware, tiny_library(), Fidelity::tile, 1.0);
    EXPECT_NEAR(cost.time.value() * 1e6, 2 + std::hypot(0.3, 0.4), exact);
    EXPECT_NEAR(cost.vector.value() * 1e6, 4096 / 20.48e3, exact);
    // Each group has weights of its own: five of 16 x 64 take 500 ns, beside two waves.
    EXPECT_NEAR(tile_microseconds(Gemm{16, 16, 64, 5, DType::bf16, DType::fp4, DType::bf16},
                                  hardware, tiny_library()),
                2 + std::hypot(0.6, 10240 / 10.24e3), exact);
    hardware.feed_per_core = tiny_chip().feed_per_core;
    // What the product needs at least, 4,096 + 1,024 + 2,048 B, comes through four feeds in 175 ns.
    EXPECT_NEAR(tile_microseconds(narrow, hardware, tiny_library()),
                2 + std::hypot(0.3, 0.4, std::hypot(0.4, 0.175)), exact);
}

// Beside FP8 inputs, units that have FP4 take FP4 weights as they are; beside BF16 nothing
// narrower.
TEST(GemmCost, WhatTheMatrixUnitsTakeIsNotWidened) {
    RankHardware hardware = tiny_chip();
    hardware.peak_matrix[DType::fp8] = hardware.peak_matrix[DType::bf16];
    KernelLibrarySpec library = tiny_library();
    library.gemm[DType::fp8] = library.gemm[DType::fp4] = tiny_habits();
    const auto vector_of = [&](DType a, DType b) {
        const Gemm gemm{32, 32, 64, 1, a, b, DType::bf16};
        return operator_cost(gemm, hardware, library, Fidelity::tile, 1.0).vector.value();
    };
    EXPECT_EQ(vector_of(DType::bf16, DType::bf16), 0.0);
    EXPECT_EQ(vector_of(DType::fp8, DType::fp8), 0.0);
    EXPECT_EQ(vector_of(DType::fp4, DType::fp8), 0.0);
    EXPECT_GT(vector_of(DType::fp8, DType::fp4), 0.0);
    EXPECT_GT(vector_of(DType::fp4, DType::fp4), 0.0);
    EXPECT_GT(vector_of(DType::bf16, DType::fp8), 0.0);
    hardware.peak_matrix[DType::fp4] = hardware.peak_matrix[DType::fp8];
    EXPECT_EQ(vector_of(DType::fp8, DType::fp4), 0.0);
    EXPECT_EQ(vector_of(DType::fp4, DType::fp4), 0.0);
    EXPECT_GT(vector_of(DType::bf16, DType::fp4), 0.0);
}

TEST(GemmCost, FormatWiderThanTheChipHas) {
    const Gemm wide{32, 32, 64, 1, DType::fp32, DType::fp32, DType::fp32};
    EXPECT_THROW(tile_microseconds(wide, tiny_chip(), tiny_library()), std::invalid_argument);
}

// A format that the chip has and the library was never measured on is not guessed.
TEST(GemmCost, FormatTheLibraryLacks) {
    RankHardware hardware = tiny_chip();
    hardware.peak_matrix[DType::fp8] = FlopsPerSecond(8 * tiny_core_peak);
    const Gemm narrow{32, 32, 64, 1, DType::fp8, DType::fp8, DType::bf16};
    try {
        tile_microseconds(narrow, hardware, tiny_library());
        FAIL() << "the library has bf16 only";
    } catch (const std::invalid_argument& error) {
        EXPECT_STREQ(error.what(), "kernel library tiny has no fp8 products (it has bf16)");
    }
}

// Half of the cores: the four tiles take two waves. The bytes and full-rate work stay.
TEST(GemmCost, CoreShareTakesCores) {
    const RankHardware hardware = without_feed(without_memory(tiny_chip()));
    EXPECT_NEAR(tile_microseconds(Gemm{32, 32, 64, 1}, hardware, tiny_library(), 0.5), 2.6, exact);
    const OperatorCost half =
        operator_cost(Gemm{32, 32, 64, 1}, tiny_chip(), tiny_library(), Fidelity::tile, 0.5);
    EXPECT_NEAR(half.time.value() * 1e6, 2 + std::hypot(1.0, 1.2), exact);
    EXPECT_NEAR(half.matrix.value() * 1e6, 0.15, exact);
    EXPECT_NEAR(
        operator_cost(Gemm{32, 32, 64, 1}, hardware, tiny_library(), Fidelity::analytic, 0.5)
                .time.value() *
            1e6,
        2 + 0.6, exact);
}

TEST(GemmCost, CoreShareHasToBeOne) {
    for (const double share : {0.0, -1.0, 1.01, std::nan("")}) {
        EXPECT_THROW(tile_microseconds(Gemm{32, 32, 64, 1}, tiny_chip(), tiny_library(), share),
                     std::invalid_argument);
    }
}

TEST(UsableCores, RoundedAndAtLeastOne) {
    RankHardware hardware = tiny_chip();
    hardware.matrix_cores = 24;
    EXPECT_EQ(usable_cores(hardware, 1.0), 24);
    EXPECT_EQ(usable_cores(hardware, 0.5), 12);
    EXPECT_EQ(usable_cores(hardware, 0.67), 16);
    EXPECT_EQ(usable_cores(hardware, 0.001), 1);
}

// (a^p + b^p)^(1/p), at p = 1 the sum, in the limit the larger.
TEST(SmoothMaximum, ByHand) {
    EXPECT_DOUBLE_EQ(smooth_maximum(Seconds(3), Seconds(4), 2).value(), 5);
    EXPECT_DOUBLE_EQ(smooth_maximum(Seconds(4), Seconds(3), 2).value(), 5);
    EXPECT_DOUBLE_EQ(smooth_maximum(Seconds(3), Seconds(4), 1).value(), 7);
    EXPECT_DOUBLE_EQ(smooth_maximum(Seconds(3), Seconds(4), 1000).value(), 4);
    EXPECT_EQ(smooth_maximum(Seconds(0), Seconds(4), 2).value(), 4);
    EXPECT_EQ(smooth_maximum(Seconds(0), Seconds(0), 2).value(), 0);
}

// Each of 2 + 3 groups costs 0.5 us, and a single product nothing.
TEST(GemmCost, GroupsCostTimeIdleOrNot) {
    KernelLibrarySpec library = tiny_library();
    const RankHardware hardware = without_memory(tiny_chip());
    Gemm grouped{16, 16, 64, 2};
    const double before = tile_microseconds(grouped, hardware, library);
    for (auto& [dtype, habits] : library.gemm) habits.group_overhead = microseconds(0.5);
    EXPECT_NEAR(tile_microseconds(grouped, hardware, library), before + 1.0, exact);
    grouped.idle_groups = 3;
    EXPECT_NEAR(tile_microseconds(grouped, hardware, library), before + 2.5, exact);
    const Gemm single{16, 16, 64, 1};
    EXPECT_NEAR(tile_microseconds(single, hardware, library),
                tile_microseconds(single, hardware, tiny_library()), exact);
}

// Grouped products have habits of their own where the library has some; one group with idle ones
// beside it is a grouped product too.
TEST(GemmCost, GroupedHabitsDecideAboutGroups) {
    KernelLibrarySpec library = tiny_library();
    library.grouped_gemm = library.gemm;
    for (auto& [dtype, habits] : library.grouped_gemm) habits.launch = microseconds(100);
    const RankHardware hardware = without_memory(tiny_chip());
    Gemm gemm{16, 16, 64, 1};
    EXPECT_LT(tile_microseconds(gemm, hardware, library), 50);
    gemm.idle_groups = 1;
    EXPECT_GT(tile_microseconds(gemm, hardware, library), 100);
    EXPECT_GT(tile_microseconds(Gemm{16, 16, 64, 2}, hardware, library), 100);
}

// A library without tiles below 32 rows multiplies 32 rows for a product of one: 600 ns, not 300.
TEST(GemmCost, TheSmallestTileIsPaidInFull) {
    KernelLibrarySpec library = tiny_library();
    RankHardware hardware = without_feed(without_memory(tiny_chip()));
    hardware.accumulator = Bytes(2048);
    const Gemm product{1, 16, 64, 1};
    EXPECT_NEAR(tile_microseconds(product, hardware, library), 2 + 0.3, exact);
    for (auto& [dtype, habits] : library.gemm) habits.smallest_tile = 32;
    EXPECT_NEAR(tile_microseconds(product, hardware, library), 2 + 0.6, exact);
}

TEST(VectorCost, KernelsOfExpertsHaveTheirOwnHabits) {
    KernelLibrarySpec library = tiny_library();
    const VectorWork sort{"expert_permute", 8, 1, 100, 100}, norm{"rms_norm", 8, 1, 100, 100};
    const auto launch = [&](const VectorWork& work) {
        return operator_cost(work, tiny_chip(), library, Fidelity::tile, 1.0).launch;
    };
    EXPECT_EQ(launch(sort), launch(norm));
    library.expert_vector = library.vector;
    library.expert_vector->launch = microseconds(77);
    EXPECT_NEAR(launch(sort).value(), 77e-6, 1e-15);
    EXPECT_EQ(launch(norm), library.vector.launch);
}

}  // namespace
}  // namespace podsim
