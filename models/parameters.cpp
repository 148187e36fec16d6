// What a model amounts to: parameters, bytes of weights a rank holds, bytes of cache.
#include "base/at.hpp"
#include "models/attention.hpp"
#include "models/vector_operators.hpp"

namespace podsim {

namespace {

// A module of multi-token prediction joins the embedding and the last hidden state, each normed,
// by a projection 2 hidden -> hidden, runs one layer and norms its output; embedding and head are
// the main model's (DeepSeek-V3, arXiv 2412.19437, section 2.2).
constexpr long draft_norms = 3;

Weight vector_of(const char* name, long elements) {
    return {name, elements, 1, 1, DType::bf16};
}

// Norms around a layer's two sub-layers, before and perhaps after each.
long norms_of_layer(const ModelSpec& model) {
    return (model.post_norms ? 4 : 2) * (model.layer_norm ? 2 : 1) * model.hidden;
}
long final_norm(const ModelSpec& model) {
    return (model.layer_norm ? 2 : 1) * model.hidden;
}

// Of hyper-connections: the matrix, base and scales of each of a layer's two mixes.
std::vector<Weight> mixer_weights(const ModelSpec& model) {
    if (model.streams == 1) return {};
    const long mixes = model.streams * (model.streams + 2), scales = 3;
    return {{"mixers", mixes, model.streams * model.hidden, 2, DType::fp32},
            {"mixer_bases", 2 * (mixes + scales), 1, 1, DType::fp32}};
}
// The last one joins the streams.
std::vector<Weight> join_weights(const ModelSpec& model) {
    if (model.streams == 1) return {};
    return {{"join", model.streams, model.streams * model.hidden, 1, DType::fp32},
            {"join_base", model.streams + 1, 1, 1, DType::fp32}};
}

// What a module has beside its layer.
std::vector<Weight> draft_weights(const ModelSpec& model) {
    if (model.draft_layers == 0) return {};
    std::vector<Weight> weights = {
        {"draft_projection", model.hidden, 2 * model.hidden, 1, DType::bf16},
        vector_of("norms", draft_norms * model.hidden)};
    for (const Weight& join : join_weights(model)) weights.push_back(join);
    return weights;
}

// The gate, for the choice without auxiliary loss (V3, section 2.1.2) a bias an expert, the shared
// expert's gate.
std::vector<Weight> router_weights(const ModelSpec& model, bool hash_routed = false) {
    if (model.routed_experts == 0) return {};
    std::vector<Weight> weights = {{"gate", model.routed_experts, model.hidden, 1, DType::bf16}};
    if (model.router_bias && !hash_routed)
        weights.push_back({"bias", model.routed_experts, 1, 1, DType::fp32});
    if (model.shared_gate) weights.push_back({"shared_gate", 1, model.hidden, 1, DType::bf16});
    return weights;
}

// Of one layer with conditional memory: the value projection, a key projection for each residual
// stream, their norms, the taps of the convolution over all streams.
std::vector<Weight> engram_weights(const ModelSpec& model) {
    const Engram& memory = model.engram;
    if (memory.layers.empty()) return {};
    const long width = model.streams * model.hidden;
    return {{"engram_value", model.hidden, memory.memory_width(), 1, DType::bf16},
            {"engram_key", width, memory.memory_width(), 1, DType::bf16},
            vector_of("engram_vectors", (3 + memory.convolution) * width)};
}

double engram_table_elements(const ModelSpec& model) {
    const Engram& memory = model.engram;
    double elements = 0;
    for (const long rows : memory.table_rows)
        elements += static_cast<double>(rows) * static_cast<double>(memory.width);
    return elements * static_cast<double>(memory.layers.size());
}

AttentionWeights weights_of(const AttentionSpec& attention, const ModelSpec& model,
                            const Precision& precision, int tensor_parallel) {
    return std::visit(
        [&](const auto& kind) {
            return attention_weights(kind, model, precision, tensor_parallel);
        },
        attention);
}

// With tokens divided the output projection is whole on every rank.
Bytes attention_bytes(const AttentionSpec& attention, const ModelSpec& model,
                      const Precision& precision, int tensor_parallel, AttentionSplit split) {
    AttentionWeights weights = weights_of(attention, model, precision, tensor_parallel);
    if (split == AttentionSplit::sp_tp_sp) {
        const AttentionWeights whole = weights_of(attention, model, precision, 1);
        for (std::size_t i = 0; i < whole.matrices.size(); ++i) {
            if (whole.matrices[i].name == "output") weights.matrices[i] = whole.matrices[i];
        }
    }
    return stored_bytes(model, weights.matrices) +
           stored_bytes(model, vector_of("vectors", weights.norm_elements + weights.bias_elements));
}

}  // namespace

double ParameterCount::total() const {
    return embedding + head + attention + dense_ffn + routed_experts + shared_experts + router +
           norms + mixers + engram + tables;
}

double ParameterCount::active() const {
    return total() - tables - routed_experts + active_routed;
}

double ParameterCount::active_without_embedding() const {
    // A tied embedding works as the head.
    return head > 0 ? active() - embedding : active();
}

namespace {

// One layer of a kind, with the routed experts that a token visits apart.
ParameterCount count_layer(const ModelSpec& model, const LayerKind& kind) {
    const Precision precision;
    const AttentionWeights attention =
        weights_of(at(model.attentions, kind.attention), model, precision, 1);
    ParameterCount count;
    count.attention = parameters(attention.matrices) + static_cast<double>(attention.bias_elements);
    count.norms = static_cast<double>(norms_of_layer(model) + attention.norm_elements);
    count.mixers = parameters(mixer_weights(model));
    if (kind.engram) count.engram = parameters(engram_weights(model));
    if (!kind.experts) {
        count.dense_ffn =
            parameters(ffn_weights(model, model.dense_intermediate, precision.weights));
        return count;
    }
    const double expert =
        parameters(ffn_weights(model, model.expert_intermediate, precision.experts));
    count.routed_experts = static_cast<double>(model.routed_experts) * expert;
    count.active_routed = static_cast<double>(model.experts_per_token) * expert;
    count.shared_experts =
        parameters(ffn_weights(model, model.shared_intermediate, precision.weights));
    count.router = parameters(router_weights(model, kind.hash_routed));
    return count;
}

}  // namespace

ParameterCount count_parameters(const ModelSpec& model) {
    ParameterCount count;
    const auto hidden = static_cast<double>(model.hidden);
    const double table = static_cast<double>(model.vocabulary) * hidden;
    count.embedding = table + static_cast<double>(model.positions) * hidden;
    count.head = model.tied_embedding ? 0 : table;
    for (const LayerCount& alike : layer_kinds(model)) {
        const ParameterCount one = count_layer(model, alike.kind);
        const auto times = static_cast<double>(alike.count);
        count.attention += times * one.attention;
        count.norms += times * one.norms;
        count.mixers += times * one.mixers;
        count.engram += times * one.engram;
        count.dense_ffn += times * one.dense_ffn;
        count.routed_experts += times * one.routed_experts;
        count.active_routed += times * one.active_routed;
        count.shared_experts += times * one.shared_experts;
        count.router += times * one.router;
    }
    count.norms += static_cast<double>(final_norm(model));
    count.mixers += parameters(join_weights(model));
    count.tables = engram_table_elements(model);
    if (model.draft_layers > 0) {
        count.draft =
            static_cast<double>(model.draft_layers) *
            (count_layer(model, model.draft_layer).total() + parameters(draft_weights(model)));
    }
    return count;
}

CacheElements& CacheElements::operator+=(const CacheElements& other) {
    kv += other.kv;
    index += other.index;
    state += other.state;
    recent += other.recent;
    return *this;
}

CacheElements CacheElements::operator*(double factor) const {
    return {kv * factor, index * factor, state * factor, recent * factor};
}

Bytes CacheElements::bytes(const Precision& precision) const {
    return Bytes(kv * bytes_of(precision.kv_cache) + index * bytes_of(precision.indexer) +
                 state * bytes_of(DType::fp32) + recent * bytes_of(stream_format));
}

CacheElements cache_of(const ModelSpec& model, long context) {
    CacheElements cache;
    for (const LayerCount& alike : layer_kinds(model)) {
        cache += layer_cache(at(model.attentions, alike.kind.attention), context, 1) *
                 static_cast<double>(alike.count);
    }
    return cache;
}

// Over a span that whole pools and no window's end fall into.
CacheElements cache_per_token(const ModelSpec& model) {
    constexpr long begin = 1L << 30, span = 1L << 20;
    CacheElements cache = cache_of(model, begin + span);
    cache += cache_of(model, begin) * -1;
    return cache * (1.0 / static_cast<double>(span));
}

WeightBytes weight_bytes(const ModelSpec& model, const Precision& precision, int tensor_parallel,
                         AttentionSplit split) {
    require_at_least_one("tensor parallel", tensor_parallel);
    const Weight table{"table", ceil_divide(model.vocabulary, tensor_parallel), model.hidden, 1,
                       DType::bf16};
    const Weight positions{"positions", model.positions, model.hidden, 1, DType::bf16};
    WeightBytes result;
    for (const AttentionSpec& attention : model.attentions) {
        result.attention.push_back(
            attention_bytes(attention, model, precision, tensor_parallel, split));
    }
    result.dense_ffn = stored_bytes(
        model, ffn_weights(model, ceil_divide(model.dense_intermediate, tensor_parallel),
                           precision.weights));
    result.router = stored_bytes(model, router_weights(model));
    result.routed_expert =
        stored_bytes(model, ffn_weights(model, model.expert_intermediate, precision.experts));
    result.shared_expert =
        stored_bytes(model, ffn_weights(model, model.shared_intermediate, precision.weights));
    result.norms = stored_bytes(model, vector_of("norms", norms_of_layer(model))) +
                   stored_bytes(model, mixer_weights(model));
    result.embedding = stored_bytes(model, table) + stored_bytes(model, positions);
    result.head = head_bytes(model, tensor_parallel);
    result.draft_extra = stored_bytes(model, draft_weights(model));
    result.engram = stored_bytes(model, engram_weights(model));
    return result;
}

Bytes head_bytes(const ModelSpec& model, int parts) {
    require_at_least_one("parts of the head", parts);
    Bytes head = stored_bytes(model, vector_of("norms", final_norm(model))) +
                 stored_bytes(model, join_weights(model));
    if (model.tied_embedding) return head;
    return head + stored_bytes(model, {"head", ceil_divide(model.vocabulary, parts), model.hidden,
                                       1, DType::bf16});
}

Bytes engram_table_bytes(const ModelSpec& model) {
    return Bytes(engram_table_elements(model) * bytes_of(DType::bf16));
}

}  // namespace podsim
