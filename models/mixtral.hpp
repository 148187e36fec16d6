// Mixtral (arXiv 2401.04088): grouped queries, few wide experts in every layer.
#pragma once

#include "models/family.hpp"

namespace podsim {

Family mixtral_family();

}  // namespace podsim
