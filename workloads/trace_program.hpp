// From an execution trace to a program that the machine runs: ranks that do the same folded into
// classes, nodes as tasks on streams, collectives and messages matched between ranks.
#pragma once

#include <string>
#include <vector>

#include "program/program.hpp"
#include "workloads/execution_trace.hpp"

namespace podsim {

// What the trace says of one operator of the program: how long it took, or what it does.
struct TracedWork {
    double seconds = -1;  // recorded; below zero: not
    double flops = 0, bytes = 0;
};

struct TraceProgram {
    Program program;
    std::vector<TracedWork> work;  // of program.operators
    int ranks = 0;
    std::vector<std::string> warnings;
    // By program.transfers: the ranks of each group that moves by it, a message's sender before its
    // receiver. Empty where the trace does not say where its ranks are and nobody asked.
    std::vector<std::vector<std::vector<int>>> groups;
};

// Streams: those that the nodes name, else one each for the host, compute, memory, collectives,
// sends and receives. A task of the host takes its recorded time; `host_scale` multiplies it.
//
// Matching: the k-th collective of a process group on one rank is the k-th on all its members; the
// k-th send to a rank with a tag is the k-th receive of it there. A send and its receive run
// together: neither ends before the other has begun.
//
// Folding: ranks are of one class when their graphs are equal and the classes of those that they
// communicate with are, node by node (colour refinement until nothing more parts).
//
// `ranks` above 0: a trace of one rank stands for so many. `tiled`: groups of such a trace, and of
// one that has classes of ranks, are laid over the ranks as if all of them took part. Throws
// InputError: a trace of one rank that communicates, and no number of ranks; ranks that enter
// different collectives; a message that no one receives or sends (who waits for whom); transfers
// that wait for each other in a circle.
TraceProgram program_of_trace(const ExecutionTrace& trace, int ranks, double host_scale,
                              bool tiled = false);

}  // namespace podsim
