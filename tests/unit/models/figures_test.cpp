// What models cost to hold and run, against published figures and sums by hand.
#include "models/figures.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "models/published_size.hpp"
#include "tests/support/readers.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

ModelSpec shipped(const std::string& name) {
    Catalog catalog(configs_root);
    return read_model(catalog.load("model", name, {}, ""), name);
}

ContextFigures at_context(const std::string& name, long context) {
    return figures_of(shipped(name), {context}).contexts.front();
}

TEST(Figures, TrainingWorkOfDeepSeekV3) {
    // 249.7 GFLOP a trained token, 260 with MTP: by hand 6 x 36.51 B parameters in products (active
    // less embedding, routers and norms) + 3 x 61 layers x 128 heads x 2 (192 + 128) x 2,048.5
    // pairs.
    const TrainingFigures training = figures_of(shipped("deepseek-v3"), {}).training;
    EXPECT_EQ(training.sequence, 4096);
    const double by_hand = 6 * 36.524e9 + 3 * 61 * 128 * 640 * 2048.5;
    EXPECT_NEAR(training.work.value() / by_hand, 1, 1e-3);
    EXPECT_NEAR(training.work.value() / 249.7e9, 1, 0.005);
    EXPECT_NEAR(training.work_with_drafts.value() / 260e9, 1, 0.005);
}

TEST(Figures, TrainingWorkOfADenseModel) {
    // Llama 3.1 8B: 6 x (parameters less embedding and norms) + 3 x 32 layers x 4 x 32 x 128 x
    // pairs.
    const ModelSpec model = shipped("llama-3.1-8b");
    const ParameterCount count = count_parameters(model);
    const double products = count.attention + count.dense_ffn + count.head;
    const double by_hand = 6 * products + 3 * 32 * 4.0 * 32 * 128 * 2048.5;
    const TrainingFigures training = figures_of(model, {}).training;
    EXPECT_NEAR(training.work.value() / by_hand, 1, 1e-12);
    EXPECT_EQ(training.work, training.work_with_drafts);
}

TEST(Figures, DecodeWorkIsProductsAndPairs) {
    // DeepSeek-V3: 2 x parameters that work on a token, and 2 (2 x 512 + 64) FLOP for each of 128
    // heads, 61 layers and 4,096 cached entries. Norms and the router's bias are no products.
    const ModelSpec model = shipped("deepseek-v3");
    const ParameterCount count = count_parameters(model);
    const double products = count.active_without_embedding() - count.norms - 58 * 256;
    const double by_hand = 2 * products + 2.0 * (2 * 512 + 64) * 128 * 61 * 4096;
    EXPECT_NEAR(at_context("deepseek-v3", 4096).decode_work.value() / by_hand, 1, 1e-12);
}

TEST(Figures, PrefillIsTheMeanOverThePrompt) {
    // Llama 3.1 8B over 4,096 tokens: the head once, pairs on average (4096 + 1) / 2.
    const ParameterCount count = count_parameters(shipped("llama-3.1-8b"));
    const double by_hand =
        2 * (count.attention + count.dense_ffn + count.head / 4096) + 32 * 4.0 * 32 * 128 * 2048.5;
    EXPECT_NEAR(at_context("llama-3.1-8b", 4096).prefill_work.value() / by_hand, 1, 1e-12);
}

TEST(Figures, IntensityOfOneSequenceIsOneFlopAByte) {
    // 2 FLOP for each weight of 2 bytes, with attention over a short cache beside it: a little
    // more. Weights and cache of Llama 3.1 8B at 4,096 tokens: 7.5 B x 2 B + 131,072 B x 4,096.
    const ContextFigures at = at_context("llama-3.1-8b", 4096);
    EXPECT_NEAR(at.decode_bytes.value() / (7.504e9 * 2 + 131072.0 * 4096), 1, 2e-3);
    EXPECT_NEAR(at.intensity(), 1.1, 0.1);
}

TEST(Figures, CacheOfAMillionTokens) {
    // DeepSeek-V4-Pro: 9.62 GiB with latents and indexer keys in BF16.
    const ContextFigures pro = at_context("deepseek-v4-pro", 1L << 20);
    EXPECT_NEAR(pro.cache_bf16.value() / std::exp2(30), 9.62, 0.05);
    EXPECT_NEAR(pro.cache_fp8 / pro.cache_bf16, 0.5, 1e-12);
    EXPECT_FALSE(pro.beyond);
    // Published beside V3.2: 10 % of the cache and 27 % of the work of a token.
    const ContextFigures before = at_context("deepseek-v3.2", 1L << 20);
    EXPECT_TRUE(before.beyond);
    EXPECT_NEAR(pro.cache_bf16 / before.cache_bf16, 0.10, 0.02);
    EXPECT_NEAR(pro.decode_work / before.decode_work, 0.27, 0.02);
}

TEST(Figures, AStateDoesNotGrow) {
    // Qwen3.5: 45 layers of delta nets keep an FP32 state of 64 heads x 128 x 128 each and the last
    // 3 inputs of their convolution, 15 keep 2 x 2 kv heads x 256 a token.
    const ModelFigures figures = figures_of(shipped("qwen3.5-397b-a17b"), {4096, 8192});
    EXPECT_EQ(figures.cache_per_token_bf16.value(), 15 * 2 * 2 * 256 * 2.0);
    const double grown =
        figures.contexts[1].cache_bf16.value() - figures.contexts[0].cache_bf16.value();
    EXPECT_EQ(grown, 4096 * figures.cache_per_token_bf16.value());
    EXPECT_GT(figures.contexts[0].cache_fp8.value(), 45 * 64 * 128 * 128 * 4.0);
}

TEST(Figures, LayersAreCountedByKind) {
    const ModelFigures figures = figures_of(shipped("deepseek-v4-pro"), {});
    long layers = 0;
    for (const LayerFigures& layer : figures.layers) layers += layer.count;
    EXPECT_EQ(layers, 61);
    ASSERT_EQ(figures.layers.size(), 4u);
    EXPECT_EQ(figures.layers[0].attention, "HCA 128:1");
    EXPECT_EQ(figures.layers[0].feed_forward, "experts, hash-routed");
    EXPECT_EQ(figures.layers[1].attention, "CSA 4:1, top 1024");
    EXPECT_EQ(figures.layers[2].count + figures.layers[0].count, 31);
    for (const LayerFigures& layer : figures.layers) EXPECT_GT(layer.operators.size(), 20u);
}

TEST(Figures, OfEveryShippedModelArePositive) {
    for (const std::string& name : names_in_configs("model")) {
        const ModelFigures figures = figures_of(shipped(name), usual_contexts());
        for (const ContextFigures& at : figures.contexts) {
            EXPECT_GT(at.decode_work.value(), 0) << name;
            EXPECT_GT(at.prefill_work.value(), 0) << name;
            EXPECT_GT(at.intensity(), 0) << name;
            EXPECT_GT(at.cache_bf16.value(), 0) << name;
        }
        // Twice its active parameters, and attention.
        EXPECT_GT(figures.contexts.front().decode_work.value(),
                  1.9 * figures.parameters.active_without_embedding())
            << name;
    }
}

TEST(PublishedSize, NumbersAsPeopleWriteThem) {
    const PublishedSize size =
        read_published(parse_yaml("published: {total: 1.6 T, active: 49B}", "f.yaml"));
    EXPECT_EQ(size.total, 1.6e12);
    EXPECT_EQ(size.active, 49e9);
    EXPECT_FALSE(read_published(parse_yaml("hidden_size: 1", "f.yaml")).total.has_value());
    EXPECT_EQ(read_published(parse_yaml("published: {total: 671000000000}", "f.yaml")).total,
              671e9);
    for (const char* wrong : {"1.6 X", "B", "-3 B", "3 BB", "0", "inf", "[1]"}) {
        const auto read = [&] {
            (void)read_published(
                parse_yaml("published:\n  total: " + std::string(wrong), "f.yaml"));
        };
        EXPECT_THAT(refusal_of(read), HasSubstr("f.yaml:2:10: published.total: expected")) << wrong;
    }
    const auto unknown = [] {
        (void)read_published(parse_yaml("published: {totl: 3 B}", "f.yaml"));
    };
    EXPECT_THAT(refusal_of(unknown), HasSubstr("did you mean total?"));
}

// Two layers look up memory: a value and a key for each of 4 streams, of 1280 elements.
TEST(Figures, ConditionalMemoryIsWork) {
    ModelSpec model = shipped("deepseek-v4-press-32b");
    const auto figures = [&model] { return figures_of(model, {4096}).contexts.front(); };
    const ContextFigures with = figures();
    for (LayerKind& layer : model.layers) layer.engram = false;
    const double products = 2.0 * 2 * 1280 * (1 + 4) * 7168;
    EXPECT_EQ((with.decode_work - figures().decode_work).value(), products);
    EXPECT_NEAR((with.prefill_work - figures().prefill_work).value(), products, 1);
}

}  // namespace
}  // namespace podsim
