// What a step must do, from the model's config alone: the work of its products, the bytes its
// memory and its links cannot avoid. Written a second time on purpose, without the models, the
// workloads and the fabric, so that a slip there cannot hide here.
//
// Attention has a file of its own (sim/audit_attention.hpp). Of the rest, per token in products of
// a multiply and an add (d hidden, V the vocabulary):
//
//   dense FFN  3 d f, without a gate 2 d f     MoE  d E + 3 d m k + 3 d s (k of E experts of width
//   head       d V a position                       m, shared ones of s together)
//   conditional memory (arXiv 2601.07372), w elements looked up   w (1 + n) d in its layers
//   n residual streams (arXiv 2512.24880): (n^2 + 2 n) n d before each sub-layer, n n d before the
//   head, and they are handed on from stage to stage
//
// Formats: products of activations and weights run in the wider of the two; attention's core and
// the absorbed products in that of attention; index scores in the indexer's; router, mixing, head,
// draft projection, pools and index keys in BF16.
//
// Drafts: the main pass and its head work on 1 + n tokens a sequence, the first draft pass too,
// the others on one; a draft pass is a projection of the embedding and of each stream, d x d, one
// layer, and the head on one position a sequence. With a model that drafts a draft pass is all its
// layers and its own head, products in the wider of its weights and activations, which are alike.
//
// With S pipeline stages the first L mod S of L layers' stages hold one layer more than the others,
// the first has the embedding, the last the head and the drafts. A group's sequences are cut into S
// batches, each of which reads the weights of every stage; a token's hidden state, 2 d bytes a
// stream, is handed on S - 1 times.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "sim/audit_facts.hpp"

namespace podsim {

// Of all ranks together, in one step.
struct ClosedForm {
    double matrix_flops = 0;
    std::map<std::string, double> flops_by_format;  // the same work
    // What executing whole tokens may add: each rank's share of tokens is rounded up to a whole
    // one, and so is each expert's; at most one token an expert slot, layer and micro-batch, and
    // none where equal shares come out whole.
    double rounding_flops = 0;
    double memory_bytes = 0;     // weights of every rank and the cache, each read once
    double exchange_bytes = 0;   // dispatch and combine: payload that leaves its rank
    double scale_out_bytes = 0;  // the part of it that leaves its scale-up domain
    // Of the ranks of each pipeline stage; what the stages hand on, and what of that surely leaves
    // its domain.
    std::vector<double> stage_flops;
    double handed_bytes = 0, handed_out_bytes = 0;
};

// `sequences` of all ranks together.
ClosedForm closed_form(const AuditFacts& facts, const AuditModel& model, double sequences);

// Bytes that one rank must hold, without scales, biases and norms. With ranks for the shared expert
// alone, those have `shared` and no `routed`, the others the reverse.
struct MemoryForm {
    double cache = 0;  // exactly
    double attention = 0, dense = 0, tables = 0, routed = 0, shared = 0, router = 0, tower = 0;
    double drafter = 0;  // weights of a model that drafts
};

// Sequences of all ranks together; of a rank of one pipeline stage, counted from 0.
MemoryForm memory_form(const AuditFacts& facts, const AuditModel& model, double sequences,
                       double stage = 0);

// FLOP of one operator as the experiment writes it, between two ends where that depends on draws:
// the busiest rank of uneven experts has at least the mean, and at most what tokens can ask of its
// experts and their rounding up. Throws std::runtime_error for keys it misses.
struct FlopRange {
    double least = 0, most = 0;
};
FlopRange operator_flops(const nlohmann::ordered_json& the_operator);

// Of a whole expert group that exchanges its tokens: every copy is a row, and each class of ranks
// may round its rows up to whole ones.
FlopRange layer_flops(const nlohmann::ordered_json& op);
// Payload in bytes, without scales, that leaves all its ranks together.
double layer_bytes_sent(const nlohmann::ordered_json& op);

// Payload in bytes that one rank sends beyond itself in dispatch or combine, scales included;
// nothing for other collectives.
std::optional<double> collective_bytes(const nlohmann::ordered_json& collective);

// The share of it that is left when copies of a token for one rank travel as one: of k copies among
// E experts on R ranks R/k (1 - C(E - E/R, k) / C(E, k)) ranks are meant, with experts and ranks of
// as many of the `domains` as a token may go to.
double merged_share(const nlohmann::ordered_json& collective, double domains);

}  // namespace podsim
