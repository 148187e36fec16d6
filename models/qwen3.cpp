#include "models/qwen3.hpp"

#include "models/common_keys.hpp"
#include "models/grouped_query.hpp"

namespace podsim {

namespace {

ModelSpec read(ConfigReader& config) {
    ModelSpec model = read_qwen3_keys(config);
    model.dense_layers = model.layers;
    model.dense_intermediate = config.size("intermediate_size", most_wide);
    return model;
}

}  // namespace

ModelSpec read_qwen3_keys(ConfigReader& config) {
    ModelSpec model = read_common_keys(config);
    model.kv_heads = config.size("num_key_value_heads", most_wide);
    // Never hidden / heads by default: heads together are wider than the hidden state here.
    model.head_dim = config.size("head_dim", most_wide);
    model.query_key_norm = true;
    require_grouped_query(config, model);
    config.require(!config.flag_or("use_sliding_window", false), "use_sliding_window",
                   "true: layers that see a window only are not modelled, expected false");
    return model;
}

Family qwen3_family() {
    return {read, grouped_query_weights, grouped_query_kv_elements, grouped_query_block};
}

}  // namespace podsim
