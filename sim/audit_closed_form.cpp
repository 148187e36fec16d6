#include "sim/audit_closed_form.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

namespace podsim {

namespace {

// Doubles hold these counts exactly up to 2^53; quotients of them may be off by a rounding.
bool is_whole(double value) {
    return std::abs(value - std::round(value)) <= 1e-9 * std::max(1.0, std::abs(value));
}

double rounded_up(double value) {
    return is_whole(value) ? std::round(value) : std::ceil(value);
}

// On one rank of a tensor-parallel group; fewer kv heads than ranks are copied.
double kv_heads_of_rank(const AuditMapping& map, const AuditModel& m) {
    return std::max(1.0, m.kv_heads / map.tensor_parallel);
}

// Elements that a token adds to the cache of a rank, a layer. The latents are whole on each.
double cache_elements(const AuditMapping& map, const AuditModel& m) {
    return m.latent ? m.kv_rank + m.rope : 2 * kv_heads_of_rank(map, m) * m.head_dim;
}

// Attention's products with weights: parameters on one rank. absorbed: the kv up-projection, of
// which decode multiplies queries and results, and prefill the latents of all that it sees.
struct AttentionParameters {
    double linear = 0, absorbed = 0;
};

AttentionParameters attention_parameters(const AuditMapping& map, const AuditModel& m) {
    const double heads = m.heads / map.tensor_parallel;
    if (!m.latent) {
        return {m.hidden * (heads + 2 * kv_heads_of_rank(map, m)) * m.head_dim +
                    heads * m.head_dim * m.hidden,
                0};
    }
    // Down-projections yield what every rank of the group needs whole: each computes them.
    const double down = m.hidden * (m.query_rank + m.kv_rank + m.rope);
    const double up = (m.query_rank > 0 ? m.query_rank : m.hidden) * heads * (m.nope + m.rope);
    const double output = (map.splits_tokens ? m.heads : heads) * m.value * m.hidden;
    return {down + up + output, heads * m.kv_rank * (m.nope + m.value)};
}

// Multiply-adds of one token with attention's weights on all ranks of a group, the kv up-projection
// apart. Where tokens are divided no rank repeats another's down-projection.
double attention_work(const AuditMapping& map, const AuditModel& m) {
    const AttentionParameters held = attention_parameters(map, m);
    if (!map.splits_tokens) return held.linear * map.tensor_parallel;
    AuditMapping alone = map;
    alone.tensor_parallel = 1;
    return attention_parameters(alone, m).linear;
}

constexpr const char* table_format = "bf16";  // of embedding, head, router, draft projection
constexpr double table_bytes = 2;

// Multiply-adds of one token, on all ranks of a tensor-parallel group.
struct PerToken {
    double attention_linear = 0, attention_inner = 0;  // inner: the core and the absorbed products
    double dense = 0, router = 0, expert = 0, shared = 0, head = 0, draft_projection = 0;
    double moe(const AuditModel& model) const {
        return router + model.experts_per_token * expert + shared;
    }
};

PerToken work_per_token(const AuditFacts& facts, const AuditModel& m) {
    const double tensor = facts.mapping.tensor_parallel;
    const AttentionParameters attention = attention_parameters(facts.mapping, m);
    const double pair = m.latent ? 2 * m.kv_rank + m.rope : 2 * m.head_dim;
    PerToken work;
    work.attention_linear = attention_work(facts.mapping, m);
    work.attention_inner = attention.absorbed * tensor + m.heads * facts.step->context * pair;
    work.dense = 3 * m.hidden * tensor * std::ceil(m.dense_intermediate / tensor);
    work.router = m.hidden * m.routed_experts;
    work.expert = 3 * m.hidden * m.expert_intermediate;
    work.shared = work.expert * m.shared_experts;
    const double parts = tensor * facts.mapping.head_parallel;  // of the vocabulary
    work.head = m.hidden * parts * std::ceil(m.vocabulary / parts);
    // Each rank of a group works on all its tokens, or where they are divided on its own.
    work.draft_projection = 2 * m.hidden * m.hidden * (facts.mapping.splits_tokens ? 1 : tensor);
    return work;
}

// One pass of a MoE layer over `tokens` of one data-parallel group: what rounding to whole tokens
// adds on all ranks, in multiply-adds.
double moe_rounding(const AuditFacts& facts, const AuditModel& m, const PerToken& work,
                    double tokens) {
    const AuditMapping& map = facts.mapping;
    // Of one rank: where the ranks of a group see all its tokens, each routes them, and together
    // they work on them once.
    const double own = rounded_up(tokens / map.tensor_parallel);
    double extra = map.sees_group()
                       ? tokens * map.data_parallel * (map.tensor_parallel - 1) * work.router
                       : (own * map.stage_ranks() - tokens * map.data_parallel) * work.moe(m);
    if (map.sees_group()) {
        const double width = m.expert_intermediate * m.shared_experts;
        extra += tokens * map.data_parallel * 3 * m.hidden *
                 (map.tensor_parallel * std::ceil(width / map.tensor_parallel) - width);
    }
    const double groups = map.stage_ranks() / map.expert_parallel;
    const double routed_ranks = map.expert_parallel - map.shared_ranks;
    const double slots = (m.routed_experts + map.redundant_experts) / routed_ranks;
    const double arriving = (map.sees_group() ? tokens : own * map.expert_parallel) *
                            m.experts_per_token / routed_ranks;
    const bool each_whole =
        map.balanced && is_whole(arriving < slots ? arriving : arriving / slots);
    if (!each_whole) extra += groups * routed_ranks * slots * work.expert;
    if (map.shared_ranks > 0) {
        const double shared = own * map.expert_parallel / map.shared_ranks;
        if (!is_whole(shared)) extra += groups * map.shared_ranks * work.shared;
    }
    return extra;
}

// Weights that one rank of all layers reads at least once, without scales, routers and norms: with
// pipeline stages that a rank of each stage reads, together.
double weight_bytes_per_rank(const AuditFacts& facts, const AuditModel& m, double moe_passes,
                             double tokens_per_rank) {
    const AuditMapping& map = facts.mapping;
    const AuditFormats& formats = facts.formats;
    const AttentionParameters parameters = attention_parameters(map, m);
    // Prefill expands latents by a product of activations and weights like any other.
    const AuditFormat& expansion = facts.step->is_prefill() ? formats.weights : formats.attention;
    const double attention =
        parameters.linear * formats.weights.bytes + parameters.absorbed * expansion.bytes;
    const double expert = 3 * m.hidden * m.expert_intermediate;
    const double routed_ranks = map.expert_parallel - map.shared_ranks;
    const double slots = (m.routed_experts + map.redundant_experts) / routed_ranks;
    const double arriving =
        tokens_per_rank * map.expert_parallel * m.experts_per_token / routed_ranks;
    // Means over the ranks of an expert group, those with the shared expert alone included. Of
    // unpopular experts nobody may ask anything.
    const double asked = map.balanced ? std::min(slots, arriving) : 0;
    const double routed =
        asked * expert * routed_ranks / map.expert_parallel * formats.experts.bytes;
    const double shared = expert * m.shared_experts * formats.weights.bytes *
                          (map.shared_ranks > 0 ? map.shared_ranks / map.expert_parallel : 1.0) /
                          (map.sees_group() ? map.tensor_parallel : 1.0);
    return (m.dense_layers + moe_passes) * attention +
           m.dense_layers * 3 * m.hidden * m.dense_intermediate / map.tensor_parallel *
               formats.weights.bytes +
           moe_passes * (routed + shared) +
           m.hidden * m.vocabulary / map.tensor_parallel / map.head_parallel * table_bytes;
}

double at(const nlohmann::ordered_json& tree, const char* key) {
    const auto found = tree.find(key);
    if (found == tree.end() || !found->is_number()) {
        throw std::runtime_error(std::string("workload: has no number ") + key);
    }
    return found->get<double>();
}

double at_or(const nlohmann::ordered_json& tree, const char* key, double absent) {
    return tree.contains(key) ? at(tree, key) : absent;
}

std::string word(const nlohmann::ordered_json& tree, const char* key) {
    const auto found = tree.find(key);
    if (found == tree.end() || !found->is_string()) {
        throw std::runtime_error(std::string("workload: has no ") + key);
    }
    return found->get<std::string>();
}

}  // namespace

namespace {

// Payload of dispatch and combine for `moe_tokens` tokens through MoE layers, of all ranks.
void add_exchange(ClosedForm& form, const AuditFacts& facts, const AuditModel& m,
                  double moe_tokens) {
    const AuditMapping& map = facts.mapping;
    if (map.gathers) {
        // A token reaches each other rank of its group, unless all have it; a sum over a group's
        // ranks takes at least one row from each but one.
        const double ways = map.expert_parallel - 1;
        const double row = m.hidden * ((map.sees_group() ? 0 : facts.formats.dispatch.bytes) +
                                       facts.formats.combine.bytes);
        form.exchange_bytes = moe_tokens * ways * row;
        return;
    }
    // A token goes once to the rank with the shared experts, however many those are.
    const double copies = m.experts_per_token + (map.shared_ranks > 0 ? 1 : 0);
    const double payload = moe_tokens * copies * m.hidden *
                           (facts.formats.dispatch.bytes + facts.formats.combine.bytes);
    const double group = map.expert_parallel;
    const double local =
        std::min(group, facts.hardware.domain_chips * facts.hardware.ranks_per_chip);
    form.exchange_bytes = payload * (group - 1) / group;
    form.scale_out_bytes = payload * (group - local) / group;
}

// Of `whole` things in `parts`, each whole, how many the part `which` has: the first hold one more.
double even_share(double whole, double parts, double which) {
    const double even = std::floor(whole / parts);
    return even + (which < whole - even * parts ? 1 : 0);
}

// Whole sequences to each micro-batch or pipeline batch.
std::vector<double> sequences_of_parts(const AuditMapping& map, double sequences) {
    const double count = map.micro_batches * map.pipeline_parallel;
    std::vector<double> parts;
    for (double part = 0; part < count; ++part)
        parts.push_back(even_share(sequences / map.data_parallel, count, part));
    return parts;
}

// Weights that all ranks read at least: once, or with pipeline stages once for each batch. `tokens`
// of each sequence.
double weight_bytes_of_all(const AuditFacts& facts, const AuditModel& m, double sequences,
                           double tokens, double moe_passes) {
    const AuditMapping& map = facts.mapping;
    std::vector<double> batches = {sequences / map.data_parallel};
    if (map.pipeline_parallel > 1) batches = sequences_of_parts(map, sequences);
    double bytes = 0;
    for (const double batch : batches) {
        bytes += map.stage_ranks() *
                 weight_bytes_per_rank(facts, m, moe_passes, batch * tokens / map.tensor_parallel);
    }
    return bytes;
}

// What one pipeline stage has of the model.
struct StageShare {
    double dense_layers = 0, moe_layers = 0;
    bool first = true, last = true;
    double layers() const { return dense_layers + moe_layers; }
};

StageShare share_of_stage(const AuditMapping& map, const AuditModel& m, double stage) {
    const double stages = map.pipeline_parallel;
    double before = 0;
    for (double other = 0; other < stage; ++other) before += even_share(m.layers, stages, other);
    const double own = even_share(m.layers, stages, stage);
    StageShare share;
    share.dense_layers = std::min(own, std::max(0.0, m.dense_layers - before));
    share.moe_layers = own - share.dense_layers;
    share.first = stage == 0;
    share.last = stage + 1 == stages;
    return share;
}

// `tokens` of all sequences and passes go from stage to stage. Ranks next to each other share a
// domain; a stage that fills domains sends beyond them.
void add_handed(ClosedForm& form, const AuditFacts& facts, const AuditModel& m, double tokens) {
    const AuditMapping& map = facts.mapping;
    form.handed_bytes = tokens * m.hidden * table_bytes * (map.pipeline_parallel - 1);
    const double domain = facts.hardware.domain_chips * facts.hardware.ranks_per_chip;
    if (map.stage_ranks() >= domain) form.handed_out_bytes = form.handed_bytes;
}

// Multiply-adds of one sequence in the next stage, by format.
void add_stage_work(ClosedForm& form, double sequences,
                    const std::vector<std::pair<std::string, double>>& multiply_adds) {
    double& stage = form.stage_flops.emplace_back(0);
    for (const auto& [format, amount] : multiply_adds) {
        form.flops_by_format[format] += 2 * sequences * amount;
        form.matrix_flops += 2 * sequences * amount;
        stage += 2 * sequences * amount;
    }
}

// A prefill: every new token through all layers, the last one of each prompt through the head. The
// core works on causal pairs: new token i sees the cached ones, those before it and itself.
ClosedForm prefill_form(const AuditFacts& facts, const AuditModel& m, double sequences) {
    const AuditMapping& map = facts.mapping;
    const AuditFormats& formats = facts.formats;
    const AuditStep& step = *facts.step;
    const PerToken work = work_per_token(facts, m);
    const double tokens = step.computed, cached = step.context - step.computed;
    const double pairs = tokens * cached + tokens * (tokens + 1) / 2;
    const double pair = m.latent ? m.nope + m.rope + m.value : 2 * m.head_dim;
    const double expansion = attention_parameters(map, m).absorbed * map.tensor_parallel;
    const double moe_layers = m.layers - m.dense_layers;
    ClosedForm form;
    const auto passes = step.passes();
    double expanded = 0, prefix = 0;  // tokens seen by all passes; those of them read back
    for (const auto& [query, context] : passes) {
        expanded += context;
        prefix += context - query;
    }
    for (double stage = 0; stage < map.pipeline_parallel; ++stage) {
        const StageShare own = share_of_stage(map, m, stage);
        add_stage_work(
            form, sequences,
            {{formats.linear().name,
              own.layers() * (tokens * work.attention_linear + expanded * expansion) +
                  own.dense_layers * tokens * work.dense + own.moe_layers * tokens * work.shared},
             {formats.attention.name, own.layers() * m.heads * pairs * pair},
             {formats.expert_products().name,
              own.moe_layers * tokens * m.experts_per_token * work.expert},
             {table_format, own.moe_layers * tokens * work.router + (own.last ? work.head : 0)}});
    }
    double weights = 0;
    for (const auto& [query, context] : passes) {
        for (const double part : sequences_of_parts(map, sequences)) {
            const double own = rounded_up(part * query / map.tensor_parallel);
            form.rounding_flops += 2 * moe_layers * moe_rounding(facts, m, work, part * query);
            if (map.splits_tokens) {
                form.rounding_flops += 2 * m.layers * work.attention_linear *
                                       (own * map.stage_ranks() - part * query * map.data_parallel);
            }
        }
        weights += weight_bytes_of_all(facts, m, sequences, query, moe_layers);
    }
    // The head's table is read with the last pass only.
    weights -= static_cast<double>(passes.size() - 1) * map.pipeline_parallel * map.stage_ranks() *
               m.hidden * m.vocabulary / map.tensor_parallel / map.head_parallel * table_bytes;
    form.memory_bytes = weights + map.stage_ranks() * sequences / map.data_parallel * prefix *
                                      cache_elements(map, m) * formats.kv_cache.bytes * m.layers;
    add_exchange(form, facts, m, sequences * moe_layers * tokens);
    add_handed(form, facts, m, sequences * tokens);
    return form;
}

}  // namespace

ClosedForm closed_form(const AuditFacts& facts, const AuditModel& m, double sequences) {
    if (facts.step->is_prefill()) return prefill_form(facts, m, sequences);
    const AuditMapping& map = facts.mapping;
    const AuditStep& step = *facts.step;
    const double query = 1 + step.draft_tokens;
    const double moe_layers = m.layers - m.dense_layers;
    // Query tokens that pass through a MoE layer: all layers of the main pass, and the drafts'.
    const double draft_queries = step.draft_tokens > 0 ? query + step.draft_tokens - 1 : 0;
    const double moe_queries = moe_layers * query + draft_queries;
    const PerToken work = work_per_token(facts, m);

    const AuditFormats& formats = facts.formats;
    ClosedForm form;
    for (double stage = 0; stage < map.pipeline_parallel; ++stage) {
        const StageShare own = share_of_stage(map, m, stage);
        const double drafted = own.last ? draft_queries : 0;
        const double moe = own.moe_layers * query + drafted;
        const double attention_queries = own.dense_layers * query + moe;
        const double heads = own.last ? query + step.draft_tokens : 0;
        add_stage_work(
            form, sequences,
            {{formats.linear().name, attention_queries * work.attention_linear +
                                         own.dense_layers * query * work.dense + moe * work.shared},
             {formats.attention.name, attention_queries * work.attention_inner},
             {formats.expert_products().name, moe * m.experts_per_token * work.expert},
             {table_format,
              moe * work.router + heads * work.head + drafted * work.draft_projection}});
    }

    for (const double tokens : sequences_of_parts(map, sequences)) {
        form.rounding_flops += 2 * moe_layers * moe_rounding(facts, m, work, tokens * query);
        for (double pass = 0; pass < step.draft_tokens; ++pass) {
            form.rounding_flops +=
                2 * moe_rounding(facts, m, work, tokens * (pass == 0 ? query : 1));
        }
    }

    const double cache = map.stage_ranks() * sequences / map.data_parallel * step.context *
                         cache_elements(map, m) * formats.kv_cache.bytes *
                         (m.layers + step.draft_tokens);
    // A module of drafts may serve several passes from weights read once.
    const double moe_passes = moe_layers + (step.draft_tokens > 0 ? 1 : 0);
    form.memory_bytes = cache + weight_bytes_of_all(facts, m, sequences, query, moe_passes);

    add_exchange(form, facts, m, sequences * moe_queries);
    add_handed(form, facts, m, sequences * query);
    return form;
}

MemoryForm memory_form(const AuditFacts& facts, const AuditModel& m, double sequences,
                       double stage) {
    const AuditMapping& map = facts.mapping;
    const AuditFormats& formats = facts.formats;
    const StageShare own = share_of_stage(map, m, stage);
    const double drafts = own.last && facts.step->draft_tokens > 0 ? m.draft_layers : 0;
    const double layers = own.layers() + drafts, moe_layers = own.moe_layers + drafts;
    const AttentionParameters attention = attention_parameters(map, m);
    const double expert = 3 * m.hidden * m.expert_intermediate;
    const double slots =
        (m.routed_experts + map.redundant_experts) / (map.expert_parallel - map.shared_ranks);
    MemoryForm form;
    form.cache = sequences / map.data_parallel * facts.step->context * layers *
                 cache_elements(map, m) * formats.kv_cache.bytes /
                 (map.splits_tokens ? map.tensor_parallel : 1);
    form.attention = layers * (attention.linear * formats.weights.bytes +
                               attention.absorbed * formats.attention.bytes) +
                     drafts * 2 * m.hidden * m.hidden * table_bytes;
    form.dense = own.dense_layers * 3 * m.hidden * m.dense_intermediate / map.tensor_parallel *
                 formats.weights.bytes;
    // A tied head is the embedding. The last stage's drafts embed, too.
    const bool embeds = own.first || (own.last && (m.tied_embedding || drafts > 0));
    const double heads = own.last && !m.tied_embedding ? 1 / map.head_parallel : 0;
    form.tables =
        ((embeds ? 1 : 0) + heads) * m.hidden * m.vocabulary / map.tensor_parallel * table_bytes;
    form.routed = moe_layers * slots * expert * formats.experts.bytes;
    form.shared = moe_layers * m.shared_experts * expert * formats.weights.bytes /
                  (map.sees_group() ? map.tensor_parallel : 1);
    form.router = moe_layers * m.hidden * m.routed_experts * table_bytes;
    return form;
}

namespace {

// Three matrices of hidden x inter for each row an expert is asked.
FlopRange expert_flops(const nlohmann::ordered_json& op) {
    const double ranks = at_or(op, "ranks", 1), experts = at(op, "experts") / ranks;
    const double tokens = at(op, "tokens"), chosen = at(op, "top_k");
    const double row = 2 * 3 * at(op, "hidden") * at(op, "inter");
    const double mean = tokens * chosen / ranks;
    const auto popularity = op.find("popularity");
    if (popularity == op.end() || *popularity == "balanced") {
        const double rows = rounded_up(mean);
        return {row * rows, row * rows};
    }
    return {row * mean, row * (tokens * std::min(chosen, experts) + experts)};
}

// Query-key pairs of one sequence, counted entry by entry: the first `most` (all: 0) of one in
// `tokens` tokens. Entry j, complete at token j x tokens, is seen by all queries where they come
// later, else by those from there to the end; in decode every query stands at the end.
double pairs_of(const nlohmann::ordered_json& op, double tokens, double most) {
    const double query = at(op, "query"), end = at(op, "context");
    const double there = std::floor(end / tokens);
    const double entries = most > 0 ? std::min(most, there) : there;
    if (word(op, "phase") == "decode") return query * entries;
    const double by_all = std::min(entries, std::floor((end - query + 1) / tokens));
    const double by_some = entries - by_all;
    // The sum of end - j tokens + 1 over j = by_all + 1 .. entries.
    const double mean_entry = (by_all + 1 + entries) / 2;
    return query * by_all + by_some * (end + 1 - tokens * mean_entry);
}

// Pairs that a form of attention sees, with the defaults that an experiment has.
double seen_by_form(const nlohmann::ordered_json& op) {
    const std::string form = word(op, "form");
    if (form == "window") return pairs_of(op, 1, at(op, "window"));
    if (form == "dsa") return pairs_of(op, 1, at(op, "selected"));
    if (form != "csa" && form != "hca") return pairs_of(op, 1, 0);
    const bool chosen = form == "csa";
    return pairs_of(op, at_or(op, "compression", chosen ? 4 : 128),
                    chosen ? at(op, "selected") : 0) +
           pairs_of(op, 1, at_or(op, "window", 128));
}

}  // namespace

FlopRange operator_flops(const nlohmann::ordered_json& the_operator) {
    const auto& op = the_operator;
    const std::string type = word(op, "type");
    const auto exactly = [](double flops) { return FlopRange{flops, flops}; };
    if (type == "gemm") {
        return exactly(2 * at(op, "m") * at(op, "n") * at(op, "k") * at_or(op, "groups", 1));
    }
    if (type == "moe") return expert_flops(op);
    if (type == "mhc") {
        // [streams x hidden] times [streams^2 + 2 streams] numbers, on the way in.
        const double n = at_or(op, "streams", 4);
        return exactly(2 * at(op, "tokens") * n * at(op, "hidden") * (n * n + 2 * n));
    }
    if (type == "index_scores") {
        const double pairs = pairs_of(op, at_or(op, "compression", 1), 0);
        return exactly(2 * at(op, "head_dim") * at(op, "heads") * at(op, "batch") * pairs);
    }
    if (type != "attention") return {};
    const auto dims = op.find("head_dims");
    if (dims == op.end() || dims->size() != 2) throw std::runtime_error("workload: no head_dims");
    const double key = (*dims)[0].get<double>(), value = (*dims)[1].get<double>();
    if (word(op, "form") == "linear") {
        // Decay once, and three products of key by value; one token is vector work.
        const double cells = at(op, "value_heads") * key * value;
        return exactly(
            word(op, "phase") == "decode" ? 0 : 7 * cells * at(op, "batch") * at(op, "query"));
    }
    return exactly(2 * (key + value) * at(op, "heads") * at(op, "batch") * seen_by_form(op));
}

std::optional<double> collective_bytes(const nlohmann::ordered_json& collective) {
    const std::string type = word(collective, "type");
    if (type != "dispatch" && type != "combine") return {};
    const double block = at_or(collective, "scale_block", 0), hidden = at(collective, "hidden");
    const double scales = block > 0 ? 4 * std::ceil(hidden / block) : 0;
    const double token = hidden * at_or(collective, "element_bytes", 2) + scales;
    const double ranks = at(collective, "ranks");
    return at(collective, "tokens_per_rank") * at(collective, "top_k") * token * (ranks - 1) /
           ranks;
}

double merged_share(const nlohmann::ordered_json& collective, double domains) {
    const double limit = at_or(collective, "domain_limit", 0), copies = at(collective, "top_k");
    const double part = limit > 0 ? std::min(1.0, limit / domains) : 1.0;
    const double all = at(collective, "ranks"), ranks = all * part;
    const double stated = at_or(collective, "experts", 0);
    const double experts = std::max(copies, (stated > 0 ? stated : all) * part);
    // log C(E - E/R, k) - log C(E, k); without that many experts elsewhere no rank is missed.
    const double elsewhere = experts - experts / ranks;
    double missed = 0;
    if (elsewhere >= copies) {
        missed = std::exp(std::lgamma(elsewhere + 1) - std::lgamma(elsewhere - copies + 1) -
                          std::lgamma(experts + 1) + std::lgamma(experts - copies + 1));
    }
    return ranks / copies * (1 - missed);
}

}  // namespace podsim
