// DeepSeek-V4 (technical report and released inference code, 2026): attention over compressed
// caches (models/compressed.cpp) in a pattern of layers, experts in all of them, the first routed
// by a table of token ids, hyper-connections between layers (models/vector_operators.hpp), modules
// of multi-token prediction that attend to a window.
#include <fmt/format.h>

#include <set>

#include "models/common_keys.hpp"
#include "models/deepseek_keys.hpp"
#include "models/engram.hpp"
#include "models/families.hpp"

namespace podsim {

namespace {

CompressedAttention read_attention(ConfigReader& config) {
    CompressedAttention attention;
    attention.heads = read_head_count(config);
    attention.head_dim = config.size("head_dim", most_wide);
    attention.rope_head_dim = config.size("qk_rope_head_dim", most_wide);
    attention.query_rank = config.size("q_lora_rank", most_wide);
    attention.output_groups = config.size("o_groups", most_wide);
    attention.output_rank = config.size("o_lora_rank", most_wide);
    attention.window = config.size("sliding_window", most_tokens);
    config.require(attention.output_groups == 0 || attention.heads % attention.output_groups == 0,
                   "o_groups",
                   fmt::format("{} heads do not divide over {} groups", attention.heads,
                               attention.output_groups));
    config.require(
        attention.rope_head_dim % 2 == 0, "qk_rope_head_dim",
        fmt::format("{}, but rotary embedding turns pairs of elements", attention.rope_head_dim));
    config.require(attention.rope_head_dim <= attention.head_dim, "qk_rope_head_dim",
                   fmt::format("{} of {} elements of a head are turned", attention.rope_head_dim,
                               attention.head_dim));
    config.require(config.size_or("num_key_value_heads", most_wide, 1) <= 1, "num_key_value_heads",
                   "more than one: the cached entry is shared by all heads");
    return attention;
}

}  // namespace

ModelSpec read_deepseek_v4(ConfigReader& config) {
    ModelSpec model = read_common_keys(config);
    const CompressedAttention attention = read_attention(config);
    const Indexer indexer = read_indexer(config);
    const long layers = read_layer_count(config),
               table = config.count("num_hash_layers", most_layers);
    config.require(layers == 0 || table <= layers, "num_hash_layers",
                   fmt::format("{} of {} layers", table, layers));
    read_fine_grained_experts(config, model);
    model.router_scoring = RouterScoring::sqrt_softplus;
    read_hyper_connections(config, model);

    // One entry a layer, then one for each module of multi-token prediction.
    const std::vector<long> ratios = config.counts("compress_ratios", most_tokens, layers);
    const long entries = layers + model.draft_layers;
    if (ratios.empty() || layers == 0) return model;
    if (static_cast<long>(ratios.size()) != entries) {
        config.require(false, "compress_ratios",
                       fmt::format("{} entries, expected {}: one for each of {} layers and {} "
                                   "modules of multi-token prediction",
                                   ratios.size(), entries, layers, model.draft_layers));
        return model;
    }
    for (std::size_t i = 0; i < ratios.size(); ++i) {
        CompressedAttention kind = attention;
        kind.compression = ratios[i];
        config.require(ratios[i] != 1, "compress_ratios",
                       fmt::format("entry {} is 1, expected 0 (window alone) or more than 1", i));
        // Entries of few tokens are chosen from, those of many are all read.
        constexpr long all_are_read = 128;
        if (ratios[i] > 0 && ratios[i] < all_are_read) kind.indexer = indexer;
        const LayerKind layer{attention_index(model, kind), true, static_cast<long>(i) < table};
        if (static_cast<long>(i) < layers) {
            model.layers.push_back(layer);
        } else {
            model.draft_layer = {layer.attention, true};
        }
    }
    read_engram(config, model);
    return model;
}

}  // namespace podsim
