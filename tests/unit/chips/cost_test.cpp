// Vector operators and the bound.
#include "chips/cost.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "tests/unit/chips/tiny_chip.hpp"

namespace podsim {
namespace {

constexpr double exact = 1e-9;  // microseconds

// Launch 1 us, then the slower of 10,240 B (1.2 us at 80 % of the memory) and the arithmetic:
// 1,000 elements x 3 FLOP at half of 1 GFLOP/s, 6 us.
TEST(VectorCost, ByHand) {
    const VectorWork light{"add", 1000, 0.1, 8192, 2048}, heavy{"norm", 1000, 3, 8192, 2048};
    for (const Fidelity fidelity : {Fidelity::analytic, Fidelity::tile}) {
        const OperatorCost moved = operator_cost(light, tiny_chip(), tiny_library(), fidelity, 1.0);
        EXPECT_NEAR(moved.time.value() * 1e6, 1 + 1.2, exact);
        EXPECT_EQ(moved.hbm.value(), 10240.0);
        EXPECT_NEAR(moved.hbm_time.value() * 1e6, 1.2, exact);
        EXPECT_EQ(moved.matrix.value(), 0.0);
        EXPECT_NEAR(moved.vector.value() * 1e6, 0.1, exact);
        EXPECT_NEAR(moved.launch.value() * 1e6, 1, exact);
        EXPECT_EQ(moved.basis, Confidence::estimate);
        const OperatorCost computed =
            operator_cost(heavy, tiny_chip(), tiny_library(), fidelity, 1.0);
        EXPECT_NEAR(computed.time.value() * 1e6, 1 + 6, exact);
        EXPECT_NEAR(computed.vector.value() * 1e6, 3, exact);
    }
}

// Half of the cores double the arithmetic, not the memory traffic.
TEST(VectorCost, CoreShare) {
    EXPECT_NEAR(tile_microseconds(VectorWork{"norm", 1000, 3, 8192, 2048}, tiny_chip(),
                                  tiny_library(), 0.5),
                1 + 12, exact);
    EXPECT_NEAR(tile_microseconds(VectorWork{"add", 1000, 0.1, 8192, 2048}, tiny_chip(),
                                  tiny_library(), 0.5),
                1 + 1.2, exact);
}

// Rows that are one core's each: 10,240 B take one core 1 us at its feed, 4 us at an efficiency of
// a quarter, or 12 us of the work of a quarter of the vector units, 48 us. Four rows are four
// cores'; five are two turns of one core, of a row of 2,048 B each; memory asks for 1.2 us of any.
TEST(VectorCost, RowsAreOneCoresWork) {
    KernelLibrarySpec library = tiny_library();
    library.vector.row_efficiency = 0.25;
    const auto time = [&library](double flops, long rows, double share, Fidelity fidelity) {
        const VectorWork work{"top_k", 1000, flops, 8192, 2048, rows};
        return operator_cost(work, tiny_chip(), library, fidelity, share).time.value() * 1e6;
    };
    for (const Fidelity fidelity : {Fidelity::analytic, Fidelity::tile}) {
        EXPECT_NEAR(time(0.1, 0, 1, fidelity), 1 + 1.2, exact);
        EXPECT_NEAR(time(0.1, 1, 1, fidelity), 1 + 4, exact);
        EXPECT_NEAR(time(3, 1, 1, fidelity), 1 + 48, exact);
        EXPECT_NEAR(time(0.1, 2, 1, fidelity), 1 + 2, exact);
        EXPECT_NEAR(time(0.1, 4, 1, fidelity), 1 + 1.2, exact);
        EXPECT_NEAR(time(0.1, 5, 1, fidelity), 1 + 1.6, exact);
        EXPECT_NEAR(time(0.1, 4, 0.5, fidelity), 1 + 2, exact);  // two cores
    }
    RankHardware data_sheet = tiny_chip();  // no cores known: nothing of a core's feed either
    data_sheet.feed_per_core = BytesPerSecond(0);
    EXPECT_NEAR(
        tile_microseconds(VectorWork{"top_k", 1000, 0.1, 8192, 2048, 1}, data_sheet, library),
        1 + 1.2, exact);
}

// Where vector cores are apart they leave the matrix cores free.
TEST(VectorCost, OnItsOwnCoresWhereTheChipHasThem) {
    RankHardware hardware = tiny_chip();
    const VectorWork add{"add", 1, 1, 1, 1};
    EXPECT_FALSE(operator_cost(add, hardware, tiny_library(), Fidelity::tile, 1.0).on_vector_cores);
    hardware.separate_vector = true;
    EXPECT_TRUE(operator_cost(add, hardware, tiny_library(), Fidelity::tile, 1.0).on_vector_cores);
    EXPECT_FALSE(operator_cost(Gemm{1, 1, 1, 1}, hardware, tiny_library(), Fidelity::tile, 1.0)
                     .on_vector_cores);
}

// max(work / peak, bytes / bandwidth) of the data sheet: 0.15 us of products and 0.96 us of memory
// for 32 x 32 x 64; 131,072 x 4 FLOP in 0.6 us for attention once memory is out of the way.
TEST(RooflineBound, ByHand) {
    EXPECT_NEAR(roofline_bound(Gemm{32, 32, 64, 1}, tiny_chip()).value() * 1e6, 0.96, exact);
    EXPECT_NEAR(roofline_bound(Gemm{32, 32, 64, 1}, without_memory(tiny_chip())).value() * 1e6,
                0.15, exact);
    Attention a;
    a.batch = 1;
    a.context = 256;
    a.heads = 16;
    a.kv_heads = 1;
    a.head_dim_qk = a.head_dim_v = 32;
    EXPECT_NEAR(roofline_bound(a, without_memory(tiny_chip())).value() * 1e6, 0.6, exact);
    EXPECT_NEAR(roofline_bound(VectorWork{"norm", 1000, 3, 8192, 2048}, tiny_chip()).value() * 1e6,
                3, exact);
    EXPECT_NEAR(roofline_bound(VectorWork{"add", 1, 1, 8192, 2048}, tiny_chip()).value() * 1e6,
                0.96, exact);
}

// FP4 activations beside BF16 weights on units that know BF16 alone: BF16 it is, and somebody has
// to make it so. Where 8-bit units take FP4 as it is, nothing is to be said.
TEST(OperatorCost, NarrowActivationsAreWidened) {
    const auto warning = [](const RankHardware& hardware, DType a, DType b) {
        KernelLibrarySpec library = tiny_library();
        library.gemm[DType::fp8] = library.gemm.at(DType::bf16);
        return operator_cost(Gemm{32, 32, 64, 1, a, b}, hardware, library, Fidelity::tile, 1.0)
            .warning;
    };
    RankHardware chip = tiny_chip();
    EXPECT_EQ(warning(chip, DType::fp4, DType::bf16),
              "fp4 activations are widened to bf16, which the matrix units take: the time of that "
              "is left out");
    EXPECT_EQ(warning(chip, DType::bf16, DType::bf16), "");
    chip.peak_matrix[DType::fp8] = 2 * chip.peak_matrix.at(DType::bf16);
    EXPECT_NE(warning(chip, DType::fp4, DType::fp8), "");
    chip.peak_matrix[DType::fp4] = chip.peak_matrix.at(DType::fp8);
    EXPECT_EQ(warning(chip, DType::fp4, DType::fp8), "");
}

TEST(Fidelity, Names) {
    for (const auto& [name, fidelity] : names_of(static_cast<const Fidelity*>(nullptr))) {
        EXPECT_EQ(to_string(fidelity), name);
    }
}

}  // namespace
}  // namespace podsim
