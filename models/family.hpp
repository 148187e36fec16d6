// A model family: what a config's keys mean and how its attention is built. Everything around
// attention (feed-forward, experts, embedding, head) is common to the families and written once.
#pragma once

#include <vector>

#include "base/registry.hpp"
#include "models/config_reader.hpp"
#include "models/model.hpp"
#include "models/weights.hpp"

namespace podsim {

struct Family {
    // Fills the sizes; notes problems in the reader. name and family are set by the caller.
    ModelSpec (*read)(ConfigReader& config);
    // Of one layer on one of `tensor_parallel` ranks.
    AttentionWeights (*attention_weights)(const ModelSpec& model, const Precision& precision,
                                          int tensor_parallel);
    // Elements of cache a token adds in one layer on one of `tensor_parallel` ranks.
    double (*kv_elements)(const ModelSpec& model, int tensor_parallel);
    AttentionBlock (*attention_parts)(const ModelSpec& model, const Precision& precision,
                                      const StepShape& shape);
};

// The list of families, by model_type. A new one is one source file and one line here.
void register_families(Registry<Family>& families);

// Throws InputError for a family that is not registered.
Family family_of(const ModelSpec& model);

}  // namespace podsim
