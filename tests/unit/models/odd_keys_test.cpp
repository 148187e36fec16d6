// Keys that contradict each other, in YAML and in JSON, keys nobody asks for, families nobody
// knows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "models/model.hpp"
#include "tests/support/readers.hpp"

namespace podsim {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A shipped model with one key changed, as the text of a config.json, a key or a value a line.
std::string json_text(const std::string& model, const std::string& key, const std::string& value) {
    Node config = read_yaml(configs_root + "/models/" + model + ".yaml");
    set_path(config, key, value, {"test", 0, 0});
    return to_json(config).dump(1);
}

int line_of(const std::string& text, const std::string& key) {
    const auto at = text.find("\"" + key + "\"");
    const auto end = text.begin() + static_cast<std::ptrdiff_t>(at);
    return 1 + static_cast<int>(std::count(text.begin(), end, '\n'));
}

std::vector<std::string> unexpected_in(const Node& config) {
    std::vector<Diagnostic> unexpected;
    (void)read_model(config, "m", unexpected);
    std::vector<std::string> lines;
    for (const Diagnostic& one : unexpected) lines.push_back(to_string(one));
    return lines;
}

struct Contradiction {
    const char *model, *key, *value, *said;
};

class Contradictions : public testing::TestWithParam<Contradiction> {};

TEST_P(Contradictions, AreErrorsWithTheirLine) {
    const Contradiction& wrong = GetParam();
    const std::string text = json_text(wrong.model, wrong.key, wrong.value);
    const std::string said =
        refusal_of([&] { (void)read_model(parse_json(text, "config.json"), "m"); });
    EXPECT_THAT(said,
                AllOf(HasSubstr("config.json:" + std::to_string(line_of(text, wrong.key)) + ":"),
                      HasSubstr(wrong.key), HasSubstr(wrong.said)));
    // The same keys as YAML, with the line of the YAML.
    Node config = read_yaml(configs_root + "/models/" + wrong.model + ".yaml");
    set_path(config, wrong.key, wrong.value, {"f.yaml", 7, 9});
    EXPECT_THAT(refusal_of([&] { (void)read_model(config, "m"); }),
                AllOf(HasSubstr("f.yaml:7:9: " + std::string(wrong.key)), HasSubstr(wrong.said)));
}

INSTANTIATE_TEST_SUITE_P(
    Keys, Contradictions,
    testing::Values(
        Contradiction{"deepseek-v3", "n_routed_experts", "0", "0, expected a whole number from 1"},
        Contradiction{"qwen3-30b-a3b", "num_experts", "0", "0, expected a whole number from 1"},
        Contradiction{"mixtral-8x7b", "num_local_experts", "0", "expected a whole number from 1"},
        Contradiction{"deepseek-v4-pro", "n_routed_experts", "0", "expected a whole number from 1"},
        Contradiction{"deepseek-v3", "num_experts_per_tok", "300", "chooses 300 of 256 experts"},
        Contradiction{"llama-3.1-8b", "num_key_value_heads", "7", "do not divide"},
        Contradiction{"deepseek-v3", "n_group", "7", "256 experts do not divide into 7 groups"},
        Contradiction{"deepseek-v4-pro", "o_groups", "7", "128 heads do not divide over 7 groups"},
        Contradiction{"deepseek-v4-pro", "compress_ratios", "[128, 4, 0]",
                      "3 entries, expected 62"},
        Contradiction{"gpt-oss-120b", "layer_types", "[full_attention]",
                      "1 entries for 36 layers"}));

TEST(OddKeys, NobodyAskedForAreNamedWithTheirPlace) {
    Node config = read_yaml(configs_root + "/models/llama-3.1-8b.yaml");
    EXPECT_THAT(unexpected_in(config), IsEmpty());
    set_path(config, "num_experts", "8", {"f.yaml", 3, 4});
    set_path(config, "sliding_window", "null", {"f.yaml", 4, 4});  // says: none
    set_path(config, "use_experts", "false", {"f.yaml", 5, 4});
    set_path(config, "rms_norm_eps", "1e-5", {"f.yaml", 6, 4});  // says nothing about size
    EXPECT_THAT(unexpected_in(config),
                ElementsAre("f.yaml:3:4: num_experts: is not a key that this family's sizes come "
                            "from: ignored"));
}

TEST(OddKeys, ShippedModelsHaveNone) {
    for (const std::string& name : names_in_configs("model")) {
        EXPECT_THAT(unexpected_in(read_yaml(configs_root + "/models/" + name + ".yaml")), IsEmpty())
            << name;
    }
}

TEST(OddKeys, AnUnknownFamilyListsTheKnownOnes) {
    Node config = read_yaml(configs_root + "/models/llama-3.1-8b.yaml");
    set_path(config, "model_type", "lama", {"f.yaml", 2, 13});
    const std::string said = refusal_of([&] { (void)read_model(config, "m"); });
    EXPECT_THAT(said, AllOf(HasSubstr("f.yaml:2:13: model_type: unknown model family lama"),
                            HasSubstr("did you mean llama?"), HasSubstr("--as FAMILY")));
    for (const std::string& family : known_families()) EXPECT_THAT(said, HasSubstr(family));
    // None at all: the same help.
    const std::string missing =
        refusal_of([] { (void)read_model(parse_yaml("hidden_size: 4", "g.yaml"), "m"); });
    EXPECT_THAT(missing, AllOf(HasSubstr("g.yaml:1:1: model_type: missing"),
                               HasSubstr("--as FAMILY"), HasSubstr("deepseek_v4")));
}

}  // namespace
}  // namespace podsim
