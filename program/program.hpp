// The language between what runs (workloads/) and what it runs on (sim/): tasks with
// dependencies, for classes of ranks that do the same.
//
// A task is an operator, a fused pipeline of operators, a rank's part in a transfer or in a fused
// exchange, or host work. Tasks of one rank sit on streams; a stream runs one task at a time: of
// the highest priority, the one that follows what it just ran, else the earliest ready. Times are
// the machine's to find.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/units.hpp"
#include "program/operator.hpp"
#include "program/transfer.hpp"

namespace podsim {

// `count` ranks with equal programs, folded into one.
struct RankClass {
    std::string name;
    int count = 1;
};

// A queue of one rank's work. `core_share` is the part of the chip's cores its operators may
// use: 1 for a chip whose kernels take it whole, less where an engine partitions the cores.
struct Stream {
    std::string name;
    double core_share = 1.0;
};

// Operators run as one kernel: intermediate results stay on the chip and one launch is paid.
// `on_chip` bytes of the stages' compulsory traffic never reach memory.
struct Pipeline {
    std::string name;
    std::vector<int> operators;  // indices into Program::operators, in order
    double on_chip = 0;
};

enum class TaskKind { compute, pipeline, transfer, host, fused };

struct Task {
    TaskKind kind = TaskKind::compute;
    int body = 0;  // index into operators, pipelines, instances or fused; unused for host work
    int rank_class = 0;
    int stream = 0;
    int layer = -1;  // -1: outside the layer stack
    int micro_batch = 0;
    int priority = 0;  // of ready tasks on a stream the highest goes first
    std::string name;  // of host work; else the body's name is meant
    Seconds host_time{0.0};
    // A later part of a kernel that runs already: its fixed delays have been paid.
    bool continues = false;
    std::vector<int> after;  // tasks of the same class that must have ended
};

// One execution of a transfer: a task of every class that takes part.
struct TransferInstance {
    int transfer = 0;        // index into Program::transfers
    std::vector<int> tasks;  // participants, in the order of the transfer's shares
};

// What the ranks of one class do in a fused exchange.
struct FusedPart {
    std::vector<int> operators;  // products and the vector work between them, in order
    bool closes = false;         // the last of them waits until everything has come back
    double on_chip = 0;          // bytes of their compulsory traffic that never reach memory
    double row_deviation = 0;    // standard deviation of the rows of one group of a product
};

// Dispatch, the experts' products and combine as one kernel of every rank that takes part. A chunk,
// some of a rank's experts, is worked on while the tokens of the next one arrive and the results of
// the one before leave: the kernel takes as long as the busiest of its resources, after the first
// chunk's way in and before the last one's way out.
struct FusedExchange {
    std::string name;
    int dispatch = 0, combine = 0;  // indices into Program::transfers
    std::vector<FusedPart> parts;   // in the order of the transfers' shares
    std::vector<int> tasks;         // one for each part
};

struct Program {
    std::vector<RankClass> classes;
    std::vector<Stream> streams;
    std::vector<Operator> operators;  // each distinct one once
    std::vector<Pipeline> pipelines;
    std::vector<Transfer> transfers;
    std::vector<TransferInstance> instances;
    std::vector<FusedExchange> fused;
    std::vector<Task> tasks;

    // Habits of the engine that runs it (harness parameters).
    Seconds kernel_gap{0.0};  // idle time between one kernel's end and the next one's start
    double rank_skew = 0;     // lateness of the slowest rank at a transfer, as a share of the
                              // compute time since the transfer before it
};

// Index of an equal operator or transfer, added if new.
int intern(Program& program, const Operator& op);
int intern(Program& program, const Transfer& transfer);

// The tasks that start together with this one: all parts of its transfer or fused exchange, which
// joins classes; itself alone otherwise.
std::vector<int> started_together(const Program& program, int task);
bool joins_classes(TaskKind kind);

// The part of a task of a fused exchange.
const FusedPart& fused_part(const Program& program, int task);

// Operators that a task runs, in order; none of a transfer and of host work. Valid as long as the
// program.
std::span<const int> operators_of(const Program& program, int task);

// Work of all ranks in one run of the program.
Flops total_work(const Program& program);

// Throws std::invalid_argument: no tasks, an invalid operator or transfer, an index out of range, a
// dependency on a later task or on another class, a transfer task and an instance that do not name
// each other, participants that do not match the transfer's shares, transfers that wait for each
// other in a circle, a core share outside (0, 1], a time below zero, more bytes on the chip than a
// pipeline has. What passes can run to its end.
void require_valid(const Program& program);

}  // namespace podsim
