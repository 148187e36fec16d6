// What an attention block has whatever its kind: the norm it begins with, its linear layers,
// rotary embedding, the append to the cache, conversions between formats, the output projection.
#pragma once

#include <string>
#include <vector>

#include "models/model.hpp"

namespace podsim {

// Query heads of one rank. Throws std::invalid_argument when they do not divide.
long local_heads(const ModelSpec& model, int tensor_parallel);

// The operators of one block as they are appended. Holds references: use it and let it go.
class AttentionParts {
  public:
    // Throws std::invalid_argument for a shape that is no step.
    AttentionParts(const ModelSpec& model, const Precision& precision, const StepShape& shape);

    long tokens() const { return tokens_; }
    void add(Operator op) { operators_.push_back(std::move(op)); }

    // Rows of the stream to the format of activations, where that has to be quantised.
    void quantise(const std::string& name, long rows, long elements);
    void linear(const std::string& name, long m, long n, long k);

    // Residual add and norm, quantise.
    void begin();
    // `elements` of each token: what is turned, in place; what a token adds to the cache.
    void rotary(long elements);
    void append_to_cache(double elements);
    // Attention below 16 bits reads queries that were narrowed for it.
    void narrow_query(long elements);
    // Quantise, output projection from `width` to hidden. Returns the whole block.
    std::vector<Operator> end(long width);

  private:
    const ModelSpec& model_;
    const Precision& precision_;
    const long tokens_;
    std::vector<Operator> operators_;
};

}  // namespace podsim
