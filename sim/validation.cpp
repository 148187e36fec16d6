#include "sim/validation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/validation_suite.hpp"

namespace podsim {

namespace {

// In the published unit. Throws InputError when the run does not give the metric.
double simulated_value(const PreparedCase& one, const AlternativeResult& result) {
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
    const double percent = is_share && metric->unit == "%" ? 0.01 : 1.0;
    const double base =
        is_share
            ? metric->value * percent
            : parse_quantity(fmt::format("{:.17g} {}", metric->value, metric->unit), one.dimension);
    return base / one.unit;
}

void run_case(PreparedCase& one, const Catalog& catalog, const RunOptions& options) {
    Catalog own = catalog;
    const Result result = run_experiment(one.experiment, own, options);
    CaseReport& report = one.report;
    report.simulated = simulated_value(one, result.alternatives.front());
    report.error = report.simulated / report.published - 1;
    report.audit_passed = result.audit_passed();
}

void compare_pair(PairReport& pair, const std::vector<PreparedCase>& cases) {
    const auto find = [&](const std::string& id) -> const PreparedCase& {
        return *std::find_if(cases.begin(), cases.end(),
                             [&](const auto& one) { return one.report.id == id; });
    };
    const PreparedCase &first = find(pair.first), &second = find(pair.second);
    const double units = first.unit / second.unit;
    pair.published = first.report.published / second.report.published * units;
    pair.simulated = first.report.simulated / second.report.simulated * units;
    pair.error = pair.simulated / pair.published - 1;
}

}  // namespace

void score(SuiteReport& report) {
    double sum = 0, absolute = 0, count = 0;
    for (const auto& one : report.cases) {
        report.passed = report.passed && one.audit_passed && std::isfinite(one.error);
        if (one.use != CaseUse::check) continue;
        sum += one.error;
        absolute += std::abs(one.error);
        count += 1;
        if (!(std::abs(one.error) <= std::abs(report.worst))) report.worst = one.error;
    }
    if (count > 0) {
        report.mape = absolute / count;
        report.bias = sum / count;
    }
    // A NaN fails.
    if (report.gate_mape && !(report.mape <= *report.gate_mape)) report.passed = false;
    if (report.gate_worst && !(std::abs(report.worst) <= *report.gate_worst)) report.passed = false;
}

SuiteReport run_suite(const Node& suite, const Catalog& catalog, const RunOptions& options) {
    PreparedSuite prepared = prepare_suite(suite, catalog);
    RunOptions quiet = options;
    quiet.neighbour = false;
    quiet.timeline = false;
    quiet.progress = nullptr;
    SuiteReport report = prepared.report;
    for (auto& one : prepared.cases) {
        if (options.progress) options.progress(report.suite + " " + one.report.id);
        run_case(one, catalog, quiet);
        report.cases.push_back(one.report);
    }
    for (auto& pair : report.pairs) compare_pair(pair, prepared.cases);
    score(report);
    return report;
}

nlohmann::ordered_json to_json(const std::vector<SuiteReport>& suites) {
    using Json = nlohmann::ordered_json;
    const auto use_name = [](CaseUse use) {
        for (const auto& [name, value] : names_of(&use)) {
            if (value == use) return name;
        }
        return "?";
    };
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
                             {"use", use_name(one.use)},
                             {"audit_passed", one.audit_passed},
                             {"source", one.source},
                             {"note", one.note}});
        }
        for (const auto& pair : suite.pairs) {
            pairs.push_back({{"first", pair.first},
                             {"second", pair.second},
                             {"published", pair.published},
                             {"simulated", pair.simulated},
                             {"error", pair.error}});
        }
        Json gates = Json::object();
        if (suite.gate_mape) gates["mape"] = *suite.gate_mape;
        if (suite.gate_worst) gates["worst"] = *suite.gate_worst;
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
