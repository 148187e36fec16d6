// The keys of config.json that all families have, and the bounds within which a size is believed.
#pragma once

#include "models/config_reader.hpp"
#include "models/model.hpp"

namespace podsim {

constexpr long most_layers = 10'000, most_wide = 10'000'000, most_tokens = 10'000'000'000;

// Layers, hidden, vocabulary, heads, tied embedding, scale block and context.
ModelSpec read_common_keys(ConfigReader& config);

// Notes a problem when a token is to visit more experts than there are.
void require_enough_experts(ConfigReader& config, const ModelSpec& model);

}  // namespace podsim
