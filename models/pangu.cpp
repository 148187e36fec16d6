// Pangu Pro MoE (arXiv 2505.21411): grouped queries with biases, experts in as many groups as a
// token chooses experts, one of each group, so that equal groups of ranks get equal work; a shared
// expert.
#include <fmt/format.h>

#include "models/common_keys.hpp"
#include "models/families.hpp"
#include "models/grouped_query.hpp"

namespace podsim {

ModelSpec read_pangu(ConfigReader& config) {
    ModelSpec model = read_common_keys(config);
    GroupedQueryAttention attention = read_grouped_query(config, model.hidden);
    attention.biases = config.flag_or("attention_bias", false);
    model.attentions = {attention};
    model.layers = dense_then_experts(read_layer_count(config), 0);
    model.expert_intermediate = config.size("moe_intermediate_size", most_wide);
    model.shared_intermediate = config.size("shared_expert_intermediate_size", most_wide);
    model.routed_experts = config.size("num_experts", most_wide);
    model.experts_per_token = config.size("num_experts_per_tok", most_wide);
    model.router_scoring = RouterScoring::softmax;
    require_enough_experts(config, model);
    if (model.experts_per_token == 0) return model;
    model.expert_groups = model.groups_per_token = model.experts_per_token;
    config.require(model.routed_experts % model.expert_groups == 0, "num_experts_per_tok",
                   fmt::format("{} experts do not divide into {} groups, one choice in each",
                               model.routed_experts, model.expert_groups));
    return model;
}

}  // namespace podsim
