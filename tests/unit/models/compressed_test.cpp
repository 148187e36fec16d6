// DeepSeek-V4's attention by hand: windows alone, pools of 4 of which an indexer chooses, pools of
// 128.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

#include "tests/unit/models/r1.hpp"

namespace podsim {
namespace {

using testing::ElementsAre;

constexpr DType fp8 = DType::fp8, bf16 = DType::bf16;
const LayerKind window_layer{0, false, false}, sparse_layer{1, false, false},
    heavy_layer{2, false, false};

// 64 heads of 512, one entry for all; a layer of each kind.
ModelSpec model() {
    ModelSpec model;
    model.name = "compressed";
    model.hidden = 4096;
    model.vocabulary = 1000;
    CompressedAttention window;
    window.heads = 64;
    window.head_dim = 512;
    window.rope_head_dim = 64;
    window.query_rank = 1024;
    window.output_groups = 8;
    window.output_rank = 1024;
    window.window = 128;
    CompressedAttention sparse = window, heavy = window;
    sparse.compression = 4;
    sparse.indexer = {64, 128, 512};
    heavy.compression = 128;
    model.attentions = {window, sparse, heavy};
    model.layers = {window_layer, sparse_layer, heavy_layer};
    model.dense_intermediate = 100;
    return model;
}

StepShape decode(long sequences, long query, long context, int tensor_parallel = 1) {
    return {Phase::decode, sequences, query, context, tensor_parallel};
}

Precision served() {
    Precision precision = fp8_served();
    precision.indexer = fp8;
    return precision;
}

TEST(CompressedAttention, Names) {
    EXPECT_THAT(
        names(attention_block(model(), Precision{}, decode(3, 2, 4096), window_layer)),
        ElementsAre("attention_norm", "query_kv_down_projection", "query_kv_norm",
                    "query_up_projection", "query_norm", "rotary", "cache_append",
                    "window_attention", "output_rotary", "group_projection", "output_projection"));
    EXPECT_THAT(names(attention_block(model(), Precision{}, decode(3, 2, 4096), heavy_layer)),
                ElementsAre("attention_norm", "query_kv_down_projection", "query_kv_norm",
                            "query_up_projection", "query_norm", "rotary", "cache_append",
                            "pool_projection", "pool", "heavily_compressed_attention",
                            "output_rotary", "group_projection", "output_projection"));
    EXPECT_THAT(
        names(attention_block(model(), served(), decode(3, 2, 4096), sparse_layer)),
        ElementsAre("attention_norm", "attention_quantise", "query_kv_down_projection",
                    "query_kv_norm", "query_quantise", "query_up_projection", "query_norm",
                    "rotary", "cache_append", "pool_projection", "pool", "index_query_projection",
                    "index_rotary", "index_quantise", "index_scores", "index_top_k",
                    "compressed_sparse_attention", "output_rotary", "group_quantise",
                    "group_projection", "output_quantise", "output_projection"));
}

// 3 sequences with one draft token, m = 6. Queries' latents and the entry in one product, 8 groups
// of 8 heads x 512 to 1024 each.
TEST(CompressedAttention, Projections) {
    const auto block = attention_block(model(), served(), decode(3, 2, 4096), window_layer);
    EXPECT_EQ(gemm(find(block, "query_kv_down_projection")),
              (Gemm{6, 1024 + 512, 4096, 1, fp8, fp8, bf16}));
    EXPECT_EQ(gemm(find(block, "query_up_projection")), (Gemm{6, 32768, 1024, 1, fp8, fp8, bf16}));
    EXPECT_EQ(gemm(find(block, "group_projection")), (Gemm{6, 1024, 4096, 8, fp8, fp8, bf16}));
    EXPECT_EQ(gemm(find(block, "output_projection")), (Gemm{6, 4096, 8192, 1, fp8, fp8, bf16}));
    // 64 heads' queries and the entry; results are turned back.
    EXPECT_EQ(vector(find(block, "rotary")).elements, 6 * 65 * 64);
    EXPECT_EQ(vector(find(block, "output_rotary")).elements, 6 * 64 * 64);
    EXPECT_EQ(vector(find(block, "query_norm")).elements, 6 * 32768);
    EXPECT_EQ(vector(find(block, "cache_append")).elements, 6 * 512);
}

// 2 x (512 + 512) FLOP a pair and head: 131,072 a pair. At 4096 tokens a query reads 128 of the
// window, with pools of 4 the 512 best of 1024, with pools of 128 all 32.
TEST(CompressedAttention, CoresByHand) {
    const auto core = [](const LayerKind& kind, const std::string& name, long context) {
        return std::get<Attention>(
            find(attention_block(model(), Precision{}, decode(3, 2, context), kind), name).body);
    };
    const Attention window = core(window_layer, "window_attention", 4096);
    EXPECT_EQ(window, (Attention{AttentionForm::mla_absorbed, Phase::decode, 3, 2, 4096, 64, 1, 512,
                                 512, bf16, bf16, 0, 0, 128}));
    EXPECT_EQ(work_of(window).value(), 131'072.0 * 6 * 128);
    const Attention sparse = core(sparse_layer, "compressed_sparse_attention", 4096);
    EXPECT_EQ(sparse, (Attention{AttentionForm::mla_absorbed, Phase::decode, 3, 2, 4096, 64, 1, 512,
                                 512, bf16, bf16, 4, 512, 128}));
    EXPECT_EQ(work_of(sparse).value(), 131'072.0 * 6 * (128 + 512));
    const Attention heavy = core(heavy_layer, "heavily_compressed_attention", 4096);
    EXPECT_EQ(heavy, (Attention{AttentionForm::mla_absorbed, Phase::decode, 3, 2, 4096, 64, 1, 512,
                                512, bf16, bf16, 128, 0, 128}));
    EXPECT_EQ(work_of(heavy).value(), 131'072.0 * 6 * (128 + 32));
    // Fewer entries than the indexer may choose: 1000 / 4 and the window.
    EXPECT_EQ(work_of(core(sparse_layer, "compressed_sparse_attention", 1000)).value(),
              131'072.0 * 6 * (128 + 250));
}

// A causal prompt of 10 with pools of 4: query n sees n tokens and n / 4 entries, 55 + 0 + 0 + 0 +
// 4 x 1 + 3 x 2 = 65 pairs of attention, 10 of the index.
TEST(CompressedAttention, APromptSeesItsPoolsAsTheyFill) {
    const auto block =
        attention_block(model(), Precision{}, {Phase::prefill, 1, 10, 10, 1}, sparse_layer);
    EXPECT_EQ(work_of(find(block, "compressed_sparse_attention").body).value(), 131'072 * 65);
    EXPECT_EQ(matrix_work_of(find(block, "index_scores").body).value(), 2 * 128 * 64 * 10);
}

// Values and weights of pools, twice as wide where they overlap: 4 x 512 for attention's, 4 x 128
// for the indexer's, and a weight for each of 64 index heads; in BF16. Six tokens are one and a
// half entries.
TEST(CompressedAttention, Pools) {
    Precision precision;
    precision.kv_cache = fp8;
    precision.indexer = fp8;
    const auto sparse = attention_block(model(), precision, decode(3, 2, 4096), sparse_layer);
    EXPECT_EQ(gemm(find(sparse, "pool_projection")),
              (Gemm{6, 2048 + 512 + 64, 4096, 1, bf16, bf16, bf16}));
    const VectorWork pool = vector(find(sparse, "pool"));
    EXPECT_EQ(pool.elements, 6 * 2560);
    EXPECT_EQ(pool.flops_per_element, 4);
    EXPECT_EQ(pool.read, 6 * 2560 * 2);
    EXPECT_EQ(pool.write, 1.5 * (512 + 128));
    const auto heavy = attention_block(model(), precision, decode(3, 2, 4096), heavy_layer);
    EXPECT_EQ(gemm(find(heavy, "pool_projection")), (Gemm{6, 1024, 4096, 1, bf16, bf16, bf16}));
    EXPECT_EQ(vector(find(heavy, "pool")).write, 6.0 / 128 * 512);
}

// Scores of 1024 entries by 64 index heads of 128; 512 chosen, four bytes each.
TEST(CompressedAttention, Indexer) {
    const auto block = attention_block(model(), served(), decode(3, 2, 4096), sparse_layer);
    EXPECT_EQ(gemm(find(block, "index_query_projection")),
              (Gemm{6, 8192, 1024, 1, fp8, fp8, bf16}));
    EXPECT_EQ(std::get<IndexScores>(find(block, "index_scores").body),
              (IndexScores{Phase::decode, 3, 2, 4096, 4, 64, 128, fp8, fp8}));
    EXPECT_EQ(matrix_work_of(find(block, "index_scores").body).value(), 2 * 128 * 64 * 6 * 1024.0);
    const VectorWork choice = vector(find(block, "index_top_k"));
    EXPECT_EQ(choice.elements, 6 * 1024);
    EXPECT_EQ(choice.read, 6 * 1024 * 4);
    EXPECT_EQ(choice.write, 6 * 512 * 4);
    EXPECT_EQ(choice.rows, 6);
    // Before the first pool is full there is nothing to choose from.
    const auto early = names(attention_block(model(), served(), decode(3, 1, 3), sparse_layer));
    EXPECT_EQ(std::count(early.begin(), early.end(), "index_scores"), 0);
    EXPECT_EQ(std::count(early.begin(), early.end(), "index_top_k"), 0);
    EXPECT_EQ(std::count(early.begin(), early.end(), "compressed_sparse_attention"), 1);
}

// Entries of whole pools and the window's tokens, 512 each; the indexer's keys, 128 a pool.
TEST(CompressedAttention, Cache) {
    const ModelSpec all = model();
    const auto cache = [&all](std::size_t kind, long context) {
        return layer_cache(all.attentions[kind], context, 1);
    };
    EXPECT_EQ(cache(0, 4096).kv, 128 * 512);
    EXPECT_EQ(cache(0, 100).kv, 100 * 512);
    EXPECT_EQ(cache(1, 4096).kv, (1024 + 128) * 512);
    EXPECT_EQ(cache(1, 4096).index, 1024 * 128);
    EXPECT_EQ(cache(1, 103).kv, (25 + 103) * 512);
    EXPECT_EQ(cache(1, 103).index, 25 * 128);
    EXPECT_EQ(cache(2, 4096).kv, (32 + 128) * 512);
    EXPECT_EQ(cache(2, 4096).index, 0);
    EXPECT_EQ(cache(2, 100).kv, 100 * 512);
    // Whole on every rank.
    EXPECT_EQ(layer_cache(all.attentions[1], 4096, 8).kv, (1024 + 128) * 512);
    // A token of a long context: a quarter and a 128th of an entry.
    EXPECT_EQ(cache_per_token(all).kv, 128 + 4);
    EXPECT_EQ(cache_per_token(all).index, 32);
    EXPECT_EQ(cache_per_token(all).bytes(served()).value(), 2 * 132 + 32);
}

// Matrices of every kind: 1536 x 4096 = 6,291,456, 32768 x 1024, 8 x 1024 x 4096 and 4096 x 8192
// = 33,554,432 each. Pools of 4: 2624 x 4096, queries of the index 8192 x 1024, positions
// 4 x 1280; of 128: 1024 x 4096, positions 128 x 512. 64 sinks in each.
TEST(CompressedAttention, Parameters) {
    constexpr double shared = 6'291'456 + 3 * 33'554'432 + 64;
    const auto attention = [](const LayerKind& kind) {
        ModelSpec one = model();
        one.layers = {kind};
        return count_parameters(one);
    };
    EXPECT_EQ(attention(window_layer).attention, shared);
    EXPECT_EQ(attention(sparse_layer).attention, shared + 10'747'904 + 8'388'608 + 5'120);
    EXPECT_EQ(attention(heavy_layer).attention, shared + 4'194'304 + 65'536);
    // Two norms of the layer and the last one; those of the latents and the entry, of pooled
    // entries, of the index's.
    EXPECT_EQ(attention(window_layer).norms, 3 * 4096 + 1024 + 512);
    EXPECT_EQ(attention(sparse_layer).norms, 3 * 4096 + 1024 + 512 + 512 + 128);
    EXPECT_EQ(attention(heavy_layer).norms, 3 * 4096 + 1024 + 512 + 512);
}

// Over 8 ranks 8 heads and one group each; entries, pools and the indexer whole.
TEST(CompressedAttention, TensorParallelDividesHeadsAndGroups) {
    const auto block = attention_block(model(), Precision{}, decode(3, 2, 4096, 8), sparse_layer);
    EXPECT_EQ(gemm(find(block, "query_kv_down_projection")).n, 1536);
    EXPECT_EQ(gemm(find(block, "query_up_projection")).n, 4096);
    EXPECT_EQ(gemm(find(block, "group_projection")), (Gemm{6, 1024, 4096, 1, bf16, bf16, bf16}));
    EXPECT_EQ(gemm(find(block, "output_projection")).k, 1024);
    EXPECT_EQ(gemm(find(block, "pool_projection")).n, 2624);
    EXPECT_EQ(std::get<IndexScores>(find(block, "index_scores").body).heads, 64);
    EXPECT_EQ(std::get<Attention>(find(block, "compressed_sparse_attention").body).heads, 8);
    EXPECT_EQ(widest_of_attention(model().attentions[1], true, 8), 4096);
    // 16 ranks divide the heads, but not the groups.
    EXPECT_THROW(attention_block(model(), Precision{}, decode(3, 2, 4096, 16), sparse_layer),
                 std::invalid_argument);
    EXPECT_EQ(division_problem(model(), 8), "");
    EXPECT_NE(division_problem(model(), 16), "");
}

TEST(CompressedAttention, RefusesToDivideTokens) {
    StepShape shape{Phase::prefill, 1, 128, 128, 8, AttentionSplit::sp_tp_sp};
    EXPECT_THROW(attention_block(model(), Precision{}, shape, heavy_layer), std::invalid_argument);
}

}  // namespace
}  // namespace podsim
