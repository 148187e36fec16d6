#include "sim/assemble.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

namespace podsim {

namespace {

template <class T>
const auto& at(const T& container, int index) {
    return container[static_cast<std::size_t>(index)];
}

double seconds_of(Picoseconds time) {
    return static_cast<double>(time) * 1e-12;
}

const OperatorCost& cost_of(const AssemblyInput& in, const Task& task) {
    const auto& costs = task.kind == TaskKind::compute ? in.costs.operators : in.costs.pipelines;
    return at(at(costs, task.stream), task.body);
}

const Transfer& transfer_of(const AssemblyInput& in, const Task& task) {
    return at(in.program.transfers, at(in.program.instances, task.body).transfer);
}

// Position of a task among the participants of its transfer.
std::size_t part_of(const AssemblyInput& in, const Task& task, int id) {
    const auto& tasks = at(in.program.instances, task.body).tasks;
    return static_cast<std::size_t>(std::find(tasks.begin(), tasks.end(), id) - tasks.begin());
}

const CoflowShare& share_of(const AssemblyInput& in, const Task& task, int id) {
    const auto& shares = at(in.costs.coflows, at(in.program.instances, task.body).transfer).shares;
    return shares[std::min(part_of(in, task, id), shares.size() - 1)];
}

std::string name_of_task(const AssemblyInput& in, const Task& task) {
    switch (task.kind) {
        case TaskKind::compute:
            return at(in.program.operators, task.body).name;
        case TaskKind::pipeline:
            return at(in.program.pipelines, task.body).name;
        case TaskKind::transfer:
            return transfer_of(in, task).name;
        case TaskKind::host:
            return task.name;
    }
    return "?";
}

bool begins_with(const std::string& text, const char* start) {
    return text.rfind(start, 0) == 0;
}

// The reader's word for an operator: what part of the model it is.
std::string part_word(const Operator& op) {
    if (std::holds_alternative<VectorWork>(op.body)) return "vector operators";
    if (std::holds_alternative<Attention>(op.body)) return "attention";
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
        case TaskKind::host:
            return "host";
    }
    return "?";
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
    const Picoseconds fixed = r.gap + r.launch + r.latency + r.skew;
    const Picoseconds work = std::min(r.alone, r.end - r.start - fixed);
    const Picoseconds contention = r.end - r.start - fixed - work;
    std::vector<Slice> slices;
    if (task.kind == TaskKind::host) {
        slices.push_back({"host", in.evidence.host, 0, seconds_of(r.end - r.start)});
    } else if (task.kind == TaskKind::transfer) {
        const FitRecord& record =
            *at(in.costs.coflows, at(in.program.instances, task.body).transfer).record;
        slices.push_back(
            {"transfer latency", record.basis, record.held_out_error, seconds_of(r.latency)});
        slices.push_back({"wait for the slowest rank", in.evidence.skew, 0, seconds_of(r.skew)});
        slices.push_back(
            {part_word(in, task), record.basis, record.held_out_error, seconds_of(work)});
        slices.push_back(
            {"contention", record.basis, record.held_out_error, seconds_of(contention)});
    } else {
        const OperatorCost& cost = cost_of(in, task);
        slices.push_back({"kernel gaps", in.evidence.gap, 0, seconds_of(r.gap)});
        slices.push_back(
            {"kernel launches", cost.basis, cost.held_out_error, seconds_of(r.launch)});
        slices.push_back({part_word(in, task), cost.basis, cost.held_out_error, seconds_of(work)});
        slices.push_back({"contention", cost.basis, cost.held_out_error, seconds_of(contention)});
    }
    return slices;
}

// A task's time had it run alone on its rank.
double alone_seconds(const TaskRecord& r) {
    return seconds_of(r.gap + r.launch + r.latency + r.skew + r.alone);
}

double flops_of(const AssemblyInput& in, const Task& task, bool matrix_only) {
    const auto work = [&](int op) {
        const auto& body = at(in.program.operators, op).body;
        return (matrix_only ? matrix_work_of(body) : work_of(body)).value();
    };
    if (task.kind == TaskKind::compute) return work(task.body);
    double sum = 0;
    if (task.kind == TaskKind::pipeline) {
        for (const int op : at(in.program.pipelines, task.body).operators) sum += work(op);
    }
    return sum;
}

double roofline_of(const AssemblyInput& in, const Task& task, int id) {
    switch (task.kind) {
        case TaskKind::compute:
            return roofline_bound(at(in.program.operators, task.body).body, in.hardware).value();
        case TaskKind::pipeline: {
            const auto& pipeline = at(in.program.pipelines, task.body);
            double compute = 0, traffic = 0;
            for (const int op : pipeline.operators) {
                const auto& body = at(in.program.operators, op).body;
                if (!std::holds_alternative<VectorWork>(body)) {
                    compute +=
                        (matrix_work_of(body) / peak_for(in.hardware, compute_dtype_of(body)))
                            .value();
                }
                traffic += compulsory_bytes_of(body).value();
            }
            return std::max(compute, std::max(0.0, traffic - pipeline.on_chip) /
                                         in.hardware.hbm_bandwidth.value());
        }
        case TaskKind::transfer: {
            const CoflowShare& share = share_of(in, task, id);
            double longest = 0;
            for (int port = 0; port < kPorts; ++port) {
                if (share.bytes[port] <= Bytes(0.0)) continue;
                longest = std::max(longest, (share.bytes[port] /
                                             (port < 2 ? in.fabric.scale_up : in.fabric.scale_out))
                                                .value());
            }
            return longest;
        }
        case TaskKind::host:
            return 0;
    }
    return 0;
}

// Runs the tasks in program order under a rule for when each may start, joining the participants
// of a transfer; returns when the last ends. `serial`: a rank does one thing at a time; else
// only dependencies count.
double schedule(const AssemblyInput& in, bool serial) {
    const auto& tasks = in.program.tasks;
    std::vector<double> end(tasks.size(), 0.0), rank_free(in.program.classes.size(), 0.0);
    std::vector<double> entered(in.program.instances.size(), 0.0);
    std::vector<std::size_t> present(in.program.instances.size(), 0);
    double last = 0;
    // A transfer's end is known once all have entered; participants precede their followers in
    // program order, but not each other's: sweep until nothing waits.
    std::vector<char> done(tasks.size(), 0);
    std::vector<std::vector<std::size_t>> by_class(in.program.classes.size());
    for (std::size_t i = 0; i < tasks.size(); ++i)
        by_class[static_cast<std::size_t>(tasks[i].rank_class)].push_back(i);
    std::vector<std::size_t> next(by_class.size(), 0);
    const auto ready_at = [&](std::size_t i) {
        double ready = serial ? rank_free[static_cast<std::size_t>(tasks[i].rank_class)] : 0.0;
        for (const int before : tasks[i].after)
            ready = std::max(ready, end[static_cast<std::size_t>(before)]);
        return ready;
    };
    const auto finish = [&](std::size_t i, double start) {
        end[i] = start + alone_seconds(in.record.tasks[i]);
        rank_free[static_cast<std::size_t>(tasks[i].rank_class)] = end[i];
        done[i] = 1;
        last = std::max(last, end[i]);
    };
    for (bool moved = true; moved;) {
        moved = false;
        for (std::size_t c = 0; c < by_class.size(); ++c) {
            while (next[c] < by_class[c].size()) {
                const std::size_t i = by_class[c][next[c]];
                if (tasks[i].kind != TaskKind::transfer) {
                    finish(i, ready_at(i));
                } else {
                    const std::size_t instance = static_cast<std::size_t>(tasks[i].body);
                    const auto& members = in.program.instances[instance].tasks;
                    if (done[i] == 0) {
                        entered[instance] = std::max(entered[instance], ready_at(i));
                        done[i] = 2;  // waits for the others
                        ++present[instance];
                    }
                    if (present[instance] < members.size()) break;
                    for (const int member : members) {
                        if (done[static_cast<std::size_t>(member)] == 2)
                            finish(static_cast<std::size_t>(member), entered[instance]);
                    }
                }
                ++next[c];
                moved = true;
            }
        }
    }
    return last;
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

std::vector<OperatorRow> operator_rows(const AssemblyInput& in) {
    std::map<std::array<int, 4>, std::size_t> index;
    std::vector<OperatorRow> rows;
    std::vector<char> critical(in.program.tasks.size(), 0);
    for (const int id : in.record.critical_path) critical[static_cast<std::size_t>(id)] = 1;
    for (std::size_t i = 0; i < in.program.tasks.size(); ++i) {
        const Task& task = in.program.tasks[i];
        const TaskRecord& r = in.record.tasks[i];
        const int id = static_cast<int>(i);
        const int body = task.kind == TaskKind::transfer
                             ? at(in.program.instances, task.body).transfer
                             : task.body;
        const auto [it, fresh] = index.try_emplace(
            {task.rank_class, task.stream, static_cast<int>(task.kind), body}, rows.size());
        if (fresh) {
            OperatorRow row;
            row.name = name_of_task(in, task);
            row.rank_class = at(in.program.classes, task.rank_class).name;
            row.stream = at(in.program.streams, task.stream).name;
            row.seconds_each = alone_seconds(r);
            row.flops_each = flops_of(in, task, false);
            row.roofline_seconds = roofline_of(in, task, id);
            double peak_share = 0;
            if (task.kind == TaskKind::compute || task.kind == TaskKind::pipeline) {
                const OperatorCost& cost = cost_of(in, task);
                row.kind = task.kind == TaskKind::compute
                               ? kind_of(at(in.program.operators, task.body).body)
                               : "pipeline";
                row.shape = task.kind == TaskKind::compute
                                ? shape_of(at(in.program.operators, task.body).body)
                                : "";
                row.choice = cost.choice;
                row.basis = basis_word(cost.basis);
                row.warning = cost.warning;
                row.bytes_each = cost.hbm.value();
                const double time = cost.time.value();
                if (time > 0) {
                    peak_share = std::max(cost.matrix.value(),
                                          (cost.hbm / in.hardware.hbm_bandwidth).value()) /
                                 time;
                    row.achieved_flops = row.flops_each / time;
                    row.achieved_bandwidth = row.bytes_each / time;
                }
            } else if (task.kind == TaskKind::transfer) {
                const CoflowShare& share = share_of(in, task, id);
                const Coflow& coflow = at(in.costs.coflows, body);
                row.kind = to_string(transfer_of(in, task).type);
                row.basis = basis_word(coflow.record->basis);
                for (const Bytes b : share.bytes)
                    row.bytes_each += b.value() / 2.0;  // send and receive ports: mean of both
                const double time = (coflow.latency + share.wire).value();
                if (time > 0) {
                    row.achieved_bandwidth = row.bytes_each / time;
                    peak_share = row.roofline_seconds / time;
                }
            } else {
                row.kind = "host";
                row.basis = basis_word(in.evidence.host);
            }
            row.share_of_peak = peak_share;
            rows.push_back(std::move(row));
        }
        OperatorRow& row = rows[it->second];
        ++row.count;
        row.seconds_total += seconds_of(r.end - r.start);
        if (critical[i] != 0) row.seconds_critical += seconds_of(r.end - r.start);
    }
    return rows;
}

std::vector<ResourceUse> resource_use(const AssemblyInput& in) {
    constexpr int kWindows = 50;
    // Matrix units, memory, four ports.
    constexpr int kKinds = 2 + kPorts;
    const double whole = seconds_of(in.record.end);
    std::vector<ResourceUse> uses;
    for (std::size_t c = 0; c < in.program.classes.size(); ++c) {
        std::array<std::array<double, kWindows>, kKinds> windows{};
        std::array<double, kKinds> amounts{};
        for (const auto& segment : in.record.usage[c]) {
            std::array<double, kKinds> amount{};
            amount[0] = segment.matrix_seconds;
            amount[1] = segment.hbm_bytes;
            for (std::size_t port = 0; port < kPorts; ++port)
                amount[2 + port] = segment.port_bytes[port];
            const double begin = seconds_of(segment.begin) / whole * kWindows,
                         end = seconds_of(segment.end) / whole * kWindows;
            for (int k = 0; k < kKinds; ++k) {
                const auto kind = static_cast<std::size_t>(k);
                amounts[kind] += amount[kind];
                if (amount[kind] <= 0 || end <= begin) continue;
                for (int w = static_cast<int>(begin); w < kWindows && w < end; ++w) {
                    const double overlap =
                        std::min(end, w + 1.0) - std::max(begin, static_cast<double>(w));
                    if (overlap > 0)
                        windows[kind][static_cast<std::size_t>(w)] +=
                            amount[kind] * overlap / (end - begin);
                }
            }
        }
        const std::array<std::string, kKinds> names = {"matrix units",   "HBM",
                                                       "scale-up send",  "scale-up receive",
                                                       "scale-out send", "scale-out receive"};
        for (int k = 0; k < kKinds; ++k) {
            const auto kind = static_cast<std::size_t>(k);
            ResourceUse use;
            use.resource = names[kind];
            use.rank_class = in.program.classes[c].name;
            use.amount = amounts[kind];
            use.unit = k == 0 ? "s at peak" : "B";
            use.capacity = k == 0   ? 1.0
                           : k == 1 ? in.hardware.hbm_bandwidth.value()
                           : k < 4  ? in.fabric.scale_up.value()
                                    : in.fabric.scale_out.value();
            if (!(use.capacity > 0)) continue;
            use.mean = whole > 0 ? use.amount / (use.capacity * whole) : 0;
            for (const double amount : windows[kind]) {
                use.windows.push_back(amount / (use.capacity * whole / kWindows));
                use.peak = std::max(use.peak, use.windows.back());
            }
            uses.push_back(std::move(use));
        }
    }
    return uses;
}

Bounds bounds_of(const AssemblyInput& in) {
    Bounds bounds;
    const auto classes = in.program.classes.size();
    // Busiest resource of any class at data-sheet rates: matrix units, memory, each port.
    for (const auto& use : resource_use(in)) {
        bounds.roofline = std::max(bounds.roofline, use.amount / use.capacity);
    }
    std::vector<std::vector<double>> streams(classes,
                                             std::vector<double>(in.program.streams.size(), 0.0));
    for (std::size_t i = 0; i < in.program.tasks.size(); ++i) {
        const Task& task = in.program.tasks[i];
        streams[static_cast<std::size_t>(task.rank_class)][static_cast<std::size_t>(task.stream)] +=
            alone_seconds(in.record.tasks[i]);
    }
    for (const auto& rank : streams) {
        for (const double busy : rank)
            bounds.perfect_overlap = std::max(bounds.perfect_overlap, busy);
    }
    bounds.critical_path = schedule(in, false);
    bounds.serial = schedule(in, true);
    return bounds;
}

Totals totals_of(const AssemblyInput& in) {
    Totals totals;
    totals.tasks = static_cast<long>(in.program.tasks.size());
    totals.unfinished = in.record.unfinished;
    for (const auto& task : in.program.tasks) {
        const double count = at(in.program.classes, task.rank_class).count;
        totals.flops += count * flops_of(in, task, false);
        totals.matrix_flops += count * flops_of(in, task, true);
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

std::vector<TimelineEvent> timeline_of(const AssemblyInput& in, int rank_class) {
    std::vector<TimelineEvent> events;
    for (std::size_t i = 0; i < in.program.tasks.size(); ++i) {
        const Task& task = in.program.tasks[i];
        if (task.rank_class != rank_class) continue;
        const TaskRecord& r = in.record.tasks[i];
        Picoseconds now = r.start;
        const auto add = [&](const char* part, Picoseconds length) {
            if (length <= 0) return;
            events.push_back({name_of_task(in, task), at(in.program.streams, task.stream).name,
                              part, seconds_of(now), seconds_of(length), task.layer,
                              task.micro_batch});
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
