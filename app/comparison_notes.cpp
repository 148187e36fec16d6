// What stands under the table: how far to believe it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "app/comparison.hpp"
#include "app/number_text.hpp"
#include "app/text_table.hpp"

namespace podsim {

namespace {

// Answers of alternatives whose assumed shares are further apart than this compare badly.
constexpr double kUnequal = 0.20;

std::string percent(double share) {
    return fmt::format("{:.0f} %", share * 100.0);
}

// Of the first metric that has one: the rates and times of a run rest on the same.
const Provenance* provenance_of(const AlternativeResult& alternative) {
    for (const Metric& metric : alternative.metrics) {
        if (!metric.rests_on.shares.empty()) return &metric.rests_on;
    }
    return nullptr;
}

// "58 % measured (held-out error 7 %), 27 % specified, 15 % assumed", the largest first.
std::string provenance_text(const Provenance& provenance) {
    std::vector<std::pair<std::string, double>> shares(provenance.shares.begin(),
                                                       provenance.shares.end());
    std::stable_sort(shares.begin(), shares.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    std::string text;
    for (const auto& [what, share] : shares) {
        if (share < 0.005) continue;
        text += (text.empty() ? "" : ", ") + percent(share) + " " + what;
        if (what == "measured" && provenance.measured_error > 0) {
            text += " (held-out error " + percent(provenance.measured_error) + ")";
        }
    }
    return text;
}

double assumed_share(const Provenance& provenance) {
    const auto it = provenance.shares.find("assumed");
    return it == provenance.shares.end() ? 0 : it->second;
}

std::string provenance_lines(const Result& result) {
    std::string text;
    for (const AlternativeResult& alternative : result.alternatives) {
        if (const Provenance* provenance = provenance_of(alternative)) {
            text += hanging("  ", alternative.name + ": " + provenance_text(*provenance));
        }
    }
    return text.empty() ? "" : "the time rests on\n" + text;
}

// Of training: when its fullest ranks are so full, and what fills them, the largest first.
std::string fullest_ranks(const Result& result) {
    std::string text;
    for (const AlternativeResult& alternative : result.alternatives) {
        const auto fullest = std::max_element(
            alternative.memory.begin(), alternative.memory.end(),
            [](const MemoryUse& a, const MemoryUse& b) { return a.total < b.total; });
        if (fullest == alternative.memory.end() || fullest->peak_during.empty()) continue;
        std::vector<MemoryPart> parts = fullest->parts;
        std::stable_sort(parts.begin(), parts.end(), [](const MemoryPart& a, const MemoryPart& b) {
            return a.bytes > b.bytes;
        });
        constexpr double giga = 1e9;
        std::string line =
            fmt::format("{}: {} hold {} of {} GB from {} s of the step on ({}):", alternative.name,
                        fullest->rank_class, significant(fullest->total / giga),
                        significant(fullest->capacity / giga), significant(fullest->peak_seconds),
                        fullest->peak_during);
        for (const MemoryPart& part : parts)
            line += fmt::format("{} {} {}", &part == &parts.front() ? "" : ",", part.part,
                                significant(part.bytes / giga));
        text += hanging("  ", line);
    }
    return text.empty() ? "" : "memory is fullest\n" + text;
}

std::string rumours(const Result& result) {
    std::vector<std::string> notes;
    for (const AlternativeResult& alternative : result.alternatives) {
        for (const CostBasis& basis : alternative.cost) {
            if (!is_rumour(basis)) continue;
            std::string note =
                fmt::format("{} price of {} is a rumour", basis.name, alternative.chip);
            if (!basis.source.empty()) note += ": " + basis.source;
            if (std::find(notes.begin(), notes.end(), note) == notes.end()) notes.push_back(note);
        }
    }
    std::string text;
    for (const std::string& note : notes) text += hanging("* ", note);
    return text;
}

// Rumoured prices stand in the footnotes.
bool is_footnote(const AlternativeResult& alternative, const std::string& warning) {
    const std::string rumour = fmt::format("price of {} is a rumour", alternative.chip);
    return warning.find(rumour) != std::string::npos;
}

std::string warnings(const Result& result) {
    // (warning, who gets it), in the order of appearance.
    std::vector<std::pair<std::string, std::string>> found;
    for (const AlternativeResult& alternative : result.alternatives) {
        for (const std::string& warning : alternative.warnings) {
            if (is_footnote(alternative, warning)) continue;
            const auto same = [&](const auto& known) { return known.first == warning; };
            const auto it = std::find_if(found.begin(), found.end(), same);
            if (it == found.end()) {
                found.emplace_back(warning, alternative.name);
            } else if (it->second != alternative.name) {
                it->second += ", " + alternative.name;
            }
        }
    }
    std::string text;
    for (const auto& [warning, who] : found) text += hanging("  ", who + ": " + warning);
    return text.empty() ? "" : "warnings\n" + text;
}

// A law that could not be checked is listed as such and counts for nothing.
const std::string kNotChecked = "not checked: ";

bool unchecked(const AuditFinding& finding) {
    return finding.law.rfind(kNotChecked, 0) == 0;
}

// "not checked: links carry what the experts exchange (the model has no experts)"
std::string unchecked_text(const AuditFinding& finding) {
    const bool same = finding.detail.rfind(kNotChecked, 0) == 0;
    return finding.law + " (" + finding.detail.substr(same ? kNotChecked.size() : 0) + ")";
}

std::string audit_line(const Result& result) {
    std::size_t laws = 0, broken = 0;
    std::vector<std::string> skipped;
    for (const AlternativeResult& alternative : result.alternatives) {
        std::size_t held = 0;
        for (const AuditFinding& finding : alternative.audit) {
            if (!finding.passed) ++broken;
            if (!unchecked(finding)) {
                ++held;
            } else if (const std::string one = unchecked_text(finding);
                       std::find(skipped.begin(), skipped.end(), one) == skipped.end()) {
                skipped.push_back(one);
            }
        }
        laws = &alternative == &result.alternatives.front() ? held : std::min(laws, held);
    }
    if (broken > 0) {
        return fmt::format("audit: FAILED, {} {} broken; these numbers are not to be believed\n",
                           broken, broken == 1 ? "law is" : "laws are");
    }
    if (laws == 0) return "audit: nothing was checked\n";
    std::string text = fmt::format("audit: passed, {} laws hold for every alternative\n", laws);
    for (const std::string& one : skipped) text += hanging("  ", one);
    return text;
}

}  // namespace

std::string unequal_provenance(const Result& result) {
    const AlternativeResult *least = nullptr, *most = nullptr;
    for (const AlternativeResult& alternative : result.alternatives) {
        const Provenance* provenance = provenance_of(alternative);
        if (provenance == nullptr) continue;
        const double share = assumed_share(*provenance);
        if (least == nullptr || share < assumed_share(*provenance_of(*least))) least = &alternative;
        if (most == nullptr || share > assumed_share(*provenance_of(*most))) most = &alternative;
    }
    if (least == nullptr) return "";
    const double low = assumed_share(*provenance_of(*least));
    const double high = assumed_share(*provenance_of(*most));
    if (high - low <= kUnequal) return "";
    return hanging("", fmt::format("Compare with care: {} of the time of {} is assumed, {} of {}.",
                                   percent(high), most->name, percent(low), least->name));
}

bool is_rumour(const CostBasis& basis) {
    return basis.confidence == "rumour";
}

std::vector<std::string> audit_breaches(const Result& result) {
    std::vector<std::string> breaches;
    for (const AlternativeResult& alternative : result.alternatives) {
        for (const AuditFinding& finding : alternative.audit) {
            if (finding.passed) continue;
            breaches.push_back(fmt::format("{} breaks the law \"{}\": {}", alternative.name,
                                           finding.law, finding.detail));
        }
    }
    return breaches;
}

std::string comparison_notes(const Result& result) {
    return fullest_ranks(result) + provenance_lines(result) + unequal_provenance(result) +
           rumours(result) + warnings(result) + audit_line(result);
}

}  // namespace podsim
