// MiniMax-M2: grouped queries whose queries and keys are normed over all heads at once, experts of
// sigmoid scores with a bias in every layer, no shared one. Its modules of multi-token prediction
// are not in the published weights and are left out.
#include "models/common_keys.hpp"
#include "models/families.hpp"
#include "models/grouped_query.hpp"

namespace podsim {

ModelSpec read_minimax_m2(ConfigReader& config) {
    ModelSpec model = read_common_keys(config);
    GroupedQueryAttention attention = read_grouped_query(config, model.hidden);
    attention.whole_query_key_norm = config.flag_or("use_qk_norm", false);
    model.attentions = {attention};
    model.layers = dense_then_experts(read_layer_count(config), 0);
    model.expert_intermediate = config.size("intermediate_size", most_wide);
    model.shared_intermediate = config.count_or("shared_intermediate_size", most_wide, 0);
    model.routed_experts = config.size("num_local_experts", most_wide);
    model.experts_per_token = config.size("num_experts_per_tok", most_wide);
    model.router_bias = config.flag_or("use_routing_bias", true);
    require_enough_experts(config, model);
    (void)config.count_or("num_mtp_modules", most_layers, 0);
    (void)config.count_or("mtp_transformer_layers", most_layers, 0);
    (void)config.has("qk_norm_type");
    return model;
}

}  // namespace podsim
