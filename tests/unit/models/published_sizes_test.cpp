// Shipped models against published sizes: parameters by part, totals, cache a token.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <filesystem>

#include "tests/unit/models/grouped_query_specs.hpp"
#include "tests/unit/models/r1.hpp"

namespace podsim {
namespace {

// Billions of parameters: the total its authors state, and counts made independently from the
// config.json to two decimals (embedding, head unless tied, attention, FFN or experts, router,
// norms). kv: cache elements a token adds over all layers, 2 x kv heads x head dim x layers or,
// with latents, 576 x layers.
struct Published {
    std::string name, config_json;
    double stated = 0, total = 0, active = 0, active_without_embedding = 0, kv = 0;
};

const std::vector<Published>& published() {
    static const std::vector<Published> models = {
        {"deepseek-v3", "DeepSeek-V3", 671, 671.03, 37.55, 36.63, 35'136},
        {"deepseek-r1", "DeepSeek-R1", 671, 671.03, 37.55, 36.63, 35'136},
        {"qwen3-235b-a22b", "Qwen3-235B-A22B", 235, 235.09, 22.19, 21.57, 96'256},
        {"qwen3-30b-a3b", "Qwen3-30B-A3B", 30.5, 30.53, 3.35, 3.04, 49'152},
        {"mixtral-8x7b", "Mixtral-8x7B-v0.1", 46.7, 46.70, 12.88, 12.75, 65'536},
        {"llama-3.1-8b", "Meta-Llama-3.1-8B", 8.03, 8.03, 8.03, 7.50, 65'536},
        {"llama-3.1-70b", "Meta-Llama-3.1-70B", 70.6, 70.55, 70.55, 69.50, 163'840},
        {"llama-3.1-405b", "Meta-Llama-3.1-405B", 405, 405.85, 405.85, 403.75, 258'048}};
    return models;
}

ModelSpec shipped(const std::string& name) {
    return read_model(
        read_yaml(std::string(PODSIM_SOURCE_DIR) + "/configs/models/" + name + ".yaml"), name);
}

double billions(double parameters) {
    return std::round(parameters / 1e7) / 100;
}

TEST(PublishedSizes, Parameters) {
    for (const Published& model : published()) {
        SCOPED_TRACE(model.name);
        const ParameterCount count = count_parameters(shipped(model.name));
        EXPECT_NEAR(count.total() / 1e9, model.stated, 0.0025 * model.stated);
        EXPECT_DOUBLE_EQ(billions(count.total()), model.total);
        EXPECT_DOUBLE_EQ(billions(count.active()), model.active);
        EXPECT_DOUBLE_EQ(billions(count.active_without_embedding()),
                         model.active_without_embedding);
    }
}

TEST(PublishedSizes, Cache) {
    for (const Published& published_model : published()) {
        SCOPED_TRACE(published_model.name);
        const ModelSpec model = shipped(published_model.name);
        EXPECT_EQ(cache_per_token(model).kv, published_model.kv);
        EXPECT_EQ(kv_bytes_per_token(model, DType::bf16).value(), 2 * published_model.kv);
        EXPECT_EQ(kv_bytes_per_token(model, DType::fp8).value(), published_model.kv);
    }
}

void expect_equal_sizes(const ModelSpec& a, const ModelSpec& b) {
    EXPECT_EQ(a.family, b.family);
    EXPECT_EQ(a.layers, b.layers);
    EXPECT_EQ(a.hidden, b.hidden);
    EXPECT_EQ(a.vocabulary, b.vocabulary);
    EXPECT_EQ(a.attentions, b.attentions);
    EXPECT_EQ(a.dense_intermediate, b.dense_intermediate);
    EXPECT_EQ(a.expert_intermediate, b.expert_intermediate);
    EXPECT_EQ(a.routed_experts, b.routed_experts);
    EXPECT_EQ(a.shared_intermediate, b.shared_intermediate);
    EXPECT_EQ(a.experts_per_token, b.experts_per_token);
    EXPECT_EQ(a.expert_groups, b.expert_groups);
    EXPECT_EQ(a.groups_per_token, b.groups_per_token);
    EXPECT_EQ(a.router_scoring, b.router_scoring);
    EXPECT_EQ(a.router_bias, b.router_bias);
    EXPECT_EQ(a.draft_layers, b.draft_layers);
    EXPECT_EQ(a.draft_layer, b.draft_layer);
    EXPECT_EQ(a.tied_embedding, b.tied_embedding);
    EXPECT_EQ(a.scale_block, b.scale_block);
    EXPECT_EQ(a.max_context, b.max_context);
}

TEST(ShippedModels, SizesByHand) {
    expect_equal_sizes(shipped("llama-3.1-8b"), llama_8b());
    expect_equal_sizes(shipped("mixtral-8x7b"), mixtral_8x7b());
    expect_equal_sizes(shipped("qwen3-30b-a3b"), qwen3_30b_a3b());
}

// What is shipped says the same as the file that was published, with all its other keys.
TEST(ShippedModels, EqualThePublishedConfigJson) {
    const std::string folder = std::string(PODSIM_SOURCE_DIR) + "/../shared/data/models/";
    if (!std::filesystem::exists(folder)) {
        GTEST_SKIP() << "no third-party data beside the repository";
    }
    for (const Published& model : published()) {
        SCOPED_TRACE(model.name);
        expect_equal_sizes(read_model(read_json(folder + model.config_json + ".json"), model.name),
                           shipped(model.name));
    }
}

// A layer of Llama 3.1 8B: q and o 4096 x 4096 = 16,777,216 each, k and v 1024 x 4096 = 4,194,304
// each, FFN 3 x 4096 x 14336 = 176,160,768, two norms.
TEST(GroupedQueryParameters, OfLlama8b) {
    const ParameterCount count = count_parameters(llama_8b());
    EXPECT_EQ(count.embedding, 525'336'576);  // 128256 x 4096
    EXPECT_EQ(count.head, 525'336'576);
    EXPECT_EQ(count.attention, 32 * 41'943'040);
    EXPECT_EQ(count.dense_ffn, 32 * 176'160'768.0);
    EXPECT_EQ(count.routed_experts + count.active_routed + count.shared_experts + count.router, 0);
    EXPECT_EQ(count.draft, 0);
    EXPECT_EQ(count.norms, 32 * 2 * 4096 + 4096);
    EXPECT_EQ(count.total(), 8'030'261'248);
    EXPECT_EQ(count.active(), count.total());
}

// A layer of Qwen3-30B-A3B: q and o 4096 x 2048 = 8,388,608 each, k and v 512 x 2048 = 1,048,576
// each; 128 experts of 3 x 2048 x 768 = 4,718,592, 8 of them active; a gate of 128 x 2048 and no
// bias; two norms of 2048 and two of 128 inside attention.
TEST(GroupedQueryParameters, OfQwen3Moe) {
    const ParameterCount count = count_parameters(qwen3_30b_a3b());
    EXPECT_EQ(count.attention, 48 * 18'874'368);
    EXPECT_EQ(count.dense_ffn, 0);
    EXPECT_EQ(count.routed_experts, 48 * 128 * 4'718'592.0);
    EXPECT_EQ(count.active_routed, 48 * 8 * 4'718'592.0);
    EXPECT_EQ(count.shared_experts, 0);
    EXPECT_EQ(count.router, 48 * 262'144);
    EXPECT_EQ(count.norms, 48 * (2 * 2048 + 2 * 128) + 2048);
    EXPECT_EQ(count.total(), 30'532'122'624);
}

// Mixtral's experts are as wide as Llama's FFN: 32 layers of 41,943,040 + 8 x 176,160,768 + a gate
// of 8 x 4096 + 2 x 4096, two tables of 32000 x 4096 and the final norm.
TEST(GroupedQueryParameters, OfMixtral) {
    EXPECT_EQ(count_parameters(mixtral_8x7b()).router, 32 * 32'768);
    EXPECT_EQ(count_parameters(mixtral_8x7b()).total(), 46'702'792'704);
}

// Tied: one table of 1000 x 256, which works as the head.
TEST(GroupedQueryParameters, TiedEmbeddingCountsOnce) {
    const ParameterCount count = count_parameters(small_qwen3());
    EXPECT_EQ(count.embedding, 256'000);
    EXPECT_EQ(count.head, 0);
    // q, o 512 x 256, k, v 128 x 256; FFN 3 x 256 x 768; norms 2 x 256 + 2 x 32; final norm.
    EXPECT_EQ(count.total(), 256'000 + 6 * (327'680 + 589'824 + 576) + 256);
    EXPECT_EQ(count.active_without_embedding(), count.total());
}

// In FP8 without a block in the config: a scale of 4 B an output channel, 6144 and 4096 of them.
TEST(GroupedQueryParameters, Fp8Weights) {
    const WeightBytes held = weight_bytes(llama_8b(), fp8_served(), 1);
    EXPECT_EQ(attention_bytes(held).value(), 41'943'040 + 4 * (6144 + 4096));
    EXPECT_EQ(held.dense_ffn.value(), 176'160'768 + 4 * (2 * 14336 + 4096));
    EXPECT_EQ(held.norms.value(), 2 * 2 * 4096);
}

// No expert, no byte: not even the scales of its rows.
TEST(GroupedQueryParameters, WhatIsNotThereTakesNoBytes) {
    Precision int8;
    int8.weights = int8.experts = DType::int8;
    const WeightBytes dense = weight_bytes(llama_8b(), int8, 1);
    EXPECT_EQ(
        (dense.router + dense.routed_expert + dense.shared_expert + dense.draft_extra).value(), 0);
    const WeightBytes sparse = weight_bytes(mixtral_8x7b(), int8, 1);
    EXPECT_EQ((sparse.dense_ffn + sparse.shared_expert + sparse.draft_extra).value(), 0);
    // The gate alone, in BF16: no bias with softmax.
    EXPECT_EQ(sparse.router.value(), 2 * 8 * 4096);
}

}  // namespace
}  // namespace podsim
