// Several jobs at once on one pool: each its own trace on ranks of its own, and links that all of
// them share.
#pragma once

#include <string>
#include <vector>

#include "base/units.hpp"
#include "interconnect/collective_library.hpp"
#include "interconnect/system.hpp"
#include "sim/machine.hpp"
#include "sim/replay_spec.hpp"
#include "workloads/trace_program.hpp"

namespace podsim {

// One job of a program of several.
struct PlacedJob {
    std::string name;
    int ranks = 0, first_rank = 0, stride = 1;  // of the pool
    Seconds start{0.0};
    // Of the whole program: [begin, end).
    struct Range {
        std::size_t begin = 0, end = 0;
    };
    Range classes, tasks;
    int last_rank() const { return first_rank + (ranks - 1) * stride; }
};

// Each with its classes named after it and, where it starts later, a wait of the host before all
// that waits for nothing else.
TraceProgram named_job(TraceProgram job, const std::string& name, Seconds start);

// Of named jobs with their groups: classes, tasks and transfers job after job, `groups` by ranks of
// the pool. Fills in what `jobs` have of them.
TraceProgram join_jobs(const std::vector<TraceProgram>& programs, std::vector<PlacedJob>& jobs);

// Coflows of every transfer by where its groups sit, with the links that they share. Throws
// std::invalid_argument as make_coflow does.
void cost_transfers(const TraceProgram& joined, const RankFabric& fabric,
                    const CollectiveLibrarySpec& library, ProgramCosts& costs);

// One job alone, where it is.
struct LoneJob {
    Program program;
    ProgramCosts costs;
};
LoneJob alone(const Program& all, const ProgramCosts& costs, const PlacedJob& place);

}  // namespace podsim
