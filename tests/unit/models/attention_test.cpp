// Multi-head latent attention of DeepSeek-V3/R1 by hand: shapes, work, bytes, names.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/unit/models/r1.hpp"

namespace podsim {
namespace {

using testing::ElementsAre;

StepShape decode(long sequences, long query, long context, int tensor_parallel = 1) {
    return {Phase::decode, sequences, query, context, tensor_parallel};
}
StepShape prefill(long sequences, long query, long context, int tensor_parallel = 1) {
    return {Phase::prefill, sequences, query, context, tensor_parallel};
}

TEST(AttentionBlock, DecodeNames) {
    EXPECT_THAT(names(attention_block(r1(), fp8_served(), decode(96, 1, 4096))),
                ElementsAre("attention_norm", "attention_quantise", "query_kv_down_projection",
                            "query_kv_norm", "query_quantise", "query_up_projection", "rotary",
                            "cache_append", "absorbed_query_product", "latent_attention",
                            "absorbed_value_product", "output_quantise", "output_projection"));
}

TEST(AttentionBlock, PrefillNames) {
    EXPECT_THAT(names(attention_block(r1(), fp8_served(), prefill(1, 4096, 4096))),
                ElementsAre("attention_norm", "attention_quantise", "query_kv_down_projection",
                            "query_kv_norm", "query_quantise", "query_up_projection", "rotary",
                            "cache_append", "kv_quantise", "kv_up_projection", "key_assembly",
                            "prefill_attention", "output_quantise", "output_projection"));
}

TEST(AttentionBlock, NothingToQuantiseInSixteenBits) {
    EXPECT_THAT(
        names(attention_block(r1(), Precision{}, decode(96, 1, 4096))),
        ElementsAre("attention_norm", "query_kv_down_projection", "query_kv_norm",
                    "query_up_projection", "rotary", "cache_append", "absorbed_query_product",
                    "latent_attention", "absorbed_value_product", "output_projection"));
}

// Uncompressed queries come straight from the hidden state.
TEST(AttentionBlock, UncompressedQuery) {
    ModelSpec model = r1();
    latent(model).query_rank = 0;
    const auto block = attention_block(model, fp8_served(), decode(96, 1, 4096));
    EXPECT_THAT(names(block),
                ElementsAre("attention_norm", "attention_quantise", "kv_down_projection",
                            "query_kv_norm", "query_projection", "rotary", "cache_append",
                            "absorbed_query_product", "latent_attention", "absorbed_value_product",
                            "output_quantise", "output_projection"));
    EXPECT_EQ(gemm(find(block, "kv_down_projection")).n, 576);
    EXPECT_EQ(gemm(find(block, "query_projection")).n, 24576);
    EXPECT_EQ(gemm(find(block, "query_projection")).k, 7168);
}

// 96 sequences with one draft token: m = 192. Linear layers FP8 x FP8 -> BF16, the absorbed
// products a head at a time in BF16.
TEST(AttentionBlock, DecodeShapes) {
    const auto block = attention_block(r1(), fp8_served(), decode(96, 2, 4096));
    const DType fp8 = DType::fp8, bf16 = DType::bf16;
    EXPECT_EQ(gemm(find(block, "query_kv_down_projection")),
              (Gemm{192, 2112, 7168, 1, fp8, fp8, bf16}));
    EXPECT_EQ(gemm(find(block, "query_up_projection")),
              (Gemm{192, 24576, 1536, 1, fp8, fp8, bf16}));
    EXPECT_EQ(gemm(find(block, "absorbed_query_product")),
              (Gemm{192, 512, 128, 128, bf16, bf16, bf16}));
    EXPECT_EQ(std::get<Attention>(find(block, "latent_attention").body),
              (Attention{AttentionForm::mla_absorbed, Phase::decode, 96, 2, 4096, 128, 1, 576, 512,
                         bf16, bf16}));
    EXPECT_EQ(gemm(find(block, "absorbed_value_product")),
              (Gemm{192, 128, 512, 128, bf16, bf16, bf16}));
    EXPECT_EQ(gemm(find(block, "output_projection")), (Gemm{192, 7168, 16384, 1, fp8, fp8, bf16}));
}

// Heads over 8 ranks: 16 each. Down-projections and cache stay whole.
TEST(AttentionBlock, TensorParallelDividesHeads) {
    const auto block = attention_block(r1(), fp8_served(), decode(96, 1, 4096, 8));
    EXPECT_EQ(gemm(find(block, "query_kv_down_projection")).n, 2112);
    EXPECT_EQ(gemm(find(block, "query_up_projection")).n, 3072);
    EXPECT_EQ(gemm(find(block, "absorbed_query_product")).groups, 16);
    EXPECT_EQ(std::get<Attention>(find(block, "latent_attention").body).heads, 16);
    EXPECT_EQ(gemm(find(block, "output_projection")).k, 2048);
    EXPECT_EQ(vector(find(block, "cache_append")).elements, 96 * 576);

    const auto expanded = attention_block(r1(), fp8_served(), prefill(1, 4096, 4096, 8));
    EXPECT_EQ(gemm(find(expanded, "kv_up_projection")).n, 16 * 256);
    EXPECT_EQ(std::get<Attention>(find(expanded, "prefill_attention").body).kv_heads, 16);
}

// Absorbed: a query token and head take 2 x (576 + 512) FLOP a key.
// 2 x 1088 x 128 heads x 4096 keys = 1,140,850,688 for one token of a 4096-token context; the
// products with W_uk and W_uv are 2 x 128 heads x 128 x 512 each.
TEST(AttentionBlock, AbsorbedWorkByHand) {
    const auto block = attention_block(r1(), Precision{}, decode(1, 1, 4096));
    EXPECT_EQ(matrix_work_of(find(block, "latent_attention").body).value(), 1'140'850'688);
    EXPECT_EQ(matrix_work_of(find(block, "absorbed_query_product").body).value(), 16'777'216);
    EXPECT_EQ(matrix_work_of(find(block, "absorbed_value_product").body).value(), 16'777'216);
}

// Expanded: 2 x (192 + 128) x 128 heads = 81,920 FLOP a visible pair, 4096 x 4097 / 2 of them;
// the latents of all 4096 tokens are expanded: 2 x 16,777,216 each.
TEST(AttentionBlock, ExpandedWorkByHand) {
    const auto block = attention_block(r1(), Precision{}, prefill(1, 4096, 4096));
    EXPECT_EQ(matrix_work_of(find(block, "prefill_attention").body).value(), 687'362'539'520);
    EXPECT_EQ(matrix_work_of(find(block, "kv_up_projection").body).value(),
              4096 * 2 * 16'777'216.0);
    EXPECT_EQ(std::get<Attention>(find(block, "prefill_attention").body),
              (Attention{AttentionForm::gqa, Phase::prefill, 1, 4096, 4096, 128, 128, 192, 128,
                         DType::bf16, DType::bf16}));
}

// Why prefill expands: at 4096 tokens absorbed attention would take 1088 / 320 = 3.4 times the
// work a pair; and why decode does not: 2 x 16,777,216 FLOP for each of 4096 cached latents
// against 2 x 16,777,216 in all.
TEST(AttentionBlock, EachPhaseTakesTheCheaperForm) {
    const double absorbed = matrix_work(attention_block(r1(), Precision{}, decode(1, 4096, 4096)));
    const double expanded = matrix_work(attention_block(r1(), Precision{}, prefill(1, 4096, 4096)));
    EXPECT_GT(absorbed, expanded);
    EXPECT_LT(matrix_work(attention_block(r1(), Precision{}, decode(1, 1, 4096))),
              matrix_work(attention_block(r1(), Precision{}, prefill(1, 1, 4096))));
}

// Of 4096 tokens 1024 are new: 3072 x 576 cached elements are read back, and all are expanded.
TEST(AttentionBlock, CachedPrefixIsReadBackAndExpanded) {
    Precision precision = fp8_served();
    precision.kv_cache = DType::fp8;
    const auto block = attention_block(r1(), precision, prefill(2, 1024, 4096));
    const VectorWork gather = vector(find(block, "cache_gather"));
    EXPECT_EQ(gather.elements, 2 * 3072 * 576);
    EXPECT_EQ(gather.read, 2 * 3072 * 576);
    EXPECT_EQ(gather.write, 2 * 2 * 3072 * 576);
    EXPECT_EQ(gemm(find(block, "kv_up_projection")).m, 2 * 4096);
    EXPECT_EQ(gemm(find(block, "query_up_projection")).m, 2 * 1024);
    EXPECT_EQ(vector(find(block, "kv_quantise")).elements, 2 * 4096 * 512);
    EXPECT_EQ(vector(find(block, "query_quantise")).elements, 2 * 1024 * 1536);
}

// Bytes a token, by hand.
TEST(AttentionBlock, VectorBytesByHand) {
    const auto block = attention_block(r1(), fp8_served(), decode(10, 1, 4096));
    // Sum and residual in, residual and normed out, all BF16; the weights once.
    const VectorWork first = vector(find(block, "attention_norm"));
    EXPECT_EQ(first.op, "residual_rms_norm");
    EXPECT_EQ(first.elements, 71'680);
    EXPECT_EQ(first.read, 10 * 4 * 7168 + 2 * 7168);
    EXPECT_EQ(first.write, 10 * 4 * 7168);
    // 7168 FP8 elements and 56 scales.
    const VectorWork quantise = vector(find(block, "attention_quantise"));
    EXPECT_EQ(quantise.read, 10 * 2 * 7168);
    EXPECT_EQ(quantise.write, 10 * (7168 + 56 * 4));
    const VectorWork latents = vector(find(block, "query_kv_norm"));
    EXPECT_EQ(latents.read, 10 * 2 * 2048 + 2 * 2048);
    EXPECT_EQ(latents.write, 10 * 2 * 2048);
    // 64 elements of each of 128 heads and of the one rotary key, in place.
    const VectorWork rotary = vector(find(block, "rotary"));
    EXPECT_EQ(rotary.elements, 10 * 129 * 64);
    EXPECT_EQ(rotary.read, 10 * 129 * 64 * 2);
    EXPECT_EQ(rotary.write, rotary.read);
    const VectorWork append = vector(find(block, "cache_append"));
    EXPECT_EQ(append.read, 10 * 576 * 2);
    EXPECT_EQ(append.write, 10 * 576 * 2);
    EXPECT_EQ(vector(find(block, "output_quantise")).write, 10 * (16384 + 128 * 4));

    const auto expanded = attention_block(r1(), fp8_served(), prefill(1, 10, 10));
    // Each head's 128 elements and one rotary key of 64 in, 128 keys of 192 out.
    const VectorWork keys = vector(find(expanded, "key_assembly"));
    EXPECT_EQ(keys.read, 10 * 2 * (128 * 128 + 64));
    EXPECT_EQ(keys.write, 10 * 2 * 128 * 192);
}

// Arithmetic on an element: norm 4 (square, sum, scale, weight) and 1 more with the residual;
// quantise 4 (magnitude, maximum, scale, round); rotary 3 (two products, a sum); copies none.
TEST(AttentionBlock, VectorWorkByHand) {
    const auto block = attention_block(r1(), fp8_served(), decode(10, 1, 4096));
    const auto work = [&block](const std::string& name) {
        return work_of(find(block, name).body).value();
    };
    EXPECT_EQ(work("attention_norm"), 10 * 7168 * 5);
    EXPECT_EQ(work("attention_quantise"), 10 * 7168 * 4);
    EXPECT_EQ(work("query_kv_norm"), 10 * 2048 * 4);
    EXPECT_EQ(work("rotary"), 10 * 129 * 64 * 3);
    EXPECT_EQ(work("cache_append"), 0);
}

// INT8 has one scale a token, FP4 a byte for 32 elements.
TEST(AttentionBlock, ScalesOfActivations) {
    Precision precision = fp8_served();
    precision.activations = DType::int8;
    EXPECT_EQ(
        vector(find(attention_block(r1(), precision, decode(10, 1, 4096)), "attention_quantise"))
            .write,
        10 * (7168 + 4));
    precision.activations = DType::fp4;
    EXPECT_EQ(
        vector(find(attention_block(r1(), precision, decode(10, 1, 4096)), "attention_quantise"))
            .write,
        10 * (3584 + 224));
}

// An 8-bit cache halves what attention reads; 8-bit attention also has its queries narrowed.
TEST(AttentionBlock, EightBitCacheAndAttention) {
    Precision precision = fp8_served();
    precision.kv_cache = DType::fp8;
    const auto cached = attention_block(r1(), precision, decode(96, 1, 4096));
    EXPECT_EQ(vector(find(cached, "cache_append")).write, 96 * 576);
    EXPECT_EQ(std::get<Attention>(find(cached, "latent_attention").body).kv, DType::fp8);

    precision.attention = DType::fp8;
    const auto narrow = attention_block(r1(), precision, decode(96, 1, 4096));
    EXPECT_EQ(vector(find(narrow, "attention_query_quantise")).read, 96 * 2 * 128 * 192);
    EXPECT_EQ(gemm(find(narrow, "absorbed_query_product")).b, DType::fp8);
    EXPECT_EQ(gemm(find(narrow, "absorbed_value_product")).c, DType::bf16);
}

TEST(AttentionBlock, RefusesWhatIsNoStep) {
    const Precision precision;
    EXPECT_THROW(attention_block(r1(), precision, decode(0, 1, 10)), std::invalid_argument);
    EXPECT_THROW(attention_block(r1(), precision, decode(1, 0, 10)), std::invalid_argument);
    EXPECT_THROW(attention_block(r1(), precision, prefill(1, 11, 10)), std::invalid_argument);
    EXPECT_THROW(attention_block(r1(), precision, decode(1, 1, 10, 3)), std::invalid_argument);
    EXPECT_THROW(attention_block(r1(), precision, decode(1, 1, 10, 0)), std::invalid_argument);
}

}  // namespace
}  // namespace podsim
