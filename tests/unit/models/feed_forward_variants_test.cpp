// What families add to the feed-forward half of a layer and to the tables, by hand: experts by a
// table of token ids, a gate on the shared expert, FFNs without gate, biases, norms with a bias or
// after a sub-layer, learned positions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/models/grouped_query_specs.hpp"
#include "tests/unit/models/r1.hpp"

namespace podsim {
namespace {

using testing::ElementsAre;

// The scores of all 256 experts are worked out; which 8 are taken is read from the table. No bias.
TEST(HashRouting, LooksUpItsExperts) {
    const auto block = router_block(r1(), fp8_served(), 100, true);
    EXPECT_THAT(names(block),
                ElementsAre("router_norm", "router_gate", "router_look_up", "dispatch_quantise"));
    const VectorWork look_up = vector(block[2]);
    EXPECT_EQ(look_up.op, "gather");
    EXPECT_EQ(look_up.elements, 100 * 256);
    EXPECT_EQ(look_up.flops_per_element, 5);
    EXPECT_EQ(look_up.read, 100 * 256 * 4 + 100 * 8 * 4);
    EXPECT_EQ(look_up.write, 100 * 8 * 8);
    ModelSpec model = r1();
    model.layers[10].hash_routed = true;
    EXPECT_EQ(count_parameters(r1()).router - count_parameters(model).router, 256);
}

// sigmoid(w . x) of 7168 elements a layer, over the shared expert's output.
TEST(SharedGate, IsAVectorOfTheHiddenState) {
    ModelSpec model = r1();
    model.shared_gate = true;
    const auto block = expert_block(model, Precision{}, 1, 100, "shared_expert");
    EXPECT_THAT(names(block), ElementsAre("shared_expert_gate_up", "shared_expert_swiglu",
                                          "shared_expert_down", "shared_expert_gate"));
    EXPECT_EQ(vector(block[3]).elements, 100 * 7168);
    EXPECT_EQ(vector(block[3]).read, 100 * 7168 * 4);
    EXPECT_EQ(vector(block[3]).write, 100 * 7168 * 2);
    EXPECT_EQ(names(expert_block(model, Precision{}, 4, 50, "expert")),
              names(expert_block(r1(), Precision{}, 4, 50, "expert")));
    EXPECT_EQ(count_parameters(model).router - count_parameters(r1()).router, 58 * 7168);
    EXPECT_EQ(
        (weight_bytes(model, Precision{}, 1).router - weight_bytes(r1(), Precision{}, 1).router)
            .value(),
        2 * 7168);
}

// GPT-2 XL: 48 layers of 25 heads of 64, an FFN of 6400 without gate; biases, LayerNorms, 1024
// positions and one table of 50,257. Published: 1558 million parameters.
ModelSpec gpt2_xl() {
    ModelSpec model;
    model.name = "gpt2-xl";
    model.hidden = 1600;
    model.vocabulary = 50'257;
    GroupedQueryAttention attention = grouped_query(25, 25, 64);
    attention.biases = true;
    model.attentions = {attention};
    model.layers = dense_then_experts(48, 48);
    model.dense_intermediate = 6400;
    model.gated = false;
    model.ffn_biases = model.layer_norm = model.tied_embedding = true;
    model.positions = 1024;
    return model;
}

// A layer: 1600 x 4800 + 4800 and 1600 x 1600 + 1600; 2 x 1600 x 6400 + 6400 + 1600; two norms of
// weight and bias.
TEST(UngatedFfn, ParametersOfGpt2Xl) {
    const ParameterCount count = count_parameters(gpt2_xl());
    EXPECT_EQ(count.embedding, (50'257 + 1024) * 1600);
    EXPECT_EQ(count.attention, 48 * 10'246'400);
    EXPECT_EQ(count.dense_ffn, 48 * 20'488'000);
    EXPECT_EQ(count.norms, 48 * 2 * 3200 + 3200);
    EXPECT_EQ(count.total(), 1'557'611'200);
    const WeightBytes held = weight_bytes(gpt2_xl(), Precision{}, 1);
    EXPECT_EQ(held.embedding.value(), 2 * (50'257 + 1024) * 1600);
    EXPECT_EQ(held.head.value(), 2 * 2 * 1600);
    EXPECT_EQ(held.norms.value(), 2 * 2 * 2 * 1600);
}

TEST(UngatedFfn, ShapesAndBytes) {
    const auto block = dense_ffn_block(gpt2_xl(), Precision{}, 100, 1);
    EXPECT_THAT(names(block),
                ElementsAre("dense_ffn_norm", "dense_ffn_up", "dense_ffn_gelu", "dense_ffn_down"));
    EXPECT_EQ(gemm(block[1]).n, 6400);
    const VectorWork gelu = vector(block[2]);
    EXPECT_EQ(gelu.op, "gelu");
    EXPECT_EQ(gelu.elements, 100 * 6400);
    // x (1 + tanh(a (x + b x^3))) / 2
    EXPECT_EQ(gelu.flops_per_element, 8);
    EXPECT_EQ(gelu.read, 100 * 6400 * 2);
    EXPECT_EQ(gelu.write, 100 * 6400 * 2);
    // A row of positions is read too, and added.
    const VectorWork embedding = vector(embedding_block(gpt2_xl(), Precision{}, 100)[0]);
    EXPECT_EQ(embedding.read, 100 * (2 * 1600 * 2 + 4));
    EXPECT_EQ(embedding.flops_per_element, 1);
    EXPECT_EQ(embedding.write, 100 * 1600 * 2);
}

// Gemma norms what a sub-layer gives before it is added, too.
TEST(PostNorms, FollowEachSubLayer) {
    ModelSpec model = llama_8b();
    model.post_norms = true;
    const auto attention = attention_block(model, Precision{}, {Phase::decode, 10, 1, 100, 1});
    EXPECT_EQ(attention.back().name, "attention_post_norm");
    EXPECT_EQ(vector(attention.back()).op, "rms_norm");
    EXPECT_EQ(vector(attention.back()).elements, 10 * 4096);
    EXPECT_EQ(dense_ffn_block(model, Precision{}, 10, 1).back().name, "dense_ffn_post_norm");
    EXPECT_EQ(count_parameters(model).norms, 32 * 4 * 4096 + 4096);
}

}  // namespace
}  // namespace podsim
