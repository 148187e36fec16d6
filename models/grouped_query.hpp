// Keys of a config.json that families with grouped-query attention have in common.
#pragma once

#include <string>

#include "models/config_reader.hpp"
#include "models/model.hpp"

namespace podsim {

// head_dim, or hidden_size / num_attention_heads without one.
long head_dim_or_quotient(ConfigReader& config, long hidden, long heads);

// Heads, kv heads and head dimension under the keys that most families use, checked.
GroupedQueryAttention read_grouped_query(ConfigReader& config, long hidden);

// Notes kv heads that heads do not divide over and a head dimension that rotary cannot turn, at the
// keys they come from.
void require_grouped_query(ConfigReader& config, const GroupedQueryAttention& kind,
                           const std::string& kv_heads_key = "num_key_value_heads",
                           const std::string& head_dim_key = "head_dim");

}  // namespace podsim
