// Key-value cache of attention with grouped queries, from its sizes alone: for models whose
// config is not at hand, and to check the ones that are.
#pragma once

#include "base/units.hpp"
#include "program/dtype.hpp"

namespace podsim {

// What a token adds over all layers: a key and a value of each kv head,
//   2 x kv_heads x head_dim x bytes x layers (Ainslie et al., GQA, arXiv 2305.13245).
// Throws std::invalid_argument for a size below 1.
Bytes grouped_query_kv_bytes_per_token(long kv_heads, long head_dim, long layers, DType format);

// What a token adds with multi-head latent attention: one latent and one rotary key a layer,
//   (kv_rank + rope_head_dim) x bytes x layers (DeepSeek-V2, arXiv 2405.04434).
Bytes latent_kv_bytes_per_token(long kv_rank, long rope_head_dim, long layers, DType format);

}  // namespace podsim
