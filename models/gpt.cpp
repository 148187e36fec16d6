// GPT-2 and GPT-3 (arXiv 2005.14165), Megatron-Turing and the dense models of the Megatron papers:
// multi-head attention, an FFN of 4 hidden without a gate (GELU), LayerNorm, biases everywhere,
// learned positions, embedding and head one table. Keys of the gpt2 config.json: n_layer, n_embd,
// n_head, n_positions, n_inner (absent or null: 4 n_embd).
#include <fmt/format.h>

#include "models/common_keys.hpp"
#include "models/families.hpp"

namespace podsim {

ModelSpec read_gpt(ConfigReader& config) {
    ModelSpec model;
    model.hidden = config.size("n_embd", most_wide);
    model.vocabulary = config.size("vocab_size", most_wide);
    model.positions = model.max_context = config.size("n_positions", most_tokens);
    model.tied_embedding = config.flag_or("tie_word_embeddings", true);
    GroupedQueryAttention attention;
    attention.heads = attention.kv_heads = config.size("n_head", most_wide);
    if (attention.heads > 0 && model.hidden > 0) {
        config.require(
            model.hidden % attention.heads == 0, "n_head",
            fmt::format("n_embd {} does not divide over {} heads", model.hidden, attention.heads));
        attention.head_dim = model.hidden / attention.heads;
    }
    attention.biases = true;
    model.attentions = {attention};
    const long layers = config.size("n_layer", most_layers);
    model.layers = dense_then_experts(layers, layers);
    model.dense_intermediate = config.size_or("n_inner", most_wide, 4 * model.hidden);
    model.gated = false;
    model.ffn_biases = true;
    model.layer_norm = true;
    return model;
}

}  // namespace podsim
