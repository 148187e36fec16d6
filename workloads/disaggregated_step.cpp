#include "workloads/disaggregated_step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/at.hpp"
#include "models/sizes.hpp"
#include "workloads/pipeline.hpp"
#include "workloads/step_layer.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {

namespace {

// Kernels and collectives of a pool's ranks, one after the other.
class Chain {
  public:
    Chain(Program& program, const EngineSpec& engine, std::vector<RankClass> classes)
        : program_(program), here_(classes.size(), -1) {
        program.classes = std::move(classes);
        program.streams = {{"compute", 1.0}, {"transfers", 1.0}};
        program.kernel_gap = engine.kernel_gap.value;
        program.rank_skew = engine.rank_skew.value;
    }

    void run(const Kernels& kernels) {
        for (std::size_t c = 0; c < here_.size(); ++c) run(kernels, c);
    }
    void run(const Kernels& kernels, std::size_t rank_class) {
        for (const Kernel& kernel : kernels) {
            Task task;
            task.kind = kernel.pipeline ? TaskKind::pipeline : TaskKind::compute;
            task.body = kernel.body;
            push(std::move(task), rank_class);
        }
    }

    // Of each class within its tensor-parallel groups; `size` by class, nothing for a group of one.
    void join(const char* name, TransferType type, int group, const std::vector<Bytes>& size) {
        if (group < 2) return;
        for (std::size_t c = 0; c < here_.size(); ++c) {
            if (!(size[c] > Bytes(0.0))) continue;
            Transfer transfer;
            transfer.name = name;
            transfer.type = type;
            transfer.group_ranks = group;
            transfer.size = size[c];
            const int body = intern(program_, transfer);
            Task task;
            task.kind = TaskKind::transfer;
            task.body = static_cast<int>(program_.instances.size());
            task.stream = 1;
            push(std::move(task), c);
            program_.instances.push_back({body, {here_[c]}});
        }
    }

  private:
    void push(Task task, std::size_t rank_class) {
        task.rank_class = static_cast<int>(rank_class);
        if (here_[rank_class] >= 0) task.after = {here_[rank_class]};
        here_[rank_class] = static_cast<int>(program_.tasks.size());
        program_.tasks.push_back(std::move(task));
    }

    Program& program_;
    std::vector<int> here_;  // by class: the last task
};

// The attention pool alone: no expert is held or asked there, but routers and sums know of them.
StepSpec attention_side(const StepSpec& attention) {
    StepSpec spec = attention;
    spec.mapping.expert_parallel = 1;
    spec.experts = ExpertsSpec();
    return spec;
}

// The feed-forward pool with each tensor-parallel group as one rank that holds whole experts.
StepSpec expert_side(const StepSpec& feed_forward) {
    StepSpec spec = feed_forward;
    const MappingSpec& mapping = feed_forward.mapping;
    spec.mapping.expert_parallel = mapping.expert_parallel / mapping.tensor_parallel;
    spec.mapping.tensor_parallel = 1;
    return spec;
}

// Tokens that one pass of the attention pool's micro-batch brings, of all its groups.
double all_tokens(const StepSpec& attention) {
    const StepSpec::Pass pass = attention.passes().front();
    return static_cast<double>(attention.sequences_per_group * pass.query) *
           attention.mapping.data_parallel;
}

// What a tensor-parallel group of the feed-forward pool is asked in a MoE layer.
struct Asked {
    ExpertRows busiest, others;  // others: where they differ
    double busiest_tokens = 0, other_tokens = 0;
    long shared = 0;  // tokens of its part of the shared expert's
    double imbalance = 1;
};

Asked asked_of(const StepSpec& expert_side, const ExpertLayout& layout, double tokens,
               std::size_t balance) {
    const ModelSpec& model = expert_side.model;
    const double of_set = tokens / layout.groups;  // one set of experts has an equal part
    Asked asked;
    asked.other_tokens = asked.busiest_tokens =
        of_set * static_cast<double>(model.experts_per_token) / layout.routed_ranks;
    if (layout.balances.empty()) {
        asked.busiest = balanced_rows(asked.busiest_tokens, layout.slots_per_rank);
    } else {
        const GroupLoad load = group_load(layout.balances.at(balance), of_set);
        asked.imbalance = load.busiest.tokens / asked.busiest_tokens;
        asked.busiest = whole_rows(load.busiest);
        asked.busiest_tokens = load.busiest.tokens;
        if (layout.uneven()) {
            asked.others = whole_rows(load.others);
            asked.other_tokens = load.others.tokens;
        }
    }
    if (model.shared_intermediate > 0)
        asked.shared = static_cast<long>(std::ceil(of_set / layout.routed_ranks));
    return asked;
}

class Builder {
  public:
    explicit Builder(const DisaggregatedSpec& spec)
        : attention_(attention_side(spec.attention)),
          experts_(expert_side(spec.feed_forward)),
          feed_forward_(spec.feed_forward),
          attention_layout_(expert_layout(attention_)),
          expert_layout_(expert_layout(experts_)),
          pass_(attention_.passes().front()),
          tokens_(attention_.sequences_per_group * pass_.query),
          tensor_(attention_.mapping.tensor_parallel) {}

    DisaggregatedStep build() {
        // What comes and goes has the formats of the pool that sends first.
        experts_.precision.dispatch = attention_.precision.dispatch;
        experts_.precision.combine = attention_.precision.combine;
        DisaggregatedStep step;
        const ModelSpec& model = attention_.model;
        {
            Chain chain(step.enter, attention_.engine, attention_ranks());
            chain.run(kernels_of(step.enter, embedding_block(model, attention_.precision, tokens_),
                                 attention_.engine, false));
        }
        {
            // Of a prompt the last token alone is asked for its next one.
            const long outputs =
                attention_.phase == Phase::prefill ? attention_.sequences_per_group : tokens_;
            Chain chain(step.leave, attention_.engine, attention_ranks());
            chain.run(kernels_of(step.leave,
                                 head_block(model, attention_.precision, outputs, tensor_),
                                 attention_.engine, false));
        }
        std::vector<std::pair<LayerKind, std::size_t>> known;
        const long layers = layer_count(model);
        const int stages = feed_forward_.mapping.pipeline_parallel;
        for (int stage = 0; stage < stages; ++stage) {
            const LayerRange range = stage_layers(layers, stages, stage);
            for (long i = range.begin; i < range.end; ++i) {
                const LayerKind& kind = at(model.layers, static_cast<int>(i));
                const std::pair key{kind, kind.experts ? expert_layout_.balance_of(i) : 0};
                auto found = std::find(known.begin(), known.end(), key);
                if (found == known.end()) {
                    step.alike.push_back(layer_of(kind, key.second));
                    known.push_back(key);
                    found = std::prev(known.end());
                }
                step.layers.push_back(static_cast<int>(found - known.begin()));
                step.stages.push_back(stage);
            }
        }
        return step;
    }

  private:
    std::vector<RankClass> attention_ranks() const {
        return {{"attention ranks", attention_.mapping.ranks()}};
    }

    DisaggregatedLayer layer_of(const LayerKind& kind, std::size_t balance) const {
        DisaggregatedLayer layer;
        add_attention(kind, layer);
        kind.experts ? add_experts(balance, layer) : add_dense(layer);
        return layer;
    }

    // Of the group's tokens each rank sends its own part.
    long own_tokens() const { return tokens_to_experts(attention_, tokens_); }

    void add_attention(const LayerKind& kind, DisaggregatedLayer& layer) const {
        const Bytes hidden = hidden_bytes(attention_, tokens_);
        const ModelSpec& model = attention_.model;
        const StepShape shape{attention_.phase, attention_.sequences_per_group,
                              pass_.query,      pass_.context,
                              tensor_,          AttentionSplit::heads};
        {
            Chain chain(layer.attention, attention_.engine, attention_ranks());
            chain.run(kernels_of(layer.attention,
                                 attention_block(model, attention_.precision, shape, kind),
                                 attention_.engine, true));
            chain.join("attention reduce-scatter", TransferType::reduce_scatter, tensor_, {hidden});
            if (kind.experts)
                chain.run(kernels_of(
                    layer.attention,
                    router_block(model, attention_.precision, own_tokens(), kind.hash_routed),
                    attention_.engine, false));
        }
        Chain chain(layer.sum, attention_.engine, attention_ranks());
        if (kind.experts)
            chain.run(kernels_of(
                layer.sum,
                combine_block(model, attention_.precision, own_tokens(), copies_of_token()),
                attention_.engine, false));
        chain.join("hidden all-gather", TransferType::all_gather, tensor_, {hidden});
    }

    // Rows of a token on each way in a MoE layer.
    long copies_of_token() const {
        const ModelSpec& model = attention_.model;
        return model.experts_per_token + (model.shared_intermediate > 0 ? 1 : 0);
    }

    void set_ways(DisaggregatedLayer& layer, double copies, double rows_received) const {
        const Precision& formats = attention_.precision;
        const Bytes there = dispatched_token(attention_.model, formats.dispatch),
                    back = dispatched_token(attention_.model, formats.combine);
        layer.rows = copies * static_cast<double>(own_tokens());
        layer.sent = layer.rows * there;
        layer.returned = layer.rows * back;
        layer.received = rows_received * there;
        layer.sent_back = rows_received * back;
    }

    void add_experts(std::size_t balance, DisaggregatedLayer& layer) const {
        const ModelSpec& model = experts_.model;
        const int tensor = feed_forward_.mapping.tensor_parallel;
        const Asked asked = asked_of(experts_, expert_layout_, all_tokens(attention_), balance);
        layer.imbalance = asked.imbalance;
        const int groups = expert_layout_.groups;
        std::vector<RankClass> classes = {
            {"expert ranks", groups * expert_layout_.routed_ranks * tensor}};
        if (expert_layout_.uneven())
            classes = {{"busiest expert ranks", groups * tensor},
                       {"other expert ranks", groups * (expert_layout_.routed_ranks - 1) * tensor}};
        std::vector<double> rows = {asked.busiest_tokens + static_cast<double>(asked.shared)};
        if (expert_layout_.uneven())
            rows.push_back(asked.other_tokens + static_cast<double>(asked.shared));
        const auto sizes = [&](DType format) {
            std::vector<Bytes> bytes;
            for (const double one : rows) bytes.push_back(one * dispatched_token(model, format));
            return bytes;
        };
        Program& program = layer.feed_forward;
        Chain chain(program, experts_.engine, classes);
        chain.join("token all-gather", TransferType::all_gather, tensor,
                   sizes(attention_.precision.dispatch));
        for (std::size_t c = 0; c < classes.size(); ++c) {
            const ExpertRows& own = c == 0 ? asked.busiest : asked.others;
            chain.run(
                kernels_of(program, expert_block(model, experts_.precision, own, "expert", tensor),
                           experts_.engine, false),
                c);
            if (asked.shared > 0)
                chain.run(kernels_of(program,
                                     expert_block(model, experts_.precision, {1, asked.shared},
                                                  "shared_expert", tensor),
                                     experts_.engine, false),
                          c);
        }
        chain.join("expert reduce-scatter", TransferType::reduce_scatter, tensor,
                   sizes(attention_.precision.combine));
        set_ways(layer, static_cast<double>(copies_of_token()), rows.front() / tensor);
    }

    void add_dense(DisaggregatedLayer& layer) const {
        const int tensor = feed_forward_.mapping.tensor_parallel;
        const int groups = feed_forward_.mapping.data_parallel;
        const auto rows = static_cast<long>(std::ceil(all_tokens(attention_) / groups));
        const Bytes hidden = hidden_bytes(experts_, rows);
        Program& program = layer.feed_forward;
        Chain chain(program, experts_.engine,
                    {{"dense ranks", feed_forward_.mapping.stage_ranks()}});
        chain.join("token all-gather", TransferType::all_gather, tensor, {hidden});
        chain.run(kernels_of(program,
                             dense_ffn_block(experts_.model, experts_.precision, rows, tensor),
                             experts_.engine, false));
        chain.join("dense reduce-scatter", TransferType::reduce_scatter, tensor, {hidden});
        set_ways(layer, 1, static_cast<double>(rows) / tensor);
    }

    StepSpec attention_, experts_;
    const StepSpec& feed_forward_;
    ExpertLayout attention_layout_, expert_layout_;
    StepSpec::Pass pass_;
    long tokens_;
    int tensor_;
};

void look_at_attention(const StepSpec& spec, std::vector<DisaggregatedError>& problems) {
    const auto refuse = [&](const char* key, std::string why) {
        problems.push_back({false, StepError(key, std::move(why))});
    };
    const MappingSpec& mapping = spec.mapping;
    if (mapping.pipeline_parallel != 1)
        refuse("mapping.pipeline_parallel",
               fmt::format("is {}: micro-batches go between attention and feed-forward pools in "
                           "place of stages, expected 1",
                           mapping.pipeline_parallel));
    if (mapping.attention != AttentionSplit::heads)
        refuse("mapping.attention", "is sp-tp-sp beside a feed-forward pool, expected tp");
    if (mapping.head_parallel != 1)
        refuse("mapping.head_parallel",
               fmt::format("is {} beside a feed-forward pool, expected 1", mapping.head_parallel));
    if (spec.speculation.draft_tokens > 0)
        refuse("speculation", "is not modelled where attention and feed-forward blocks are apart");
    if (!spec.model.engram.layers.empty())
        refuse("model", spec.model.name +
                            " has conditional memory, which is not modelled where attention and "
                            "feed-forward blocks are apart");
    if (const std::string heads = division_problem(spec.model, mapping.tensor_parallel);
        !heads.empty())
        refuse("mapping.tensor_parallel", heads);
}

void look_at_feed_forward(const StepSpec& spec, std::vector<DisaggregatedError>& problems) {
    const auto refuse = [&](const char* key, std::string why) {
        problems.push_back({true, StepError(key, std::move(why))});
    };
    const MappingSpec& mapping = spec.mapping;
    if (mapping.micro_batches != 1)
        refuse("mapping.micro_batches",
               fmt::format("is {}: the attention pool says how many are between the two, expected "
                           "none here",
                           mapping.micro_batches));
    if (spec.experts.shared_ranks != 0)
        refuse("experts.shared_ranks",
               fmt::format("is {}: every rank of a feed-forward pool has its part of the shared "
                           "expert's tokens, expected 0",
                           spec.experts.shared_ranks));
    if (spec.experts.exchange != ExpertExchange::all_to_all)
        refuse("experts.exchange", "is not all_to_all: tokens come from the attention pool");
    const int layers = static_cast<int>(layer_count(spec.model));
    if (mapping.pipeline_parallel > layers)
        refuse("mapping.pipeline_parallel",
               fmt::format("is {}: {} has {} layers", mapping.pipeline_parallel, spec.model.name,
                           layers));
    const long widths[] = {spec.model.routed_experts > 0 ? spec.model.expert_intermediate : 0,
                           spec.model.dense_intermediate, spec.model.shared_intermediate};
    for (const long width : widths) {
        if (width % mapping.tensor_parallel == 0) continue;
        refuse("mapping.tensor_parallel",
               fmt::format("{} does not divide a width of {}", mapping.tensor_parallel, width));
        break;
    }
    if (mapping.stage_ranks() % mapping.expert_parallel != 0 ||
        mapping.expert_parallel % mapping.tensor_parallel != 0) {
        refuse(
            "mapping.expert_parallel",
            fmt::format("is {}: a multiple of tensor_parallel {} that divides the {} ranks of a "
                        "stage is expected",
                        mapping.expert_parallel, mapping.tensor_parallel, mapping.stage_ranks()));
        return;
    }
    try {
        (void)expert_layout(expert_side(spec));
    } catch (const StepError& error) {
        problems.push_back({true, error});
    }
}

}  // namespace

std::vector<DisaggregatedError> disaggregated_problems(const DisaggregatedSpec& spec) {
    std::vector<DisaggregatedError> problems;
    for (const bool of_feed_forward : {false, true}) {
        const MappingSpec& mapping = (of_feed_forward ? spec.feed_forward : spec.attention).mapping;
        for (const auto& [key, degree] :
             {std::pair{"mapping.data_parallel", mapping.data_parallel},
              std::pair{"mapping.tensor_parallel", mapping.tensor_parallel},
              std::pair{"mapping.expert_parallel", mapping.expert_parallel},
              std::pair{"mapping.pipeline_parallel", mapping.pipeline_parallel},
              std::pair{"mapping.micro_batches", mapping.micro_batches}}) {
            if (degree < 1)
                problems.push_back(
                    {of_feed_forward,
                     StepError(key, fmt::format("is {}, expected at least 1", degree))});
        }
        if (mapping.context_parallel() != 1)
            problems.push_back(
                {of_feed_forward,
                 StepError("mapping.context_parallel",
                           fmt::format("is {} where attention and feed-forward blocks are apart, "
                                       "expected 1",
                                       mapping.context_parallel()))});
    }
    // The others divide by these.
    if (!problems.empty()) return problems;
    look_at_attention(spec.attention, problems);
    look_at_feed_forward(spec.feed_forward, problems);
    return problems;
}

DisaggregatedStep build_disaggregated(const DisaggregatedSpec& spec) {
    const std::vector<DisaggregatedError> problems = disaggregated_problems(spec);
    if (!problems.empty()) throw StepError(problems.front().error);
    return Builder(spec).build();
}

MemoryNeed attention_memory(const DisaggregatedSpec& spec) {
    const StepSpec own = attention_side(spec.attention);
    MemoryNeed need = step_memory(own, expert_layout(own)).front();
    const ModelSpec& model = own.model;
    long longest = 0;
    for (const StepSpec::Pass& pass : own.passes()) longest = std::max(longest, pass.query);
    const double rows =
        static_cast<double>(tokens_to_experts(own, own.sequences_per_group * longest)) *
        static_cast<double>(model.experts_per_token + (model.shared_intermediate > 0 ? 1 : 0));
    std::vector<std::pair<std::string, Bytes>> kept;
    for (const auto& [part, size] : need.parts) {
        if (part == "routed experts" || part == "shared expert" || part == "dense FFN weights")
            continue;
        kept.emplace_back(part, part == "exchange buffers"
                                    ? rows * (dispatched_token(model, own.precision.dispatch) +
                                              dispatched_token(model, own.precision.combine))
                                    : size);
    }
    need.rank_class = "attention ranks";
    need.parts = std::move(kept);
    return need;
}

MemoryNeed feed_forward_memory(const DisaggregatedSpec& spec) {
    const StepSpec own = expert_side(spec.feed_forward);
    const ModelSpec& model = own.model;
    const ExpertLayout layout = expert_layout(own);
    const double tensor = spec.feed_forward.mapping.tensor_parallel;
    const WeightBytes weights = weight_bytes(model, own.precision, 1);
    MemoryNeed fullest;
    for (int stage = 0; stage < layout.stages; ++stage) {
        const LayerRange range = stage_layers(layer_count(model), layout.stages, stage);
        double sparse = 0, dense = 0, rows = 0, imbalance = 1;
        for (const LayerCount& one : layer_kinds(model, range.begin, range.end))
            (one.kind.experts ? sparse : dense) += static_cast<double>(one.count);
        const double tokens = all_tokens(spec.attention);
        for (std::size_t i = 0; sparse > 0 && i < std::max<std::size_t>(1, layout.balances.size());
             ++i) {
            const Asked asked = asked_of(own, layout, tokens, i);
            imbalance = std::max(imbalance, asked.imbalance);
            rows = std::max(rows, asked.busiest_tokens + static_cast<double>(asked.shared));
        }
        if (dense > 0) rows = std::max(rows, tokens / own.mapping.data_parallel);
        const double widest =
            std::max({static_cast<double>(model.hidden),
                      (model.gated ? 2.0 : 1.0) *
                          static_cast<double>(std::max(sparse > 0 ? model.expert_intermediate : 0,
                                                       dense > 0 ? model.dense_intermediate : 0)) /
                          tensor});
        MemoryNeed need;
        need.rank_class = "feed-forward ranks";
        need.parts = {
            {"routed experts",
             sparse * static_cast<double>(layout.slots_per_rank) * weights.routed_expert / tensor},
            {"shared expert", sparse * weights.shared_expert / tensor},
            {"dense FFN weights", dense * weights.dense_ffn / tensor},
            // Of a group's rows, which each of its ranks has whole, the widest product and its sum.
            {"activations", Bytes(rows * 2.0 * (widest + static_cast<double>(model.hidden)))},
            {"exchange buffers", rows / tensor *
                                     (dispatched_token(model, spec.attention.precision.dispatch) +
                                      dispatched_token(model, spec.attention.precision.combine))},
            {"runtime reserve", own.engine.memory_reserve.value}};
        if (need.total() > fullest.total()) fullest = std::move(need);
    }
    return fullest;
}

}  // namespace podsim
