#include "models/common_keys.hpp"

#include <fmt/format.h>

namespace podsim {

ModelSpec read_common_keys(ConfigReader& config) {
    ModelSpec model;
    model.hidden = config.size("hidden_size", most_wide);
    model.vocabulary = config.size("vocab_size", most_wide);
    model.tied_embedding = config.flag_or("tie_word_embeddings", false);
    model.scale_block = config.scale_block();
    model.max_context = config.size("max_position_embeddings", most_tokens);
    return model;
}

long read_layer_count(ConfigReader& config) {
    return config.size("num_hidden_layers", most_layers);
}

long read_head_count(ConfigReader& config) {
    return config.size("num_attention_heads", most_wide);
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
