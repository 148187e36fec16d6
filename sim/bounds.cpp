// Between which times a run must lie, and how far its resources were used.
#include <algorithm>
#include <array>
#include <span>

#include "base/at.hpp"
#include "sim/task_facts.hpp"

namespace podsim {

namespace {

// When the last task ends if a task starts once everything that it waits for has ended, and takes
// as long as alone. Participants of a transfer start together.
class Schedule {
  public:
    explicit Schedule(const AssemblyInput& input) : in_(input) {
        const auto tasks = in_.program.tasks.size();
        end_.assign(tasks, 0.0);
        done_.assign(tasks, false);
        missing_.resize(tasks);
        followers_.resize(tasks);
        rank_free_.assign(in_.program.classes.size(), 0.0);
        order_.resize(in_.program.classes.size());
        for (int id = 0; id < static_cast<int>(tasks); ++id) {
            const Task& task = at(in_.program.tasks, id);
            ids_.push_back(id);
            at(missing_, id) = static_cast<int>(task.after.size());
            for (const int before : task.after) at(followers_, before).push_back(id);
            at(order_, task.rank_class).push_back(id);
        }
    }

    // Only dependencies hold back: the longest chain.
    double longest_chain() {
        std::vector<int> ready;
        for (int id = 0; id < static_cast<int>(missing_.size()); ++id) {
            if (at(missing_, id) == 0) ready.push_back(id);
        }
        while (!ready.empty()) {
            const int id = ready.back();
            ready.pop_back();
            if (at(done_, id) || !can_run(id)) continue;
            for (const int part : run(id, false)) {
                for (const int next : at(followers_, part)) {
                    if (at(missing_, next) == 0) ready.push_back(next);
                }
            }
        }
        return last();
    }

    // A rank does one thing at a time, in the order of the program. Where two classes list two
    // transfers in opposite orders, the first task that can run goes out of turn.
    double serial() {
        std::vector<std::size_t> front(order_.size(), 0);
        std::size_t left = end_.size();
        while (left > 0) {
            const std::size_t before = left;
            for (std::size_t c = 0; c < order_.size(); ++c) {
                const auto& tasks = order_[c];
                while (front[c] < tasks.size()) {
                    const int id = tasks[front[c]];
                    if (!at(done_, id)) {
                        if (!can_run(id) || !all_in_front(id, front)) break;
                        left -= run(id, true).size();
                    }
                    ++front[c];
                }
            }
            if (left == before) left -= run(first_that_can_run(), true).size();
        }
        return last();
    }

  private:
    // The task, or the parts of the transfer that it takes part in.
    std::span<const int> together(int id) const {
        const Task& task = at(in_.program.tasks, id);
        if (task.kind == TaskKind::transfer) return at(in_.program.instances, task.body).tasks;
        if (task.kind == TaskKind::fused) return at(in_.program.fused, task.body).tasks;
        return {&at(ids_, id), 1};
    }

    bool can_run(int id) const {
        const auto parts = together(id);
        return std::all_of(parts.begin(), parts.end(),
                           [&](int part) { return at(missing_, part) == 0; });
    }

    bool all_in_front(int id, std::vector<std::size_t>& front) const {
        const auto parts = together(id);
        return std::all_of(parts.begin(), parts.end(), [&](int part) {
            const int c = at(in_.program.tasks, part).rank_class;
            const auto& tasks = at(order_, c);
            std::size_t& first = at(front, c);
            while (first < tasks.size() && at(done_, tasks[first])) ++first;
            return first < tasks.size() && tasks[first] == part;
        });
    }

    // A valid program has no circle, so there is one.
    int first_that_can_run() const {
        int id = 0;
        while (at(done_, id) || !can_run(id)) ++id;
        return id;
    }

    std::span<const int> run(int id, bool one_at_a_time) {
        const auto parts = together(id);
        double start = 0;
        for (const int part : parts) {
            const Task& task = at(in_.program.tasks, part);
            for (const int before : task.after) start = std::max(start, at(end_, before));
            if (one_at_a_time) start = std::max(start, at(rank_free_, task.rank_class));
        }
        for (const int part : parts) {
            const double end = start + alone_seconds(at(in_.record.tasks, part));
            at(end_, part) = end;
            at(done_, part) = true;
            at(rank_free_, at(in_.program.tasks, part).rank_class) = end;
            for (const int next : at(followers_, part)) --at(missing_, next);
        }
        return parts;
    }

    double last() const { return *std::max_element(end_.begin(), end_.end()); }

    const AssemblyInput& in_;
    std::vector<int> ids_;     // 0, 1, 2, ...
    std::vector<double> end_;  // by task
    std::vector<char> done_;
    std::vector<int> missing_;  // dependencies that have not ended
    std::vector<std::vector<int>> followers_;
    std::vector<double> rank_free_;        // by class
    std::vector<std::vector<int>> order_;  // by class: its tasks
};

// Matrix units, memory, four ports.
constexpr int kWindows = 50, kKinds = 2 + kPorts;
const std::array<const char*, kKinds> kResourceNames = {"matrix units",   "HBM",
                                                        "scale-up send",  "scale-up receive",
                                                        "scale-out send", "scale-out receive"};
using Amounts = std::array<double, kKinds>;

Amounts amounts_of(const UsageSegment& segment) {
    Amounts amounts{segment.matrix_seconds, segment.hbm_bytes};
    for (std::size_t port = 0; port < kPorts; ++port) amounts[2 + port] = segment.port_bytes[port];
    return amounts;
}

Amounts capacities(const AssemblyInput& in) {
    const double up = in.fabric.scale_up.value(), out = in.fabric.scale_out.value();
    return {1.0, in.hardware.hbm_bandwidth.value(), up, up, out, out};
}

// Amounts in equal windows of the run; what a segment moves is spread evenly over it.
std::array<Amounts, kWindows> windows_of(const std::vector<UsageSegment>& usage, double whole) {
    std::array<Amounts, kWindows> windows{};
    if (!(whole > 0)) return windows;
    for (const auto& segment : usage) {
        const Amounts amounts = amounts_of(segment);
        const double begin = seconds_of(segment.begin) / whole * kWindows,
                     end = seconds_of(segment.end) / whole * kWindows;
        for (int w = static_cast<int>(begin); w < kWindows && w < end; ++w) {
            const double overlap = std::min(end, w + 1.0) - std::max(begin, static_cast<double>(w));
            for (std::size_t k = 0; overlap > 0 && k < kKinds; ++k)
                at(windows, w)[k] += amounts[k] * overlap / (end - begin);
        }
    }
    return windows;
}

// Of each class, the seconds that its resources need at the data sheet's rates for what no
// implementation of these kernels avoids; the most of any.
double roofline_of_all(const AssemblyInput& in) {
    const Amounts capacity = capacities(in);
    std::vector<Amounts> busy(in.program.classes.size(), Amounts{});
    std::vector<double> vector_units(in.program.classes.size(), 0.0);
    for (int id = 0; id < static_cast<int>(in.program.tasks.size()); ++id) {
        const Task& task = at(in.program.tasks, id);
        Amounts& of_class = at(busy, task.rank_class);
        if (task.kind == TaskKind::transfer) {
            const CoflowShare& share = share_of(in, id);
            for (std::size_t port = 0; port < kPorts; ++port) {
                const double bytes = share.bytes[port].value();
                if (bytes > 0) of_class[2 + port] += bytes / capacity[2 + port];
                of_class[1] += bytes / capacity[1];
            }
        } else if (task.kind != TaskKind::host) {
            of_class[0] += cost_of(in, task).matrix.value();
            of_class[1] += compulsory_bytes_of(in, task).value() / capacity[1];
            at(vector_units, task.rank_class) += cost_of(in, task).vector.value();
            if (task.kind != TaskKind::fused) continue;
            const FusedPartCost& cost = fused_cost_of(in, task);
            for (std::size_t port = 0; port < kPorts; ++port) {
                if (cost.bytes[port] > 0)
                    of_class[2 + port] += cost.bytes[port] / capacity[2 + port];
            }
        }
    }
    double longest = *std::max_element(vector_units.begin(), vector_units.end());
    for (const Amounts& of_class : busy)
        longest = std::max(longest, *std::max_element(of_class.begin(), of_class.end()));
    return longest;
}

}  // namespace

std::vector<ResourceUse> resource_use(const AssemblyInput& in) {
    const double whole = seconds_of(in.record.end);
    const Amounts capacity = capacities(in);
    std::vector<ResourceUse> uses;
    for (std::size_t c = 0; c < in.program.classes.size(); ++c) {
        const auto windows = windows_of(in.record.usage[c], whole);
        for (std::size_t k = 0; k < kKinds; ++k) {
            if (!(capacity[k] > 0)) continue;
            ResourceUse use;
            use.resource = k == 1 && in.hardware.sram_only ? "SRAM" : kResourceNames[k];
            use.rank_class = in.program.classes[c].name;
            use.unit = k == 0 ? "s at peak" : "B";
            use.capacity = capacity[k];
            for (const auto& segment : in.record.usage[c]) use.amount += amounts_of(segment)[k];
            use.mean = whole > 0 ? use.amount / (use.capacity * whole) : 0;
            for (const Amounts& window : windows) {
                use.windows.push_back(whole > 0 ? window[k] / (use.capacity * whole / kWindows)
                                                : 0.0);
                use.peak = std::max(use.peak, use.windows.back());
            }
            uses.push_back(std::move(use));
        }
    }
    return uses;
}

Bounds bounds_of(const AssemblyInput& in) {
    Bounds bounds;
    bounds.roofline = roofline_of_all(in);
    const auto streams = in.program.streams.size();
    std::vector<double> busy(in.program.classes.size() * streams, 0.0);
    for (std::size_t i = 0; i < in.program.tasks.size(); ++i) {
        const Task& task = in.program.tasks[i];
        busy[static_cast<std::size_t>(task.rank_class) * streams +
             static_cast<std::size_t>(task.stream)] += alone_seconds(in.record.tasks[i]);
    }
    bounds.perfect_overlap = *std::max_element(busy.begin(), busy.end());
    bounds.critical_path = Schedule(in).longest_chain();
    bounds.serial = Schedule(in).serial();
    return bounds;
}

}  // namespace podsim
