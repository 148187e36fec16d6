#include "sim/audit.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "sim/audit_closed_form.hpp"
#include "sim/audit_laws.hpp"
#include "sim/audit_serving.hpp"

namespace podsim {

namespace {

void work_finished(const AuditCase& audited, AuditFindings& findings) {
    const auto& totals = audited.result.totals;
    findings.check("all work finished", totals.tasks > 0 && totals.unfinished == 0,
                   fmt::format("{} of {} tasks unfinished", totals.unfinished, totals.tasks));
}

void chips_are_packages(const AuditCase& audited, AuditFindings& findings) {
    const auto& result = audited.result;
    const auto& hardware = audited.facts.hardware;
    double in_memory = 0;
    for (const auto& use : result.memory) in_memory += use.ranks;
    const double mapped = audited.facts.mapping.ranks();
    const bool ranks_agree =
        !audited.facts.step || (mapped == audited.ranks() && in_memory == mapped);
    findings.check("chips counted as packages",
                   result.packages == audited.facts.chips &&
                       result.ranks_per_chip == hardware.ranks_per_chip &&
                       result.ranks == audited.ranks() && ranks_agree &&
                       result.chip == hardware.chip && result.system == hardware.system &&
                       audited.facts.chips <= hardware.system_chips,
                   fmt::format("{} packages of {} with {} ranks each, {} ranks; the experiment "
                               "asks for {} of {} with {} each, {} has {}",
                               result.packages, result.chip, result.ranks_per_chip, result.ranks,
                               audited.facts.chips, hardware.chip, hardware.ranks_per_chip,
                               hardware.system, hardware.system_chips));
}

void breakdown_sums(const AuditCase& audited, AuditFindings& findings) {
    const auto& result = audited.result;
    const double took = result.iteration_seconds;
    double seconds = 0, shares = 0, critical = 0;
    bool parts_fit = true;
    for (const auto& part : result.breakdown) {
        seconds += part.seconds;
        shares += part.share;
        parts_fit = parts_fit && part.seconds >= 0 && same(part.share, part.seconds / took);
    }
    for (const auto& row : result.operators) critical += row.seconds_critical;
    findings.check("the breakdown sums to the whole",
                   took > 0 && parts_fit && same(seconds, took) && same(shares, 1) &&
                       (result.operators.empty() || same(critical, took)),
                   fmt::format("parts {} ({:.9g} of the whole), operators on the critical path {}, "
                               "the run {}",
                               time_text(seconds), shares, time_text(critical), time_text(took)));
}

void provenance_sums(const AuditCase& audited, AuditFindings& findings) {
    const auto& metrics = audited.result.metrics;
    std::string culprit = metrics.empty() ? "no metric" : "";
    for (const auto& metric : metrics) {
        double sum = 0, least = 0;
        for (const auto& [basis, share] : metric.rests_on.shares) {
            sum += share;
            least = std::min(least, share);
        }
        if (culprit.empty() && !(same(sum, 1) && least >= 0)) {
            culprit = fmt::format("{}: shares sum to {:.9g}", metric.name, sum);
        }
    }
    findings.check_none("provenance shares sum to one", culprit,
                        fmt::format("{} metrics", metrics.size()));
}

// Every rank runs the operator.
void operator_work(const AuditCase& audited, AuditFindings& findings) {
    const bool layer = audited.facts.exchanges_layer;
    const FlopRange expected = layer ? layer_flops(audited.facts.the_operator)
                                     : operator_flops(audited.facts.the_operator);
    const double ranks = layer ? 1 : audited.ranks();
    const double least = expected.least * ranks, most = expected.most * ranks;
    const double executed = audited.result.totals.matrix_flops;
    const bool between = executed > least && executed < most;
    findings.check(
        "FLOPs executed = FLOPs of the graph",
        between || same(executed, least) || same(executed, most),
        fmt::format("{} executed by the matrix units, the shape on {} ranks makes {}",
                    work_text(executed), ranks,
                    most > least ? fmt::format("{} to {}", work_text(least), work_text(most))
                                 : work_text(least)));
}

// Each copy of a token crosses once on its way to its expert and once back, but for those that
// stay; libraries that send copies for one rank as one carry less.
void layer_traffic(const AuditCase& audited, AuditFindings& findings) {
    constexpr const char* law = "links carry what the experts exchange";
    if (audited.facts.merges_dispatch || audited.facts.merges_combine) {
        findings.not_checked(law, "the library merges copies of a token");
        return;
    }
    const double sent = audited.result.totals.sent_bytes,
                 least = layer_bytes_sent(audited.facts.the_operator);
    findings.check(law, at_least(sent, least),
                   fmt::format("{} sent, all copies of all tokens make {}", bytes_text(sent),
                               bytes_text(least)));
}

void collective_traffic(const AuditCase& audited, AuditFindings& findings) {
    constexpr const char* law = "links carry what the experts exchange";
    const AuditHardware& hardware = audited.facts.hardware;
    double least = 0;
    for (const auto& collective : audited.facts.collectives) {
        auto per_rank = collective_bytes(collective);
        if (!per_rank) continue;
        const double ranks = collective.value("ranks", audited.ranks());
        const bool merged = collective.at("type") == "dispatch" ? audited.facts.merges_dispatch
                                                                : audited.facts.merges_combine;
        if (merged) {
            const double domains =
                std::ceil(ranks / (hardware.domain_chips * hardware.ranks_per_chip));
            *per_rank *= merged_share(collective, domains);
        }
        least += *per_rank * ranks;
    }
    if (least <= 0) {
        findings.not_checked(law, audited.facts.collectives.size() > 1
                                      ? "none of the collectives is a dispatch or combine"
                                      : "the collective is neither dispatch nor combine");
        return;
    }
    const double sent = audited.result.totals.sent_bytes;
    findings.check(law, at_least(sent, least),
                   fmt::format("{} sent, tokens make {}", bytes_text(sent), bytes_text(least)));
}

// Every node ran, nothing that ranks send was left out, and no work was lost or made up.
void trace_is_replayed(const AuditCase& audited, AuditFindings& findings) {
    const AuditTrace& trace = *audited.facts.trace;
    const auto& totals = audited.result.totals;
    findings.check("all nodes of the trace ran",
                   static_cast<double>(totals.tasks) == trace.tasks && totals.unfinished == 0,
                   fmt::format("{} tasks ended, the trace's classes have {}",
                               totals.tasks - totals.unfinished, trace.tasks));
    findings.check("FLOPs executed = FLOPs of the graph", same(totals.flops, trace.flops),
                   fmt::format("{} executed, the trace has {}", work_text(totals.flops),
                               work_text(trace.flops)));
    findings.check("links carry what the trace moves",
                   at_least(totals.sent_bytes, trace.moved_bytes),
                   fmt::format("{} sent, the trace's transfers move at least {}",
                               bytes_text(totals.sent_bytes), bytes_text(trace.moved_bytes)));
    const auto step = audited.metric("step_time", Seconds::dimension);
    findings.check("rates follow from tokens, time and chips",
                   step && same(*step, audited.result.iteration_seconds),
                   fmt::format("step time {}, the run {}", step ? time_text(*step) : "missing",
                               time_text(audited.result.iteration_seconds)));
}

void single_rates_follow(const AuditCase& audited, AuditFindings& findings) {
    const auto& result = audited.result;
    const double machine_seconds = result.iteration_seconds * audited.facts.chips;
    std::string culprit;
    const auto compare = [&](const std::string& name, Dimension dimension, double expected) {
        const auto given = audited.metric(name, dimension);
        if (!culprit.empty() || (given && same(*given, expected))) return;
        culprit = fmt::format("{}: {} in the result, {} follows", name,
                              given ? format_quantity(*given, dimension) : "nothing",
                              format_quantity(expected, dimension));
    };
    compare(audited.kind + "_time", Seconds::dimension, result.iteration_seconds);
    if (audited.kind == "operator") {
        compare("achieved_flops", FlopsPerSecond::dimension, result.totals.flops / machine_seconds);
        compare("achieved_bandwidth", BytesPerSecond::dimension,
                result.totals.hbm_bytes / machine_seconds);
    }
    if (audited.facts.exchanges_layer) {
        compare("link_bandwidth", BytesPerSecond::dimension,
                result.totals.sent_bytes / machine_seconds);
    }
    findings.check_none("rates follow from tokens, time and chips", culprit,
                        time_text(result.iteration_seconds));
}

}  // namespace

std::vector<AuditFinding> audit(const AlternativeResult& alternative, const std::string& kind,
                                const nlohmann::ordered_json& configuration) {
    constexpr const char* law = "the configuration says what was run";
    if (kind == "serving") return audit_serving(alternative, configuration);
    if (has_pool_pair(alternative, configuration))
        return audit_pool_pair(alternative, configuration);
    try {
        const AuditCase audited{alternative, kind,
                                read_audit_facts(configuration, alternative.name, kind)};
        AuditFindings findings;
        findings.check(law, true, "read again from the result");
        work_finished(audited, findings);
        chips_are_packages(audited, findings);
        audit_resources(audited, findings);
        breakdown_sums(audited, findings);
        provenance_sums(audited, findings);
        if (kind == "operator") operator_work(audited, findings);
        if (audited.facts.exchanges_layer) layer_traffic(audited, findings);
        if (kind == "collective") collective_traffic(audited, findings);
        if (audited.facts.trace) trace_is_replayed(audited, findings);
        if (audited.facts.training) audit_training(audited, findings);
        if (kind == "operator" || kind == "collective") single_rates_follow(audited, findings);
        if (audited.facts.step) audit_step(audited, findings);
        audit_energy(audited, findings);
        audit_prices(audited, findings);
        return findings.take();
    } catch (const std::exception& error) {
        return {{law, false, error.what()}};
    }
}

}  // namespace podsim
