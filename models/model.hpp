// AI models as data: the numbers of a Hugging Face config.json, layer by layer. What they amount to
// is in models/sizes.hpp, what they ask of a rank in models/blocks.hpp. Knows no hardware and no
// engine.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/document.hpp"
#include "program/dtype.hpp"

namespace podsim {

// Grouped-query attention (arXiv 2305.13245), and what families add to it.
struct GroupedQueryAttention {
    long heads = 0, kv_heads = 0, head_dim = 0;
    long window = 0;                    // tokens a query sees, itself included; 0: all before it
    long query_rank = 0;                // queries through a low rank (MFA, Step-3); 0: straight
    bool query_key_norm = false;        // queries and keys are normed a head at a time
    bool whole_query_key_norm = false;  // over all heads at once (MiniMax-M2)
    bool output_gate = false;           // a sigmoid gate an output element (Qwen3.5)
    bool shared_key_value = false;      // values are the keys (Gemma 4), cached once
    bool biases = false;                // of all four projections
    bool sinks = false;                 // a learned score a head that takes part in the softmax
    bool operator==(const GroupedQueryAttention&) const = default;
};

// Chooses for each query the cached entries it attends to (DeepSeek-V3.2's lightning indexer):
// `heads` queries and one key of `head_dim`, the `top_k` entries of the best scores. heads 0: none.
struct Indexer {
    long heads = 0, head_dim = 0, top_k = 0;
    bool operator==(const Indexer&) const = default;
};

// Multi-head latent attention; query_rank 0: queries are not compressed.
struct LatentAttention {
    long heads = 0;
    long query_rank = 0, kv_rank = 0, nope_head_dim = 0, rope_head_dim = 0, value_head_dim = 0;
    Indexer indexer;
    bool operator==(const LatentAttention&) const = default;
};

// DeepSeek-V4's: one shared entry of head_dim is key and value of all heads. A query sees the last
// `window` tokens' entries, and of the tokens before, pooled `compression` to an entry, those the
// indexer chooses, or all without one. compression 0: the window alone.
struct CompressedAttention {
    long heads = 0, head_dim = 0, rope_head_dim = 0, query_rank = 0;
    long output_groups = 0, output_rank = 0;
    long window = 0, compression = 0;
    Indexer indexer;
    // Neighbouring pools share half their tokens, by projections twice as wide.
    bool overlaps() const { return indexer.heads > 0; }
    bool operator==(const CompressedAttention&) const = default;
};

// Gated delta net (arXiv 2412.06464): linear attention over a state of fixed size.
struct DeltaNetAttention {
    long key_heads = 0, value_heads = 0, key_dim = 0, value_dim = 0, convolution = 0;
    bool operator==(const DeltaNetAttention&) const = default;
};

using AttentionSpec =
    std::variant<GroupedQueryAttention, LatentAttention, CompressedAttention, DeltaNetAttention>;

// How a router makes weights of its scores. sigmoid: each expert by itself (DeepSeek-V3), softmax:
// over all experts, sqrt_softplus: each by itself (DeepSeek-V4).
enum class RouterScoring { sigmoid, softmax, sqrt_softplus };

// What one layer is made of.
struct LayerKind {
    int attention = 0;         // index into ModelSpec::attentions
    bool experts = false;      // else a dense FFN
    bool hash_routed = false;  // experts by a table of token ids; the gate yields weights alone
    bool engram = false;       // looks up conditional memory in front of its attention
    bool operator==(const LayerKind&) const = default;
};

// Conditional memory (Engram, arXiv 2601.07372): in front of some layers each token looks up rows
// of tables by hashes of the n-grams that end with it, n = 2 .. largest_ngram, `heads` tables each,
// a row of width / heads elements. What it reads depends on token ids alone.
struct Engram {
    std::vector<long> layers;  // from 0, ascending; empty: none
    long largest_ngram = 0, heads = 0, width = 0, convolution = 0;
    std::vector<long> table_rows;  // of a head's table, by n
    bool operator==(const Engram&) const = default;
    long ngrams() const { return largest_ngram - 1; }
    long memory_width() const { return ngrams() * width; }
};

// One architecture, families told apart by `family`. Sizes in elements.
struct ModelSpec {
    std::string name;    // "deepseek-r1"
    std::string family;  // model_type of the config: "deepseek_v3"
    long hidden = 0, vocabulary = 0;
    std::vector<AttentionSpec> attentions;  // its kinds
    std::vector<LayerKind> layers;          // from the first to the last
    // Feed-forward: widths of the dense FFN, of one routed expert, of all shared experts together.
    long dense_intermediate = 0, expert_intermediate = 0, shared_intermediate = 0;
    bool gated = true;         // gate and up side by side; else up alone (GPT)
    bool ffn_biases = false;   // of the FFN's or the experts' projections
    bool shared_gate = false;  // a sigmoid gate on the shared expert's output (Qwen3.5)
    long routed_experts = 0, experts_per_token = 0;
    long expert_groups = 1, groups_per_token = 1;
    RouterScoring router_scoring = RouterScoring::sigmoid;
    bool router_bias = false;  // an FP32 bias an expert
    long draft_layers = 0;     // multi-token-prediction modules, of one layer each
    LayerKind draft_layer;
    Engram engram;
    // Around the sub-layers. streams > 1: hyper-connections with so many residual streams.
    long streams = 1, stream_iterations = 0;
    bool layer_norm = false;  // norms with a bias beside the weight (GPT)
    bool post_norms = false;  // each sub-layer's output is normed too (Gemma)
    long positions = 0;       // rows of a learned position table, 0 with rotary embedding
    bool tied_embedding = false;
    long scale_block = 0;  // elements that share a scale in FP8, 0: those of a row
    long max_context = 0;
};

// Layers that are alike, in the order of their first one.
struct LayerCount {
    LayerKind kind;
    long count = 0;
};
// Of the layers from `begin` up to `end`.
std::vector<LayerCount> layer_kinds(const ModelSpec& model, long begin, long end);
std::vector<LayerCount> layer_kinds(const ModelSpec& model);
long layer_count(const ModelSpec& model);
// Layers with experts; the first of them, or the number of layers where there is none.
long expert_layers(const ModelSpec& model);
long first_expert_layer(const ModelSpec& model);

// `dense` layers and then others with experts, all of one attention.
std::vector<LayerKind> dense_then_experts(long layers, long dense);

// The only attention of a model whose layers share one, or nullptr.
template <class Kind>
const Kind* sole_attention(const ModelSpec& model) {
    return model.attentions.size() == 1 ? std::get_if<Kind>(&model.attentions.front()) : nullptr;
}

// Formats of one alternative. `weights` are those of attention, dense and shared layers; `indexer`
// that of the queries and the cached keys of an indexer.
struct Precision {
    DType weights = DType::bf16, experts = DType::bf16, activations = DType::bf16;
    DType attention = DType::bf16, kv_cache = DType::bf16, indexer = DType::bf16;
    DType dispatch = DType::bf16, combine = DType::bf16;
};

// Reads a Hugging Face config.json (or YAML with the same keys). Keys that say nothing about
// size are accepted and ignored; a missing size, an unknown model_type, heads or expert groups that
// do not divide, an architecture that is not modelled, zero, negative or absurd sizes are
// InputErrors with place and hint, all at once.
ModelSpec read_model(const Node& config, const std::string& name);
std::vector<std::string> known_families();

}  // namespace podsim
