// The keys of config.json that all families have, and the bounds within which a size is believed.
#pragma once

#include <string>

#include "models/config_reader.hpp"
#include "models/model.hpp"

namespace podsim {

constexpr long most_layers = 10'000, most_wide = 10'000'000, most_tokens = 10'000'000'000;

// Hidden, vocabulary, tied embedding, scale block and context (0 where that is optional and
// missing). What could not be read is 0 and must not be complained about twice.
enum class ContextKey { required, optional };
ModelSpec read_common_keys(ConfigReader& config, ContextKey context = ContextKey::required);

long read_layer_count(ConfigReader& config);
long read_head_count(ConfigReader& config);

// Index of a kind of attention in the model's list, to which it is added where it is new.
int attention_index(ModelSpec& model, const AttentionSpec& attention);

// A problem of a list that does not name each of `layers` layers.
void require_length(ConfigReader& config, const std::string& key, std::size_t entries, long layers);

// Layer by layer from `layer_types`: `full` where it says full_attention, `other` where it says
// `other_name`. All other names are problems. Layers have experts as `experts` says.
void read_layer_types(ConfigReader& config, ModelSpec& model, long layers, bool experts,
                      const AttentionSpec& full, const std::string& other_name,
                      const AttentionSpec& other);

// Notes a problem when a token is to visit more experts than there are.
void require_enough_experts(ConfigReader& config, const ModelSpec& model,
                            const std::string& top_k_key = "num_experts_per_tok");

// Notes a problem where `key` says true: projections with a bias are not modelled.
void require_no_bias(ConfigReader& config, const std::string& key);

}  // namespace podsim
