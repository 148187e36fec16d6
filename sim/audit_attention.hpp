// One layer's attention of each kind: products with weights, what queries see, what is cached.
// Of each sum there is one form; per token, in products of a multiply and an add (d hidden, h
// heads, e elements of a head, i index heads of x elements):
//
//   grouped (arXiv 2305.13245)   d (h + 2 g) e + h e d; g kv heads; 2 h e a pair. A gate makes the
//                                queries twice as wide, values that are keys take no projection; by
//                                a low rank a (arXiv 2507.19427) d (a + 2 g e) + a h e
//   latent (arXiv 2405.04434)    d q + q h (n + r) + d (c + r) + h v d, q and c the ranks, n, r, v
//                                the head's parts; and h c (n + v) absorbed a token, or expanded a
//                                visible token; h (2 c + r) or h (n + r + v) a pair
//   its indexer (2512.02556)     q i x + d (x + i); i x a pair of all that is visible; attention
//                                then runs absorbed over the chosen ones, in prefill too
//   shared entry (DeepSeek-V4)   d (q + e) + q h e + h e o + O o d, O groups of rank o; 2 h e a
//                                pair. Pools: values and weights, 2 d e, of 4 tokens twice as
//                                wide, with an indexer's own: 4 d (e + x) + d i, and q i x
//   delta net (2412.06464)       d (2 K k + 2 V w + 2 V) + V w d, K and V heads of k and w
//                                elements; the rule's 7 k w FLOP a value head are products in
//                                prefill alone
//
// What is not divided by heads (down-projections, pools, all of an indexer) each rank of a
// tensor-parallel group computes for itself.
#pragma once

#include "sim/audit_facts.hpp"

namespace podsim {

// Of one rank: in the weights' format; absorbed, that of attention; wide, BF16.
struct AuditParameters {
    double linear = 0, absorbed = 0, wide = 0;
};
AuditParameters attention_parameters(const AuditMapping& map, double hidden,
                                     const AuditAttention& attention);

// New tokens of a sequence, and what the last of them sees, itself included. Decode: all see that.
struct AuditPass {
    double query = 1, context = 0;
    bool is_prefill = false;
};

// Multiply-adds of one sequence in one pass on all ranks of a tensor-parallel group: with weights,
// attention's core with absorbed products, index scores, and what runs in BF16.
struct AuditAttentionWork {
    double linear = 0, inner = 0, scores = 0, wide = 0;
};
AuditAttentionWork attention_work(const AuditMapping& map, double hidden,
                                  const AuditAttention& attention, const AuditPass& pass);

// Bytes that one rank keeps of one sequence. States of a delta net are in FP32, the last inputs of
// its convolution are activations in BF16.
double cache_held(const AuditFacts& facts, const AuditAttention& attention, double context);

// Of them, what a pass has to read: of a prefill what earlier passes left.
double cache_read(const AuditFacts& facts, const AuditAttention& attention, const AuditPass& pass);

}  // namespace podsim
