// What becomes of finished runs: files, a table or JSON, and a word on every broken law.
#pragma once

#include <string>
#include <vector>

#include "app/verbs.hpp"
#include "sim/result.hpp"

namespace podsim {

struct FinishedRun {
    std::string folder;
    Result result;
};

// Writes result.json, operators.csv and, if asked for, timeline.json of every run, all or none;
// prints; tells broken laws on `err`. ExitCode::audit where there is one. Throws InputError when
// something cannot be written.
ExitCode deliver(const std::vector<FinishedRun>& runs, const RunCommand& run, Streams streams);

}  // namespace podsim
