// What a task of a program is and costs, looked up for the parts of a Result.
#pragma once

#include <span>
#include <string>

#include "sim/assemble.hpp"

namespace podsim {

// Of a compute task, a pipeline or a part of a fused exchange. Tasks are the program's own, no
// copies.
const OperatorCost& cost_of(const AssemblyInput& input, const Task& task);

// Of a transfer task.
const Transfer& transfer_of(const AssemblyInput& input, const Task& task);
const Coflow& coflow_of(const AssemblyInput& input, const Task& task);
const CoflowShare& share_of(const AssemblyInput& input, int id);

// Of a part of a fused exchange.
const FusedPartCost& fused_cost_of(const AssemblyInput& input, const Task& task);

// The operators a task runs, none of a transfer or host work. Valid as long as task and program.
std::span<const int> operators_of(const AssemblyInput& input, const Task& task);

std::string name_of(const AssemblyInput& input, const Task& task);
std::string kind_of(const AssemblyInput& input, const Task& task);

double seconds_of(Picoseconds time);

// A task's time had it run alone on its rank, fixed delays and skew included.
double alone_seconds(const TaskRecord& record);

Flops work_of(const AssemblyInput& input, const Task& task);
Flops matrix_work_of(const AssemblyInput& input, const Task& task);

// What no implementation of a kernel avoids: operands and results once, less what a pipeline keeps
// on the chip.
Bytes compulsory_bytes_of(const AssemblyInput& input, const Task& task);

// No implementation of this one task is faster: its busiest unit at the data sheet's rate.
Seconds roofline_of(const AssemblyInput& input, int id);

}  // namespace podsim
