// DeepSeek-V3 and R1 (arXiv 2412.19437), with the multi-head latent attention of DeepSeek-V2
// (arXiv 2405.04434).
#pragma once

#include "models/family.hpp"

namespace podsim {

Family deepseek_v3_family();

}  // namespace podsim
