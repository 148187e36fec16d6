#include "models/attention_parts.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "models/vector_operators.hpp"
#include "models/weights.hpp"

namespace podsim {

namespace {

constexpr double rotary_work = 3;  // two products and a sum an element

}  // namespace

long local_heads(const ModelSpec& model, int tensor_parallel) {
    require_at_least_one("tensor parallel", tensor_parallel);
    if (model.heads % tensor_parallel != 0) {
        throw std::invalid_argument(fmt::format("{}: {} heads do not divide by tensor parallel {}",
                                                model.name, model.heads, tensor_parallel));
    }
    return model.heads / tensor_parallel;
}

AttentionParts::AttentionParts(const ModelSpec& model, const Precision& precision,
                               const StepShape& shape)
    : model_(model), precision_(precision), tokens_(shape.tokens()) {
    require_at_least_one("sequences", shape.sequences);
    require_at_least_one("query", shape.query);
    if (shape.context < shape.query) {
        throw std::invalid_argument(fmt::format("context {} is shorter than its {} new tokens",
                                                shape.context, shape.query));
    }
}

void AttentionParts::quantise(const std::string& name, long rows, long elements) {
    if (!is_quantised(precision_.activations)) return;
    add(convert(model_, name, rows, elements, stream_format, precision_.activations));
}

void AttentionParts::linear(const std::string& name, long m, long n, long k) {
    add({name, Gemm{m, n, k, 1, precision_.activations, precision_.weights, stream_format}});
}

void AttentionParts::begin() {
    add(residual_norm("attention_norm", tokens_, model_.hidden));
    quantise("attention_quantise", tokens_, model_.hidden);
}

void AttentionParts::rotary(long elements) {
    const double turned = static_cast<double>(tokens_) * static_cast<double>(elements);
    const double moved = turned * bytes_of(stream_format);
    add({"rotary", VectorWork{"rotary", turned, rotary_work, moved, moved}});
}

void AttentionParts::append_to_cache(double elements) {
    const double all = static_cast<double>(tokens_) * elements;
    add({"cache_append", VectorWork{"cache_append", all, 0, all * bytes_of(stream_format),
                                    all * bytes_of(precision_.kv_cache)}});
}

void AttentionParts::narrow_query(long elements) {
    if (!is_quantised(precision_.attention)) return;
    add(convert(model_, "attention_query_quantise", tokens_, elements, stream_format,
                precision_.attention));
}

AttentionBlock AttentionParts::end(long width) {
    part_ = &block_.output;
    quantise("output_quantise", tokens_, width);
    linear("output_projection", tokens_, model_.hidden, width);
    return std::move(block_);
}

}  // namespace podsim
