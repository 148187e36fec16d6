// Feed-forward, experts, embedding, head and draft blocks of DeepSeek-V3/R1 by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/unit/models/grouped_query_specs.hpp"
#include "tests/unit/models/r1.hpp"

namespace podsim {
namespace {

using testing::ElementsAre;

constexpr DType fp8 = DType::fp8, bf16 = DType::bf16;

TEST(DenseFfnBlock, ShapesAndBytes) {
    const auto block = dense_ffn_block(r1(), fp8_served(), 100, 1);
    EXPECT_THAT(names(block),
                ElementsAre("dense_ffn_norm", "dense_ffn_quantise", "dense_ffn_gate_up",
                            "dense_ffn_swiglu", "dense_ffn_down"));
    EXPECT_EQ(gemm(block[2]), (Gemm{100, 36864, 7168, 1, fp8, fp8, bf16}));
    EXPECT_EQ(gemm(block[4]), (Gemm{100, 7168, 18432, 1, fp8, fp8, bf16}));
    // Gate and up in BF16; 18432 FP8 elements and 144 scales out.
    EXPECT_EQ(vector(block[3]).op, "swiglu_quantise");
    EXPECT_EQ(vector(block[3]).read, 100 * 2 * 2 * 18432);
    EXPECT_EQ(vector(block[3]).write, 100 * (18432 + 144 * 4));
    // SwiGLU 5 (exponential, add, divide, two products) and 4 to quantise.
    EXPECT_EQ(work_of(block[3].body).value(), 100 * 18432 * 9);
    // 2 x 3 x 7168 x 18432 a token.
    EXPECT_EQ(matrix_work(block), 100 * 792'723'456.0);
}

TEST(DenseFfnBlock, SixteenBits) {
    const auto block = dense_ffn_block(r1(), Precision{}, 100, 1);
    EXPECT_THAT(names(block), ElementsAre("dense_ffn_norm", "dense_ffn_gate_up", "dense_ffn_swiglu",
                                          "dense_ffn_down"));
    EXPECT_EQ(vector(block[2]).op, "swiglu");
    EXPECT_EQ(work_of(block[2].body).value(), 100 * 18432 * 5);
    EXPECT_EQ(vector(block[2]).write, 100 * 18432 * 2);
}

TEST(DenseFfnBlock, TensorParallelDividesTheWidthRoundedUp) {
    const auto block = dense_ffn_block(r1(), Precision{}, 100, 5);  // 18432 / 5 = 3686.4
    EXPECT_EQ(gemm(find(block, "dense_ffn_gate_up")).n, 2 * 3687);
    EXPECT_EQ(gemm(find(block, "dense_ffn_down")).k, 3687);
}

TEST(RouterBlock, ShapesAndBytes) {
    const auto block = router_block(r1(), fp8_served(), 100);
    EXPECT_THAT(names(block),
                ElementsAre("router_norm", "router_gate", "router_top_k", "dispatch_quantise"));
    EXPECT_EQ(gemm(block[1]), (Gemm{100, 256, 7168, 1, bf16, bf16, DType::fp32}));
    // FP32 scores and the bias in; 8 weights and 8 indices out.
    EXPECT_EQ(vector(block[2]).elements, 100 * 256);
    EXPECT_EQ(vector(block[2]).read, 100 * 256 * 4 + 256 * 4);
    EXPECT_EQ(vector(block[2]).write, 100 * 8 * 8);
    EXPECT_EQ(vector(block[3]).write, 100 * (7168 + 56 * 4));
}

// One group: no group scores.
TEST(RouterBlock, UngroupedChoiceIsLessWork) {
    ModelSpec model = r1();
    model.expert_groups = model.groups_per_token = 1;
    const auto grouped = router_block(r1(), Precision{}, 1),
               flat = router_block(model, Precision{}, 1);
    EXPECT_EQ(vector(grouped[2]).flops_per_element, 4 + 1 + 2 + 8);
    EXPECT_EQ(vector(flat[2]).flops_per_element, 4 + 1 + 8);
    EXPECT_THAT(names(flat), ElementsAre("router_norm", "router_gate", "router_top_k"));
}

// Softmax: maximum, subtract, exponential, sum, divide; no bias is read.
TEST(RouterBlock, SoftmaxHasNoBias) {
    const auto block = router_block(mixtral_8x7b(), Precision{}, 100);
    EXPECT_THAT(names(block), ElementsAre("router_norm", "router_gate", "router_top_k"));
    EXPECT_EQ(gemm(block[1]), (Gemm{100, 8, 4096, 1, bf16, bf16, DType::fp32}));
    EXPECT_EQ(vector(block[2]).flops_per_element, 5 + 2);
    EXPECT_EQ(vector(block[2]).read, 100 * 8 * 4);
    EXPECT_EQ(vector(block[2]).write, 100 * 2 * 8);
}

// A dense model, and what an attention-and-experts model lacks; a call without tokens is still
// refused.
TEST(Blocks, WhatTheModelHasNoneOf) {
    const Precision precision;
    EXPECT_TRUE(router_block(llama_8b(), precision, 100).empty());
    EXPECT_TRUE(expert_block(llama_8b(), precision, 4, 50, "expert").empty());
    EXPECT_TRUE(expert_block(llama_8b(), precision, 1, 50, "shared_expert").empty());
    EXPECT_TRUE(combine_block(llama_8b(), precision, 100, 2).empty());
    EXPECT_TRUE(draft_block(llama_8b(), precision, 100).empty());
    EXPECT_TRUE(dense_ffn_block(mixtral_8x7b(), precision, 100, 1).empty());
    EXPECT_THROW(router_block(llama_8b(), precision, 0), std::invalid_argument);
    EXPECT_THROW(combine_block(llama_8b(), precision, 0, 2), std::invalid_argument);
    EXPECT_THROW(draft_block(llama_8b(), precision, 0), std::invalid_argument);
    EXPECT_THROW(dense_ffn_block(mixtral_8x7b(), precision, 0, 1), std::invalid_argument);
}

TEST(ExpertBlock, ShapesAndBytes) {
    Precision precision = fp8_served();
    precision.experts = DType::fp4;
    const auto block = expert_block(r1(), precision, 4, 50, "expert");
    EXPECT_THAT(names(block), ElementsAre("expert_gate_up", "expert_swiglu", "expert_down"));
    EXPECT_EQ(gemm(block[0]), (Gemm{50, 4096, 7168, 4, fp8, DType::fp4, bf16}));
    EXPECT_EQ(gemm(block[2]), (Gemm{50, 7168, 2048, 4, fp8, DType::fp4, bf16}));
    EXPECT_EQ(vector(block[1]).elements, 200 * 2048);
    EXPECT_EQ(vector(block[1]).read, 200 * 2 * 2 * 2048);
    EXPECT_EQ(vector(block[1]).write, 200 * (2048 + 16 * 4));
}

// A shared expert is in the format of the other weights; two of them are one wide FFN.
TEST(ExpertBlock, SharedExpert) {
    Precision precision = fp8_served();
    precision.experts = DType::fp4;
    ModelSpec model = r1();
    const auto one = expert_block(model, precision, 1, 100, "shared_expert");
    EXPECT_THAT(names(one),
                ElementsAre("shared_expert_gate_up", "shared_expert_swiglu", "shared_expert_down"));
    EXPECT_EQ(gemm(one[0]), (Gemm{100, 4096, 7168, 1, fp8, fp8, bf16}));
    model.shared_intermediate = 2 * 2048;
    const auto two = expert_block(model, precision, 1, 100, "shared_expert");
    EXPECT_EQ(gemm(two[0]).n, 2 * 4096);
    EXPECT_EQ(gemm(two[2]).k, 2 * 2048);
    model.shared_intermediate = 0;
    EXPECT_TRUE(expert_block(model, precision, 1, 100, "shared_expert").empty());
}

// What arrives in another format than the products take is converted first: the routed experts'
// tokens from the dispatched format, the shared one's from the residual stream.
TEST(ExpertBlock, ConvertsWhatWasDispatchedOtherwise) {
    Precision precision = fp8_served();
    precision.dispatch = bf16;
    const auto narrowed = expert_block(r1(), precision, 4, 50, "expert");
    EXPECT_EQ(narrowed[0].name, "expert_quantise");
    EXPECT_EQ(vector(narrowed[0]).read, 200 * 7168 * 2);
    EXPECT_EQ(vector(narrowed[0]).write, 200 * (7168 + 56 * 4));
    EXPECT_EQ(expert_block(r1(), precision, 1, 50, "shared_expert")[0].name,
              "shared_expert_quantise");

    Precision widened;
    widened.dispatch = fp8;
    const auto routed = expert_block(r1(), widened, 4, 50, "expert");
    EXPECT_EQ(routed[0].name, "expert_dequantise");
    EXPECT_EQ(vector(routed[0]).op, "dequantise");
    EXPECT_EQ(vector(routed[0]).read, 200 * (7168 + 56 * 4));
    EXPECT_EQ(vector(routed[0]).write, 200 * 7168 * 2);
    EXPECT_EQ(expert_block(r1(), widened, 1, 50, "shared_expert")[0].name, "shared_expert_gate_up");
}

TEST(ExpertBlock, QuantisesForAnEightBitCombine) {
    Precision precision = fp8_served();
    precision.combine = DType::int8;
    const auto routed = expert_block(r1(), precision, 4, 50, "expert");
    EXPECT_EQ(routed.back().name, "expert_combine_quantise");
    EXPECT_EQ(vector(routed.back()).write, 200 * (7168 + 4));
    EXPECT_EQ(expert_block(r1(), precision, 1, 50, "shared_expert").back().name,
              "shared_expert_down");
}

TEST(ExpertBlock, NoActiveExpertsNoWork) {
    EXPECT_TRUE(expert_block(r1(), Precision{}, 0, 0, "expert").empty());
    EXPECT_THROW(expert_block(r1(), Precision{}, 1, 0, "expert"), std::invalid_argument);
    EXPECT_THROW(expert_block(r1(), Precision{}, -1, 1, "expert"), std::invalid_argument);
    EXPECT_THROW(expert_block(r1(), Precision{}, 1, 1, "experts"), std::invalid_argument);
}

// Nine rows of 7168 BF16 elements and their weights in, one row out.
TEST(CombineBlock, SumsItsCopies) {
    const auto block = combine_block(r1(), fp8_served(), 100, 9);
    ASSERT_THAT(names(block), ElementsAre("combine_sum"));
    EXPECT_EQ(vector(block[0]).read, 100 * 9 * (7168 * 2 + 4));
    EXPECT_EQ(vector(block[0]).write, 100 * 7168 * 2);
    EXPECT_EQ(work_of(block[0].body).value(), 100.0 * 7168 * 18);
}

TEST(EmbeddingBlock, GathersRows) {
    const auto block = embedding_block(r1(), fp8_served(), 100);
    ASSERT_THAT(names(block), ElementsAre("embedding"));
    EXPECT_EQ(vector(block[0]).read, 100 * (7168 * 2 + 4));
    EXPECT_EQ(vector(block[0]).write, 100 * 7168 * 2);
}

// The head stays in BF16. 129280 / 3 = 43093.3.
TEST(HeadBlock, DividesTheVocabularyRoundedUp) {
    const auto block = head_block(r1(), fp8_served(), 100, 3);
    EXPECT_THAT(names(block), ElementsAre("final_norm", "head_projection", "sampling"));
    EXPECT_EQ(gemm(block[1]), (Gemm{100, 43094, 7168, 1, bf16, bf16, bf16}));
    EXPECT_EQ(vector(block[2]).read, 100.0 * 43094 * 2);
    EXPECT_EQ(vector(block[2]).write, 100 * 4);
    // Softmax and choice: maximum, subtract, exponential, sum, compare.
    EXPECT_EQ(work_of(block[2].body).value(), 100.0 * 43094 * 5);
    EXPECT_EQ(matrix_work(head_block(r1(), Precision{}, 1, 1)), 2 * 926'679'040.0);
}

TEST(HeadBlock, NoOutputsNoWork) {
    EXPECT_TRUE(head_block(r1(), Precision{}, 0, 1).empty());
    EXPECT_THROW(head_block(r1(), Precision{}, -1, 1), std::invalid_argument);
    EXPECT_THROW(head_block(r1(), Precision{}, 1, 0), std::invalid_argument);
}

TEST(DraftBlock, JoinsEmbeddingAndHiddenState) {
    const auto block = draft_block(r1(), fp8_served(), 100);
    EXPECT_THAT(names(block), ElementsAre("draft_embedding_norm", "draft_hidden_norm",
                                          "draft_concatenation", "draft_projection"));
    EXPECT_EQ(gemm(block[3]), (Gemm{100, 7168, 14336, 1, bf16, bf16, bf16}));
    EXPECT_EQ(vector(block[2]).read, 100 * 2 * 7168 * 2);
    EXPECT_EQ(vector(block[2]).write, 100 * 2 * 7168 * 2);
}

TEST(Blocks, RefuseAStepWithoutTokens) {
    const Precision precision;
    EXPECT_THROW(dense_ffn_block(r1(), precision, 0, 1), std::invalid_argument);
    EXPECT_THROW(dense_ffn_block(r1(), precision, 1, 0), std::invalid_argument);
    EXPECT_THROW(router_block(r1(), precision, 0), std::invalid_argument);
    EXPECT_THROW(combine_block(r1(), precision, 0, 8), std::invalid_argument);
    EXPECT_THROW(combine_block(r1(), precision, 1, 0), std::invalid_argument);
    EXPECT_THROW(embedding_block(r1(), precision, 0), std::invalid_argument);
    EXPECT_THROW(draft_block(r1(), precision, 0), std::invalid_argument);
}

}  // namespace
}  // namespace podsim
