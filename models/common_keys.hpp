// The keys of config.json that all families have, and the bounds within which a size is believed.
#pragma once

#include <string>

#include "models/config_reader.hpp"
#include "models/model.hpp"

namespace podsim {

constexpr long most_layers = 10'000, most_wide = 10'000'000, most_tokens = 10'000'000'000;

// Hidden, vocabulary, tied embedding, scale block and context. What could not be read is 0 and must
// not be complained about twice.
ModelSpec read_common_keys(ConfigReader& config);

long read_layer_count(ConfigReader& config);
long read_head_count(ConfigReader& config);

// Notes a problem when a token is to visit more experts than there are.
void require_enough_experts(ConfigReader& config, const ModelSpec& model,
                            const std::string& top_k_key = "num_experts_per_tok");

// Notes a problem where `key` says true: projections with a bias are not modelled.
void require_no_bias(ConfigReader& config, const std::string& key);

}  // namespace podsim
