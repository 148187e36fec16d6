// What families add to grouped-query attention, by hand: windows, values that are keys, queries
// through a low rank, gates, biases, sinks, norms over all heads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

// gpt-oss-120b: every other layer, from the first, sees 128 tokens.
ModelSpec gpt_oss() {
    ModelSpec model;
    model.name = "gpt-oss-120b";
    model.hidden = 2880;
    model.vocabulary = 201088;
    GroupedQueryAttention whole = grouped_query(64, 8, 64);
    whole.biases = whole.sinks = true;
    GroupedQueryAttention window = whole;
    window.window = 128;
    model.attentions = {window, whole};
    for (int layer = 0; layer < 36; ++layer) model.layers.push_back({layer % 2, true, false});
    model.expert_intermediate = 2880;
    model.ffn_biases = true;
    model.routed_experts = 128;
    model.experts_per_token = 4;
    model.router_scoring = RouterScoring::softmax;
    model.router_bias = true;
    return model;
}
const LayerKind window_layer{0, true, false}, whole_layer{1, true, false};

// A model of one layer with this attention.
ModelSpec one_layer(long hidden, const GroupedQueryAttention& kind) {
    ModelSpec model;
    model.name = "one-layer";
    model.hidden = hidden;
    model.vocabulary = 1000;
    model.attentions = {kind};
    model.layers = dense_then_experts(1, 1);
    model.dense_intermediate = 100;
    return model;
}

TEST(WindowAttention, NamesAndShapes) {
    const auto block = attention_block(gpt_oss(), Precision{}, decode(64, 1, 4096), window_layer);
    EXPECT_THAT(names(block), ElementsAre("attention_norm", "query_key_value_projection", "rotary",
                                          "cache_append", "window_attention", "output_projection"));
    EXPECT_EQ(attention(block, "window_attention"),
              (Attention{AttentionForm::gqa, Phase::decode, 64, 1, 4096, 64, 8, 64, 64, bf16, bf16,
                         0, 0, 128}));
    // A token is appended as everywhere: 8 keys and 8 values of 64.
    EXPECT_EQ(vector(find(block, "cache_append")).elements, 64 * 1024);
    const auto whole = attention_block(gpt_oss(), Precision{}, decode(64, 1, 4096), whole_layer);
    EXPECT_EQ(
        attention(whole, "grouped_query_attention"),
        (Attention{AttentionForm::gqa, Phase::decode, 64, 1, 4096, 64, 8, 64, 64, bf16, bf16}));
}

// 2 x (64 + 64) FLOP a pair and head, 64 heads: 16,384 a pair. In decode 128 keys; of a prompt of
// 4096 the first 128 queries see 128 x 129 / 2, the other 3968 see 128 each: 516,160 pairs.
TEST(WindowAttention, WorkAndBytesByHand) {
    const auto core = [](const StepShape& shape) {
        return find(attention_block(gpt_oss(), Precision{}, shape, window_layer),
                    "window_attention")
            .body;
    };
    EXPECT_EQ(work_of(core(decode(1, 1, 4096))).value(), 16'384 * 128);
    EXPECT_EQ(work_of(core(decode(1, 1, 128))).value(), 16'384 * 128);
    EXPECT_EQ(work_of(core(decode(1, 1, 100))).value(), 16'384 * 100);
    EXPECT_EQ(work_of(core(prefill(1, 4096, 4096))).value(), 16'384 * 516'160.0);
    // 128 entries of 1024; 64 heads' queries and results of 64; two bytes each.
    EXPECT_EQ(compulsory_bytes_of(core(decode(1, 1, 4096))).value(),
              2 * (128 * 1024 + 2 * 64 * 64));
}

// The last 128 tokens of 1024 elements, or as many as there are; over 16 ranks a head of each.
TEST(WindowAttention, CacheIsTheShorterOfContextAndWindow) {
    const ModelSpec model = gpt_oss();
    const AttentionSpec &window = model.attentions[0], &whole = model.attentions[1];
    EXPECT_EQ(layer_cache(window, 100, 1).kv, 100 * 1024);
    EXPECT_EQ(layer_cache(window, 128, 1).kv, 128 * 1024);
    EXPECT_EQ(layer_cache(window, 4096, 1).kv, 128 * 1024);
    EXPECT_EQ(layer_cache(window, 4096, 16).kv, 128 * 128);
    EXPECT_EQ(layer_cache(whole, 4096, 1).kv, 4096 * 1024);
    // 18 layers of each kind.
    EXPECT_EQ(cache_of(model, 4096).kv, 18 * (131'072 + 4'194'304));
    EXPECT_EQ(cache_of(model, 4096).bytes(Precision{}).value(), 155'713'536);
    // A further token of a long context adds to the whole layers alone.
    EXPECT_EQ(cache_per_token(model).kv, 18 * 1024);
}

// A layer: (64 + 2 x 8) x 64 x 2880 = 14,745,600 and 2880 x 4096 = 11,796,480, biases of 5120 and
// 2880, 64 sinks; an expert 3 x 2880 x 2880 = 24,883,200 with biases of 3 x 2880; a gate of
// 128 x 2880 with 128. Published: 116.83 B, 5.13 B active without embedding (arXiv 2508.10925).
TEST(WindowAttention, ParametersOfGptOss) {
    const ParameterCount count = count_parameters(gpt_oss());
    EXPECT_EQ(count.attention, 36 * 26'550'144);
    EXPECT_EQ(count.routed_experts, 36 * 128 * 24'891'840.0);
    EXPECT_EQ(count.router, 36 * 368'768);
    EXPECT_EQ(count.norms, 36 * 2 * 2880 + 2880);
    EXPECT_EQ(count.total(), 116'829'156'672);
    EXPECT_EQ(count.active_without_embedding(), 5'132'849'472);
}

// Over 8 ranks: 8 heads and one of keys and of values, (8 + 2) x 64 = 640 outputs with their bias;
// the output projection's bias whole; 8 sinks.
TEST(WindowAttention, RanksHoldTheirOwnBiasesAndSinks) {
    const WeightBytes held = weight_bytes(gpt_oss(), Precision{}, 8);
    ASSERT_EQ(held.attention.size(), 2u);
    EXPECT_EQ(held.attention[0].value(), 2 * (640 * 2880 + 2880 * 512 + 640 + 2880 + 8));
    EXPECT_EQ(held.attention[1], held.attention[0]);
}

// As in Gemma 4's full layers: 32 heads, 4 keys of 512 that are values too.
TEST(SharedKeyValue, OneEntryIsBoth) {
    GroupedQueryAttention kind = grouped_query(32, 4, 512);
    kind.shared_key_value = true;
    const ModelSpec model = one_layer(5376, kind);
    const auto block = attention_block(model, Precision{}, decode(1, 1, 1000));
    EXPECT_EQ(gemm(find(block, "query_key_value_projection")).n, (32 + 4) * 512);
    EXPECT_EQ(vector(find(block, "rotary")).elements, (32 + 4) * 512);
    EXPECT_EQ(vector(find(block, "cache_append")).elements, 4 * 512);
    EXPECT_EQ(attention(block, "grouped_query_attention"),
              (Attention{AttentionForm::mla_absorbed, Phase::decode, 1, 1, 1000, 32, 4, 512, 512,
                         bf16, bf16}));
    // 1000 entries of 4 x 512 once; queries and results of 32 x 512.
    EXPECT_EQ(compulsory_bytes_of(find(block, "grouped_query_attention").body).value(),
              2 * (1000 * 2048 + 2 * 32 * 512));
    EXPECT_EQ(layer_cache(kind, 1000, 1).kv, 1000 * 2048);
    EXPECT_EQ(layer_cache(kind, 1000, 8).kv, 1000 * 512);
    EXPECT_EQ(count_parameters(model).attention, (36 * 512 + 32 * 512) * 5376);
}

// As in Step-3: 64 heads of 256 through 2048 latents, one key and one value for all of them.
TEST(LowRankQuery, ProjectsTwice) {
    GroupedQueryAttention kind = grouped_query(64, 1, 256);
    kind.query_rank = 2048;
    const ModelSpec model = one_layer(7168, kind);
    const auto block = attention_block(model, fp8_served(), decode(10, 1, 1000));
    EXPECT_THAT(
        names(block),
        ElementsAre("attention_norm", "attention_quantise", "query_key_value_projection",
                    "query_norm", "query_quantise", "query_up_projection", "rotary", "cache_append",
                    "grouped_query_attention", "output_quantise", "output_projection"));
    EXPECT_EQ(gemm(find(block, "query_key_value_projection")),
              (Gemm{10, 2048 + 2 * 256, 7168, 1, fp8, fp8, bf16}));
    EXPECT_EQ(vector(find(block, "query_norm")).elements, 10 * 2048);
    EXPECT_EQ(gemm(find(block, "query_up_projection")),
              (Gemm{10, 64 * 256, 2048, 1, fp8, fp8, bf16}));
    EXPECT_EQ(count_parameters(model).attention, 2560 * 7168 + 16384 * 2048 + 16384 * 7168);
    EXPECT_EQ(count_parameters(model).norms, 2 * 7168 + 2048 + 7168);
    // Over 8 ranks the latents and the key and value are whole.
    const auto part = attention_block(model, Precision{}, decode(10, 1, 1000, 8));
    EXPECT_EQ(gemm(find(part, "query_key_value_projection")).n, 2560);
    EXPECT_EQ(gemm(find(part, "query_up_projection")).n, 8 * 256);
    EXPECT_EQ(attention_bytes(weight_bytes(model, Precision{}, 8)).value(),
              2 * (2560 * 7168 + 2048 * 2048 + 2048 * 7168 + 2048));
}

// As in Qwen3.5: queries and as many gates in one product; sigmoid (negate, exponential, add,
// divide) and a product for each element of the result.
TEST(OutputGate, IsProjectedWithTheQueries) {
    GroupedQueryAttention kind = grouped_query(32, 2, 256);
    kind.output_gate = true;
    const ModelSpec model = one_layer(4096, kind);
    const auto block = attention_block(model, fp8_served(), decode(10, 1, 1000));
    EXPECT_THAT(names(block),
                ElementsAre("attention_norm", "attention_quantise", "query_key_value_projection",
                            "rotary", "cache_append", "grouped_query_attention", "attention_gate",
                            "output_quantise", "output_projection"));
    EXPECT_EQ(gemm(find(block, "query_key_value_projection")).n, (2 * 32 + 2 * 2) * 256);
    EXPECT_EQ(vector(find(block, "rotary")).elements, 10 * (32 + 2) * 256);
    EXPECT_EQ(attention(block, "grouped_query_attention").heads, 32);
    const VectorWork gate = vector(find(block, "attention_gate"));
    EXPECT_EQ(gate.elements, 10 * 8192);
    EXPECT_EQ(gate.flops_per_element, 5);
    EXPECT_EQ(gate.read, 10 * 2 * 8192 * 2);
    EXPECT_EQ(gate.write, 10 * 8192 * 2);
    EXPECT_EQ(gemm(find(block, "output_projection")).k, 8192);
    EXPECT_EQ(count_parameters(model).attention, (68 * 256 + 8192) * 4096);
    EXPECT_EQ(widest_of_attention(kind, true, 1), 68 * 256);
    EXPECT_EQ(widest_of_attention(kind, true, 2), 34 * 256);
}

// As in MiniMax-M2: one norm over all 48 heads of queries, one over the 8 of keys.
TEST(WholeQueryKeyNorm, HasAWeightAnElement) {
    GroupedQueryAttention kind = grouped_query(48, 8, 128);
    kind.whole_query_key_norm = true;
    const ModelSpec model = one_layer(3072, kind);
    const VectorWork normed =
        vector(find(attention_block(model, Precision{}, decode(10, 1, 1000)), "query_key_norm"));
    EXPECT_EQ(normed.elements, 10 * 56 * 128);
    EXPECT_EQ(normed.read, 2 * (10 * 56 * 128 + 56 * 128));
    EXPECT_EQ(normed.write, 2 * 10 * 56 * 128);
    EXPECT_EQ(count_parameters(model).norms, 2 * 3072 + 56 * 128 + 3072);
    // 12 and 2 heads' on each of 4 ranks.
    EXPECT_EQ(attention_bytes(weight_bytes(model, Precision{}, 4)).value(),
              2 * ((12 + 2 * 2 + 12) * 128 * 3072 + 14 * 128));
}

// Positions from a table are added to the embedding; heads are not turned.
TEST(LearnedPositions, TurnNothing) {
    ModelSpec model = one_layer(512, grouped_query(8, 8, 64));
    model.positions = 2048;
    EXPECT_THAT(names(attention_block(model, Precision{}, decode(1, 1, 1000))),
                ElementsAre("attention_norm", "query_key_value_projection", "cache_append",
                            "grouped_query_attention", "output_projection"));
}

}  // namespace
}  // namespace podsim
