// What fills the memory of each class of ranks.
#include <algorithm>
#include <cmath>

#include "base/at.hpp"
#include "models/sizes.hpp"
#include "workloads/expert_offload.hpp"
#include "workloads/pipeline.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {

Bytes MemoryNeed::total() const {
    Bytes sum(0.0);
    for (const auto& [name, size] : parts) sum += size;
    return sum;
}

namespace {

// What a stage's layers hold together, its draft modules' among them.
struct StageLayers {
    double dense = 0, experts = 0;  // layers with either
    Bytes attention{0.0};           // weights, with norms
    Bytes cache{0.0};               // of one sequence
    double widest = 0;              // elements of a token
    double looked_up = 0;           // elements of conditional memory a token waits for
    // Of one sequence, what ranks that share it pass on, of the layer with the most.
    Bytes passed{0.0};
};

Bytes whole_cache(const StepSpec& spec, const AttentionSpec& attention, int tensor) {
    return layer_cache(attention, spec.context, tensor).bytes(spec.precision);
}

// Of one sequence in one layer. Heads that are cut over ranks keep their own keys and values, of
// which there is a copy where there are fewer of them than ranks.
Bytes kept_of(const StepSpec& spec, const AttentionSpec& attention) {
    const int tensor = spec.mapping.tensor_parallel, sharing = spec.mapping.context_parallel();
    const bool by_heads = spec.phase == Phase::prefill &&
                          spec.mapping.context.context_exchange == ContextExchange::all_to_all &&
                          std::holds_alternative<GroupedQueryAttention>(attention);
    if (by_heads) return whole_cache(spec, attention, tensor * sharing);
    return whole_cache(spec, attention, tensor) * (1.0 / sharing);
}

// Beside it: a ring has a part in use and one that arrives; what is gathered is there at once, and
// what goes to the ranks of its heads stays there.
Bytes passed_of(const StepSpec& spec, const AttentionSpec& attention) {
    const double sharing = spec.mapping.context_parallel();
    const bool ring = spec.mapping.context.context_exchange == ContextExchange::ring;
    if (spec.mapping.context.context_exchange == ContextExchange::all_to_all &&
        std::holds_alternative<GroupedQueryAttention>(attention))
        return Bytes(0.0);
    return whole_cache(spec, attention, spec.mapping.tensor_parallel) *
           (ring ? std::min(1.0, 2 / sharing) : 1.0);
}

StageLayers layers_of(const StepSpec& spec, const LayerRange& range, double drafts,
                      const WeightBytes& weights) {
    const ModelSpec& model = spec.model;
    const int tensor = spec.mapping.tensor_parallel;
    std::vector<std::pair<LayerKind, double>> alike;
    for (const LayerCount& one : layer_kinds(model, range.begin, range.end))
        alike.emplace_back(one.kind, static_cast<double>(one.count));
    if (drafts > 0) alike.emplace_back(model.draft_layer, drafts);
    StageLayers sum;
    for (const auto& [kind, count] : alike) {
        (kind.experts ? sum.experts : sum.dense) += count;
        const AttentionSpec& attention = at(model.attentions, kind.attention);
        sum.attention += count * (at(weights.attention, kind.attention) + weights.norms +
                                  (kind.engram ? weights.engram : Bytes(0.0)));
        if (kind.engram) sum.looked_up += count * static_cast<double>(model.engram.memory_width());
        // The latent cache of MLA is whole on every rank of a tensor-parallel group, unless that
        // divides tokens. Ranks that share sequences have a part of the tokens each, or of the
        // heads.
        const int owners = spec.mapping.attention == AttentionSplit::sp_tp_sp ? tensor : 1;
        const int sharing = spec.mapping.context_parallel();
        sum.cache += kept_of(spec, attention) * (count / owners);
        if (sharing > 1 && spec.phase == Phase::prefill)
            sum.passed = max(sum.passed, passed_of(spec, attention));
        const bool is_decode = spec.phase == Phase::decode;
        sum.widest = std::max(sum.widest, widest_of_attention(attention, is_decode, tensor));
    }
    return sum;
}

// Live in a tower at once, for `prompts`: hidden states and residual in BF16, the widest product.
Bytes tower_activations(const StepImages& images, double prompts, int tensor) {
    const VisionTower& tower = images.tower;
    const double own = std::ceil(prompts * static_cast<double>(images.count) / tensor);
    const long ffn = (tower.gemma ? 2 : 1) * tower.intermediate;
    const auto widest =
        static_cast<double>(std::max({3 * tower.heads * tower.head_dim, ffn, tower.hidden}));
    const double patches = own * static_cast<double>(patch_grid(tower, images.size).patches());
    return Bytes(patches * (4.0 * static_cast<double>(tower.hidden) + 2.0 * widest) * 2.0);
}

// By class of one stage: its own layers, the embedding in the first, head and drafts in the last.
std::vector<MemoryNeed> stage_memory(const StepSpec& spec, const ExpertLayout& layout, int stage) {
    const ModelSpec& model = spec.model;
    const int stages = layout.stages;
    const bool is_first = stage == 0, is_last = stage + 1 == stages;
    const LayerRange own_layers = stage_layers(layer_count(model), stages, stage);
    const int tensor = spec.mapping.tensor_parallel;
    const AttentionSplit split = spec.mapping.attention;
    const bool splits_tokens = split == AttentionSplit::sp_tp_sp;
    const WeightBytes weights = weight_bytes(model, spec.precision, tensor, split);
    const double drafts = is_last && spec.speculation.draft_tokens > 0 && !spec.speculation.draft
                              ? static_cast<double>(model.draft_layers)
                              : 0.0;
    const StageLayers held = layers_of(spec, own_layers, drafts, weights);
    const double sequences = static_cast<double>(spec.sequences_per_group);
    long longest = 0;  // new tokens of a sequence in one pass
    for (const auto& pass : spec.passes()) longest = std::max(longest, pass.query);
    // At work at a time: all of them, or the larger pipeline batch.
    const long working = even_part(spec.sequences_per_group, stages, 0);
    const auto tokens = static_cast<double>(group_tokens(spec, working, longest));
    // Tokens whose next one is asked for.
    const double heads = !is_last ? 0.0
                         : spec.phase == Phase::prefill
                             ? static_cast<double>(last_tokens(spec, working))
                             : tokens;

    const int shared_heads = spec.mapping.head_parallel;
    const Bytes head = head_bytes(model, tensor * shared_heads);

    MemoryNeed common;
    common.parts.emplace_back("attention weights", held.attention + drafts * weights.draft_extra);
    common.parts.emplace_back("dense FFN weights", held.dense * weights.dense_ffn);
    // A head that is the embedding, and drafts, need the embedding in the last stage too.
    const bool embeds = is_first || (is_last && (model.tied_embedding || drafts > 0));
    common.parts.emplace_back("embedding and head", (embeds ? weights.embedding : Bytes(0.0)) +
                                                        (is_last ? head : Bytes(0.0)));
    common.parts.emplace_back("KV cache", sequences * held.cache);
    // Live at once: hidden states and residual in BF16, the widest product, the logits in FP32.
    const double ffn = static_cast<double>((model.gated ? 2 : 1) * model.dense_intermediate);
    // Where the cache is cut every rank attends with all of the group's tokens.
    const bool gathers = spec.phase == Phase::decode && spec.mapping.context_parallel() > 1;
    const double attending = gathers ? static_cast<double>(working * longest) / tokens : 1.0;
    const double widest =
        std::max({attending * held.widest, ffn / tensor, static_cast<double>(model.hidden)});
    const double hidden_tokens = splits_tokens ? std::ceil(tokens / tensor) : tokens;
    const double activations =
        (hidden_tokens * 4.0 * static_cast<double>(model.hidden * model.streams) +
         tokens * (2.0 * widest + held.looked_up)) *
            2.0 +
        heads * static_cast<double>(model.vocabulary) / tensor * 4.0;
    // The tower is done before the layers begin.
    const Bytes before = is_first && spec.images
                             ? tower_activations(*spec.images, static_cast<double>(working), tensor)
                             : Bytes(0.0);
    if (is_first && spec.images)
        common.parts.emplace_back("vision tower", weight_bytes(spec.images->tower));
    common.parts.emplace_back("activations", max(Bytes(activations), before));
    if (held.passed > Bytes(0.0))
        common.parts.emplace_back("context buffers", static_cast<double>(working) * held.passed);
    common.parts.emplace_back("runtime reserve", spec.engine.memory_reserve.value);

    std::vector<MemoryNeed> needs;
    const bool apart = layout.shared_ranks > 0;
    const std::vector<RankClass> classes = rank_classes(layout);
    const std::size_t first_class = classes.size() / stages * stage;
    const auto add = [&](Bytes routed, Bytes shared, double received) {
        MemoryNeed need = common;
        need.rank_class = classes[first_class + needs.size()].name;
        need.parts.emplace_back("routed experts", held.experts * routed);
        need.parts.emplace_back("shared expert", held.experts * shared);
        need.parts.emplace_back("router", held.experts * weights.router);
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
    const double own = mean_tokens_to_experts(spec, working, longest);
    ExpertLoad load;
    long busiest = 0, elsewhere = 0;
    for (std::size_t i = 0; i < std::max<std::size_t>(1, layout.balances.size()); ++i) {
        load = expert_load(spec, layout, own, i);
        busiest = std::max(busiest, load.here.rows());
        elsewhere = std::max(elsewhere, load.elsewhere.rows());
    }
    const long staying = resident_slots(spec.experts.offload, layout.slots_per_rank);
    const Bytes routed = static_cast<double>(staying) * weights.routed_expert / layout.width_ranks;
    const Bytes fetched = held.experts > 0 ? fetch_buffers(spec, layout, own) : Bytes(0.0);
    if (fetched > Bytes(0.0)) common.parts.emplace_back("expert buffers", fetched);
    const Bytes beside =
        apart ? Bytes(0.0) : weights.shared_expert / (sees_group(spec) ? tensor : 1);
    add(routed, beside, static_cast<double>(busiest));
    if (layout.uneven()) add(routed, beside, static_cast<double>(elsewhere));
    if (apart)
        add(Bytes(0.0), weights.shared_expert, static_cast<double>(load.tokens_per_shared_rank));
    return needs;
}

// The model that drafts is whole in the last stage: its weights, and its cache of every sequence.
void add_draft(const StepSpec& spec, std::vector<MemoryNeed>& needs, std::size_t first) {
    const StepSpec draft = draft_spec(spec);
    const MemoryNeed own = stage_memory(draft, expert_layout(draft), 0).front();
    Bytes weights(0.0), cache(0.0);
    for (const auto& [part, size] : own.parts) {
        if (part == "KV cache") cache += size;
        if (part == "attention weights" || part == "dense FFN weights" ||
            part == "embedding and head")
            weights += size;
    }
    for (std::size_t i = first; i < needs.size(); ++i) {
        for (auto& [part, size] : needs[i].parts) {
            if (part == "KV cache") size += cache;
        }
        needs[i].parts.emplace_back("draft model", weights);
    }
}

}  // namespace

std::vector<MemoryNeed> step_memory(const StepSpec& spec, const ExpertLayout& layout) {
    std::vector<MemoryNeed> needs;
    std::size_t last = 0;  // where the last stage's begin
    for (int stage = 0; stage < layout.stages; ++stage) {
        last = needs.size();
        for (MemoryNeed& need : stage_memory(spec, layout, stage)) needs.push_back(std::move(need));
    }
    if (spec.speculation.draft) add_draft(spec, needs, last);
    return needs;
}

Bytes prefix_bytes(const StepSpec& spec, int stage) {
    StepSpec prefix = spec;
    prefix.context = spec.context - spec.prompt;
    const LayerRange range =
        stage_layers(layer_count(spec.model), spec.mapping.pipeline_parallel, stage);
    const WeightBytes weights = weight_bytes(spec.model, spec.precision,
                                             spec.mapping.tensor_parallel, spec.mapping.attention);
    return static_cast<double>(spec.sequences_per_group) *
           layers_of(prefix, range, 0.0, weights).cache;
}

}  // namespace podsim
