// Attention on the tiny chip, by hand.
//
// One KV head of 32 + 32 dimensions. A piece of 16 query rows against a block of 64 keys is
// 2 x 64 x 16 x 64 = 131,072 FLOP: four times the 300 ns of tiny_chip.hpp, 1.2 us.
#include "chips/attention_cost.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/chips/tiny_chip.hpp"

namespace podsim {
namespace {

constexpr double exact = 1e-9;  // microseconds

Attention attention(Phase phase, long batch, long query, long context, long heads = 16) {
    Attention a;
    a.phase = phase;
    a.batch = batch;
    a.query = query;
    a.context = context;
    a.heads = heads;
    a.kv_heads = 1;
    a.head_dim_qk = 32;
    a.head_dim_v = 32;
    return a;
}

double cores_only(const Attention& a) {
    return tile_microseconds(a, without_memory(tiny_chip()), tiny_library()) - 5;
}

// One sequence of 4 blocks, 16 heads: cut in four, a block on each core.
TEST(AttentionCost, SplitsKeysOverIdleCores) {
    EXPECT_NEAR(cores_only(attention(Phase::decode, 1, 1, 256)), 1.2, exact);
    // Three blocks do not fill four cores; no core has more than one.
    EXPECT_NEAR(cores_only(attention(Phase::decode, 1, 1, 192)), 1.2, exact);
    EXPECT_NEAR(cores_only(attention(Phase::decode, 1, 1, 257)), 2.4, exact);
}

// Every piece pays the library's overhead of 3 blocks. Four sequences of 4 blocks on four cores:
// uncut 4 + 3 block times. One sequence: uncut 7, in two 2 + 3, in four 1 + 3.
TEST(AttentionCost, SplitsPayTheirOverhead) {
    KernelLibrarySpec library = tiny_library();
    library.attention_decode.split_overhead = 3;
    const RankHardware hardware = without_memory(tiny_chip());
    const auto blocks = [&](const Attention& a) {
        return (tile_microseconds(a, hardware, library) - 5) / 1.2;
    };
    EXPECT_NEAR(blocks(attention(Phase::decode, 4, 1, 256)), 7, exact);
    EXPECT_NEAR(blocks(attention(Phase::decode, 1, 1, 256)), 4, exact);
    // Five sequences on four cores: uncut two waves of 7; in two, three waves of 5.
    EXPECT_NEAR(blocks(attention(Phase::decode, 5, 1, 256)), 14, exact);
}

// 17 rows are two pieces, and so are 16 heads with two query tokens each.
TEST(AttentionCost, RowsInWholeBlocks) {
    KernelLibrarySpec library = tiny_library();
    library.attention_decode.split_overhead = 1000;  // no cutting
    const RankHardware hardware = without_memory(tiny_chip());
    const auto blocks = [&](const Attention& a) {
        return (tile_microseconds(a, hardware, library) - 5) / 1.2 - 1000;
    };
    EXPECT_NEAR(blocks(attention(Phase::decode, 4, 1, 64, 16)), 1, 1e-6);
    EXPECT_NEAR(blocks(attention(Phase::decode, 2, 1, 64, 17)), 1, 1e-6);
    EXPECT_NEAR(blocks(attention(Phase::decode, 3, 1, 64, 17)), 1002, 1e-6);  // 6 pieces: 2 waves
    EXPECT_NEAR(blocks(attention(Phase::decode, 3, 2, 64, 16)), 1002, 1e-6);
}

// Fewer rows than a block pad to the instruction's 16 rows, not to the block: of 48, one row costs
// 16 and 17 cost 32. A second block is a whole one.
TEST(AttentionCost, FewRowsPadToTheMinimum) {
    KernelLibrarySpec library = tiny_library();
    library.attention_decode.row_block = 48;
    const RankHardware hardware = without_memory(tiny_chip());
    const auto blocks = [&](long heads) {
        return (tile_microseconds(attention(Phase::decode, 1, 1, 64, heads), hardware, library) -
                5) /
               1.2;
    };
    EXPECT_NEAR(blocks(1), 1, exact);
    EXPECT_NEAR(blocks(16), 1, exact);
    EXPECT_NEAR(blocks(17), 2, exact);
    EXPECT_NEAR(blocks(48), 3, exact);
    EXPECT_NEAR(blocks(49), 3, exact);  // two blocks on two cores
    EXPECT_NEAR(blocks(4 * 48 + 1), 6, exact);
    // An instruction of 64 rows does no less than 64.
    RankHardware wide = hardware;
    wide.minimum_rows = 64;
    EXPECT_NEAR((tile_microseconds(attention(Phase::decode, 1, 1, 64, 1), wide, library) - 5) / 1.2,
                4, exact);
    EXPECT_NEAR(
        (tile_microseconds(attention(Phase::decode, 1, 1, 64, 49), wide, library) - 5) / 1.2, 4,
        exact);
}

// Each KV head is a piece of its own: 32 heads over 2.
TEST(AttentionCost, KeyHeadsAreSeparatePieces) {
    Attention a = attention(Phase::decode, 2, 1, 64, 32);
    a.kv_heads = 2;
    EXPECT_NEAR(cores_only(a), 1.2, exact);
    a.batch = 4;
    EXPECT_NEAR(cores_only(a), 2.4, exact);
}

// Causal prefill: 127 new tokens behind 129 cached see 256 - 63 = 193 keys on average, 4 blocks.
// 16 heads of 127 tokens in blocks of 16 rows: 16 x 8 pieces, 512 block times over 4 cores. Decode
// packs the rows of all heads: 127 pieces.
TEST(AttentionCost, PrefillCountsTheMeanOfVisibleKeys) {
    EXPECT_NEAR(cores_only(attention(Phase::prefill, 1, 127, 256)), 128 * 1.2, 1e-6);
    EXPECT_NEAR(cores_only(attention(Phase::decode, 1, 127, 256)), 127 * 1.2, 1e-6);
    // From nothing: (128 + 1) / 2 keys, 2 blocks instead of 2.
    EXPECT_NEAR(cores_only(attention(Phase::prefill, 4, 128, 128)), 256 * 1.2, 1e-6);
    // 193 tokens from nothing see 97 on average, 2 blocks; decode would see 4. 4 x 16 x 13 pieces
    // instead of 4 x 193.
    EXPECT_NEAR(cores_only(attention(Phase::prefill, 4, 193, 193)), 416 * 1.2, 1e-6);
    EXPECT_NEAR(cores_only(attention(Phase::decode, 4, 193, 193)), 772 * 1.2, 1e-6);
}

// Memory: 256 x 64 x 2 B of cache and 16 x 64 x 2 B of queries and outputs, 34,816 B: 3.4 times
// the 10,240 B of tiny_chip.hpp, 4.08 us, beside 1.2 us of cores.
TEST(AttentionCost, ByHand) {
    const OperatorCost cost = operator_cost(attention(Phase::decode, 1, 1, 256), tiny_chip(),
                                            tiny_library(), Fidelity::tile, 1.0);
    EXPECT_NEAR(cost.time.value() * 1e6, 5 + std::hypot(1.2, 4.08), exact);
    EXPECT_EQ(cost.hbm.value(), 34816.0);
    EXPECT_NEAR(cost.hbm_time.value() * 1e6, 4.08, exact);
    // 2 x 64 x 16 x 256 FLOP at the peak of four cores: 16 x 32,768 / 4 in 150 ns each.
    EXPECT_NEAR(cost.matrix.value() * 1e6, 0.6, exact);
    EXPECT_NEAR(cost.launch.value() * 1e6, 5, exact);
    EXPECT_EQ(cost.basis, Confidence::derived);
    EXPECT_EQ(operator_cost(attention(Phase::decode, 1, 1, 256), tiny_chip(), tiny_library(),
                            Fidelity::analytic, 1.0)
                  .time.value(),
              (cost.launch + cost.hbm_time).value());
}

// 34,816 B against a ramp of 1 us and three times as many bytes: a quarter of it shows.
TEST(AttentionCost, RampOfAStream) {
    KernelLibrarySpec library = tiny_library();
    library.attention_decode.ramp = microseconds(1);
    library.attention_decode.ramp_bytes = Bytes(3 * 34816);
    EXPECT_NEAR(tile_microseconds(attention(Phase::decode, 1, 1, 256), tiny_chip(), library),
                5 + std::hypot(1.2, 4.33), exact);
}

// A latent cache is one entry of head_dim_qk for key and value: half of the bytes here.
TEST(AttentionCost, LatentCacheIsReadOnce) {
    Attention a = attention(Phase::decode, 1, 1, 256);
    a.form = AttentionForm::mla_absorbed;
    EXPECT_EQ(operator_cost(a, tiny_chip(), tiny_library(), Fidelity::tile, 1.0).hbm.value(),
              256 * 32 * 2 + 2048.0);
}

// A block of 64 keys takes 1.2 us of products and 0.3 us whatever the head size.
TEST(AttentionCost, BlocksHaveALatency) {
    KernelLibrarySpec library = tiny_library();
    library.attention_decode.block_latency = microseconds(0.3);
    EXPECT_NEAR(tile_microseconds(attention(Phase::decode, 1, 1, 256), without_memory(tiny_chip()),
                                  library),
                5 + 1.5, exact);
}

// Of the same cache format first, then of any, then grouped for multi-head, then what all have.
TEST(AttentionCost, KindsOfAttentionHaveTheirOwnHabits) {
    KernelLibrarySpec library = tiny_library();
    const auto habits = [&](AttentionForm form, Phase phase, long kv_heads, DType kv) {
        Attention a = attention(phase, 1, 1, 256);
        a.form = form;
        a.kv_heads = kv_heads;
        a.kv = kv;
        return attention_habits(library, a).launch.value() * 1e6;
    };
    const auto gqa = AttentionForm::gqa;
    EXPECT_NEAR(habits(gqa, Phase::decode, 16, DType::fp8), 5, exact);
    library.attention[AttentionKind::grouped_decode].launch = microseconds(6);
    library.attention[AttentionKind::grouped_decode_fp8].launch = microseconds(7);
    EXPECT_NEAR(habits(gqa, Phase::decode, 16, DType::bf16), 6, exact);
    EXPECT_NEAR(habits(gqa, Phase::decode, 16, DType::fp8), 7, exact);
    library.attention[AttentionKind::multi_head_decode].launch = microseconds(8);
    EXPECT_NEAR(habits(gqa, Phase::decode, 16, DType::fp8), 8, exact);
    EXPECT_NEAR(habits(gqa, Phase::decode, 1, DType::fp8), 7, exact);
    EXPECT_NEAR(habits(gqa, Phase::decode, 1, DType::bf16), 6, exact);
    EXPECT_NEAR(habits(AttentionForm::mla_absorbed, Phase::decode, 1, DType::fp8), 5, exact);
    EXPECT_NEAR(habits(gqa, Phase::prefill, 1, DType::bf16), 5, exact);
    library.attention[AttentionKind::grouped_prefill].launch = microseconds(9);
    EXPECT_NEAR(habits(gqa, Phase::prefill, 16, DType::fp8), 9, exact);
}

TEST(AttentionCost, DecodeAndPrefillHaveTheirOwnHabits) {
    KernelLibrarySpec library = tiny_library();
    library.attention_prefill.matrix_efficiency = 0.25;
    const RankHardware hardware = without_memory(tiny_chip());
    // In prefill each of the 16 heads is a piece: 64 block times over 4 cores.
    EXPECT_NEAR(tile_microseconds(attention(Phase::prefill, 1, 1, 256), hardware, library) - 5,
                16 * 2.4, exact);
    EXPECT_NEAR(tile_microseconds(attention(Phase::decode, 1, 1, 256), hardware, library) - 5, 1.2,
                exact);
}

// Half of the cores take two blocks each.
TEST(AttentionCost, CoreShareTakesCores) {
    const RankHardware hardware = without_memory(tiny_chip());
    EXPECT_NEAR(
        tile_microseconds(attention(Phase::decode, 1, 1, 256), hardware, tiny_library(), 0.5),
        5 + 2.4, exact);
    EXPECT_NEAR(operator_cost(attention(Phase::decode, 1, 1, 256), hardware, tiny_library(),
                              Fidelity::analytic, 0.5)
                        .time.value() *
                    1e6,
                5 + 2.4, exact);
}

TEST(AttentionCost, FormatTheChipLacksRunsWider) {
    Attention a = attention(Phase::decode, 1, 1, 256);
    a.compute = DType::fp8;
    const OperatorCost cost =
        operator_cost(a, without_memory(tiny_chip()), tiny_library(), Fidelity::tile, 1.0);
    EXPECT_NEAR(cost.time.value() * 1e6, 5 + 1.2, exact);
    EXPECT_THAT(cost.warning, testing::HasSubstr("fp8 runs at the rate of bf16"));
}

}  // namespace
}  // namespace podsim
