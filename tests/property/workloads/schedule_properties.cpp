// What holds for every schedule: all passes once and in an order that can run, never under the
// longest chain or the busiest stage, deterministic.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "base/names.hpp"
#include "workloads/schedule.hpp"
#include "workloads/schedule_timing.hpp"

namespace podsim {
namespace {

struct Drawn {
    ScheduleRequest request;
    PipelineTimes times;
};

double drawn_time() {
    return static_cast<double>(*rc::gen::inRange(1, 100)) / 10;
}

Drawn draw() {
    Drawn drawn;
    const auto& kinds = names_of(static_cast<const ScheduleKind*>(nullptr));
    drawn.request.kind = (*rc::gen::elementOf(kinds)).second;
    drawn.request.stages = *rc::gen::inRange(1, 7);
    drawn.request.micro_batches = *rc::gen::inRange(1, 24);
    if (drawn.request.kind == ScheduleKind::interleaved)
        drawn.request.positions_per_stage = *rc::gen::inRange(2, 4);
    if (drawn.request.kind == ScheduleKind::interleaved ||
        drawn.request.kind == ScheduleKind::one_forward_one_backward)
        drawn.request.overlaps = *rc::gen::arbitrary<bool>();
    if (drawn.request.kind == ScheduleKind::zero_bubble_v ||
        drawn.request.kind == ScheduleKind::dual_pipe_v)
        drawn.request.positions_per_stage = 2;
    const int positions = drawn.request.stages * drawn.request.positions_per_stage;
    for (int q = 0; q < positions; ++q) {
        drawn.times.positions.push_back({Seconds(drawn_time()), Seconds(drawn_time()),
                                         Seconds(drawn_time()), Seconds(0.0), 1.0, 0.5});
    }
    drawn.times.transfer = Seconds(drawn_time() / 10);
    RC_PRE(!schedule_problem(drawn.request));
    return drawn;
}

RC_GTEST_PROP(ScheduleProperty, EveryPassOnceAndInOrder, ()) {
    const Drawn drawn = draw();
    const Schedule schedule = make_schedule(drawn.request, drawn.times);
    const ScheduleTiming timing = time_schedule(schedule, drawn.times, true);
    std::map<std::tuple<int, int, long>, int> forwards, inputs, weights;
    const auto key = [](const Cell& cell) {
        return std::tuple(cell.pipe, cell.position, cell.micro_batch);
    };
    for (const PassRun& run : timing.passes) {
        const Pass& pass = run.pass;
        const bool overlapped = pass.kind == PassKind::overlapped;
        const Cell& back = overlapped ? pass.backward : pass.cell;
        if (overlapped || pass.kind == PassKind::forward) ++forwards[key(pass.cell)];
        if (pass.kind != PassKind::forward && pass.kind != PassKind::weight_gradient)
            ++inputs[key(back)];
        if (pass.kind != PassKind::forward && pass.kind != PassKind::input_gradient)
            ++weights[key(back)];
        RC_ASSERT(schedule.stage_of[static_cast<std::size_t>(pass.cell.pipe)]
                                   [static_cast<std::size_t>(pass.cell.position)] == run.stage);
    }
    const auto cells = static_cast<std::size_t>(schedule.positions * schedule.micro_batches);
    for (const auto* counts : {&forwards, &inputs, &weights}) {
        RC_ASSERT(counts->size() == cells);
        for (const auto& [cell, count] : *counts) RC_ASSERT(count == 1);
    }
}

RC_GTEST_PROP(ScheduleProperty, NeverUnderItsBounds, ()) {
    const Drawn drawn = draw();
    const ScheduleTiming timing =
        time_schedule(make_schedule(drawn.request, drawn.times), drawn.times);
    double chain = 0;  // one micro-batch forward and back
    for (const PassTimes& t : drawn.times.positions)
        chain += (t.forward + t.input_gradient).value();
    RC_ASSERT(timing.makespan.value() >= chain * (1 - 1e-12));
    for (const StageTiming& stage : timing.stages) {
        RC_ASSERT((stage.last - stage.first).value() >= stage.busy.value() * (1 - 1e-12));
        RC_ASSERT(stage.peak_activation > 0);
    }
    RC_ASSERT(timing.bubble_fraction >= -1e-12);
    RC_ASSERT(timing.bubble_fraction < 1);
}

// Schedules written down in advance: dearer passes never finish sooner.
RC_GTEST_PROP(ScheduleProperty, DearerPassesNeverFinishSooner, ()) {
    Drawn drawn = draw();
    RC_PRE(drawn.request.kind != ScheduleKind::zero_bubble_1p &&
           drawn.request.kind != ScheduleKind::zero_bubble_2p);
    const Seconds before =
        time_schedule(make_schedule(drawn.request, drawn.times), drawn.times).makespan;
    auto& position =
        drawn.times.positions[*rc::gen::inRange<std::size_t>(0, drawn.times.positions.size())];
    position.forward *= 1.5;
    position.weight_gradient *= 1.5;
    drawn.times.transfer *= 2;
    const Seconds after =
        time_schedule(make_schedule(drawn.request, drawn.times), drawn.times).makespan;
    RC_ASSERT(after >= before * (1 - 1e-12));
}

}  // namespace
}  // namespace podsim
