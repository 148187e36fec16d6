#include "program/program.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "base/at.hpp"
#include "program/followers.hpp"

namespace podsim {

namespace {

int size_of(const auto& container) {
    return static_cast<int>(container.size());
}

[[noreturn]] void refuse(const std::string& who, const std::string& what) {
    throw std::invalid_argument(who + ": " + what);
}

// Written out only where something is refused: programs have thousands of tasks.
struct Numbered {
    const char* kind;
    int id;
    std::string text() const { return fmt::format("{} {}", kind, id); }
};

[[noreturn]] void refuse(const Numbered& who, const std::string& what) {
    refuse(who.text(), what);
}

std::string task_name(int id) {
    return Numbered{"task", id}.text();
}

template <class Who>
void require_index(const Who& who, const char* what, int index, int size) {
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

void require_valid_fused(const Program& program, const FusedExchange& fused) {
    if (fused.parts.empty() || fused.parts.size() != fused.tasks.size()) {
        refuse(fused.name,
               fmt::format("{} parts for {} tasks", fused.parts.size(), fused.tasks.size()));
    }
    for (const int id : {fused.dispatch, fused.combine}) {
        require_index(fused.name, "transfer", id, size_of(program.transfers));
        const auto shares = at(program.transfers, id).shares.size();
        if (shares != 0 && shares != fused.parts.size())
            refuse(fused.name, fmt::format("{} parts, shares of {}", fused.parts.size(), shares));
    }
    for (const FusedPart& part : fused.parts) {
        Bytes traffic(0.0);
        for (const int op : part.operators) {
            require_index(fused.name, "operator", op, size_of(program.operators));
            traffic += compulsory_bytes_of(at(program.operators, op).body);
        }
        if (part.closes && part.operators.empty()) refuse(fused.name, "nothing closes it");
        if (!(part.on_chip >= 0 && part.on_chip <= traffic.value())) {
            refuse(fused.name,
                   fmt::format("{} of {} bytes stay on the chip", part.on_chip, traffic.value()));
        }
        if (!(part.row_deviation >= 0)) refuse(fused.name, "a deviation of rows below zero");
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
    for (const auto& fused : program.fused) require_valid_fused(program, fused);
    if (!(program.kernel_gap >= Seconds(0.0))) refuse("kernel gap", "below zero");
    if (!(program.rank_skew >= 0)) refuse("rank skew", "below zero");
}

void require_valid_body(const Program& program, const Task& task, const Numbered& who) {
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
        case TaskKind::fused:
            require_index(who, "fused exchange", task.body, size_of(program.fused));
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
    const Numbered who{"task", id};
    require_index(who, "class", task.rank_class, size_of(program.classes));
    require_index(who, "stream", task.stream, size_of(program.streams));
    require_valid_body(program, task, who);
    for (const int before : task.after) {
        require_index(who, "dependency", before, id);
        if (at(program.tasks, before).rank_class != task.rank_class) {
            throw std::invalid_argument(
                fmt::format("{} waits for task {} of another class: only transfers join classes",
                            who.text(), before));
        }
    }
}

// `tasks` are of this kind and body, and none of them is named twice. `named` marks them.
void require_named(const Program& program, const std::vector<int>& tasks, TaskKind kind, int body,
                   const std::string& who, std::vector<bool>& named) {
    for (const int part : tasks) {
        require_index(who, "participant", part, size_of(program.tasks));
        const Task& task = at(program.tasks, part);
        if (task.kind != kind || task.body != body)
            refuse(who, fmt::format("task {} does not take part in it", part));
        if (at(named, part)) refuse(who, fmt::format("task {} takes part twice", part));
        at(named, part) = true;
    }
}

// The instance and its tasks name each other, each once. `named` marks the tasks it names.
void require_valid_instance(const Program& program, int id, std::vector<bool>& named) {
    const TransferInstance& instance = at(program.instances, id);
    require_index(Numbered{"instance", id}, "transfer", instance.transfer,
                  size_of(program.transfers));
    const Transfer& transfer = at(program.transfers, instance.transfer);
    if (instance.tasks.empty()) refuse(transfer.name, "no task takes part");
    if (!transfer.shares.empty() && transfer.shares.size() != instance.tasks.size()) {
        refuse(transfer.name, fmt::format("{} tasks take part, its shares name {}",
                                          instance.tasks.size(), transfer.shares.size()));
    }
    require_named(program, instance.tasks, TaskKind::transfer, id, transfer.name, named);
}

const std::string& joined_name(const Program& program, const Task& task) {
    if (task.kind == TaskKind::fused) return at(program.fused, task.body).name;
    return at(program.transfers, at(program.instances, task.body).transfer).name;
}

void require_valid_instances(const Program& program) {
    std::vector<bool> named(program.tasks.size(), false);
    for (int i = 0; i < size_of(program.instances); ++i) require_valid_instance(program, i, named);
    for (int i = 0; i < size_of(program.fused); ++i) {
        const FusedExchange& fused = at(program.fused, i);
        require_named(program, fused.tasks, TaskKind::fused, i, fused.name, named);
    }
    for (int i = 0; i < size_of(program.tasks); ++i) {
        const Task& task = at(program.tasks, i);
        if (joins_classes(task.kind) && !at(named, i)) {
            refuse(task_name(i), joined_name(program, task) + " does not name it");
        }
    }
}

// Dependencies point backwards, but a transfer waits for all its participants: two classes that
// enter two transfers in opposite orders would wait for ever. Runs the program without times
// (Kahn's topological order, with the tasks of an instance as one node).
void require_no_circle(const Program& program) {
    std::vector<int> missing, entered(program.tasks.size(), 0), ready;  // by first participant
    missing.reserve(program.tasks.size());
    const TaskFollowers followers(program);
    for (int i = 0; i < size_of(program.tasks); ++i) {
        const Task& task = at(program.tasks, i);
        missing.push_back(size_of(task.after));
        if (task.after.empty()) ready.push_back(i);
    }
    const auto end = [&](int id) {
        for (const int next : followers.of(id)) {
            if (--at(missing, next) == 0) ready.push_back(next);
        }
    };
    while (!ready.empty()) {
        const std::vector<int> parts = started_together(program, ready.back());
        ready.pop_back();
        if (++at(entered, parts.front()) < size_of(parts)) continue;
        for (const int part : parts) end(part);
    }
    for (int i = 0; i < size_of(program.tasks); ++i) {
        const Task& task = at(program.tasks, i);
        if (!joins_classes(task.kind)) continue;
        const std::vector<int> parts = started_together(program, i);
        if (at(entered, parts.front()) == size_of(parts)) continue;
        refuse(joined_name(program, task), "transfers wait for each other in a circle");
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

bool joins_classes(TaskKind kind) {
    return kind == TaskKind::transfer || kind == TaskKind::fused;
}

std::vector<int> started_together(const Program& program, int task) {
    const Task& one = at(program.tasks, task);
    if (one.kind == TaskKind::transfer) return at(program.instances, one.body).tasks;
    if (one.kind == TaskKind::fused) return at(program.fused, one.body).tasks;
    return {task};
}

const FusedPart& fused_part(const Program& program, int task) {
    const FusedExchange& fused = at(program.fused, at(program.tasks, task).body);
    const auto found = std::find(fused.tasks.begin(), fused.tasks.end(), task);
    if (found == fused.tasks.end()) refuse(task_name(task), fused.name + " does not name it");
    return at(fused.parts, static_cast<int>(found - fused.tasks.begin()));
}

std::span<const int> operators_of(const Program& program, int task) {
    const Task& one = at(program.tasks, task);
    switch (one.kind) {
        case TaskKind::compute:
            return {&one.body, 1};
        case TaskKind::pipeline:
            return at(program.pipelines, one.body).operators;
        case TaskKind::fused:
            return fused_part(program, task).operators;
        case TaskKind::transfer:
        case TaskKind::host:
            return {};
    }
    return {};
}

Flops total_work(const Program& program) {
    Flops sum(0.0);
    for (int i = 0; i < size_of(program.tasks); ++i) {
        const double count = at(program.classes, at(program.tasks, i).rank_class).count;
        for (const int op : operators_of(program, i))
            sum += count * work_of(at(program.operators, op).body);
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
