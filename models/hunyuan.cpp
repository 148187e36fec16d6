// Hunyuan-A13B (hunyuan_v1_moe): grouped queries, normed a head at a time, softmax-routed experts
// and shared ones. Its keys may give one number for all layers or a list; lists that differ from
// layer to layer are refused.
#include <fmt/format.h>

#include <algorithm>

#include "models/common_keys.hpp"
#include "models/families.hpp"
#include "models/grouped_query.hpp"

namespace podsim {

namespace {

long same_in_all_layers(ConfigReader& config, const std::string& key, long layers) {
    const std::vector<long> numbers = config.counts(key, most_wide, layers);
    if (numbers.empty() || layers == 0) return 0;
    require_length(config, key, numbers.size(), layers);
    config.require(std::all_of(numbers.begin(), numbers.end(),
                               [&](long number) { return number == numbers.front(); }),
                   key, "differs from layer to layer, which is not modelled");
    return numbers.front();
}

void require_some(ConfigReader& config, const std::string& key, long number) {
    config.require(number > 0 || !config.has(key), key, "0, expected 1 or more");
}

}  // namespace

ModelSpec read_hunyuan(ConfigReader& config) {
    ModelSpec model = read_common_keys(config, ContextKey::optional);
    GroupedQueryAttention attention = read_grouped_query(config, model.hidden);
    attention.query_key_norm = config.flag_or("use_qk_norm", true);
    require_no_bias(config, "attention_bias");
    model.attentions = {attention};
    const long layers = read_layer_count(config);
    model.layers = dense_then_experts(layers, 0);
    model.expert_intermediate = same_in_all_layers(config, "moe_intermediate_size", layers);
    require_some(config, "moe_intermediate_size", model.expert_intermediate);
    (void)config.count_or("intermediate_size", most_wide, 0);
    model.routed_experts = config.size("num_experts", most_wide);
    model.experts_per_token = same_in_all_layers(config, "moe_topk", layers);
    require_some(config, "moe_topk", model.experts_per_token);
    model.shared_intermediate =
        same_in_all_layers(config, "num_shared_expert", layers) * model.expert_intermediate;
    model.router_scoring = RouterScoring::softmax;
    require_enough_experts(config, model, "moe_topk");
    return model;
}

}  // namespace podsim
