// Who reads the config.json of which family: one source file each.
#pragma once

#include "models/config_reader.hpp"
#include "models/model.hpp"

namespace podsim {

ModelSpec read_deepseek_v3(ConfigReader& config);
ModelSpec read_llama(ConfigReader& config);
ModelSpec read_mixtral(ConfigReader& config);
ModelSpec read_qwen3(ConfigReader& config);
ModelSpec read_qwen3_moe(ConfigReader& config);

}  // namespace podsim
