#include "sim/assemble.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "base/at.hpp"
#include "sim/task_facts.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {

namespace {

bool begins_with(const std::string& text, const char* start) {
    return text.rfind(start, 0) == 0;
}

// The reader's word for an operator: what part of the model it is.
std::string part_word(const Operator& op) {
    if (const auto* work = std::get_if<VectorWork>(&op.body))
        return work->op == "traced" ? "compute" : "vector operators";
    if (std::holds_alternative<Attention>(op.body) || std::holds_alternative<DeltaRule>(op.body))
        return "attention";
    if (std::holds_alternative<IndexScores>(op.body)) return "index scores";
    if (std::holds_alternative<TableRead>(op.body))
        return begins_with(op.name, "host_link") ? "host link" : "table look-ups";
    if (std::holds_alternative<StreamMix>(op.body)) return "hyper-connections";
    if (begins_with(op.name, "expert") || begins_with(op.name, "shared_expert"))
        return "expert products";
    return "projections and other products";
}

std::string part_word(const AssemblyInput& in, const Task& task) {
    switch (task.kind) {
        case TaskKind::compute:
            return part_word(at(in.program.operators, task.body));
        case TaskKind::pipeline: {
            // A kernel that holds a product is a product.
            std::string word = "vector operators";
            for (const int op : at(in.program.pipelines, task.body).operators) {
                const std::string stage = part_word(at(in.program.operators, op));
                if (stage != "vector operators") word = stage;
            }
            return word;
        }
        case TaskKind::transfer:
            return transfer_of(in, task).name + " on the wire";
        case TaskKind::fused:
            return "fused expert exchange";
        case TaskKind::host:
            return task.name == kPrefixFetch || task.name == kHostExperts ? task.name : "host";
    }
    return "?";
}

// Where the time of one task went, from its start to its end.
struct Spent {
    Picoseconds gap = 0, launch = 0, latency = 0, skew = 0, work = 0, contention = 0;
};

Spent spent_of(const TaskRecord& r) {
    const Picoseconds fixed = r.gap + r.launch + r.latency + r.skew;
    const Picoseconds work = std::min(r.alone, r.end - r.start - fixed);
    return {r.gap, r.launch, r.latency, r.skew, work, r.end - r.start - fixed - work};
}

// Where one task's time on the critical path goes: (part, what it rests on, seconds), summing to
// end - start.
struct Slice {
    std::string part;
    Confidence basis;
    double error;
    double seconds;
};

std::vector<Slice> slices_of(const AssemblyInput& in, int id) {
    const Task& task = at(in.program.tasks, id);
    const TaskRecord& r = at(in.record.tasks, id);
    const Spent spent = spent_of(r);
    std::vector<Slice> slices;
    if (task.kind == TaskKind::host) {
        slices.push_back({part_word(in, task), in.evidence.host, 0, seconds_of(r.end - r.start)});
    } else if (task.kind == TaskKind::transfer) {
        const Confidence basis = basis_of(coflow_of(in, task));
        const double error = coflow_of(in, task).record->held_out_error;
        slices.push_back({"transfer latency", basis, error, seconds_of(spent.latency)});
        slices.push_back(
            {"wait for the slowest rank", in.evidence.skew, 0, seconds_of(spent.skew)});
        slices.push_back({part_word(in, task), basis, error, seconds_of(spent.work)});
        slices.push_back({"contention", basis, error, seconds_of(spent.contention)});
    } else {
        const OperatorCost& cost = cost_of(in, task);
        slices.push_back({"kernel gaps", in.evidence.gap, 0, seconds_of(spent.gap)});
        slices.push_back(
            {"kernel launches", cost.basis, cost.held_out_error, seconds_of(spent.launch)});
        slices.push_back(
            {"transfer latency", cost.basis, cost.held_out_error, seconds_of(spent.latency)});
        slices.push_back(
            {part_word(in, task), cost.basis, cost.held_out_error, seconds_of(spent.work)});
        slices.push_back(
            {"contention", cost.basis, cost.held_out_error, seconds_of(spent.contention)});
    }
    return slices;
}

// Of the executions on the critical path of one row. Summed in whole picoseconds: what is read back
// from a result still adds up to its step.
struct CriticalSum {
    long count = 0;
    Spent spent{};

    void add(const TaskRecord& r) {
        const Spent one = spent_of(r);
        ++count;
        spent.gap += one.gap;
        spent.launch += one.launch;
        spent.latency += one.latency;
        spent.skew += one.skew;
        spent.work += one.work;
        spent.contention += one.contention;
    }
    CriticalTime time() const {
        return {count,
                seconds_of(spent.gap),
                seconds_of(spent.launch),
                seconds_of(spent.latency),
                seconds_of(spent.skew),
                seconds_of(spent.work),
                seconds_of(spent.contention)};
    }
    double seconds() const {
        return seconds_of(spent.gap + spent.launch + spent.latency + spent.skew + spent.work +
                          spent.contention);
    }
};

void describe_kernel(const AssemblyInput& in, const Task& task, OperatorRow& row) {
    const OperatorCost& cost = cost_of(in, task);
    if (task.kind == TaskKind::compute)
        row.shape = shape_of(at(in.program.operators, task.body).body);
    row.choice = cost.choice;
    row.basis = basis_word(cost.basis);
    row.warning = cost.warning;
    row.flops_each = work_of(in, task).value();
    row.bytes_each = cost.hbm.value();
    const double time = cost.time.value();
    if (!(time > 0)) return;
    const Seconds memory = cost.hbm / in.hardware.hbm_bandwidth;
    row.share_of_peak = max(cost.matrix, memory).value() / time;
    row.achieved_flops = row.flops_each / time;
    row.achieved_bandwidth = row.bytes_each / time;
}

void describe_transfer(const AssemblyInput& in, int id, OperatorRow& row) {
    const Coflow& coflow = coflow_of(in, at(in.program.tasks, id));
    const CoflowShare& share = share_of(in, id);
    row.basis = basis_word(basis_of(coflow));
    // Each byte is counted where it leaves and where it lands: the mean of both.
    for (const Bytes b : share.bytes) row.bytes_each += b.value() / 2.0;
    const double time = (coflow.latency + share.wire).value();
    if (!(time > 0)) return;
    for (int port = 0; port < kPorts; ++port) {
        if (share.bytes[port] <= Bytes(0.0)) continue;
        const Seconds full =
            share.bytes[port] / (port < 2 ? in.fabric.scale_up : in.fabric.scale_out);
        row.share_of_peak = std::max(row.share_of_peak, full.value() / time);
    }
    row.achieved_bandwidth = row.bytes_each / time;
}

// What all executions of the task's kernel or transfer on its class and stream have in common.
OperatorRow new_row(const AssemblyInput& in, int id) {
    const Task& task = at(in.program.tasks, id);
    OperatorRow row;
    row.name = name_of(in, task);
    row.kind = kind_of(in, task);
    row.rank_class = at(in.program.classes, task.rank_class).name;
    row.stream = at(in.program.streams, task.stream).name;
    row.seconds_each = alone_seconds(at(in.record.tasks, id));
    row.roofline_seconds = roofline_of(in, id).value();
    if (task.kind == TaskKind::transfer) {
        describe_transfer(in, id, row);
    } else if (task.kind == TaskKind::host) {
        row.basis = basis_word(in.evidence.host);
    } else {
        describe_kernel(in, task, row);
    }
    return row;
}

}  // namespace

std::string basis_word(Confidence confidence) {
    switch (confidence) {
        case Confidence::vendor:
            return "specified";
        case Confidence::measured:
            return "measured";
        case Confidence::derived:
            return "derived";
        case Confidence::estimate:
        case Confidence::rumour:
            return "estimated";
        case Confidence::assumed:
            return "assumed";
    }
    return "assumed";
}

std::vector<BreakdownPart> breakdown_of(const AssemblyInput& in) {
    std::map<std::string, double> parts;
    for (const int id : in.record.critical_path) {
        for (const auto& slice : slices_of(in, id)) parts[slice.part] += slice.seconds;
    }
    const double whole = seconds_of(in.record.end);
    std::vector<BreakdownPart> rows;
    for (const auto& [part, time] : parts) {
        if (time > 0) rows.push_back({part, time, whole > 0 ? time / whole : 0.0});
    }
    std::stable_sort(rows.begin(), rows.end(),
                     [](const auto& a, const auto& b) { return a.seconds > b.seconds; });
    return rows;
}

Provenance provenance_of(const AssemblyInput& in) {
    Provenance provenance;
    const double whole = seconds_of(in.record.end);
    double measured = 0, error = 0;
    for (const int id : in.record.critical_path) {
        for (const auto& slice : slices_of(in, id)) {
            if (slice.seconds <= 0 || whole <= 0) continue;
            provenance.shares[basis_word(slice.basis)] += slice.seconds / whole;
            if (slice.basis == Confidence::measured) {
                measured += slice.seconds;
                error += slice.seconds * slice.error;
            }
        }
    }
    if (measured > 0) provenance.measured_error = error / measured;
    return provenance;
}

Provenance merged(const std::vector<std::pair<Provenance, double>>& parts) {
    Provenance all;
    double sum = 0, measured = 0;
    for (const auto& [one, weight] : parts) sum += weight;
    for (const auto& [one, weight] : parts) {
        for (const auto& [what, share] : one.shares) all.shares[what] += share * weight / sum;
        const auto found = one.shares.find("measured");
        if (found == one.shares.end()) continue;
        measured += found->second * weight;
        all.measured_error += one.measured_error * found->second * weight;
    }
    if (measured > 0) all.measured_error /= measured;
    return all;
}

std::vector<OperatorRow> operator_rows(const AssemblyInput& in) {
    std::map<std::array<int, 4>, std::size_t> index;
    std::vector<OperatorRow> rows;
    std::vector<CriticalSum> on_path;
    std::vector<char> critical(in.program.tasks.size(), 0);
    for (const int id : in.record.critical_path) critical[static_cast<std::size_t>(id)] = 1;
    for (std::size_t i = 0; i < in.program.tasks.size(); ++i) {
        const Task& task = in.program.tasks[i];
        const int body = task.kind == TaskKind::transfer
                             ? at(in.program.instances, task.body).transfer
                             : task.body;
        const auto [it, fresh] = index.try_emplace(
            {task.rank_class, task.stream, static_cast<int>(task.kind), body}, rows.size());
        if (fresh) {
            rows.push_back(new_row(in, static_cast<int>(i)));
            on_path.emplace_back();
        }
        OperatorRow& row = rows[it->second];
        const TaskRecord& r = in.record.tasks[i];
        ++row.count;
        row.seconds_total += seconds_of(r.end - r.start);
        if (critical[i] != 0) on_path[it->second].add(r);
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
        rows[i].seconds_critical = on_path[i].seconds();
        rows[i].critical = on_path[i].time();
    }
    return rows;
}

Totals totals_of(const AssemblyInput& in) {
    Totals totals;
    totals.tasks = static_cast<long>(in.program.tasks.size());
    totals.unfinished = in.record.unfinished;
    totals.flops = total_work(in.program).value();
    for (const auto& task : in.program.tasks) {
        totals.matrix_flops +=
            at(in.program.classes, task.rank_class).count * matrix_work_of(in, task).value();
    }
    for (std::size_t c = 0; c < in.program.classes.size(); ++c) {
        const double count = in.program.classes[c].count;
        for (const auto& segment : in.record.usage[c]) {
            totals.hbm_bytes += count * segment.hbm_bytes;
            totals.sent_bytes += count * (segment.port_bytes[0] + segment.port_bytes[2]);
            totals.received_bytes += count * (segment.port_bytes[1] + segment.port_bytes[3]);
        }
    }
    return totals;
}

namespace {

// What several operators have to say is said once, with their names.
void add_operator_warnings(AlternativeResult& result) {
    std::vector<std::pair<std::string, std::string>> said;  // warning, names
    for (const auto& row : result.operators) {
        if (row.warning.empty()) continue;
        const auto same = std::find_if(said.begin(), said.end(),
                                       [&](const auto& one) { return one.first == row.warning; });
        if (same == said.end()) {
            said.emplace_back(row.warning, row.name);
        } else if (same->second.find(row.name) == std::string::npos) {
            same->second += ", " + row.name;
        }
    }
    for (const auto& [warning, names] : said) result.warnings.push_back(names + ": " + warning);
}

}  // namespace

AlternativeResult assemble(const AssemblyInput& in, bool timeline) {
    AlternativeResult result;
    result.iteration_seconds = seconds_of(in.record.end);
    result.breakdown = breakdown_of(in);
    result.operators = operator_rows(in);
    result.resources = resource_use(in);
    result.bounds = bounds_of(in);
    result.totals = totals_of(in);
    if (timeline) result.timeline = timeline_of(in, 0);
    add_operator_warnings(result);
    result.warnings.insert(result.warnings.end(), in.costs.warnings.begin(),
                           in.costs.warnings.end());
    return result;
}

std::vector<TimelineEvent> timeline_of(const AssemblyInput& in, int rank_class) {
    std::vector<TimelineEvent> events;
    for (std::size_t i = 0; i < in.program.tasks.size(); ++i) {
        const Task& task = in.program.tasks[i];
        if (task.rank_class != rank_class) continue;
        const TaskRecord& r = in.record.tasks[i];
        Picoseconds now = r.start;
        const auto add = [&](const char* part, Picoseconds length) {
            if (length <= 0) return;
            events.push_back({name_of(in, task), at(in.program.streams, task.stream).name, part,
                              seconds_of(now), seconds_of(length), task.layer, task.micro_batch});
            now += length;
        };
        add("gap", r.gap);
        add("launch", r.launch);
        add("latency", r.latency);
        add("skew", r.skew);
        add("work", r.end - now);
    }
    return events;
}

}  // namespace podsim
