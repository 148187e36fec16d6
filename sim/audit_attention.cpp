#include "sim/audit_attention.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace podsim {

namespace {

using Kind = AuditAttention::Kind;

constexpr double bf16_bytes = 2, fp32_bytes = 4;
constexpr double all = std::numeric_limits<double>::infinity();

// Of n visible tokens there is an entry for each `tokens` whole ones, of which a query sees `most`:
// the last ones, or those chosen from all.
struct Sight {
    double tokens = 1, most = all;
    bool is_choice = false;
    double entries(double visible) const { return std::floor(visible / tokens); }
    double seen(double visible) const { return std::min(most, entries(visible)); }
    // By the queries that see 1, 2, ... `last` tokens together: entry j, complete after j tokens
    // entries' worth, is seen by last - j tokens + 1 of them, as long as j is at most `most`.
    double seen_up_to(double last) const {
        const double entries_seen = seen(last);
        return entries_seen * (last + 1) - tokens * entries_seen * (entries_seen + 1) / 2;
    }
    double pairs(const AuditPass& pass) const {
        if (!pass.is_prefill) return pass.query * seen(pass.context);
        return seen_up_to(pass.context) - seen_up_to(pass.context - pass.query);
    }
};

// Raw tokens and compressed entries that queries attend to.
std::vector<Sight> sights(const AuditAttention& a) {
    const double chosen = a.indexed() ? a.index_chosen : all;
    switch (a.kind) {
        case Kind::grouped:
            return {{1, a.window > 0 ? a.window : all, false}};
        case Kind::latent:
            return {{1, chosen, a.indexed()}};
        case Kind::shared_entry:
            if (a.pool > 0) return {{1, a.window, false}, {a.pool, chosen, a.indexed()}};
            return {{1, a.window, false}};
        case Kind::delta:
            break;
    }
    return {};
}

// An index key stands for as much as an entry.
Sight index_sight(const AuditAttention& a) {
    return {a.pool > 0 ? a.pool : 1, all, false};
}

// On one rank of a tensor-parallel group; fewer kv heads than ranks are copied.
double kv_width(const AuditMapping& map, const AuditAttention& a) {
    const double kv_heads = std::max(1.0, a.kv_heads / map.tensor_parallel);
    return kv_heads * a.head_dim * (a.values_are_keys ? 1 : 2);
}

// Elements of one raw token or entry on a rank; latents and shared entries are whole on each.
double entry_width(const AuditMapping& map, const AuditAttention& a) {
    if (a.kind == Kind::latent) return a.kv_rank + a.rope;
    return a.kind == Kind::shared_entry ? a.head_dim : kv_width(map, a);
}

AuditParameters grouped_parameters(const AuditMapping& map, double hidden,
                                   const AuditAttention& a) {
    const double heads = a.heads / map.tensor_parallel;
    const double queries = heads * a.head_dim * (a.gates_output ? 2 : 1);
    const double output = heads * a.head_dim * hidden;
    const double inner = a.query_rank > 0 ? a.query_rank : queries;
    const double up = a.query_rank > 0 ? a.query_rank * queries : 0;
    return {hidden * (inner + kv_width(map, a)) + up + output, 0, 0};
}

AuditParameters latent_parameters(const AuditMapping& map, double hidden, const AuditAttention& a) {
    const double heads = a.heads / map.tensor_parallel;
    const double down = hidden * (a.query_rank + a.kv_rank + a.rope);
    const double up = (a.query_rank > 0 ? a.query_rank : hidden) * heads * (a.nope + a.rope);
    const double output = (map.splits_tokens ? a.heads : heads) * a.value * hidden;
    return {down + up + output + a.query_rank * a.index_heads * a.index_dim,
            heads * a.kv_rank * (a.nope + a.value),
            a.indexed() ? hidden * (a.index_dim + a.index_heads) : 0};
}

AuditParameters shared_entry_parameters(const AuditMapping& map, double hidden,
                                        const AuditAttention& a) {
    const double heads = a.heads / map.tensor_parallel,
                 groups = a.output_groups / map.tensor_parallel;
    AuditParameters held;
    held.linear = hidden * (a.query_rank + a.head_dim) + a.query_rank * heads * a.head_dim +
                  heads * a.head_dim * a.output_rank + groups * a.output_rank * hidden +
                  a.query_rank * a.index_heads * a.index_dim;
    if (a.indexed()) {
        held.wide = hidden * (2 * 2 * (a.head_dim + a.index_dim) + a.index_heads);
    } else if (a.pool > 0) {
        held.wide = hidden * 2 * a.head_dim;
    }
    return held;
}

AuditParameters delta_parameters(const AuditMapping& map, double hidden, const AuditAttention& a) {
    const double values = a.value_heads * a.value_dim;
    const double inputs = 2 * a.key_heads * a.key_dim + 2 * values + 2 * a.value_heads;
    return {hidden * (inputs + values) / map.tensor_parallel, 0, 0};
}

// A pair's products of all heads.
double pair_work(const AuditAttention& a, bool is_expanded) {
    if (a.kind != Kind::latent) return a.heads * 2 * a.head_dim;
    return a.heads * (is_expanded ? a.nope + a.rope + a.value : 2 * a.kv_rank + a.rope);
}

// Elements of a state that does not grow, and of the inputs that its convolution looks back at.
double state_size(const AuditMapping& map, const AuditAttention& a) {
    return a.value_heads * a.key_dim * a.value_dim / map.tensor_parallel;
}
double convolved_inputs(const AuditMapping& map, const AuditAttention& a) {
    if (a.kind != Kind::delta) return 0;
    const double channels = 2 * a.key_heads * a.key_dim + a.value_heads * a.value_dim;
    return channels * (a.taps - 1) / map.tensor_parallel;
}

}  // namespace

AuditParameters attention_parameters(const AuditMapping& map, double hidden,
                                     const AuditAttention& a) {
    switch (a.kind) {
        case Kind::grouped:
            return grouped_parameters(map, hidden, a);
        case Kind::latent:
            return latent_parameters(map, hidden, a);
        case Kind::shared_entry:
            return shared_entry_parameters(map, hidden, a);
        case Kind::delta:
            break;
    }
    return delta_parameters(map, hidden, a);
}

namespace {

// Of ranks that share sequences: what attention of each has before it. A prefill's rank with 1 / c
// of the queries is taken to stand where it sees its part of all pairs; heads that are cut see
// everything. Decode has all queries, and 1 / c of what was kept.
struct Shared {
    AuditPass pass;
    double ranks = 1;  // that do so
    bool parts = false;
    double part_of(double whole) const { return parts ? std::ceil(whole / ranks) : whole; }
};
Shared shared_pass(const AuditMapping& map, const AuditAttention& a, const AuditPass& pass) {
    const double ranks = map.context_parallel;
    if (ranks == 1 || (pass.is_prefill && map.cuts_heads)) return {pass};
    if (pass.is_prefill) {
        const double own = std::ceil(pass.query / ranks);
        const double seen = pass.context - std::floor((pass.query - own) / 2);
        return {{own, std::max(own, seen), true}, ranks};
    }
    const bool grows = a.kind == Kind::latent || (a.kind == Kind::grouped && a.window == 0) ||
                       (a.kind == Kind::shared_entry && a.pool > 0);
    if (!grows) return {pass};
    return {
        {pass.query, std::max(pass.query, std::ceil(pass.context / ranks)), false}, ranks, true};
}

// From latents that were gathered each of them takes all tokens' queries up.
double again_up(const AuditMapping& map, const AuditAttention& a) {
    const double width = a.kind == Kind::latent ? a.nope + a.rope : a.head_dim;
    const double queries =
        a.kind == Kind::grouped ? 0 : a.query_rank * a.heads / map.tensor_parallel * width;
    return queries + a.query_rank * a.index_heads * a.index_dim;
}

}  // namespace

AuditAttentionWork attention_work(const AuditMapping& map, double hidden, const AuditAttention& a,
                                  const AuditPass& pass) {
    const double ranks = map.tensor_parallel;
    const Shared shared = shared_pass(map, a, pass);
    const AuditParameters held = attention_parameters(map, hidden, a);
    AuditAttentionWork work;
    // Where tokens are divided no rank repeats another's down-projection.
    AuditMapping alone = map;
    alone.tensor_parallel = 1;
    work.linear = pass.query * (map.splits_tokens ? attention_parameters(alone, hidden, a).linear
                                                  : held.linear * ranks);
    work.wide = pass.query * held.wide * ranks;
    if (a.kind == Kind::delta) {
        const double rule = 7 * a.key_dim * a.value_dim * a.value_heads / 2;
        work.inner = pass.is_prefill ? pass.query * rule : 0;
        return work;
    }
    // Prefill takes the latents of all that it sees up to keys and values, a product like any
    // other.
    const bool is_expanded = a.kind == Kind::latent && pass.is_prefill && !a.indexed();
    if (is_expanded) {
        work.linear += pass.context * held.absorbed * ranks * shared.ranks;
    } else {
        work.inner = pass.query * held.absorbed * ranks * (shared.parts ? shared.ranks : 1);
    }
    if (shared.parts) work.linear += pass.query * again_up(map, a) * ranks * (shared.ranks - 1);
    for (Sight sight : sights(a)) {
        sight.most = shared.part_of(sight.most);
        work.inner += pair_work(a, is_expanded) * sight.pairs(shared.pass) * shared.ranks;
    }
    if (a.indexed())
        work.scores =
            ranks * a.index_heads * a.index_dim * index_sight(a).pairs(shared.pass) * shared.ranks;
    return work;
}

double cache_held(const AuditFacts& facts, const AuditAttention& a, double context) {
    const AuditMapping& map = facts.mapping;
    if (a.kind == Kind::delta)
        return state_size(map, a) * fp32_bytes + convolved_inputs(map, a) * bf16_bytes;
    double entries = 0;
    for (const Sight& sight : sights(a))
        entries += sight.is_choice ? sight.entries(context) : sight.seen(context);
    const double keys = a.indexed() ? index_sight(a).entries(context) * a.index_dim : 0;
    return entries * entry_width(map, a) * facts.formats.kv_cache.bytes +
           keys * facts.formats.indexer.bytes;
}

double cache_read(const AuditFacts& facts, const AuditAttention& a, const AuditPass& pass) {
    const double before = pass.is_prefill ? pass.context - pass.query : pass.context;
    if (a.kind == Kind::delta) return before > 0 ? cache_held(facts, a, before) : 0;
    double entries = 0;
    for (const Sight& sight : sights(a)) {
        // A prefill's first query is one of the raw tokens of its window.
        const bool own = pass.is_prefill && sight.tokens == 1;
        entries += std::min(sight.entries(before), sight.most - (own ? 1 : 0));
    }
    const double keys = a.indexed() ? index_sight(a).entries(before) * a.index_dim : 0;
    return entries * entry_width(facts.mapping, a) * facts.formats.kv_cache.bytes +
           keys * facts.formats.indexer.bytes;
}

}  // namespace podsim
