// From files or a folder to one ExecutionTrace.
#pragma once

#include <string>
#include <vector>

#include "workloads/execution_trace.hpp"

namespace podsim {

// Reads a trace of one or several files, or of a folder with one file a rank. The format is told
// from what a file holds. Beside the files, or in the folder `inputs` beside their folder, process
// groups are looked for: JSON of names and lists of ranks (comm_group.json); in the folder itself
// podsim_trace.json, by which ranks that do the same share a file.
// Throws InputError with all that is wrong: unreadable or broken files, files of several formats,
// two of one rank, ranks that are missing, groups that name ranks that are not there or that a node
// names and no one defines.
ExecutionTrace read_trace(const std::vector<std::string>& paths);

// The name of what podsim writes beside its traces.
inline constexpr const char* kTraceIndex = "podsim_trace.json";

}  // namespace podsim
