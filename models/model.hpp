// AI models as data: the numbers of a Hugging Face config.json, what they amount to
// (parameters, cache, work), and the operators of each block for one rank's share of a step.
// Knows no hardware and no engine.
#pragma once

#include <string>
#include <vector>

#include "base/document.hpp"
#include "base/units.hpp"
#include "program/dtype.hpp"
#include "program/operator.hpp"

namespace podsim {

// How a router makes weights of its scores. sigmoid: each expert by itself, with a bias an expert
// that enters the choice alone (DeepSeek-V3); softmax: over all experts, no bias.
enum class RouterScoring { sigmoid, softmax };

// One architecture, families told apart by `family`. Sizes in elements.
struct ModelSpec {
    std::string name;                   // "deepseek-r1"
    std::string family;                 // model_type of the config: "deepseek_v3"
    long layers = 0, dense_layers = 0;  // dense_layers of them, the first ones, have a plain FFN
    long hidden = 0, vocabulary = 0;
    long heads = 0;
    // Grouped-query attention; query_key_norm: queries and keys are normed a head at a time
    long kv_heads = 0, head_dim = 0;
    bool query_key_norm = false;
    // Multi-head latent attention; query_rank 0: queries are not compressed
    long query_rank = 0, kv_rank = 0, nope_head_dim = 0, rope_head_dim = 0, value_head_dim = 0;
    // Feed-forward; routed_experts 0: every layer is dense
    long dense_intermediate = 0, expert_intermediate = 0;
    long routed_experts = 0, shared_experts = 0, experts_per_token = 0;
    long expert_groups = 1, groups_per_token = 1;
    RouterScoring router_scoring = RouterScoring::sigmoid;
    long draft_layers = 0;  // multi-token-prediction modules
    bool tied_embedding = false;
    long scale_block = 0;  // elements that share a scale in FP8, 0: those of a row
    long max_context = 0;
};

// Formats of one alternative. `weights` are those of attention, dense and shared layers.
struct Precision {
    DType weights = DType::bf16, experts = DType::bf16, activations = DType::bf16;
    DType attention = DType::bf16, kv_cache = DType::bf16;
    DType dispatch = DType::bf16, combine = DType::bf16;
};

// Reads a Hugging Face config.json (or YAML with the same keys). Keys that say nothing about
// size are accepted and ignored; a missing size, an unknown model_type, heads or expert groups that
// do not divide, an architecture that is not modelled, zero, negative or absurd sizes are
// InputErrors with place and hint, all at once.
ModelSpec read_model(const Node& config, const std::string& name);
std::vector<std::string> known_families();

// Parameters by part, each counted once; MTP modules apart.
struct ParameterCount {
    double embedding = 0, head = 0, attention = 0, dense_ffn = 0, routed_experts = 0,
           shared_experts = 0, router = 0, norms = 0;
    double draft = 0;       // MTP modules; embedding and head are the main model's
    double total() const;   // without draft
    double active() const;  // top-k and shared experts, head, input embedding
    double active_without_embedding() const;
    double active_routed = 0;  // the top-k experts of all MoE layers
};
ParameterCount count_parameters(const ModelSpec& model);

// Cached elements a token adds in one layer (576 for V3: latent and rotary key), and the bytes a
// token adds over all layers: 576 x 2 B x 61 = 70,272 B for V3 in BF16. Of the whole model, each
// entry once.
double kv_elements_per_token_per_layer(const ModelSpec& model);
Bytes kv_bytes_per_token(const ModelSpec& model, DType kv_cache);

// The same as one rank of a tensor-parallel group holds it: kv heads are divided, at least one a
// rank; a latent entry is whole on every rank.
Bytes kv_bytes_per_token_of_rank(const ModelSpec& model, DType kv_cache, int tensor_parallel);

// How a tensor-parallel group shares attention. heads: all tokens on every rank, heads divided.
// sp_tp_sp: tokens divided for the projections down and the output projection, heads divided in
// between, with an exchange on either side (CloudMatrix-Infer's prefill, arXiv 2506.12708, section
// 4.3.1); for latent attention.
enum class AttentionSplit { heads, sp_tp_sp };

// Bytes of the weights one rank holds of one layer or table, scales included. A part whose
// size is 0 (no dense FFN, no experts, no draft module) takes no bytes.
struct WeightBytes {
    Bytes attention{0.0};      // of one layer, divided by tensor parallel
    Bytes dense_ffn{0.0};      // of one dense layer, divided by tensor parallel
    Bytes router{0.0};         // of one MoE layer
    Bytes routed_expert{0.0};  // of one expert of one layer
    Bytes shared_expert{0.0};  // all shared experts of one layer
    Bytes norms{0.0};          // of one layer
    Bytes embedding{0.0};      // vocabulary divided by tensor parallel
    Bytes head{0.0};           // likewise, with the final norm; of a tied one the norm alone
    Bytes draft_extra{0.0};    // of one MTP module beside its layer: its projection and norms
};
WeightBytes weight_bytes(const ModelSpec& model, const Precision& precision, int tensor_parallel,
                         AttentionSplit split = AttentionSplit::heads);

// What one tensor-parallel group works on in a step: `sequences` with `query` new tokens each and
// `context` tokens of cache (the new ones included).
struct StepShape {
    Phase phase = Phase::decode;
    long sequences = 0, query = 1, context = 0;
    int tensor_parallel = 1;
    AttentionSplit split = AttentionSplit::heads;
    long tokens() const { return sequences * query; }
    // Tokens of one rank where they are divided, rounded up.
    long own_tokens() const { return (tokens() + tensor_parallel - 1) / tensor_parallel; }
};

// An attention block of one rank: up to the heads' work, that work, and what follows it. Split
// sp_tp_sp exchanges between the parts.
struct AttentionBlock {
    std::vector<Operator> project, attend, output;
    std::vector<Operator> all() const;
};

// The operators of each block, in order, for one rank. Names are stable, they are the row names
// of every breakdown. Operators named "quantise" are there only for activations (or a dispatch or
// combine) of 8 bits or fewer. The output of a block is added to the residual by the norm that
// begins the next one. A part whose size is 0 (no dense FFN, no experts and so no router, no draft
// module) has no operators. A count below 1, or heads that do not divide, is a
// std::invalid_argument.
//
// Attention block with grouped queries: residual add and norm, quantise, query/key/value
// projection, norm of queries and keys where the model has one, rotary, cache append, attention
// over the cache, quantise, output projection. With latents: residual add and norm, quantise,
// query/kv down-projection, their norms, quantise, query up-projection, rotary, cache append; in
// decode the absorbed query product, latent attention and the absorbed value product, in prefill
// the kv up-projection and expanded attention; quantise, output projection. (Its all-reduce under
// tensor parallelism is the workload's.) Split sp_tp_sp is a std::invalid_argument without latents.
AttentionBlock attention_parts(const ModelSpec& model, const Precision& precision,
                               const StepShape& shape);
std::vector<Operator> attention_block(const ModelSpec& model, const Precision& precision,
                                      const StepShape& shape);

// What split sp_tp_sp exchanges for each token, in bytes: the latents of queries and keys, which
// every rank of the group gathers; the heads' outputs, which go back to the rank of the token.
struct SplitExchange {
    Bytes latents{0.0}, outputs{0.0};
};
SplitExchange split_exchange(const ModelSpec& model);

// Dense FFN block: residual add and norm, quantise, gate-and-up, SwiGLU with quantise, down.
std::vector<Operator> dense_ffn_block(const ModelSpec& model, const Precision& precision,
                                      long tokens, int tensor_parallel);

// Before the experts: residual add and norm, gate product, top-k choice, quantise for dispatch.
std::vector<Operator> router_block(const ModelSpec& model, const Precision& precision, long tokens);

// What experts of a rank are asked as whole numbers, which products are made of: so many with so
// many tokens each, `longer_experts` of them with one token more.
struct ExpertRows {
    long active_experts = 0, tokens_per_expert = 1, longer_experts = 0;
    long rows() const { return active_experts * tokens_per_expert + longer_experts; }
    bool operator==(const ExpertRows&) const = default;
};

// The rows of the rank's local experts: conversion of the input where dispatch and activations
// differ in format, grouped gate-and-up, SwiGLU with quantise, grouped down, quantise for combine.
// `prefix` begins the names and says which experts: "expert" for routed ones in precision.experts,
// "shared_expert" for all shared ones of a layer, one wide FFN in precision.weights that counts
// as 1. `tensor_parallel` ranks share each expert's width. No active experts, no operators.
std::vector<Operator> expert_block(const ModelSpec& model, const Precision& precision,
                                   const ExpertRows& rows, const std::string& prefix,
                                   int tensor_parallel = 1);

// Around the routed experts where tokens arrive rank by rank: `rows` of them, in the format of
// dispatch, are copied to the place of their expert, and the results back in that of combine.
std::vector<Operator> expert_permute_block(const ModelSpec& model, const Precision& precision,
                                           long rows);
std::vector<Operator> expert_unpermute_block(const ModelSpec& model, const Precision& precision,
                                             long rows);

// After combine: weighted sum of `copies` rows a token, which came in precision.combine: the k
// routed ones and, where it is summed here, the shared expert's.
std::vector<Operator> combine_block(const ModelSpec& model, const Precision& precision, long tokens,
                                    long copies);

// Embedding gather of the step's tokens; final norm, head, and sampling (softmax/arg-max) for
// `outputs` positions (none for a chunk of prompt that is not the last: no operators).
std::vector<Operator> embedding_block(const ModelSpec& model, const Precision& precision,
                                      long tokens);
std::vector<Operator> head_block(const ModelSpec& model, const Precision& precision, long outputs,
                                 int tensor_parallel);

// An MTP module's own part before its one layer: two norms, concatenation, projection 2 hidden ->
// hidden.
std::vector<Operator> draft_block(const ModelSpec& model, const Precision& precision, long tokens);

}  // namespace podsim
