// The order in which two micro-batches share one stream of kernels.
//
// An engine enqueues a step's kernels before they run, and a stream runs them in that order: the
// stages of one micro-batch by turns with those of the other, `lead` stages behind. What a stage
// waits for, such as a dispatch, holds up all that was enqueued after it. Stages of a layer with
// experts, | where the other micro-batch takes its turn (DeepSeek, open-infra-index day 6; SGLang,
// operations_strategy.py, deepseek_blog_decode and deepseek_blog_prefill):
//
//   decode, 2 ahead   project | attend, route | send dispatch, shared expert | receive it, experts,
//                     send combine | receive it, sum |
//   prefill, 0 ahead  attention, route, send dispatch | receive it, experts, send combine | shared
//                     expert, receive combine, sum, and on with the next layer
#pragma once

#include <vector>

#include "program/program.hpp"

namespace podsim {

// The turn of a micro-batch's stage among all: stage s of part p of n comes at n (s + lead p) + p.
struct StageTurns {
    int parts = 2;
    int lead = 0;  // stages that a part is ahead of the next
    int turn(int stage, int part) const { return parts * (stage + lead * part) + part; }
};

// Sorts the tasks by `turns`, one for each, those of a turn in the order they had, and makes each
// kernel on `stream` wait for the one before it there, each transfer for the kernel it is enqueued
// behind. Throws std::invalid_argument where a task waits for one of a later turn.
void order_by_turn(Program& program, const std::vector<int>& turns, int stream);

}  // namespace podsim
