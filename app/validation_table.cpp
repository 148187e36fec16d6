#include "app/validation_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "app/metric_table.hpp"
#include "app/number_text.hpp"
#include "app/text_table.hpp"
#include "base/names.hpp"

namespace podsim {

namespace {

constexpr std::size_t kLabel = 42, kCell = 11;

std::string gate(const std::optional<double>& limit) {
    return limit ? " (gate " + percent_text(*limit) + ")" : "";
}

// Mean absolute error, mean error, and the largest one with its sign.
std::string errors(const SuiteReport& report) {
    return fmt::format("MAPE {}{}, bias {}, worst {}{}", percent_text(report.mape),
                       gate(report.gate_mape), signed_percent_text(report.bias),
                       signed_percent_text(report.worst), gate(report.gate_worst));
}

// A table of kernels: how many rows, what they amount to, the row that is furthest off.
std::string table_lines(const TableReport& report) {
    const TableErrors& e = report.errors;
    std::string label = report.table.id;
    if (report.table.use != CaseUse::check)
        label += fmt::format(" [{}]", name_of(report.table.use));
    if (!report.skipped.empty()) return hanging("  " + label + ": ", "skipped, " + report.skipped);
    std::string text =
        fmt::format("{} rows, MAPE {}{}, median {}, bias {}, sum {}", e.rows, percent_text(e.mape),
                    gate(report.table.gate.mape), percent_text(e.median),
                    signed_percent_text(e.bias), signed_percent_text(e.total));
    if (!report.table.part.empty()) {
        text += fmt::format(", not fitted on {}{}", percent_text(report.held_out_error),
                            gate(report.table.gate.held_out));
    }
    text += fmt::format(", worst {} ({})", signed_percent_text(e.worst), e.worst_shape);
    if (e.ideal > Seconds(0.0))
        text += fmt::format(", ideal {} of the measured sum", percent_text(e.ideal / e.measured));
    if (!report.passed) text += ": FAILED";
    return hanging("  " + label + ": ", text);
}

}  // namespace

std::string percent_text(double fraction) {
    return significant(fraction * 100.0, 3) + " %";
}

std::string signed_percent_text(double fraction) {
    return signed_significant(fraction * 100.0, 3) + " %";
}

std::string suite_outcome(const SuiteReport& report) {
    const bool skipped =
        report.cases.empty() && std::all_of(report.tables.begin(), report.tables.end(),
                                            [](const auto& one) { return !one.skipped.empty(); });
    return skipped ? "skipped" : report.passed ? "passed" : "FAILED";
}

std::string suite_table(const SuiteReport& report) {
    TextTable table(kLabel, kCell);
    std::string text =
        hanging(report.suite + ": ", report.title.empty() ? "validation" : report.title);
    if (!report.cases.empty()) table.row("", {"published", "simulated", "error"});
    for (const CaseReport& one : report.cases) {
        const MetricInfo info = metric_info(one.metric);
        const PrintUnit unit = print_unit(one.unit);
        std::string label = fmt::format("  {} {}", one.id, info.label);
        if (!unit.text.empty()) label += ", " + unit.text;
        if (one.use != CaseUse::check) label += fmt::format(" [{}]", name_of(one.use));
        if (!one.audit_passed) label += " [BREAKS A LAW]";
        const bool compared = !std::isnan(one.published);
        table.row(label, {compared ? significant(one.published * unit.factor) : "-",
                          significant(one.simulated * unit.factor),
                          compared ? signed_percent_text(one.error) : "-"});
    }
    if (!report.pairs.empty()) table.line("  ratios between cases" + gate(report.gate_pairs));
    for (const PairReport& pair : report.pairs) {
        table.row("  " + pair.first + " over " + pair.second +
                      (pair.use == CaseUse::check ? "" : fmt::format(" [{}]", name_of(pair.use))),
                  {significant(pair.published), significant(pair.simulated),
                   signed_percent_text(pair.error)});
    }
    text += table.text();
    for (const TableReport& one : report.tables) text += table_lines(one);
    const auto scored_tables = std::count_if(
        report.tables.begin(), report.tables.end(),
        [](const auto& one) { return one.table.use == CaseUse::check && one.skipped.empty(); });
    const auto scored = std::count_if(report.cases.begin(), report.cases.end(),
                                      [](const auto& c) { return c.use == CaseUse::check; }) +
                        scored_tables;
    text += hanging("  ", scored == 0
                              ? "no case is scored: " + suite_outcome(report)
                              : fmt::format("{} over {} {}: {}", errors(report), scored,
                                            scored == 1 ? "case" : "cases", suite_outcome(report)));
    return text + "\n";
}

std::string suite_summary(const SuiteReport& report) {
    const bool scored =
        std::any_of(report.cases.begin(), report.cases.end(),
                    [](const auto& c) { return c.use == CaseUse::check; }) ||
        std::any_of(report.tables.begin(), report.tables.end(), [](const auto& one) {
            return one.table.use == CaseUse::check && one.skipped.empty();
        });
    if (!scored) {
        return fmt::format("{:<20} {:>4} cases  none is scored by itself  {}\n", report.suite,
                           report.cases.size() + report.tables.size(), suite_outcome(report));
    }
    return fmt::format("{:<20} {:>4} cases  MAPE {:>7}  bias {:>7}  worst {:>7}  {}\n",
                       report.suite, report.cases.size() + report.tables.size(),
                       percent_text(report.mape), signed_percent_text(report.bias),
                       signed_percent_text(report.worst), suite_outcome(report));
}

}  // namespace podsim
