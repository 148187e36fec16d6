// The element-wise operators that every block is held together by, with the bytes they really
// move. Work counts each arithmetic operation as one, an exponential or a division too: what
// they cost is the chip's business.
#pragma once

#include <string>
#include <vector>

#include "models/model.hpp"
#include "program/operator.hpp"

namespace podsim {

// The residual stream and everything between operators that is not quantised.
constexpr DType stream_format = DType::bf16;

// RMS norm of `tokens` rows of `elements`: y = x / sqrt(mean(x^2) + e) w.
Operator norm(const std::string& name, long tokens, long elements);

// The same of each of `heads` vectors of a token by itself; `weights` elements of w in all.
Operator head_norm(const std::string& name, long tokens, long heads, long head_dim, long weights);

// r += x, y = norm(r), as one kernel: reads both, writes both.
Operator residual_norm(const std::string& name, long tokens, long elements);

// What a sub-layer called `name` begins with: residual add and norm; with hyper-connections the
// mix of the streams with the output of the sub-layer before, the mix the sub-layer reads, and its
// norm.
std::vector<Operator> enter(const std::string& name, const ModelSpec& model, long tokens);

// Rows of one format to another with the scales of each (models/weights.hpp).
Operator convert(const ModelSpec& model, const std::string& name, long tokens, long elements,
                 DType from, DType to);

// Rows of the stream to a format that takes `row_bytes` a row, scales included.
Operator quantise(const std::string& name, long tokens, long elements, Bytes row_bytes);

// y = sum over `copies` of g_i x_i for each token, from rows of `row_bytes` and an FP32 score each.
Operator weighted_sum(const std::string& name, long tokens, long elements, long copies,
                      Bytes row_bytes);

// PREFIX_swiglu: y = silu(gate) up, or of an FFN without gate PREFIX_gelu: y = gelu(up), and the
// conversion to `to` in the same kernel.
Operator activate(const ModelSpec& model, const std::string& prefix, long tokens, long width,
                  DType to);

// Throws std::invalid_argument unless value is at least 1.
void require_at_least_one(const char* what, long value);

}  // namespace podsim
