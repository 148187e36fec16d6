#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/audit_laws.hpp"

namespace podsim {

namespace {

bool is_matrix(const ResourceUse& use) {
    return begins_with(use.resource, "matrix");
}
bool is_port(const ResourceUse& use) {
    return begins_with(use.resource, "scale-");
}
bool is_send(const ResourceUse& use) {
    return use.resource.find("send") != std::string::npos;
}

// Of one rank, a second of the matrix units' time or bytes.
double data_sheet_rate(const AuditCase& audited, const ResourceUse& use) {
    const auto& hardware = audited.facts.hardware;
    if (use.resource == hardware.memory) return audited.of_rank(hardware.hbm_bandwidth);
    if (begins_with(use.resource, "scale-up")) return audited.of_rank(hardware.scale_up);
    if (begins_with(use.resource, "scale-out")) return audited.of_rank(hardware.scale_out);
    return 1;
}

// Of all ranks.
template <class Wanted>
double amount_of(const AuditCase& audited, Wanted wanted) {
    double sum = 0;
    for (const auto& use : audited.result.resources) {
        if (wanted(use)) sum += use.amount * audited.ranks_of(use.rank_class);
    }
    return sum;
}

// Each format has its own peak: a product in BF16 is not done at the rate of INT8.
void matrix_bound(const AuditCase& audited, AuditFindings& findings) {
    const auto& result = audited.result;
    const double took = result.iteration_seconds;
    double rank_seconds = 0;  // of all ranks' matrix units together
    std::string parts;
    for (const auto& [format, work] : audited.matrix_work()) {
        if (!(work > 0)) continue;
        const double peak = audited.matrix_peak_of_rank(format);
        rank_seconds += work / peak;
        parts += fmt::format("{}{} of {} at {}", parts.empty() ? "" : ", ", work_text(work),
                             format.empty() ? "all formats" : format,
                             format_quantity(peak, FlopsPerSecond::dimension));
    }
    // What was executed, however little the closed form asks for.
    const double executed = result.totals.matrix_flops / audited.matrix_peak_of_rank("");
    const double bound = std::max(rank_seconds, executed) / audited.working_ranks();
    // The time that the matrix units are said to be busy must hold the work, too.
    const double busy = amount_of(audited, is_matrix);
    findings.check(
        "not faster than its FLOPs at the matrix peak",
        at_least(took, bound) && result.totals.matrix_flops >= 0 &&
            (result.resources.empty() ||
             (at_least(busy, rank_seconds) && at_least(busy, executed))),
        fmt::format("{} on {} ranks take {}, the run {}; their matrix units are busy "
                    "for {}",
                    parts.empty() ? "no matrix work" : parts, audited.working_ranks(),
                    time_text(bound), time_text(took), time_text(busy / audited.working_ranks())));
}

void memory_bound(const AuditCase& audited, AuditFindings& findings) {
    const auto& result = audited.result;
    const double bytes = result.totals.hbm_bytes, took = result.iteration_seconds;
    const double rate = audited.of_rank(audited.facts.hardware.hbm_bandwidth);
    const double bound = bytes / (audited.working_ranks() * rate);
    const std::string& memory = audited.facts.hardware.memory;
    const double carried =
        amount_of(audited, [&](const auto& use) { return use.resource == memory; });
    const std::string law = "not faster than its bytes at the " + memory + " bandwidth";
    findings.check(law.c_str(),
                   at_least(took, bound) &&
                       (result.resources.empty() || same(carried, bytes, rounded_tolerance)),
                   fmt::format("{} on {} ranks at {} take {}, the run {}; their memories carry {}",
                               bytes_text(bytes), audited.working_ranks(), rate_text(rate),
                               time_text(bound), time_text(took), bytes_text(carried)));
}

void port_bound(const AuditCase& audited, AuditFindings& findings) {
    double longest = 0;
    std::string slowest = "no port is used";
    for (const auto& use : audited.result.resources) {
        if (!is_port(use)) continue;
        const double rate = data_sheet_rate(audited, use), bound = use.amount / rate;
        if (!(bound > longest)) continue;
        longest = bound;
        slowest = fmt::format("{}, {}: {} at {} take {}", use.rank_class, use.resource,
                              bytes_text(use.amount), rate_text(rate), time_text(bound));
    }
    const double took = audited.result.iteration_seconds;
    findings.check("not faster than its bytes at the port rate", at_least(took, longest),
                   slowest + ", the run " + time_text(took));
}

void path_bound(const AuditCase& audited, AuditFindings& findings) {
    const auto& bounds = audited.result.bounds;
    const double took = audited.result.iteration_seconds;
    const bool in_time = at_least(took, bounds.critical_path) && at_least(took, bounds.roofline);
    const std::string bound =
        fmt::format("critical path {}, roofline {}, run {}", time_text(bounds.critical_path),
                    time_text(bounds.roofline), time_text(took));
    if (bounds.serial == 0 && audited.facts.collectives.size() > 1) {
        findings.check("not faster than its critical path", in_time, bound);
        findings.not_checked("not slower than serial",
                             "packets of one collective may hold up those of another");
        return;
    }
    findings.check("not faster than its critical path, not slower than serial",
                   in_time && took <= bounds.serial * (1 + rounded_tolerance),
                   fmt::format("{}, serial {}", bound, time_text(bounds.serial)));
}

// What is wrong with one resource's row, "" when nothing is.
std::string overload(const AuditCase& audited, const ResourceUse& use) {
    const std::string name = use.rank_class + ", " + use.resource;
    const double rate = data_sheet_rate(audited, use);
    if (!(use.capacity > 0 && use.capacity <= rate * (1 + exact_tolerance))) {
        return fmt::format("{}: a capacity of {:.6g} a second, the data sheet has {:.6g}", name,
                           use.capacity, rate);
    }
    const double mean = use.amount / (use.capacity * audited.result.iteration_seconds);
    if (!same(mean, use.mean)) {
        return fmt::format("{}: mean {:.6g}, its amount makes {:.6g}", name, use.mean, mean);
    }
    double largest = 0, sum = 0;
    for (const double window : use.windows) {
        largest = std::max(largest, std::isnan(window) ? HUGE_VAL : window);
        sum += window;
    }
    for (const double share : {use.mean, use.peak, largest}) {
        if (!(share >= 0 && share <= 1 + exact_tolerance)) {
            return fmt::format("{}: {:.6g} % of its capacity", name, 100 * share);
        }
    }
    const double count = static_cast<double>(use.windows.size());
    if (count > 0 && !(same(sum / count, mean, rounded_tolerance) && same(largest, use.peak))) {
        return fmt::format(
            "{}: windows hold a mean of {:.6g} and a peak of {:.6g}, the row {:.6g} "
            "and {:.6g}",
            name, sum / count, largest, mean, use.peak);
    }
    return "";
}

void nothing_above_capacity(const AuditCase& audited, AuditFindings& findings) {
    std::string culprit;
    double highest = 0;
    for (const auto& use : audited.result.resources) {
        if (culprit.empty()) culprit = overload(audited, use);
        highest = std::max(highest, use.peak);
    }
    for (const auto& metric : audited.result.metrics) {
        if (!begins_with(metric.name, "utilization_") || !culprit.empty()) continue;
        const double whole = metric.unit == "%" ? 100 : 1;
        if (!(metric.value >= 0 && metric.value <= whole * (1 + exact_tolerance))) {
            culprit = fmt::format("{} is {} {}", metric.name, metric.value, metric.unit);
        }
    }
    findings.check_none("no resource above 100 % in any window", culprit,
                        fmt::format("fullest window {:.4g} %", 100 * highest));
}

void sent_is_received(const AuditCase& audited, AuditFindings& findings) {
    const auto& totals = audited.result.totals;
    const double sent = amount_of(audited, [](const auto& u) { return is_port(u) && is_send(u); });
    const double received =
        amount_of(audited, [](const auto& u) { return is_port(u) && !is_send(u); });
    const bool ports_agree = audited.result.resources.empty() ||
                             (same(sent, totals.sent_bytes, rounded_tolerance) &&
                              same(received, totals.received_bytes, rounded_tolerance));
    findings.check("bytes sent = bytes received",
                   same(totals.sent_bytes, totals.received_bytes) && ports_agree,
                   fmt::format("{} sent, {} received; ports of all ranks {} and {}",
                               bytes_text(totals.sent_bytes), bytes_text(totals.received_bytes),
                               bytes_text(sent), bytes_text(received)));
}

}  // namespace

void audit_resources(const AuditCase& audited, AuditFindings& findings) {
    matrix_bound(audited, findings);
    memory_bound(audited, findings);
    port_bound(audited, findings);
    path_bound(audited, findings);
    nothing_above_capacity(audited, findings);
    sent_is_received(audited, findings);
}

}  // namespace podsim
