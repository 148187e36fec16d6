#include "models/llama.hpp"

#include "models/common_keys.hpp"
#include "models/grouped_query.hpp"

namespace podsim {

namespace {

ModelSpec read(ConfigReader& config) {
    ModelSpec model = read_common_keys(config);
    // The first Llama had a kv head for each query head, and no key for their number.
    model.kv_heads = config.size_or("num_key_value_heads", most_wide, model.heads);
    model.head_dim = head_dim_or_quotient(config, model);
    require_grouped_query(config, model);
    model.dense_layers = model.layers;
    model.dense_intermediate = config.size("intermediate_size", most_wide);
    config.require(!config.flag_or("mlp_bias", false), "mlp_bias",
                   "true: projections with a bias are not modelled, expected false");
    return model;
}

}  // namespace

Family llama_family() {
    return {read, grouped_query_weights, grouped_query_kv_elements, grouped_query_block};
}

}  // namespace podsim
