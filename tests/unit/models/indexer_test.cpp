// DeepSeek-V3.2's sparse attention by hand: R1's latents with an indexer of 64 heads of 128 that
// chooses 2048 entries.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/unit/models/r1.hpp"

namespace podsim {
namespace {

using testing::ElementsAre;

constexpr DType fp8 = DType::fp8, bf16 = DType::bf16;

ModelSpec sparse_r1() {
    ModelSpec model = r1();
    latent(model).indexer = {64, 128, 2048};
    return model;
}
Precision served() {
    Precision precision = fp8_served();
    precision.indexer = fp8;
    return precision;
}

StepShape decode(long sequences, long query, long context, int tensor_parallel = 1) {
    return {Phase::decode, sequences, query, context, tensor_parallel};
}
StepShape prefill(long sequences, long query, long context, int tensor_parallel = 1) {
    return {Phase::prefill, sequences, query, context, tensor_parallel};
}

// The choice differs from query to query: prefill runs absorbed too.
TEST(SparseLatentAttention, NamesAreThoseOfBothPhases) {
    for (const StepShape& shape : {decode(8, 1, 32'768), prefill(1, 4096, 4096)}) {
        EXPECT_THAT(
            names(attention_block(sparse_r1(), served(), shape)),
            ElementsAre("attention_norm", "attention_quantise", "query_kv_down_projection",
                        "query_kv_norm", "query_quantise", "query_up_projection", "rotary",
                        "cache_append", "index_key_projection", "index_key_norm", "index_append",
                        "index_query_projection", "index_rotary", "index_quantise", "index_scores",
                        "index_top_k", "absorbed_query_product", "sparse_latent_attention",
                        "absorbed_value_product", "output_quantise", "output_projection"));
    }
}

// The key and a weight for each of 64 heads from the hidden state, in BF16; queries from the
// latents.
TEST(SparseLatentAttention, ShapesAndBytes) {
    const auto block = attention_block(sparse_r1(), served(), decode(8, 2, 32'768));
    EXPECT_EQ(gemm(find(block, "index_key_projection")),
              (Gemm{16, 128 + 64, 7168, 1, bf16, bf16, bf16}));
    EXPECT_EQ(gemm(find(block, "index_query_projection")),
              (Gemm{16, 8192, 1536, 1, fp8, fp8, bf16}));
    EXPECT_EQ(vector(find(block, "index_key_norm")).elements, 16 * 128);
    EXPECT_EQ(vector(find(block, "index_append")).read, 16 * 128 * 2);
    EXPECT_EQ(vector(find(block, "index_append")).write, 16 * 128);
    EXPECT_EQ(vector(find(block, "index_quantise")).elements, 16 * 8192);
    EXPECT_EQ(std::get<IndexScores>(find(block, "index_scores").body),
              (IndexScores{Phase::decode, 8, 2, 32'768, 1, 64, 128, fp8, fp8}));
    const VectorWork choice = vector(find(block, "index_top_k"));
    EXPECT_EQ(choice.elements, 16 * 32'768);
    EXPECT_EQ(choice.read, 16 * 32'768 * 4);
    EXPECT_EQ(choice.write, 16 * 2048 * 4);
    EXPECT_EQ(choice.rows, 16);  // a query is a row
    EXPECT_EQ(std::get<Attention>(find(block, "sparse_latent_attention").body),
              (Attention{AttentionForm::mla_absorbed, Phase::decode, 8, 2, 32'768, 128, 1, 576, 512,
                         bf16, bf16, 1, 2048, 0}));
}

// 2 x 1088 x 128 FLOP a pair of attention, 2 x 128 x 64 of the index. One token at 32,768: 2048
// and 32,768 pairs. A prompt of 4096: 2048 x 2049 / 2 + 2048 x 2048 and 4096 x 4097 / 2.
TEST(SparseLatentAttention, WorkByHand) {
    const auto work = [](const StepShape& shape, const std::string& name) {
        return matrix_work_of(find(attention_block(sparse_r1(), Precision{}, shape), name).body)
            .value();
    };
    EXPECT_EQ(work(decode(1, 1, 32'768), "sparse_latent_attention"), 570'425'344);
    EXPECT_EQ(work(decode(1, 1, 32'768), "index_scores"), 536'870'912);
    EXPECT_EQ(work(decode(1, 1, 1000), "sparse_latent_attention"), 278'528.0 * 1000);
    EXPECT_EQ(work(prefill(1, 4096, 4096), "sparse_latent_attention"), 278'528.0 * 6'292'480);
    EXPECT_EQ(work(prefill(1, 4096, 4096), "index_scores"), 16'384.0 * 8'390'656);
}

// Beside R1's: queries 8192 x 1536 = 12,582,912, key and weights 192 x 7168 = 1,376,256, a norm of
// 128 with a bias; 128 keys' elements a token.
TEST(SparseLatentAttention, ParametersAndCache) {
    const ParameterCount sparse = count_parameters(sparse_r1()), dense = count_parameters(r1());
    EXPECT_EQ(sparse.attention - dense.attention, 61 * 13'959'168);
    EXPECT_EQ(sparse.norms - dense.norms, 61 * 2 * 128);
    const CacheElements layer = layer_cache(sparse_r1().attentions.front(), 1000, 8);
    EXPECT_EQ(layer.kv, 576'000);
    EXPECT_EQ(layer.index, 128'000);
    EXPECT_EQ(layer.bytes(served()).value(), 2 * 576'000 + 128'000);
    EXPECT_EQ(cache_per_token(sparse_r1()).index, 61 * 128);
}

// Every rank works out all scores; heads of attention are divided.
TEST(SparseLatentAttention, TensorParallelLeavesTheIndexerWhole) {
    const auto block = attention_block(sparse_r1(), Precision{}, decode(8, 1, 4096, 8));
    EXPECT_EQ(gemm(find(block, "index_query_projection")).n, 8192);
    EXPECT_EQ(std::get<IndexScores>(find(block, "index_scores").body).heads, 64);
    EXPECT_EQ(std::get<Attention>(find(block, "sparse_latent_attention").body).heads, 16);
    const Precision precision;
    EXPECT_EQ((attention_bytes(weight_bytes(sparse_r1(), precision, 8)) -
               attention_bytes(weight_bytes(r1(), precision, 8)))
                  .value(),
              2 * (13'959'168 + 2 * 128));
}

// Absorbed in both phases: 128 heads x 576; whole attention expands 128 x (2 x 192 + 128) in
// prefill.
TEST(SparseLatentAttention, WidestActivation) {
    EXPECT_EQ(widest_of_attention(sparse_r1().attentions.front(), false, 1), 128 * 576);
    EXPECT_EQ(widest_of_attention(r1().attentions.front(), false, 1), 128 * 512);
    EXPECT_EQ(widest_of_attention(r1().attentions.front(), true, 4), 32 * 576);
}

TEST(SparseLatentAttention, RefusesToDivideTokens) {
    StepShape shape = prefill(1, 128, 128, 8);
    shape.split = AttentionSplit::sp_tp_sp;
    EXPECT_NO_THROW(attention_block(r1(), Precision{}, shape));
    EXPECT_THROW(attention_block(sparse_r1(), Precision{}, shape), std::invalid_argument);
}

}  // namespace
}  // namespace podsim
