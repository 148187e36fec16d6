// A suite file read and checked: each case with its whole experiment, its published value in base
// units of the metric, and everything that is wrong in it said at once.
#pragma once

#include <vector>

#include "base/units.hpp"
#include "sim/validation.hpp"

namespace podsim {

struct PreparedCase {
    CaseReport report;  // without what a run adds
    Node experiment;
    Dimension dimension;
    double unit = 1;  // of the published value, in base units
    Place place;
    std::string path;  // "cases.CM384-009"
};

struct PreparedSuite {
    SuiteReport report;  // name, title and gates; pairs by their ids
    std::vector<PreparedCase> cases;
    std::vector<TableCase> tables;
    std::vector<Place> table_places;
};

// Throws InputError; the experiments are checked as far as `catalog` knows what they name.
PreparedSuite prepare_suite(const Node& document, const Catalog& catalog);

// Fills mape, bias and worst over the cases that count, and passed: gates kept, no case without an
// error that is a number, no case that breaks a law of the audit.
void score(SuiteReport& report);

}  // namespace podsim
