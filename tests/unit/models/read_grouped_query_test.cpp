// Reading the config.json of Llama, Qwen3 and Mixtral: what each key becomes, and what is refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/models/config_text.hpp"
#include "tests/unit/models/grouped_query_specs.hpp"

namespace podsim {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

// A small model of the family, one key a line.
Lines lines_of(const std::string& family) {
    Lines lines = {{"model_type", family},       {"num_hidden_layers", "4"},
                   {"hidden_size", "64"},        {"vocab_size", "1000"},
                   {"num_attention_heads", "8"}, {"num_key_value_heads", "2"},
                   {"intermediate_size", "128"}, {"max_position_embeddings", "4096"}};
    if (family == "qwen3" || family == "qwen3_moe") lines.emplace_back("head_dim", "16");
    if (family == "qwen3_moe") {
        lines.emplace_back("num_experts", "16");
        lines.emplace_back("moe_intermediate_size", "32");
    }
    if (family == "mixtral") lines.emplace_back("num_local_experts", "16");
    if (family == "qwen3_moe" || family == "mixtral") {
        lines.emplace_back("num_experts_per_tok", "2");
    }
    return lines;
}

ModelSpec read(const std::string& family, const Lines& changes = {}) {
    return read_model(parse_yaml(config_text(lines_of(family), changes), "model.yaml"), "small");
}
std::vector<std::string> problems(const std::string& family, const Lines& changes) {
    return problems_of(parse_yaml(config_text(lines_of(family), changes), "model.yaml"));
}

const std::vector<std::string>& families() {
    static const std::vector<std::string> names = {"llama", "mixtral", "qwen3", "qwen3_moe"};
    return names;
}

TEST(ReadGroupedQuery, SizesOfEveryFamily) {
    for (const std::string& family : families()) {
        SCOPED_TRACE(family);
        const ModelSpec model = read(family);
        const bool dense = family == "llama" || family == "qwen3";
        const bool qwen = family == "qwen3" || family == "qwen3_moe";
        EXPECT_EQ(model.family, family);
        EXPECT_EQ(model.name, "small");
        EXPECT_EQ(model.layers, dense_then_experts(4, dense ? 4 : 0));
        EXPECT_EQ(model.hidden, 64);
        EXPECT_EQ(model.vocabulary, 1000);
        // All else that families add is not there.
        GroupedQueryAttention attention = grouped_query(8, 2, qwen ? 16 : 8);
        attention.query_key_norm = qwen;
        ASSERT_EQ(model.attentions.size(), 1u);
        EXPECT_EQ(grouped(model), attention);
        EXPECT_EQ(model.max_context, 4096);
        EXPECT_EQ(model.dense_intermediate, dense ? 128 : 0);
        EXPECT_EQ(model.routed_experts, dense ? 0 : 16);
        EXPECT_EQ(model.experts_per_token, dense ? 0 : 2);
        // A Mixtral expert is as wide as a dense FFN would be.
        EXPECT_EQ(model.expert_intermediate, dense ? 0 : (qwen ? 32 : 128));
        EXPECT_EQ(model.shared_intermediate, 0);
        EXPECT_EQ(model.draft_layers, 0);
        EXPECT_EQ(model.scale_block, 0);
        EXPECT_FALSE(model.tied_embedding);
        EXPECT_FALSE(model.router_bias);
        EXPECT_EQ(model.router_scoring, dense ? RouterScoring::sigmoid : RouterScoring::softmax);
    }
}

TEST(ReadGroupedQuery, OptionalKeys) {
    for (const std::string& family : families()) {
        SCOPED_TRACE(family);
        const ModelSpec model =
            read(family, {{"tie_word_embeddings", "true"},
                          {"quantization_config", "{weight_block_size: [128, 128]}"},
                          {"head_dim", "32"}});
        EXPECT_TRUE(model.tied_embedding);
        EXPECT_EQ(model.scale_block, 128);
        EXPECT_EQ(grouped(model).head_dim, 32);
    }
}

// Without head_dim a head is hidden_size / num_attention_heads wide: 64 / 8.
TEST(ReadGroupedQuery, HeadDimensionByDefault) {
    EXPECT_EQ(grouped(read("llama", {{"head_dim", "null"}})).head_dim, 8);
    EXPECT_EQ(grouped(read("mixtral")).head_dim, 8);
    EXPECT_THAT(problems("llama", {{"hidden_size", "68"}}),
                ElementsAre(AllOf(StartsWith("model.yaml:5:22: num_attention_heads: "),
                                  HasSubstr("hidden_size 68 does not divide over 8 heads"))));
    EXPECT_THAT(problems("llama", {{"hidden_size", "68"}, {"head_dim", "8"}}), IsEmpty());
    // Qwen3's heads are not the hidden state's parts.
    EXPECT_THAT(problems("qwen3", {{"head_dim", "-"}}),
                ElementsAre(HasSubstr("head_dim: missing")));
    EXPECT_THAT(problems("qwen3_moe", {{"head_dim", "-"}}),
                ElementsAre(HasSubstr("head_dim: missing")));
}

// The first Llama had no key for it: as many kv heads as heads.
TEST(ReadGroupedQuery, KvHeadsByDefault) {
    EXPECT_EQ(grouped(read("llama", {{"num_key_value_heads", "-"}})).kv_heads, 8);
    for (const std::string family : {"mixtral", "qwen3", "qwen3_moe"}) {
        EXPECT_THAT(problems(family, {{"num_key_value_heads", "-"}}),
                    ElementsAre(HasSubstr("num_key_value_heads: missing")));
    }
}

TEST(ReadGroupedQuery, EveryMissingSizeIsNamed) {
    for (const std::string& family : families()) {
        for (const auto& [key, value] : lines_of(family)) {
            if (key == "model_type" || (family == "llama" && key == "num_key_value_heads"))
                continue;
            // The width of dense layers that Qwen3 with experts has none of.
            if (family == "qwen3_moe" && key == "intermediate_size") continue;
            SCOPED_TRACE(family + " " + key);
            EXPECT_THAT(problems(family, {{key, "-"}}),
                        ElementsAre(AllOf(StartsWith("model.yaml:1:1: "),
                                          HasSubstr(key + ": missing, expected a whole number"))));
            EXPECT_THAT(problems(family, {{key, "0"}}),
                        ElementsAre(HasSubstr(key + ": 0, expected a whole number from 1 to ")));
        }
    }
}

TEST(ReadGroupedQuery, HeadsDivideOverKvHeads) {
    for (const std::string& family : families()) {
        SCOPED_TRACE(family);
        EXPECT_THAT(problems(family, {{"num_key_value_heads", "3"}}),
                    ElementsAre(AllOf(StartsWith("model.yaml:6:22: num_key_value_heads: "),
                                      HasSubstr("8 heads do not divide over 3 kv heads"))));
        EXPECT_THAT(problems(family, {{"head_dim", "15"}}),
                    ElementsAre(AllOf(HasSubstr("head_dim: 15"), HasSubstr("pairs of elements"))));
    }
}

TEST(ReadGroupedQuery, MoreExpertsChosenThanThereAre) {
    for (const std::string family : {"mixtral", "qwen3_moe"}) {
        EXPECT_THAT(problems(family, {{"num_experts_per_tok", "17"}}),
                    ElementsAre(HasSubstr("chooses 17 of 16 experts")));
        EXPECT_THAT(problems(family, {{"num_experts_per_tok", "16"}}), IsEmpty());
    }
}

// What would be counted wrongly is refused.
TEST(ReadGroupedQuery, WhatIsNotModelled) {
    const auto refused = [](const std::string& key) {
        return ElementsAre(AllOf(HasSubstr(key + ": "), HasSubstr("not modelled")));
    };
    for (const std::string& family : families()) {
        EXPECT_THAT(problems(family, {{"attention_bias", "true"}}), refused("attention_bias"));
        EXPECT_THAT(problems(family, {{"attention_bias", "false"}}), IsEmpty());
    }
    EXPECT_THAT(problems("llama", {{"mlp_bias", "true"}}), refused("mlp_bias"));
    for (const std::string family : {"qwen3", "qwen3_moe"}) {
        EXPECT_THAT(problems(family, {{"use_sliding_window", "true"}}),
                    refused("use_sliding_window"));
        // A window that is not used is none.
        EXPECT_THAT(problems(family, {{"use_sliding_window", "false"}, {"sliding_window", "1024"}}),
                    IsEmpty());
    }
    EXPECT_THAT(problems("qwen3_moe", {{"decoder_sparse_step", "2"}}),
                refused("decoder_sparse_step"));
    EXPECT_THAT(problems("qwen3_moe", {{"decoder_sparse_step", "1"}}), IsEmpty());
    EXPECT_THAT(problems("qwen3_moe", {{"mlp_only_layers", "[3]"}}), refused("mlp_only_layers"));
    EXPECT_THAT(problems("qwen3_moe", {{"mlp_only_layers", "3"}}), refused("mlp_only_layers"));
    EXPECT_THAT(problems("qwen3_moe", {{"mlp_only_layers", "[]"}}), IsEmpty());
    EXPECT_THAT(problems("qwen3_moe", {{"mlp_only_layers", "null"}}), IsEmpty());
}

// A window as long as the context hides nothing.
TEST(ReadGroupedQuery, SlidingWindow) {
    const auto window = [](const std::string& value) {
        return grouped(read("mixtral", {{"sliding_window", value}})).window;
    };
    EXPECT_EQ(window("1024"), 1024);
    EXPECT_EQ(window("4096"), 0);
    EXPECT_EQ(window("null"), 0);
    EXPECT_THAT(problems("mixtral", {{"sliding_window", "wide"}}),
                ElementsAre(HasSubstr("sliding_window: wide, expected a whole number")));
}

// A size that could not be read causes no second complaint about what follows from it.
TEST(ReadGroupedQuery, NoComplaintAboutWhatFollows) {
    for (const std::string& family : families()) {
        for (const auto& [key, value] : lines_of(family)) {
            if (key == "model_type" || (family == "qwen3_moe" && key == "intermediate_size"))
                continue;
            SCOPED_TRACE(family + " " + key);
            EXPECT_THAT(problems(family, {{key, "wrong"}}), ElementsAre(HasSubstr(key)));
        }
    }
}

}  // namespace
}  // namespace podsim
