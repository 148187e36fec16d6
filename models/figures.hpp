// What a model costs to hold and to run, before any hardware: parameters, cache, work and bytes of
// one token, training work, and the operators of each kind of layer.
#pragma once

#include <string>
#include <vector>

#include "base/units.hpp"
#include "models/model.hpp"
#include "models/sizes.hpp"

namespace podsim {

// Of one sequence with `context` tokens. All in BF16 but for cache_fp8.
//
// Work is that of the matrix units, 2 m n k a product, and the delta rule's in both phases; norms
// and other vector work are apart. Bytes are what the same operators have to read and write:
// weights, cache, and activations of one token, which are nothing beside them. Routed experts:
// those of one token. MTP modules apart.
struct ContextFigures {
    long context = 0;
    bool beyond = false;  // longer than the model was made for
    Bytes cache_bf16{0.0}, cache_fp8{0.0};
    Flops decode_work{0.0};   // of one token, the last of the context
    Bytes decode_bytes{0.0};  // likewise, alone in its batch
    Flops prefill_work{0.0};  // of a token of a prompt, the mean over it; the head runs once
    double intensity() const { return decode_work.value() / decode_bytes.value(); }  // FLOP/B
};

struct OperatorFigures {
    std::string name, kind, shape;
    Flops work{0.0};  // vector operators' arithmetic too
    Bytes bytes{0.0};
};

// Layers that are alike, in decode: one token that sees `ModelFigures::layer_context`.
struct LayerFigures {
    long count = 0;
    std::string attention, feed_forward;  // "CSA 4:1 top 1024", "experts"
    std::vector<OperatorFigures> operators;
};

// Work of a trained token in a sequence of `sequence`: forward, gradients of the inputs and of the
// weights, so three times the forward products (Megatron-LM, arXiv 2104.04473, appendix). Causal
// attention counts the pairs that are seen, every token goes through the head, the input embedding
// is a look-up, routers are left out (as DeepSeek-V3's 249.7 GFLOP are counted).
struct TrainingFigures {
    long sequence = 0;
    Flops work{0.0}, work_with_drafts{0.0};  // a draft module runs its layer and the head again
};

struct ModelFigures {
    ParameterCount parameters;
    Bytes cache_per_token_bf16{0.0}, cache_per_token_fp8{0.0};  // that a further token adds
    std::vector<ContextFigures> contexts;
    long layer_context = 0;
    std::vector<LayerFigures> layers;
    TrainingFigures training;
};

// 4K, 32K, 128K and 1M tokens.
std::vector<long> usual_contexts();

ModelFigures figures_of(const ModelSpec& model, const std::vector<long>& contexts);

// "64 heads, 8 kv x 128", "window 128, 64 heads, 8 kv x 64", "latent attention", "sparse latent,
// top 2048", "CSA 4:1, top 1024", "HCA 128:1", "gated delta net".
std::string attention_name(const AttentionSpec& attention);
// "dense FFN", "experts", "experts, hash-routed".
std::string feed_forward_name(const LayerKind& kind);

}  // namespace podsim
