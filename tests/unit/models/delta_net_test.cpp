// Gated delta nets by hand, at the sizes of Qwen3-Next-80B-A3B.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/unit/models/r1.hpp"

namespace podsim {
namespace {

using testing::ElementsAre;

constexpr DType bf16 = DType::bf16;

// 16 key heads and 32 value heads of 128, a convolution over 4 tokens.
DeltaNetAttention delta() {
    DeltaNetAttention kind;
    kind.key_heads = 16;
    kind.value_heads = 32;
    kind.key_dim = kind.value_dim = 128;
    kind.convolution = 4;
    return kind;
}
ModelSpec model() {
    ModelSpec model;
    model.name = "delta";
    model.hidden = 2048;
    model.vocabulary = 1000;
    model.attentions = {delta()};
    model.layers = dense_then_experts(1, 1);
    model.dense_intermediate = 100;
    return model;
}

StepShape decode(long sequences, long query, long context, int tensor_parallel = 1) {
    return {Phase::decode, sequences, query, context, tensor_parallel};
}

TEST(DeltaNet, Names) {
    EXPECT_THAT(names(attention_block(model(), Precision{}, decode(10, 1, 4096))),
                ElementsAre("attention_norm", "delta_input_projection", "causal_convolution",
                            "delta_rule", "delta_gated_norm", "output_projection"));
    EXPECT_THAT(names(attention_block(model(), fp8_served(), decode(10, 1, 4096))),
                ElementsAre("attention_norm", "attention_quantise", "delta_input_projection",
                            "causal_convolution", "delta_rule", "delta_gated_norm",
                            "output_quantise", "output_projection"));
}

// Channels: queries and keys of 16 x 128, values of 32 x 128, 8192 in all. Projected with them a
// gate of 4096 and two numbers a value head: 12,352.
TEST(DeltaNet, ShapesAndBytes) {
    const auto block = attention_block(model(), Precision{}, decode(10, 1, 4096));
    EXPECT_EQ(gemm(find(block, "delta_input_projection")),
              (Gemm{10, 12'352, 2048, 1, bf16, bf16, bf16}));
    EXPECT_EQ(gemm(find(block, "output_projection")), (Gemm{10, 2048, 4096, 1, bf16, bf16, bf16}));
    // Four taps of a product and a sum, silu 4. The last three inputs of each channel of a
    // sequence come in and go out.
    const VectorWork convolution = vector(find(block, "causal_convolution"));
    EXPECT_EQ(convolution.elements, 81'920);
    EXPECT_EQ(convolution.flops_per_element, 12);
    EXPECT_EQ(convolution.read, 2 * (81'920 + 3 * 81'920));
    EXPECT_EQ(convolution.write, convolution.read);
    EXPECT_EQ(std::get<DeltaRule>(find(block, "delta_rule").body),
              (DeltaRule{Phase::decode, 10, 1, 16, 32, 128, 128, bf16}));
    // Norm 4, silu 4 and a product; results and gates in.
    const VectorWork gated = vector(find(block, "delta_gated_norm"));
    EXPECT_EQ(gated.elements, 40'960);
    EXPECT_EQ(gated.flops_per_element, 9);
    EXPECT_EQ(gated.read, 2 * 2 * 40'960);
    EXPECT_EQ(gated.write, 2 * 40'960);
}

// 7 x 128 x 128 FLOP a value head and token: 3,670,016 for 32 heads, on matrix units in prefill
// alone, whatever the context.
TEST(DeltaNet, WorkByHand) {
    const auto rule = [](const StepShape& shape) {
        return find(attention_block(model(), Precision{}, shape), "delta_rule").body;
    };
    EXPECT_EQ(work_of(rule(decode(10, 1, 4096))).value(), 10 * 3'670'016);
    EXPECT_EQ(work_of(rule(decode(10, 2, 100'000))).value(), 20 * 3'670'016);
    EXPECT_EQ(matrix_work_of(rule(decode(10, 1, 4096))).value(), 0);
    const StepShape prompt{Phase::prefill, 2, 500, 4096, 1};
    EXPECT_EQ(matrix_work_of(rule(prompt)).value(), 1000 * 3'670'016.0);
    // The convolution's past is of a sequence, not of a token.
    const VectorWork convolution =
        vector(find(attention_block(model(), Precision{}, prompt), "causal_convolution"));
    EXPECT_EQ(convolution.read, 2 * (1000 + 2 * 3) * 8192);
}

// 3 x 8192 inputs and 32 states of 128 x 128 in FP32: 49,152 + 2,097,152 B, however long.
TEST(DeltaNet, CacheIsOfFixedSize) {
    for (const long context : {1L, 4096L, 1'000'000L}) {
        const CacheElements cache = layer_cache(delta(), context, 1);
        EXPECT_EQ(cache.recent, 24'576);
        EXPECT_EQ(cache.index, 0);
        EXPECT_EQ(cache.state, 524'288);
        EXPECT_EQ(cache.bytes(Precision{}).value(), 2'146'304);
    }
    EXPECT_EQ(cache_per_token(model()).kv, 0);
    EXPECT_EQ(cache_per_token(model()).state, 0);
    EXPECT_EQ(layer_cache(delta(), 4096, 8).recent, 24'576 / 8);
    EXPECT_EQ(layer_cache(delta(), 4096, 8).state, 524'288 / 8);
}

// 12,352 x 2048 and 2048 x 4096, four taps a channel, two numbers a value head; a norm of 128.
TEST(DeltaNet, Parameters) {
    EXPECT_EQ(count_parameters(model()).attention, 25'296'896 + 8'388'608 + 4 * 8192 + 64);
    EXPECT_EQ(count_parameters(model()).norms, 3 * 2048 + 128);
}

// Over 8 ranks 2 key heads and 4 value heads: 2 x 256 + 512 channels, 512 of the gate, 8 numbers.
TEST(DeltaNet, TensorParallelDividesHeads) {
    const auto block = attention_block(model(), Precision{}, decode(10, 1, 4096, 8));
    EXPECT_EQ(gemm(find(block, "delta_input_projection")).n, 1544);
    EXPECT_EQ(gemm(find(block, "output_projection")).k, 512);
    EXPECT_EQ(std::get<DeltaRule>(find(block, "delta_rule").body),
              (DeltaRule{Phase::decode, 10, 1, 2, 4, 128, 128, bf16}));
    EXPECT_EQ(attention_bytes(weight_bytes(model(), Precision{}, 8)).value(),
              2 * (1544 * 2048 + 2048 * 512 + 4 * 1024 + 8 + 128));
    EXPECT_EQ(widest_of_attention(delta(), true, 1), 12'288);
    EXPECT_EQ(widest_of_attention(delta(), false, 8), 1536);
    // 32 ranks divide the value heads, but not the key heads.
    EXPECT_EQ(division_problem(model(), 16), "");
    EXPECT_NE(division_problem(model(), 32), "");
    EXPECT_THROW(attention_block(model(), Precision{}, decode(10, 1, 4096, 32)),
                 std::invalid_argument);
}

}  // namespace
}  // namespace podsim
