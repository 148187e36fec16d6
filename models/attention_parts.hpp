// What an attention block has whatever its kind: the norm it begins with, its linear layers,
// rotary embedding, the append to the cache, conversions between formats, the output projection.
#pragma once

#include <string>
#include <vector>

#include "models/blocks.hpp"
#include "models/model.hpp"

namespace podsim {

// Of `heads` those of one rank. Throws std::invalid_argument when they do not divide.
long local_heads(long heads, int tensor_parallel, const char* what = "heads");

// The operators of one block as they are appended. Holds references: use it and let it go.
class AttentionParts {
  public:
    // Throws std::invalid_argument for a shape that is no step.
    AttentionParts(const ModelSpec& model, const Precision& precision, const StepShape& shape);
    AttentionParts(const AttentionParts&) = delete;
    AttentionParts& operator=(const AttentionParts&) = delete;

    long tokens() const { return tokens_; }
    // What follows works on `tokens`: the group's, or a rank's own.
    void work_on(long tokens) { tokens_ = tokens; }
    void add(Operator op) { part_->push_back(std::move(op)); }
    // What follows is the heads' work.
    void attend() { part_ = &block_.attend; }
    // What follows is the output's. Where the cache is cut it begins with the sum of the parts'
    // results of this rank's tokens, `heads` x `dim` elements each.
    void leave(long heads, long dim);

    // Rows of the stream to the format of activations, where that has to be quantised.
    void quantise(const std::string& name, long rows, long elements);
    void linear(const std::string& name, long m, long n, long k);
    // The same in BF16: small products whose rounding would show.
    void wide_linear(const std::string& name, long m, long n, long k);

    // Residual add and norm (or mixes of residual streams and norm), quantise.
    void begin();
    // `elements` of each token: what is turned, in place; what a token adds to the cache.
    void rotary(long elements, const std::string& name = "rotary");
    void append_to_cache(double elements);
    void append_index(double elements);
    // Queries and a key of each token for the indexer's choice, from `query_rank` latents, the
    // scores of all visible entries of `compression` tokens each, the choice.
    void index(const Indexer& indexer, long query_rank, long compression);
    // Attention below 16 bits reads queries that were narrowed for it.
    void narrow_query(long elements);
    // Quantise, output projection from `width` to hidden. Returns the whole block.
    AttentionBlock end(long width);

  private:
    void append(const std::string& name, double elements, DType format);

    const ModelSpec& model_;
    const Precision& precision_;
    const StepShape& shape_;
    long tokens_;
    AttentionBlock block_;
    std::vector<Operator>* part_ = &block_.project;
};

}  // namespace podsim
