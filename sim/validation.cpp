#include "sim/validation.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/names.hpp"
#include "base/statistics.hpp"
#include "sim/validation_suite.hpp"

namespace podsim {

namespace {

// In the published unit, or where nothing was published in the metric's own. Throws InputError when
// the run does not give the metric.
double simulated_value(PreparedCase& one, const AlternativeResult& result) {
    const Metric* metric = result.metric(one.report.metric);
    if (metric == nullptr) {
        std::string given;
        for (const auto& other : result.metrics) given += (given.empty() ? "" : ", ") + other.name;
        throw InputError(one.place, one.path + ".metric",
                         fmt::format("{} is not what this run gives", one.report.metric),
                         "it gives " + given);
    }
    // A share is a plain number whatever a result calls it.
    const bool is_share = one.dimension == Dimension{};
    if (std::isnan(one.report.published)) {
        one.report.unit = metric->unit;
        one.unit = is_share ? 1.0 : parse_quantity("1 " + metric->unit, one.dimension);
        return metric->value;
    }
    const double percent = is_share && metric->unit == "%" ? 0.01 : 1.0;
    const double base =
        is_share
            ? metric->value * percent
            : parse_quantity(fmt::format("{:.17g} {}", metric->value, metric->unit), one.dimension);
    return base / one.unit;
}

// The run of the case before, which the next one may be about too: by another metric.
struct LastRun {
    std::string experiment;
    Result result;
    Catalog catalog;
};

void run_case(PreparedCase& one, const Catalog& catalog, const RunOptions& options,
              std::vector<FitUse>& fits, std::optional<LastRun>& last) {
    const std::string asked = to_json(one.experiment).dump();
    if (!last || last->experiment != asked) {
        Catalog fresh = catalog;
        Result run = run_experiment(one.experiment, fresh, options);
        last.emplace(LastRun{asked, std::move(run), std::move(fresh)});
    }
    const Result& result = last->result;
    Catalog& own = last->catalog;
    CaseReport& report = one.report;
    report.simulated = simulated_value(one, result.alternatives.front());
    report.error = relative_error(report.simulated, report.published);
    report.audit_passed = result.audit_passed();
    const AlternativeResult& alternative = result.alternatives.front();
    report.rests_on = alternative.metric(report.metric)->rests_on;
    add_fits_of_run(alternative, own, one.place, fits);
}

void compare_pair(PairReport& pair, const std::vector<PreparedCase>& cases) {
    const auto find = [&](const std::string& id) -> const PreparedCase& {
        return *std::find_if(cases.begin(), cases.end(),
                             [&](const auto& one) { return one.report.id == id; });
    };
    const PreparedCase &first = find(pair.first), &second = find(pair.second);
    const double units = first.unit / second.unit;
    if (pair.published == 0)
        pair.published = first.report.published / second.report.published * units;
    pair.simulated = first.report.simulated / second.report.simulated * units;
    pair.error = relative_error(pair.simulated, pair.published);
}

}  // namespace

void score(SuiteReport& report) {
    // A table counts as one case, by its own means and its worst row.
    std::vector<double> absolute, errors, farthest;
    for (const auto& one : report.cases) {
        // Of a case that only its ratio was published of, the simulated value has to be a number.
        const bool compared = std::isfinite(std::isnan(one.published) ? one.simulated : one.error);
        report.passed = report.passed && one.audit_passed && compared;
        if (one.use != CaseUse::check) continue;
        absolute.push_back(std::abs(one.error));
        errors.push_back(one.error);
        farthest.push_back(one.error);
    }
    for (const auto& one : report.tables) {
        report.passed = report.passed && one.passed;
        if (one.table.use != CaseUse::check || !one.skipped.empty()) continue;
        absolute.push_back(one.errors.mape);
        errors.push_back(one.errors.bias);
        farthest.push_back(one.errors.worst);
    }
    const bool numbers =
        std::none_of(errors.begin(), errors.end(), [](double e) { return std::isnan(e); });
    if (!numbers) {
        report.mape = report.bias = report.worst = std::numeric_limits<double>::quiet_NaN();
    } else if (!errors.empty()) {
        report.mape = mean(absolute);
        report.bias = bias(errors);
        report.worst = worst(farthest);
    }
    // Written so that a NaN fails.
    if (report.gate_mape && !(report.mape <= *report.gate_mape)) report.passed = false;
    if (report.gate_worst && !(std::abs(report.worst) <= *report.gate_worst)) report.passed = false;
    for (const PairReport& pair : report.pairs) {
        if (!report.gate_pairs || pair.use != CaseUse::check) continue;
        if (!(std::abs(pair.error) <= *report.gate_pairs)) report.passed = false;
    }
}

SuiteReport run_suite(const Node& suite, const Catalog& catalog, const RunOptions& options,
                      const std::string& data) {
    PreparedSuite prepared = prepare_suite(suite, catalog);
    RunOptions quiet = options;
    quiet.neighbour = false;
    quiet.timeline = false;
    quiet.progress = nullptr;
    SuiteReport report = prepared.report;
    std::optional<LastRun> last;
    for (auto& one : prepared.cases) {
        if (options.progress) options.progress(report.suite + " " + one.report.id);
        run_case(one, catalog, quiet, report.fits, last);
        report.cases.push_back(one.report);
    }
    for (std::size_t i = 0; i < prepared.tables.size(); ++i) {
        if (options.progress) options.progress(report.suite + " " + prepared.tables[i].id);
        Catalog own = catalog;
        report.tables.push_back(run_table(prepared.tables[i], own, data, prepared.table_places[i]));
        for (const FitUse& fit : report.tables.back().fits) add_once(fit, report.fits);
    }
    for (auto& pair : report.pairs) compare_pair(pair, prepared.cases);
    score(report);
    return report;
}

namespace {

// A table as a case: mean times, and the numbers behind them.
nlohmann::ordered_json table_json(const TableReport& report) {
    const TableErrors& e = report.errors;
    const double rows = e.rows > 0 ? static_cast<double>(e.rows) : 1.0;
    nlohmann::ordered_json gate = nlohmann::ordered_json::object();
    if (report.table.gate.mape) gate["mape"] = *report.table.gate.mape;
    if (report.table.gate.held_out) gate["held_out"] = *report.table.gate.held_out;
    return {{"id", report.table.id},
            {"metric", report.table.collectives.empty() ? "operator_time" : "collective_time"},
            {"published", e.measured.value() * 1e6 / rows},
            {"simulated", e.simulated.value() * 1e6 / rows},
            {"unit", "us"},
            {"error", e.total},
            {"use", name_of(report.table.use)},
            {"audit_passed", true},
            {"source", report.table.source},
            {"note", report.table.note},
            {"table",
             {{"rows", e.rows},
              {"mape", e.mape},
              {"median", e.median},
              {"bias", e.bias},
              {"total", e.total},
              {"worst", e.worst},
              {"worst_shape", e.worst_shape},
              {"held_out", report.held_out_error},
              {"gate", gate},
              {"passed", report.passed},
              {"skipped", report.skipped}}}};
}

}  // namespace

nlohmann::ordered_json to_json(const std::vector<SuiteReport>& suites) {
    using Json = nlohmann::ordered_json;
    Json list = Json::array();
    for (const auto& suite : suites) {
        Json cases = Json::array(), pairs = Json::array();
        for (const auto& one : suite.cases) {
            cases.push_back({{"id", one.id},
                             {"metric", one.metric},
                             {"published", one.published},
                             {"simulated", one.simulated},
                             {"unit", one.unit},
                             {"error", one.error},
                             {"use", name_of(one.use)},
                             {"audit_passed", one.audit_passed},
                             {"source", one.source},
                             {"note", one.note}});
        }
        for (const auto& one : suite.tables) cases.push_back(table_json(one));
        for (const auto& pair : suite.pairs) {
            pairs.push_back({{"first", pair.first},
                             {"second", pair.second},
                             {"published", pair.published},
                             {"simulated", pair.simulated},
                             {"error", pair.error},
                             {"use", name_of(pair.use)},
                             {"source", pair.source},
                             {"note", pair.note}});
        }
        Json gates = Json::object();
        if (suite.gate_mape) gates["mape"] = *suite.gate_mape;
        if (suite.gate_worst) gates["worst"] = *suite.gate_worst;
        if (suite.gate_pairs) gates["pairs"] = *suite.gate_pairs;
        list.push_back({{"suite", suite.suite},
                        {"title", suite.title},
                        {"mape", suite.mape},
                        {"bias", suite.bias},
                        {"worst", suite.worst},
                        {"gates", gates},
                        {"passed", suite.passed},
                        {"cases", cases},
                        {"pairs", pairs}});
    }
    return {{"suites", list}};
}

}  // namespace podsim
