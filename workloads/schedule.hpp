// Pipeline schedules of training: one iteration as an explicit program for each stage.
//
// The model is cut into positions 0..P-1 along its depth; a stage holds one or more of them. A
// micro-batch goes forward through all positions, and backward through all of them the other way.
// The backward pass has two halves: gradients of inputs, which the position before waits for, and
// gradients of weights, which nobody waits for before the optimiser step. A schedule says in which
// order each stage runs its passes; when they run is the business of workloads/schedule_timing.hpp.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/units.hpp"

namespace podsim {

enum class ScheduleKind {
    gpipe,
    one_forward_one_backward,
    interleaved,
    zero_bubble_h1,
    zero_bubble_h2,
    zero_bubble_1p,
    zero_bubble_2p,
    zero_bubble_v,
    dual_pipe,
    dual_pipe_v
};
// "gpipe", "1f1b", "interleaved", "zb-h1", "zb-h2", "zb-1p", "zb-2p", "zb-v", "dualpipe",
// "dualpipe-v".
const std::vector<std::pair<const char*, ScheduleKind>>& names_of(const ScheduleKind*);

// Where a micro-batch is: `pipe` is the direction, 0 or 1, of which only DualPipe has two (the
// second runs from the last stage to the first, over a second copy of the weights).
struct Cell {
    int pipe = 0, position = 0;
    long micro_batch = 0;
    bool operator==(const Cell&) const = default;
};

enum class PassKind {
    forward,
    backward,         // both halves; what comes before waits for the end of both
    input_gradient,   // the first half alone
    weight_gradient,  // the second half alone
    overlapped        // a forward pass of one cell and a whole backward pass of another as one
};

struct Pass {
    PassKind kind = PassKind::forward;
    Cell cell;
    Cell backward;  // of an overlapped pass
    bool operator==(const Pass&) const = default;
};

struct Schedule {
    ScheduleKind kind = ScheduleKind::one_forward_one_backward;
    int stages = 1, pipes = 1, positions = 1;
    long micro_batches = 1;                   // of all pipes together
    std::vector<std::vector<int>> stage_of;   // [pipe][position]
    std::vector<std::vector<Pass>> programs;  // [stage]
    std::string choice;                       // what an automatic schedule settled on
};

// What one pass of a position costs.
struct PassTimes {
    Seconds forward{0.0}, input_gradient{0.0}, weight_gradient{0.0};
    Seconds overlapped{0.0};  // forward and whole backward side by side; 0: one after the other
    double activation = 1;    // held from the forward pass on ...
    double kept = 1;          // ... of which this much remains between the two halves
    double again = 0;         // beside it, while gradients of inputs are made
};

struct PipelineTimes {
    std::vector<PassTimes> positions;  // of equal cost where only one is given
    Seconds transfer{0.0};             // from a stage to another, beside the passes
};
const PassTimes& times_of(const PipelineTimes& times, int position);

// What is asked for. Automatic schedules (zb-1p, zb-2p) look at the times, others do not.
struct ScheduleRequest {
    ScheduleKind kind = ScheduleKind::one_forward_one_backward;
    int stages = 1;
    int positions_per_stage = 1;  // of interleaved; zb-v and dualpipe-v always have two
    long micro_batches = 1;
    // Of 1f1b and interleaved: a forward and the backward pass after it are one, each hiding what
    // the other sends, as Megatron Core does with experts; dualpipe and dualpipe-v always do.
    bool overlaps = false;
};

// Positions that a stage holds under this kind of schedule, of one pipe.
int positions_per_stage(const ScheduleRequest& request);

// Whether the halves of a backward pass are passes of their own.
bool splits_backward(ScheduleKind kind);

// Whether some of its passes are a forward and a backward pass as one.
bool overlaps_passes(const ScheduleRequest& request);

// Why the request cannot be met, with the nearest number that can; nothing where it can.
std::optional<std::string> schedule_problem(const ScheduleRequest& request);

// Throws std::invalid_argument with schedule_problem().
Schedule make_schedule(const ScheduleRequest& request, const PipelineTimes& times);

}  // namespace podsim
