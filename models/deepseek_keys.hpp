// Keys that the families around DeepSeek-V3 have in common.
#pragma once

#include "models/config_reader.hpp"
#include "models/model.hpp"

namespace podsim {

LatentAttention read_latent_attention(ConfigReader& config);

// index_n_heads, index_head_dim, index_topk.
Indexer read_indexer(ConfigReader& config);

// Widths and numbers of experts, of the shared ones, groups, modules of multi-token prediction.
void read_fine_grained_experts(ConfigReader& config, ModelSpec& model);

// first_k_dense_replace layers with a dense FFN and then such with experts, all of `attention`;
// modules of multi-token prediction alike.
void read_dense_then_experts(ConfigReader& config, ModelSpec& model,
                             const LatentAttention& attention);

}  // namespace podsim
