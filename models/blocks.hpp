// The operators of each block of a model, for one rank's share of a step.
#pragma once

#include <string>
#include <vector>

#include "base/units.hpp"
#include "models/model.hpp"
#include "models/sizes.hpp"
#include "program/operator.hpp"

namespace podsim {

// What one tensor-parallel group works on in a step: `sequences` with `query` new tokens each and
// `context` tokens of cache (the new ones included). With context_parallel c, c such groups do:
// each has the tokens own_tokens_of_context() of a prefill's prompts, or of a decode step's
// sequences, for all but attention, and a part of the cache, ceil(context / c) tokens.
struct StepShape {
    Phase phase = Phase::decode;
    long sequences = 0, query = 1, context = 0;
    int tensor_parallel = 1;
    AttentionSplit split = AttentionSplit::heads;
    int context_parallel = 1;
    ContextCut cut = ContextCut::queries;
    long tokens() const { return sequences * query; }
    bool cuts_queries() const;  // a prefill's, over context_parallel ranks
    bool cuts_heads() const;
    bool cuts_cache() const;  // a decode step's: a part of each sequence's tokens on each rank
    // Rounded up.
    long own_query() const;
    long own_sequences() const;
    long own_tokens_of_context() const { return own_sequences() * own_query(); }
    // Of so many cached things, or chosen ones, those in one rank's part.
    long part_of_cache(long whole) const;
    // What attention itself works on, as a shape of one rank that shares with nobody.
    StepShape attended() const;
    // Tokens of one rank where they are divided, rounded up.
    long own_tokens() const { return (tokens() + tensor_parallel - 1) / tensor_parallel; }
};

// An attention block of one rank: up to the heads' work, that work, and what follows it. Split
// sp_tp_sp and ranks that share sequences exchange between the parts. Where these cut the cache,
// an indexer's scores stand in front of the heads' work, in `score`: each rank proposes entries of
// its own part.
struct AttentionBlock {
    std::vector<Operator> project, score, attend, output;
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
//
// `kind` is the layer's: attentions[kind.attention]. Compressed attention adds pooling of the cache
// and a grouped output projection, an indexer its projections, scores and choice; a delta net has a
// convolution and its rule in place of attention over a cache. With hyper-connections "mix_out" of
// the sub-layer before and "mix_in" stand in front of the norm.
AttentionBlock attention_parts(const ModelSpec& model, const Precision& precision,
                               const StepShape& shape, const LayerKind& kind);
std::vector<Operator> attention_block(const ModelSpec& model, const Precision& precision,
                                      const StepShape& shape, const LayerKind& kind);

// What split sp_tp_sp exchanges for each token, in bytes: the latents of queries and keys, which
// every rank of the group gathers; the heads' outputs, which go back to the rank of the token.
struct SplitExchange {
    Bytes latents{0.0}, outputs{0.0};
    Bytes cached{0.0};  // of a token whose latents are in the cache, a part of it on each rank
};
SplitExchange split_exchange(const LatentAttention& kind);

// What ranks that share sequences tell each other around attention, of one tensor-parallel rank:
// what each has of all their tokens before it begins (the result of an all-gather), or what it
// sends to the others for them to have it (an all-to-all); what an indexer proposes, likewise
// gathered; what attention's results send back, an all-to-all.
struct ContextExchanged {
    Bytes gathered{0.0}, scattered{0.0}, proposed{0.0}, outputs{0.0};
};
ContextExchanged context_exchanged(const ModelSpec& model, const Precision& precision,
                                   const StepShape& shape, const LayerKind& kind);

// Whether this attention's cache grows with the context, so that decode cuts it over ranks that
// share sequences. A window or a state stays whole with the rank that has the sequence.
bool grows_with_context(const AttentionSpec& attention);

// Why `ranks` that share sequences cannot run this model so, or "".
std::string context_problem(const ModelSpec& model, Phase phase, int tensor_parallel, int ranks,
                            ContextCut cut);

// Conditional memory in front of a layer's attention: what a rank reads from the tables; and once
// that is here, value and key projections, the gate, the convolution and the sum into the residual
// streams.
Operator engram_read(const ModelSpec& model, long tokens, TablePlace place);
std::vector<Operator> engram_block(const ModelSpec& model, long tokens);

// Dense FFN block: residual add and norm, quantise, gate-and-up, SwiGLU with quantise, down.
std::vector<Operator> dense_ffn_block(const ModelSpec& model, const Precision& precision,
                                      long tokens, int tensor_parallel);

// Before the experts: residual add and norm, gate product, top-k choice, quantise for dispatch.
std::vector<Operator> router_block(const ModelSpec& model, const Precision& precision, long tokens,
                                   bool hash_routed = false);

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
