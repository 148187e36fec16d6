// An execution trace as Chakra files.
#pragma once

#include <string>
#include <vector>

#include "workloads/execution_trace.hpp"

namespace podsim {

// Writes trace.<first rank>.et for each class of ranks, and podsim_trace.json: which ranks share
// which file, the streams, and the transfers whole. Standard attributes carry what others read;
// podsim's own (podsim_...) what they have no word for. Returns the files' names. Throws InputError
// where the folder cannot be written.
std::vector<std::string> write_trace(const ExecutionTrace& trace, const std::string& folder,
                                     const std::string& title);

// One rank's file as bytes.
std::string chakra_bytes(const RankTrace& rank, const std::vector<Transfer>& transfers);

}  // namespace podsim
