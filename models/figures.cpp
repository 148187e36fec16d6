#include "models/figures.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/at.hpp"
#include "models/blocks.hpp"
#include "models/training.hpp"

namespace podsim {

namespace {

struct Sum {
    double work = 0, bytes = 0;
    Sum operator*(double factor) const { return {work * factor, bytes * factor}; }
    Sum& operator+=(const Sum& other) {
        work += other.work;
        bytes += other.bytes;
        return *this;
    }
};

// The delta rule is the attention of its layers, though in decode no matrix unit runs it.
double counted_work(const OperatorBody& body) {
    return std::holds_alternative<DeltaRule>(body) ? work_of(body).value()
                                                   : matrix_work_of(body).value();
}

Sum sum_of(const std::vector<Operator>& operators) {
    Sum sum;
    for (const Operator& op : operators) {
        if (std::holds_alternative<VectorWork>(op.body)) continue;
        sum += {counted_work(op.body), compulsory_bytes_of(op.body).value()};
    }
    return sum;
}

StepShape decode_shape(long context) {
    return {Phase::decode, 1, 1, context};
}

StepShape prompt_shape(long tokens) {
    return {Phase::prefill, 1, tokens, tokens};
}

// The shared expert and one token's routed ones.
std::vector<Operator> experts_of_token(const ModelSpec& model) {
    const Precision precision;
    std::vector<Operator> operators = expert_block(model, precision, {1, 1}, "shared_expert");
    for (Operator& op : expert_block(model, precision, {model.experts_per_token, 1}, "expert"))
        operators.push_back(std::move(op));
    return operators;
}

std::vector<Operator> feed_forward_of_token(const ModelSpec& model, const LayerKind& kind) {
    const Precision precision;
    if (!kind.experts) return dense_ffn_block(model, precision, 1, 1);
    std::vector<Operator> operators = router_block(model, precision, 1, kind.hash_routed);
    for (Operator& op : experts_of_token(model)) operators.push_back(std::move(op));
    const long copies = model.experts_per_token + (model.shared_intermediate > 0 ? 1 : 0);
    for (Operator& op : combine_block(model, precision, 1, copies))
        operators.push_back(std::move(op));
    return operators;
}

std::vector<Operator> layer_of_token(const ModelSpec& model, const LayerKind& kind, long context) {
    std::vector<Operator> operators;
    if (kind.engram) operators = engram_block(model, 1);
    for (Operator& op : attention_block(model, Precision{}, decode_shape(context), kind))
        operators.push_back(std::move(op));
    for (Operator& op : feed_forward_of_token(model, kind)) operators.push_back(std::move(op));
    return operators;
}

// A layer's forward work for a whole prompt. Products without attention grow with the tokens, so
// that one token's feed-forward stands for each.
double layer_of_prompt(const ModelSpec& model, const LayerKind& kind, long tokens) {
    const Precision precision;
    double each = sum_of(feed_forward_of_token(model, kind)).work;
    if (kind.engram) each += sum_of(engram_block(model, 1)).work;
    return sum_of(attention_block(model, precision, prompt_shape(tokens), kind)).work +
           each * static_cast<double>(tokens);
}

double layers_of_prompt(const ModelSpec& model, long tokens) {
    double work = 0;
    for (const LayerCount& alike : layer_kinds(model)) {
        work += layer_of_prompt(model, alike.kind, tokens) * static_cast<double>(alike.count);
    }
    return work;
}

Sum decode_token(const ModelSpec& model, long context) {
    Sum sum = sum_of(head_block(model, Precision{}, 1, 1));
    for (const LayerCount& alike : layer_kinds(model)) {
        sum +=
            sum_of(layer_of_token(model, alike.kind, context)) * static_cast<double>(alike.count);
    }
    return sum;
}

Bytes cache_in(const CacheElements& cache, DType format) {
    Precision precision;
    precision.kv_cache = precision.indexer = format;
    return cache.bytes(precision);
}

ContextFigures figures_at(const ModelSpec& model, long context) {
    ContextFigures figures;
    figures.context = context;
    figures.beyond = model.max_context > 0 && context > model.max_context;
    const CacheElements cache = cache_of(model, context);
    figures.cache_bf16 = cache_in(cache, DType::bf16);
    figures.cache_fp8 = cache_in(cache, DType::fp8);
    const Sum decode = decode_token(model, context);
    figures.decode_work = Flops(decode.work);
    figures.decode_bytes = Bytes(decode.bytes);
    const double head = sum_of(head_block(model, Precision{}, 1, 1)).work;
    figures.prefill_work =
        Flops((layers_of_prompt(model, context) + head) / static_cast<double>(context));
    return figures;
}

LayerFigures layer_figures(const ModelSpec& model, const LayerCount& alike, long context) {
    LayerFigures figures;
    figures.count = alike.count;
    figures.attention = attention_name(at(model.attentions, alike.kind.attention));
    figures.feed_forward = feed_forward_name(alike.kind);
    for (const Operator& op : layer_of_token(model, alike.kind, context)) {
        figures.operators.push_back({op.name, kind_of(op.body), shape_of(op.body), work_of(op.body),
                                     compulsory_bytes_of(op.body)});
    }
    return figures;
}

std::string name_of_kind(const GroupedQueryAttention& kind) {
    const std::string name = kind.window > 0
                                 ? fmt::format("window {}, ", kind.window)
                                 : std::string(kind.heads == kind.kv_heads ? "multi-head " : "");
    return fmt::format("{}{} heads, {} kv x {}", name, kind.heads, kind.kv_heads, kind.head_dim);
}

std::string name_of_kind(const LatentAttention& kind) {
    return kind.indexer.heads > 0 ? fmt::format("sparse latent, top {}", kind.indexer.top_k)
                                  : "latent attention";
}

std::string name_of_kind(const CompressedAttention& kind) {
    if (kind.compression == 0) return fmt::format("window {}", kind.window);
    return kind.indexer.heads > 0
               ? fmt::format("CSA {}:1, top {}", kind.compression, kind.indexer.top_k)
               : fmt::format("HCA {}:1", kind.compression);
}

std::string name_of_kind(const DeltaNetAttention&) {
    return "gated delta net";
}

}  // namespace

std::vector<long> usual_contexts() {
    return {4L << 10, 32L << 10, 128L << 10, 1L << 20};
}

ModelFigures figures_of(const ModelSpec& model, const std::vector<long>& contexts) {
    constexpr long usual = 4096;
    const long short_context = model.max_context > 0 ? std::min(usual, model.max_context) : usual;
    ModelFigures figures;
    figures.parameters = count_parameters(model);
    const CacheElements cache = cache_per_token(model);
    figures.cache_per_token_bf16 = cache_in(cache, DType::bf16);
    figures.cache_per_token_fp8 = cache_in(cache, DType::fp8);
    for (const long context : contexts) figures.contexts.push_back(figures_at(model, context));
    figures.layer_context = short_context;
    for (const LayerCount& alike : layer_kinds(model))
        figures.layers.push_back(layer_figures(model, alike, short_context));
    figures.training = {short_context, training_flops_per_token(model, short_context, false),
                        training_flops_per_token(model, short_context, true)};
    return figures;
}

std::string attention_name(const AttentionSpec& attention) {
    return std::visit([](const auto& kind) { return name_of_kind(kind); }, attention);
}

std::string feed_forward_name(const LayerKind& kind) {
    if (!kind.experts) return "dense FFN";
    const std::string memory = kind.engram ? ", looks up memory" : "";
    return (kind.hash_routed ? "experts, hash-routed" : "experts") + memory;
}

}  // namespace podsim
