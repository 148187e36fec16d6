// Attention over ranks that share sequences (context parallel c, beside tensor parallel t).
//
// Prefill, queries cut (ring attention, arXiv 2310.01889; all-gather, arXiv 2407.21783): each rank
// has q / c of the q new tokens, cut so that all see as many pairs: of a causal mask over n tokens
// q (n - q) + q (q + 1) / 2 pairs, of which q / c queries have their part where the last one sees
//
//   x = n - (q - q / c) / 2
//
// tokens. Every rank needs the cache entries of all n. Heads cut (DeepSpeed Ulysses, arXiv
// 2309.14509): all tokens with a part of the heads, there and back by all-to-alls; latents are
// gathered instead, as they are smaller than any head's queries.
//
// Decode, the cache cut (Helix parallelism, arXiv 2507.07120; decode context parallel of vLLM):
// each rank has n / c tokens of every sequence's cache and 1 / c of the sequences for everything
// else. Queries (or their latents) are gathered; each rank attends with all of them to its part;
// results, with the logarithm of their softmax's sum, go to the rank that has the sequence, which
// adds them up (FlashDecoding). An indexer's best top_k of each part are gathered, and the best
// top_k of all chosen again, of which each part has its share.
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "base/at.hpp"
#include "models/attention.hpp"
#include "models/vector_operators.hpp"
#include "models/weights.hpp"

namespace podsim {

namespace {

constexpr double log_sum_bytes = 4;   // FP32, a head
constexpr double proposal_bytes = 8;  // a score and an index

// What goes around attention of one kind, in elements of a token.
struct Exchange {
    double queries = 0;   // of one tensor-parallel rank, or their latents
    double entries = 0;   // keys and values as they are projected, with what else they need
    double outputs = 0;   // of all the rank's heads
    double heads = 0;     // of the rank
    bool latent = false;  // in place of queries
    long top_k = 0, compression = 1;
};

Exchange exchange_of(const GroupedQueryAttention& kind, const ModelSpec&, int tensor_parallel) {
    const auto heads = static_cast<double>(local_heads(kind.heads, tensor_parallel));
    const double entry = layer_cache(kind, 1, tensor_parallel).kv;
    const double width = heads * static_cast<double>(kind.head_dim);
    return {width, entry, width, heads, false};
}

Exchange exchange_of(const LatentAttention& kind, const ModelSpec& model, int tensor_parallel) {
    const auto heads = static_cast<double>(local_heads(kind.heads, tensor_parallel));
    const CacheElements entry = layer_cache(kind, 1, tensor_parallel);
    return {static_cast<double>(kind.query_rank > 0 ? kind.query_rank : model.hidden),
            entry.kv + entry.index,
            heads * static_cast<double>(kind.value_head_dim),
            heads,
            true,
            kind.indexer.heads > 0 ? kind.indexer.top_k : 0};
}

Exchange exchange_of(const CompressedAttention& kind, const ModelSpec&, int tensor_parallel) {
    const auto heads = static_cast<double>(local_heads(kind.heads, tensor_parallel));
    return {static_cast<double>(kind.query_rank),
            static_cast<double>(kind.head_dim + pool_outputs(kind)),
            heads * static_cast<double>(kind.head_dim),
            heads,
            true,
            kind.indexer.heads > 0 ? kind.indexer.top_k : 0,
            kind.compression};
}

Exchange exchange_of(const DeltaNetAttention&, const ModelSpec&, int) {
    return {};
}

// Decode: of all the group's tokens.
ContextExchanged around_parts(const Exchange& one, const Precision& precision,
                              const StepShape& shape) {
    const auto tokens = static_cast<double>(shape.tokens());
    const double query = one.latent
                             ? bytes_of(stream_format)
                             : std::min(bytes_of(stream_format), bytes_of(precision.attention));
    ContextExchanged sizes;
    sizes.gathered = Bytes(tokens * (one.queries * query + one.entries * bytes_of(stream_format)));
    sizes.outputs =
        Bytes(tokens * (one.outputs * bytes_of(stream_format) + one.heads * log_sum_bytes));
    if (one.top_k > 0) {
        const long entries = shape.attended().context / one.compression;
        const auto proposed = static_cast<double>(std::min(one.top_k, entries));
        sizes.proposed = Bytes(tokens * shape.context_parallel * proposed * proposal_bytes);
    }
    return sizes;
}

// Prefill with heads cut: queries, keys and values of a rank's own tokens to the ranks of their
// heads (fewer key-value heads than ranks are copied), or all tokens' latents to all; results of
// its heads back.
ContextExchanged around_heads(const Exchange& one, const AttentionSpec& attention,
                              const Precision& precision, const StepShape& shape) {
    const double element = bytes_of(stream_format);
    const auto tokens = static_cast<double>(shape.tokens());
    const double ranks = shape.context_parallel;
    ContextExchanged sizes;
    sizes.outputs = Bytes(tokens * one.outputs / ranks * element);
    if (one.latent) {
        const long before = shape.sequences * (shape.context - shape.query);
        sizes.gathered = Bytes(tokens * (one.queries + one.entries) * element) +
                         static_cast<double>(before) *
                             layer_cache(attention, 1, shape.tensor_parallel).bytes(precision);
        return sizes;
    }
    const double of_heads =
        layer_cache(attention, 1, shape.tensor_parallel * shape.context_parallel).kv;
    const double query = std::min(element, bytes_of(precision.attention));
    sizes.scattered = Bytes(static_cast<double>(shape.own_tokens_of_context()) *
                            (one.queries * query + of_heads * ranks * element));
    return sizes;
}

}  // namespace

bool StepShape::cuts_queries() const {
    return context_parallel > 1 && phase == Phase::prefill && cut == ContextCut::queries;
}

bool StepShape::cuts_heads() const {
    return context_parallel > 1 && phase == Phase::prefill && cut == ContextCut::heads;
}

bool StepShape::cuts_cache() const {
    return context_parallel > 1 && phase == Phase::decode;
}

long StepShape::own_query() const {
    return phase == Phase::prefill ? ceil_divide(query, context_parallel) : query;
}

long StepShape::own_sequences() const {
    return phase == Phase::decode ? ceil_divide(sequences, context_parallel) : sequences;
}

long StepShape::part_of_cache(long whole) const {
    return cuts_cache() ? ceil_divide(whole, context_parallel) : whole;
}

StepShape StepShape::attended() const {
    StepShape alone = *this;
    alone.context_parallel = 1;
    if (cuts_heads()) alone.tensor_parallel = tensor_parallel * context_parallel;
    if (cuts_cache()) alone.context = std::max(query, ceil_divide(context, context_parallel));
    if (cuts_queries()) {
        alone.query = own_query();
        alone.context = std::max(alone.query, context - (query - alone.query) / 2);
    }
    return alone;
}

bool grows_with_context(const AttentionSpec& attention) {
    if (const auto* grouped = std::get_if<GroupedQueryAttention>(&attention))
        return grouped->window == 0;
    if (const auto* pooled = std::get_if<CompressedAttention>(&attention))
        return pooled->compression > 0;
    return std::holds_alternative<LatentAttention>(attention);
}

ContextExchanged context_exchanged(const ModelSpec& model, const Precision& precision,
                                   const StepShape& shape, const LayerKind& kind) {
    const AttentionSpec& attention = at(model.attentions, kind.attention);
    if (shape.cuts_queries()) {
        ContextExchanged sizes;
        sizes.gathered =
            static_cast<double>(shape.sequences) *
            layer_cache(attention, shape.context, shape.tensor_parallel).bytes(precision);
        return sizes;
    }
    const bool parts = shape.cuts_cache() && grows_with_context(attention);
    if (!parts && !shape.cuts_heads()) return {};
    const Exchange one = std::visit(
        [&](const auto& of) { return exchange_of(of, model, shape.tensor_parallel); }, attention);
    return parts ? around_parts(one, precision, shape)
                 : around_heads(one, attention, precision, shape);
}

std::string context_problem(const ModelSpec& model, Phase phase, int tensor_parallel, int ranks,
                            ContextCut cut) {
    if (ranks == 1 || phase == Phase::decode) return "";
    for (const AttentionSpec& attention : model.attentions) {
        if (std::holds_alternative<DeltaNetAttention>(attention))
            return fmt::format(
                "the state of {}'s linear attention goes from token to token of a prompt",
                model.name);
        const auto* latent = std::get_if<LatentAttention>(&attention);
        const bool chooses = std::holds_alternative<CompressedAttention>(attention) ||
                             (latent != nullptr && latent->indexer.heads > 0);
        if (cut == ContextCut::heads && chooses)
            return fmt::format("heads of {} share entries and the choice among them", model.name);
    }
    return cut == ContextCut::heads ? division_problem(model, tensor_parallel * ranks) : "";
}

}  // namespace podsim
