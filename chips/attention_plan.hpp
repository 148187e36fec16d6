// How attention is cut for the structure of a core: pieces of query rows against blocks of keys,
// and what each engine does for a block. A piece is `rows` query rows that share keys; for every
// block of keys the matrix unit makes scores, the vector unit their exponentials, the matrix unit
// the weighted values, and the vector unit adds those up, rescaled (FlashAttention, arXiv
// 2205.14135). Where sums are not rescaled in the accumulator, partial outputs travel to the vector
// cores and back as in CANN's latent attention (arXiv 2509.25224 describes that stage).
#pragma once

#include <string>
#include <vector>

#include "chips/core_spec.hpp"
#include "chips/vector_plan.hpp"
#include "program/operator.hpp"

namespace podsim {

struct AttentionTiling {
    long rows = 0;       // query rows of a piece
    long keys = 0;       // of a block
    long lookahead = 1;  // blocks of scores in work at once
    long splits = 1;     // of the keys of a piece
    long cores = 1;
    std::string text() const;
    bool same_tile(const AttentionTiling& other) const {
        return rows == other.rows && keys == other.keys && splits == other.splits;
    }
};

struct AttentionPiece {
    long rows = 0, keys = 0;  // query rows and the keys they are multiplied with
    long first_key = 0;
    long cache = 0;  // which sequence and KV head: pieces with the same number read the same bytes
};

struct AttentionWork {
    // Sequences: batch x KV heads, and query tokens where each reads entries of its own.
    long sequences = 0, query = 0, context = 0;
    long heads = 0;  // query heads of a KV head
    bool causal = false;
    long window = 0;  // causal: so many tokens are seen at most; 0: all before
    // So many sequences one after another read from one cache of `cached` entries, each its own.
    long choosers = 1, cached = 0;
    bool one_cache = false;     // an entry is key and value
    long depth = 0, width = 0;  // head dimensions of keys and values
    double entry = 0;           // cached bytes of a key and its value
    double query_bytes = 2;     // of an element
    DType format = DType::bf16;
};
// Whole attention, windows, and queries that read entries of their own (chosen, compressed or
// windowed latent attention): a query token's are the mean of what the tokens see. `format`: what
// the chip executes. Throws std::invalid_argument where !has_pieces().
AttentionWork attention_work(const Attention& attention, DType format);
// Whether it is one of these: grouped heads that choose entries or see compressed ones are not.
bool has_pieces(const Attention& attention);

// Keys that some piece is multiplied with at most.
long longest_keys(const AttentionWork& work);
// Bytes of caches: of all, and of what is read of them at least once.
double cache_bytes(const AttentionWork& work);
// Where the entries of a sequence begin among all caches, in bytes. Choosers of one cache begin
// anywhere in it, so that they find in L2 what a choice by chance would.
double cache_start(const AttentionWork& work, long sequence);

// In the order in which they are dealt out: the longest of a causal mask first.
std::vector<AttentionPiece> pieces_of(const AttentionWork& work, const AttentionTiling& tiling);

// Seconds of the four stages of a block, and the bytes that are loaded for it.
struct AttentionBlock {
    double scores = 0, exponentials = 0, values = 0, rescale = 0;
    double loaded = 0;
    double macs = 0;
};
AttentionBlock attention_block(const CoreStructure& core, const AttentionWork& work, long rows,
                               long keys);
double query_bytes(const AttentionWork& work, long rows);
double output_bytes(const AttentionWork& work, long rows, bool partial);

bool fits(const CoreStructure& core, const AttentionWork& work, const AttentionTiling& tiling);

// What joins the splits of the keys.
VectorPlan join_plan(const CoreStructure& core, const AttentionWork& work,
                     const AttentionTiling& tiling);

}  // namespace podsim
