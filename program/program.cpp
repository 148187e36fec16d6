#include "program/program.hpp"

#include <fmt/format.h>

#include <stdexcept>

namespace podsim {

namespace {

void require_index(const char* what, int index, std::size_t size, std::size_t task) {
    if (index < 0 || static_cast<std::size_t>(index) >= size) {
        throw std::invalid_argument(fmt::format("task {}: {} {} of {}", task, what, index, size));
    }
}

}  // namespace

int intern(Program& program, const Operator& op) {
    for (std::size_t i = 0; i < program.operators.size(); ++i) {
        const auto& known = program.operators[i];
        if (known.name == op.name && known.body == op.body) return static_cast<int>(i);
    }
    program.operators.push_back(op);
    return static_cast<int>(program.operators.size()) - 1;
}

Flops total_work(const Program& program) {
    Flops sum(0.0);
    for (const auto& task : program.tasks) {
        const double count = program.classes[static_cast<std::size_t>(task.rank_class)].count;
        if (task.kind == TaskKind::compute) {
            sum += count * work_of(program.operators[static_cast<std::size_t>(task.body)].body);
        } else if (task.kind == TaskKind::pipeline) {
            for (const int op : program.pipelines[static_cast<std::size_t>(task.body)].operators) {
                sum += count * work_of(program.operators[static_cast<std::size_t>(op)].body);
            }
        }
    }
    return sum;
}

void require_valid(const Program& program) {
    if (program.tasks.empty()) throw std::invalid_argument("a program without tasks");
    for (const auto& op : program.operators) require_valid(op);
    for (const auto& transfer : program.transfers) require_valid(transfer);
    for (const auto& rank_class : program.classes) {
        if (rank_class.count < 1)
            throw std::invalid_argument(rank_class.name + ": a class without ranks");
    }
    for (const auto& pipeline : program.pipelines) {
        if (pipeline.operators.empty())
            throw std::invalid_argument(pipeline.name + ": an empty pipeline");
        for (const int op : pipeline.operators) {
            require_index("pipeline operator", op, program.operators.size(), 0);
        }
    }
    for (std::size_t i = 0; i < program.tasks.size(); ++i) {
        const auto& task = program.tasks[i];
        require_index("class", task.rank_class, program.classes.size(), i);
        require_index("stream", task.stream, program.streams.size(), i);
        switch (task.kind) {
            case TaskKind::compute:
                require_index("operator", task.body, program.operators.size(), i);
                break;
            case TaskKind::pipeline:
                require_index("pipeline", task.body, program.pipelines.size(), i);
                break;
            case TaskKind::transfer:
                require_index("instance", task.body, program.instances.size(), i);
                break;
            case TaskKind::host:
                break;
        }
        for (const int before : task.after) {
            require_index("dependency", before, i, i);
            if (program.tasks[static_cast<std::size_t>(before)].rank_class != task.rank_class) {
                throw std::invalid_argument(fmt::format(
                    "task {} waits for task {} of another class: only transfers join classes", i,
                    before));
            }
        }
    }
    for (std::size_t i = 0; i < program.instances.size(); ++i) {
        const auto& instance = program.instances[i];
        require_index("transfer", instance.transfer, program.transfers.size(), i);
        const auto& transfer = program.transfers[static_cast<std::size_t>(instance.transfer)];
        const std::size_t parts =
            transfer.shares.empty() ? instance.tasks.size() : transfer.shares.size();
        if (instance.tasks.empty() || instance.tasks.size() != parts) {
            throw std::invalid_argument(fmt::format("{}: {} tasks take part, its shares name {}",
                                                    transfer.name, instance.tasks.size(), parts));
        }
        for (const int task : instance.tasks) {
            require_index("participant", task, program.tasks.size(), i);
            const auto& part = program.tasks[static_cast<std::size_t>(task)];
            if (part.kind != TaskKind::transfer || part.body != static_cast<int>(i)) {
                throw std::invalid_argument(
                    fmt::format("{}: task {} does not take part in it", transfer.name, task));
            }
        }
    }
}

}  // namespace podsim
