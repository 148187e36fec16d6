// DeepSeek-R1 as a Spec, and small things the tests of models/ share.
#pragma once

#include <string>
#include <vector>

#include "models/model.hpp"

namespace podsim {

inline ModelSpec r1() {
    ModelSpec model;
    model.name = "deepseek-r1";
    model.family = "deepseek_v3";
    model.layers = 61;
    model.dense_layers = 3;
    model.hidden = 7168;
    model.vocabulary = 129280;
    model.heads = 128;
    model.query_rank = 1536;
    model.kv_rank = 512;
    model.nope_head_dim = 128;
    model.rope_head_dim = 64;
    model.value_head_dim = 128;
    model.dense_intermediate = 18432;
    model.expert_intermediate = 2048;
    model.routed_experts = 256;
    model.shared_experts = 1;
    model.experts_per_token = 8;
    model.expert_groups = 8;
    model.groups_per_token = 4;
    model.draft_layers = 1;
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
