// With H heads, G kv heads and head dimension d, h = hidden state:
//
//   q = W_q h  (H x d),  k = W_k h,  v = W_v h  (G x d each), one product in every engine
//   q, k normed a head at a time (Qwen3, arXiv 2505.09388, section 2), then turned by rotary
//   o = W_o softmax(q k^T) v, each key and value read by H / G query heads
//
// Keys and values are cached: 2 G d elements a token a layer. Prefill and decode both read them
// from the cache, which the new tokens have entered: a cached prefix costs no other operator.
//
// Variants: a sliding window of W tokens, of which the cache keeps the last W (gpt-oss, Gemma);
// values that are the keys, G d elements a token (Gemma 4's full layers); queries through a low
// rank, q = W_uq norm(W_dq h) (multi-matrix factorization attention, Step-3, arXiv 2507.19427);
// o gated by sigmoid(W_g h), the gate with the queries in one product (Qwen3.5).
#include "models/grouped_query.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "models/attention.hpp"
#include "models/common_keys.hpp"
#include "models/vector_operators.hpp"

namespace podsim {

namespace {

long local_kv_heads(const GroupedQueryAttention& kind, int tensor_parallel) {
    require_at_least_one("tensor parallel", tensor_parallel);
    const long kv_heads = kind.kv_heads, ranks = tensor_parallel;
    require_at_least_one("kv heads", kv_heads);
    if (std::max(kv_heads, ranks) % std::min(kv_heads, ranks) != 0) {
        throw std::invalid_argument(fmt::format(
            "{} and the model's {} key-value heads do not divide one another", ranks, kv_heads));
    }
    return std::max(1L, kv_heads / ranks);
}

// One rank's part, in elements of a token.
struct Widths {
    Widths(const GroupedQueryAttention& kind, int tensor_parallel)
        : heads(local_heads(kind.heads, tensor_parallel)),
          kv_heads(local_kv_heads(kind, tensor_parallel)),
          queries(heads * kind.head_dim * (kind.output_gate ? 2 : 1)),
          keys_values(kv_heads * kind.head_dim * (kind.shared_key_value ? 1 : 2)) {}
    long heads, kv_heads;
    long queries, keys_values;  // with the gate; what is cached
};

}  // namespace

long head_dim_or_quotient(ConfigReader& config, long hidden, long heads) {
    const long stated = config.size_or("head_dim", most_wide, -1);
    if (stated != -1) return stated;
    if (hidden == 0 || heads == 0) return 0;
    const bool divides = hidden % heads == 0;
    config.require(divides, "num_attention_heads",
                   fmt::format("hidden_size {} does not divide over {} heads, and there is no "
                               "head_dim",
                               hidden, heads));
    return divides ? hidden / heads : 0;
}

GroupedQueryAttention read_grouped_query(ConfigReader& config, long hidden) {
    GroupedQueryAttention attention;
    attention.heads = read_head_count(config);
    attention.kv_heads = config.size("num_key_value_heads", most_wide);
    attention.head_dim = head_dim_or_quotient(config, hidden, attention.heads);
    require_grouped_query(config, attention);
    return attention;
}

void require_grouped_query(ConfigReader& config, const GroupedQueryAttention& kind,
                           const std::string& kv_heads_key, const std::string& head_dim_key) {
    config.require(
        kind.kv_heads == 0 || kind.heads % kind.kv_heads == 0, kv_heads_key,
        fmt::format("{} heads do not divide over {} kv heads", kind.heads, kind.kv_heads));
    config.require(kind.head_dim % 2 == 0, head_dim_key,
                   fmt::format("{}, but rotary embedding turns pairs of elements", kind.head_dim));
}

AttentionWeights attention_weights(const GroupedQueryAttention& kind, const ModelSpec& model,
                                   const Precision& precision, int tensor_parallel) {
    const Widths widths(kind, tensor_parallel);
    const DType linear = precision.weights;
    const long outputs = widths.heads * kind.head_dim;
    AttentionWeights weights;
    if (kind.query_rank > 0) {
        weights.matrices = {
            {"query_key_value", kind.query_rank + widths.keys_values, model.hidden, 1, linear},
            {"query_up", widths.queries, kind.query_rank, 1, linear}};
        weights.norm_elements += kind.query_rank;
    } else {
        weights.matrices = {
            {"query_key_value", widths.queries + widths.keys_values, model.hidden, 1, linear}};
    }
    weights.matrices.push_back({"output", model.hidden, outputs, 1, linear});
    if (kind.query_key_norm) weights.norm_elements += 2 * kind.head_dim;
    if (kind.whole_query_key_norm)
        weights.norm_elements += (widths.heads + widths.kv_heads) * kind.head_dim;
    if (kind.biases) weights.bias_elements += widths.queries + widths.keys_values + model.hidden;
    if (kind.sinks) weights.bias_elements += widths.heads;
    return weights;
}

CacheElements cache_elements(const GroupedQueryAttention& kind, long context, int tensor_parallel) {
    const Widths widths(kind, tensor_parallel);
    const long kept = kind.window > 0 ? std::min(context, kind.window) : context;
    return {static_cast<double>(kept) * static_cast<double>(widths.keys_values), 0, 0};
}

AttentionBlock attention_of(const GroupedQueryAttention& kind, const ModelSpec& model,
                            const Precision& precision, const StepShape& shape) {
    const Widths widths(kind, shape.tensor_parallel);
    const long dim = kind.head_dim;
    AttentionParts parts(model, precision, shape);
    const long tokens = parts.tokens();
    parts.begin();
    if (kind.query_rank > 0) {
        parts.linear("query_key_value_projection", tokens, kind.query_rank + widths.keys_values,
                     model.hidden);
        parts.add(norm("query_norm", tokens, kind.query_rank));
        parts.quantise("query_quantise", tokens, kind.query_rank);
        parts.linear("query_up_projection", tokens, widths.queries, kind.query_rank);
    } else {
        parts.linear("query_key_value_projection", tokens, widths.queries + widths.keys_values,
                     model.hidden);
    }
    if (kind.query_key_norm || kind.whole_query_key_norm) {
        const long weights = kind.query_key_norm ? 2 * dim : (widths.heads + widths.kv_heads) * dim;
        parts.add(
            head_norm("query_key_norm", tokens, widths.heads + widths.kv_heads, dim, weights));
    }
    if (model.positions == 0) parts.rotary((widths.heads + widths.kv_heads) * dim);
    parts.append_to_cache(static_cast<double>(widths.keys_values));
    parts.narrow_query(widths.heads * dim);
    parts.attend();
    const StepShape seen = shape.attended();
    const Widths inner(kind, seen.tensor_parallel);
    Attention core{kind.shared_key_value ? AttentionForm::mla_absorbed : AttentionForm::gqa,
                   seen.phase,
                   seen.sequences,
                   seen.query,
                   seen.context,
                   inner.heads,
                   inner.kv_heads,
                   dim,
                   dim,
                   precision.attention,
                   precision.kv_cache};
    const bool slides = kind.window > 0 && kind.window < seen.context;
    if (slides) {
        core.compression = 0;
        core.window = kind.window;
    }
    parts.add({kind.window > 0                ? "window_attention"
               : shape.phase == Phase::decode ? "grouped_query_attention"
                                              : "prefill_attention",
               core});
    parts.leave(widths.heads, dim);
    if (kind.output_gate) {
        const double gated = static_cast<double>(tokens * widths.heads * dim);
        const double moved = gated * bytes_of(stream_format);
        parts.add({"attention_gate", VectorWork{"gate", gated, 5, 2 * moved, moved}});
    }
    return parts.end(widths.heads * dim);
}

double widest_activation(const GroupedQueryAttention& kind, bool, int tensor_parallel) {
    const long queries = kind.heads * kind.head_dim * (kind.output_gate ? 2 : 1);
    return static_cast<double>(queries + 2 * kind.kv_heads * kind.head_dim) / tensor_parallel;
}

}  // namespace podsim
