// Mixtral (arXiv 2401.04088): grouped-query attention, softmax-routed experts in every layer.
#include <fmt/format.h>

#include "models/common_keys.hpp"
#include "models/families.hpp"
#include "models/grouped_query.hpp"

namespace podsim {

ModelSpec read_mixtral(ConfigReader& config) {
    ModelSpec model = read_common_keys(config);
    GroupedQueryAttention attention = read_grouped_query(config, model.hidden);
    require_no_bias(config, "attention_bias");
    const long window = config.size_or("sliding_window", most_tokens, 0);
    attention.window = window < model.max_context ? window : 0;
    model.attentions = {attention};
    model.layers = dense_then_experts(read_layer_count(config), 0);
    model.expert_intermediate = config.size("intermediate_size", most_wide);
    model.routed_experts = config.size("num_local_experts", most_wide);
    model.experts_per_token = config.size("num_experts_per_tok", most_wide);
    model.router_scoring = RouterScoring::softmax;
    require_enough_experts(config, model);
    return model;
}

}  // namespace podsim
