// Qwen3 (arXiv 2505.09388), dense and with experts: grouped queries with normed queries and keys.
#include <fmt/format.h>

#include "models/common_keys.hpp"
#include "models/families.hpp"
#include "models/grouped_query.hpp"

namespace podsim {

namespace {

// The keys that both have in common: all but those of the FFN.
ModelSpec read_attention(ConfigReader& config) {
    ModelSpec model = read_common_keys(config);
    GroupedQueryAttention attention;
    attention.heads = read_head_count(config);
    attention.kv_heads = config.size("num_key_value_heads", most_wide);
    // Never hidden / heads by default: heads together are wider than the hidden state here.
    attention.head_dim = config.size("head_dim", most_wide);
    attention.query_key_norm = true;
    require_grouped_query(config, attention);
    require_no_bias(config, "attention_bias");
    config.require(!config.flag_or("use_sliding_window", false), "use_sliding_window",
                   "true: a window in the last layers alone is not modelled, expected false");
    model.attentions = {attention};
    return model;
}

}  // namespace

ModelSpec read_qwen3(ConfigReader& config) {
    ModelSpec model = read_attention(config);
    const long layers = read_layer_count(config);
    model.layers = dense_then_experts(layers, layers);
    model.dense_intermediate = config.size("intermediate_size", most_wide);
    return model;
}

// intermediate_size is the width of dense layers, of which there are none.
ModelSpec read_qwen3_moe(ConfigReader& config) {
    ModelSpec model = read_attention(config);
    model.layers = dense_then_experts(read_layer_count(config), 0);
    (void)config.count_or("intermediate_size", most_wide, 0);
    model.expert_intermediate = config.size("moe_intermediate_size", most_wide);
    model.routed_experts = config.size("num_experts", most_wide);
    model.experts_per_token = config.size("num_experts_per_tok", most_wide);
    model.router_scoring = RouterScoring::softmax;
    require_enough_experts(config, model);
    const long step = config.size_or("decoder_sparse_step", most_layers, 1);
    config.require(step <= 1, "decoder_sparse_step",
                   fmt::format("{}: dense layers between the MoE layers are not modelled, "
                               "expected 1",
                               step));
    config.require_empty_list("mlp_only_layers",
                              "dense layers between the MoE layers are not modelled, expected []");
    return model;
}

}  // namespace podsim
