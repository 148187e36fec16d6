// Who reads the config.json of which family: one source file each.
#pragma once

#include "models/config_reader.hpp"
#include "models/model.hpp"

namespace podsim {

ModelSpec read_deepseek_v2(ConfigReader& config);
ModelSpec read_deepseek_v3(ConfigReader& config);
ModelSpec read_deepseek_v32(ConfigReader& config);
ModelSpec read_deepseek_v4(ConfigReader& config);
ModelSpec read_gemma4(ConfigReader& config);
ModelSpec read_gpt(ConfigReader& config);
ModelSpec read_gpt_oss(ConfigReader& config);
ModelSpec read_hunyuan(ConfigReader& config);
ModelSpec read_llama(ConfigReader& config);
ModelSpec read_minimax_m2(ConfigReader& config);
ModelSpec read_mixtral(ConfigReader& config);
ModelSpec read_pangu(ConfigReader& config);
ModelSpec read_qwen3(ConfigReader& config);
ModelSpec read_qwen3_5_moe(ConfigReader& config);
ModelSpec read_qwen3_moe(ConfigReader& config);
ModelSpec read_step3(ConfigReader& config);

}  // namespace podsim
