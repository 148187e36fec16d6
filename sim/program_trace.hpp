// A program that ran, as an execution trace: its classes as ranks that share a file, its tasks as
// nodes with their work and the time each took alone.
#pragma once

#include "sim/experiment.hpp"
#include "workloads/execution_trace.hpp"

namespace podsim {

ExecutionTrace trace_of_program(const RanProgram& ran);

}  // namespace podsim
