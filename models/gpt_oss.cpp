// gpt-oss (OpenAI, arXiv 2508.10925): grouped queries with biases and a learned sink a head, every
// other layer over a sliding window, softmax-routed experts with biases in every layer.
#include "models/common_keys.hpp"
#include "models/families.hpp"
#include "models/grouped_query.hpp"

namespace podsim {

ModelSpec read_gpt_oss(ConfigReader& config) {
    ModelSpec model = read_common_keys(config);
    GroupedQueryAttention full;
    full.heads = read_head_count(config);
    full.kv_heads = config.size("num_key_value_heads", most_wide);
    full.head_dim = config.size("head_dim", most_wide);
    full.biases = config.flag_or("attention_bias", true);
    full.sinks = true;
    require_grouped_query(config, full);
    GroupedQueryAttention sliding = full;
    sliding.window = config.size("sliding_window", most_tokens);
    read_layer_types(config, model, read_layer_count(config), true, full, "sliding_attention",
                     sliding);
    model.expert_intermediate = config.size("intermediate_size", most_wide);
    model.routed_experts = config.size("num_local_experts", most_wide);
    model.experts_per_token = config.has("num_experts_per_tok")
                                  ? config.size("num_experts_per_tok", most_wide)
                                  : config.size("experts_per_token", most_wide);
    (void)config.count_or("experts_per_token", most_wide, 0);
    model.router_scoring = RouterScoring::softmax;
    model.router_bias = true;
    model.ffn_biases = true;
    require_enough_experts(config, model);
    return model;
}

}  // namespace podsim
