#include "models/deepseek_keys.hpp"

#include <fmt/format.h>

#include "models/common_keys.hpp"

namespace podsim {

namespace {

void read_groups(ConfigReader& config, ModelSpec& model) {
    model.expert_groups = config.size_or("n_group", most_wide, 1);
    model.groups_per_token = config.size_or("topk_group", most_wide, 1);
    if (model.expert_groups == 0 || model.routed_experts == 0) return;
    const bool divides = model.routed_experts % model.expert_groups == 0;
    config.require(divides, "n_group",
                   fmt::format("{} experts do not divide into {} groups", model.routed_experts,
                               model.expert_groups));
    config.require(
        model.groups_per_token <= model.expert_groups, "topk_group",
        fmt::format("chooses {} of {} groups", model.groups_per_token, model.expert_groups));
    const long reachable = model.groups_per_token * (model.routed_experts / model.expert_groups);
    config.require(
        !divides || model.groups_per_token == 0 || model.groups_per_token > model.expert_groups ||
            model.experts_per_token > model.routed_experts || model.experts_per_token <= reachable,
        "topk_group",
        fmt::format("{} groups hold {} experts, but num_experts_per_tok is {}",
                    model.groups_per_token, reachable, model.experts_per_token));
}

}  // namespace

LatentAttention read_latent_attention(ConfigReader& config) {
    LatentAttention attention;
    attention.heads = read_head_count(config);
    attention.query_rank = config.size_or_null("q_lora_rank", most_wide);
    attention.kv_rank = config.size("kv_lora_rank", most_wide);
    attention.nope_head_dim = config.size("qk_nope_head_dim", most_wide);
    attention.rope_head_dim = config.size("qk_rope_head_dim", most_wide);
    attention.value_head_dim = config.size("v_head_dim", most_wide);
    config.require(
        attention.rope_head_dim % 2 == 0, "qk_rope_head_dim",
        fmt::format("{}, but rotary embedding turns pairs of elements", attention.rope_head_dim));
    return attention;
}

Indexer read_indexer(ConfigReader& config) {
    return {config.size("index_n_heads", most_wide), config.size("index_head_dim", most_wide),
            config.size("index_topk", most_tokens)};
}

void read_fine_grained_experts(ConfigReader& config, ModelSpec& model) {
    model.expert_intermediate = config.size("moe_intermediate_size", most_wide);
    model.routed_experts = config.size("n_routed_experts", most_wide);
    model.shared_intermediate =
        config.count("n_shared_experts", most_wide) * model.expert_intermediate;
    model.experts_per_token = config.size("num_experts_per_tok", most_wide);
    model.router_bias = true;
    require_enough_experts(config, model);
    read_groups(config, model);
    model.draft_layers = config.count_or("num_nextn_predict_layers", most_layers, 0);
}

void read_dense_then_experts(ConfigReader& config, ModelSpec& model,
                             const LatentAttention& attention) {
    const long layers = read_layer_count(config);
    const long dense = config.count("first_k_dense_replace", most_layers);
    config.require(layers == 0 || dense <= layers, "first_k_dense_replace",
                   fmt::format("{} dense layers of {} layers in all", dense, layers));
    model.attentions = {attention};
    model.layers = dense_then_experts(layers, dense);
    model.draft_layer = {0, true};
    model.dense_intermediate = config.size("intermediate_size", most_wide);
    read_fine_grained_experts(config, model);
    const long frequency = config.size_or("moe_layer_freq", most_layers, 1);
    config.require(frequency <= 1, "moe_layer_freq",
                   fmt::format("{}: dense layers between the MoE layers are not modelled, "
                               "expected 1",
                               frequency));
}

}  // namespace podsim
