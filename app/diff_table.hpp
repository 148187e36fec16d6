// What makes the difference between two results, as a table and as JSON.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "sim/difference.hpp"
#include "sim/input_difference.hpp"

namespace podsim {

// One side: an alternative of a result.
struct DiffSide {
    std::string file, experiment, alternative;
};

struct Diff {
    std::string kind;  // of workload
    DiffSide a, b;
    StepDifference step;
    std::vector<InputDifference> inputs;
    std::string note;  // what speaks against comparing them; "" or whole lines
};

// The `top` largest differences, the others gathered in one row. Lines of at most 80 columns.
std::string diff_table(const Diff& diff, int top);

// Every part, times in whole picoseconds, which sum exactly, and in seconds.
nlohmann::ordered_json to_json(const Diff& diff);

}  // namespace podsim
