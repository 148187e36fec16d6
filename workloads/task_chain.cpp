#include "workloads/task_chain.hpp"

#include <algorithm>
#include <utility>

#include "base/at.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {

TaskChain::TaskChain(const EngineSpec& engine) : engine_(engine) {
    program_.streams = {{"compute", 1.0},
                        {"tensor-parallel transfers", 1.0},
                        {"exchange transfers", 1.0},
                        {"data-parallel transfers", 1.0}};
    program_.kernel_gap = engine.kernel_gap.value;
    program_.rank_skew = engine.rank_skew.value;
}

void TaskChain::set_classes(std::vector<RankClass> classes) {
    program_.classes = std::move(classes);
    front.resize(program_.classes.size());
}

void TaskChain::share_cores(double of_compute) {
    program_.streams.front().core_share = of_compute;
}

void TaskChain::restart(int micro_batch) {
    micro_batch_ = micro_batch;
    front.assign(front.size(), {});
}

int TaskChain::push(Task task, int rank_class) {
    task.rank_class = rank_class;
    task.layer = layer;
    task.micro_batch = micro_batch_;
    program_.tasks.push_back(std::move(task));
    return static_cast<int>(program_.tasks.size()) - 1;
}

void TaskChain::run(const std::vector<Operator>& operators, int rank_class) {
    for (const Kernel& kernel : kernels_of(program_, operators, engine_, false)) {
        Task task;
        task.kind = kernel.pipeline ? TaskKind::pipeline : TaskKind::compute;
        task.body = kernel.body;
        task.stream = compute_stream;
        task.after = at(front, rank_class);
        at(front, rank_class) = {push(std::move(task), rank_class)};
    }
}

void TaskChain::run(const std::vector<Operator>& operators) {
    for (int c = 0; c < classes(); ++c) run(operators, c);
}

TaskIds TaskChain::run_aside(const std::vector<Operator>& operators, int rank_class) {
    const TaskIds before = at(front, rank_class);
    const std::size_t first = program_.tasks.size();
    run(operators, rank_class);
    for (std::size_t i = first; i < program_.tasks.size(); ++i) program_.tasks[i].priority = -1;
    return std::exchange(at(front, rank_class), before);
}

int TaskChain::stream_named(const std::string& name) {
    auto& streams = program_.streams;
    for (std::size_t i = 0; i < streams.size(); ++i) {
        if (streams[i].name == name) return static_cast<int>(i);
    }
    streams.push_back({name, 1.0});
    return static_cast<int>(streams.size()) - 1;
}

TaskIds TaskChain::run_beside(const char* stream, const Operator& op,
                              const std::vector<TaskIds>& after) {
    TaskIds ids;
    for (int c = 0; c < classes(); ++c) {
        Task task;
        task.kind = TaskKind::compute;
        task.body = intern(program_, op);
        task.stream = stream_named(stream);
        task.after = at(after, c);
        ids.push_back(push(std::move(task), c));
    }
    return ids;
}

TaskIds TaskChain::host_beside(const std::string& name, Seconds time,
                               const std::vector<TaskIds>& after) {
    TaskIds ids;
    for (int c = 0; c < classes(); ++c) {
        Task task;
        task.kind = TaskKind::host;
        task.name = name;
        task.host_time = time;
        task.stream = stream_named("host");
        task.after = at(after, c);
        ids.push_back(push(std::move(task), c));
    }
    return ids;
}

int TaskChain::push_transfer(ChainStream stream, int instance, int rank_class) {
    Task task;
    task.kind = TaskKind::transfer;
    task.body = instance;
    task.stream = stream;
    task.after = at(front, rank_class);
    return push(std::move(task), rank_class);
}

TaskIds TaskChain::transfer(ChainStream stream, const Transfer& transfer, bool aside) {
    if (transfer.group_ranks < 2 || !(transfer.size > Bytes(0.0))) return {};
    const int body = intern(program_, transfer);
    TaskIds ids;
    for (int c = 0; c < classes(); ++c) {
        ids.push_back(push_transfer(stream, static_cast<int>(program_.instances.size()), c));
        program_.instances.push_back({body, {ids.back()}});
        if (!aside) at(front, c) = {ids.back()};
    }
    return ids;
}

TaskIds TaskChain::exchange(const Transfer& transfer) {
    if (transfer.group_ranks < 2) return {};
    const int body = intern(program_, transfer);
    const int instance = static_cast<int>(program_.instances.size());
    TaskIds ids;
    for (int c = 0; c < classes(); ++c) {
        ids.push_back(push_transfer(exchange_stream, instance, c));
        at(front, c) = {ids.back()};
    }
    program_.instances.push_back({body, ids});
    return ids;
}

void TaskChain::wait_for(const TaskIds& ids) {
    for (std::size_t c = 0; c < ids.size(); ++c) {
        TaskIds& waited = front[c];
        if (std::find(waited.begin(), waited.end(), ids[c]) == waited.end())
            waited.push_back(ids[c]);
    }
}

}  // namespace podsim
