// Published measurements as runnable cases: suites, their gates, and how far off we are.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/catalog.hpp"
#include "base/document.hpp"
#include "sim/case_use.hpp"
#include "sim/experiment.hpp"
#include "sim/suite_fits.hpp"
#include "sim/table_suite.hpp"

namespace podsim {

struct CaseReport {
    std::string id, metric, unit, source, note;
    // error: simulated / published - 1. Both are NaN where nothing was published of the case
    // itself, but of its ratio to another.
    double published = 0, simulated = 0, error = 0;
    CaseUse use = CaseUse::check;
    bool audit_passed = true;
    Provenance rests_on{};  // of the simulated value
};

// Ratio of one case's published value to another's, ours and theirs.
struct PairReport {
    std::string first, second;
    double published = 0;  // 0 before the run: the ratio of the cases' values
    double simulated = 0, error = 0;
    CaseUse use = CaseUse::check;
    std::string source{}, note{};  // source: of a ratio that was published as one
};

// What is not reached, or not to be read out of the numbers, and why: written by hand.
struct SuiteLimit {
    std::string what, why;
};

template <class Form>
void describe(Form& form, SuiteLimit& limit) {
    form.required("what", limit.what, "what is not reached, or not to be read out of the numbers");
    form.required("why", limit.why, "why, and what would be needed");
}

struct SuiteReport {
    std::string suite, title;
    std::vector<SuiteLimit> limits;
    std::vector<FitUse> fits;  // what its simulated values rest on, each once
    std::vector<CaseReport> cases;
    std::vector<PairReport> pairs;
    std::vector<TableReport> tables;
    // Over cases with use `check`, fractions; a table counts as one case with its own means, for
    // `worst` with its worst row.
    double mape = 0, bias = 0, worst = 0;
    std::optional<double> gate_mape, gate_worst;
    std::optional<double> gate_pairs;  // of each pair with use `check`
    bool passed = true;
};

// Reads a suite file and runs its cases. Throws InputError for anything wrong in it: exactly one
// alternative a case, an unknown metric, a unit that does not fit the metric. Tables are looked for
// in the folder `data`.
SuiteReport run_suite(const Node& suite, const Catalog& catalog, const RunOptions& options,
                      const std::string& data = "");

// {"suites": [{"suite", "mape", "bias", "worst", "passed", "cases": [{"id", "metric",
// "published", "simulated", "error", "use"}]}]}. A table is a case too: the mean times of its rows,
// and what all of them amount to under "table".
nlohmann::ordered_json to_json(const std::vector<SuiteReport>& suites);

nlohmann::ordered_json suite_schema();

}  // namespace podsim
