// Which inputs two alternatives were run with that differ: what the configuration carried by their
// results says of the workload, the alternative, and the documents it rests on.
#pragma once

#include <string>
#include <vector>

#include "sim/result.hpp"

namespace podsim {

struct InputDifference {
    std::string path;  // "workload.context", "chip", "chip/h800.hbm.bandwidth"
    std::string a,
        b;  // as written; where it is not stated "8 (default)", "" if there is no default
};

// In the order of the configuration. A document of another name is one difference, one of the same
// name has one for each value that differs. Of a value with its source
// the value counts; records, titles and notes are no inputs.
std::vector<InputDifference> input_differences(const Result& a, const AlternativeResult& of_a,
                                               const Result& b, const AlternativeResult& of_b);

}  // namespace podsim
