// The readers of each format, one source file each. Each fills in one rank's graph, or for SimAI a
// whole trace; names of groups are looked up by whoever gathers the ranks.
#pragma once

#include <string>

#include "workloads/execution_trace.hpp"
#include "workloads/trace/trace_bytes.hpp"

namespace podsim {

// Beside the graph: what a file may say of its place among the others.
struct RankFile {
    RankTrace rank;
    TraceFormat format = TraceFormat::chakra;
    int stated_rank = -1, world_size = -1;     // -1: not said
    std::map<std::string, TraceGroup> groups;  // those the file itself defines
    std::vector<std::string> warnings;
};

// Protobuf, varint-delimited: read as a stream.
RankFile read_chakra(TraceBytes& bytes);
// Chakra's JSON, a PyTorch execution trace or Kineto's, told apart by the list they hold.
RankFile read_json_trace(TraceBytes& bytes);
// A SimAI layer workload: all ranks of all stages.
ExecutionTrace read_simai(TraceBytes& bytes);
// A list of collectives in AICB's CSV.
ExecutionTrace read_aicb(TraceBytes& bytes);

// Largest text that is taken into memory at a time.
inline constexpr std::size_t kMostTraceText = std::size_t{4} << 30;

}  // namespace podsim
