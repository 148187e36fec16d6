#include "workloads/training_checkpoint.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "models/training_memory.hpp"

namespace podsim {

const std::vector<std::pair<const char*, CheckpointTarget>>& names_of(const CheckpointTarget*) {
    static const std::vector<std::pair<const char*, CheckpointTarget>> names = {
        {"storage", CheckpointTarget::storage},
        {"host", CheckpointTarget::host},
        {"pool", CheckpointTarget::pool}};
    return names;
}

CheckpointBytes checkpoint_bytes(const TrainingJob& job, const TrainingPlan& plan) {
    const auto positions = positions_of(job, plan);
    const ScheduleRequest request = plan.request(job);
    const Schedule schedule = make_schedule(request, PipelineTimes{{PassTimes{}}, Seconds(0.0)});
    // ZeRO 3 divides what all replicas hold over them, whatever the job's own stage.
    const Replicas divided{3, plan.replicas(), plan.expert_replicas()};
    std::vector<Bytes> of_stage(static_cast<std::size_t>(schedule.stages), Bytes(0.0));
    for (std::size_t p = 0; p < positions.size(); ++p) {
        const TrainingState state =
            training_state(held_by(job, plan, positions[p]), job.precision, job.optimizer, divided);
        const Bytes rank = state.total() - state.dense.gradients - state.experts.gradients;
        // Stages that hold the same under two directions write half of it each.
        for (const auto& stages : schedule.stage_of)
            of_stage[static_cast<std::size_t>(stages[p])] +=
                rank / static_cast<double>(schedule.pipes);
    }
    CheckpointBytes bytes;
    for (const Bytes& one : of_stage) {
        bytes.rank = max(bytes.rank, one);
        bytes.all += static_cast<double>(plan.stage_ranks()) * one;
    }
    return bytes;
}

CheckpointSpec checkpoint_times(const CheckpointForm& form, const CheckpointBytes& bytes,
                                const CheckpointWays& ways, bool copies) {
    CheckpointSpec times = form;
    if (!form.to) return times;
    const auto over = [&](BytesPerSecond way, const char* name) {
        if (way > BytesPerSecond(0.0)) return bytes.rank / way;
        throw RunProblem(std::string(copies ? "memory_checkpoint" : "checkpoint") + ".to",
                         fmt::format("a rank has no way to {}", name));
    };
    const Seconds limit =
        form.bandwidth > BytesPerSecond(0.0) ? bytes.all / form.bandwidth : Seconds(0.0);
    const auto host = [&] { return over(ways.host, "its host's memory"); };
    Seconds write(0.0), stall(0.0), later(0.0);
    switch (*form.to) {
        case CheckpointTarget::storage:
            write = ways.host > BytesPerSecond(0.0) ? max(limit, host()) : limit;
            break;
        case CheckpointTarget::host:
            write = max(limit, host());
            if (copies) later = over(ways.scale_out, "other nodes");
            break;
        case CheckpointTarget::pool:
            write = max(limit, over(ways.pool, "a memory pool"));
            break;
    }
    stall = write;
    if (form.asynchronous) {
        stall = host();
        later = write;
    }
    if (!form.stall_given) times.stall = stall;
    if (!form.until_usable_given) times.until_usable = later;
    if (!form.restore_given) times.restore = copies ? write + later : write;
    return times;
}

}  // namespace podsim
