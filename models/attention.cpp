// From a layer's kind of attention to the file that knows it.
#include "models/attention.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "base/at.hpp"
#include "models/vector_operators.hpp"

namespace podsim {

std::vector<Operator> AttentionBlock::all() const {
    std::vector<Operator> operators = project;
    operators.insert(operators.end(), score.begin(), score.end());
    operators.insert(operators.end(), attend.begin(), attend.end());
    operators.insert(operators.end(), output.begin(), output.end());
    return operators;
}

AttentionBlock attention_parts(const ModelSpec& model, const Precision& precision,
                               const StepShape& shape, const LayerKind& kind) {
    const AttentionSpec& attention = at(model.attentions, kind.attention);
    const auto* latent = std::get_if<LatentAttention>(&attention);
    if (shape.split == AttentionSplit::sp_tp_sp &&
        (latent == nullptr || latent->indexer.heads > 0)) {
        throw std::invalid_argument(fmt::format(
            "{}: attention sp-tp-sp is for latent attention over the whole context", model.name));
    }
    require_at_least_one("context parallel", shape.context_parallel);
    StepShape own = shape;
    if (shape.cuts_cache() && !grows_with_context(attention)) {
        own.sequences = shape.own_sequences();
        own.context_parallel = 1;
    }
    return std::visit([&](const auto& one) { return attention_of(one, model, precision, own); },
                      attention);
}

std::vector<Operator> attention_block(const ModelSpec& model, const Precision& precision,
                                      const StepShape& shape, const LayerKind& kind) {
    return attention_parts(model, precision, shape, kind).all();
}

CacheElements layer_cache(const AttentionSpec& attention, long context, int tensor_parallel) {
    return std::visit(
        [&](const auto& kind) { return cache_elements(kind, context, tensor_parallel); },
        attention);
}

double widest_of_attention(const AttentionSpec& attention, bool is_decode, int tensor_parallel) {
    return std::visit(
        [&](const auto& kind) { return widest_activation(kind, is_decode, tensor_parallel); },
        attention);
}

std::string division_problem(const ModelSpec& model, int tensor_parallel) {
    for (const AttentionSpec& attention : model.attentions) {
        try {
            (void)std::visit(
                [&](const auto& kind) {
                    return attention_weights(kind, model, Precision{}, tensor_parallel);
                },
                attention);
        } catch (const std::invalid_argument& problem) {
            return problem.what();
        }
    }
    return "";
}

}  // namespace podsim
