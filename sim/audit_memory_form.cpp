// What a rank must hold.
#include <cmath>

#include "sim/audit_closed_form.hpp"
#include "sim/audit_layout.hpp"

namespace podsim {

namespace {

// Of one sequence. Ranks that share it keep a part of its tokens, or of its heads, a copy of each
// where there are fewer.
double cache_of_rank(const AuditFacts& facts, const AuditAttention& a) {
    const AuditMapping& map = facts.mapping;
    const double context = facts.step->context;
    if (map.cuts_heads && facts.step->is_prefill() && a.kind == AuditAttention::Kind::grouped) {
        AuditFacts of_heads = facts;
        of_heads.mapping.tensor_parallel *= map.context_parallel;
        return cache_held(of_heads, a, context);
    }
    return cache_held(facts, a, context) / (map.splits_tokens ? map.tensor_parallel : 1) /
           map.context_parallel;
}

}  // namespace

MemoryForm memory_form(const AuditFacts& facts, const AuditModel& m, double sequences,
                       double stage) {
    constexpr double mixer_bytes = 4;  // FP32
    const AuditMapping& map = facts.mapping;
    const AuditFormats& formats = facts.formats;
    StageShare own = share_of_stage(map, m, stage);
    const bool by_module = facts.step->draft_tokens > 0 && !facts.step->drafter;
    const double drafts = own.last && by_module ? m.draft_layers : 0;
    if (drafts > 0) own.layers.push_back({m.draft, drafts});
    const double of_group = sequences / map.data_parallel;
    MemoryForm form;
    double moe_layers = 0;
    for (const auto& [kind, count] : own.layers) {
        const AuditAttention& a = m.attentions.at(kind.attention);
        const AuditParameters held = attention_parameters(map, m.hidden, a);
        form.cache += count * of_group * cache_of_rank(facts, a);
        form.attention +=
            count * (held.linear * formats.weights.bytes + held.absorbed * formats.attention.bytes +
                     held.wide * audit_table_bytes + 2 * mixing_work(m) * mixer_bytes);
        if (kind.experts) {
            moe_layers += count;
        } else {
            form.dense += count * m.dense() / map.tensor_parallel * formats.weights.bytes;
        }
    }
    form.attention +=
        drafts * (2 * m.hidden * m.hidden * audit_table_bytes + joining_work(m) * mixer_bytes);
    // A tied head is the embedding. The last stage's drafts embed, too.
    const bool embeds = own.first || (own.last && (m.tied_embedding || drafts > 0));
    const double heads = own.last && !m.tied_embedding ? 1 / map.head_parallel : 0;
    form.tables = ((embeds ? 1 : 0) + heads) * m.hidden * m.vocabulary / map.tensor_parallel *
                      audit_table_bytes +
                  (embeds ? m.positions * m.hidden * audit_table_bytes : 0) +
                  (own.last ? joining_work(m) * mixer_bytes : 0);
    const double slots = slots_of_rank(map, m);
    const double staying = map.offloads ? std::floor(map.resident * slots + 1e-9) : slots;
    form.routed = moe_layers * staying * m.expert() * formats.experts.bytes;
    form.shared = moe_layers * m.shared() * formats.weights.bytes /
                  (map.sees_group() ? map.tensor_parallel : 1);
    if (own.first && facts.step->images) {
        const AuditTower& tower = facts.step->images->tower;
        form.tower = (tower.matrices() + tower.positions * tower.hidden) * audit_table_bytes;
    }
    form.router = moe_layers * m.hidden * m.routed_experts * audit_table_bytes;
    if (own.last && facts.step->drafter) {
        const MemoryForm beside =
            memory_form(drafter_facts(facts), facts.step->drafter->model, sequences, 0);
        form.cache += beside.cache;
        form.drafter = beside.attention + beside.dense + beside.tables;
    }
    return form;
}

}  // namespace podsim
