// Vision towers by hand: parameters against the published ones, tokens of an image, work, operators
// that see all patches; keys that are refused.
#include "models/vision.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include "tests/unit/models/shipped_models.hpp"

namespace podsim {
namespace {

VisionTower tower_of(const std::string& name) {
    const Node config = read_yaml(configs_root + "/models/" + name + ".yaml");
    return read_vision_tower(config, read_model(config, name)).value();
}
VisionTower gemma() {
    return tower_of("gemma-4-31b");
}
VisionTower qwen() {
    return tower_of("qwen3.5-397b-a17b");
}

// Of a layer: queries, keys, values, output 4 x 1152^2, gate, up, down 3 x 1152 x 4304, four norms
// of 1152 and two of 72: 20,187,792; 27 of them, 768 x 1152 of patches, 2 x 10240 x 1152 positions,
// scale and shift: 569,550,384. (The extracted encoder of the 31 B checkpoint is said to have 569.6
// M.) And 1152 x 5376 to the model.
TEST(VisionParametersTest, OfGemma4) {
    const VisionParameters count = count_parameters(gemma());
    EXPECT_EQ(count.attention + count.feed_forward + count.norms, 27 * 20'187'792.0);
    EXPECT_EQ(count.patch_embedding, 884'736);
    EXPECT_EQ(count.positions, 23'592'960);
    EXPECT_EQ(count.total(), 569'550'384 + 6'193'152);
    EXPECT_EQ(weight_bytes(gemma()).value(), 2 * 575'743'536.0);
}

// Of a layer, with biases: queries, keys, values 1153 x 3456, output 1153 x 1152, FFN 1153 x 4304
// and 4305 x 1152, two norms of 2 x 1152: 15,239,504; 27 of them. Two frames of 16 x 16 x 3 with a
// bias 1537 x 1152; positions 2304 x 1152; the merger's norm, 4608 x 4608 and 4608 x 4096 with
// biases.
TEST(VisionParametersTest, OfQwen35) {
    const VisionParameters count = count_parameters(qwen());
    EXPECT_EQ(count.attention + count.feed_forward + count.norms, 27 * 15'239'504.0);
    EXPECT_EQ(count.patch_embedding, 1'770'624);
    EXPECT_EQ(count.positions, 2'654'208);
    EXPECT_EQ(count.merger, 2 * 1152 + 4608.0 * 4608 + 4608 + 4608.0 * 4096 + 4096);
    EXPECT_EQ(count.total(), 456'010'480);
}

// Qwen: 896 / 32 = 28 tokens a side; 1000 x 500 becomes 31 x 16; 5 frames are three steps of 28^2.
TEST(ImageTokens, OfQwenFollowTheSize) {
    EXPECT_EQ(image_tokens(qwen(), {896, 896}), 784);
    EXPECT_EQ(image_tokens(qwen(), {1000, 500}), 31 * 16);
    EXPECT_EQ(image_tokens(qwen(), {896, 896, 5}), 3 * 784);
    EXPECT_EQ(image_tokens(qwen(), {1, 1}), 1);
    EXPECT_EQ(patch_grid(qwen(), {896, 896}).patches(), 3136);
}

// Gemma: a square has floor(sqrt(280))^2 = 16^2 of 280 tokens, whatever its size; 2:1 floor(
// sqrt(560)) x floor(sqrt(140)) = 23 x 11; a frame of video floor(sqrt(70))^2 = 8^2; a strip 100:1
// one row of 100.
TEST(ImageTokens, OfGemmaFillABudget) {
    EXPECT_EQ(image_tokens(gemma(), {896, 896}), 256);
    EXPECT_EQ(image_tokens(gemma(), {224, 224}), 256);
    EXPECT_EQ(image_tokens(gemma(), {2000, 1000}), 23 * 11);
    EXPECT_EQ(image_tokens(gemma(), {896, 896, 4}), 4 * 64);
    EXPECT_EQ(image_tokens(gemma(), {40'000, 100}), 280);
    EXPECT_EQ(image_tokens(gemma(), {100, 30'000}), 280);
    EXPECT_EQ(patch_grid(gemma(), {896, 896}).patches(), 256 * 9);
}

TEST(ImageTokens, NeedASize) {
    EXPECT_THROW(image_tokens(qwen(), {0, 896}), std::invalid_argument);
    EXPECT_THROW(image_tokens(gemma(), {896, -1}), std::invalid_argument);
    EXPECT_THROW(image_tokens(qwen(), {896, 896, 0}), std::invalid_argument);
    EXPECT_THROW(image_tokens(qwen(), {896, 1'000'001}), std::invalid_argument);
    EXPECT_THROW(vision_operators(qwen(), {896, 896}, 0), std::invalid_argument);
}

// Qwen, 3,136 patches of 1,536 numbers, 784 tokens of 4,608. A layer: 2 P (4 d^2 + 2 d w) + 4 d P^2
// = 95.5 + 45.3 GFLOP; 27 of them 3.80 TFLOP, patches and merger 0.07.
TEST(VisionFlops, OfQwenByHand) {
    const double d = 1152, w = 4304, p = 3136;
    const double layer = 2 * p * (4 * d * d + 2 * d * w) + 4 * d * p * p;
    const double ends = 2 * p * 1536 * d + 2 * 784.0 * (4608.0 * 4608 + 4608.0 * 4096);
    EXPECT_DOUBLE_EQ(vision_flops(qwen(), {896, 896}).value(), 27 * layer + ends);
    EXPECT_NEAR(vision_flops(qwen(), {896, 896}).value(), 3.876e12, 0.001e12);
}

// Gemma, 2,304 patches, 256 tokens.
TEST(VisionFlops, OfGemmaByHand) {
    const double d = 1152, w = 4304, p = 2304;
    const double layer = 2 * p * (4 * d * d + 3 * d * w) + 4 * d * p * p;
    EXPECT_DOUBLE_EQ(vision_flops(gemma(), {896, 896}).value(),
                     27 * layer + 2 * p * 768 * d + 2 * 256.0 * d * 5376);
}

// Frames are apart: two time steps cost twice one, and see each other's patches not at all. Every
// patch sees all of its own: 3136^2 pairs, no half of it.
TEST(VisionOperatorsTest, AttendToAWholeTimeStep) {
    const VisionOperators one = vision_operators(qwen(), {896, 896}, 1);
    const VisionOperators video = vision_operators(qwen(), {896, 896, 4}, 3);
    const auto attention = [](const VisionOperators& operators) {
        for (const Operator& op : operators.layer) {
            if (op.name == "vision_attention") return std::get<Attention>(op.body);
        }
        throw std::logic_error("no attention");
    };
    EXPECT_EQ(visible_pairs(attention(one)), 3136.0 * 3136);
    EXPECT_EQ(attention(video).batch, 3 * 2);
    EXPECT_EQ(visible_pairs(attention(video)), 3136.0 * 3136);
    EXPECT_DOUBLE_EQ(vision_flops(qwen(), {896, 896, 4}).value(),
                     2 * vision_flops(qwen(), {896, 896}).value());
}

TEST(VisionOperatorsTest, AreValidAndCacheNothing) {
    for (const VisionTower& tower : {gemma(), qwen()}) {
        const VisionOperators operators = vision_operators(tower, {640, 480}, 2);
        EXPECT_EQ(operators.layers, 27);
        for (const auto& part : {operators.enter, operators.layer, operators.leave}) {
            EXPECT_FALSE(part.empty());
            for (const Operator& op : part) {
                EXPECT_NO_THROW(require_valid(op));
                EXPECT_EQ(op.name.substr(0, 7), "vision_");
                EXPECT_NE(op.name, "vision_cache_append");
            }
        }
    }
}

TEST(ReadVisionTower, NoneWithoutAVisionConfig) {
    const Node config = read_yaml(configs_root + "/models/llama-3.1-8b.yaml");
    EXPECT_FALSE(read_vision_tower(config, read_model(config, "llama")).has_value());
}

std::string refusal(const std::string& from, const std::string& to) {
    ModelSpec model;
    model.hidden = 4096;
    const std::string text =
        "vision_config:\n  model_type: qwen3_5_moe\n  depth: 27\n  hidden_size: 1152\n"
        "  num_heads: 16\n  intermediate_size: 4304\n  in_channels: 3\n  patch_size: 16\n"
        "  temporal_patch_size: 2\n  spatial_merge_size: 2\n  num_position_embeddings: 2304\n"
        "  out_hidden_size: 4096\n";
    return refusal_of([&] {
        (void)read_vision_tower(parse_yaml(replaced(text, from, to), "small.yaml"), model);
    });
}

TEST(ReadVisionTower, RefusesWithPlaceAndReason) {
    EXPECT_EQ(refusal("depth", "depth"), "accepted");
    const auto contains = [](const std::string& text, const std::string& part) {
        return text.find(part) != std::string::npos;
    };
    EXPECT_TRUE(contains(refusal("qwen3_5_moe", "some_vision"), "small.yaml:2:"));
    EXPECT_TRUE(contains(refusal("qwen3_5_moe", "some_vision"), "gemma4_vision or qwen3_5_moe"));
    EXPECT_TRUE(contains(refusal("num_heads: 16", "num_heads: 7"), "does not divide over 7 heads"));
    EXPECT_TRUE(contains(refusal("out_hidden_size: 4096", "out_hidden_size: 4095"),
                         "the model's hidden_size is 4096"));
    EXPECT_TRUE(contains(refusal("patch_size: 16\n", "patch_size: 0\n"), "patch_size"));
    EXPECT_TRUE(contains(refusal("  out_hidden", "  deepstack_visual_indexes: [8]\n  out_hidden"),
                         "not modelled"));
}

// The retyped facts are those of the files they were taken from.
TEST(ReadVisionTower, AsInTheOriginalConfigs) {
    const char* data = std::getenv("PODSIM_DATA");
    const std::filesystem::path root =
        data != nullptr ? std::filesystem::path(data)
                        : std::filesystem::path(PODSIM_SOURCE_DIR) / "../shared/data";
    if (!std::filesystem::exists(root / "models")) GTEST_SKIP() << "no data";
    for (const auto& [file, name] : {std::pair{"Gemma-4-31B-IT.json", "gemma-4-31b"},
                                     std::pair{"Qwen3.5-397B-A17B.json", "qwen3.5-397b-a17b"}}) {
        const Node config = read_json((root / "models" / file).string());
        EXPECT_EQ(read_vision_tower(config, read_model(config, name)), tower_of(name));
    }
}

}  // namespace
}  // namespace podsim
