#include "app/validation_table.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "app/metric_table.hpp"
#include "app/number_text.hpp"
#include "app/text_table.hpp"

namespace podsim {

namespace {

constexpr std::size_t kLabel = 42, kCell = 11;

const char* name_of(CaseUse use) {
    switch (use) {
        case CaseUse::fit:
            return "fit";
        case CaseUse::check:
            return "check";
        case CaseUse::print:
            return "print";
    }
    return "?";
}

std::string percent(double fraction) {
    return significant(fraction * 100.0, 3) + " %";
}

std::string signed_percent(double fraction) {
    return signed_significant(fraction * 100.0, 3) + " %";
}

std::string gate(const std::optional<double>& limit) {
    return limit ? " (gate " + percent(*limit) + ")" : "";
}

// Mean absolute error, mean error, and the largest one with its sign.
std::string errors(const SuiteReport& report) {
    return fmt::format("MAPE {}{}, bias {}, worst {}{}", percent(report.mape),
                       gate(report.gate_mape), signed_percent(report.bias),
                       signed_percent(report.worst), gate(report.gate_worst));
}

}  // namespace

std::string suite_table(const SuiteReport& report) {
    TextTable table(kLabel, kCell);
    std::string text =
        hanging(report.suite + ": ", report.title.empty() ? "validation" : report.title);
    table.row("", {"published", "simulated", "error"});
    for (const CaseReport& one : report.cases) {
        const MetricInfo info = metric_info(one.metric);
        const PrintUnit unit = print_unit(one.unit);
        std::string label = fmt::format("  {} {}", one.id, info.label);
        if (!unit.text.empty()) label += ", " + unit.text;
        if (one.use != CaseUse::check) label += fmt::format(" [{}]", name_of(one.use));
        if (!one.audit_passed) label += " [BREAKS A LAW]";
        table.row(label, {significant(one.published * unit.factor),
                          significant(one.simulated * unit.factor), signed_percent(one.error)});
    }
    if (!report.pairs.empty()) table.line("  ratios between cases");
    for (const PairReport& pair : report.pairs) {
        table.row(
            "  " + pair.first + " over " + pair.second,
            {significant(pair.published), significant(pair.simulated), signed_percent(pair.error)});
    }
    text += table.text();
    const auto scored = std::count_if(report.cases.begin(), report.cases.end(),
                                      [](const auto& c) { return c.use == CaseUse::check; });
    text += hanging(
        "  ", fmt::format("{} over {} {}: {}", errors(report), scored,
                          scored == 1 ? "case" : "cases", report.passed ? "passed" : "FAILED"));
    return text + "\n";
}

std::string suite_summary(const SuiteReport& report) {
    return fmt::format("{:<20} {:>4} cases  MAPE {:>7}  bias {:>7}  worst {:>7}  {}\n",
                       report.suite, report.cases.size(), percent(report.mape),
                       signed_percent(report.bias), signed_percent(report.worst),
                       report.passed ? "passed" : "FAILED");
}

}  // namespace podsim
