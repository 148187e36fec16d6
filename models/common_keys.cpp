#include "models/common_keys.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace podsim {

ModelSpec read_common_keys(ConfigReader& config, ContextKey context) {
    ModelSpec model;
    model.hidden = config.size("hidden_size", most_wide);
    model.vocabulary = config.size("vocab_size", most_wide);
    model.tied_embedding = config.flag_or("tie_word_embeddings", false);
    model.scale_block = config.scale_block();
    model.max_context = context == ContextKey::required
                            ? config.size("max_position_embeddings", most_tokens)
                            : config.size_or("max_position_embeddings", most_tokens, 0);
    return model;
}

long read_layer_count(ConfigReader& config) {
    return config.size("num_hidden_layers", most_layers);
}

long read_head_count(ConfigReader& config) {
    return config.size("num_attention_heads", most_wide);
}

int attention_index(ModelSpec& model, const AttentionSpec& attention) {
    auto& known = model.attentions;
    const auto found = std::find(known.begin(), known.end(), attention);
    if (found != known.end()) return static_cast<int>(found - known.begin());
    known.push_back(attention);
    return static_cast<int>(known.size()) - 1;
}

void require_length(ConfigReader& config, const std::string& key, std::size_t entries,
                    long layers) {
    config.require(static_cast<long>(entries) == layers, key,
                   fmt::format("{} entries for {} layers", entries, layers));
}

void read_layer_types(ConfigReader& config, ModelSpec& model, long layers, bool experts,
                      const AttentionSpec& full, const std::string& other_name,
                      const AttentionSpec& other) {
    const std::vector<std::string> types = config.texts("layer_types");
    if (!types.empty() && layers > 0) require_length(config, "layer_types", types.size(), layers);
    for (const std::string& type : types) {
        const bool is_full = type == "full_attention";
        if (!is_full && type != other_name) {
            config.require(false, "layer_types",
                           fmt::format("\"{}\" is not modelled, expected full_attention or {}",
                                       type, other_name));
            return;
        }
        model.layers.push_back({attention_index(model, is_full ? full : other), experts, false});
    }
}

void require_enough_experts(ConfigReader& config, const ModelSpec& model,
                            const std::string& top_k_key) {
    config.require(
        model.routed_experts == 0 || model.experts_per_token <= model.routed_experts, top_k_key,
        fmt::format("chooses {} of {} experts", model.experts_per_token, model.routed_experts));
}

void require_no_bias(ConfigReader& config, const std::string& key) {
    config.require(!config.flag_or(key, false), key,
                   "true: projections with a bias are not modelled, expected false");
}

}  // namespace podsim
