// DeepSeek-V3.2 (arXiv 2512.02556) and GLM-5 (glm_moe_dsa): DeepSeek-V3 with an indexer that
// chooses which cached tokens a query attends to (models/latent.cpp).
#include <fmt/format.h>

#include "models/common_keys.hpp"
#include "models/deepseek_keys.hpp"
#include "models/engram.hpp"
#include "models/families.hpp"

namespace podsim {

ModelSpec read_deepseek_v32(ConfigReader& config) {
    ModelSpec model = read_common_keys(config);
    LatentAttention attention = read_latent_attention(config);
    attention.indexer = read_indexer(config);
    config.require(attention.query_rank > 0, "q_lora_rank",
                   "null: the indexer's queries come from the queries' latents");
    for (const char* shared : {"indexer_types", "index_topk_freq"}) {
        config.require(!config.has(shared), shared,
                       "an indexer that several layers share is not modelled");
    }
    read_dense_then_experts(config, model, attention);
    if (config.has("hc_mult")) read_hyper_connections(config, model);
    read_engram(config, model);
    return model;
}

}  // namespace podsim
