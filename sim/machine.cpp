// Greedy and event-driven. A ready task starts as soon as its stream is free (a transfer: the
// streams of all its participants), passes its fixed delays, and then works at the speed that the
// other tasks at work on its rank leave it. Speeds change only when some task begins or ends its
// work; between two changes everything is linear, and one event per class, for the next end of
// work, is pending. Where classes share links (ProgramCosts::shared_links), those that meet on one
// are worked out together, by the sharing of interconnect/shared_coflows: weighted max-min fair
// over coflows, a transfer's classes each with their part of what it puts on a link.
//
// Left out: tasks that are taken off a stream before their end; a speed that changes a task's
// demand; ranks of one class that drift apart (rank_skew stands for what that costs).
#include "sim/machine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <set>
#include <stdexcept>
#include <utility>

#include "base/at.hpp"
#include "base/systemc_driver.hpp"
#include "program/followers.hpp"
#include "sim/demand.hpp"
#include "sim/shared_cores.hpp"

namespace podsim {

namespace {

// A task at work: between its fixed delays and its end.
struct Activity {
    int task = 0;
    double duration = 0;   // seconds at full speed
    double remaining = 0;  // of them
    double speed = 0;
    UsageSegment amounts;  // what it moves and computes over its whole duration
};

// A ready task in the queue of its stream, in the order they are taken.
struct Waiting {
    int negative_priority;
    Picoseconds ready;
    int task;
    auto operator<=>(const Waiting&) const = default;  // NOLINT(modernize-use-nullptr)
};

// One class of ranks: its streams and what is at work on them.
struct Rank {
    std::vector<std::set<Waiting>> waiting;  // per stream, transfers apart
    std::vector<int> running;                // per stream: task or -1
    std::vector<int> last;                   // per stream: task that ended last, or -1
    std::vector<Activity> active;
    std::vector<FluidActivity> demands;          // of `active`, share by share
    Picoseconds settled = 0;                     // progress is accounted up to here
    std::uint32_t generation = 0;                // of the pending completion event
    std::vector<double> compute_since_transfer;  // by micro-batch, seconds
};

class Machine {
  public:
    Machine(const Program& program, const ProgramCosts& costs, const RankHardware& hardware,
            double transfer_cores)
        : program_(program),
          costs_(costs),
          hardware_(hardware),
          transfer_cores_(transfer_cores),
          followers_(program) {
        const auto tasks = program.tasks.size();
        record_.tasks.resize(tasks);
        record_.usage.resize(program.classes.size());
        missing_.resize(tasks);
        last_dependency_.assign(tasks, -1);
        entered_.assign(program.instances.size() + program.fused.size(), 0);
        int micro_batches = 1;
        for (std::size_t i = 0; i < tasks; ++i) {
            missing_[i] = static_cast<int>(program.tasks[i].after.size());
            micro_batches = std::max(micro_batches, program.tasks[i].micro_batch + 1);
        }
        ranks_.resize(program.classes.size());
        for (auto& rank : ranks_) {
            rank.waiting.resize(program.streams.size());
            rank.running.assign(program.streams.size(), -1);
            rank.last.assign(program.streams.size(), -1);
            rank.compute_since_transfer.assign(static_cast<std::size_t>(micro_batches), 0.0);
        }
        changed_.resize((ranks_.size() * program.streams.size() + 63) / 64);
        unfinished_ = static_cast<int>(tasks);
        if (costs.shared_links > 0) return;
        const auto count = [this](const std::vector<LinkTime>& links) {
            for (const LinkTime& link : links)
                resources_ = std::max(resources_, kResources + link.link + 1);
        };
        for (const Coflow& coflow : costs.coflows)
            for (const CoflowShare& share : coflow.shares) count(share.links);
    }

    RunRecord run(Driver driver) {
        calendar_.at(0, EventClass::start, [this] {
            for (std::size_t i = 0; i < program_.tasks.size(); ++i) {
                if (missing_[i] == 0) make_ready(static_cast<int>(i));
            }
            start_what_can();
        });
        if (driver == Driver::systemc) {
            run_systemc(calendar_);
        } else {
            run_plain(calendar_);
        }
        record_.events = calendar_.events_run();
        record_.unfinished = unfinished_;
        if (unfinished_ != 0) {
            throw std::logic_error(
                fmt::format("{} of {} tasks never ran", unfinished_, program_.tasks.size()));
        }
        find_critical_path();
        return std::move(record_);
    }

  private:
    const Task& task(int id) const { return at(program_.tasks, id); }
    TaskRecord& record(int id) { return at(record_.tasks, id); }
    Rank& rank_of(int id) { return at(ranks_, task(id).rank_class); }

    void make_ready(int id) {
        record(id).ready = calendar_.now();
        record(id).cause = at(last_dependency_, id);
        const Task& t = task(id);
        if (joins_classes(t.kind)) {
            const int meeting = meeting_of(t);
            const std::vector<int>& parts = participants(meeting);
            if (++at(entered_, meeting) == static_cast<int>(parts.size()))
                eligible_.insert({calendar_.now(), meeting});
        } else {
            at(rank_of(id).waiting, t.stream).insert(waiting_of(id));
            note_change(t);
        }
    }

    Waiting waiting_of(int id) const {
        return {-task(id).priority, at(record_.tasks, id).ready, id};
    }

    // Of the highest priority a stream stays with the chain it is on: engines enqueue a
    // micro-batch's kernels as a whole, and taking turns kernel by kernel would keep two
    // micro-batches in step, so that both compute and then both communicate. Otherwise the earliest
    // ready.
    std::set<Waiting>::iterator choose(Rank& rank, std::size_t stream) {
        auto& waiting = rank.waiting[stream];
        const auto first = waiting.begin();
        const int before = rank.last[stream];
        if (before < 0) return first;
        for (const int next : followers_.of(before)) {
            if (task(next).priority != -first->negative_priority) continue;
            const auto found = waiting.find(waiting_of(next));
            if (found != waiting.end()) return found;
        }
        return first;
    }

    // Instances of transfers first, then fused exchanges.
    int instances() const { return static_cast<int>(program_.instances.size()); }
    int meeting_of(const Task& t) const {
        return t.kind == TaskKind::transfer ? t.body : instances() + t.body;
    }
    const std::vector<int>& participants(int meeting) const {
        return meeting < instances() ? at(program_.instances, meeting).tasks
                                     : at(program_.fused, meeting - instances()).tasks;
    }

    // Transfers and fused exchanges first, the earliest complete one first. One takes the streams
    // of all its participants at once, so that no two can wait for each other.
    void start_what_can() {
        for (auto it = eligible_.begin(); it != eligible_.end();) {
            const int meeting = it->second;
            if (streams_free(participants(meeting))) {
                it = eligible_.erase(it);
                if (meeting < instances()) {
                    start_transfer(meeting);
                } else {
                    start_fused(meeting - instances());
                }
            } else {
                ++it;
            }
        }
        for (std::size_t word = 0; word < changed_.size(); ++word) {
            for (std::uint64_t left = std::exchange(changed_[word], 0); left != 0;
                 left &= left - 1) {
                const std::size_t i = 64 * word + static_cast<std::size_t>(std::countr_zero(left));
                Rank& rank = ranks_[i / program_.streams.size()];
                const std::size_t s = i % program_.streams.size();
                if (rank.running[s] >= 0 || rank.waiting[s].empty()) continue;
                const auto next = choose(rank, s);
                const int id = next->task;
                rank.waiting[s].erase(next);
                start_single(id);
            }
        }
    }

    // Its stream has become free, or something waits for it that did not: in a pipeline of many
    // stages these are few of all.
    void note_change(const Task& t) {
        const std::size_t i = static_cast<std::size_t>(t.rank_class) * program_.streams.size() +
                              static_cast<std::size_t>(t.stream);
        changed_[i / 64] |= std::uint64_t{1} << (i % 64);
    }

    bool streams_free(const std::vector<int>& parts) {
        return std::all_of(parts.begin(), parts.end(),
                           [&](int id) { return at(rank_of(id).running, task(id).stream) < 0; });
    }

    // Occupies the stream and settles what the start waited for: a dependency, or the stream.
    TaskRecord& occupy(int id) {
        Rank& rank = rank_of(id);
        const int stream = task(id).stream;
        at(rank.running, stream) = id;
        TaskRecord& r = record(id);
        r.start = calendar_.now();
        const int before = at(rank.last, stream);
        if (r.start > r.ready && before >= 0 && record(before).end == r.start) r.cause = before;
        return r;
    }

    const OperatorCost& cost_of(const Task& t) const {
        return t.kind == TaskKind::compute ? at(at(costs_.operators, t.stream), t.body)
                                           : at(at(costs_.pipelines, t.stream), t.body);
    }

    void start_single(int id) {
        const Task& t = task(id);
        TaskRecord& r = occupy(id);
        if (t.kind == TaskKind::host) {
            r.alone = to_picoseconds(t.host_time);
            calendar_.at(r.start + r.alone, EventClass::completion, [this, id] { finish(id); });
            return;
        }
        const OperatorCost& cost = cost_of(t);
        if (!t.continues) {
            r.gap = to_picoseconds(program_.kernel_gap);
            r.launch = to_picoseconds(cost.launch);
        }
        r.alone = to_picoseconds(cost.time - cost.launch);
        calendar_.at(r.start + r.gap + r.launch, EventClass::completion, [this, id] {
            const Task& ready = task(id);
            begin(id, demand_of(cost_of(ready), at(program_.streams, ready.stream).core_share));
        });
    }

    void start_transfer(int instance_id) {
        const auto& instance = at(program_.instances, instance_id);
        const Coflow& coflow = at(costs_.coflows, instance.transfer);
        double compute = 0;
        int last_entered = instance.tasks.front();
        for (const int id : instance.tasks) {
            compute =
                std::max(compute, at(rank_of(id).compute_since_transfer, task(id).micro_batch));
            if (record(id).ready > record(last_entered).ready) last_entered = id;
        }
        const Picoseconds skew = to_picoseconds(Seconds(program_.rank_skew * compute));
        for (std::size_t part = 0; part < instance.tasks.size(); ++part) {
            const int id = instance.tasks[part];
            TaskRecord& r = occupy(id);
            if (!task(id).continues) {
                r.latency = to_picoseconds(coflow.latency);
                r.skew = skew;
            }
            const CoflowShare& share = share_of(coflow, part);
            r.alone = to_picoseconds(demand_of(share, hardware_).duration);
            const double of_links = links_shared() ? part_of_links(instance, coflow, part) : 1;
            calendar_.at(r.start + r.latency + r.skew, EventClass::completion,
                         [this, id, &share, of_links] {
                             Demand demand = demand_of(share, hardware_, transfer_cores_);
                             for (auto& [resource, use] : demand.shares.usage)
                                 if (resource >= kResources) use *= of_links;
                             begin(id, std::move(demand));
                         });
        }
        explain_starts(instance.tasks, last_entered);
    }

    // Both transfers' latencies are paid once, with the launch.
    void start_fused(int fused_id) {
        const FusedExchange& fused = at(program_.fused, fused_id);
        const FusedCost& cost = at(costs_.fused, fused_id);
        int last_entered = fused.tasks.front();
        for (std::size_t part = 0; part < fused.tasks.size(); ++part) {
            const int id = fused.tasks[part];
            if (record(id).ready > record(last_entered).ready) last_entered = id;
            const FusedPartCost& own = cost.parts[part];
            TaskRecord& r = occupy(id);
            r.gap = to_picoseconds(program_.kernel_gap);
            r.launch = to_picoseconds(own.kernel.launch);
            r.latency = to_picoseconds(cost.latency);
            r.alone = to_picoseconds(own.kernel.time - own.kernel.launch);
            calendar_.at(
                r.start + r.gap + r.launch + r.latency, EventClass::completion, [this, id, &own] {
                    begin(id, demand_of(own, at(program_.streams, task(id).stream).core_share));
                });
        }
        explain_starts(fused.tasks, last_entered);
    }

    // All start together: where its own past does not explain a participant's start, the last to
    // enter or the last stream to come free does.
    void explain_starts(const std::vector<int>& parts, int last_entered) {
        int explained = -1;  // what some participant waited for until now
        for (const int id : parts) {
            if (ends_at_start(record(id))) explained = record(id).cause;
        }
        for (const int id : parts) {
            if (ends_at_start(record(id))) continue;
            record(id).cause = explained >= 0 ? explained : record(last_entered).cause;
        }
    }

    bool ends_at_start(const TaskRecord& r) {
        return r.cause >= 0 && record(r.cause).end == r.start;
    }

    // A transfer whose ranks are all alike has one share for every participant.
    static const CoflowShare& share_of(const Coflow& coflow, std::size_t part) {
        return coflow.shares[std::min(part, coflow.shares.size() - 1)];
    }

    bool links_shared() const { return costs_.shared_links > 0; }

    // Of the bytes that a transfer puts on links, those of the ranks of one class. Both ends of a
    // message are as slow as its links.
    double part_of_links(const TransferInstance& instance, const Coflow& coflow,
                         std::size_t part) const {
        double all = 0, own = 0;
        for (std::size_t p = 0; p < instance.tasks.size(); ++p) {
            const CoflowShare& share = share_of(coflow, p);
            const auto crossing = [&](Port a, Port b) {
                return max(share.bytes[static_cast<int>(a)], share.bytes[static_cast<int>(b)]);
            };
            const Bytes bytes = crossing(Port::scale_up_send, Port::scale_up_receive) +
                                crossing(Port::scale_out_send, Port::scale_out_receive);
            const double its =
                bytes.value() * at(program_.classes, task(instance.tasks[p]).rank_class).count;
            all += its;
            if (p == part) own = its;
        }
        return all > 0 ? own / all : 1;
    }

    void begin(int id, Demand demand) {
        const int rank_class = task(id).rank_class;
        settle(rank_class);
        Rank& rank = at(ranks_, rank_class);
        const double duration = demand.duration.value();
        rank.active.push_back({id, duration, duration, 0.0, demand.amounts});
        rank.demands.push_back(std::move(demand.shares));
        links_shared() ? replan(connected(rank_class)) : replan(rank_class);
    }

    // The classes that meet this one on links that all share, directly or over others, and itself.
    std::vector<int> connected(int rank_class) const {
        std::vector<int> found = {rank_class};
        std::vector<std::vector<int>> on_link(static_cast<std::size_t>(costs_.shared_links));
        for (std::size_t c = 0; c < ranks_.size(); ++c) {
            for (const FluidActivity& demand : ranks_[c].demands)
                for (const auto& use : demand.usage)
                    if (use.first >= kResources && use.second > 0)
                        at(on_link, use.first - kResources).push_back(static_cast<int>(c));
        }
        std::vector<char> reached(ranks_.size(), 0), looked(on_link.size(), 0);
        at(reached, rank_class) = 1;
        for (std::size_t i = 0; i < found.size(); ++i) {
            for (const FluidActivity& demand : at(ranks_, found[i]).demands) {
                for (const auto& use : demand.usage) {
                    if (use.first < kResources) continue;
                    if (std::exchange(at(looked, use.first - kResources), 1) != 0) continue;
                    for (const int other : at(on_link, use.first - kResources))
                        if (std::exchange(at(reached, other), 1) == 0) found.push_back(other);
                }
            }
        }
        std::sort(found.begin(), found.end());
        return found;
    }

    // Accounts progress and use since the last change of speed.
    void settle(int rank_class) {
        Rank& rank = at(ranks_, rank_class);
        const Picoseconds now = calendar_.now();
        if (now == rank.settled) return;
        const double elapsed = to_seconds(now - rank.settled).value();
        UsageSegment segment;
        segment.begin = rank.settled;
        segment.end = now;
        for (auto& activity : rank.active) {
            const double progress = std::min(activity.remaining, elapsed * activity.speed);
            activity.remaining -= progress;
            const double part = activity.duration > 0 ? progress / activity.duration : 0.0;
            segment.matrix_seconds += part * activity.amounts.matrix_seconds;
            segment.hbm_bytes += part * activity.amounts.hbm_bytes;
            for (std::size_t port = 0; port < kPorts; ++port)
                segment.port_bytes[port] += part * activity.amounts.port_bytes[port];
        }
        if (!rank.active.empty()) at(record_.usage, rank_class).push_back(segment);
        rank.settled = now;
    }

    void replan(int rank_class) {
        plan(rank_class, max_min_speeds(at(ranks_, rank_class).demands, resources_));
    }

    // New speeds for classes that meet on no link with any other.
    void replan(const std::vector<int>& classes) {
        // Each class has its resources for itself, behind those of the one before, links are last.
        const int links = static_cast<int>(classes.size()) * kResources;
        std::vector<FluidActivity> demands;
        for (std::size_t i = 0; i < classes.size(); ++i) {
            settle(classes[i]);
            for (FluidActivity demand : at(ranks_, classes[i]).demands) {
                for (auto& use : demand.usage)
                    use.first += use.first < kResources ? static_cast<int>(i) * kResources
                                                        : links - kResources;
                demands.push_back(std::move(demand));
            }
        }
        const std::vector<double> speeds = max_min_speeds(demands, links + costs_.shared_links);
        auto next = speeds.begin();
        for (const int one : classes) {
            const auto count = static_cast<std::ptrdiff_t>(at(ranks_, one).demands.size());
            plan(one, {next, next + count});
            next += count;
        }
    }

    // One event for the next completion of a class.
    void plan(int rank_class, const std::vector<double>& speeds) {
        Rank& rank = at(ranks_, rank_class);
        const std::uint32_t generation = ++rank.generation;
        if (rank.active.empty()) return;
        double next = std::numeric_limits<double>::infinity();
        for (std::size_t i = 0; i < rank.active.size(); ++i) {
            rank.active[i].speed = speeds[i];
            next = std::min(next, rank.active[i].remaining / speeds[i]);
        }
        // Rounded up, so that nothing ends before its work is done; a thousandth of a picosecond is
        // what doubles lose on the way.
        const Picoseconds delay = static_cast<Picoseconds>(std::ceil(next * 1e12 - 1e-3));
        calendar_.at(calendar_.now() + std::max<Picoseconds>(delay, 0), EventClass::completion,
                     [this, rank_class, generation] { complete(rank_class, generation); });
    }

    void complete(int rank_class, std::uint32_t generation) {
        Rank& rank = at(ranks_, rank_class);
        if (generation != rank.generation) return;  // speeds changed since it was planned
        settle(rank_class);
        // Who met it on a link may go on faster.
        std::vector<int> others;
        if (links_shared()) others = connected(rank_class);
        std::vector<int> ended;
        for (std::size_t i = 0; i < rank.active.size();) {
            if (rank.active[i].remaining <= 1e-12 * rank.active[i].speed) {
                ended.push_back(rank.active[i].task);
                rank.active.erase(rank.active.begin() + static_cast<std::ptrdiff_t>(i));
                rank.demands.erase(rank.demands.begin() + static_cast<std::ptrdiff_t>(i));
            } else {
                ++i;
            }
        }
        links_shared() ? replan(others) : replan(rank_class);
        for (const int id : ended) finish(id);
    }

    void finish(int id) {
        const Task& t = task(id);
        Rank& rank = rank_of(id);
        TaskRecord& r = record(id);
        r.end = calendar_.now();
        record_.end = std::max(record_.end, r.end);
        at(rank.running, t.stream) = -1;
        note_change(t);
        at(rank.last, t.stream) = id;
        --unfinished_;
        double& compute = at(rank.compute_since_transfer, t.micro_batch);
        if (joins_classes(t.kind)) {
            compute = 0;
        } else if (t.kind != TaskKind::host) {
            compute += to_seconds(r.end - r.start).value();
        }
        for (const int next : followers_.of(id)) {
            at(last_dependency_, next) = id;
            if (--at(missing_, next) == 0) make_ready(next);
        }
        // Starts wait for every delay and every work that ends at this time, so that ties do not
        // depend on order: equal ranks stay equal.
        if (!start_pending_) {
            start_pending_ = true;
            calendar_.at(calendar_.now(), EventClass::start, [this] {
                start_pending_ = false;
                start_what_can();
            });
        }
    }

    // Back from the last end, each task to what its start waited for.
    void find_critical_path() {
        int id = 0;
        for (std::size_t i = 0; i < record_.tasks.size(); ++i) {
            if (record_.tasks[i].end > record(id).end) id = static_cast<int>(i);
        }
        Picoseconds reached = record_.end;
        while (id >= 0) {
            const TaskRecord& r = record(id);
            if (r.end != reached) {
                throw std::logic_error(
                    fmt::format("a hole of {} ps in front of the task that follows task {}",
                                reached - r.end, id));
            }
            record_.critical_path.push_back(id);
            reached = r.start;
            id = reached == 0 ? -1 : r.cause;
        }
        if (reached != 0) throw std::logic_error("the critical path does not reach time zero");
        std::reverse(record_.critical_path.begin(), record_.critical_path.end());
    }

    const Program& program_;
    const ProgramCosts& costs_;
    const RankHardware& hardware_;
    double transfer_cores_;
    Calendar calendar_;
    RunRecord record_;
    std::vector<Rank> ranks_;
    std::vector<std::uint64_t> changed_;          // a bit for each rank class and stream
    std::vector<int> missing_, last_dependency_;  // by task
    TaskFollowers followers_;
    std::vector<int> entered_;                        // by meeting: participants that are ready
    std::set<std::pair<Picoseconds, int>> eligible_;  // meetings all of whose tasks are ready
    int unfinished_ = 0;
    int resources_ = kResources;  // and the classes of links that coflows use
    bool start_pending_ = false;
};

// Two parts of a transfer on one stream would wait for each other.
void require_streams_apart(const Program& program) {
    const auto check = [&](const std::vector<int>& tasks, const std::string& name) {
        std::set<std::pair<int, int>> seen;
        for (const int id : tasks) {
            const Task& task = at(program.tasks, id);
            if (seen.insert({task.rank_class, task.stream}).second) continue;
            throw std::invalid_argument(name + ": two of its tasks sit on one stream");
        }
    };
    for (const auto& instance : program.instances)
        check(instance.tasks, at(program.transfers, instance.transfer).name);
    for (const auto& fused : program.fused) check(fused.tasks, fused.name);
}

}  // namespace

RunRecord run_program(const Program& program, const ProgramCosts& costs,
                      const RankHardware& hardware, Driver driver) {
    return run_on_shared_cores(program, costs, hardware, driver, 0);
}

RunRecord run_on_shared_cores(const Program& program, const ProgramCosts& costs,
                              const RankHardware& hardware, Driver driver, double transfer_cores) {
    require_valid(program);
    require_streams_apart(program);
    return Machine(program, costs, hardware, transfer_cores).run(driver);
}

}  // namespace podsim
