#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/audit_closed_form.hpp"
#include "sim/audit_laws.hpp"

namespace podsim {

namespace {

// Tokens a sequence gains in a step: 1 + a + a^2 + ... over its drafts.
double emitted_per_sequence(const AuditDecode& decode) {
    double emitted = 1, chance = 1;
    for (double draft = 0; draft < decode.draft_tokens; ++draft) {
        chance *= decode.acceptance;
        emitted += chance;
    }
    return emitted;
}

void sequences_fit_batch(const AuditCase& audited, AuditFindings& findings) {
    const AuditDecode& decode = *audited.facts.decode;
    const double sequences = audited.result.totals.sequences;
    double expected = sequences;  // of a batch that was searched for
    if (decode.batch_per_chip) expected = *decode.batch_per_chip * audited.facts.chips;
    if (decode.batch_per_rank) expected = *decode.batch_per_rank * audited.ranks();
    const double per_group = sequences / audited.facts.mapping.data_parallel;
    findings.check("sequences = batch x chips",
                   sequences > 0 && sequences == expected && per_group == std::floor(per_group),
                   fmt::format("{} sequences on {} chips, the batch makes {}", sequences,
                               audited.facts.chips, expected));
}

void tokens_in_are_tokens_out(const AuditCase& audited, AuditFindings& findings) {
    const AuditDecode& decode = *audited.facts.decode;
    const auto& totals = audited.result.totals;
    const double query = 1 + decode.draft_tokens, emitted = emitted_per_sequence(decode);
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
    const double per_token = took / emitted_per_sequence(*audited.facts.decode);
    std::string culprit;
    const auto compare = [&](const char* name, Dimension dimension, double expected) {
        const auto given = audited.metric(name, dimension);
        if (!culprit.empty() || (given && same(*given, expected))) return;
        culprit = fmt::format("{}: {} in the result, {} follows", name,
                              given ? format_quantity(*given, dimension) : "nothing",
                              format_quantity(expected, dimension));
    };
    compare("iteration_time", Seconds::dimension, took);
    compare("decode_tokens_per_second_per_chip", TokensPerSecond::dimension, rate);
    compare("time_per_output_token", Seconds::dimension, per_token);
    compare("tokens_per_second_per_user", TokensPerSecond::dimension, 1 / per_token);
    compare("achieved_flops", FlopsPerSecond::dimension, result.totals.flops / took / chips);
    compare("achieved_bandwidth", BytesPerSecond::dimension,
            result.totals.hbm_bytes / took / chips);
    findings.check_none(
        "rates follow from tokens, time and chips", culprit,
        fmt::format("{} a chip, {} a token", format_quantity(rate, TokensPerSecond::dimension),
                    time_text(per_token)));
}

void memory_fits(const AuditCase& audited, AuditFindings& findings) {
    const auto& memory = audited.result.memory;
    const double capacity = audited.of_rank(audited.facts.hardware.hbm_capacity);
    std::string culprit = memory.empty() ? "no rank says what fills it" : "";
    double fullest = 0;
    for (const auto& use : memory) {
        double sum = 0, least = 0;
        for (const auto& part : use.parts) {
            sum += part.bytes;
            least = std::min(least, part.bytes);
        }
        fullest = std::max(fullest, use.total);
        const bool fits = use.total <= use.capacity && use.total > 0 && same(sum, use.total) &&
                          least >= 0 && same(use.capacity, capacity);
        if (fits || !culprit.empty()) continue;
        culprit = fmt::format("{}: parts of {} make {} of {}, a rank has {}", use.rank_class,
                              bytes_text(sum), bytes_text(use.total), bytes_text(use.capacity),
                              bytes_text(capacity));
    }
    findings.check_none(
        "memory fits", culprit,
        fmt::format("fullest rank {} of {}", bytes_text(fullest), bytes_text(capacity)));
}

void work_is_the_graphs(const AuditCase& audited, const ClosedForm& form, AuditFindings& findings) {
    const auto& result = audited.result;
    const double executed = result.totals.matrix_flops;
    double rows = 0;
    for (const auto& row : result.operators) {
        rows += static_cast<double>(row.count) * row.flops_each * audited.ranks_of(row.rank_class);
    }
    const double most = form.matrix_flops + form.rounding_flops;
    findings.check("FLOPs executed = FLOPs of the graph",
                   at_least(executed, form.matrix_flops) && at_least(most, executed) &&
                       result.totals.flops >= executed &&
                       (result.operators.empty() || same(rows, result.totals.flops)),
                   fmt::format("matrix work {:.9g} FLOP, the model makes {:.9g} to {:.9g} (whole "
                               "tokens an expert); all work {:.9g}, operators sum to {:.9g}",
                               executed, form.matrix_flops, most, result.totals.flops, rows));
}

void traffic_is_the_graphs(const AuditCase& audited, const ClosedForm& form,
                           AuditFindings& findings) {
    const auto& totals = audited.result.totals;
    findings.check("memory carries weights and cache",
                   at_least(totals.hbm_bytes, form.memory_bytes),
                   fmt::format("{} moved, weights and cache read once are {}",
                               bytes_text(totals.hbm_bytes), bytes_text(form.memory_bytes)));
    const double out_rate = audited.facts.chips * audited.facts.hardware.scale_out;
    const double out_time = form.scale_out_bytes > 0 ? form.scale_out_bytes / out_rate : 0;
    findings.check("links carry what the experts exchange",
                   at_least(totals.sent_bytes, form.exchange_bytes) &&
                       at_least(audited.result.iteration_seconds, out_time),
                   fmt::format("{} sent, tokens make {}; {} of them leave their domain, which "
                               "takes {}",
                               bytes_text(totals.sent_bytes), bytes_text(form.exchange_bytes),
                               bytes_text(form.scale_out_bytes), time_text(out_time)));
}

}  // namespace

void audit_decode(const AuditCase& audited, AuditFindings& findings) {
    sequences_fit_batch(audited, findings);
    tokens_in_are_tokens_out(audited, findings);
    rates_follow(audited, findings);
    memory_fits(audited, findings);
    const AuditDecode& decode = *audited.facts.decode;
    if (!decode.model) return;  // a family without closed forms here
    const ClosedForm form =
        closed_form(audited.facts, *decode.model, audited.result.totals.sequences);
    work_is_the_graphs(audited, form, findings);
    traffic_is_the_graphs(audited, form, findings);
}

}  // namespace podsim
