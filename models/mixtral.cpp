#include "models/mixtral.hpp"

#include <fmt/format.h>

#include "models/common_keys.hpp"
#include "models/grouped_query.hpp"

namespace podsim {

namespace {

ModelSpec read(ConfigReader& config) {
    ModelSpec model = read_common_keys(config);
    model.kv_heads = config.size("num_key_value_heads", most_wide);
    model.head_dim = head_dim_or_quotient(config, model);
    require_grouped_query(config, model);
    model.expert_intermediate = config.size("intermediate_size", most_wide);
    model.routed_experts = config.size("num_local_experts", most_wide);
    model.experts_per_token = config.size("num_experts_per_tok", most_wide);
    model.router_scoring = RouterScoring::softmax;
    require_enough_experts(config, model);
    const long window = config.size_or("sliding_window", most_tokens, model.max_context);
    config.require(
        window == 0 || window >= model.max_context, "sliding_window",
        fmt::format("{}: layers that see a window only are not modelled, expected null", window));
    return model;
}

}  // namespace

Family mixtral_family() {
    return {read, grouped_query_weights, grouped_query_kv_elements, grouped_query_block};
}

}  // namespace podsim
