// Models with grouped-query attention as Specs: real ones, and a dense Qwen3 of no real size.
#pragma once

#include "models/model.hpp"

namespace podsim {

inline ModelSpec llama_8b() {
    ModelSpec model;
    model.name = "llama-3.1-8b";
    model.family = "llama";
    model.layers = model.dense_layers = 32;
    model.hidden = 4096;
    model.vocabulary = 128256;
    model.heads = 32;
    model.kv_heads = 8;
    model.head_dim = 128;
    model.dense_intermediate = 14336;
    model.max_context = 131072;
    return model;
}

inline ModelSpec mixtral_8x7b() {
    ModelSpec model;
    model.name = "mixtral-8x7b";
    model.family = "mixtral";
    model.layers = 32;
    model.hidden = 4096;
    model.vocabulary = 32000;
    model.heads = 32;
    model.kv_heads = 8;
    model.head_dim = 128;
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
    model.layers = 48;
    model.hidden = 2048;
    model.vocabulary = 151936;
    model.heads = 32;
    model.kv_heads = 4;
    model.head_dim = 128;
    model.query_key_norm = true;
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
    model.layers = model.dense_layers = 6;
    model.hidden = 256;
    model.vocabulary = 1000;
    model.heads = 16;
    model.kv_heads = 4;
    model.head_dim = 32;
    model.query_key_norm = true;
    model.dense_intermediate = 768;
    model.tied_embedding = true;
    model.max_context = 4096;
    return model;
}

}  // namespace podsim
