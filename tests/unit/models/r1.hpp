// DeepSeek-R1 as a Spec, and small things the tests of models/ share.
#pragma once

#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "base/at.hpp"
#include "models/blocks.hpp"
#include "models/model.hpp"
#include "models/sizes.hpp"

namespace podsim {

// The one kind of attention of a model that has latents.
inline LatentAttention& latent(ModelSpec& model) {
    return std::get<LatentAttention>(model.attentions.at(0));
}
inline const LatentAttention& latent(const ModelSpec& model) {
    return std::get<LatentAttention>(model.attentions.at(0));
}

inline ModelSpec r1() {
    ModelSpec model;
    model.name = "deepseek-r1";
    model.family = "deepseek_v3";
    model.layers = dense_then_experts(61, 3);
    model.hidden = 7168;
    model.vocabulary = 129280;
    LatentAttention attention;
    attention.heads = 128;
    attention.query_rank = 1536;
    attention.kv_rank = 512;
    attention.nope_head_dim = 128;
    attention.rope_head_dim = 64;
    attention.value_head_dim = 128;
    model.attentions = {attention};
    model.dense_intermediate = 18432;
    model.expert_intermediate = 2048;
    model.routed_experts = 256;
    model.shared_intermediate = 2048;
    model.experts_per_token = 8;
    model.expert_groups = 8;
    model.groups_per_token = 4;
    model.router_bias = true;
    model.draft_layers = 1;
    model.draft_layer.experts = true;
    model.scale_block = 128;
    model.max_context = 163840;
    return model;
}

// FP8 but for attention's own products, the cache and combine: how the checkpoint is served.
inline Precision fp8_served() {
    Precision precision;
    precision.weights = precision.experts = precision.activations = precision.dispatch = DType::fp8;
    return precision;
}

// Of a model whose layers share one attention.
inline AttentionBlock attention_parts(const ModelSpec& model, const Precision& precision,
                                      const StepShape& shape) {
    if (model.attentions.size() != 1) throw std::logic_error("which attention?");
    return attention_parts(model, precision, shape, LayerKind{});
}
inline std::vector<Operator> attention_block(const ModelSpec& model, const Precision& precision,
                                             const StepShape& shape) {
    return attention_parts(model, precision, shape).all();
}
inline Bytes attention_bytes(const WeightBytes& held) {
    if (held.attention.size() != 1) throw std::logic_error("which attention?");
    return held.attention.front();
}

// What a token adds to the cache over all layers of the whole model.
inline Bytes kv_bytes_per_token(const ModelSpec& model, DType kv_cache) {
    Precision precision;
    precision.kv_cache = kv_cache;
    return cache_per_token(model).bytes(precision);
}
// The first token of a sequence on one rank.
inline Bytes kv_bytes_per_token_of_rank(const ModelSpec& model, DType kv_cache,
                                        int tensor_parallel) {
    Precision precision;
    precision.kv_cache = kv_cache;
    CacheElements cache;
    for (const LayerKind& layer : model.layers)
        cache += layer_cache(at(model.attentions, layer.attention), 1, tensor_parallel);
    return cache.bytes(precision);
}

inline std::vector<std::string> names(const std::vector<Operator>& operators) {
    std::vector<std::string> result;
    for (const Operator& op : operators) result.push_back(op.name);
    return result;
}

// The operator of that name; an empty one (which no test accepts) when there is none.
inline Operator find(const std::vector<Operator>& operators, const std::string& name) {
    for (const Operator& op : operators) {
        if (op.name == name) return op;
    }
    return {};
}

inline double matrix_work(const std::vector<Operator>& operators) {
    double sum = 0;
    for (const Operator& op : operators) sum += matrix_work_of(op.body).value();
    return sum;
}

inline Gemm gemm(const Operator& op) {
    return std::get<Gemm>(op.body);
}
inline VectorWork vector(const Operator& op) {
    return std::get<VectorWork>(op.body);
}

}  // namespace podsim
