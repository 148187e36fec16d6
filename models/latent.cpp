// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1), h = hidden state:
//
//   c_q = norm(W_dq h)          query latent, query_rank
//   q   = W_uq c_q              heads x (nope + rope); rotary on the rope part
//   c   = norm(W_dkv h)         kv latent, kv_rank: cached
//   k_r = rotary(W_kr h)        one rotary key for all heads, rope: cached
//   k   = [W_uk c, k_r],  v = W_uv c,  o = W_o softmax(q k^T) v
//
// Expanded (prefill) this is what runs. Absorbed (decode) uses q^T W_uk c = (W_uk^T q)^T c: the
// query is taken to the latent space, attention runs over the cache itself with one key of
// kv_rank + rope and one value of kv_rank for all heads, and W_uv is applied to its result.
//
// Tensor parallelism divides the heads; the down-projections and the cache are on every rank.
//
// With an indexer (DeepSeek-V3.2's sparse attention, arXiv 2512.02556, section 2) a query reads the
// top_k entries of the best scores I = sum over index heads of w_h relu(q_h . k), with
//
//   q_I = W_iq c_q    index heads x index dim,    k_I = norm(W_ik h),    w = W_iw h
//
// k_I is cached. Attention then runs absorbed in prefill too, as the choice differs from query to
// query. All ranks of a tensor-parallel group work out all scores.
#include <fmt/format.h>

#include <algorithm>

#include "models/attention.hpp"
#include "models/vector_operators.hpp"

namespace podsim {

namespace {

long query_head_dim(const LatentAttention& kind) {
    return kind.nope_head_dim + kind.rope_head_dim;
}

long latent_entry(const LatentAttention& kind) {
    return kind.kv_rank + kind.rope_head_dim;
}

class MlaBlock {
  public:
    MlaBlock(const LatentAttention& kind, const ModelSpec& model, const Precision& precision,
             const StepShape& shape)
        : kind_(kind),
          model_(model),
          precision_(precision),
          shape_(shape),
          seen_(shape.attended()),
          heads_(local_heads(kind.heads, seen_.tensor_parallel)),
          parts_(model, precision, shape),
          tokens_(gathers() ? shape.tokens() : parts_.tokens()) {}

    AttentionBlock build() {
        if (gathers()) return build_gathered();
        parts_.begin();
        project_down();
        project_query_up();
        parts_.rotary((heads_ + 1) * kind_.rope_head_dim);
        parts_.append_to_cache(static_cast<double>(latent_entry(kind_)));
        if (is_sparse()) keep_index_key();
        parts_.attend();
        attend();
        return parts_.end(heads_ * kind_.value_head_dim);
    }

  private:
    bool divides_group() const { return shape_.split == AttentionSplit::sp_tp_sp; }
    bool gathers() const { return divides_group() || shape_.cuts_heads() || shape_.cuts_cache(); }

    // A rank's own tokens down to latents and up from the heads' outputs; every token's latents
    // through the rank's own heads.
    AttentionBlock build_gathered() {
        const long own = divides_group() ? shape_.own_tokens() : shape_.own_tokens_of_context();
        parts_.work_on(own);
        parts_.begin();
        project_down();
        parts_.append_to_cache(static_cast<double>(latent_entry(kind_)));
        if (is_sparse()) keep_index_key();
        parts_.work_on(tokens_);
        parts_.attend();
        project_query_up();
        parts_.rotary((heads_ + 1) * kind_.rope_head_dim);
        attend();
        parts_.work_on(own);
        parts_.leave(heads_, kind_.value_head_dim);
        return parts_.end(
            (divides_group() ? kind_.heads : local_heads(kind_.heads, shape_.tensor_parallel)) *
            kind_.value_head_dim);
    }

    void attend() {
        if (is_sparse()) parts_.index(kind_.indexer, kind_.query_rank, 1);
        if (shape_.phase == Phase::decode || is_sparse()) {
            attend_absorbed();
        } else {
            attend_expanded();
        }
    }

    bool is_sparse() const { return kind_.indexer.heads > 0; }

    // The indexer's key and its heads' weights are one product.
    void keep_index_key() {
        const Indexer& indexer = kind_.indexer;
        parts_.wide_linear("index_key_projection", parts_.tokens(),
                           indexer.head_dim + indexer.heads, model_.hidden);
        parts_.add(norm("index_key_norm", parts_.tokens(), indexer.head_dim));
        parts_.append_index(static_cast<double>(indexer.head_dim));
    }

    void project_down() {
        // Every engine runs the two down-projections as one product.
        const long latents = kind_.query_rank + latent_entry(kind_);
        parts_.linear(kind_.query_rank > 0 ? "query_kv_down_projection" : "kv_down_projection",
                      parts_.tokens(), latents, model_.hidden);
        parts_.add(norm("query_kv_norm", parts_.tokens(), kind_.query_rank + kind_.kv_rank));
    }

    void project_query_up() {
        const long width = heads_ * query_head_dim(kind_);
        if (kind_.query_rank > 0) {
            parts_.quantise("query_quantise", tokens_, kind_.query_rank);
            parts_.linear("query_up_projection", tokens_, width, kind_.query_rank);
        } else {
            parts_.linear("query_projection", tokens_, width, model_.hidden);
        }
    }

    void attend_absorbed() {
        const DType format = precision_.attention;
        parts_.narrow_query(heads_ * query_head_dim(kind_));
        parts_.add({"absorbed_query_product", Gemm{tokens_, kind_.kv_rank, kind_.nope_head_dim,
                                                   heads_, format, format, format}});
        Attention core{AttentionForm::mla_absorbed,
                       seen_.phase,
                       seen_.sequences,
                       seen_.query,
                       seen_.context,
                       heads_,
                       1,
                       latent_entry(kind_),
                       kind_.kv_rank,
                       format,
                       precision_.kv_cache};
        core.selected = is_sparse() ? shape_.part_of_cache(kind_.indexer.top_k) : 0;
        parts_.add({is_sparse() ? "sparse_latent_attention" : "latent_attention", core});
        parts_.add({"absorbed_value_product", Gemm{tokens_, kind_.value_head_dim, kind_.kv_rank,
                                                   heads_, format, format, stream_format}});
    }

    // The latents of the whole context are expanded, those of a cached prefix read back first.
    void attend_expanded() {
        const long visible = shape_.sequences * shape_.context;
        const long cached = visible - tokens_;
        const double entries =
            static_cast<double>(cached) * static_cast<double>(latent_entry(kind_));
        if (cached > 0) {
            parts_.add({"cache_gather", VectorWork{"cache_gather", entries, 0,
                                                   entries * bytes_of(precision_.kv_cache),
                                                   entries * bytes_of(stream_format)}});
        }
        parts_.quantise("kv_quantise", visible, kind_.kv_rank);
        parts_.linear("kv_up_projection", visible,
                      heads_ * (kind_.nope_head_dim + kind_.value_head_dim), kind_.kv_rank);
        assemble_keys(visible);
        parts_.narrow_query(heads_ * query_head_dim(kind_));
        parts_.add({"prefill_attention",
                    Attention{AttentionForm::gqa, Phase::prefill, seen_.sequences, seen_.query,
                              seen_.context, heads_, heads_, query_head_dim(kind_),
                              kind_.value_head_dim, precision_.attention, precision_.attention}});
    }

    // Flash attention wants whole keys: each head's part and a copy of the rotary one, written
    // side by side.
    void assemble_keys(long visible) {
        const auto tokens = static_cast<double>(visible), heads = static_cast<double>(heads_);
        const auto nope = static_cast<double>(kind_.nope_head_dim);
        const auto rope = static_cast<double>(kind_.rope_head_dim);
        const double elements = tokens * heads * (nope + rope);
        parts_.add(
            {"key_assembly", VectorWork{"key_assembly", elements, 0,
                                        tokens * (heads * nope + rope) * bytes_of(stream_format),
                                        elements * bytes_of(precision_.attention)}});
    }

    const LatentAttention& kind_;
    const ModelSpec& model_;
    const Precision& precision_;
    const StepShape& shape_;
    const StepShape seen_;
    const long heads_;
    AttentionParts parts_;
    const long tokens_;
};

}  // namespace

// The cache is whole on every rank.
CacheElements cache_elements(const LatentAttention& kind, long context, int tensor_parallel) {
    require_at_least_one("tensor parallel", tensor_parallel);
    const auto tokens = static_cast<double>(context);
    const long key = kind.indexer.heads > 0 ? kind.indexer.head_dim : 0;
    return {tokens * static_cast<double>(latent_entry(kind)), tokens * static_cast<double>(key), 0};
}

AttentionWeights attention_weights(const LatentAttention& kind, const ModelSpec& model,
                                   const Precision& precision, int tensor_parallel) {
    const long heads = local_heads(kind.heads, tensor_parallel);
    const long queries = heads * query_head_dim(kind);
    const DType linear = precision.weights;
    AttentionWeights weights;
    if (kind.query_rank > 0) {
        weights.matrices.push_back({"query_down", kind.query_rank, model.hidden, 1, linear});
        weights.matrices.push_back({"query_up", queries, kind.query_rank, 1, linear});
    } else {
        weights.matrices.push_back({"query", queries, model.hidden, 1, linear});
    }
    weights.matrices.push_back({"kv_down", latent_entry(kind), model.hidden, 1, linear});
    // The two halves of the kv up-projection, held a head at a time for the absorbed products.
    weights.matrices.push_back(
        {"key_up", kind.nope_head_dim, kind.kv_rank, heads, precision.attention});
    weights.matrices.push_back(
        {"value_up", kind.value_head_dim, kind.kv_rank, heads, precision.attention});
    weights.matrices.push_back({"output", model.hidden, heads * kind.value_head_dim, 1, linear});
    weights.norm_elements = kind.query_rank + kind.kv_rank;
    const Indexer& indexer = kind.indexer;
    if (indexer.heads > 0) {
        weights.matrices.push_back(
            {"index_query", indexer.heads * indexer.head_dim, kind.query_rank, 1, linear});
        weights.matrices.push_back(
            {"index_key", indexer.head_dim + indexer.heads, model.hidden, 1, DType::bf16});
        weights.norm_elements += 2 * indexer.head_dim;  // with a bias
    }
    return weights;
}

AttentionBlock attention_of(const LatentAttention& kind, const ModelSpec& model,
                            const Precision& precision, const StepShape& shape) {
    return MlaBlock(kind, model, precision, shape).build();
}

// Decode multiplies queries into the latent space, prefill expands keys and values of the pass.
double widest_activation(const LatentAttention& kind, bool is_decode, int tensor_parallel) {
    const long head = is_decode || kind.indexer.heads > 0
                          ? latent_entry(kind)
                          : 2 * query_head_dim(kind) + kind.value_head_dim;
    return static_cast<double>(kind.heads * head) / tensor_parallel;
}

SplitExchange split_exchange(const LatentAttention& kind) {
    const double element = bytes_of(stream_format);
    return {Bytes(static_cast<double>(kind.query_rank + latent_entry(kind)) * element),
            Bytes(static_cast<double>(kind.heads * kind.value_head_dim) * element),
            Bytes(static_cast<double>(latent_entry(kind)) * element)};
}

}  // namespace podsim
