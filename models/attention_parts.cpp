#include "models/attention_parts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "models/vector_operators.hpp"
#include "models/weights.hpp"

namespace podsim {

namespace {

constexpr double rotary_work = 3;  // two products and a sum an element
constexpr double index_bytes = 4;  // int32

}  // namespace

long local_heads(long heads, int tensor_parallel, const char* what) {
    require_at_least_one("tensor parallel", tensor_parallel);
    if (heads % tensor_parallel != 0) {
        throw std::invalid_argument(
            fmt::format("{} does not divide the model's {} {}", tensor_parallel, heads, what));
    }
    return heads / tensor_parallel;
}

AttentionParts::AttentionParts(const ModelSpec& model, const Precision& precision,
                               const StepShape& shape)
    : model_(model), precision_(precision), shape_(shape), tokens_(shape.own_tokens_of_context()) {
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

void AttentionParts::wide_linear(const std::string& name, long m, long n, long k) {
    add({name, Gemm{m, n, k, 1, stream_format, stream_format, stream_format}});
}

void AttentionParts::begin() {
    for (Operator& op : enter("attention", model_, tokens_)) add(std::move(op));
    quantise("attention_quantise", tokens_, model_.hidden);
}

void AttentionParts::rotary(long elements, const std::string& name) {
    const double turned = static_cast<double>(tokens_) * static_cast<double>(elements);
    const double moved = turned * bytes_of(stream_format);
    add({name, VectorWork{"rotary", turned, rotary_work, moved, moved}});
}

// Every rank works out all scores, as engines do: a choice from a part of the heads is none. The
// heads' weights come with the key, from the hidden state.
void AttentionParts::index(const Indexer& indexer, long query_rank, long compression) {
    const StepShape seen = shape_.attended();
    part_ = shape_.cuts_cache() ? &block_.score : &block_.attend;
    const long width = indexer.heads * indexer.head_dim;
    linear("index_query_projection", tokens_, width, query_rank);
    rotary(width, "index_rotary");
    if (is_quantised(precision_.indexer)) {
        add(convert(model_, "index_quantise", tokens_, width, stream_format, precision_.indexer));
    }
    const IndexScores scores{seen.phase,       seen.sequences,     seen.query,
                             seen.context,     compression,        indexer.heads,
                             indexer.head_dim, precision_.indexer, precision_.indexer};
    const double pairs = static_cast<double>(seen.sequences) * visible_pairs(scores);
    if (pairs == 0) return attend();  // no entry is complete yet
    add({"index_scores", scores});
    const double chosen = static_cast<double>(tokens_) * static_cast<double>(indexer.top_k);
    add({"index_top_k", VectorWork{"top_k", pairs, 1, pairs * bytes_of(DType::fp32),
                                   std::min(pairs, chosen) * index_bytes, rows_of_choice(scores)}});
    if (!shape_.cuts_cache()) return;
    attend();
    const double proposed = std::min(pairs, chosen) * shape_.context_parallel;
    add({"index_choice",
         VectorWork{"top_k", proposed, 1, proposed * (bytes_of(DType::fp32) + index_bytes),
                    std::min(proposed, chosen) * index_bytes, tokens_}});
}

// o = sum_i w_i o_i with w_i = exp(l_i) / sum_j exp(l_j), l_i the logarithm of a part's sum.
void AttentionParts::leave(long heads, long dim) {
    part_ = &block_.output;
    if (!shape_.cuts_cache()) return;
    const double vectors = static_cast<double>(tokens_) * static_cast<double>(heads);
    const double width = static_cast<double>(dim), parts = shape_.context_parallel;
    const double moved = bytes_of(stream_format);
    add({"partial_attention_sum",
         VectorWork{"weighted_sum", vectors * parts * width, 2,
                    vectors * parts * (width * moved + bytes_of(DType::fp32)),
                    vectors * width * moved}});
}

void AttentionParts::append(const std::string& name, double elements, DType format) {
    const double all = static_cast<double>(tokens_) * elements;
    add({name, VectorWork{"cache_append", all, 0, all * bytes_of(stream_format),
                          all * bytes_of(format)}});
}

void AttentionParts::append_to_cache(double elements) {
    append("cache_append", elements, precision_.kv_cache);
}

void AttentionParts::append_index(double elements) {
    append("index_append", elements, precision_.indexer);
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
    if (model_.post_norms) add(norm("attention_post_norm", tokens_, model_.hidden));
    return std::move(block_);
}

}  // namespace podsim
