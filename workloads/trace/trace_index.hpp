// podsim's own index of a folder of Chakra traces: which ranks share a file, and the transfers as
// they were, which Chakra's nodes do not hold whole.
#pragma once

#include <string>

#include "workloads/execution_trace.hpp"

namespace podsim {

// Reads the index and the files it names. Throws InputError.
ExecutionTrace read_indexed_trace(const std::string& index_path);

std::string index_text(const ExecutionTrace& trace, const std::string& title);

// The file of a class in the folder.
std::string file_of_class(const ExecutionTrace& trace, std::size_t rank_class);

}  // namespace podsim
