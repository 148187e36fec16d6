#include "app/accuracy_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "app/metric_table.hpp"
#include "app/number_text.hpp"
#include "app/validation_table.hpp"
#include "base/names.hpp"

namespace podsim {

namespace {

using Cells = std::vector<std::string>;

const char* const kHead = R"(# How far off podsim is

Written by `podsim validate --markdown`: published measurements, what podsim says of the same, and
what stands behind its answers. `podsim validate` runs the same by suite.

An error is simulated / published - 1. MAPE is the mean of the errors' amounts, bias their mean,
worst the one farthest from zero; a table of kernels counts as one case. Of the rows, `check` is
scored, `fit` was fitted on and is not scored, `print` is shown without a score.

)";

// A cell of a table is one line, and a bar would end it.
std::string cell(const std::string& text) {
    std::string safe;
    for (const char c : text) {
        if (c == '|') safe += '\\';
        safe += c == '\n' ? ' ' : c;
    }
    return safe;
}

std::string row(const Cells& cells) {
    std::string line = "|";
    for (const std::string& text : cells) line += " " + cell(text) + " |";
    return line + "\n";
}

// `numbers`: columns from which on cells are flush right.
std::string head(const Cells& titles, std::size_t numbers, std::size_t texts_after) {
    std::string line = "|";
    for (std::size_t i = 0; i < titles.size(); ++i)
        line += i >= numbers && i < texts_after ? "---:|" : "---|";
    return row(titles) + line + "\n";
}

std::string gate_text(const std::optional<double>& mape, const std::optional<double>& other,
                      const char* name) {
    std::string text;
    if (mape) text = "MAPE " + percent_text(*mape);
    if (other) text += (text.empty() ? "" : ", ") + std::string(name) + " " + percent_text(*other);
    return text.empty() ? "none" : text;
}

std::string suite_gates(const SuiteReport& suite) {
    std::string text = gate_text(suite.gate_mape, suite.gate_worst, "worst");
    if (!suite.gate_pairs) return text;
    if (text == "none") text = "";
    return text + (text.empty() ? "" : ", ") + "pairs " + percent_text(*suite.gate_pairs);
}

std::string code(const std::string& text) {
    return "`" + text + "`";
}

std::size_t scored(const SuiteReport& suite) {
    const auto cases = std::count_if(suite.cases.begin(), suite.cases.end(),
                                     [](const auto& one) { return one.use == CaseUse::check; });
    const auto tables = std::count_if(
        suite.tables.begin(), suite.tables.end(),
        [](const auto& one) { return one.table.use == CaseUse::check && one.skipped.empty(); });
    return static_cast<std::size_t>(cases + tables);
}

std::string overview(const std::vector<SuiteReport>& suites) {
    std::string text =
        head({"suite", "what", "scored", "MAPE", "bias", "worst", "gates", "result"}, 2, 6);
    for (const SuiteReport& suite : suites) {
        const std::size_t count = scored(suite);
        const bool none = count == 0;
        text += row({code(suite.suite), suite.title, std::to_string(count),
                     none ? "-" : percent_text(suite.mape),
                     none ? "-" : signed_percent_text(suite.bias),
                     none ? "-" : signed_percent_text(suite.worst), suite_gates(suite),
                     suite_outcome(suite)});
    }
    return text + "\n";
}

std::string limits_text(const std::vector<SuiteReport>& suites) {
    std::string text;
    for (const SuiteReport& suite : suites) {
        for (const SuiteLimit& limit : suite.limits)
            text += fmt::format("- {}: **{}** {}\n", code(suite.suite), limit.what, limit.why);
    }
    return text.empty() ? "" : "## Out of reach, and why\n\n" + text + "\n";
}

std::string cases_text(const SuiteReport& suite) {
    if (suite.cases.empty()) return "";
    std::string text = head({"case", "what", "published", "simulated", "error", "use"}, 2, 5);
    for (const CaseReport& one : suite.cases) {
        const PrintUnit unit = print_unit(one.unit);
        std::string label = metric_info(one.metric).label;
        if (!unit.text.empty()) label += ", " + unit.text;
        const bool compared = !std::isnan(one.published);
        text += row({one.id, label, compared ? significant(one.published * unit.factor) : "-",
                     significant(one.simulated * unit.factor),
                     compared ? signed_percent_text(one.error) : "-",
                     name_of(one.use) + std::string(one.audit_passed ? "" : ", BREAKS A LAW")});
    }
    return text + "\n";
}

std::string pairs_text(const SuiteReport& suite) {
    if (suite.pairs.empty()) return "";
    std::string text = head({"ratio of two cases", "published", "simulated", "error", "use"}, 1, 4);
    for (const PairReport& pair : suite.pairs) {
        text +=
            row({pair.first + " over " + pair.second, significant(pair.published),
                 significant(pair.simulated), signed_percent_text(pair.error), name_of(pair.use)});
    }
    return text + "\n";
}

std::string tables_text(const SuiteReport& suite) {
    std::string text;
    for (const TableReport& one : suite.tables) {
        if (!one.skipped.empty()) continue;
        if (text.empty()) {
            text = head({"table", "chip", "library", "rows", "MAPE", "median", "bias", "worst",
                         "not fitted on", "gates", "use"},
                        3, 9);
        }
        const TableCase& table = one.table;
        const TableErrors& e = one.errors;
        text +=
            row({table.id, table.chip, table.kernels, std::to_string(e.rows), percent_text(e.mape),
                 percent_text(e.median), signed_percent_text(e.bias), signed_percent_text(e.worst),
                 table.part.empty() ? "-" : percent_text(one.held_out_error),
                 gate_text(table.gate.mape, table.gate.held_out, "not fitted on"),
                 name_of(table.use) + std::string(one.passed ? "" : ", FAILED")});
    }
    return text.empty() ? "" : text + "\n";
}

std::string skipped_text(const SuiteReport& suite) {
    std::string text;
    for (const TableReport& one : suite.tables) {
        if (!one.skipped.empty())
            text +=
                fmt::format("- {}: {} was not there\n", one.table.id, code(one.table.table.file));
    }
    return text.empty() ? "" : "Skipped:\n\n" + text + "\n";
}

// Notes of the rows, those that are not scored marked: there the note says why.
std::string notes_text(const SuiteReport& suite) {
    std::string text;
    const auto add = [&](const std::string& id, CaseUse use, const std::string& note) {
        if (use == CaseUse::check && note.empty()) return;
        text += "- " + id + (use == CaseUse::check ? "" : " (" + std::string(name_of(use)) + ")");
        text += ": " + (note.empty() ? "no reason is given" : note) + "\n";
    };
    for (const CaseReport& one : suite.cases) add(one.id, one.use, one.note);
    for (const PairReport& pair : suite.pairs) {
        if (!pair.note.empty()) add(pair.first + " over " + pair.second, pair.use, pair.note);
    }
    for (const TableReport& one : suite.tables) add(one.table.id, one.table.use, one.table.note);
    return text.empty() ? "" : "Notes:\n\n" + text + "\n";
}

// Mean over the scored cases.
std::string rests_text(const SuiteReport& suite) {
    std::map<std::string, double> shares;
    double count = 0;
    for (const CaseReport& one : suite.cases) {
        if (one.use != CaseUse::check || one.rests_on.shares.empty()) continue;
        for (const auto& [what, share] : one.rests_on.shares) shares[what] += share;
        ++count;
    }
    std::vector<std::pair<std::string, double>> sorted(shares.begin(), shares.end());
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    std::string text;
    for (const auto& [what, share] : sorted) {
        if (share / count < 0.005) continue;
        text += fmt::format("{}{:.0f} % {}", text.empty() ? "" : ", ", 100 * share / count, what);
    }
    return text.empty() ? "" : "The times of the scored cases rest on: " + text + ".\n\n";
}

std::string fits_text(const SuiteReport& suite) {
    if (suite.fits.empty()) return "";
    std::string text = "What is behind the numbers:\n\n";
    text += head({"library", "part", "basis", "rows fitted", "error on others", "date", "source"},
                 3, 5);
    for (const FitUse& fit : suite.fits) {
        const FitRecord& record = fit.record;
        text += row({fit.kind + " " + code(fit.library), fit.part, name_of(record.basis),
                     record.rows > 0 ? std::to_string(record.rows) : "-",
                     record.held_out_error > 0 ? percent_text(record.held_out_error) : "-",
                     record.date, record.source + (record.note.empty() ? "" : "; " + record.note)});
    }
    return text + "\n";
}

std::string sources_text(const SuiteReport& suite) {
    std::vector<std::string> sources;
    const auto add = [&](const std::string& source) {
        if (std::find(sources.begin(), sources.end(), source) == sources.end())
            sources.push_back(source);
    };
    for (const CaseReport& one : suite.cases) add(one.source);
    for (const PairReport& pair : suite.pairs) {
        if (!pair.source.empty()) add(pair.source);
    }
    for (const TableReport& one : suite.tables) add(one.table.source);
    std::string text = "Published by:\n\n";
    for (const std::string& source : sources) text += "- " + source + "\n";
    return text + "\n";
}

}  // namespace

std::string accuracy_page(const std::vector<SuiteReport>& suites) {
    std::string text = kHead + overview(suites) + limits_text(suites);
    for (const SuiteReport& suite : suites) {
        text += fmt::format("## {}\n\n", suite.suite);
        if (!suite.title.empty()) text += suite.title + ".\n\n";
        text += cases_text(suite) + pairs_text(suite) + tables_text(suite) + skipped_text(suite) +
                notes_text(suite) + rests_text(suite) + fits_text(suite) + sources_text(suite);
    }
    text.pop_back();  // one line break ends the page
    return text;
}

}  // namespace podsim
