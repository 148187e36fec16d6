// Reading config.json: the sizes, and every way it can be wrong with its place.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>

#include "tests/unit/models/config_text.hpp"
#include "tests/unit/models/r1.hpp"

namespace podsim {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

// A small model, one key a line.
const Lines& small_lines() {
    static const Lines lines = {{"model_type", "deepseek_v3"},
                                {"num_hidden_layers", "4"},
                                {"first_k_dense_replace", "1"},
                                {"hidden_size", "64"},
                                {"vocab_size", "1000"},
                                {"num_attention_heads", "4"},
                                {"q_lora_rank", "24"},
                                {"kv_lora_rank", "16"},
                                {"qk_nope_head_dim", "8"},
                                {"qk_rope_head_dim", "4"},
                                {"v_head_dim", "8"},
                                {"intermediate_size", "128"},
                                {"moe_intermediate_size", "32"},
                                {"n_routed_experts", "16"},
                                {"n_shared_experts", "1"},
                                {"num_experts_per_tok", "2"},
                                {"max_position_embeddings", "4096"}};
    return lines;
}
std::string config(const Lines& changes) {
    return config_text(small_lines(), changes);
}

ModelSpec read(const Lines& changes = {}) {
    return read_model(parse_yaml(config(changes), "model.yaml"), "small");
}

std::vector<std::string> problems(const Lines& changes) {
    return problems_of(parse_yaml(config(changes), "model.yaml"));
}

void expect_r1_sizes(const ModelSpec& model) {
    const ModelSpec r1_ = r1();
    EXPECT_EQ(model.family, r1_.family);
    EXPECT_EQ(model.layers, r1_.layers);
    EXPECT_EQ(model.hidden, r1_.hidden);
    EXPECT_EQ(model.vocabulary, r1_.vocabulary);
    EXPECT_EQ(model.attentions, r1_.attentions);
    EXPECT_EQ(model.dense_intermediate, r1_.dense_intermediate);
    EXPECT_EQ(model.expert_intermediate, r1_.expert_intermediate);
    EXPECT_EQ(model.routed_experts, r1_.routed_experts);
    EXPECT_EQ(model.shared_intermediate, r1_.shared_intermediate);
    EXPECT_EQ(model.experts_per_token, r1_.experts_per_token);
    EXPECT_EQ(model.expert_groups, r1_.expert_groups);
    EXPECT_EQ(model.groups_per_token, r1_.groups_per_token);
    EXPECT_EQ(model.router_scoring, r1_.router_scoring);
    EXPECT_EQ(model.router_bias, r1_.router_bias);
    EXPECT_EQ(model.draft_layers, r1_.draft_layers);
    EXPECT_EQ(model.draft_layer, r1_.draft_layer);
    EXPECT_EQ(model.tied_embedding, r1_.tied_embedding);
    EXPECT_EQ(model.scale_block, r1_.scale_block);
    EXPECT_EQ(model.max_context, r1_.max_context);
}

TEST(ReadModel, ShippedConfigurations) {
    for (const std::string name : {"deepseek-r1", "deepseek-v3"}) {
        SCOPED_TRACE(name);
        const Node node =
            read_yaml(std::string(PODSIM_SOURCE_DIR) + "/configs/models/" + name + ".yaml");
        const ModelSpec model = read_model(node, name);
        EXPECT_EQ(model.name, name);
        expect_r1_sizes(model);
        EXPECT_NE(node.find("source"), nullptr);
    }
}

// The file as published, with all its other keys.
TEST(ReadModel, PublishedConfigJson) {
    const std::string path =
        std::string(PODSIM_SOURCE_DIR) + "/../shared/data/models/DeepSeek-V3.json";
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "no third-party data beside the repository";
    expect_r1_sizes(read_model(read_json(path), "deepseek-v3"));
}

TEST(ReadModel, DefaultsOfOptionalKeys) {
    const ModelSpec model = read();
    EXPECT_EQ(model.name, "small");
    EXPECT_EQ(model.expert_groups, 1);
    EXPECT_EQ(model.groups_per_token, 1);
    EXPECT_EQ(model.draft_layers, 0);
    EXPECT_EQ(model.scale_block, 0);
    EXPECT_FALSE(model.tied_embedding);
}

TEST(ReadModel, OptionalKeys) {
    const ModelSpec model = read({{"n_group", "4"},
                                  {"topk_group", "2"},
                                  {"num_nextn_predict_layers", "3"},
                                  {"tie_word_embeddings", "true"},
                                  {"quantization_config", "{weight_block_size: [64, 64]}"},
                                  {"moe_layer_freq", "1"}});
    EXPECT_EQ(model.expert_groups, 4);
    EXPECT_EQ(model.groups_per_token, 2);
    EXPECT_EQ(model.draft_layers, 3);
    EXPECT_TRUE(model.tied_embedding);
    EXPECT_EQ(model.scale_block, 64);
}

TEST(ReadModel, OtherKeysAreIgnored) {
    EXPECT_EQ(read({{"source", "somewhere"},
                    {"name", "other"},
                    {"description", "a model"},
                    {"rope_theta", "10000.0"},
                    {"architectures", "[DeepseekV3ForCausalLM]"},
                    {"eos_token_id", "-1"}})
                  .name,
              "small");
}

// null means "without" for the query's compression, and "as by default" for optional keys.
TEST(ReadModel, NullKeys) {
    const ModelSpec model = read({{"q_lora_rank", "null"},
                                  {"n_group", "null"},
                                  {"topk_group", "null"},
                                  {"num_nextn_predict_layers", "null"},
                                  {"tie_word_embeddings", "null"},
                                  {"quantization_config", "null"}});
    EXPECT_EQ(latent(model).query_rank, 0);
    EXPECT_EQ(model.expert_groups, 1);
    EXPECT_EQ(model.scale_block, 0);
    EXPECT_EQ(read({{"quantization_config", "{quant_method: fp8}"}}).scale_block, 0);
    EXPECT_EQ(read({{"quantization_config", "{weight_block_size: null}"}}).scale_block, 0);
    EXPECT_THAT(problems({{"hidden_size", "null"}}),
                ElementsAre(HasSubstr("hidden_size: null, expected a whole number from 1")));
}

TEST(ReadModel, NoMap) {
    EXPECT_THAT(problems_of(parse_yaml("[1, 2]", "model.yaml")),
                ElementsAre(AllOf(StartsWith("model.yaml:1:1: "), HasSubstr("not a list"))));
    EXPECT_THAT(problems_of(parse_yaml("deepseek", "model.yaml")),
                ElementsAre(HasSubstr("not deepseek")));
}

TEST(ReadModel, NoFamily) {
    EXPECT_THAT(problems({{"model_type", "-"}}),
                ElementsAre(AllOf(HasSubstr("model_type: missing, expected a name"),
                                  StartsWith("model.yaml:1:1: "))));
    EXPECT_THAT(problems({{"model_type", "[deepseek_v3]"}}),
                ElementsAre(HasSubstr("model_type: a list, expected a name")));
    EXPECT_THAT(problems({{"model_type", "\"\""}}), ElementsAre(HasSubstr("expected a name")));
}

TEST(ReadModel, UnknownFamily) {
    EXPECT_THAT(
        problems({{"model_type", "deepseek_v33"}}),
        ElementsAre(AllOf(StartsWith("model.yaml:1:13: model_type: "), HasSubstr("deepseek_v33"),
                          HasSubstr("did you mean deepseek_v3?"))));
    EXPECT_THAT(problems({{"model_type", "gemma"}}),
                ElementsAre(AllOf(HasSubstr("gemma"), HasSubstr("deepseek_v3"))));
    EXPECT_THAT(
        known_families(),
        ElementsAre("PanguProMoE", "deepseek_v2", "deepseek_v3", "deepseek_v32", "deepseek_v4",
                    "gemma4", "gemma4_text", "glm_moe_dsa", "gpt2", "gpt_oss", "hunyuan_v1_moe",
                    "kimi_k2", "llama", "minimax_m2", "mixtral", "qwen3", "qwen3_5_moe",
                    "qwen3_5_moe_text", "qwen3_moe", "step3_text"));
}

TEST(ReadModel, EveryMissingSizeIsNamed) {
    const std::vector<std::string> needed = {"num_hidden_layers",   "first_k_dense_replace",
                                             "hidden_size",         "vocab_size",
                                             "num_attention_heads", "q_lora_rank",
                                             "kv_lora_rank",        "qk_nope_head_dim",
                                             "qk_rope_head_dim",    "v_head_dim",
                                             "intermediate_size",   "moe_intermediate_size",
                                             "n_routed_experts",    "n_shared_experts",
                                             "num_experts_per_tok", "max_position_embeddings"};
    for (const std::string& key : needed) {
        EXPECT_THAT(problems({{key, "-"}}),
                    ElementsAre(AllOf(StartsWith("model.yaml:1:1: "),
                                      HasSubstr(key + ": missing, expected a whole number"))));
    }
    // All at once, none of them twice.
    Lines without;
    for (const std::string& key : needed) without.emplace_back(key, "-");
    EXPECT_EQ(problems(without).size(), needed.size());
}

TEST(ReadModel, AMissingKeyPointsAtAMisspeltOne) {
    EXPECT_THAT(problems({{"hidden_size", "-"}, {"hiden_size", "64"}}),
                ElementsAre(AllOf(HasSubstr("hidden_size: missing"),
                                  HasSubstr("is hiden_size in line 17 meant?"))));
    // A key that is itself read is no misspelling, however near.
    EXPECT_THAT(problems({{"qk_nope_head_dim", "-"}}), ElementsAre(Not(HasSubstr("meant"))));
}

TEST(ReadModel, EverySizeMustBeAWholeNumberInRange) {
    for (const std::string key :
         {"num_hidden_layers", "hidden_size", "vocab_size", "num_attention_heads", "q_lora_rank",
          "kv_lora_rank", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "intermediate_size",
          "moe_intermediate_size", "n_routed_experts", "num_experts_per_tok", "n_group",
          "topk_group", "max_position_embeddings"}) {
        for (const std::string wrong : {"0", "-4", "99999999999", "many", "\"64\"", "6.4e1", "64.0",
                                        "010", "-", "99999999999999999999", "-99999999999999999999",
                                        "[64]", "{a: 64}", "true", "0x40", "+4"}) {
            if (wrong == "-") continue;
            SCOPED_TRACE(key + ": " + wrong);
            EXPECT_THAT(problems({{key, wrong}}),
                        ElementsAre(HasSubstr("expected a whole number from 1 to ")));
        }
    }
}

// These may be 0, but not less.
TEST(ReadModel, EveryCountMustBeAWholeNumberInRange) {
    for (const std::string key :
         {"first_k_dense_replace", "n_shared_experts", "num_nextn_predict_layers"}) {
        SCOPED_TRACE(key);
        EXPECT_THAT(problems({{key, "0"}}), IsEmpty());
        for (const std::string wrong : {"-1", "99999999999", "none"}) {
            EXPECT_THAT(problems({{key, wrong}}),
                        ElementsAre(HasSubstr("expected a whole number from 0 to ")));
        }
    }
}

TEST(ReadModel, ContextsMayBeLong) {
    EXPECT_EQ(read({{"max_position_embeddings", "100000000"}}).max_context, 100'000'000);
}

TEST(ReadModel, TextWhereANumberBelongsSaysWhere) {
    EXPECT_THAT(problems({{"hidden_size", "\"7168\""}}),
                ElementsAre(AllOf(StartsWith("model.yaml:4:14: hidden_size: "),
                                  HasSubstr("the text \"7168\", expected a whole number"))));
}

TEST(ReadModel, FlagMustBeTrueOrFalse) {
    for (const std::string wrong : {"1", "\"true\"", "maybe", "[true]"}) {
        EXPECT_THAT(
            problems({{"tie_word_embeddings", wrong}}),
            ElementsAre(AllOf(StartsWith("model.yaml:18:"), HasSubstr("tie_word_embeddings: "),
                              HasSubstr("expected true or false"))));
    }
}

TEST(ReadModel, QuantisationBlock) {
    const auto with = [](const std::string& value) {
        return problems({{"quantization_config", value}});
    };
    EXPECT_THAT(with("fp8"), ElementsAre(HasSubstr("quantization_config: fp8, expected a map")));
    EXPECT_THAT(with("{weight_block_size: 128}"),
                ElementsAre(HasSubstr("quantization_config.weight_block_size: expected two whole "
                                      "numbers such as [128, 128]")));
    EXPECT_THAT(with("{weight_block_size: [128]}"), ElementsAre(HasSubstr("expected two")));
    EXPECT_THAT(with("{weight_block_size: [128, x]}"),
                ElementsAre(HasSubstr("weight_block_size.1: x, expected a whole number")));
    EXPECT_THAT(with("{weight_block_size: [0, 0]}").size(), 2u);
    EXPECT_THAT(with("{weight_block_size: [1, 128]}"),
                ElementsAre(HasSubstr("[1, 128]: only square blocks are modelled")));
}

TEST(ReadModel, MoreDenseLayersThanLayers) {
    EXPECT_THAT(problems({{"first_k_dense_replace", "5"}}),
                ElementsAre(AllOf(StartsWith("model.yaml:3:24: first_k_dense_replace: "),
                                  HasSubstr("5 dense layers of 4 layers"))));
    EXPECT_THAT(problems({{"first_k_dense_replace", "4"}}), IsEmpty());
}

TEST(ReadModel, MoreExpertsChosenThanThereAre) {
    EXPECT_THAT(problems({{"num_experts_per_tok", "17"}}),
                ElementsAre(AllOf(StartsWith("model.yaml:16:22: num_experts_per_tok: "),
                                  HasSubstr("chooses 17 of 16 experts"))));
    EXPECT_THAT(problems({{"num_experts_per_tok", "16"}}), IsEmpty());
}

TEST(ReadModel, GroupsOfExperts) {
    EXPECT_THAT(problems({{"n_group", "3"}}),
                ElementsAre(AllOf(StartsWith("model.yaml:18:10: n_group: "),
                                  HasSubstr("16 experts do not divide into 3 groups"))));
    EXPECT_THAT(problems({{"n_group", "4"}, {"topk_group", "5"}}),
                ElementsAre(HasSubstr("topk_group: chooses 5 of 4 groups")));
    EXPECT_THAT(problems({{"n_group", "16"}, {"topk_group", "1"}}),
                ElementsAre(HasSubstr("1 groups hold 1 experts, but num_experts_per_tok is 2")));
    EXPECT_THAT(problems({{"n_group", "16"}, {"topk_group", "2"}}), IsEmpty());
}

TEST(ReadModel, RotaryDimensionIsEven) {
    EXPECT_THAT(problems({{"qk_rope_head_dim", "5"}}),
                ElementsAre(AllOf(StartsWith("model.yaml:10:19: qk_rope_head_dim: "),
                                  HasSubstr("pairs of elements"))));
}

TEST(ReadModel, DenseLayersBetweenMoeLayersAreNotModelled) {
    EXPECT_THAT(problems({{"moe_layer_freq", "2"}}),
                ElementsAre(AllOf(StartsWith("model.yaml:18:17: moe_layer_freq: "),
                                  HasSubstr("not modelled"))));
}

TEST(ReadModel, AllProblemsInOneGo) {
    EXPECT_THAT(problems({{"hidden_size", "wide"},
                          {"kv_lora_rank", "-"},
                          {"num_experts_per_tok", "99"},
                          {"moe_layer_freq", "3"}}),
                testing::UnorderedElementsAre(HasSubstr("hidden_size"), HasSubstr("kv_lora_rank"),
                                              HasSubstr("num_experts_per_tok"),
                                              HasSubstr("moe_layer_freq")));
}

// A size that could not be read causes no second complaint about what follows from it.
TEST(ReadModel, NoComplaintAboutWhatFollows) {
    for (const std::string key : {"num_hidden_layers", "n_routed_experts", "n_group", "topk_group",
                                  "num_experts_per_tok"}) {
        EXPECT_THAT(problems({{"n_group", "4"}, {"topk_group", "2"}, {key, "wrong"}}),
                    ElementsAre(HasSubstr(key)));
    }
}

}  // namespace
}  // namespace podsim
