#include "workloads/schedule.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "base/names.hpp"
#include "workloads/schedules/programs.hpp"

namespace podsim {

const std::vector<std::pair<const char*, ScheduleKind>>& names_of(const ScheduleKind*) {
    static const std::vector<std::pair<const char*, ScheduleKind>> names = {
        {"gpipe", ScheduleKind::gpipe},
        {"1f1b", ScheduleKind::one_forward_one_backward},
        {"interleaved", ScheduleKind::interleaved},
        {"zb-h1", ScheduleKind::zero_bubble_h1},
        {"zb-h2", ScheduleKind::zero_bubble_h2},
        {"zb-1p", ScheduleKind::zero_bubble_1p},
        {"zb-2p", ScheduleKind::zero_bubble_2p},
        {"zb-v", ScheduleKind::zero_bubble_v},
        {"dualpipe", ScheduleKind::dual_pipe},
        {"dualpipe-v", ScheduleKind::dual_pipe_v}};
    return names;
}

const PassTimes& times_of(const PipelineTimes& times, int position) {
    if (times.positions.size() == 1) return times.positions.front();
    return times.positions.at(static_cast<std::size_t>(position));
}

int positions_per_stage(const ScheduleRequest& request) {
    switch (request.kind) {
        case ScheduleKind::interleaved:
            return request.positions_per_stage;
        case ScheduleKind::zero_bubble_v:
        case ScheduleKind::dual_pipe_v:
            return 2;
        default:
            return 1;
    }
}

bool splits_backward(ScheduleKind kind) {
    switch (kind) {
        case ScheduleKind::gpipe:
        case ScheduleKind::one_forward_one_backward:
        case ScheduleKind::interleaved:
            return false;
        default:
            return true;
    }
}

bool overlaps_passes(const ScheduleRequest& request) {
    return request.overlaps || request.kind == ScheduleKind::dual_pipe ||
           request.kind == ScheduleKind::dual_pipe_v;
}

std::optional<std::string> schedule_problem(const ScheduleRequest& request) {
    const std::string name = name_of(request.kind);
    const long count = request.micro_batches;
    const int stages = request.stages;
    if (stages < 1) return fmt::format("{} stages", stages);
    if (count < 1) return fmt::format("{} micro-batches", count);
    if (request.kind != ScheduleKind::interleaved && request.positions_per_stage != 1 &&
        request.positions_per_stage != positions_per_stage(request)) {
        return fmt::format("{} has {} parts of the model a stage, not {}", name,
                           positions_per_stage(request), request.positions_per_stage);
    }
    if (request.kind == ScheduleKind::interleaved) {
        if (request.positions_per_stage < 2)
            return "interleaved needs at least 2 parts of the model a stage "
                   "(mapping.positions_per_stage); "
                   "with 1 it is 1f1b";
        if (count % stages != 0) {
            const long below = count / stages * stages, above = below + stages;
            return fmt::format(
                "interleaved takes micro-batches in groups of {} stages: {}{}, not {}", stages,
                below > 0 ? fmt::format("{} or ", below) : "", above, count);
        }
    }
    const bool alternates = request.kind == ScheduleKind::one_forward_one_backward ||
                            request.kind == ScheduleKind::interleaved;
    if (request.overlaps && !alternates) {
        return fmt::format("overlap_passes is of 1f1b and interleaved; {} {}", name,
                           overlaps_passes({request.kind})
                               ? "overlaps its passes by itself"
                               : "has no forward and backward pass side by side");
    }
    if (request.kind == ScheduleKind::dual_pipe) {
        if (stages % 2 != 0)
            return fmt::format("dualpipe needs an even number of stages, not {}", stages);
        if (count % 2 != 0) {
            return fmt::format(
                "dualpipe halves its micro-batches between two directions: {}, not "
                "{}",
                std::max(count + 1, 2L * stages), count);
        }
    }
    const bool dual =
        request.kind == ScheduleKind::dual_pipe || request.kind == ScheduleKind::dual_pipe_v;
    if (dual && count < 2L * stages) {
        return fmt::format("{} needs at least {} micro-batches for {} stages, not {}", name,
                           2 * stages, stages, count);
    }
    return std::nullopt;
}

Schedule make_schedule(const ScheduleRequest& request, const PipelineTimes& times) {
    if (const auto problem = schedule_problem(request)) throw std::invalid_argument(*problem);
    switch (request.kind) {
        case ScheduleKind::gpipe:
            return gpipe(request);
        case ScheduleKind::one_forward_one_backward:
            return one_forward_one_backward(request);
        case ScheduleKind::interleaved:
            return interleaved(request);
        case ScheduleKind::zero_bubble_h1:
            return zero_bubble_h1(request);
        case ScheduleKind::zero_bubble_h2:
            return zero_bubble_h2(request);
        case ScheduleKind::zero_bubble_1p:
        case ScheduleKind::zero_bubble_2p:
            return zero_bubble_automatic(request, times);
        case ScheduleKind::zero_bubble_v:
            return zero_bubble_v(request);
        case ScheduleKind::dual_pipe:
            return dual_pipe(request);
        case ScheduleKind::dual_pipe_v:
            return dual_pipe_v(request);
    }
    throw std::invalid_argument("a schedule without a name");
}

}  // namespace podsim
