// Qwen3, dense (arXiv 2505.09388): grouped queries with normed queries and keys.
#pragma once

#include "models/family.hpp"

namespace podsim {

Family qwen3_family();

// The keys that Qwen3 with and without experts have in common: all but those of the FFN.
ModelSpec read_qwen3_keys(ConfigReader& config);

}  // namespace podsim
