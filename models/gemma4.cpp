// Gemma 4 (Google, 2026), dense: five layers over a sliding window to one over the whole context;
// the latter with wider and fewer kv heads whose values are the keys. Norms of queries and keys a
// head at a time, and of each sub-layer's output; embedding and head are one table. A cache that
// holds turned keys and plain values apart is twice as large in the full layers.
#include "models/common_keys.hpp"
#include "models/families.hpp"
#include "models/grouped_query.hpp"

namespace podsim {

ModelSpec read_gemma4(ConfigReader& config) {
    ModelSpec model = read_common_keys(config);
    GroupedQueryAttention sliding;
    sliding.heads = read_head_count(config);
    sliding.kv_heads = config.size("num_key_value_heads", most_wide);
    sliding.head_dim = config.size("head_dim", most_wide);
    sliding.query_key_norm = true;
    sliding.window = config.size("sliding_window", most_tokens);
    require_grouped_query(config, sliding);
    GroupedQueryAttention full = sliding;
    full.window = 0;
    full.kv_heads = config.size_or("num_global_key_value_heads", most_wide, sliding.kv_heads);
    full.head_dim = config.size_or("global_head_dim", most_wide, sliding.head_dim);
    full.shared_key_value = config.flag_or("attention_k_eq_v", false);
    require_grouped_query(config, full, "num_global_key_value_heads", "global_head_dim");
    require_no_bias(config, "attention_bias");
    read_layer_types(config, model, read_layer_count(config), false, full, "sliding_attention",
                     sliding);
    model.dense_intermediate = config.size("intermediate_size", most_wide);
    model.post_norms = true;
    for (const char* flag : {"enable_moe_block", "use_double_wide_mlp"}) {
        config.require(!config.flag_or(flag, false), flag, "true: not modelled, expected false");
    }
    for (const char* size : {"num_kv_shared_layers", "hidden_size_per_layer_input"}) {
        config.require(config.count_or(size, most_wide, 0) == 0, size, "not modelled, expected 0");
    }
    for (const char* unused : {"num_experts", "top_k_experts", "expert_intermediate_size"})
        (void)config.count_or(unused, most_wide, 0);
    return model;
}

}  // namespace podsim
