// Step-3 (arXiv 2507.19427): multi-matrix factorization attention, queries through a low rank and
// one key and value head for all of them; layers of experts by list, a shared expert beside.
#include <fmt/format.h>

#include "base/at.hpp"
#include "models/common_keys.hpp"
#include "models/families.hpp"
#include "models/grouped_query.hpp"

namespace podsim {

ModelSpec read_step3(ConfigReader& config) {
    ModelSpec model = read_common_keys(config, ContextKey::optional);
    if (model.max_context == 0)
        model.max_context = config.size_or("max_position_embedding", most_tokens, 0);
    (void)config.count_or("max_seq_len", most_tokens, 0);
    GroupedQueryAttention attention;
    attention.heads = read_head_count(config);
    attention.kv_heads = config.size("num_attention_groups", most_wide);
    attention.head_dim = config.size("head_dim", most_wide);
    attention.query_rank = config.size("share_q_dim", most_wide);
    require_grouped_query(config, attention, "num_attention_groups");
    model.attentions = {attention};
    const long layers = read_layer_count(config);
    model.layers = dense_then_experts(layers, layers);
    for (const long layer : config.counts("moe_layers_enum", most_layers, 1)) {
        if (layer < layers) {
            model.layers[static_cast<std::size_t>(layer)].experts = true;
        } else if (layers > 0) {
            config.require(false, "moe_layers_enum",
                           fmt::format("{} is no layer of {}", layer, layers));
        }
    }
    model.dense_intermediate = config.size("intermediate_size", most_wide);
    model.expert_intermediate = config.size("moe_intermediate_size", most_wide);
    model.shared_intermediate = config.size("share_expert_dim", most_wide);
    model.routed_experts = config.size("moe_num_experts", most_wide);
    model.experts_per_token = config.size("moe_top_k", most_wide);
    model.router_bias = true;
    require_enough_experts(config, model, "moe_top_k");
    return model;
}

}  // namespace podsim
