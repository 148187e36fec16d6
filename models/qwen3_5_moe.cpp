// Qwen3.5 with experts (qwen3_5_moe; the layout of Qwen3-Next): three layers of gated delta net
// (models/delta_net.cpp) to one of grouped queries with an output gate, softmax-routed experts and
// a gated shared one in every layer, a module of multi-token prediction with full attention.
#include "models/common_keys.hpp"
#include "models/families.hpp"
#include "models/grouped_query.hpp"

namespace podsim {

ModelSpec read_qwen3_5_moe(ConfigReader& config) {
    ModelSpec model = read_common_keys(config);
    GroupedQueryAttention full;
    full.heads = read_head_count(config);
    full.kv_heads = config.size("num_key_value_heads", most_wide);
    full.head_dim = config.size("head_dim", most_wide);
    full.query_key_norm = true;
    full.output_gate = config.flag_or("attn_output_gate", true);
    require_grouped_query(config, full);
    require_no_bias(config, "attention_bias");
    DeltaNetAttention linear;
    linear.key_heads = config.size("linear_num_key_heads", most_wide);
    linear.value_heads = config.size("linear_num_value_heads", most_wide);
    linear.key_dim = config.size("linear_key_head_dim", most_wide);
    linear.value_dim = config.size("linear_value_head_dim", most_wide);
    linear.convolution = config.size("linear_conv_kernel_dim", 1000);
    config.require(linear.key_heads == 0 || linear.value_heads % linear.key_heads == 0,
                   "linear_num_value_heads", "do not divide over linear_num_key_heads");
    read_layer_types(config, model, read_layer_count(config), true, full, "linear_attention",
                     linear);
    (void)config.count_or("full_attention_interval", most_layers, 0);
    config.require_empty_list("mlp_only_layers",
                              "dense layers between the MoE layers are not modelled, expected []");
    model.expert_intermediate = config.size("moe_intermediate_size", most_wide);
    model.routed_experts = config.size("num_experts", most_wide);
    model.experts_per_token = config.size("num_experts_per_tok", most_wide);
    model.shared_intermediate = config.size("shared_expert_intermediate_size", most_wide);
    model.shared_gate = true;
    model.router_scoring = RouterScoring::softmax;
    require_enough_experts(config, model);
    model.draft_layers = config.count_or("mtp_num_hidden_layers", most_layers, 0);
    model.draft_layer = {attention_index(model, full), true};
    config.require(!config.flag_or("mtp_use_dedicated_embeddings", false),
                   "mtp_use_dedicated_embeddings", "true: not modelled, expected false");
    return model;
}

}  // namespace podsim
