// DeepSeek-V4's attention (technical report and released inference code, 2026; sizes in
// config.json). With H heads of dimension d, one shared entry of d a token, h = hidden state:
//
//   c_q = norm(W_dq h)          query latent; q = W_uq c_q, H x d, each head normed; rotary
//   c   = norm(W_kv h)          an entry, d: key and value of all heads; rotary on its last part
//   o   = softmax(q K^T, sink) K over the entries K of the last `window` tokens, and those before,
//         pooled: r tokens to an entry by weights softmax(W_g h + position), of c = W_c h
//   y   = W_ob [W_oa,g o_g]     the heads in groups, each to output_rank; then to hidden
//
// r = 128 (HCA): neighbouring pools apart; all entries are read. r = 4 (CSA): projections twice as
// wide, pools overlap; an indexer with pools of its own chooses top_k entries. r = 0: window alone.
//
// Tensor parallelism divides heads and output groups; the entries, pools and the indexer are whole
// on every rank.
#include <algorithm>

#include "models/attention.hpp"
#include "models/vector_operators.hpp"

namespace podsim {

namespace {

constexpr const char* output_groups = "groups of heads that share an output projection";

// Width of a pooling projection of entries of `dim`: values and their weights.
long pool_width(const CompressedAttention& kind, long dim) {
    return 2 * (kind.overlaps() ? 2 : 1) * dim;
}

class CompressedBlock {
  public:
    CompressedBlock(const CompressedAttention& kind, const ModelSpec& model,
                    const Precision& precision, const StepShape& shape)
        : kind_(kind),
          model_(model),
          precision_(precision),
          shape_(shape),
          heads_(local_heads(kind.heads, shape.tensor_parallel)),
          groups_(local_heads(kind.output_groups, shape.tensor_parallel, output_groups)),
          parts_(model, precision, shape) {}

    // Where the cache is cut a rank takes its own tokens to latents, and all tokens' from there on.
    AttentionBlock build() {
        const bool gathers = shape_.cuts_cache();
        parts_.begin();
        project_down();
        if (!gathers) project_query_up();
        parts_.append_to_cache(static_cast<double>(kind_.head_dim));
        if (kind_.compression > 0) pool();
        parts_.attend();
        if (gathers) {
            parts_.work_on(shape_.tokens());
            project_query_up();
        }
        if (kind_.indexer.heads > 0)
            parts_.index(kind_.indexer, kind_.query_rank, kind_.compression);
        parts_.narrow_query(heads_ * kind_.head_dim);
        parts_.add({name(), core()});
        parts_.work_on(shape_.own_tokens_of_context());
        parts_.leave(heads_, kind_.head_dim);
        parts_.rotary(heads_ * kind_.rope_head_dim, "output_rotary");
        const DType act = precision_.activations;
        const long each = heads_ * kind_.head_dim / groups_;
        parts_.quantise("group_quantise", parts_.tokens(), heads_ * kind_.head_dim);
        parts_.add({"group_projection", Gemm{parts_.tokens(), kind_.output_rank, each, groups_, act,
                                             precision_.weights, stream_format}});
        return parts_.end(groups_ * kind_.output_rank);
    }

  private:
    // Latents of queries and the entry are one product.
    void project_down() {
        const long tokens = parts_.tokens();
        parts_.linear("query_kv_down_projection", tokens, kind_.query_rank + kind_.head_dim,
                      model_.hidden);
        parts_.add(norm("query_kv_norm", tokens, kind_.query_rank + kind_.head_dim));
    }

    void project_query_up() {
        const long tokens = parts_.tokens();
        parts_.quantise("query_quantise", tokens, kind_.query_rank);
        parts_.linear("query_up_projection", tokens, heads_ * kind_.head_dim, kind_.query_rank);
        parts_.add(head_norm("query_norm", tokens, heads_, kind_.head_dim, 0));
        parts_.rotary((heads_ + 1) * kind_.rope_head_dim);
    }

    // A token's values and weights are kept until its pool is full, then become an entry: an
    // exponential, a sum, two products an element.
    void pool() {
        const long width = pool_outputs(kind_);
        const bool indexed = kind_.indexer.heads > 0;
        parts_.wide_linear("pool_projection", parts_.tokens(),
                           width + (indexed ? kind_.indexer.heads : 0), model_.hidden);
        const auto rows = static_cast<double>(parts_.tokens());
        const double pooled = rows * static_cast<double>(width);
        const double entries = rows / static_cast<double>(kind_.compression);
        const double written =
            entries *
            (static_cast<double>(kind_.head_dim) * bytes_of(precision_.kv_cache) +
             (indexed ? static_cast<double>(kind_.indexer.head_dim) * bytes_of(precision_.indexer)
                      : 0));
        parts_.add(
            {"pool", VectorWork{"pool", pooled, 4, pooled * bytes_of(stream_format), written}});
    }

    const char* name() const {
        if (kind_.compression == 0) return "window_attention";
        return kind_.indexer.heads > 0 ? "compressed_sparse_attention"
                                       : "heavily_compressed_attention";
    }

    Attention core() const {
        const StepShape seen = shape_.attended();
        Attention core{AttentionForm::mla_absorbed,
                       seen.phase,
                       seen.sequences,
                       seen.query,
                       seen.context,
                       heads_,
                       1,
                       kind_.head_dim,
                       kind_.head_dim,
                       precision_.attention,
                       precision_.kv_cache};
        core.compression = kind_.compression;
        // Of what is chosen and of the window each part has its share.
        core.selected = shape_.part_of_cache(kind_.indexer.top_k);
        core.window = shape_.part_of_cache(kind_.window);
        return core;
    }

    const CompressedAttention& kind_;
    const ModelSpec& model_;
    const Precision& precision_;
    const StepShape& shape_;
    const long heads_, groups_;
    AttentionParts parts_;
};

}  // namespace

long pool_outputs(const CompressedAttention& kind) {
    if (kind.compression == 0) return 0;
    return pool_width(kind, kind.head_dim) +
           (kind.indexer.heads > 0 ? pool_width(kind, kind.indexer.head_dim) : 0);
}

AttentionWeights attention_weights(const CompressedAttention& kind, const ModelSpec& model,
                                   const Precision& precision, int tensor_parallel) {
    const long heads = local_heads(kind.heads, tensor_parallel);
    const long groups = local_heads(kind.output_groups, tensor_parallel, output_groups);
    const DType linear = precision.weights;
    AttentionWeights weights;
    weights.matrices = {
        {"query_kv_down", kind.query_rank + kind.head_dim, model.hidden, 1, linear},
        {"query_up", heads * kind.head_dim, kind.query_rank, 1, linear},
        {"group_output", kind.output_rank, heads * kind.head_dim / groups, groups, linear},
        {"output", model.hidden, groups * kind.output_rank, 1, linear}};
    weights.norm_elements = kind.query_rank + kind.head_dim;
    weights.bias_elements = heads;  // the sinks
    if (kind.compression > 0) {
        const Indexer& indexer = kind.indexer;
        weights.matrices.push_back(
            {"pool", pool_outputs(kind) + indexer.heads, model.hidden, 1, DType::bf16});
        // The positions in a pool, and a norm of the entry.
        weights.bias_elements += kind.compression * pool_outputs(kind) / 2;
        weights.norm_elements += kind.head_dim;
        if (indexer.heads > 0) {
            weights.matrices.push_back(
                {"index_query", indexer.heads * indexer.head_dim, kind.query_rank, 1, linear});
            weights.norm_elements += indexer.head_dim;
        }
    }
    return weights;
}

CacheElements cache_elements(const CompressedAttention& kind, long context, int tensor_parallel) {
    require_at_least_one("tensor parallel", tensor_parallel);
    const long entries = kind.compression > 0 ? context / kind.compression : 0;
    const long key = kind.indexer.heads > 0 ? kind.indexer.head_dim : 0;
    return {static_cast<double>((entries + std::min(context, kind.window)) * kind.head_dim),
            static_cast<double>(entries * key), 0};
}

AttentionBlock attention_of(const CompressedAttention& kind, const ModelSpec& model,
                            const Precision& precision, const StepShape& shape) {
    return CompressedBlock(kind, model, precision, shape).build();
}

double widest_activation(const CompressedAttention& kind, bool, int tensor_parallel) {
    return static_cast<double>(kind.heads * kind.head_dim) / tensor_parallel;
}

}  // namespace podsim
