// What every kind of attention answers, and who answers it. The kinds are in files of their own:
// grouped_query, latent, compressed, delta_net.
#pragma once

#include "models/attention_parts.hpp"
#include "models/blocks.hpp"
#include "models/model.hpp"
#include "models/sizes.hpp"
#include "models/weights.hpp"

namespace podsim {

// Matrices and vectors of one layer on one of `tensor_parallel` ranks.
AttentionWeights attention_weights(const GroupedQueryAttention& kind, const ModelSpec& model,
                                   const Precision& precision, int tensor_parallel);
AttentionWeights attention_weights(const LatentAttention& kind, const ModelSpec& model,
                                   const Precision& precision, int tensor_parallel);
AttentionWeights attention_weights(const CompressedAttention& kind, const ModelSpec& model,
                                   const Precision& precision, int tensor_parallel);
AttentionWeights attention_weights(const DeltaNetAttention& kind, const ModelSpec& model,
                                   const Precision& precision, int tensor_parallel);

// Elements of a token from which pools are made: values and their weights.
long pool_outputs(const CompressedAttention& kind);

CacheElements cache_elements(const GroupedQueryAttention& kind, long context, int tensor_parallel);
CacheElements cache_elements(const LatentAttention& kind, long context, int tensor_parallel);
CacheElements cache_elements(const CompressedAttention& kind, long context, int tensor_parallel);
CacheElements cache_elements(const DeltaNetAttention& kind, long context, int tensor_parallel);

AttentionBlock attention_of(const GroupedQueryAttention& kind, const ModelSpec& model,
                            const Precision& precision, const StepShape& shape);
AttentionBlock attention_of(const LatentAttention& kind, const ModelSpec& model,
                            const Precision& precision, const StepShape& shape);
AttentionBlock attention_of(const CompressedAttention& kind, const ModelSpec& model,
                            const Precision& precision, const StepShape& shape);
AttentionBlock attention_of(const DeltaNetAttention& kind, const ModelSpec& model,
                            const Precision& precision, const StepShape& shape);

double widest_activation(const GroupedQueryAttention& kind, bool is_decode, int tensor_parallel);
double widest_activation(const LatentAttention& kind, bool is_decode, int tensor_parallel);
double widest_activation(const CompressedAttention& kind, bool is_decode, int tensor_parallel);
double widest_activation(const DeltaNetAttention& kind, bool is_decode, int tensor_parallel);

}  // namespace podsim
