// Which tensors each part of a layer keeps between forward and backward pass.
#include <algorithm>
#include <initializer_list>

#include "base/at.hpp"
#include "models/attention.hpp"
#include "models/training_memory.hpp"
#include "models/vector_operators.hpp"

namespace podsim {

namespace {

constexpr DType statistics_format = DType::fp32;
constexpr long index_elements = 1;  // int32, as large as FP32

// Tensors in the order of the forward pass. `again`: made again, and so not kept.
class KeptList {
  public:
    KeptList(const ModelSpec& model, const Precision& precision, const ActivationShape& shape,
             const Recompute& recompute)
        : model_(model),
          precision_(precision),
          shape_(shape),
          recompute_(recompute),
          ranks_(shape.tensor_parallel) {
        require_at_least_one("tokens", shape.tokens);
        require_at_least_one("sequence", shape.sequence);
        require_at_least_one("tensor parallel", shape.tensor_parallel);
        require_at_least_one("expert tensor parallel", shape.expert_tensor_parallel);
    }

    // Of every token of the group, or of the rank's own where sequence parallel divides them.
    void stream(const std::string& name, long elements, DType format, bool again = false) {
        const double divisor = shape_.sequence_parallel ? ranks_ : 1;
        add(name, tokens() / divisor, elements, format, again);
    }
    // `elements` of one rank, of every token of the group.
    void divided(const std::string& name, long elements, DType format, bool again = false) {
        add(name, tokens(), elements, format, again);
    }
    void rows(const std::string& name, long elements, DType format, bool again = false) {
        const double balanced = tokens() * static_cast<double>(model_.experts_per_token) *
                                shape_.expert_tensor_parallel / ranks_;
        add(name, shape_.routed_rows.value_or(balanced), elements, format, again);
    }
    void mask(const std::string& name) {
        if (shape_.dropout) {
            add(name, shape_.sequence_parallel ? tokens() / ranks_ : tokens(), model_.hidden,
                DType::int8, false, 0);
        }
    }

    // What a sub-layer begins with, up to the input of its first product.
    void enter(const std::string& name) {
        if (model_.streams == 1) {
            stream(name + "_residual", model_.hidden, stream_format);
        } else {
            stream(name + "_streams", model_.streams * model_.hidden, stream_format);
            stream(name + "_mixes", model_.streams * (model_.streams + 2), statistics_format,
                   norms_again());
            stream(name + "_mixed", model_.hidden, stream_format, norms_again());
        }
        stream(name + "_normed", model_.hidden, precision_.activations, norms_again());
    }
    // A product in BF16 reads the norm's output beside one in a narrower format.
    void also_wide(const std::string& name) {
        if (is_quantised(precision_.activations)) {
            stream(name + "_normed_wide", model_.hidden, stream_format, norms_again());
        }
    }
    void leave(const std::string& name) {
        if (model_.post_norms || model_.streams > 1) {
            stream(name + "_output", model_.hidden, stream_format);
        }
        mask(name + "_mask");
    }

    // Softmax of `heads` of this rank over `keys` entries a token.
    void scores(long heads, long keys) {
        if (shape_.flash_attention) {
            divided("attention_statistics", heads, statistics_format, recompute_.attention);
            return;
        }
        divided("attention_softmax", heads * keys, stream_format, recompute_.attention);
        if (!shape_.dropout) return;
        add("attention_softmax_mask", tokens(), heads * keys, DType::int8, recompute_.attention, 0);
        divided("attention_dropped", heads * keys, stream_format, recompute_.attention);
    }

    void indexer(const Indexer& one) {
        if (one.heads == 0) return;
        stream("index_queries", one.heads * one.head_dim, stream_format);
        stream("index_key_weights", one.head_dim + one.heads, stream_format);
        const long chosen = std::min(one.top_k, shape_.sequence);
        stream("index_choice", chosen * index_elements, statistics_format);
    }

    std::vector<KeptTensor> take() { return std::move(kept_); }

    const ModelSpec& model() const { return model_; }
    const Precision& precision() const { return precision_; }
    const ActivationShape& shape() const { return shape_; }
    const Recompute& recompute() const { return recompute_; }
    int ranks() const { return ranks_; }

  private:
    // In front of a layer's halves.
    bool norms_again() const { return recompute_.norms || recompute_.layer_norms; }
    double tokens() const { return static_cast<double>(shape_.tokens); }
    void add(const std::string& name, double rows, long elements, DType format, bool again) {
        const double scales = activation_bytes(model_, format, elements) -
                              static_cast<double>(elements) * bytes_of(format);
        add(name, rows, elements, format, again, scales);
    }
    void add(const std::string& name, double rows, long elements, DType format, bool again,
             double scales) {
        if (again || elements == 0 || rows <= 0) return;
        const double row = static_cast<double>(elements) * bytes_of(format) + scales;
        kept_.push_back({name, Bytes(rows * row)});
    }

    std::vector<KeptTensor> kept_;

    const ModelSpec& model_;
    const Precision& precision_;
    const ActivationShape& shape_;
    const Recompute& recompute_;
    const int ranks_;
};

void keep(KeptList& list, const GroupedQueryAttention& kind) {
    const long heads = local_heads(kind.heads, list.ranks());
    const long kv_heads = std::max(1L, kind.kv_heads / list.ranks());
    const long queries = heads * kind.head_dim, keys = kv_heads * kind.head_dim;
    if (kind.query_rank > 0) {
        list.stream("query_latents", kind.query_rank, stream_format);
        list.stream("query_latents_normed", kind.query_rank, list.precision().activations,
                    list.recompute().norms);
    }
    const bool up = list.recompute().up_projections && kind.query_rank > 0;
    const bool normed = kind.query_key_norm || kind.whole_query_key_norm;
    if (normed) {
        list.divided("queries_before_norm", queries, stream_format, up);
        list.divided("keys_before_norm", keys, stream_format);
    }
    list.divided("queries", queries, stream_format, up || (normed && list.recompute().norms));
    list.divided("keys", keys, stream_format, normed && list.recompute().norms);
    if (!kind.shared_key_value) list.divided("values", keys, stream_format);
    const long sequence = list.shape().sequence;
    list.scores(heads, kind.window > 0 ? std::min(kind.window, sequence) : sequence);
    list.divided("attention_outputs", queries, stream_format);
    if (kind.output_gate) {
        list.divided("attention_gate", queries, stream_format);
        list.divided("attention_gated", queries, list.precision().activations,
                     list.recompute().activations);
    }
}

void keep(KeptList& list, const LatentAttention& kind) {
    const long heads = local_heads(kind.heads, list.ranks());
    const long query = kind.nope_head_dim + kind.rope_head_dim;
    const long entry = kind.kv_rank + kind.rope_head_dim;
    const Recompute& again = list.recompute();
    const bool up = again.up_projections && kind.query_rank > 0;
    list.stream("latents", kind.query_rank + entry, stream_format);
    list.stream("query_latents_normed", kind.query_rank, list.precision().activations, again.norms);
    if (kind.indexer.heads > 0) {
        // Attention over the latents themselves (models/latent.cpp).
        list.also_wide("attention");
        list.indexer(kind.indexer);
        list.stream("entries", entry, stream_format, again.norms);
        list.divided("queries", heads * query, stream_format, up);
        list.divided("absorbed_queries", heads * entry, stream_format, again.up_projections);
        list.scores(heads, std::min(kind.indexer.top_k, list.shape().sequence));
        list.divided("latent_outputs", heads * kind.kv_rank, stream_format);
    } else {
        list.stream("kv_latents_normed", kind.kv_rank, list.precision().activations, again.norms);
        list.divided("queries", heads * query, stream_format, up);
        list.divided("keys", heads * query, stream_format, again.up_projections);
        list.divided("values", heads * kind.value_head_dim, stream_format, again.up_projections);
        list.scores(heads, list.shape().sequence);
    }
    list.divided("attention_outputs", heads * kind.value_head_dim, stream_format);
}

void keep(KeptList& list, const CompressedAttention& kind) {
    const long heads = local_heads(kind.heads, list.ranks());
    const long groups = local_heads(kind.output_groups, list.ranks());
    const long queries = heads * kind.head_dim, sequence = list.shape().sequence;
    const Recompute& again = list.recompute();
    list.stream("latents", kind.query_rank + kind.head_dim, stream_format);
    list.stream("query_latents_normed", kind.query_rank, list.precision().activations, again.norms);
    list.stream("entries", kind.head_dim, stream_format, again.norms);
    list.divided("queries_before_norm", queries, stream_format, again.up_projections);
    list.divided("queries", queries, stream_format, again.norms);
    long keys = std::min(kind.window, sequence);
    if (kind.compression > 0) {
        // Values and their weights of each pool, twice as many where pools overlap.
        list.also_wide("attention");
        const long each = 2 * (kind.overlaps() ? 2 : 1);
        list.stream("pool_inputs", each * kind.head_dim, stream_format);
        if (kind.overlaps()) {
            list.stream("index_pool_inputs", each * kind.indexer.head_dim, stream_format);
        }
        list.indexer(kind.indexer);
        const long entries = sequence / kind.compression;
        keys += kind.overlaps() ? std::min(kind.indexer.top_k, entries) : entries;
    }
    list.scores(heads, keys);
    list.divided("attention_outputs", queries, stream_format);
    list.divided("group_outputs", groups * kind.output_rank, list.precision().activations);
}

void keep(KeptList& list, const DeltaNetAttention& kind) {
    const long values = local_heads(kind.value_heads, list.ranks()) * kind.value_dim;
    const long channels = 2 * local_heads(kind.key_heads, list.ranks()) * kind.key_dim + values;
    const long gates = 2 * local_heads(kind.value_heads, list.ranks());
    list.divided("delta_inputs", channels + values + gates, stream_format);
    list.divided("convolved", channels, stream_format);
    list.divided("delta_outputs", values, stream_format, list.recompute().attention);
    list.divided("delta_normed", values, list.precision().activations, list.recompute().norms);
}

// Rows looked up, value, a key, a gated value and its convolution a stream.
void keep_engram(KeptList& list) {
    const ModelSpec& model = list.model();
    const long streams = model.streams * model.hidden;
    list.stream("engram_rows", model.engram.memory_width(), stream_format);
    list.stream("engram_value", model.hidden, stream_format);
    list.stream("engram_keys", streams, stream_format);
    list.stream("engram_streams", streams, stream_format);
    list.stream("engram_gated", streams, stream_format);
}

// `width` of one rank.
long inputs_of(const ModelSpec& model, long width) {
    return model.gated ? 2 * width : width;
}

void keep_dense_ffn(KeptList& list) {
    const long width = ceil_divide(list.model().dense_intermediate, list.ranks());
    list.enter("dense_ffn");
    const Recompute& again = list.recompute();
    list.divided("dense_ffn_gate_up", inputs_of(list.model(), width), list.shape().gate_up,
                 again.dense_ffn);
    list.divided("dense_ffn_activated", width, list.precision().activations,
                 again.activations || again.dense_ffn);
    list.leave("dense_ffn");
}

// Rows that are dispatched are kept where they arrive; the norm's output feeds router and shared
// experts.
void keep_experts(KeptList& list) {
    const ModelSpec& model = list.model();
    const Precision& precision = list.precision();
    list.enter("experts");
    list.also_wide("experts");
    const Recompute& again = list.recompute();
    const bool shared_again = again.experts || again.shared_experts;
    list.stream("router_scores", model.routed_experts, statistics_format, again.experts);
    const long width = ceil_divide(model.expert_intermediate, list.shape().expert_tensor_parallel);
    list.rows("expert_inputs", model.hidden, precision.activations, again.experts);
    list.rows("expert_gate_up", inputs_of(model, width), list.shape().gate_up, again.experts);
    list.rows("expert_activated", width, precision.activations,
              again.activations || again.expert_activations || again.experts);
    const long shared = ceil_divide(model.shared_intermediate, list.ranks());
    list.divided("shared_expert_gate_up", inputs_of(model, shared), list.shape().gate_up,
                 shared_again);
    list.divided("shared_expert_activated", shared, precision.activations,
                 again.activations || shared_again);
    if (model.shared_gate)
        list.stream("shared_expert_output", model.hidden, stream_format, shared_again);
    list.leave("experts");
}

}  // namespace

Bytes total_of(const std::vector<KeptTensor>& tensors) {
    Bytes sum{0.0};
    for (const KeptTensor& tensor : tensors) sum += tensor.bytes;
    return sum;
}

std::vector<KeptTensor> kept_activations(const ModelSpec& model, const Precision& precision,
                                         const LayerKind& kind, const ActivationShape& shape,
                                         const Recompute& recompute) {
    KeptList list(model, precision, shape, recompute);
    if (recompute.layer) {
        list.stream("layer_input", model.streams * model.hidden, stream_format);
        return list.take();
    }
    if (kind.engram) keep_engram(list);
    list.enter("attention");
    std::visit([&list](const auto& attention) { keep(list, attention); },
               at(model.attentions, kind.attention));
    list.leave("attention");
    if (kind.experts) {
        keep_experts(list);
    } else {
        keep_dense_ffn(list);
    }
    return list.take();
}

std::vector<KeptTensor> kept_by_head(const ModelSpec& model, const ActivationShape& shape) {
    const Precision bf16;
    const Recompute none;
    KeptList list(model, bf16, shape, none);
    list.stream("final_residual", model.streams * model.hidden, stream_format);
    if (model.streams > 1) list.stream("final_joined", model.hidden, stream_format);
    list.stream("final_normed", model.hidden, stream_format);
    list.divided("logits", ceil_divide(model.vocabulary, shape.tensor_parallel), statistics_format);
    return list.take();
}

std::vector<KeptTensor> kept_by_draft(const ModelSpec& model, const ActivationShape& shape) {
    const Precision bf16;
    const Recompute none;
    KeptList list(model, bf16, shape, none);
    if (model.draft_layers == 0) return {};
    list.stream("draft_inputs", 2 * model.hidden, stream_format);
    list.stream("draft_normed", 2 * model.hidden, stream_format);
    return list.take();
}

}  // namespace podsim
