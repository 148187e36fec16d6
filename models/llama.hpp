// Llama (arXiv 2407.21783): dense, attention with grouped queries.
#pragma once

#include "models/family.hpp"

namespace podsim {

Family llama_family();

}  // namespace podsim
