#include "program/program.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "base/at.hpp"

namespace podsim {

namespace {

int size_of(const auto& container) {
    return static_cast<int>(container.size());
}

[[noreturn]] void refuse(const std::string& who, const std::string& what) {
    throw std::invalid_argument(who + ": " + what);
}

std::string task_name(int id) {
    return fmt::format("task {}", id);
}

void require_index(const std::string& who, const char* what, int index, int size) {
    if (index < 0 || index >= size) refuse(who, fmt::format("{} {} of {}", what, index, size));
}

void require_valid_pipeline(const Program& program, const Pipeline& pipeline) {
    if (pipeline.operators.empty()) refuse(pipeline.name, "an empty pipeline");
    Bytes traffic(0.0);
    for (const int op : pipeline.operators) {
        require_index(pipeline.name, "operator", op, size_of(program.operators));
        traffic += compulsory_bytes_of(at(program.operators, op).body);
    }
    if (!(pipeline.on_chip >= 0 && pipeline.on_chip <= traffic.value())) {
        refuse(pipeline.name,
               fmt::format("{} of {} bytes stay on the chip", pipeline.on_chip, traffic.value()));
    }
}

void require_valid_tables(const Program& program) {
    for (const auto& op : program.operators) require_valid(op);
    for (const auto& transfer : program.transfers) require_valid(transfer);
    for (const auto& rank_class : program.classes) {
        if (rank_class.count < 1) refuse(rank_class.name, "a class without ranks");
    }
    for (const auto& stream : program.streams) {
        if (!(stream.core_share > 0 && stream.core_share <= 1)) {
            refuse(stream.name, fmt::format("core share {} is not in (0, 1]", stream.core_share));
        }
    }
    for (const auto& pipeline : program.pipelines) require_valid_pipeline(program, pipeline);
    if (!(program.kernel_gap >= Seconds(0.0))) refuse("kernel gap", "below zero");
    if (!(program.rank_skew >= 0)) refuse("rank skew", "below zero");
}

void require_valid_body(const Program& program, const Task& task, const std::string& who) {
    switch (task.kind) {
        case TaskKind::compute:
            require_index(who, "operator", task.body, size_of(program.operators));
            break;
        case TaskKind::pipeline:
            require_index(who, "pipeline", task.body, size_of(program.pipelines));
            break;
        case TaskKind::transfer:
            require_index(who, "instance", task.body, size_of(program.instances));
            break;
        case TaskKind::host:
            if (!(task.host_time >= Seconds(0.0))) {
                refuse(who, fmt::format("host time {} s", task.host_time.value()));
            }
            break;
    }
}

void require_valid_task(const Program& program, int id) {
    const Task& task = at(program.tasks, id);
    const std::string who = task_name(id);
    require_index(who, "class", task.rank_class, size_of(program.classes));
    require_index(who, "stream", task.stream, size_of(program.streams));
    require_valid_body(program, task, who);
    for (const int before : task.after) {
        require_index(who, "dependency", before, id);
        if (at(program.tasks, before).rank_class != task.rank_class) {
            throw std::invalid_argument(fmt::format(
                "{} waits for task {} of another class: only transfers join classes", who, before));
        }
    }
}

// The instance and its tasks name each other, each once. `named` marks the tasks it names.
void require_valid_instance(const Program& program, int id, std::vector<bool>& named) {
    const TransferInstance& instance = at(program.instances, id);
    require_index(fmt::format("instance {}", id), "transfer", instance.transfer,
                  size_of(program.transfers));
    const Transfer& transfer = at(program.transfers, instance.transfer);
    if (instance.tasks.empty()) refuse(transfer.name, "no task takes part");
    if (!transfer.shares.empty() && transfer.shares.size() != instance.tasks.size()) {
        refuse(transfer.name, fmt::format("{} tasks take part, its shares name {}",
                                          instance.tasks.size(), transfer.shares.size()));
    }
    for (const int part : instance.tasks) {
        require_index(transfer.name, "participant", part, size_of(program.tasks));
        const Task& task = at(program.tasks, part);
        if (task.kind != TaskKind::transfer || task.body != id) {
            refuse(transfer.name, fmt::format("task {} does not take part in it", part));
        }
        if (at(named, part)) refuse(transfer.name, fmt::format("task {} takes part twice", part));
        at(named, part) = true;
    }
}

const std::string& transfer_name(const Program& program, const Task& task) {
    return at(program.transfers, at(program.instances, task.body).transfer).name;
}

void require_valid_instances(const Program& program) {
    std::vector<bool> named(program.tasks.size(), false);
    for (int i = 0; i < size_of(program.instances); ++i) require_valid_instance(program, i, named);
    for (int i = 0; i < size_of(program.tasks); ++i) {
        const Task& task = at(program.tasks, i);
        if (task.kind == TaskKind::transfer && !at(named, i)) {
            refuse(task_name(i), transfer_name(program, task) + " does not name it");
        }
    }
}

// Dependencies point backwards, but a transfer waits for all its participants: two classes that
// enter two transfers in opposite orders would wait for ever. Runs the program without times
// (Kahn's topological order, with the tasks of an instance as one node).
void require_no_circle(const Program& program) {
    std::vector<int> missing, entered(program.instances.size(), 0), ready;
    std::vector<std::vector<int>> followers(program.tasks.size());
    for (int i = 0; i < size_of(program.tasks); ++i) {
        const Task& task = at(program.tasks, i);
        missing.push_back(size_of(task.after));
        for (const int before : task.after) at(followers, before).push_back(i);
        if (task.after.empty()) ready.push_back(i);
    }
    const auto end = [&](int id) {
        for (const int next : at(followers, id)) {
            if (--at(missing, next) == 0) ready.push_back(next);
        }
    };
    while (!ready.empty()) {
        const int id = ready.back();
        ready.pop_back();
        const Task& task = at(program.tasks, id);
        if (task.kind != TaskKind::transfer) {
            end(id);
            continue;
        }
        const auto& parts = at(program.instances, task.body).tasks;
        if (++at(entered, task.body) < size_of(parts)) continue;
        for (const int part : parts) end(part);
    }
    for (int i = 0; i < size_of(program.instances); ++i) {
        const TransferInstance& instance = at(program.instances, i);
        if (at(entered, i) == size_of(instance.tasks)) continue;
        refuse(at(program.transfers, instance.transfer).name,
               "transfers wait for each other in a circle");
    }
}

template <class T>
int intern(std::vector<T>& known, const T& one) {
    const auto found = std::find(known.begin(), known.end(), one);
    if (found == known.end()) return known.push_back(one), static_cast<int>(known.size()) - 1;
    return static_cast<int>(found - known.begin());
}

}  // namespace

int intern(Program& program, const Operator& op) {
    return intern(program.operators, op);
}

int intern(Program& program, const Transfer& transfer) {
    return intern(program.transfers, transfer);
}

Flops total_work(const Program& program) {
    Flops sum(0.0);
    for (const auto& task : program.tasks) {
        const double count = at(program.classes, task.rank_class).count;
        if (task.kind == TaskKind::compute) {
            sum += count * work_of(at(program.operators, task.body).body);
        } else if (task.kind == TaskKind::pipeline) {
            for (const int op : at(program.pipelines, task.body).operators) {
                sum += count * work_of(at(program.operators, op).body);
            }
        }
    }
    return sum;
}

void require_valid(const Program& program) {
    if (program.tasks.empty()) throw std::invalid_argument("a program without tasks");
    require_valid_tables(program);
    for (int i = 0; i < size_of(program.tasks); ++i) require_valid_task(program, i);
    require_valid_instances(program);
    require_no_circle(program);
}

}  // namespace podsim
