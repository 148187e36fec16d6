// Weights as a list of matrices: one description from which parameters and bytes are counted,
// and against which the operators' work is checked.
#pragma once

#include <string>
#include <vector>

#include "base/units.hpp"
#include "models/model.hpp"

namespace podsim {

// `copies` matrices [outputs, inputs] of one rank, held in `format`.
struct Weight {
    std::string name;
    long outputs = 0, inputs = 0, copies = 1;
    DType format = DType::bf16;
};

// Matrices of one layer's attention, the elements of the norms inside it, and of biases and what
// else is a vector (BF16).
struct AttentionWeights {
    std::vector<Weight> matrices;
    long norm_elements = 0;
    long bias_elements = 0;
};

double parameters(const Weight& weight);
double parameters(const std::vector<Weight>& weights);

// Elements and scales. FP8: one 4-byte scale a scale_block x scale_block block, without a block
// one an output channel; INT8: one an output channel; FP4: one byte for 32 inputs (OCP
// Microscaling MX v1.0).
Bytes stored_bytes(const ModelSpec& model, const Weight& weight);
Bytes stored_bytes(const ModelSpec& model, const std::vector<Weight>& weights);

// Bytes of one token's vector of activations with its scales, by the same rules: FP8 one a
// scale_block of elements, INT8 one a token.
double activation_bytes(const ModelSpec& model, DType format, long elements);

// Whether activations of this format have to be quantised: 8 bits or fewer.
bool is_quantised(DType format);

// Matrices of an FFN: gate and up as one of 2 x width outputs, or up alone, then down, and their
// biases where the model has such. None of width 0.
std::vector<Weight> ffn_weights(const ModelSpec& model, long width, DType format);

long ceil_divide(long value, long divisor);

}  // namespace podsim
