// A model's layers, counted.
#include "models/model.hpp"

#include <algorithm>

namespace podsim {

std::vector<LayerCount> layer_kinds(const ModelSpec& model, long begin, long end) {
    std::vector<LayerCount> kinds;
    for (long i = begin; i < end; ++i) {
        const LayerKind& layer = model.layers[static_cast<std::size_t>(i)];
        const auto same = std::find_if(kinds.begin(), kinds.end(), [&](const LayerCount& known) {
            return known.kind == layer;
        });
        if (same == kinds.end()) {
            kinds.push_back({layer, 1});
        } else {
            ++same->count;
        }
    }
    return kinds;
}

std::vector<LayerCount> layer_kinds(const ModelSpec& model) {
    return layer_kinds(model, 0, layer_count(model));
}

long layer_count(const ModelSpec& model) {
    return static_cast<long>(model.layers.size());
}

namespace {

bool has_experts_in(const LayerKind& layer) {
    return layer.experts;
}

}  // namespace

long expert_layers(const ModelSpec& model) {
    return std::count_if(model.layers.begin(), model.layers.end(), has_experts_in);
}

long first_expert_layer(const ModelSpec& model) {
    return std::find_if(model.layers.begin(), model.layers.end(), has_experts_in) -
           model.layers.begin();
}

std::vector<LayerKind> dense_then_experts(long layers, long dense) {
    std::vector<LayerKind> kinds(static_cast<std::size_t>(layers));
    for (long i = dense; i < layers; ++i) kinds[static_cast<std::size_t>(i)].experts = true;
    return kinds;
}

}  // namespace podsim
