#include "models/qwen3_moe.hpp"

#include <fmt/format.h>

#include "models/common_keys.hpp"
#include "models/grouped_query.hpp"
#include "models/qwen3.hpp"

namespace podsim {

namespace {

// intermediate_size is the width of dense layers, of which there are none.
ModelSpec read(ConfigReader& config) {
    ModelSpec model = read_qwen3_keys(config);
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

}  // namespace

Family qwen3_moe_family() {
    return {read, grouped_query_weights, grouped_query_kv_elements, grouped_query_block};
}

}  // namespace podsim
