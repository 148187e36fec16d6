// What training asks for beside the forward pass: operators of the backward pass, those that are
// run again instead of keeping what they made, the work of a trained token. Memory is in
// models/training_memory.hpp.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/units.hpp"
#include "models/blocks.hpp"
#include "models/model.hpp"
#include "program/operator.hpp"

namespace podsim {

// What is computed again in the backward pass.
struct Recompute {
    bool layer = false;               // everything, from the layer's input
    bool attention = false;           // scores and softmax, or the delta rule
    bool norms = false;               // and what a sub-layer reads of several residual streams
    bool activations = false;         // SwiGLU or GeLU
    bool up_projections = false;      // from the latents of queries, keys and values
    bool layer_norms = false;         // of `norms`, those in front of the two halves of a layer
    bool expert_activations = false;  // of `activations`, the routed experts'
    // A feed-forward half behind its norm, with its collectives: of a dense layer, of one with
    // experts (router, exchange, routed and shared experts), the shared experts alone.
    bool dense_ffn = false, experts = false, shared_experts = false;
    bool operator==(const Recompute&) const = default;
};

// selective: Korthikanti et al. (arXiv 2205.05198, section 5). deepseek_v3: RMSNorm, the
// up-projections of latent attention and SwiGLU (arXiv 2412.19437, section 3.2.3).
enum class RecomputePolicy {
    none,
    selective,
    norms_and_activations,
    up_projections,
    deepseek_v3,
    full
};
const std::vector<std::pair<const char*, RecomputePolicy>>& names_of(const RecomputePolicy*);
Recompute parts_of(RecomputePolicy policy);

// Modules of a layer by the names that Megatron-Core has for them (recompute_modules of its
// TransformerConfig; layernorm leaves out the norms of latents, queries and keys, moe_act the
// shared experts).
enum class RecomputeModule { core_attn, layernorm, mla_up_proj, moe_act, mlp, moe, shared_experts };
const std::vector<std::pair<const char*, RecomputeModule>>& names_of(const RecomputeModule*);
using RecomputeModules = std::vector<RecomputeModule>;
Recompute parts_of(const RecomputeModules& modules);

// Those that a model has layers with.
RecomputeModules modules_of(const ModelSpec& model);

// Whether `more` computes anything again that `than` keeps.
bool makes_more_again(const Recompute& more, const Recompute& than);

// A policy, or modules in its place.
class RecomputeChoice {
  public:
    RecomputeChoice(RecomputePolicy policy = RecomputePolicy::none)  // NOLINT: stands for it
        : policy_(policy), parts_(parts_of(policy)) {}
    // Whole layers, and of each part of the model the first so many alone (Megatron-Core's
    // recompute_method block); the others keep all. 0: all layers.
    static RecomputeChoice of_layers(long layers);
    // No modules: none.
    explicit RecomputeChoice(const RecomputeModules& modules);

    const Recompute& parts() const { return parts_; }
    RecomputePolicy policy() const { return policy_; }            // none where there are modules
    const RecomputeModules& modules() const { return modules_; }  // each once, in their order
    long layers() const { return layers_; }                       // 0: of all
    std::string name() const;  // "full", "core_attn+mlp", "full of 5 layers"
    bool operator==(const RecomputeChoice& other) const {
        return parts_ == other.parts_ && layers_ == other.layers_;
    }

  private:
    RecomputePolicy policy_ = RecomputePolicy::none;
    RecomputeModules modules_;
    Recompute parts_;
    long layers_ = 0;
};

// Which elements of 8 bits and fewer share a scale, which decides what conversions read and write
// of an operand of n elements, and how often:
//
//   blocks         rows of 128: 2n -> n along rows; n -> n to turn it for the gradient of the
//                  weights; gradients 2n -> 2n, in both orders (DeepSeek-V3, arXiv 2412.19437,
//                  section 3.3)
//   tensor         all: 2n for the largest, then 2n -> 2n in both orders, as Hopper's products of 8
//                  bits sum along rows alone (Transformer Engine, Float8CurrentScaling)
//   tensor-as-is   the same on cores that take either order, as Blackwell's: 2n, then 2n -> n
//   micro          16 or 32 along rows and, apart, along columns: 2n -> 2n (MXFP8); of 4 bits the
//                  tensor has a scale too, 2n before that (NVFP4)
//
// What has a scale for its tensor, or in two orders, is converted by a kernel of its own, apart
// from the activation function in front of it.
enum class NarrowScaling { blocks, tensor, tensor_as_is, micro };
const std::vector<std::pair<const char*, NarrowScaling>>& names_of(const NarrowScaling*);

// A forward block (models/blocks.hpp) as training runs it: nothing is appended to a cache, and
// sampling is the cross-entropy of the logits. What follows takes blocks of this form.
std::vector<Operator> training_forward(const std::vector<Operator>& block,
                                       NarrowScaling scaling = NarrowScaling::blocks);

// Apart, as schedules with a split backward pass run them apart. The last operator comes first.
struct Backward {
    std::vector<Operator> input;   // gradients of what each operator read
    std::vector<Operator> weight;  // gradients of the weights, added to FP32 sums
};

// Of one forward block in prefill over its own tokens alone.
//
// Product [m, n, k]: dX = dY W is [m, k, n], dW = dY^T X is [n, k, m] in FP32, an operator of no
// written bytes beside it reads the sum that it is added to. Operands of 8 bits or fewer are
// converted as NarrowScaling says.
//
// Attention with head dimensions q and v: the scores again, then dV, dP, dQ, dK, 2 (3 q + 2 v) a
// head and pair, where the two forward products are 2 (q + v) (FlashAttention-2, arXiv 2307.08691,
// section 3.1.2). It is given as Attention with dimensions 3 q and 2 v, whose bytes are those of Q,
// dQ summed in FP32, O, dO; of K, V, dK, dV within a quarter (FP32 sums more, BF16 less).
//
// Delta rule: the states again, then twice the forward work, given as twice the heads. Stream
// mixes: twice the tokens. Index scores: gradients of queries and keys at the chosen entries alone,
// 2 (2 head_dim) a head and entry, as their loss compares only these with attention
// (DeepSeek-V3.2, arXiv 2512.02556, section 2.1, sparse training); nothing goes back from the
// indexer's projections into the model. The attention scores this loss compares with are not
// counted.
//
// Vector operators: linear ones as in the forward pass, the other way round; an embedding is a
// scatter-add in FP32; conversions between formats have none; all others read what forward read
// and the gradient of what it wrote, write the gradient of what it read, with twice the arithmetic.
// Gradients of norms' weights and of biases come with kernels that hold the rows anyway.
Backward backward_of(const ModelSpec& model, const std::vector<Operator>& forward,
                     NarrowScaling scaling = NarrowScaling::blocks);

// Those of a layer's forward operators that run again before its backward pass. A conversion, a
// rotary embedding or an assembly of keys runs again with the operator in front of it.
std::vector<Operator> recomputed(const std::vector<Operator>& forward, const Recompute& parts);

// Work of one trained token at this sequence length as papers count it: three times the forward
// pass of all products and of attention under an exact causal mask; the head for each token, again
// for each module of multi-token prediction where those take part; routers, vector operators and
// recomputing left out. DeepSeek-V3 at 4,096: 249.7 GFLOP (Insights into DeepSeek-V3, arXiv
// 2505.09343, table 2 has 250).
Flops training_flops_per_token(const ModelSpec& model, long sequence, bool with_drafts);
// The same less the share of the assignments to routed experts that was dropped: nobody works on
// those.
Flops training_flops_per_token(const ModelSpec& model, long sequence, bool with_drafts,
                               double dropped);

// What a causal mask takes from that, which papers count all the same that give attention its whole
// square (Chowdhery et al., PaLM, arXiv 2204.02311, appendix B): 3 x 2 (q + v) FLOP a head for each
// pair of a token and a later one. Attention over windows or chosen entries has no such square.
Flops masked_flops_per_token(const ModelSpec& model, long sequence, bool with_drafts);

}  // namespace podsim
