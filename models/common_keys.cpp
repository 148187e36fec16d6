#include "models/common_keys.hpp"

#include <fmt/format.h>

namespace podsim {

ModelSpec read_common_keys(ConfigReader& config) {
    ModelSpec model;
    model.layers = config.size("num_hidden_layers", most_layers);
    model.hidden = config.size("hidden_size", most_wide);
    model.vocabulary = config.size("vocab_size", most_wide);
    model.heads = config.size("num_attention_heads", most_wide);
    model.tied_embedding = config.flag_or("tie_word_embeddings", false);
    model.scale_block = config.scale_block();
    model.max_context = config.size("max_position_embeddings", most_tokens);
    return model;
}

void require_enough_experts(ConfigReader& config, const ModelSpec& model) {
    config.require(
        model.routed_experts == 0 || model.experts_per_token <= model.routed_experts,
        "num_experts_per_tok",
        fmt::format("chooses {} of {} experts", model.experts_per_token, model.routed_experts));
}

}  // namespace podsim
