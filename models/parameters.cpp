// What a model amounts to: parameters, bytes of weights a rank holds, bytes of cache.
#include "models/family.hpp"
#include "models/vector_operators.hpp"

namespace podsim {

namespace {

// A module of multi-token prediction joins the embedding and the last hidden state, each normed,
// by a projection 2 hidden -> hidden, runs one MoE layer and norms its output; embedding and head
// are the main model's (DeepSeek-V3, arXiv 2412.19437, section 2.2).
constexpr long draft_norms = 3;

Weight norm_weights(long elements) {
    return {"norms", elements, 1, 1, DType::bf16};
}

// What a module has beside its layer.
std::vector<Weight> draft_weights(const ModelSpec& model) {
    if (model.draft_layers == 0) return {};
    return {{"draft_projection", model.hidden, 2 * model.hidden, 1, DType::bf16},
            norm_weights(draft_norms * model.hidden)};
}

std::vector<Weight> shared_expert_weights(const ModelSpec& model, const Precision& precision) {
    if (model.shared_experts == 0) return {};
    return gated_ffn_weights(model, model.shared_experts * model.expert_intermediate,
                             precision.weights);
}

// The gate and, for the choice without auxiliary loss (V3, section 2.1.2), a bias an expert.
std::vector<Weight> router_weights(const ModelSpec& model) {
    if (model.routed_experts == 0) return {};
    std::vector<Weight> weights = {{"gate", model.routed_experts, model.hidden, 1, DType::bf16}};
    if (model.router_scoring == RouterScoring::sigmoid) {
        weights.push_back({"bias", model.routed_experts, 1, 1, DType::fp32});
    }
    return weights;
}

// With tokens divided the output projection is whole on every rank.
AttentionWeights attention_weights_of(const ModelSpec& model, const Precision& precision,
                                      int tensor_parallel, AttentionSplit split) {
    const auto weights = family_of(model).attention_weights;
    AttentionWeights attention = weights(model, precision, tensor_parallel);
    if (split == AttentionSplit::heads) return attention;
    const AttentionWeights whole = weights(model, precision, 1);
    for (std::size_t i = 0; i < whole.matrices.size(); ++i) {
        if (whole.matrices[i].name == "output") attention.matrices[i] = whole.matrices[i];
    }
    return attention;
}

}  // namespace

double ParameterCount::total() const {
    return embedding + head + attention + dense_ffn + routed_experts + shared_experts + router +
           norms;
}

double ParameterCount::active() const {
    return total() - routed_experts + active_routed;
}

double ParameterCount::active_without_embedding() const {
    // A tied embedding works as the head.
    return head > 0 ? active() - embedding : active();
}

ParameterCount count_parameters(const ModelSpec& model) {
    const Precision precision;
    const AttentionWeights attention = family_of(model).attention_weights(model, precision, 1);
    const auto layers = static_cast<double>(model.layers);
    const auto dense_layers = static_cast<double>(model.dense_layers);
    const double moe_layers = layers - dense_layers;
    const auto hidden = static_cast<double>(model.hidden);
    const auto routed = static_cast<double>(model.routed_experts);

    const double attention_of_layer = parameters(attention.matrices);
    const double norms_of_layer = 2 * hidden + static_cast<double>(attention.norm_elements);
    const double expert =
        parameters(gated_ffn_weights(model, model.expert_intermediate, precision.experts));
    const double shared_of_layer = parameters(shared_expert_weights(model, precision));
    const double router_of_layer = parameters(router_weights(model));

    ParameterCount count;
    count.embedding = static_cast<double>(model.vocabulary) * hidden;
    count.head = model.tied_embedding ? 0 : count.embedding;
    count.attention = layers * attention_of_layer;
    count.dense_ffn = dense_layers * parameters(gated_ffn_weights(model, model.dense_intermediate,
                                                                  precision.weights));
    count.routed_experts = moe_layers * routed * expert;
    count.active_routed = moe_layers * static_cast<double>(model.experts_per_token) * expert;
    count.shared_experts = moe_layers * shared_of_layer;
    count.router = moe_layers * router_of_layer;
    count.norms = layers * norms_of_layer + hidden;
    count.draft = static_cast<double>(model.draft_layers) *
                  (attention_of_layer + norms_of_layer + routed * expert + shared_of_layer +
                   router_of_layer + parameters(draft_weights(model)));
    return count;
}

SplitExchange split_exchange(const ModelSpec& model) {
    const double element = bytes_of(stream_format);
    return {Bytes(static_cast<double>(model.query_rank + model.kv_rank + model.rope_head_dim) *
                  element),
            Bytes(static_cast<double>(model.heads * model.value_head_dim) * element)};
}

double kv_elements_per_token_per_layer(const ModelSpec& model) {
    return family_of(model).kv_elements(model, 1);
}

Bytes kv_bytes_per_token(const ModelSpec& model, DType kv_cache) {
    return Bytes(static_cast<double>(model.layers) * kv_elements_per_token_per_layer(model) *
                 bytes_of(kv_cache));
}

Bytes kv_bytes_per_token_of_rank(const ModelSpec& model, DType kv_cache, int tensor_parallel) {
    return Bytes(static_cast<double>(model.layers) *
                 family_of(model).kv_elements(model, tensor_parallel) * bytes_of(kv_cache));
}

WeightBytes weight_bytes(const ModelSpec& model, const Precision& precision, int tensor_parallel,
                         AttentionSplit split) {
    const AttentionWeights attention =
        attention_weights_of(model, precision, tensor_parallel, split);
    const Weight table{"table", ceil_divide(model.vocabulary, tensor_parallel), model.hidden, 1,
                       DType::bf16};
    WeightBytes result;
    result.attention = stored_bytes(model, attention.matrices);
    result.dense_ffn = stored_bytes(
        model, gated_ffn_weights(model, ceil_divide(model.dense_intermediate, tensor_parallel),
                                 precision.weights));
    result.router = stored_bytes(model, router_weights(model));
    result.routed_expert =
        stored_bytes(model, gated_ffn_weights(model, model.expert_intermediate, precision.experts));
    result.shared_expert = stored_bytes(model, shared_expert_weights(model, precision));
    result.norms = stored_bytes(model, norm_weights(2 * model.hidden + attention.norm_elements));
    result.embedding = stored_bytes(model, table);
    result.head = stored_bytes(model, norm_weights(model.hidden));
    if (!model.tied_embedding) result.head += stored_bytes(model, table);
    result.draft_extra = stored_bytes(model, draft_weights(model));
    return result;
}

}  // namespace podsim
