// DeepSeek-V2 (arXiv 2405.04434), V3 and R1 (arXiv 2412.19437), Kimi-K2 (arXiv 2507.20534):
// multi-head latent attention (models/latent.cpp), dense layers and then fine-grained experts
// chosen by group, shared experts, modules of multi-token prediction. V2 routes by softmax without
// a bias.
#include "models/common_keys.hpp"
#include "models/deepseek_keys.hpp"
#include "models/families.hpp"

namespace podsim {

ModelSpec read_deepseek_v3(ConfigReader& config) {
    ModelSpec model = read_common_keys(config);
    read_dense_then_experts(config, model, read_latent_attention(config));
    return model;
}

ModelSpec read_deepseek_v2(ConfigReader& config) {
    ModelSpec model = read_deepseek_v3(config);
    model.router_scoring = RouterScoring::softmax;
    model.router_bias = false;
    return model;
}

}  // namespace podsim
