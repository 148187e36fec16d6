#include "sim/task_facts.hpp"

#include <algorithm>

#include "base/at.hpp"

namespace podsim {

namespace {

const OperatorBody& body_of(const AssemblyInput& in, int op) {
    return at(in.program.operators, op).body;
}

int id_of(const AssemblyInput& in, const Task& task) {
    return static_cast<int>(&task - in.program.tasks.data());
}

}  // namespace

const FusedPartCost& fused_cost_of(const AssemblyInput& in, const Task& task) {
    const auto& tasks = at(in.program.fused, task.body).tasks;
    const auto part = std::find(tasks.begin(), tasks.end(), id_of(in, task)) - tasks.begin();
    return at(in.costs.fused, task.body).parts.at(static_cast<std::size_t>(part));
}

const OperatorCost& cost_of(const AssemblyInput& in, const Task& task) {
    if (task.kind == TaskKind::fused) return fused_cost_of(in, task).kernel;
    const auto& costs = task.kind == TaskKind::compute ? in.costs.operators : in.costs.pipelines;
    return at(at(costs, task.stream), task.body);
}

const Transfer& transfer_of(const AssemblyInput& in, const Task& task) {
    return at(in.program.transfers, at(in.program.instances, task.body).transfer);
}

const Coflow& coflow_of(const AssemblyInput& in, const Task& task) {
    return at(in.costs.coflows, at(in.program.instances, task.body).transfer);
}

const CoflowShare& share_of(const AssemblyInput& in, int id) {
    const Task& task = at(in.program.tasks, id);
    const auto& parts = at(in.program.instances, task.body).tasks;
    const auto& shares = coflow_of(in, task).shares;
    const auto part = std::find(parts.begin(), parts.end(), id) - parts.begin();
    // Where all ranks are alike there is one share for all.
    return shares[std::min(static_cast<std::size_t>(part), shares.size() - 1)];
}

std::span<const int> operators_of(const AssemblyInput& in, const Task& task) {
    return operators_of(in.program, id_of(in, task));
}

std::string name_of(const AssemblyInput& in, const Task& task) {
    switch (task.kind) {
        case TaskKind::compute:
            return at(in.program.operators, task.body).name;
        case TaskKind::pipeline:
            return at(in.program.pipelines, task.body).name;
        case TaskKind::transfer:
            return transfer_of(in, task).name;
        case TaskKind::fused:
            return at(in.program.fused, task.body).name;
        case TaskKind::host:
            return task.name;
    }
    return "?";
}

std::string kind_of(const AssemblyInput& in, const Task& task) {
    switch (task.kind) {
        case TaskKind::compute:
            return kind_of(body_of(in, task.body));
        case TaskKind::pipeline:
            return "pipeline";
        case TaskKind::transfer:
            return to_string(transfer_of(in, task).type);
        case TaskKind::fused:
            return "fused_exchange";
        case TaskKind::host:
            return "host";
    }
    return "?";
}

double seconds_of(Picoseconds time) {
    return to_seconds(time).value();
}

double alone_seconds(const TaskRecord& r) {
    return seconds_of(r.gap + r.launch + r.latency + r.skew + r.alone);
}

Flops work_of(const AssemblyInput& in, const Task& task) {
    Flops sum(0.0);
    for (const int op : operators_of(in, task)) sum += work_of(body_of(in, op));
    return sum;
}

Flops matrix_work_of(const AssemblyInput& in, const Task& task) {
    Flops sum(0.0);
    for (const int op : operators_of(in, task)) sum += matrix_work_of(body_of(in, op));
    return sum;
}

Bytes compulsory_bytes_of(const AssemblyInput& in, const Task& task) {
    Bytes sum(0.0);
    for (const int op : operators_of(in, task)) sum += compulsory_bytes_of(body_of(in, op));
    if (task.kind == TaskKind::pipeline) sum -= Bytes(at(in.program.pipelines, task.body).on_chip);
    if (task.kind == TaskKind::fused) sum -= Bytes(fused_part(in.program, id_of(in, task)).on_chip);
    return max(sum, Bytes(0.0));
}

namespace {

Seconds bound_of(const AssemblyInput& in, int transfer) {
    return wire_bound(at(in.program.transfers, transfer), in.fabric,
                      at(in.costs.coflows, transfer).placement);
}

}  // namespace

Seconds roofline_of(const AssemblyInput& in, int id) {
    const Task& task = at(in.program.tasks, id);
    if (task.kind == TaskKind::host) return Seconds(0.0);
    if (task.kind == TaskKind::transfer)
        return bound_of(in, at(in.program.instances, task.body).transfer);
    if (task.kind == TaskKind::compute) return roofline_bound(body_of(in, task.body), in.hardware);
    const OperatorCost& cost = cost_of(in, task);
    Seconds bound = max(max(cost.matrix, cost.vector),
                        compulsory_bytes_of(in, task) / in.hardware.hbm_bandwidth);
    if (task.kind == TaskKind::fused) {
        const FusedExchange& fused = at(in.program.fused, task.body);
        for (const int transfer : {fused.dispatch, fused.combine}) {
            bound = max(bound, bound_of(in, transfer));
        }
    }
    return bound;
}

}  // namespace podsim
