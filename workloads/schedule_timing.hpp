// When the passes of a pipeline schedule run, and what its bubbles are.
//
//   start(pass) = max(end of the stage's pass before, end of what it waits for + transfer)
//   forward p of micro-batch m waits for forward p - 1; the gradient of inputs at p for that at
//   p + 1 (at the last position for its own forward pass); that of weights for its own first half.
//
//   bubble fraction = 1 - work / span,  span = the longest of the stages from its first pass to its
//   last, work = that of the busiest stage (Qi et al., Zero Bubble Pipeline Parallelism, arXiv
//   2401.10241, section 5: cost is the largest execution time of the stages, which is right where
//   the optimiser step does not wait for all of them).
#pragma once

#include <functional>
#include <vector>

#include "workloads/schedule.hpp"

namespace podsim {

// A pass's activations are there from its begin, and go at the end of the pass that lets them go.
struct HeldActivations {
    double activation = 0, again = 0;  // in units of PassTimes
    double total() const { return activation + again; }
};

struct StageTiming {
    Seconds first{0.0}, last{0.0};  // begin of its first pass, end of its last
    Seconds busy{0.0};
    double peak_activation = 0;  // most that it held at a time, without what is made again
    long peak_in_flight = 0;     // most cells with a forward pass and no input gradient yet
    HeldActivations fullest;     // with that, the most at a time
    Seconds fullest_at{0.0};     // the begin of the first such pass
    Pass fullest_pass;
};

struct PassRun {
    int stage = 0;
    Pass pass;
    Seconds begin{0.0}, end{0.0};
    HeldActivations held{};  // by its stage while it runs
    double after = 0;        // of it from its end on
};

struct ScheduleTiming {
    Seconds makespan{0.0};  // from the first pass of all to the last
    Seconds span{0.0};
    double bubble_fraction = 0;
    std::vector<StageTiming> stages;
    std::vector<PassRun> passes;  // in the order of stages and programs, where asked for
};

// How much longer a single pass takes than its position's.
using PassDelay = std::function<Seconds(const Pass& pass)>;

// Throws std::logic_error for programs that wait for each other for ever or leave out a pass: a
// schedule that make_schedule() returns does neither.
ScheduleTiming time_schedule(const Schedule& schedule, const PipelineTimes& times,
                             bool with_passes = false, const PassDelay& delay = {});

}  // namespace podsim
