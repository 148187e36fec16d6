// The programs of each kind of schedule; workloads/schedule.hpp is the way in. Each takes a request
// that schedule_problem() has nothing against.
#pragma once

#include "workloads/schedule.hpp"

namespace podsim {

Schedule gpipe(const ScheduleRequest& request);
Schedule one_forward_one_backward(const ScheduleRequest& request);
Schedule interleaved(const ScheduleRequest& request);
Schedule zero_bubble_h1(const ScheduleRequest& request);
Schedule zero_bubble_h2(const ScheduleRequest& request);
Schedule zero_bubble_automatic(const ScheduleRequest& request, const PipelineTimes& times);
Schedule zero_bubble_v(const ScheduleRequest& request);
Schedule dual_pipe(const ScheduleRequest& request);
Schedule dual_pipe_v(const ScheduleRequest& request);

// Stages and positions laid out, programs still empty. Straight: position q on stage q mod S.
Schedule straight_layout(const ScheduleRequest& request);
// There and back: position q on stage q, or on 2 S - 1 - q in the second half.
Schedule v_layout(const ScheduleRequest& request);

inline Pass forward_of(Cell cell) {
    return {PassKind::forward, cell, {}};
}
inline Pass backward_of(Cell cell) {
    return {PassKind::backward, cell, {}};
}
inline Pass input_gradient_of(Cell cell) {
    return {PassKind::input_gradient, cell, {}};
}
inline Pass weight_gradient_of(Cell cell) {
    return {PassKind::weight_gradient, cell, {}};
}
inline Pass overlapped(Cell forward, Cell backward) {
    return {PassKind::overlapped, forward, backward};
}

}  // namespace podsim
