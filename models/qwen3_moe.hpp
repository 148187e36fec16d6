// Qwen3 with experts (arXiv 2505.09388): Qwen3's attention, experts in every layer.
#pragma once

#include "models/family.hpp"

namespace podsim {

Family qwen3_moe_family();

}  // namespace podsim
