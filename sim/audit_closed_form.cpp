#include "sim/audit_closed_form.hpp"

#include <cmath>

#include "sim/audit_traffic.hpp"

namespace podsim {

namespace {

// Multiply-adds of one token beside attention.
struct PerToken {
    double dense = 0, router = 0, routed = 0, shared = 0;  // on all ranks of a group together
    double mixing = 0;                                     // on one rank, for each sub-layer
    double head = 0;              // with the streams' joining, of one position
    double draft_projection = 0;  // of one rank
    // Of a MoE sub-layer on the one rank that has the token.
    double experts() const { return mixing + router + routed + shared; }
};

PerToken work_per_token(const AuditFacts& facts, const AuditModel& m) {
    const AuditMapping& map = facts.mapping;
    const double tensor = map.tensor_parallel, parts = tensor * map.head_parallel;
    PerToken work;
    work.dense = m.ffn_matrices * m.hidden * tensor * std::ceil(m.dense_intermediate / tensor);
    work.router = m.hidden * m.routed_experts;
    work.routed = m.experts_per_token * m.expert();
    work.shared = m.shared();
    work.mixing = mixing_work(m);
    // Each rank has a part of the vocabulary, and joins all that it is to multiply with it.
    work.head = parts * (m.hidden * std::ceil(m.vocabulary / parts) + joining_work(m));
    work.draft_projection = (1 + m.streams) * m.hidden * m.hidden;
    return work;
}

// Ranks of a group that each work on all of its tokens, where these are not divided by heads.
double repeats(const AuditMapping& map) {
    return map.splits_tokens ? 1 : map.tensor_parallel;
}

// One pass of a MoE layer over `tokens` of one data-parallel group, `held` of them on each of its
// tensor-parallel groups: what rounding to whole tokens adds on all ranks, in multiply-adds.
double moe_rounding(const AuditFacts& facts, const AuditModel& m, const PerToken& work,
                    double tokens, double held) {
    const AuditMapping& map = facts.mapping;
    // Of one rank: where the ranks of a group see all its tokens, each routes them, and together
    // they work on them once.
    double own = rounded_up(held / map.tensor_parallel);
    double extra = (own * map.stage_ranks() - tokens * map.data_parallel) * work.experts();
    if (map.sees_group()) {
        const double width = m.shared_intermediate, sharing = map.context_parallel;
        extra = held * sharing * map.data_parallel *
                    ((map.tensor_parallel - 1) * (work.router + work.mixing) +
                     m.ffn_matrices * m.hidden *
                         (map.tensor_parallel * std::ceil(width / map.tensor_parallel) - width)) +
                (held * sharing - tokens) * map.data_parallel * work.experts();
    }
    // Ranks that share sequences take their mean to the experts.
    if (map.context_parallel > 1) own = tokens * map.data_parallel / map.stage_ranks();
    const double groups = map.stage_ranks() / map.expert_parallel;
    const double routed_ranks = map.expert_parallel - map.shared_ranks;
    const double slots = slots_of_rank(map, m);
    const double seen = map.context_parallel > 1 ? tokens / map.context_parallel : tokens;
    const double arriving =
        (map.sees_group() ? seen : own * map.expert_parallel) * m.experts_per_token / routed_ranks;
    const bool each_whole =
        map.balanced && is_whole(arriving < slots ? arriving : arriving / slots);
    if (!each_whole || map.at_host) extra += groups * routed_ranks * slots * m.expert();
    // The host may work on any of them, or on none.
    if (map.at_host) extra += tokens * map.data_parallel * work.routed;
    if (map.shared_ranks > 0) {
        const double shared = own * map.expert_parallel / map.shared_ranks;
        if (!is_whole(shared)) extra += groups * map.shared_ranks * work.shared;
    }
    return extra;
}

// One pass over so many sequences of one data-parallel group through `layers`, likewise.
double rounding_of_pass(const AuditFacts& facts, const AuditModel& m, const PerToken& work,
                        const std::vector<AuditLayers>& layers, double sequences,
                        const AuditPass& pass) {
    const AuditMapping& map = facts.mapping;
    const double tokens = sequences * pass.query;
    const double held = tokens_of_group(map, sequences, pass);
    double extra = expert_layers(layers) * moe_rounding(facts, m, work, tokens, held);
    const double more = (held * map.context_parallel - tokens) * map.data_parallel;
    for (const auto& [kind, count] : layers) {
        const AuditParameters a =
            attention_parameters(map, m.hidden, m.attentions.at(kind.attention));
        extra += more * count *
                 (map.tensor_parallel *
                      (a.linear + a.wide + a.absorbed + 2 * work.mixing + memory_work(m, kind)) +
                  (kind.experts ? 0 : work.dense));
    }
    if (!map.splits_tokens) return extra;
    AuditMapping alone = map;
    alone.tensor_parallel = 1;
    const double uneven =
        rounded_up(tokens / map.tensor_parallel) * map.stage_ranks() - tokens * map.data_parallel;
    for (const auto& [kind, count] : layers) {
        const AuditAttention& a = m.attentions.at(kind.attention);
        extra +=
            uneven * count *
            (attention_parameters(alone, m.hidden, a).linear + work.mixing + memory_work(m, kind));
    }
    return extra;
}

using Work = std::map<std::string, double>;  // multiply-adds by format

// One pass of one sequence through `layers`.
void add_pass(Work& sum, const AuditFacts& facts, const AuditModel& m, const PerToken& work,
              const std::vector<AuditLayers>& layers, const AuditPass& pass) {
    const AuditFormats& formats = facts.formats;
    double& linear = sum[formats.linear().name];
    double& experts = sum[formats.expert_products().name];
    double& core = sum[formats.attention.name];
    double& scores = sum[formats.indexer.name];
    double& table = sum[audit_table_format];
    for (const auto& [kind, count] : layers) {
        const AuditAttentionWork attention =
            attention_work(facts.mapping, m.hidden, m.attentions.at(kind.attention), pass);
        const double tokens = count * pass.query;
        linear += count * attention.linear;
        core += count * attention.inner;
        scores += count * attention.scores;
        table += count * attention.wide +
                 tokens * (work.mixing + memory_work(m, kind)) * repeats(facts.mapping);
        if (kind.experts) {
            linear += tokens * work.shared;
            experts += facts.mapping.at_host ? 0 : tokens * work.routed;
            table += tokens * (work.router + work.mixing);
        } else {
            linear += tokens * work.dense;
            table += tokens * work.mixing * facts.mapping.tensor_parallel;
        }
    }
}

// Of the first stage, whose ranks each read the tower once; dealt out over the ranks of a group
// in whole images.
void add_images(const AuditFacts& facts, double sequences, ClosedForm& form) {
    const AuditMapping& map = facts.mapping;
    const AuditImages& images = *facts.step->images;
    const double each = 2 * images.multiply_adds();
    const double flops = sequences * images.count * each;
    form.flops_by_format[audit_table_format] += flops;
    form.matrix_flops += flops;
    form.stage_flops.front() += flops;
    for (const double part : sequences_of_parts(map, sequences)) {
        const double all = part * images.count;
        form.rounding_flops += each * (rounded_up(all / map.tensor_parallel) * map.stage_ranks() -
                                       all * map.data_parallel);
    }
    form.memory_bytes += map.stage_ranks() * images.tower.matrices() * audit_table_bytes;
}

// Every pass goes through all its layers, and through its head with one position.
void add_drafter(Work& sum, const AuditFacts& facts, const std::vector<AuditPass>& passes) {
    const AuditFacts own = drafter_facts(facts);
    const AuditModel& m = facts.step->drafter->model;
    const PerToken work = work_per_token(own, m);
    for (const AuditPass& pass : passes) {
        add_pass(sum, own, m, work, alike(m.layers), pass);
        sum[audit_table_format] += work.head;
    }
}

}  // namespace

ClosedForm closed_form(const AuditFacts& facts, const AuditModel& m, double sequences) {
    const AuditMapping& map = facts.mapping;
    const AuditStep& step = *facts.step;
    const PerToken work = work_per_token(facts, m);
    const std::vector<AuditPass> passes = main_passes(step), drafted_passes = draft_passes(step);
    // Of the model's own module; a model beside it has passes of its own.
    const std::vector<AuditPass> drafts = step.drafter ? std::vector<AuditPass>{} : drafted_passes;
    const std::vector<AuditLayers> all = alike(m.layers), draft = {{m.draft, 1}};
    // Positions of a sequence whose next token is asked for: the last of a prompt.
    const double heads =
        step.is_prefill() ? 1 : passes.front().query + static_cast<double>(drafts.size());

    ClosedForm form;
    double tokens = 0, drafted = 0;  // of a sequence
    for (const AuditPass& pass : passes) tokens += pass.query;
    for (const AuditPass& pass : drafts) drafted += pass.query;
    for (double stage = 0; stage < map.pipeline_parallel; ++stage) {
        const StageShare own = share_of_stage(map, m, stage);
        Work done;
        for (const AuditPass& pass : passes) add_pass(done, facts, m, work, own.layers, pass);
        if (own.last) {
            for (const AuditPass& pass : drafts) add_pass(done, facts, m, work, draft, pass);
            done[audit_table_format] +=
                heads * work.head + drafted * work.draft_projection * repeats(map);
            if (step.drafter) add_drafter(done, facts, drafted_passes);
        }
        double& of_stage = form.stage_flops.emplace_back(0);
        for (const auto& [format, multiply_adds] : done) {
            const double flops = 2 * sequences * multiply_adds;
            form.flops_by_format[format] += flops;
            form.matrix_flops += flops;
            of_stage += flops;
        }
    }

    for (const double part : sequences_of_parts(map, sequences)) {
        for (const AuditPass& pass : passes) {
            form.rounding_flops += 2 * rounding_of_pass(facts, m, work, all, part, pass);
        }
        for (const AuditPass& pass : drafts) {
            form.rounding_flops += 2 * rounding_of_pass(facts, m, work, draft, part, pass);
            const double held = tokens_of_group(map, part, pass);
            const double uneven =
                (map.splits_tokens ? rounded_up(held / map.tensor_parallel) * map.tensor_parallel
                                   : held * repeats(map)) *
                    map.context_parallel * map.data_parallel -
                part * pass.query * repeats(map) * map.data_parallel;
            form.rounding_flops += 2 * uneven * work.draft_projection;
        }
        form.rounding_flops +=
            2 * work.head * map.data_parallel * heads *
            (rounded_up(part / map.context_parallel) * map.context_parallel - part);
    }

    form.memory_bytes = least_memory_bytes(facts, m, sequences);
    if (step.images) add_images(facts, sequences, form);
    const double moe_tokens = expert_layers(all) * tokens + expert_layers(draft) * drafted;
    const LinkBytes exchanged = exchanged_bytes(facts, m, sequences * moe_tokens);
    form.exchange_bytes = exchanged.sent;
    form.scale_out_bytes = exchanged.sent_out;
    const LinkBytes handed = handed_bytes(facts, m, sequences * tokens);
    form.handed_bytes = handed.sent;
    form.handed_out_bytes = handed.sent_out;
    return form;
}

}  // namespace podsim
