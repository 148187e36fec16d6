// With H heads, G kv heads and head dimension d, h = hidden state:
//
//   q = W_q h  (H x d),  k = W_k h,  v = W_v h  (G x d each), one product in every engine
//   q, k normed a head at a time (Qwen3, arXiv 2505.09388, section 2), then turned by rotary
//   o = W_o softmax(q k^T) v, each key and value read by H / G query heads
//
// Keys and values are cached: 2 G d elements a token a layer. Prefill and decode both read them
// from the cache, which the new tokens have entered: a cached prefix costs no other operator.
#include "models/grouped_query.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "models/attention_parts.hpp"
#include "models/common_keys.hpp"
#include "models/vector_operators.hpp"

namespace podsim {

namespace {

long local_kv_heads(const ModelSpec& model, int tensor_parallel) {
    require_at_least_one("tensor parallel", tensor_parallel);
    const long kv_heads = model.kv_heads, ranks = tensor_parallel;
    require_at_least_one("kv heads", kv_heads);
    if (std::max(kv_heads, ranks) % std::min(kv_heads, ranks) != 0) {
        throw std::invalid_argument(fmt::format(
            "{}: {} kv heads and tensor parallel {}, of which neither divides the other",
            model.name, kv_heads, ranks));
    }
    return std::max(1L, kv_heads / ranks);
}

}  // namespace

long head_dim_or_quotient(ConfigReader& config, const ModelSpec& model) {
    const long stated = config.size_or("head_dim", most_wide, -1);
    if (stated != -1) return stated;
    if (model.hidden == 0 || model.heads == 0) return 0;
    config.require(
        model.hidden % model.heads == 0, "num_attention_heads",
        fmt::format("hidden_size {} does not divide over {} heads, and there is no head_dim",
                    model.hidden, model.heads));
    return model.hidden % model.heads == 0 ? model.hidden / model.heads : 0;
}

void require_grouped_query(ConfigReader& config, const ModelSpec& model) {
    config.require(
        model.kv_heads == 0 || model.heads % model.kv_heads == 0, "num_key_value_heads",
        fmt::format("{} heads do not divide over {} kv heads", model.heads, model.kv_heads));
    config.require(model.head_dim % 2 == 0, "head_dim",
                   fmt::format("{}, but rotary embedding turns pairs of elements", model.head_dim));
    config.require(!config.flag_or("attention_bias", false), "attention_bias",
                   "true: projections with a bias are not modelled, expected false");
}

AttentionWeights grouped_query_weights(const ModelSpec& model, const Precision& precision,
                                       int tensor_parallel) {
    const long heads = local_heads(model, tensor_parallel);
    const long kv_heads = local_kv_heads(model, tensor_parallel);
    const DType linear = precision.weights;
    AttentionWeights weights;
    weights.matrices = {
        {"query_key_value", (heads + 2 * kv_heads) * model.head_dim, model.hidden, 1, linear},
        {"output", model.hidden, heads * model.head_dim, 1, linear}};
    weights.norm_elements = model.query_key_norm ? 2 * model.head_dim : 0;
    return weights;
}

double grouped_query_kv_elements(const ModelSpec& model, int tensor_parallel) {
    return 2 * static_cast<double>(local_kv_heads(model, tensor_parallel)) *
           static_cast<double>(model.head_dim);
}

AttentionBlock grouped_query_block(const ModelSpec& model, const Precision& precision,
                                   const StepShape& shape) {
    const long heads = local_heads(model, shape.tensor_parallel);
    const long kv_heads = local_kv_heads(model, shape.tensor_parallel);
    const long dim = model.head_dim;
    AttentionParts parts(model, precision, shape);
    parts.begin();
    parts.linear("query_key_value_projection", parts.tokens(), (heads + 2 * kv_heads) * dim,
                 model.hidden);
    if (model.query_key_norm) {
        parts.add(head_norm("query_key_norm", parts.tokens(), heads + kv_heads, dim, 2 * dim));
    }
    parts.rotary((heads + kv_heads) * dim);
    parts.append_to_cache(grouped_query_kv_elements(model, shape.tensor_parallel));
    parts.attend();
    parts.narrow_query(heads * dim);
    parts.add(
        {shape.phase == Phase::decode ? "grouped_query_attention" : "prefill_attention",
         Attention{AttentionForm::gqa, shape.phase, shape.sequences, shape.query, shape.context,
                   heads, kv_heads, dim, dim, precision.attention, precision.kv_cache}});
    return parts.end(heads * dim);
}

}  // namespace podsim
