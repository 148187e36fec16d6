#include "workloads/step_layer.hpp"

#include <algorithm>

#include "base/at.hpp"

namespace podsim {

namespace {

Transfer part_of(Transfer whole, long parts) {
    const double share = 1.0 / static_cast<double>(parts);
    whole.size *= share;
    whole.messages_per_rank *= share;
    for (TransferShare& one : whole.shares) {
        one.send *= share;
        one.receive *= share;
    }
    return whole;
}

}  // namespace

bool splits_tokens(const StepSpec& spec) {
    return spec.mapping.attention == AttentionSplit::sp_tp_sp;
}

bool shares_sequences(const StepSpec& spec) {
    return spec.mapping.context_parallel() > 1;
}

Bytes hidden_bytes(const StepSpec& spec, long rows) {
    return Bytes(static_cast<double>(rows * spec.model.hidden) * bytes_of(DType::bf16));
}

const StepLayer& StepLayers::of(const LayerKind& kind, std::size_t balance) {
    for (const auto& [known, layer] : layers_) {
        if (known == balance && layer.kind == kind) return layer;
    }
    layers_.emplace_back(balance, make(kind, balance));
    return layers_.back().second;
}

Kernels StepLayers::kernels(const std::vector<Operator>& operators, bool is_attention) {
    return kernels_of(program_, operators, spec_.engine, is_attention);
}

StepLayer StepLayers::make(const LayerKind& kind, std::size_t balance) {
    const ModelSpec& model = spec_.model;
    const Precision& precision = spec_.precision;
    const int tensor = spec_.mapping.tensor_parallel;
    StepShape shape = empty_shape(spec_);
    shape.sequences = sequences_;
    shape.query = pass_.query;
    shape.context = pass_.context;
    const long tokens = shape.own_tokens_of_context();
    StepLayer layer;
    layer.kind = kind;
    layer.hidden = hidden_bytes(spec_, tokens);
    const AttentionBlock attention = attention_parts(model, precision, shape, kind);
    if (splits_tokens(spec_)) {
        const SplitExchange exchange =
            split_exchange(std::get<LatentAttention>(at(model.attentions, kind.attention)));
        // Those of a cached prefix too: each rank holds its part of them.
        layer.latents =
            static_cast<double>(tokens) * exchange.latents +
            static_cast<double>(sequences_ * (pass_.context - pass_.query)) * exchange.cached;
        layer.outputs = static_cast<double>(tokens) * exchange.outputs;
        layer.attention = kernels(attention.project);
        layer.attend = kernels(attention.attend);
        layer.output = kernels(attention.output);
    } else if (shares_sequences(spec_)) {
        layer.context = context_exchanged(model, precision, shape, kind);
        layer.attention = kernels(attention.project);
        layer.score = kernels(attention.score);
        layer.attend = kernels(attention.attend);
        layer.output = kernels(attention.output);
    } else {
        layer.attention = kernels(attention.all(), true);
    }
    if (!kind.experts) {
        layer.dense = kernels(dense_ffn_block(model, precision, tokens, tensor));
        return layer;
    }

    // Within a tensor-parallel group each rank takes its part of the tokens to the experts,
    // unless they gather there.
    const long own = tokens_to_experts(spec_, tokens);
    const bool apart = layout_.shared_ranks > 0;
    const bool beside = !apart && model.shared_intermediate > 0;
    layer.load = expert_load(spec_, layout_, mean_tokens_to_experts(spec_, sequences_, pass_.query),
                             balance);
    layer.router = kernels(router_block(model, precision, own, kind.hash_routed));
    if (beside) {
        layer.shared = kernels(expert_block(model, precision, {1, own}, "shared_expert",
                                            sees_group(spec_) ? tensor : 1));
    }
    const MissShares missing = miss_shares(spec_, layout_, layer.load.in_flight, balance);
    add_routed(layer, layer.load.here, missing);
    if (layout_.uneven()) add_routed(layer, layer.load.elsewhere, missing);
    layer.host_time = shared_host_time(layer);
    if (apart) {
        layer.experts.push_back(kernels(expert_block(
            model, precision, {1, layer.load.tokens_per_shared_rank}, "shared_expert")));
    }
    add_sums(layer, own, beside);
    add_parts(layer);
    return layer;
}

// What a class of ranks does for its routed experts, wherever they lie. Rows go to the host in the
// format of dispatch and come back in that of combine.
void StepLayers::add_routed(StepLayer& layer, const ExpertRows& asked, const MissShares& missing) {
    const ExpertOffload& offload = spec_.experts.offload;
    const OffloadedExperts load = offloaded_experts(offload, asked, missing);
    layer.experts.push_back(kernels(routed_experts(load.on_chip)));
    if (!offload.is_used()) return;
    // Less than a whole one is expected of few tokens: as many bytes in one row.
    const auto over_host_link = [&](const char* name, double rows, Bytes each) {
        const double whole = std::max(1.0, rows);
        return rows > 0
                   ? kernels(
                         {{name, TableRead{TablePlace::host, whole, each.value() * rows / whole}}})
                   : Kernels{};
    };
    layer.fetch.push_back(
        over_host_link("host_link_experts", load.fetched, expert_bytes(spec_, layout_)));
    layer.to_host.push_back(
        over_host_link("host_link_tokens_out", load.rows,
                       dispatched_token(spec_.model, spec_.precision.dispatch)));
    layer.from_host.push_back(over_host_link(
        "host_link_tokens_in", load.rows, dispatched_token(spec_.model, spec_.precision.combine)));
    layer.offloaded.push_back(load);
}

// The host's processors and memory are there for all its ranks together: each waits for the mean.
Seconds StepLayers::shared_host_time(const StepLayer& layer) const {
    if (layer.offloaded.empty()) return Seconds(0.0);
    const double ranks = layout_.routed_ranks;
    OffloadedExperts mean = layer.offloaded.front();
    if (layer.offloaded.size() > 1) {
        const OffloadedExperts& others = layer.offloaded.back();
        mean.at_host += (others.at_host - mean.at_host) * (ranks - 1) / ranks;
        mean.rows += (others.rows - mean.rows) * (ranks - 1) / ranks;
    }
    return mean.rows > 0 ? host_time(spec_, layout_, mean) : Seconds(0.0);
}

// One kernel of the whole exchange takes a few experts at a time. Ranks with the shared expert
// alone wait for all that is theirs.
void StepLayers::add_parts(StepLayer& layer) {
    const ExpertLoad& load = layer.load;
    const long parts = std::min<long>(spec_.engine.expert_parts, load.here.active_experts);
    if (parts < 2 || spec_.experts.exchange == ExpertExchange::gather || layout_.group_ranks < 2)
        return;
    for (long part = 0; part < parts; ++part) {
        const auto share = [&](const ExpertRows& rows) {
            return podsim::part_of(rows, static_cast<int>(parts), static_cast<int>(part));
        };
        ExpertPart one;
        one.dispatch = part_of(load.dispatch, parts);
        one.combine = part_of(load.combine, parts);
        one.experts.push_back(part_kernels(share(load.here), part));
        if (layout_.uneven()) {
            one.experts.push_back(part_kernels(share(load.elsewhere), part));
        }
        if (layout_.shared_ranks > 0) {
            one.experts.push_back(part + 1 == parts ? layer.experts.back() : Kernels{});
        }
        layer.parts.push_back(std::move(one));
    }
}

Kernels StepLayers::part_kernels(const ExpertRows& rows, long part) {
    std::vector<Operator> operators = routed_experts(rows);
    if (part > 0 && !operators.empty()) operators.front().name += kLaterPart;
    return kernels(operators);
}

// Rows of tokens that are added up: those of all a token's experts after combine; or, where
// tokens gather, those of a rank's own experts before it, and the shared expert's with them if
// combine adds that up too, else after it.
void StepLayers::add_sums(StepLayer& layer, long own, bool beside) {
    const ModelSpec& model = spec_.model;
    const Precision& precision = spec_.precision;
    const long shared = beside ? 1 : 0;
    if (spec_.experts.exchange == ExpertExchange::all_to_all) {
        layer.sum =
            kernels(combine_block(model, precision, own, layout_.copies_per_token + shared));
        return;
    }
    const long here = (layout_.copies_per_token + layout_.routed_ranks - 1) / layout_.routed_ranks;
    const bool within = sees_group(spec_);
    layer.own_sum = kernels(
        combine_block(model, precision, layer.load.seen_tokens, here + (within ? shared : 0)));
    if (!within && beside) layer.sum = kernels(combine_block(model, precision, own, 2));
}

std::vector<Operator> StepLayers::routed_experts(const ExpertRows& asked) const {
    const ModelSpec& model = spec_.model;
    std::vector<Operator> operators =
        expert_block(model, spec_.precision, asked, "expert", layout_.width_ranks);
    if (!spec_.engine.sorts_tokens || operators.empty()) return operators;
    const long rows = asked.rows();
    const auto before = expert_permute_block(model, spec_.precision, rows);
    const auto after = expert_unpermute_block(model, spec_.precision, rows);
    operators.insert(operators.begin(), before.begin(), before.end());
    operators.insert(operators.end(), after.begin(), after.end());
    return operators;
}

}  // namespace podsim
