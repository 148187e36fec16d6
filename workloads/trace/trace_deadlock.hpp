// Who waits for whom where the ranks of a trace would wait for ever.
#pragma once

#include <optional>

#include "base/diagnostic.hpp"
#include "workloads/trace/trace_matching.hpp"

namespace podsim {

// A circle of dependencies within ranks and of transfers that need all their members (a send runs
// with its receive), told rank by rank at the file of the first of them. Nothing where every node
// can run. Of a trace with one graph for each rank, which was matched.
std::optional<Diagnostic> find_deadlock(const ExecutionTrace& trace, const TraceMatching& matching);

}  // namespace podsim
