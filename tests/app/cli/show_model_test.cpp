// `show model`: figures in columns, as JSON, of a user's own config.json; and files that are meant
// to hurt.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "app/text_table.hpp"
#include "tests/app/cli/program.hpp"

namespace podsim {
namespace {

using Json = nlohmann::json;

const char* const kConfig =
    "{\n \"model_type\": \"llama\",\n \"hidden_size\": 64,\n \"vocab_size\": 1000,\n"
    " \"num_hidden_layers\": 2,\n \"num_attention_heads\": 4,\n \"num_key_value_heads\": 2,\n"
    " \"intermediate_size\": 128,\n \"max_position_embeddings\": 8192,\n"
    " \"number_of_experts\": 8\n}\n";

void expect_narrow(const std::string& text) {
    for (const std::string& line : lines_of(text)) EXPECT_LE(display_width(line), 80u) << line;
}

TEST(ShowModel, TwoAndFourInColumnsOf80) {
    const Folder folder;
    const Outcome two = folder.podsim({"show", "model", "deepseek-v4-pro", "deepseek-v3.2"});
    EXPECT_EQ(two.code, 0);
    EXPECT_EQ(two.err, "");
    expect_narrow(two.out);
    for (const char* part :
         {"deepseek-v4-pro        deepseek-v3.2", "29 x [HCA 128:1 + experts]",
          "  BF16, GB, at 1M                               10.33                    -\n",
          "-: deepseek-v3.2 was made for contexts up to 163,840 tokens"}) {
        EXPECT_TRUE(contains(two.out, part)) << part << "\n" << two.out;
    }
    const Outcome four = folder.podsim(
        {"show", "model", "llama-3.1-70b", "qwen3.5-397b-a17b", "gpt3-175b", "step-3"});
    expect_narrow(four.out);
    EXPECT_TRUE(contains(four.out, "70.55       396.3")) << four.out;
}

TEST(ShowModel, TheDocumentationShowsIt) {
    std::ifstream page(std::string(PODSIM_SOURCE_DIR) + "/docs/models.md");
    const std::string text(std::istreambuf_iterator<char>(page), {});
    const std::string shown =
        Folder().podsim({"show", "model", "deepseek-v4-pro", "deepseek-v3.2"}).out;
    EXPECT_TRUE(contains(text, "```\n" + shown + "```")) << "put this there:\n" << shown;
}

TEST(ShowModel, OneHasItsLayersAndKeys) {
    const Outcome one = Folder().podsim({"show", "model", "deepseek-v3"});
    expect_narrow(one.out);
    for (const char* part : {"249.8", "260.0", "58 x [latent attention + experts]",
                             "query_kv_down_projection", "kv_lora_rank"}) {
        EXPECT_TRUE(contains(one.out, part)) << part;
    }
}

TEST(ShowModel, JsonIsUnroundedAndWhole) {
    const Json json =
        Json::parse(Folder().podsim({"show", "model", "deepseek-v3", "--json"}).out)["computed"];
    // The parts are the total.
    double sum = 0;
    for (const auto& [part, value] : json["parameters_by_part"].items()) {
        if (part != "draft_modules") sum += value.get<double>();
    }
    EXPECT_EQ(sum, json["parameters"].get<double>());
    EXPECT_EQ(json["contexts"].size(), 4u);
    EXPECT_EQ(json["contexts"][0]["cache_bytes_bf16"], 70272.0 * 4096);
    EXPECT_EQ(json["contexts"][3]["beyond_max_context"], true);
    EXPECT_EQ(json["layers"][1]["count"], 58);
    EXPECT_EQ(json["layers"][1]["operators"][1]["name"], "query_kv_down_projection");
    EXPECT_EQ(json["layers"][1]["operators"][1]["flop"], 2.0 * 2112 * 7168);
}

// An image of 896 x 896: tests/unit/models/vision_test.cpp works these out.
TEST(ShowModel, VisionTowersStandApart) {
    const Folder folder;
    const std::string text = folder.podsim({"show", "model", "qwen3.5-397b-a17b"}).out;
    for (const char* part : {"vision tower, apart; an image of 896 x 896", "0.4560", "784", "3876"})
        EXPECT_TRUE(contains(text, part)) << part;
    const auto computed = [&](const char* name) {
        return Json::parse(folder.podsim({"show", "model", name, "--json"}).out)["computed"];
    };
    const Json tower = computed("qwen3.5-397b-a17b")["vision_tower"];
    EXPECT_EQ(tower["parameters"], 456'010'480.0);
    EXPECT_EQ(tower["image_tokens"], 784);
    EXPECT_NEAR(tower["image_flop"].get<double>(), 3.876e12, 0.001e12);
    EXPECT_FALSE(computed("deepseek-v3").contains("vision_tower"));
}

TEST(ShowModel, WhatIsPublishedStandsBesideTheCount) {
    const Folder folder;
    std::string config = kConfig;
    folder.write("mine/models/a.yaml",
                 "model_type: llama\nhidden_size: 64\nvocab_size: 1000\nnum_hidden_layers: 2\n"
                 "num_attention_heads: 4\nnum_key_value_heads: 2\nintermediate_size: 128\n"
                 "max_position_embeddings: 8192\npublished: {total: 200 K}\n");
    // 2 x 64,000 tables, 2 x (64 x 128 + 64 x 64) attention, 2 x 3 x 8,192 FFN, 5 x 64 norms.
    const double total = 128000 + 24576 + 49152 + 320;
    const Json json = Json::parse(
        folder.podsim({"show", "model", "a", "--json", "--configs", "mine"}).out)["computed"];
    EXPECT_EQ(json["parameters"], total);
    EXPECT_DOUBLE_EQ(json["published"]["total"]["difference"].get<double>(), total / 200e3 - 1);
    const Outcome text = folder.podsim({"show", "model", "a", "--configs", "mine"});
    EXPECT_TRUE(contains(text.out, "0.0002 (+1.0 %)")) << text.out;
}

TEST(ShowModel, AUsersConfigWithAnOddKey) {
    const Folder folder;
    folder.write("config.json", kConfig);
    const std::string warning =
        "warning: config.json:10:23: number_of_experts: is not a key that this family's sizes come "
        "from: ignored\n";
    const Outcome shown = folder.podsim({"show", "model", "config.json"});
    EXPECT_EQ(shown.code, 0);
    EXPECT_EQ(shown.err, warning);
    const Outcome checked = folder.podsim({"check", "config.json"});
    EXPECT_EQ(checked.code, 0);
    EXPECT_EQ(checked.err, warning);
    folder.write(
        "e.yaml",
        "experiment: mine\nworkload: {kind: decode, model: config.json, context: 4096 "
        "tokens, batch_per_chip: 1}\nalternatives:\n  - {name: A, system: hgx-h200, chips: "
        "8}\n");
    const Outcome run = folder.podsim({"run", "e.yaml"});
    EXPECT_EQ(run.code, 0) << run.err;
    EXPECT_TRUE(contains(run.out, "number_of_experts")) << run.out;
    EXPECT_TRUE(contains(run.out, "mapping by the default rule: data_parallel 8")) << run.out;
    const Json result = Json::parse(folder.read("results/e/result.json"));
    EXPECT_EQ(
        result["configuration"]["experiment"]["alternatives"][0]["mapping"]["tensor_parallel"], 1);
    EXPECT_EQ(result["configuration"]["origins"]["experiment.alternatives.A.mapping."
                                                 "tensor_parallel"],
              "default rule");
    EXPECT_EQ(folder.podsim({"check", "e.yaml"}).err, warning);
}

TEST(ShowModel, AsAnotherFamily) {
    const Folder folder;
    std::string config = kConfig;
    config.replace(config.find("\"llama\""), 7, "\"brand_new\"");
    folder.write("config.json", config);
    const Outcome refused = folder.podsim({"show", "model", "config.json"});
    EXPECT_EQ(refused.code, 2);
    EXPECT_TRUE(contains(refused.err,
                         "config.json:2:16: model_type: unknown model family "
                         "brand_new"))
        << refused.err;
    EXPECT_TRUE(contains(refused.err, "--as FAMILY")) << refused.err;
    const Outcome shown = folder.podsim({"show", "model", "config.json", "--as", "llama"});
    EXPECT_EQ(shown.code, 0) << shown.err;
    EXPECT_TRUE(contains(shown.out, "llama, 2 layers")) << shown.out;
    EXPECT_EQ(folder.podsim({"check", "config.json", "--as", "llama"}).code, 0);
    const Outcome wrong = folder.podsim({"show", "model", "config.json", "--as", "lama"});
    EXPECT_EQ(wrong.code, 2);
    EXPECT_TRUE(contains(wrong.err, "--as: model_type: unknown model family lama")) << wrong.err;
    EXPECT_EQ(folder.podsim({"show", "chip", "h800", "--as", "llama"}).code, 2);
    // In an experiment it is a setting.
    folder.write(
        "e.yaml",
        "experiment: mine\nworkload: {kind: decode, model: config.json, context: 4096 "
        "tokens, batch_per_chip: 1}\nalternatives:\n  - {name: A, system: hgx-h200, chips: "
        "8}\n");
    EXPECT_EQ(folder.podsim({"check", "e.yaml"}).code, 2);
    EXPECT_EQ(folder.podsim({"check", "e.yaml", "--as", "llama"}).code, 2);
    const Outcome set =
        folder.podsim({"check", "e.yaml", "--set", "model:config.json.model_type=llama"});
    EXPECT_EQ(set.code, 0) << set.err;
}

// Runs with 400 MB of address space, so that a file that is taken in anyway is found out.
class BoundedMemory : public testing::Test {
  protected:
    void SetUp() override {
#ifdef __SANITIZE_ADDRESS__
        GTEST_SKIP() << "the sanitizer reserves more address space";
#endif
        ASSERT_EQ(getrlimit(RLIMIT_AS, &before_), 0);
        rlimit small = before_;
        small.rlim_cur = 400'000'000;
        ASSERT_EQ(setrlimit(RLIMIT_AS, &small), 0);
    }
    void TearDown() override {
        if (before_.rlim_max != 0) setrlimit(RLIMIT_AS, &before_);
    }

    void expect_refused(const std::string& name, const std::string& said) {
        for (const char* verb : {"show", "check"}) {
            std::vector<std::string> arguments = {verb};
            if (arguments.front() == "show") arguments.emplace_back("model");
            arguments.push_back(name);
            const Outcome outcome = folder_.podsim(arguments);
            EXPECT_EQ(outcome.code, 2) << outcome.err.substr(0, 400);
            EXPECT_TRUE(contains(outcome.err, said)) << outcome.err.substr(0, 400);
        }
    }

    Folder folder_;

  private:
    rlimit before_{};
};

TEST_F(BoundedMemory, AFileOf100MB) {
    for (const char* name : {"huge.json", "huge.yaml"}) {
        folder_.write(name, "");
        std::filesystem::resize_file(folder_ / name, 100'000'000);  // without blocks on the disk
        expect_refused(name, "is larger than 16 MiB");
    }
}

TEST_F(BoundedMemory, EndlessNesting) {
    for (const char* open : {"[", "{\"a\":"}) {
        std::string text;
        for (int i = 0; i < 100'000; ++i) text += open;
        folder_.write("deep.json", text);
        expect_refused("deep.json", "nested more than 64 deep");
        folder_.write("deep.yaml", text);
        expect_refused("deep.yaml", "nested more than 64 deep");
    }
}

TEST_F(BoundedMemory, ValuesWithoutEnd) {
    std::string text = "[0";
    for (int i = 0; i < 1'000'000; ++i) text += ",0";
    folder_.write("many.json", text + "]");
    expect_refused("many.json", "holds more than 1000000 values");
}

}  // namespace
}  // namespace podsim
