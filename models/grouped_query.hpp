// Attention with grouped queries (GQA, Ainslie et al., arXiv 2305.13245), alike for the families
// that use it: its keys, weights, cache and block of operators.
#pragma once

#include <vector>

#include "models/config_reader.hpp"
#include "models/model.hpp"
#include "models/weights.hpp"

namespace podsim {

// head_dim, or hidden_size / num_attention_heads without one; a problem where that has a rest.
long head_dim_or_quotient(ConfigReader& config, const ModelSpec& model);

// Notes heads that do not divide over kv heads, a head that rotary embedding cannot turn, and
// projections with a bias, which are not modelled.
void require_grouped_query(ConfigReader& config, const ModelSpec& model);

// The functions of a Family (models/family.hpp). Tensor parallelism divides heads and kv heads;
// with fewer kv heads than ranks each rank holds a copy of the one its heads read. Where neither
// number divides the other, std::invalid_argument.
AttentionWeights grouped_query_weights(const ModelSpec& model, const Precision& precision,
                                       int tensor_parallel);
double grouped_query_kv_elements(const ModelSpec& model, int tensor_parallel);
AttentionBlock grouped_query_block(const ModelSpec& model, const Precision& precision,
                                   const StepShape& shape);

}  // namespace podsim
