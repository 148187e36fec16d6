// The search behind every fit: parameters within their ranges, measured times, a function that
// simulates rows; and the error on rows that were not fitted on.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/document.hpp"
#include "base/units.hpp"

namespace podsim {

// How the error on rows that were not fitted on comes about. tenth: every tenth row, in the order
// of shapes, is never fitted on. folds: ten fits, each without one such tenth; for small tables.
enum class HeldOut { tenth, folds };
const std::vector<std::pair<const char*, HeldOut>>& names_of(const HeldOut*);

struct FitParameter {
    std::string name;
    double low,
        high;  // base units; efficiencies end at 1: what asks for more hides what is missing
    std::string unit;  // in which YAML has it; "" for a plain number
    double scale;      // of that unit, in base units
};

// "2.6 us": as YAML has it.
std::string quantity_text(double value, const FitParameter& parameter);

struct FitOptions {
    int evaluations = 1500;  // of one start
    int starts = 3;
    std::function<void(const std::string&)> progress;
};

struct FitTask {
    std::string name;
    Place place;
    std::vector<FitParameter> parameters;
    std::vector<double> start;      // of each parameter, base units
    std::vector<Seconds> measured;  // of each row, in the order of shapes
    HeldOut held_out = HeldOut::tenth;
    long at_most = 1000;  // rows fitted on, evenly taken from those that may be
    // Times of the rows at these indices with these parameters, in seconds.
    std::function<std::vector<double>(const std::vector<double>& values,
                                      const std::vector<std::size_t>& rows)>
        simulate;
};

struct RowTimes {
    std::vector<std::size_t> rows;
    std::vector<double> simulated;
};

struct FitOutcome {
    std::vector<double> values;
    std::vector<bool> at_bound;  // ended where the range ends
    RowTimes fitted, held_out;
};

// Minimises the mean square of log(simulated / measured), from the given values and from shaken
// ones, over the logarithms of the parameters. Errors far beyond the usual count by their amount,
// not its square: a kernel that chose badly is no property of a library's habits. Throws
// InputError: too few rows.
FitOutcome search_fit(const FitTask& task, const FitOptions& options);

}  // namespace podsim
