// Grouped-query attention by hand: shapes, work, bytes, names, tensor parallelism.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/unit/models/grouped_query_specs.hpp"
#include "tests/unit/models/r1.hpp"

namespace podsim {
namespace {

using testing::ElementsAre;

constexpr DType fp8 = DType::fp8, bf16 = DType::bf16;

StepShape decode(long sequences, long query, long context, int tensor_parallel = 1) {
    return {Phase::decode, sequences, query, context, tensor_parallel};
}
StepShape prefill(long sequences, long query, long context, int tensor_parallel = 1) {
    return {Phase::prefill, sequences, query, context, tensor_parallel};
}
Attention attention(const std::vector<Operator>& block, const std::string& name) {
    return std::get<Attention>(find(block, name).body);
}

TEST(GroupedQueryBlock, Names) {
    const Precision precision;
    EXPECT_THAT(names(attention_block(llama_8b(), precision, decode(64, 1, 4096))),
                ElementsAre("attention_norm", "query_key_value_projection", "rotary",
                            "cache_append", "grouped_query_attention", "output_projection"));
    EXPECT_THAT(names(attention_block(llama_8b(), precision, prefill(1, 512, 4096))),
                ElementsAre("attention_norm", "query_key_value_projection", "rotary",
                            "cache_append", "prefill_attention", "output_projection"));
    EXPECT_THAT(names(attention_block(qwen3_30b_a3b(), fp8_served(), decode(64, 1, 4096))),
                ElementsAre("attention_norm", "attention_quantise", "query_key_value_projection",
                            "query_key_norm", "rotary", "cache_append", "grouped_query_attention",
                            "output_quantise", "output_projection"));
}

// 64 sequences with one draft token: m = 128. 32 query heads and 8 of keys and of values, 128 wide:
// n = (32 + 2 x 8) x 128 = 6144.
TEST(GroupedQueryBlock, DecodeShapes) {
    const auto block = attention_block(llama_8b(), fp8_served(), decode(64, 2, 4096));
    EXPECT_EQ(gemm(find(block, "query_key_value_projection")),
              (Gemm{128, 6144, 4096, 1, fp8, fp8, bf16}));
    EXPECT_EQ(
        attention(block, "grouped_query_attention"),
        (Attention{AttentionForm::gqa, Phase::decode, 64, 2, 4096, 32, 8, 128, 128, bf16, bf16}));
    EXPECT_EQ(gemm(find(block, "output_projection")), (Gemm{128, 4096, 4096, 1, fp8, fp8, bf16}));
}

// Qwen3's heads together, 32 x 128, are twice as wide as its hidden state.
TEST(GroupedQueryBlock, HeadsWiderThanTheHiddenState) {
    const auto block = attention_block(qwen3_30b_a3b(), Precision{}, decode(64, 1, 4096));
    EXPECT_EQ(gemm(find(block, "query_key_value_projection")).n, (32 + 2 * 4) * 128);
    EXPECT_EQ(gemm(find(block, "query_key_value_projection")).k, 2048);
    EXPECT_EQ(gemm(find(block, "output_projection")).n, 2048);
    EXPECT_EQ(gemm(find(block, "output_projection")).k, 4096);
}

// A query token and head take 2 x (128 + 128) FLOP a key: 512 x 32 heads x 4096 keys = 67,108,864
// for one token of a 4096-token context, and for a prompt of 4096 its 4096 x 4097 / 2 pairs.
TEST(GroupedQueryBlock, WorkByHand) {
    const auto work = [](const StepShape& shape, const std::string& name) {
        return work_of(find(attention_block(llama_8b(), Precision{}, shape), name).body).value();
    };
    EXPECT_EQ(work(decode(1, 1, 4096), "grouped_query_attention"), 67'108'864);
    EXPECT_EQ(work(prefill(1, 4096, 4096), "prefill_attention"), 137'472'507'904);
}

// Of 4096 tokens 1024 are new: they are projected and appended, and see 1024 x 3072 + 1024 x 1025
// / 2 = 3,670,528 pairs; the cached prefix is read by attention and costs nothing else.
TEST(GroupedQueryBlock, CachedPrefixIsReadByAttentionAlone) {
    Precision precision;
    precision.kv_cache = fp8;
    const auto block = attention_block(llama_8b(), precision, prefill(2, 1024, 4096));
    EXPECT_EQ(names(block), names(attention_block(llama_8b(), precision, prefill(2, 4096, 4096))));
    EXPECT_EQ(gemm(find(block, "query_key_value_projection")).m, 2048);
    EXPECT_EQ(vector(find(block, "cache_append")).elements, 2048 * 2048);
    const Operator core = find(block, "prefill_attention");
    EXPECT_EQ(work_of(core.body).value(), 2 * 512 * 32 * 3'670'528.0);
    // Keys and values of 2 x 4096 tokens in FP8; queries in and results out in BF16.
    EXPECT_EQ(compulsory_bytes_of(core.body).value(),
              2 * 4096 * 2048 + 2 * 1024 * 32 * (128 + 128) * 2.0);
    EXPECT_EQ(std::get<Attention>(core.body).kv, fp8);
}

// Bytes and arithmetic of 10 tokens.
TEST(GroupedQueryBlock, VectorOperatorsByHand) {
    Precision precision = fp8_served();
    precision.kv_cache = fp8;
    const auto block = attention_block(qwen3_30b_a3b(), precision, decode(10, 1, 4096));
    // 36 heads of queries and keys, 128 wide, in and out; a weight of 128 for each of the two.
    const VectorWork normed = vector(find(block, "query_key_norm"));
    EXPECT_EQ(normed.op, "rms_norm");
    EXPECT_EQ(normed.elements, 10 * 36 * 128);
    EXPECT_EQ(normed.flops_per_element, 4);
    EXPECT_EQ(normed.read, 10 * 36 * 128 * 2 + 2 * 128 * 2);
    EXPECT_EQ(normed.write, 10 * 36 * 128 * 2);
    // All of each head is turned; values are not.
    const VectorWork rotary = vector(find(block, "rotary"));
    EXPECT_EQ(rotary.elements, 10 * 36 * 128);
    EXPECT_EQ(rotary.flops_per_element, 3);
    EXPECT_EQ(rotary.read, 10 * 36 * 128 * 2);
    EXPECT_EQ(rotary.write, rotary.read);
    // 4 keys and 4 values.
    const VectorWork append = vector(find(block, "cache_append"));
    EXPECT_EQ(append.elements, 10 * 1024);
    EXPECT_EQ(append.read, 10 * 1024 * 2);
    EXPECT_EQ(append.write, 10 * 1024);
    EXPECT_EQ(work_of(find(block, "cache_append").body).value(), 0);
    EXPECT_EQ(vector(find(block, "output_quantise")).elements, 10 * 4096);
}

TEST(GroupedQueryBlock, EightBitAttentionNarrowsItsQueries) {
    Precision precision;
    precision.attention = precision.kv_cache = fp8;
    const auto block = attention_block(llama_8b(), precision, prefill(1, 100, 4096));
    EXPECT_EQ(vector(find(block, "attention_query_quantise")).elements, 100 * 4096);
    EXPECT_EQ(attention(block, "prefill_attention").compute, fp8);
}

// Llama's 32 heads and 8 kv heads: divided by 4, one kv head a rank on 8, and on 16 and 32 ranks
// each still holds one.
TEST(GroupedQueryTensorParallel, AtLeastOneKvHeadARank) {
    for (const auto& [ranks, heads, kv_heads] :
         std::vector<std::tuple<int, int, int>>{{4, 8, 2}, {8, 4, 1}, {16, 2, 1}, {32, 1, 1}}) {
        SCOPED_TRACE(ranks);
        const auto block = attention_block(llama_8b(), Precision{}, decode(64, 1, 4096, ranks));
        EXPECT_EQ(gemm(find(block, "query_key_value_projection")).n, (heads + 2 * kv_heads) * 128);
        EXPECT_EQ(gemm(find(block, "output_projection")).k, heads * 128);
        EXPECT_EQ(attention(block, "grouped_query_attention").heads, heads);
        EXPECT_EQ(attention(block, "grouped_query_attention").kv_heads, kv_heads);
        EXPECT_EQ(vector(find(block, "cache_append")).elements, 64 * 2 * kv_heads * 128);
        // Two projections of heads x 128 and 2 of kv_heads x 128, BF16.
        EXPECT_EQ(attention_bytes(weight_bytes(llama_8b(), Precision{}, ranks)).value(),
                  2.0 * (2 * heads + 2 * kv_heads) * 128 * 4096);
        EXPECT_EQ(kv_bytes_per_token_of_rank(llama_8b(), bf16, ranks).value(),
                  32.0 * 2 * kv_heads * 128 * 2);
    }
}

// 48 heads on 3 ranks divide, 8 kv heads do not: a rank would read two and two thirds of them.
TEST(GroupedQueryTensorParallel, RefusesWhatDoesNotDivide) {
    ModelSpec model = llama_8b();
    grouped(model).heads = 48;
    const Precision precision;
    EXPECT_THROW(attention_block(model, precision, decode(1, 1, 10, 3)), std::invalid_argument);
    EXPECT_THROW(weight_bytes(model, precision, 3), std::invalid_argument);
    EXPECT_THROW(kv_bytes_per_token_of_rank(model, bf16, 3), std::invalid_argument);
    EXPECT_THROW(attention_block(model, precision, decode(1, 1, 10, 5)), std::invalid_argument);
    EXPECT_THROW(attention_block(model, precision, decode(1, 1, 10, 0)), std::invalid_argument);
    EXPECT_NO_THROW(attention_block(model, precision, decode(1, 1, 10, 16)));
}

TEST(GroupedQueryBlock, RefusesWhatIsNoStep) {
    const Precision precision;
    EXPECT_THROW(attention_block(llama_8b(), precision, decode(0, 1, 10)), std::invalid_argument);
    EXPECT_THROW(attention_block(llama_8b(), precision, decode(1, 0, 10)), std::invalid_argument);
    EXPECT_THROW(attention_block(llama_8b(), precision, prefill(1, 11, 10)), std::invalid_argument);
}

}  // namespace
}  // namespace podsim
