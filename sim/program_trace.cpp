#include "sim/program_trace.hpp"

#include <algorithm>

#include "base/at.hpp"

namespace podsim {

namespace {

const Operator& operator_at(const Program& program, int index) {
    return at(program.operators, index);
}

// FLOP and compulsory bytes of a task's operators, less what stays on the chip between them.
void set_work(const Program& program, int id, TraceNode& node) {
    for (const int op : operators_of(program, id)) {
        const OperatorBody& body = operator_at(program, op).body;
        node.flops += work_of(body).value();
        node.bytes += compulsory_bytes_of(body).value();
    }
    const Task& task = at(program.tasks, id);
    if (task.kind == TaskKind::pipeline) node.bytes -= at(program.pipelines, task.body).on_chip;
    if (task.kind == TaskKind::fused) node.bytes -= fused_part(program, id).on_chip;
}

// The nearest of Chakra's types; the transfer itself is in the index.
TraceCollective trace_type_of(TransferType type) {
    switch (type) {
        case TransferType::all_reduce:
            return TraceCollective::all_reduce;
        case TransferType::all_gather:
            return TraceCollective::all_gather;
        case TransferType::reduce_scatter:
            return TraceCollective::reduce_scatter;
        case TransferType::broadcast:
            return TraceCollective::broadcast;
        default:
            return TraceCollective::all_to_all;
    }
}

// A participant's part of a transfer. Its time is the fabric's, and not written.
void set_transfer(const Program& program, const Task& task, int id, TraceNode& node) {
    const TransferInstance& instance = at(program.instances, task.body);
    const Transfer& transfer = at(program.transfers, instance.transfer);
    node.transfer = instance.transfer;
    node.instance = task.body;
    node.kind = TraceKind::collective;
    node.collective = trace_type_of(transfer.type);
    node.payload = transfer.size.value();
    if (transfer.shares.empty()) return;
    std::size_t part = 0;
    while (instance.tasks[part] != id) ++part;
    const TransferShare& share = transfer.shares[part];
    node.payload = share.send.value();
    if (transfer.type != TransferType::send_recv) return;
    const bool sends = share.send > Bytes(0.0);
    node.kind = sends ? TraceKind::send : TraceKind::receive;
    node.payload = sends ? share.send.value() : share.receive.value();
}

std::string name_of_task(const Program& program, const Task& task) {
    switch (task.kind) {
        case TaskKind::compute:
            return operator_at(program, task.body).name;
        case TaskKind::pipeline:
            return at(program.pipelines, task.body).name;
        case TaskKind::transfer:
            return at(program.transfers, at(program.instances, task.body).transfer).name;
        case TaskKind::fused:
            return at(program.fused, task.body).name;
        case TaskKind::host:
            return task.name;
    }
    return "";
}

}  // namespace

ExecutionTrace trace_of_program(const RanProgram& ran) {
    const Program& program = ran.program;
    ExecutionTrace trace;
    trace.streams = program.streams;
    trace.transfers = program.transfers;
    trace.rank_skew = program.rank_skew;
    trace.ranks.resize(program.classes.size());
    int first = 0;
    for (std::size_t c = 0; c < program.classes.size(); ++c) {
        RankTrace& rank = trace.ranks[c];
        rank.label = program.classes[c].name;
        rank.count = program.classes[c].count;
        rank.rank = first;
        first += rank.count;
        RankBuilder builder(rank);
        for (std::size_t i = 0; i < program.tasks.size(); ++i) {
            const Task& task = program.tasks[i];
            if (task.rank_class != static_cast<int>(c)) continue;
            const int id = static_cast<int>(i);
            TraceNode node;
            node.id = i;
            node.name = builder.name(name_of_task(program, task));
            node.stream = task.stream;
            node.priority = task.priority;
            node.continues = task.continues;
            node.micro_batch = task.micro_batch;
            node.on_host = task.kind == TaskKind::host;
            if (task.kind == TaskKind::transfer) {
                set_transfer(program, task, id, node);
            } else {
                node.kind = TraceKind::compute;
                const TaskRecord& r = at(ran.record.tasks, id);
                // What others took of the chip meanwhile is in it: a replay runs it as long.
                node.duration =
                    to_seconds(std::max(r.end - r.start, r.gap + r.launch + r.alone)).value();
                if (!node.on_host) set_work(program, id, node);
            }
            const std::vector<std::uint64_t> before(task.after.begin(), task.after.end());
            builder.add(node, before, {}, i);
        }
        builder.finish(false, "task");
    }
    return trace;
}

}  // namespace podsim
