// What a trace holds, counted, before anything of it is run.
#pragma once

#include <string>
#include <vector>

#include "workloads/execution_trace.hpp"

namespace podsim {

// Of the nodes of one kind, over all ranks.
struct TraceKindSum {
    std::string kind;  // "compute, device", "compute, host", "collective" ...
    long nodes = 0, timed = 0;
    double seconds = 0;  // recorded
    double bytes = 0, flops = 0;
};

// Collectives and messages of one shape.
struct TraceTransferSum {
    std::string type, group;
    long ranks = 0;  // of the group
    double payload = 0;
    double times = 0;    // executions: nodes over members
    double seconds = 0;  // recorded, mean of a node; below zero: not
};

// The longest chain of dependent nodes of one rank.
struct TracePath {
    int rank = 0;
    long nodes = 0;
    double seconds = 0;
    std::vector<std::string> names;  // of the longest of its nodes
};

struct TraceSummary {
    TraceFormat format = TraceFormat::chakra;
    long files = 0, ranks = 0, classes = 0, nodes = 0;                // nodes: of all ranks
    long file_nodes = 0, edges = 0, control_edges = 0, dangling = 0;  // of the files
    double first_to_last = 0;  // recorded span of the longest rank, 0: no start times
    std::vector<TraceKindSum> kinds;
    std::vector<TraceTransferSum> transfers;
    TracePath longest_chain, critical_path;  // by nodes; by recorded times
    std::vector<std::string> missing;        // what a replay will have to do without
    std::vector<std::string> warnings;
};

TraceSummary summarise(const ExecutionTrace& trace);

// How many ranks take part in a node: those of its group, else all.
long members_of(const ExecutionTrace& trace, const RankTrace& rank, const TraceNode& node);

}  // namespace podsim
