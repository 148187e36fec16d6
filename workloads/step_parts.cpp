#include "workloads/step_parts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "workloads/pipeline.hpp"

namespace podsim {

namespace {

// A draft module's layer is a MoE layer, also of a model whose other layers are all dense.
bool has_experts(const ModelSpec& model) {
    return model.routed_experts > 0 &&
           (model.dense_layers < model.layers || model.draft_layers > 0);
}

// Elements of a token that share 4 bytes of scales on their way to an expert: those of an FP8
// block where the model has blocks; 128 in FP4 (one byte for 32, OCP Microscaling MX v1.0); else
// the whole token. 0: no scales.
long scale_block_of(const ModelSpec& model, DType dtype) {
    if (bytes_of(dtype) > 1.0) return 0;
    if (dtype == DType::fp4) return 128;
    return dtype == DType::fp8 && model.scale_block > 0 ? model.scale_block : model.hidden;
}

Bytes dispatched_token(const ModelSpec& model, DType dtype) {
    return token_bytes(model.hidden, bytes_of(dtype), scale_block_of(model, dtype));
}

// Ranks of a group that take in as much each.
struct Receivers {
    int ranks;
    double tokens;  // of each
};

Transfer exchange_pattern(const ExpertLayout& layout, double tokens,
                          const std::vector<Receivers>& receivers, Bytes token) {
    Transfer transfer;
    transfer.group_ranks = layout.group_ranks;
    const Bytes own = expert_payload(tokens, static_cast<double>(layout.copies_per_token), token);
    transfer.messages_per_rank = tokens * static_cast<double>(layout.copies_per_token);
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

void add_balance(const StepSpec& spec, long layer, const std::vector<double>& shares,
                 ExpertLayout& layout) {
    const int ranks = layout.routed_ranks;
    layout.balances.push_back(slot_chances(
        expert_chances(shares, spec.model.experts_per_token),
        place_experts(shares, layout.slots_per_rank * ranks, ranks, spec.experts.placement),
        ranks));
    layout.balance_layers.push_back(layer);
}

void add_balances(const StepSpec& spec, ExpertLayout& layout) {
    switch (spec.experts.popularity) {
        case Popularity::balanced:
            return;
        case Popularity::uniform:
            return add_balance(spec, 0, zipf_shares(spec.model.routed_experts, 0), layout);
        case Popularity::zipf:
            return add_balance(spec, 0,
                               zipf_shares(spec.model.routed_experts, spec.experts.zipf_exponent),
                               layout);
        case Popularity::histogram:
            if (spec.experts.counts.empty())
                throw StepError("experts.histogram", "counts no layer");
            for (const ExpertCounts& counted : spec.experts.counts)
                add_balance(spec, counted.layer, counted_shares(spec, counted), layout);
    }
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

ExpertLayout expert_layout(const StepSpec& spec) {
    ExpertLayout layout;
    layout.group_ranks = spec.mapping.expert_parallel;
    layout.stages = spec.mapping.pipeline_parallel;
    layout.groups = spec.mapping.stage_ranks() / layout.group_ranks;
    layout.shared_ranks = spec.experts.shared_ranks;
    layout.routed_ranks = layout.group_ranks - layout.shared_ranks;
    if (layout.shared_ranks > 0 && (!has_experts(spec.model) || spec.model.shared_experts == 0)) {
        throw StepError("experts.shared_ranks",
                        fmt::format("is {}, but {} has no shared expert to hold, expected 0",
                                    layout.shared_ranks, spec.model.name));
    }
    if (!has_experts(spec.model)) return layout;
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
            fmt::format("is {}: {} routed + {} redundant experts do not divide over {} ranks "
                        "(expert_parallel {} less {} shared-expert ranks); {} redundant would",
                        spec.experts.redundant, spec.model.routed_experts, spec.experts.redundant,
                        layout.routed_ranks, layout.group_ranks, layout.shared_ranks, up));
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
        classes = {{apart ? "busiest routed-expert rank" : "busiest rank", layout.groups},
                   {apart ? "other routed-expert ranks" : "other ranks",
                    layout.groups * (layout.routed_ranks - 1)}};
    } else {
        classes = {{apart ? "routed-expert ranks" : "ranks", layout.groups * layout.routed_ranks}};
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

ExpertLoad expert_load(const StepSpec& spec, const ExpertLayout& layout, long tokens_per_rank,
                       std::size_t balance) {
    const double tokens = static_cast<double>(tokens_per_rank);
    const double group = sees_group(spec) ? 1 : layout.group_ranks;  // of ranks with other tokens
    const double per_routed_rank =
        tokens * group * static_cast<double>(spec.model.experts_per_token) / layout.routed_ranks;
    ExpertLoad load;
    std::vector<Receivers> receivers = {{layout.routed_ranks, per_routed_rank}};
    if (!layout.balances.empty()) {
        const GroupLoad group_of = group_load(layout.balances.at(balance), tokens * group);
        const ExpertRows busiest = whole_rows(group_of.busiest);
        load.active_experts = busiest.active_experts;
        load.tokens_per_expert = busiest.tokens_per_expert;
        load.imbalance = group_of.busiest.tokens / per_routed_rank;
        if (layout.uneven()) {
            const ExpertRows others = whole_rows(group_of.others);
            load.active_experts_elsewhere = others.active_experts;
            load.tokens_per_expert_elsewhere = others.tokens_per_expert;
            receivers = {{1, group_of.busiest.tokens},
                         {layout.routed_ranks - 1, group_of.others.tokens}};
        }
    } else {
        const ExpertRows rows = balanced_rows(per_routed_rank, layout.slots_per_rank);
        load.active_experts = rows.active_experts;
        load.tokens_per_expert = rows.tokens_per_expert;
    }
    if (layout.shared_ranks > 0) {
        const double per_shared_rank = tokens * group / layout.shared_ranks;
        receivers.push_back({layout.shared_ranks, per_shared_rank});
        load.tokens_per_shared_rank = static_cast<long>(std::ceil(per_shared_rank));
    }
    if (spec.experts.exchange == ExpertExchange::gather) {
        load.seen_tokens = tokens_per_rank * static_cast<long>(group);
        gather_tokens(spec, layout, load);
        return load;
    }
    load.dispatch = exchange_pattern(layout, tokens, receivers,
                                     dispatched_token(spec.model, spec.precision.dispatch));
    load.combine = exchange_pattern(layout, tokens, receivers,
                                    dispatched_token(spec.model, spec.precision.combine));
    // Results flow back: what a rank received it now sends.
    for (auto& share : load.combine.shares) std::swap(share.send, share.receive);
    return load;
}

std::vector<Kernel> kernels_of(Program& program, const std::vector<Operator>& operators,
                               const EngineSpec& engine, bool is_attention) {
    std::vector<Kernel> kernels;
    std::vector<const Operator*> run;
    // The fused prolog is written for latent attention.
    const bool latent = std::any_of(operators.begin(), operators.end(), [](const Operator& op) {
        const auto* core = std::get_if<Attention>(&op.body);
        return core != nullptr && core->form == AttentionForm::mla_absorbed;
    });
    bool prolog = is_attention && latent && engine.fuses(Fusion::mla_prolog);
    for (const auto& op : operators) {
        const bool is_core = std::holds_alternative<Attention>(op.body);
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

Bytes MemoryNeed::total() const {
    Bytes sum(0.0);
    for (const auto& [name, size] : parts) sum += size;
    return sum;
}

namespace {

// By class of one stage: its own layers, the embedding in the first, head and drafts in the last.
std::vector<MemoryNeed> stage_memory(const StepSpec& spec, const ExpertLayout& layout, int stage) {
    const ModelSpec& model = spec.model;
    const int stages = layout.stages;
    const bool is_first = stage == 0, is_last = stage + 1 == stages;
    const LayerRange own_layers = stage_layers(model.layers, stages, stage);
    const auto dense_layers = static_cast<double>(
        std::clamp(model.dense_layers - own_layers.begin, 0L, own_layers.count()));
    const int tensor = spec.mapping.tensor_parallel;
    const AttentionSplit split = spec.mapping.attention;
    const bool splits_tokens = split == AttentionSplit::sp_tp_sp;
    const WeightBytes weights = weight_bytes(model, spec.precision, tensor, split);
    const double drafts = is_last && spec.speculation.draft_tokens > 0
                              ? static_cast<double>(model.draft_layers)
                              : 0.0;
    const double layers = static_cast<double>(own_layers.count()) + drafts;
    const double moe_layers = layers - dense_layers;
    const double sequences = static_cast<double>(spec.sequences_per_group);
    long longest = 0;  // new tokens of a sequence in one pass
    for (const auto& pass : spec.passes()) longest = std::max(longest, pass.query);
    // At work at a time: all of them, or the larger pipeline batch.
    const auto working = static_cast<double>(even_part(spec.sequences_per_group, stages, 0));
    const double tokens = working * static_cast<double>(longest);
    // Tokens whose next one is asked for.
    const double heads = !is_last ? 0.0 : spec.phase == Phase::prefill ? working : tokens;

    const int shared_heads = spec.mapping.head_parallel;
    const Bytes head = weight_bytes(model, spec.precision, tensor * shared_heads, split).head;

    MemoryNeed common;
    common.parts.emplace_back("attention weights", layers * (weights.attention + weights.norms) +
                                                       drafts * weights.draft_extra);
    common.parts.emplace_back("dense FFN weights", dense_layers * weights.dense_ffn);
    // A head that is the embedding, and drafts, need the embedding in the last stage too.
    const bool embeds = is_first || (is_last && (model.tied_embedding || drafts > 0));
    common.parts.emplace_back("embedding and head", (embeds ? weights.embedding : Bytes(0.0)) +
                                                        (is_last ? head : Bytes(0.0)));
    // The latent cache of MLA is whole on every rank of a tensor-parallel group, unless that
    // divides tokens. The draft modules' layer keeps a cache too.
    const Bytes per_layer = kv_bytes_per_token_of_rank(model, spec.precision.kv_cache, tensor) /
                            static_cast<double>(model.layers * (splits_tokens ? tensor : 1));
    common.parts.emplace_back("KV cache",
                              sequences * static_cast<double>(spec.context) * layers * per_layer);
    // Live at once: hidden states and residual in BF16, the widest product, the logits in FP32.
    // Decode multiplies queries into the latent space, prefill expands keys and values of the pass.
    const long latent_width =
        spec.phase == Phase::decode
            ? model.kv_rank + model.rope_head_dim
            : 2 * (model.nope_head_dim + model.rope_head_dim) + model.value_head_dim;
    const double widest =
        static_cast<double>(std::max({model.heads * latent_width / tensor,
                                      (model.heads + 2 * model.kv_heads) * model.head_dim / tensor,
                                      2 * model.dense_intermediate / tensor, model.hidden}));
    const double hidden_tokens = splits_tokens ? std::ceil(tokens / tensor) : tokens;
    const double activations =
        (hidden_tokens * 4.0 * static_cast<double>(model.hidden) + tokens * 2.0 * widest) * 2.0 +
        heads * static_cast<double>(model.vocabulary) / tensor * 4.0;
    common.parts.emplace_back("activations", Bytes(activations));
    common.parts.emplace_back("runtime reserve", spec.engine.memory_reserve.value);

    std::vector<MemoryNeed> needs;
    const bool apart = layout.shared_ranks > 0;
    const std::vector<RankClass> classes = rank_classes(layout);
    const std::size_t first_class = classes.size() / stages * stage;
    const auto add = [&](Bytes routed, Bytes shared, double received) {
        MemoryNeed need = common;
        need.rank_class = classes[first_class + needs.size()].name;
        need.parts.emplace_back("routed experts", moe_layers * routed);
        need.parts.emplace_back("shared expert", moe_layers * shared);
        need.parts.emplace_back("router", moe_layers * weights.router);
        need.parts.emplace_back("exchange buffers",
                                received * (dispatched_token(model, spec.precision.dispatch) +
                                            dispatched_token(model, spec.precision.combine)));
        needs.push_back(std::move(need));
    };
    if (!has_experts(model)) {
        add(Bytes(0.0), Bytes(0.0), 0);
        return needs;
    }
    // Buffers for the layer that sends a rank the most.
    const long own = tokens_to_experts(spec, static_cast<long>(tokens));
    ExpertLoad load;
    long busiest = 0, elsewhere = 0;
    for (std::size_t i = 0; i < std::max<std::size_t>(1, layout.balances.size()); ++i) {
        load = expert_load(spec, layout, own, i);
        busiest = std::max(busiest, load.active_experts * load.tokens_per_expert);
        elsewhere =
            std::max(elsewhere, load.active_experts_elsewhere * load.tokens_per_expert_elsewhere);
    }
    const Bytes routed = static_cast<double>(layout.slots_per_rank) * weights.routed_expert;
    const Bytes beside =
        apart ? Bytes(0.0) : weights.shared_expert / (sees_group(spec) ? tensor : 1);
    add(routed, beside, static_cast<double>(busiest));
    if (layout.uneven()) add(routed, beside, static_cast<double>(elsewhere));
    if (apart)
        add(Bytes(0.0), weights.shared_expert, static_cast<double>(load.tokens_per_shared_rank));
    return needs;
}

}  // namespace

std::vector<MemoryNeed> step_memory(const StepSpec& spec, const ExpertLayout& layout) {
    std::vector<MemoryNeed> needs;
    for (int stage = 0; stage < layout.stages; ++stage) {
        for (MemoryNeed& need : stage_memory(spec, layout, stage)) needs.push_back(std::move(need));
    }
    return needs;
}

namespace {

void require_stages(const StepSpec& spec) {
    const int stages = spec.mapping.pipeline_parallel;
    if (stages < 1) {
        throw StepError("mapping.pipeline_parallel",
                        fmt::format("is {}, expected at least 1", stages));
    }
    if (stages == 1) return;
    if (stages > spec.model.layers) {
        throw StepError("mapping.pipeline_parallel",
                        fmt::format("is {}: {} has {} layers and each stage needs one, expected "
                                    "at most {}",
                                    stages, spec.model.name, spec.model.layers, spec.model.layers));
    }
    if (spec.mapping.micro_batches > 1) {
        throw StepError("mapping.micro_batches",
                        fmt::format("is {}: pipeline_parallel {} already cuts the step into "
                                    "batches, one for each stage; expected 1",
                                    spec.mapping.micro_batches, stages));
    }
    if (spec.sequences_per_group < stages) {
        throw StepError(
            "mapping.pipeline_parallel",
            fmt::format("is {} with {} sequence{} a group: each stage works on a batch of its own, "
                        "expected at most {}, or a batch of {} sequences a group",
                        stages, spec.sequences_per_group, spec.sequences_per_group == 1 ? "" : "s",
                        spec.sequences_per_group, stages));
    }
}

}  // namespace

void require_consistent(const StepSpec& spec) {
    const auto& m = spec.mapping;
    const auto at_least_one = [](const char* key, long value) {
        if (value < 1) throw StepError(key, fmt::format("is {}, expected at least 1", value));
    };
    at_least_one("mapping.data_parallel", m.data_parallel);
    at_least_one("mapping.tensor_parallel", m.tensor_parallel);
    at_least_one("mapping.expert_parallel", m.expert_parallel);
    at_least_one("mapping.micro_batches", m.micro_batches);
    at_least_one("mapping.head_parallel", m.head_parallel);
    if (m.data_parallel % m.head_parallel != 0) {
        throw StepError("mapping.head_parallel",
                        fmt::format("{} does not divide the {} data-parallel groups",
                                    m.head_parallel, m.data_parallel));
    }
    require_stages(spec);
    if (m.stage_ranks() % m.expert_parallel != 0) {
        throw StepError(
            "mapping.expert_parallel",
            fmt::format("{} does not divide the {} ranks of data_parallel {} x "
                        "tensor_parallel {}{}",
                        m.expert_parallel, m.stage_ranks(), m.data_parallel, m.tensor_parallel,
                        m.pipeline_parallel > 1 ? ", which are a pipeline stage" : ""));
    }
    // Key-value heads divide over the ranks, or ranks over the heads (each then holds a copy).
    if (const long kv = spec.model.kv_heads;
        kv > 0 && kv % m.tensor_parallel != 0 && m.tensor_parallel % kv != 0) {
        throw StepError(
            "mapping.tensor_parallel",
            fmt::format("{} and the model's {} key-value heads do not divide one another",
                        m.tensor_parallel, kv));
    }
    if (spec.model.heads % m.tensor_parallel != 0) {
        throw StepError("mapping.tensor_parallel",
                        fmt::format("{} does not divide the model's {} heads", m.tensor_parallel,
                                    spec.model.heads));
    }
    if (spec.experts.shared_ranks % m.tensor_parallel != 0) {
        throw StepError(
            "experts.shared_ranks",
            fmt::format("is {}: a tensor-parallel group of {} ranks would hold both "
                        "shared and routed experts, expected a multiple of {}",
                        spec.experts.shared_ranks, m.tensor_parallel, m.tensor_parallel));
    }
    if (spec.experts.shared_ranks > 0 && m.expert_parallel % m.tensor_parallel != 0) {
        throw StepError("mapping.expert_parallel",
                        fmt::format("is {}: with ranks for the shared expert a multiple of "
                                    "tensor_parallel {} is expected",
                                    m.expert_parallel, m.tensor_parallel));
    }
    if (spec.experts.exchange == ExpertExchange::gather) {
        if (spec.experts.shared_ranks > 0) {
            throw StepError("experts.shared_ranks",
                            fmt::format("is {}: with exchange gather every rank has all tokens, "
                                        "expected 0",
                                        spec.experts.shared_ranks));
        }
        if (m.tensor_parallel > 1 && m.expert_parallel != m.tensor_parallel) {
            throw StepError("experts.exchange",
                            fmt::format("is gather: with tensor_parallel {} the experts are "
                                        "spread over just that group, but expert_parallel is {}",
                                        m.tensor_parallel, m.expert_parallel));
        }
        if (m.tensor_parallel > 1 && m.attention == AttentionSplit::sp_tp_sp) {
            throw StepError("experts.exchange",
                            "is gather: attention sp-tp-sp divides the tokens of a group, "
                            "expected attention tp or all_to_all");
        }
    }
    if (m.micro_batches > 2) {
        throw StepError(
            "mapping.micro_batches",
            fmt::format("is {}: engines cut a step into 1 or 2 parts", m.micro_batches));
    }
    if (spec.sequences_per_group < m.micro_batches) {
        throw StepError("mapping.micro_batches",
                        fmt::format("is {} with {} sequence{} a group: each part needs at least "
                                    "one",
                                    m.micro_batches, spec.sequences_per_group,
                                    spec.sequences_per_group == 1 ? "" : "s"));
    }
    if (m.attention == AttentionSplit::sp_tp_sp && m.tensor_parallel == 1) {
        throw StepError("mapping.attention",
                        "is sp-tp-sp, which divides tokens over a tensor-parallel group: "
                        "tensor_parallel is 1, expected more");
    }
    if (m.attention == AttentionSplit::sp_tp_sp && spec.model.kv_rank == 0) {
        throw StepError(
            "mapping.attention",
            fmt::format("is sp-tp-sp: {} has no latent attention, expected tp", spec.model.name));
    }
    if (spec.phase == Phase::prefill) {
        if (spec.prompt < 1 || spec.prompt > spec.context) {
            throw StepError("prompt", fmt::format("{} of {} tokens are to be computed, expected "
                                                  "at least one and at most all",
                                                  spec.prompt, spec.context));
        }
    } else if (spec.context < 1 + spec.speculation.draft_tokens) {
        throw StepError("context",
                        fmt::format("of {} tokens is shorter than the {} query tokens of a step",
                                    spec.context, 1 + spec.speculation.draft_tokens));
    }
    if (spec.speculation.draft_tokens > 0 && spec.model.draft_layers == 0) {
        throw StepError("speculation.draft_tokens",
                        fmt::format("is {}: {} has no draft (multi-token-prediction) module",
                                    spec.speculation.draft_tokens, spec.model.name));
    }
    (void)expert_layout(spec);
}

}  // namespace podsim
