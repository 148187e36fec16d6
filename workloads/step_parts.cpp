#include "workloads/step_parts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "models/weights.hpp"
#include "workloads/expert_drift.hpp"
#include "workloads/pipeline.hpp"

namespace podsim {

namespace {

// Elements of a token that share 4 bytes of scales on their way to an expert: those of an FP8
// block where the model has blocks; 128 in FP4 (one byte for 32, OCP Microscaling MX v1.0); else
// the whole token. 0: no scales.
long scale_block_of(const ModelSpec& model, DType dtype) {
    if (bytes_of(dtype) > 1.0) return 0;
    if (dtype == DType::fp4) return 128;
    return dtype == DType::fp8 && model.scale_block > 0 ? model.scale_block : model.hidden;
}

}  // namespace

StepShape empty_shape(const StepSpec& spec) {
    StepShape shape;
    shape.phase = spec.phase;
    shape.tensor_parallel = spec.mapping.tensor_parallel;
    shape.split = spec.mapping.attention;
    shape.context_parallel = spec.mapping.context_parallel();
    if (spec.mapping.context.context_exchange == ContextExchange::all_to_all)
        shape.cut = ContextCut::heads;
    return shape;
}

long group_tokens(const StepSpec& spec, long sequences, long query) {
    StepShape shape = empty_shape(spec);
    shape.sequences = sequences;
    shape.query = query;
    return shape.own_tokens_of_context();
}

long last_tokens(const StepSpec& spec, long sequences) {
    return ceil_divide(sequences, spec.mapping.context_parallel());
}

bool has_experts(const ModelSpec& model) {
    return model.routed_experts > 0 &&
           (expert_layers(model) > 0 || (model.draft_layers > 0 && model.draft_layer.experts));
}

Bytes dispatched_token(const ModelSpec& model, DType dtype) {
    return token_bytes(model.hidden, bytes_of(dtype), scale_block_of(model, dtype));
}

namespace {

// Ranks of a group that take in as much each.
struct Receivers {
    int ranks;
    double tokens;  // of each
};

Transfer exchange_pattern(const ExpertLayout& layout, double tokens,
                          const std::vector<Receivers>& receivers, Bytes token, double dropped) {
    Transfer transfer;
    transfer.group_ranks = layout.group_ranks;
    const double copies = (1 - dropped) * static_cast<double>(layout.copies_per_token);
    const Bytes own = expert_payload(tokens, copies, token);
    transfer.messages_per_rank = tokens * copies;
    transfer.copies = layout.copies_per_token;
    transfer.experts = layout.routed_ranks * layout.slots_per_rank + layout.shared_ranks;
    transfer.size = own;
    for (const Receivers& each : receivers)
        transfer.shares.push_back({each.ranks, own, each.tokens * token});
    return transfer;
}

// Tokens come whole to every rank of the group, and their sums, a row a token, go where the tokens
// were: to one rank each, or to all where all have them.
void gather_tokens(const StepSpec& spec, const ExpertLayout& layout, ExpertLoad& load) {
    const auto seen = static_cast<double>(load.seen_tokens);
    load.dispatch.type = TransferType::all_gather;
    load.combine.type = sees_group(spec) ? TransferType::all_reduce : TransferType::reduce_scatter;
    load.dispatch.group_ranks = sees_group(spec) ? 1 : layout.group_ranks;
    load.combine.group_ranks = layout.group_ranks;
    load.dispatch.size = seen * dispatched_token(spec.model, spec.precision.dispatch);
    load.combine.size = seen * dispatched_token(spec.model, spec.precision.combine);
}

// Shares of the assignments by expert. Throws StepError for counts of other experts.
std::vector<double> counted_shares(const StepSpec& spec, const ExpertCounts& counted) {
    const auto experts = static_cast<std::size_t>(spec.model.routed_experts);
    const auto refuse = [&](const std::string& why) {
        throw StepError("experts.histogram",
                        fmt::format("{}: layer {} {}", spec.experts.histogram, counted.layer, why));
    };
    if (counted.counts.size() != experts) {
        refuse(fmt::format("counts {} experts, {} has {}", counted.counts.size(), spec.model.name,
                           experts));
    }
    double sum = 0, most = 0;
    for (const double count : counted.counts) {
        sum += count;
        most = std::max(most, count);
    }
    if (!(sum > 0)) refuse("counts nothing");
    const double per_token = static_cast<double>(spec.model.experts_per_token);
    if (most / sum * per_token > 1 + 1e-9) {
        refuse(fmt::format(
            "gives one expert {:.3g} % of the assignments; a token of {} takes {} "
            "experts, each at most once: {:.3g} % is the most",
            most / sum * 100, spec.model.name, spec.model.experts_per_token, 100 / per_token));
    }
    std::vector<double> shares = counted.counts;
    for (double& share : shares) share /= sum;
    return shares;
}

// Slots are laid out for the shares, tokens come by what these have moved to.
void add_balance(const StepSpec& spec, const LayerPopularity& popular, ExpertLayout& layout) {
    const int ranks = layout.routed_ranks;
    layout.balances.push_back(slot_chances(
        expert_chances(popular.moved(spec.experts.moved), spec.model.experts_per_token),
        place_experts(popular.shares, layout.slots_per_rank * ranks, ranks, spec.experts.placement),
        ranks));
    layout.balance_layers.push_back(popular.layer);
}

void add_balances(const StepSpec& spec, ExpertLayout& layout) {
    for (const LayerPopularity& popular : expert_popularity(spec))
        add_balance(spec, popular, layout);
}

// Where the engine may join neighbours into one kernel.
bool joins(const Operator& before, const Operator& next, const EngineSpec& engine) {
    return engine.fuses(Fusion::vector_chains) && std::holds_alternative<VectorWork>(before.body) &&
           std::holds_alternative<VectorWork>(next.body);
}

Kernel make_kernel(Program& program, const std::vector<const Operator*>& run) {
    if (run.size() == 1) return {false, intern(program, *run.front())};
    Pipeline pipeline;
    for (std::size_t i = 0; i < run.size(); ++i) {
        pipeline.operators.push_back(intern(program, *run[i]));
        if (!pipeline.name.empty()) pipeline.name += " + ";
        pipeline.name += run[i]->name;
        if (i == 0) continue;
        // Between two vector operators the result of the first is neither written nor read again.
        const auto* before = std::get_if<VectorWork>(&run[i - 1]->body);
        const auto* next = std::get_if<VectorWork>(&run[i]->body);
        if (before != nullptr && next != nullptr)
            pipeline.on_chip += 2.0 * std::min(before->write, next->read);
    }
    for (std::size_t i = 0; i < program.pipelines.size(); ++i) {
        if (program.pipelines[i].operators == pipeline.operators)
            return {true, static_cast<int>(i)};
    }
    program.pipelines.push_back(std::move(pipeline));
    return {true, static_cast<int>(program.pipelines.size()) - 1};
}

}  // namespace

std::vector<double> LayerPopularity::moved(double part) const {
    if (!(part > 0)) return shares;
    return toward.empty() ? exchanged_shares(shares, part, layer)
                          : mixed_shares(shares, toward, part);
}

std::vector<LayerPopularity> expert_popularity(const StepSpec& spec) {
    const ExpertsSpec& experts = spec.experts;
    std::vector<LayerPopularity> layers;
    switch (experts.popularity) {
        case Popularity::balanced:
            return layers;
        case Popularity::uniform:
            layers.push_back({0, zipf_shares(spec.model.routed_experts, 0), {}});
            break;
        case Popularity::zipf:
            layers.push_back(
                {0, zipf_shares(spec.model.routed_experts, experts.zipf_exponent), {}});
            break;
        case Popularity::histogram:
            if (experts.counts.empty()) throw StepError("experts.histogram", "counts no layer");
            for (const ExpertCounts& counted : experts.counts)
                layers.push_back({counted.layer, counted_shares(spec, counted), {}});
    }
    for (std::size_t i = 0; i < std::min(layers.size(), experts.toward.size()); ++i)
        layers[i].toward = counted_shares(spec, experts.toward[i]);
    return layers;
}

StepSpec draft_spec(const StepSpec& spec) {
    StepSpec draft = spec;
    draft.model = *spec.speculation.draft;
    draft.precision.weights = draft.precision.activations = spec.speculation.draft_weights;
    draft.mapping.pipeline_parallel = 1;
    draft.mapping.attention = AttentionSplit::heads;
    draft.mapping.head_parallel = 1;
    draft.mapping.expert_parallel = 1;
    draft.experts = ExpertsSpec();
    draft.speculation = SpeculationSpec();
    draft.images.reset();
    return draft;
}

ExpertLayout expert_layout(const StepSpec& spec) {
    ExpertLayout layout;
    layout.group_ranks = spec.mapping.expert_parallel;
    layout.stages = spec.mapping.pipeline_parallel;
    layout.groups = spec.mapping.stage_ranks() / layout.group_ranks;
    layout.shared_ranks = spec.experts.shared_ranks;
    layout.width_ranks = spec.experts.tensor_parallel;
    layout.routed_ranks = (layout.group_ranks - layout.shared_ranks) / layout.width_ranks;
    if (layout.shared_ranks > 0 &&
        (!has_experts(spec.model) || spec.model.shared_intermediate == 0)) {
        throw StepError("experts.shared_ranks",
                        fmt::format("is {}, but {} has no shared expert to hold, expected 0",
                                    layout.shared_ranks, spec.model.name));
    }
    if (!has_experts(spec.model)) return layout;
    if (layout.width_ranks > layout.group_ranks - layout.shared_ranks && layout.width_ranks > 1) {
        throw StepError("experts.tensor_parallel",
                        fmt::format("is {}: only {} ranks of expert_parallel {} hold routed "
                                    "experts",
                                    layout.width_ranks, layout.group_ranks - layout.shared_ranks,
                                    layout.group_ranks));
    }
    if (layout.routed_ranks < 1) {
        throw StepError("experts.shared_ranks",
                        fmt::format("is {}: no rank of expert_parallel {} is left for routed "
                                    "experts",
                                    layout.shared_ranks, layout.group_ranks));
    }
    const long slots = spec.model.routed_experts + spec.experts.redundant;
    if (slots % layout.routed_ranks != 0) {
        const long up =
            (slots / layout.routed_ranks + 1) * layout.routed_ranks - spec.model.routed_experts;
        throw StepError(
            "experts.redundant",
            fmt::format(
                "is {}: {} routed + {} redundant experts do not divide over {} {} "
                "(expert_parallel {} less {} shared-expert ranks{}); {} redundant would",
                spec.experts.redundant, spec.model.routed_experts, spec.experts.redundant,
                layout.routed_ranks, layout.width_ranks > 1 ? "groups" : "ranks",
                layout.group_ranks, layout.shared_ranks,
                layout.width_ranks > 1 ? fmt::format(", {} to a group", layout.width_ranks) : "",
                up));
    }
    layout.slots_per_rank = slots / layout.routed_ranks;
    layout.copies_per_token = spec.model.experts_per_token + (layout.shared_ranks > 0 ? 1 : 0);
    add_balances(spec, layout);
    return layout;
}

std::size_t ExpertLayout::balance_of(long layer) const {
    std::size_t best = 0;
    for (std::size_t i = 1; i < balance_layers.size(); ++i) {
        if (std::abs(balance_layers[i] - layer) < std::abs(balance_layers[best] - layer)) best = i;
    }
    return best;
}

std::vector<RankClass> rank_classes(const ExpertLayout& layout) {
    const bool apart = layout.shared_ranks > 0;
    std::vector<RankClass> classes;
    if (layout.uneven()) {
        classes = {{apart ? "busiest routed-expert rank" : "busiest rank",
                    layout.groups * layout.width_ranks},
                   {apart ? "other routed-expert ranks" : "other ranks",
                    layout.groups * (layout.routed_ranks - 1) * layout.width_ranks}};
    } else {
        classes = {{apart ? "routed-expert ranks" : "ranks",
                    layout.groups * layout.routed_ranks * layout.width_ranks}};
    }
    if (apart) classes.push_back({"shared-expert ranks", layout.groups * layout.shared_ranks});
    if (layout.stages == 1) return classes;
    std::vector<RankClass> of_stages;
    for (int stage = 0; stage < layout.stages; ++stage) {
        for (const RankClass& one : classes)
            of_stages.push_back({fmt::format("stage {} {}", stage + 1, one.name), one.count});
    }
    return of_stages;
}

bool sees_group(const StepSpec& spec) {
    return spec.experts.exchange == ExpertExchange::gather && spec.mapping.tensor_parallel > 1;
}

long tokens_to_experts(const StepSpec& spec, long tokens) {
    if (sees_group(spec)) return tokens;
    const long tensor = spec.mapping.tensor_parallel;
    return (tokens + tensor - 1) / tensor;
}

double mean_tokens_to_experts(const StepSpec& spec, long sequences, long query) {
    const double ranks = spec.mapping.context_parallel();
    if (ranks == 1) return static_cast<double>(tokens_to_experts(spec, sequences * query));
    return static_cast<double>(sequences * query) / ranks /
           (sees_group(spec) ? 1 : spec.mapping.tensor_parallel);
}

ExpertLoad expert_load(const StepSpec& spec, const ExpertLayout& layout, double tokens,
                       std::size_t balance) {
    const double group = sees_group(spec) ? 1 : layout.group_ranks;  // of ranks with other tokens
    const double per_routed_rank =
        tokens * group * static_cast<double>(spec.model.experts_per_token) / layout.routed_ranks;
    ExpertLoad load;
    load.in_flight = tokens * group;
    SenderLimit limit;
    if (spec.experts.capacity_factor > 0) {
        limit = {static_cast<long>(group),
                 expert_capacity(spec.experts.capacity_factor, std::lround(tokens),
                                 spec.model.experts_per_token, spec.model.routed_experts)};
        const double even = tokens * static_cast<double>(spec.model.experts_per_token) /
                            static_cast<double>(spec.model.routed_experts);
        load.dropped = std::max(0.0, 1 - static_cast<double>(limit.capacity) / even);
    }
    std::vector<Receivers> receivers = {
        {layout.routed_ranks, (1 - load.dropped) * per_routed_rank}};
    if (!layout.balances.empty()) {
        const GroupLoad group_of = group_load(layout.balances.at(balance), tokens * group, limit);
        load.dropped = 1 - group_of.kept;
        load.here = whole_rows(group_of.busiest);
        load.imbalance = group_of.busiest.tokens / (group_of.kept * per_routed_rank);
        if (layout.uneven()) {
            load.elsewhere = whole_rows(group_of.others);
            receivers = {{1, group_of.busiest.tokens},
                         {layout.routed_ranks - 1, group_of.others.tokens}};
        }
    } else {
        load.here = balanced_rows(receivers.front().tokens, layout.slots_per_rank);
    }
    if (layout.shared_ranks > 0) {
        const double per_shared_rank = tokens * group / layout.shared_ranks;
        receivers.push_back({layout.shared_ranks, per_shared_rank});
        load.tokens_per_shared_rank = static_cast<long>(std::ceil(per_shared_rank));
    }
    if (spec.experts.exchange == ExpertExchange::gather) {
        load.seen_tokens = std::lround(std::ceil(tokens * group - 1e-9));
        gather_tokens(spec, layout, load);
        return load;
    }
    load.dispatch =
        exchange_pattern(layout, tokens, receivers,
                         dispatched_token(spec.model, spec.precision.dispatch), load.dropped);
    load.combine =
        exchange_pattern(layout, tokens, receivers,
                         dispatched_token(spec.model, spec.precision.combine), load.dropped);
    // Results flow back: what a rank received it now sends.
    for (auto& share : load.combine.shares) std::swap(share.send, share.receive);
    return load;
}

std::vector<Kernel> kernels_of(Program& program, const std::vector<Operator>& operators,
                               const EngineSpec& engine, bool is_attention) {
    std::vector<Kernel> kernels;
    std::vector<const Operator*> run;
    // The fused prolog is written for latent attention, whose entries are in part key alone.
    const bool latent = std::any_of(operators.begin(), operators.end(), [](const Operator& op) {
        const auto* core = std::get_if<Attention>(&op.body);
        return core != nullptr && core->form == AttentionForm::mla_absorbed &&
               core->head_dim_qk > core->head_dim_v;
    });
    bool prolog = is_attention && latent && engine.fuses(Fusion::mla_prolog);
    for (const auto& op : operators) {
        const bool is_core = std::holds_alternative<Attention>(op.body) ||
                             std::holds_alternative<IndexScores>(op.body);
        const bool extends = !run.empty() && !is_core && (prolog || joins(*run.back(), op, engine));
        if (!run.empty() && !extends) {
            kernels.push_back(make_kernel(program, run));
            run.clear();
        }
        if (is_core) prolog = false;
        run.push_back(&op);
    }
    if (!run.empty()) kernels.push_back(make_kernel(program, run));
    return kernels;
}

}  // namespace podsim
