// The machine: classes of equal ranks run a program on chips over a fabric.
//
// Each rank has its cores, memory and ports as resources; each running task uses shares of them,
// and max-min fairness sets the speeds of tasks that run side by side (base/fluid.hpp). Transfers
// join classes. The machine is a set of plain objects on a calendar; SystemC or a plain loop
// drives it, with the same bytes out.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/calendar.hpp"
#include "chips/cost_cache.hpp"
#include "interconnect/coflow.hpp"
#include "program/program.hpp"

namespace podsim {

enum class Driver { systemc, plain };

// Resources of one rank, in the order of every array below. Behind them stand its part of the links
// inside the fabric, class by class (interconnect/link_ratio.hpp), which only contention sees.
enum class Resource {
    matrix_cores,
    vector_cores,
    memory,
    scale_up_send,
    scale_up_receive,
    scale_out_send,
    scale_out_receive
};
inline constexpr int kResources = 7;

// What happened to one task. start..end is without holes: gap and launch, then latency and the
// wait for the slowest rank (transfers), then the work itself.
struct TaskRecord {
    Picoseconds ready = 0, start = 0, end = 0;
    Picoseconds gap = 0;      // idle before the kernel (engine)
    Picoseconds launch = 0;   // fixed part of the kernel (library)
    Picoseconds latency = 0;  // software and wire latency of a transfer
    Picoseconds skew = 0;     // wait for the slowest rank of the group
    Picoseconds alone = 0;    // the rest, had it run alone; end - start may hold more (contention)
    int cause = -1;           // the task whose end let this one start, -1 at time zero
};

// What one rank of a class did between two changes of speed.
struct UsageSegment {
    Picoseconds begin = 0, end = 0;
    double matrix_seconds = 0;  // matrix work at peak rate
    double hbm_bytes = 0;
    std::array<double, kPorts> port_bytes{};
};

struct RunRecord {
    Picoseconds end = 0;
    std::vector<TaskRecord> tasks;                 // as in the program
    std::vector<std::vector<UsageSegment>> usage;  // by class, in time order
    std::vector<int> critical_path;                // task ids from first to last, without holes
    std::uint64_t events = 0;
    int unfinished = 0;  // tasks that never ended: must be 0
};

// A fused exchange on the ranks of one class: its kernel, whose `time` holds all but the latencies
// of the transfers, and what moves over the ports.
struct FusedPartCost {
    OperatorCost kernel;
    double cores = 0, memory = 0;                 // seconds of them, busy at the attained rates
    std::array<double, kPorts> ports{}, bytes{};  // the same of each port; what crosses it
    std::vector<LinkTime> links;                  // the same of links inside the fabric
    Seconds closing{0.0};                         // of `kernel.time`: after everything came back
};
struct FusedCost {
    Seconds latency{0.0};  // of both transfers
    std::vector<FusedPartCost> parts;
};

// Costs of everything in a program, one entry per operator, pipeline, transfer and fused exchange.
struct ProgramCosts {
    // [stream][operator]: streams with different core shares cost differently.
    std::vector<std::vector<OperatorCost>> operators, pipelines;
    std::vector<Coflow> coflows;
    std::vector<FusedCost> fused;
    // Above 0: links of the coflows are numbers below it, of links that ranks of all classes share;
    // 0: each rank has its part of each class of links for itself.
    int shared_links = 0;
    std::vector<std::string> warnings;  // formats that do not multiply, transfers outside a fit
};

// Costs each distinct operator once per core share in use. A pipeline runs as one kernel: one
// launch, the slower of its summed compute and its memory traffic less what stays on the chip.
ProgramCosts cost_program(const Program& program, CostCache& cache, const RankFabric& fabric,
                          const CollectiveLibrarySpec& library, long total_ranks);

// What of a program has no cost, each reason once: a format that the chip or its kernel library
// lacks; a collective that the library lacks or the fabric cannot carry.
struct CostProblems {
    std::vector<std::string> operators, transfers;
};
CostProblems cost_problems(const Program& program, CostCache& cache, const RankFabric& fabric,
                           const CollectiveLibrarySpec& library, long total_ranks);

// Runs the program to its end. `hardware` gives the memory rate at which transfers read what they
// send and write what lands. Throws std::invalid_argument for a program that require_valid refuses
// and for a transfer with two tasks on one stream.
RunRecord run_program(const Program& program, const ProgramCosts& costs,
                      const RankHardware& hardware, Driver driver);

}  // namespace podsim
