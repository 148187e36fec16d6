// Llama (arXiv 2407.21783): grouped-query attention, dense gated FFN.
#include "models/common_keys.hpp"
#include "models/families.hpp"
#include "models/grouped_query.hpp"

namespace podsim {

ModelSpec read_llama(ConfigReader& config) {
    ModelSpec model = read_common_keys(config);
    GroupedQueryAttention attention;
    attention.heads = read_head_count(config);
    // The first Llama had a kv head for each query head, and no key for their number.
    attention.kv_heads = config.size_or("num_key_value_heads", most_wide, attention.heads);
    attention.head_dim = head_dim_or_quotient(config, model.hidden, attention.heads);
    require_grouped_query(config, attention);
    require_no_bias(config, "attention_bias");
    require_no_bias(config, "mlp_bias");
    model.attentions = {attention};
    const long layers = read_layer_count(config);
    model.layers = dense_then_experts(layers, layers);
    model.dense_intermediate = config.size("intermediate_size", most_wide);
    return model;
}

}  // namespace podsim
