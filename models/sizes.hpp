// What a model amounts to: parameters, bytes of weights a rank holds, elements and bytes of cache.
#pragma once

#include <vector>

#include "base/units.hpp"
#include "models/model.hpp"

namespace podsim {

// Parameters by part, each counted once; MTP modules apart.
struct ParameterCount {
    double embedding = 0, head = 0, attention = 0, dense_ffn = 0, routed_experts = 0,
           shared_experts = 0, router = 0, norms = 0;
    double mixers = 0;      // of hyper-connections
    double engram = 0;      // projections and gates of conditional memory
    double tables = 0;      // its tables, which a token reads a few rows of
    double draft = 0;       // MTP modules; embedding and head are the main model's
    double total() const;   // without draft
    double active() const;  // top-k and shared experts, head, input embedding; no tables
    double active_without_embedding() const;
    double active_routed = 0;  // the top-k experts of all MoE layers
};
ParameterCount count_parameters(const ModelSpec& model);

// What one sequence keeps, in elements: keys and values (or latents), which precision.kv_cache
// holds; the indexer's keys, which precision.indexer holds; states of linear attention, in FP32,
// and the last inputs of its convolution, in BF16.
struct CacheElements {
    double kv = 0, index = 0, state = 0, recent = 0;
    CacheElements& operator+=(const CacheElements& other);
    CacheElements operator*(double factor) const;
    Bytes bytes(const Precision& precision) const;
};

// Of one layer on one of `tensor_parallel` ranks for a sequence of `context` tokens: kv heads are
// divided, at least one a rank; a latent entry and the indexer's keys are whole on every rank.
CacheElements layer_cache(const AttentionSpec& attention, long context, int tensor_parallel);

// Of all layers of the whole model, each entry once: V3 in BF16 at 4,096 tokens
// (512 + 64) x 61 x 2 B x 4,096. Draft modules apart.
CacheElements cache_of(const ModelSpec& model, long context);

// What a further token adds to a long context, over all layers: no window, no state.
CacheElements cache_per_token(const ModelSpec& model);

// How a tensor-parallel group shares attention. heads: all tokens on every rank, heads divided.
// sp_tp_sp: tokens divided for the projections down and the output projection, heads divided in
// between, with an exchange on either side (CloudMatrix-Infer's prefill, arXiv 2506.12708, section
// 4.3.1); for latent attention.
enum class AttentionSplit { heads, sp_tp_sp };

// How ranks that share sequences divide a prefill's attention. queries: each has its own tokens'
// queries and sees the keys and values of all; heads: each has some heads of all tokens.
enum class ContextCut { queries, heads };

// Bytes of the weights one rank holds of one layer or table, scales included. A part whose
// size is 0 (no dense FFN, no experts, no draft module) takes no bytes.
struct WeightBytes {
    std::vector<Bytes> attention;  // of one layer of each kind, divided by tensor parallel
    Bytes dense_ffn{0.0};          // of one dense layer, divided by tensor parallel
    Bytes router{0.0};             // of one MoE layer
    Bytes routed_expert{0.0};      // of one expert of one layer
    Bytes shared_expert{0.0};      // all shared experts of one layer
    Bytes norms{0.0};              // of one layer, with the mixers of hyper-connections
    Bytes embedding{0.0};          // vocabulary divided by tensor parallel
    Bytes head{0.0};               // likewise, with the final norm; of a tied one the norm alone
    Bytes draft_extra{0.0};        // of one MTP module beside its layer: its projection and norms
    Bytes engram{0.0};             // of one layer with conditional memory, without its tables
};

// Of the head alone, as WeightBytes::head, with its vocabulary divided over `parts` ranks.
Bytes head_bytes(const ModelSpec& model, int parts);

// Bytes of all tables of conditional memory, in BF16; they are held outside of the chips.
Bytes engram_table_bytes(const ModelSpec& model);

WeightBytes weight_bytes(const ModelSpec& model, const Precision& precision, int tensor_parallel,
                         AttentionSplit split = AttentionSplit::heads);

// Elements of the widest activation of one token in attention, on one of `tensor_parallel` ranks.
double widest_of_attention(const AttentionSpec& attention, bool is_decode, int tensor_parallel);

// Whether heads and groups of every kind of attention divide over `tensor_parallel` ranks. Returns
// "" or why not.
std::string division_problem(const ModelSpec& model, int tensor_parallel);

}  // namespace podsim
