#include "sim/audit_laws.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/audit_closed_form.hpp"

namespace podsim {

namespace {

// Of several collectives at once: how many ranks take part in just these, by their names.
std::map<std::string, double> ranks_by_collectives(const std::vector<nlohmann::ordered_json>& all) {
    std::map<long, std::string> of_rank;
    for (const auto& one : all) {
        const long first = one.value("first_rank", 0L), stride = one.value("stride", 1L);
        for (long i = 0; i < one.at("ranks").get<long>(); ++i) {
            std::string& names = of_rank[first + i * stride];
            names += (names.empty() ? "" : " + ") + one.at("name").get<std::string>();
        }
    }
    std::map<std::string, double> ranks;
    for (const auto& [rank, names] : of_rank) ++ranks[names];
    return ranks;
}

}  // namespace

double AuditCase::working_ranks() const {
    if (facts.trace) return facts.trace->working_ranks();
    if (kind != "collective") return ranks();
    if (facts.collectives.size() == 1) return facts.collectives.front().value("ranks", ranks());
    double all = 0;
    for (const auto& [names, count] : ranks_by_collectives(facts.collectives)) all += count;
    return all;
}

double AuditCase::ranks_of(const std::string& rank_class) const {
    for (const auto& use : result.memory) {
        if (use.rank_class == rank_class) return use.ranks;
    }
    if (kind == "collective" && facts.collectives.size() > 1) {
        const auto ranks = ranks_by_collectives(facts.collectives);
        const auto found = ranks.find(rank_class);
        return found == ranks.end() ? 0 : found->second;
    }
    // Of an expert layer or an exchange whose ranks differ, the busiest stands apart from the
    // others.
    if (facts.exchanges_layer || kind == "collective") {
        if (rank_class == "busiest rank") return 1;
        if (rank_class == "other ranks") return working_ranks() - 1;
    }
    if (facts.trace) {
        const auto found = facts.trace->ranks.find(rank_class);
        return found == facts.trace->ranks.end() ? 0 : found->second;
    }
    return working_ranks();
}

std::optional<double> AuditCase::metric(const std::string& name, Dimension dimension) const {
    for (const auto& metric : result.metrics) {
        if (metric.name != name) continue;
        try {
            return parse_quantity(fmt::format("{:.17g} {}", metric.value, metric.unit), dimension);
        } catch (const UnitError&) {
            return std::nan("");
        }
    }
    return {};
}

std::string AuditCase::difference(const std::string& name, Dimension dimension,
                                  double expected) const {
    const auto given = metric(name, dimension);
    if (given && same(*given, expected)) return "";
    return fmt::format("{}: {} in the result, {} follows", name,
                       given ? format_quantity(*given, dimension) : "nothing",
                       format_quantity(expected, dimension));
}

std::map<std::string, double> AuditCase::matrix_work() const {
    if (kind == "operator") {
        return {{operator_format(facts.the_operator),
                 operator_flops(facts.the_operator).least * ranks()}};
    }
    if (facts.step && facts.step->model) {
        return closed_form(facts, *facts.step->model, result.totals.sequences).flops_by_format;
    }
    return {{"", result.totals.matrix_flops}};
}

double AuditCase::matrix_peak_of_rank(const std::string& format) const {
    return of_rank(format.empty() ? facts.hardware.fastest_matrix_peak()
                                  : facts.hardware.matrix_peak(format));
}

std::vector<std::string> AuditCase::formats() const {
    if (kind == "operator") return {operator_format(facts.the_operator)};
    if (facts.trace) {  // whatever the chip can
        std::vector<std::string> all;
        for (const auto& [format, peak] : facts.hardware.matrix_peaks) all.push_back(format);
        return all;
    }
    const AuditFormats& used = facts.formats;
    return {used.weights.name, used.experts.name, used.attention.name};
}

void AuditFindings::not_checked(const std::string& law, const std::string& why) {
    findings_.push_back({"not checked: " + law, true, "not checked: " + why});
}

void AuditFindings::check(const char* law, bool passed, std::string detail) {
    findings_.push_back({law, passed, std::move(detail)});
}

void AuditFindings::check_none(const char* law, const std::string& culprit,
                               const std::string& otherwise) {
    check(law, culprit.empty(), culprit.empty() ? otherwise : culprit);
}

bool same(double a, double b, double tolerance) {
    return std::abs(a - b) <= tolerance * std::max(std::abs(a), std::abs(b));
}

bool at_least(double value, double bound) {
    return value >= bound * (1 - exact_tolerance);
}

std::string time_text(double seconds) {
    return format_quantity(seconds, Seconds::dimension);
}
std::string bytes_text(double bytes) {
    return format_quantity(bytes, Bytes::dimension);
}
std::string rate_text(double bytes_per_second) {
    return format_quantity(bytes_per_second, BytesPerSecond::dimension);
}
std::string work_text(double flops) {
    return format_quantity(flops, Flops::dimension);
}

bool begins_with(const std::string& text, const char* start) {
    return text.rfind(start, 0) == 0;
}

std::optional<std::size_t> stage_of(const std::string& rank_class, double stages) {
    if (stages == 1) return 0;
    for (std::size_t stage = 0; static_cast<double>(stage) < stages; ++stage) {
        if (begins_with(rank_class, fmt::format("stage {} ", stage + 1).c_str())) return stage;
    }
    return {};
}

}  // namespace podsim
