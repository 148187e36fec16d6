#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/audit_closed_form.hpp"
#include "sim/audit_laws.hpp"

namespace podsim {

namespace {

constexpr const char* work_law = "FLOPs executed = FLOPs of the graph";
constexpr const char* traffic_law = "memory carries weights and cache";
constexpr const char* exchange_law = "links carry what the experts exchange";
constexpr const char* stage_work_law = "each pipeline stage does its layers' work";
constexpr const char* stage_send_law = "links carry what pipeline stages hand on";

// Tokens a sequence gains in a step: 1 + a1 + a1 a2 + ... over its drafts.
double emitted_per_sequence(const AuditStep& step) {
    double emitted = 1, chance = 1;
    for (const double accepted : step.acceptance) {
        chance *= accepted;
        emitted += chance;
    }
    return emitted;
}

void sequences_fit_batch(const AuditCase& audited, AuditFindings& findings) {
    const AuditStep& step = *audited.facts.step;
    const double sequences = audited.result.totals.sequences;
    double expected = sequences;  // of a batch that was searched for
    if (step.batch_per_chip) expected = *step.batch_per_chip * audited.facts.chips;
    if (step.batch_per_rank) expected = *step.batch_per_rank * audited.ranks();
    if (step.batch_per_group)
        expected = *step.batch_per_group * audited.facts.mapping.data_parallel;
    if (step.tokens_per_rank) expected = *step.tokens_per_rank * audited.ranks() / step.computed;
    const double per_group = sequences / audited.facts.mapping.data_parallel;
    findings.check("sequences = batch x chips",
                   sequences > 0 && sequences == expected && per_group == std::floor(per_group),
                   fmt::format("{} sequences on {} chips, the batch makes {}", sequences,
                               audited.facts.chips, expected));
}

void tokens_in_are_tokens_out(const AuditCase& audited, AuditFindings& findings) {
    const AuditStep& step = *audited.facts.step;
    const auto& totals = audited.result.totals;
    const double query = step.is_prefill() ? step.computed : 1 + step.draft_tokens;
    const double emitted = emitted_per_sequence(step);
    findings.check(
        "tokens in = tokens out",
        same(totals.tokens_in, totals.sequences * query) &&
            same(totals.tokens_out, totals.sequences * emitted),
        fmt::format("{} sequences bring {} tokens and gain {:.6g} each, the result has "
                    "{} in and {} out",
                    totals.sequences, query, emitted, totals.tokens_in, totals.tokens_out));
}

void rates_follow(const AuditCase& audited, AuditFindings& findings) {
    const auto& result = audited.result;
    const double took = result.iteration_seconds, chips = audited.facts.chips;
    const double rate = result.totals.tokens_out / took / chips;
    const double per_token = took / emitted_per_sequence(*audited.facts.step);
    std::string culprit;
    const auto compare = [&](const char* name, Dimension dimension, double expected) {
        if (culprit.empty()) culprit = audited.difference(name, dimension, expected);
    };
    compare("iteration_time", Seconds::dimension, took);
    const AuditStep& step = *audited.facts.step;
    if (step.is_prefill()) {
        const double prompts = result.totals.tokens_in / took / chips;
        compare("prefill_tokens_per_second_per_chip", TokensPerSecond::dimension, prompts);
        if (step.computed < step.context) {
            compare("prefill_tokens_per_second_per_chip_with_cached", TokensPerSecond::dimension,
                    prompts * step.context / step.computed);
        }
        compare("time_to_first_token", Seconds::dimension, took);
    } else {
        compare("decode_tokens_per_second_per_chip", TokensPerSecond::dimension, rate);
        compare("time_per_output_token", Seconds::dimension, per_token);
        compare("tokens_per_second_per_user", TokensPerSecond::dimension, 1 / per_token);
    }
    compare("achieved_flops", FlopsPerSecond::dimension, result.totals.flops / took / chips);
    compare("achieved_bandwidth", BytesPerSecond::dimension,
            result.totals.hbm_bytes / took / chips);
    findings.check_none(
        "rates follow from tokens, time and chips", culprit,
        fmt::format("{} a chip, {} a token", format_quantity(rate, TokensPerSecond::dimension),
                    time_text(per_token)));
}

void latency_target_is_kept(const AuditCase& audited, AuditFindings& findings) {
    const auto& target = audited.facts.step->latency_target;
    if (!target) return;
    const double took =
        audited.result.iteration_seconds / emitted_per_sequence(*audited.facts.step);
    const char* latency =
        audited.facts.step->is_prefill() ? "time_to_first_token" : "time_per_output_token";
    const double said = audited.metric(latency, Seconds::dimension).value_or(std::nan(""));
    findings.check("the latency target is kept", at_least(*target, took) && at_least(*target, said),
                   fmt::format("{} a token, the target is {}", time_text(std::max(took, said)),
                               time_text(*target)));
}

void work_is_the_graphs(const AuditCase& audited, const ClosedForm& form, AuditFindings& findings) {
    const auto& result = audited.result;
    const double executed = result.totals.matrix_flops;
    double rows = 0;
    for (const auto& row : result.operators) {
        rows += static_cast<double>(row.count) * row.flops_each * audited.ranks_of(row.rank_class);
    }
    const double most = form.matrix_flops + form.rounding_flops;
    findings.check(work_law,
                   at_least(executed, form.matrix_flops) && at_least(most, executed) &&
                       result.totals.flops >= executed &&
                       (result.operators.empty() || same(rows, result.totals.flops)),
                   fmt::format("matrix work {:.9g} FLOP, the model makes {:.9g} to {:.9g} (whole "
                               "tokens an expert); all work {:.9g}, operators sum to {:.9g}",
                               executed, form.matrix_flops, most, result.totals.flops, rows));
}

void memory_traffic_is_the_graphs(const AuditCase& audited, const ClosedForm& form,
                                  AuditFindings& findings) {
    const auto& totals = audited.result.totals;
    findings.check(traffic_law, at_least(totals.hbm_bytes, form.memory_bytes),
                   fmt::format("{} moved, weights and cache read once are {}",
                               bytes_text(totals.hbm_bytes), bytes_text(form.memory_bytes)));
}

void exchange_is_the_graphs(const AuditCase& audited, const ClosedForm& form,
                            AuditFindings& findings) {
    const auto& totals = audited.result.totals;
    const double out_rate = audited.facts.chips * audited.facts.hardware.scale_out;
    const double out_time = form.scale_out_bytes > 0 ? form.scale_out_bytes / out_rate : 0;
    findings.check(exchange_law,
                   at_least(totals.sent_bytes, form.exchange_bytes) &&
                       at_least(audited.result.iteration_seconds, out_time),
                   fmt::format("{} sent, tokens make {}; {} of them leave their domain, which "
                               "takes {}",
                               bytes_text(totals.sent_bytes), bytes_text(form.exchange_bytes),
                               bytes_text(form.scale_out_bytes), time_text(out_time)));
}

// All work of a class's operators, those without products included, holds the products of its
// stage's layers.
void stages_do_their_work(const AuditCase& audited, const ClosedForm& form,
                          AuditFindings& findings) {
    const auto& result = audited.result;
    const auto stages = static_cast<double>(form.stage_flops.size());
    std::vector<double> done(form.stage_flops.size(), 0.0);
    std::string culprit;
    for (const auto& row : result.operators) {
        const auto stage = stage_of(row.rank_class, stages);
        if (stage) {
            done[*stage] +=
                static_cast<double>(row.count) * row.flops_each * audited.ranks_of(row.rank_class);
        } else if (culprit.empty()) {
            culprit = fmt::format("{}: no pipeline stage of {}", row.rank_class, stages);
        }
    }
    std::string parts;
    for (std::size_t stage = 0; stage < done.size(); ++stage) {
        const std::string text =
            fmt::format("stage {} {} of at least {}", stage + 1, work_text(done[stage]),
                        work_text(form.stage_flops[stage]));
        if (culprit.empty() && !at_least(done[stage], form.stage_flops[stage])) culprit = text;
        parts += (parts.empty() ? "" : ", ") + text;
    }
    findings.check_none(stage_work_law, culprit, parts);
}

void stages_hand_on(const AuditCase& audited, const ClosedForm& form, AuditFindings& findings) {
    const auto& facts = audited.facts;
    const bool merges = facts.merges_dispatch || facts.merges_combine;
    const double bytes = form.handed_bytes + (merges ? 0 : form.exchange_bytes);
    const double sent = audited.result.totals.sent_bytes;
    const double out_time = form.handed_out_bytes > 0
                                ? form.handed_out_bytes / (facts.chips * facts.hardware.scale_out)
                                : 0;
    findings.check(
        stage_send_law,
        at_least(sent, bytes) && at_least(audited.result.iteration_seconds, out_time),
        fmt::format("{} sent, hidden states between {} stages make {}; {} of them leave their "
                    "domain, which takes {}",
                    bytes_text(sent), facts.mapping.pipeline_parallel,
                    bytes_text(form.handed_bytes), bytes_text(form.handed_out_bytes),
                    time_text(out_time)));
}

// A token goes to a slot at most once, so that of its k assignments a rank gets no more than it has
// slots; and the busiest no fewer than the mean.
void busiest_rank_is_possible(const AuditCase& audited, AuditFindings& findings) {
    const AuditMapping& map = audited.facts.mapping;
    const AuditModel& model = *audited.facts.step->model;
    const Metric* metric = audited.result.metric("expert_imbalance");
    const double routed_ranks = map.expert_parallel - map.shared_ranks;
    const double slots = (model.routed_experts + map.redundant_experts) / routed_ranks;
    const double most = routed_ranks * std::min(1.0, slots / model.experts_per_token);
    const double ratio = metric != nullptr ? metric->value : std::nan("");
    findings.check(
        "the busiest rank takes what its slots can",
        metric != nullptr && at_least(ratio, 1) && at_least(most, ratio),
        fmt::format("{:.6g} times the mean, its slots take at most {:.6g}", ratio, most));
}

}  // namespace

void audit_step(const AuditCase& audited, AuditFindings& findings) {
    sequences_fit_batch(audited, findings);
    tokens_in_are_tokens_out(audited, findings);
    rates_follow(audited, findings);
    latency_target_is_kept(audited, findings);
    audit_memory(audited, findings);
    const AuditStep& step = *audited.facts.step;
    if (!step.model) {
        for (const char* law : {work_law, traffic_law, exchange_law}) {
            findings.not_checked(law, "no closed form for models of family " + step.family);
        }
        return;
    }
    const ClosedForm form =
        closed_form(audited.facts, *step.model, audited.result.totals.sequences);
    work_is_the_graphs(audited, form, findings);
    memory_traffic_is_the_graphs(audited, form, findings);
    if (audited.facts.mapping.pipeline_parallel > 1) {
        if (!audited.result.operators.empty()) stages_do_their_work(audited, form, findings);
        stages_hand_on(audited, form, findings);
    }
    if (audited.facts.merges_dispatch || audited.facts.merges_combine) {
        findings.not_checked(exchange_law, "the library sends copies for one rank as one");
    } else if (step.model->routed_experts > 0) {
        exchange_is_the_graphs(audited, form, findings);
        if (!audited.facts.mapping.balanced) busiest_rank_is_possible(audited, findings);
    } else {
        findings.not_checked(exchange_law, "the model has no experts");
    }
}

}  // namespace podsim
