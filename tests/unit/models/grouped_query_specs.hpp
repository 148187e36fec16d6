// Models with grouped-query attention as Specs: real ones, and a dense Qwen3 of no real size.
#pragma once

#include <variant>

#include "models/model.hpp"

namespace podsim {

// The one kind of attention of a model with grouped queries.
inline GroupedQueryAttention& grouped(ModelSpec& model) {
    return std::get<GroupedQueryAttention>(model.attentions.at(0));
}
inline const GroupedQueryAttention& grouped(const ModelSpec& model) {
    return std::get<GroupedQueryAttention>(model.attentions.at(0));
}
inline GroupedQueryAttention grouped_query(long heads, long kv_heads, long head_dim) {
    GroupedQueryAttention attention;
    attention.heads = heads;
    attention.kv_heads = kv_heads;
    attention.head_dim = head_dim;
    return attention;
}

inline ModelSpec llama_8b() {
    ModelSpec model;
    model.name = "llama-3.1-8b";
    model.family = "llama";
    model.layers = dense_then_experts(32, 32);
    model.hidden = 4096;
    model.vocabulary = 128256;
    model.attentions = {grouped_query(32, 8, 128)};
    model.dense_intermediate = 14336;
    model.max_context = 131072;
    return model;
}

inline ModelSpec mixtral_8x7b() {
    ModelSpec model;
    model.name = "mixtral-8x7b";
    model.family = "mixtral";
    model.layers = dense_then_experts(32, 0);
    model.hidden = 4096;
    model.vocabulary = 32000;
    model.attentions = {grouped_query(32, 8, 128)};
    model.expert_intermediate = 14336;
    model.routed_experts = 8;
    model.experts_per_token = 2;
    model.router_scoring = RouterScoring::softmax;
    model.max_context = 32768;
    return model;
}

inline ModelSpec qwen3_30b_a3b() {
    ModelSpec model;
    model.name = "qwen3-30b-a3b";
    model.family = "qwen3_moe";
    model.layers = dense_then_experts(48, 0);
    model.hidden = 2048;
    model.vocabulary = 151936;
    model.attentions = {grouped_query(32, 4, 128)};
    grouped(model).query_key_norm = true;
    model.expert_intermediate = 768;
    model.routed_experts = 128;
    model.experts_per_token = 8;
    model.router_scoring = RouterScoring::softmax;
    model.max_context = 40960;
    return model;
}

inline ModelSpec small_qwen3() {
    ModelSpec model;
    model.name = "small-qwen3";
    model.family = "qwen3";
    model.layers = dense_then_experts(6, 6);
    model.hidden = 256;
    model.vocabulary = 1000;
    model.attentions = {grouped_query(16, 4, 32)};
    grouped(model).query_key_norm = true;
    model.dense_intermediate = 768;
    model.tied_embedding = true;
    model.max_context = 4096;
    return model;
}

}  // namespace podsim
