#include "sim/audit_traffic.hpp"

#include <algorithm>

namespace podsim {

namespace {

constexpr double mixer_bytes = 4;  // the matrices of hyper-connections are in FP32

// Of one attention's products on one rank.
double attention_bytes(const AuditFacts& facts, const AuditModel& m, const AuditAttention& a) {
    const AuditFormats& formats = facts.formats;
    const AuditParameters held = attention_parameters(facts.mapping, m.hidden, a);
    // Prefill expands latents by a product of activations and weights like any other.
    const bool expands = facts.step->is_prefill() && !a.indexed();
    return held.linear * formats.weights.bytes +
           held.absorbed * (expands ? formats.weights : formats.attention).bytes +
           held.wide * audit_table_bytes;
}

// Routed and shared experts of a layer: means over the ranks of an expert group, those with the
// shared expert alone included. Of unpopular experts nobody may ask anything.
double expert_bytes(const AuditFacts& facts, const AuditModel& m, double tokens_of_rank) {
    const AuditMapping& map = facts.mapping;
    const double routed_ranks = map.expert_parallel - map.shared_ranks;
    const double arriving =
        tokens_of_rank * map.expert_parallel * m.experts_per_token / routed_ranks;
    const double asked =
        map.balanced && !map.at_host ? std::min(slots_of_rank(map, m), arriving) : 0;
    const double routed =
        asked * m.expert() * routed_ranks / map.expert_parallel * facts.formats.experts.bytes;
    const double shared = m.shared() * facts.formats.weights.bytes *
                          (map.shared_ranks > 0 ? map.shared_ranks / map.expert_parallel : 1.0) /
                          (map.sees_group() ? map.tensor_parallel : 1.0);
    return routed + shared;
}

// Weights of `layers` that one rank reads at least once, without scales, routers and norms.
double layer_bytes(const AuditFacts& facts, const AuditModel& m,
                   const std::vector<AuditLayers>& layers, double tokens_of_rank) {
    const double dense = m.dense() / facts.mapping.tensor_parallel * facts.formats.weights.bytes;
    double bytes = 0;
    for (const auto& [kind, count] : layers) {
        const double feed_forward = kind.experts ? expert_bytes(facts, m, tokens_of_rank) : dense;
        bytes +=
            count * (attention_bytes(facts, m, m.attentions.at(kind.attention)) + feed_forward +
                     2 * mixing_work(m) * mixer_bytes + memory_work(m, kind) * audit_table_bytes);
    }
    return bytes;
}

double cache_bytes(const AuditFacts& facts, const AuditModel& m,
                   const std::vector<AuditLayers>& layers, const std::vector<AuditPass>& passes) {
    double bytes = 0;
    for (const auto& [kind, count] : layers) {
        for (const AuditPass& pass : passes)
            bytes += count * cache_read(facts, m.attentions.at(kind.attention), pass);
    }
    return bytes;
}

}  // namespace

double least_memory_bytes(const AuditFacts& facts, const AuditModel& m, double sequences) {
    const AuditMapping& map = facts.mapping;
    const AuditStep& step = *facts.step;
    const double of_group = sequences / map.data_parallel;
    const double sharing = map.tensor_parallel * map.context_parallel;
    std::vector<double> batches = {of_group};
    if (map.pipeline_parallel > 1) batches = sequences_of_parts(map, sequences);
    const std::vector<AuditLayers> layers = alike(m.layers), draft = {{m.draft, 1}};
    const std::vector<AuditPass> passes = main_passes(step);
    const std::vector<AuditPass> drafts =
        step.drafter ? std::vector<AuditPass>{} : draft_passes(step);
    const double head =
        (m.hidden * m.vocabulary / map.tensor_parallel / map.head_parallel + joining_work(m)) *
        audit_table_bytes;
    // Of the ranks of all stages with the same place in theirs.
    double bytes = 0;
    for (const double batch : batches) {
        for (const AuditPass& pass : passes)
            bytes += layer_bytes(facts, m, layers, batch * pass.query / sharing);
        // A module of drafts may serve several passes from weights read once.
        if (!drafts.empty()) {
            bytes += layer_bytes(facts, m, draft, batch * drafts.front().query / sharing);
        }
        bytes += head;
    }
    // Ranks that share sequences read a part of each, at least.
    bytes += of_group / map.context_parallel *
             (cache_bytes(facts, m, layers, passes) + cache_bytes(facts, m, draft, drafts));
    double all = map.stage_ranks() * bytes;
    if (step.drafter)
        all += least_memory_bytes(drafter_facts(facts), step.drafter->model, sequences);
    return all;
}

LinkBytes exchanged_bytes(const AuditFacts& facts, const AuditModel& m, double moe_tokens) {
    const AuditMapping& map = facts.mapping;
    if (map.gathers) {
        // A token reaches each other rank of its group, unless all have it; a sum over a group's
        // ranks takes at least one row from each but one.
        const double ways = map.expert_parallel - 1;
        const double row = m.hidden * ((map.sees_group() ? 0 : facts.formats.dispatch.bytes) +
                                       facts.formats.combine.bytes);
        return {moe_tokens * ways * row, 0};
    }
    // A token goes once to the rank with the shared experts, however many those are.
    const double copies = m.experts_per_token + (map.shared_ranks > 0 ? 1 : 0);
    const double payload = moe_tokens * copies * m.hidden *
                           (facts.formats.dispatch.bytes + facts.formats.combine.bytes);
    const double group = map.expert_parallel;
    const double local =
        std::min(group, facts.hardware.domain_chips * facts.hardware.ranks_per_chip);
    return {payload * (group - 1) / group, payload * (group - local) / group};
}

LinkBytes handed_bytes(const AuditFacts& facts, const AuditModel& m, double tokens) {
    const AuditMapping& map = facts.mapping;
    const double bytes =
        tokens * m.hidden * m.streams * audit_table_bytes * (map.pipeline_parallel - 1);
    const double domain = facts.hardware.domain_chips * facts.hardware.ranks_per_chip;
    return {bytes, map.stage_ranks() >= domain ? bytes : 0};
}

}  // namespace podsim
