// Weights, gradients and optimiser states of one rank.
#include "models/training_memory.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "base/at.hpp"
#include "models/attention.hpp"
#include "models/vector_operators.hpp"

namespace podsim {

namespace {

ModelSpec without_layers(const ModelSpec& model) {
    ModelSpec none = model;
    none.layers.clear();
    none.draft_layers = 0;
    return none;
}

// Parameters of attention's matrices and of its biases on one of tensor_parallel ranks.
void add_attention(HeldParameters& held, const ModelSpec& model, const LayerCount& alike,
                   int tensor_parallel) {
    const AttentionWeights weights = std::visit(
        [&](const auto& kind) {
            return attention_weights(kind, model, Precision{}, tensor_parallel);
        },
        at(model.attentions, alike.kind.attention));
    const auto times = static_cast<double>(alike.count);
    held.matrices += times * parameters(weights.matrices);
    held.vectors += times * static_cast<double>(weights.bias_elements);
}

double ffn(const ModelSpec& model, long width, int ranks) {
    return parameters(ffn_weights(model, ceil_divide(width, ranks), DType::bf16));
}

// Layers alike; norms and mixers are whole on every rank, and counted for all together.
void add_layers(HeldParameters& held, const ModelSpec& model, const std::vector<LayerCount>& kinds,
                const ModelSlice& slice) {
    for (const LayerCount& alike : kinds) {
        const auto times = static_cast<double>(alike.count);
        add_attention(held, model, alike, slice.tensor_parallel);
        if (!alike.kind.experts) {
            held.matrices += times * ffn(model, model.dense_intermediate, slice.tensor_parallel);
            continue;
        }
        held.matrices += times * ffn(model, model.shared_intermediate, slice.tensor_parallel);
        const auto local =
            static_cast<double>(ceil_divide(model.routed_experts, slice.expert_parallel));
        held.experts +=
            times * local * ffn(model, model.expert_intermediate, slice.expert_tensor_parallel);
    }
    ModelSpec alone = without_layers(model);
    const ParameterCount ends = count_parameters(alone);
    for (const LayerCount& alike : kinds) {
        alone.layers.insert(alone.layers.end(), static_cast<std::size_t>(alike.count), alike.kind);
    }
    const ParameterCount count = count_parameters(alone);
    held.vectors += count.norms - ends.norms;
    held.matrices += count.mixers - ends.mixers + count.router + count.engram;
    const double with_memory =
        static_cast<double>(std::count_if(alone.layers.begin(), alone.layers.end(),
                                          [](const LayerKind& kind) { return kind.engram; }));
    if (with_memory > 0) {
        held.memory_tables +=
            ends.tables * with_memory / static_cast<double>(model.engram.layers.size());
    }
}

}  // namespace

ModelSlice whole(const ModelSpec& model) {
    ModelSlice slice;
    slice.end = layer_count(model);
    slice.drafts = model.draft_layers > 0;
    return slice;
}

HeldParameters parameters_of(const ModelSpec& model, const ModelSlice& slice) {
    for (const auto& [what, ranks] :
         {std::pair{"tensor parallel", slice.tensor_parallel},
          std::pair{"expert parallel", slice.expert_parallel},
          std::pair{"expert tensor parallel", slice.expert_tensor_parallel}}) {
        require_at_least_one(what, ranks);
    }
    if (slice.begin < 0 || slice.end < slice.begin || slice.end > layer_count(model)) {
        throw std::invalid_argument(
            fmt::format("layers {} to {} of {}", slice.begin, slice.end, layer_count(model)));
    }
    HeldParameters held;
    add_layers(held, model, layer_kinds(model, slice.begin, slice.end), slice);

    const ParameterCount ends = count_parameters(without_layers(model));
    const auto hidden = static_cast<double>(model.hidden);
    const double table =
        static_cast<double>(ceil_divide(model.vocabulary, slice.tensor_parallel)) * hidden;
    if (slice.embedding) held.tables += table + static_cast<double>(model.positions) * hidden;
    if (slice.head) {
        held.vectors += ends.norms;
        held.matrices += ends.mixers;
        if (!model.tied_embedding || !slice.embedding) held.tables += table;
    }
    if (slice.drafts && model.draft_layers > 0) {
        const LayerCount layer{model.draft_layer, model.draft_layers};
        HeldParameters layers;
        add_layers(layers, model, {layer}, ModelSlice{});
        add_layers(held, model, {layer}, slice);
        // What a module has beside its layer, whole on every rank: three norms, the rest matrices.
        const double norms = static_cast<double>(model.draft_layers) * 3 * hidden;
        held.matrices += count_parameters(model).draft - layers.total() - norms;
        held.vectors += norms;
    }
    return held;
}

const std::vector<std::pair<const char*, Optimizer>>& names_of(const Optimizer*) {
    static const std::vector<std::pair<const char*, Optimizer>> names = {{"adam", Optimizer::adam},
                                                                         {"muon", Optimizer::muon}};
    return names;
}

TrainingState training_state(const HeldParameters& held, const Precision& precision,
                             const OptimizerFormats& formats, const Replicas& replicas) {
    if (replicas.zero_stage < 0 || replicas.zero_stage > 3) {
        throw std::invalid_argument(
            fmt::format("ZeRO stage {}, expected 0 to 3", replicas.zero_stage));
    }
    require_at_least_one("data parallel", replicas.data_parallel);
    require_at_least_one("expert data parallel", replicas.expert_data_parallel);
    const bool muon = formats.optimizer == Optimizer::muon;
    const auto state = [&](double matrices, double others, DType weights, long ranks) {
        const double all = matrices + others, moments = muon ? matrices + 2 * others : 2 * all;
        const auto divided = [&](int from_stage, double bytes) {
            return Bytes(replicas.zero_stage >= from_stage ? bytes / static_cast<double>(ranks)
                                                           : bytes);
        };
        StateBytes bytes;
        bytes.weights = divided(3, matrices * bytes_of(weights) + others * bytes_of(DType::bf16));
        bytes.gradients = divided(2, all * bytes_of(formats.gradients));
        bytes.master = divided(1, all * bytes_of(formats.master));
        bytes.moments = divided(1, moments * bytes_of(formats.moments));
        return bytes;
    };
    return {
        state(held.matrices, held.vectors + held.tables, precision.weights, replicas.data_parallel),
        state(held.experts, 0, precision.experts, replicas.expert_data_parallel)};
}

}  // namespace podsim
