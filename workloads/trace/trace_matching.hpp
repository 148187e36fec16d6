// Which nodes of which ranks are one collective or one message.
#pragma once

#include <vector>

#include "workloads/execution_trace.hpp"

namespace podsim {

struct NodeOfRank {
    int rank = 0;                                         // index into ExecutionTrace::ranks
    std::uint32_t node = 0;                               // index into its nodes
    auto operator<=>(const NodeOfRank&) const = default;  // NOLINT(modernize-use-nullptr)
};

struct TraceMatching {
    std::vector<std::vector<NodeOfRank>>
        events;  // participants, by rank; a send before its receive
    // By rank, by node: index into events, or -1.
    std::vector<std::vector<std::int32_t>> event_of;
    std::vector<std::vector<int>> members;  // of each event, sorted ranks
};

// Of a trace with one graph for each rank. Throws InputError with who waits for whom.
TraceMatching match_ranks(const ExecutionTrace& trace);

// Ranks by class, 0 for that of rank 0 and so on: equal numbers do the same.
std::vector<int> fold_ranks(const ExecutionTrace& trace, const TraceMatching& matching);

}  // namespace podsim
