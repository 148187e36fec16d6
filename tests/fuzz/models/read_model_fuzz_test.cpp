// Whatever is done to a config.json, reading it ends in an InputError or in a model whose blocks
// can be built.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "tests/unit/models/r1.hpp"

namespace podsim {
namespace {

const char* const deepseek = R"({
  "architectures": ["DeepseekV3ForCausalLM"],
  "model_type": "deepseek_v3",
  "num_hidden_layers": 61,
  "first_k_dense_replace": 3,
  "moe_layer_freq": 1,
  "hidden_size": 7168,
  "vocab_size": 129280,
  "num_attention_heads": 128,
  "q_lora_rank": 1536,
  "kv_lora_rank": 512,
  "qk_nope_head_dim": 128,
  "qk_rope_head_dim": 64,
  "v_head_dim": 128,
  "intermediate_size": 18432,
  "moe_intermediate_size": 2048,
  "n_routed_experts": 256,
  "n_shared_experts": 1,
  "num_experts_per_tok": 8,
  "n_group": 8,
  "topk_group": 4,
  "num_nextn_predict_layers": 1,
  "tie_word_embeddings": false,
  "max_position_embeddings": 163840,
  "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
  "rope_scaling": {"type": "yarn", "factor": 40}
}
)";

const char* const llama = R"({
  "architectures": ["LlamaForCausalLM"],
  "attention_bias": false,
  "hidden_size": 4096,
  "intermediate_size": 14336,
  "max_position_embeddings": 131072,
  "mlp_bias": false,
  "model_type": "llama",
  "num_attention_heads": 32,
  "num_hidden_layers": 32,
  "num_key_value_heads": 8,
  "rope_scaling": {"factor": 8.0, "rope_type": "llama3"},
  "tie_word_embeddings": false,
  "vocab_size": 128256
}
)";

const char* const mixtral = R"({
  "architectures": ["MixtralForCausalLM"],
  "hidden_size": 4096,
  "intermediate_size": 14336,
  "max_position_embeddings": 32768,
  "model_type": "mixtral",
  "num_attention_heads": 32,
  "num_experts_per_tok": 2,
  "num_hidden_layers": 32,
  "num_key_value_heads": 8,
  "num_local_experts": 8,
  "sliding_window": null,
  "vocab_size": 32000
}
)";

const char* const qwen3 = R"({
  "architectures": ["Qwen3ForCausalLM"],
  "attention_bias": false,
  "head_dim": 128,
  "hidden_size": 1024,
  "intermediate_size": 3072,
  "max_position_embeddings": 40960,
  "model_type": "qwen3",
  "num_attention_heads": 16,
  "num_hidden_layers": 28,
  "num_key_value_heads": 8,
  "sliding_window": null,
  "tie_word_embeddings": true,
  "use_sliding_window": false,
  "vocab_size": 151936
}
)";

const char* const qwen3_moe = R"({
  "architectures": ["Qwen3MoeForCausalLM"],
  "attention_bias": false,
  "decoder_sparse_step": 1,
  "head_dim": 128,
  "hidden_size": 2048,
  "intermediate_size": 6144,
  "max_position_embeddings": 40960,
  "mlp_only_layers": [],
  "model_type": "qwen3_moe",
  "moe_intermediate_size": 768,
  "num_attention_heads": 32,
  "num_experts": 128,
  "num_experts_per_tok": 8,
  "num_hidden_layers": 48,
  "num_key_value_heads": 4,
  "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
  "tie_word_embeddings": false,
  "use_sliding_window": false,
  "vocab_size": 151936
}
)";

const std::vector<std::string>& all_valid() {
    static const std::vector<std::string> configs = {deepseek, llama, mixtral, qwen3, qwen3_moe};
    return configs;
}

// One tree a family: those above, of the others the first that is shipped. A family's name for the
// part of a model that works on text stands for the same keys.
std::map<std::string, Node> valid_trees() {
    std::map<std::string, Node> trees;
    for (const std::string& valid : all_valid()) {
        const Node tree = parse_json(valid, "config.json");
        trees.emplace(tree.find("model_type")->text, tree);
    }
    std::set<std::filesystem::path> files;
    for (const auto& entry :
         std::filesystem::directory_iterator(PODSIM_SOURCE_DIR "/configs/models")) {
        if (entry.path().extension() == ".yaml") files.insert(entry.path());
    }
    for (const auto& file : files) {
        const Node tree = read_yaml(file.string());
        trees.emplace(tree.find("model_type")->text, tree);
    }
    for (const std::string family : {"gemma4", "qwen3_5_moe"}) {
        Node tree = trees.at(family);
        for (Node::Entry& entry : tree.entries) {
            if (entry.key == "model_type") entry.value.text = family + "_text";
        }
        trees.emplace(family + "_text", tree);
    }
    return trees;
}

void expect_usable(const ModelSpec& model) {
    const auto has_kind = [&](const LayerKind& kind) {
        return kind.attention >= 0 &&
               static_cast<std::size_t>(kind.attention) < model.attentions.size();
    };
    RC_ASSERT(!model.layers.empty());
    RC_ASSERT(std::all_of(model.layers.begin(), model.layers.end(), has_kind));
    RC_ASSERT(model.draft_layers == 0 || has_kind(model.draft_layer));
    const ParameterCount count = count_parameters(model);
    RC_ASSERT(std::isfinite(count.total()));
    RC_ASSERT(count.active_without_embedding() > 0);
    RC_ASSERT(count.active() <= count.total());
    RC_ASSERT(cache_of(model, 1).bytes(Precision{}).value() > 0);
    const WeightBytes held = weight_bytes(model, fp8_served(), 1);
    RC_ASSERT((held.routed_expert + held.dense_ffn).value() > 0);
    StepShape shape{Phase::decode, 2, 1, 10, 1};
    for (const Phase phase : {Phase::decode, Phase::prefill}) {
        shape.phase = phase;
        for (const LayerCount& alike : layer_kinds(model)) {
            for (const Operator& op : attention_block(model, fp8_served(), shape, alike.kind))
                require_valid(op);
        }
    }
    for (const Operator& op : dense_ffn_block(model, fp8_served(), 2, 1)) require_valid(op);
    for (const Operator& op : router_block(model, fp8_served(), 2)) require_valid(op);
    for (const Operator& op : expert_block(model, fp8_served(), {1, 1}, "expert"))
        require_valid(op);
    for (const Operator& op : expert_block(model, fp8_served(), {1, 2}, "shared_expert")) {
        require_valid(op);
    }
    for (const Operator& op : combine_block(model, fp8_served(), 2, 1)) require_valid(op);
    for (const Operator& op : draft_block(model, fp8_served(), 2)) require_valid(op);
    for (const Operator& op : head_block(model, fp8_served(), 2, 1)) require_valid(op);
}

// Whether it was accepted; every refusal has diagnostics that say something.
bool accepted(const Node& config) {
    try {
        expect_usable(read_model(config, "fuzzed"));
        return true;
    } catch (const InputError& error) {
        RC_ASSERT(!error.diagnostics().empty());
        for (const Diagnostic& diagnostic : error.diagnostics())
            RC_ASSERT(!diagnostic.what.empty());
        return false;
    }
}

Node any_value() {
    Node node;
    switch (*rc::gen::inRange(0, 4)) {
        case 0:
            break;
        case 1:
            node.kind = Node::Kind::list;
            break;
        case 2:
            node.kind = Node::Kind::map;
            break;
        default:
            node.kind = Node::Kind::scalar;
            node.quoted = *rc::gen::inRange(0, 4) == 0;
            node.text = *rc::gen::oneOf(
                rc::gen::map(rc::gen::arbitrary<long>(), [](long n) { return std::to_string(n); }),
                rc::gen::map(rc::gen::inRange<long>(-2, 300),
                             [](long n) { return std::to_string(n); }),
                rc::gen::element<std::string>("", "true", "1e9", "0x10", "nan", ".inf", "-", "07",
                                              "99999999999999999999", "12 %", "3.5"),
                rc::gen::arbitrary<std::string>());
    }
    for (int i = *rc::gen::inRange(0, 3); i > 0 && node.kind == Node::Kind::list; --i) {
        node.items.push_back(any_value());
    }
    return node;
}

// Changes, drops, renames or adds values anywhere in the tree.
void mutate(Node& node) {
    if (node.kind == Node::Kind::list && !node.items.empty()) {
        mutate(node.items[*rc::gen::inRange<std::size_t>(0, node.items.size())]);
        return;
    }
    if (node.kind != Node::Kind::map || node.entries.empty()) {
        node = any_value();
        return;
    }
    const std::size_t index = *rc::gen::inRange<std::size_t>(0, node.entries.size());
    const auto at = node.entries.begin() + static_cast<std::ptrdiff_t>(index);
    switch (*rc::gen::inRange(0, 6)) {
        case 0:
            node.entries.erase(at);
            break;
        case 1:
            at->key += "x";
            break;
        case 2:
            mutate(at->value);
            break;
        default:
            at->value = any_value();
            break;
    }
}

TEST(ReadModelFuzz, EveryFamilyIsFuzzed) {
    std::set<std::string> families;
    for (const auto& [name, tree] : valid_trees()) families.insert(read_model(tree, name).family);
    for (const std::string& family : known_families())
        EXPECT_EQ(families.count(family), 1u) << family;
}

TEST(ReadModelFuzz, MutatedTrees) {
    for (const auto& tree : valid_trees()) {
        SCOPED_TRACE(tree.first);
        const Node& original = tree.second;
        ASSERT_TRUE(accepted(original));
        int usable = 0, refused = 0;
        EXPECT_TRUE(rc::check([&] {
            for (int round = 0; round < 20; ++round) {
                Node config = original;
                for (int i = *rc::gen::inRange(1, 4); i > 0; --i) mutate(config);
                accepted(config) ? ++usable : ++refused;
            }
        }));
        // Both ends were reached, or the mutations prove nothing.
        EXPECT_GT(usable, 50);
        EXPECT_GT(refused, 50);
    }
}

std::string mutated(std::string text) {
    for (int i = *rc::gen::inRange(1, 4); i > 0; --i) {
        const std::size_t at = *rc::gen::inRange<std::size_t>(0, text.size());
        switch (*rc::gen::inRange(0, 3)) {
            case 0:
                text.erase(at, *rc::gen::inRange<std::size_t>(1, 12));
                break;
            case 1:
                text[at] = *rc::gen::element('0', '9', '-', '"', '}', 'a', ',');
                break;
            default:
                text.insert(at, text.substr(at, 9));
                break;
        }
        if (text.empty()) text = "x";
    }
    return text;
}

TEST(ReadModelFuzz, MutatedText) {
    for (const std::string& valid : all_valid()) {
        SCOPED_TRACE(valid);
        int usable = 0, refused = 0;
        EXPECT_TRUE(rc::check([&] {
            for (int round = 0; round < 20; ++round) {
                bool good = false;
                try {
                    good = accepted(parse_json(mutated(valid), "config.json"));
                } catch (const InputError&) {
                }
                good ? ++usable : ++refused;
            }
        }));
        EXPECT_GT(usable, 20);
        EXPECT_GT(refused, 20);
    }
}

}  // namespace
}  // namespace podsim
