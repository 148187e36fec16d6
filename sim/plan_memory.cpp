#include "sim/plan_memory.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace podsim {

const PlanMemory::Shape& PlanMemory::shape_of(const TrainingPlan& plan,
                                              const std::vector<TrainingPosition>& positions) {
    ScheduleRequest request = plan.request(job_);
    // Twice the stages fill every schedule, with the second pipe twice that; what comes after
    // repeats.
    const long enough = 4L * request.stages;
    if (request.kind != ScheduleKind::gpipe && request.micro_batches > enough) {
        ScheduleRequest fewer = request;
        fewer.micro_batches = enough;
        if (!schedule_problem(fewer)) request = fewer;
    }
    // What activations depend on (workloads/training_need.cpp).
    const std::string work = fmt::format(
        "{},{},{},{},{},{},{},{},{},{}", plan.offload.activations,
        plan.routed.imbalance * (1 - plan.routed.dropped), plan.micro_batch, plan.tensor_parallel,
        plan.more.context_parallel, plan.more.sequence_parallel, plan.more.expert_tensor_parallel,
        plan.recompute.name(), request.stages, request.positions_per_stage);
    const std::string key =
        fmt::format("{}|{},{}", work, static_cast<int>(request.kind), request.micro_batches);
    const auto [it, fresh] = shapes_.try_emplace(key);
    if (!fresh) return it->second;
    const auto [times, unknown] = times_.try_emplace(work);
    if (unknown) times->second = unit_times(job_, plan, positions);
    Shape& shape = it->second;
    shape.schedule = make_schedule(request, times->second);
    shape.timing = time_schedule(shape.schedule, times->second);
    shape.schedule.programs.clear();
    return shape;
}

Bytes PlanMemory::host(const TrainingPlan& plan, const std::vector<TrainingPosition>& positions) {
    const Shape& shape = shape_of(plan, positions);
    Bytes most(0.0);
    for (const StageNeed& one : training_need(job_, plan, positions, shape.schedule, shape.timing))
        most = max(most, one.host);
    return most;
}

Bytes PlanMemory::fullest(const TrainingPlan& plan,
                          const std::vector<TrainingPosition>& positions) {
    const Shape& shape = shape_of(plan, positions);
    Bytes most(0.0);
    for (const StageNeed& one : training_need(job_, plan, positions, shape.schedule, shape.timing))
        most = max(most, one.need.total());
    return most;
}

}  // namespace podsim
