// A dispatch or combine by itself whose tokens do not spread evenly: how many reach the busiest
// rank and the others, as popularity of experts or counts of a router have it.
#pragma once

#include <optional>
#include <vector>

#include "base/diagnostic.hpp"
#include "program/operator.hpp"
#include "program/program.hpp"
#include "program/transfer.hpp"
#include "sim/experiment_spec.hpp"

namespace podsim {

bool is_routed(const ExpertsSpec& experts);

// Adds what is wrong: how many experts there are is not said or is not what was counted, copies of
// them that do not divide over the ranks.
void check_routed(const WorkloadSpec& workload, const PoolSpec& pool,
                  std::vector<Diagnostic>& problems);

// Every rank sends as many copies of tokens as any other; the busiest rank is a class of its own
// and gets the expected maximum, the others what is left. Results go the other way.
std::vector<TransferShare> routed_shares(const Transfer& transfer, const ExpertsSpec& experts);

// The transfer with these shares, its kernel's own work before a dispatch or behind a combine.
Program routed_program(Transfer transfer, const std::optional<Operator>& fused_work,
                       const ExpertsSpec& experts);

}  // namespace podsim
