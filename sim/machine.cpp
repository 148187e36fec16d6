#include "sim/machine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <stdexcept>

#include "base/fluid.hpp"
#include "base/systemc_driver.hpp"

namespace podsim {

const char* name_of(Resource resource) {
    static constexpr const char* names[kResources] = {
        "matrix cores",     "vector cores",   "memory",           "scale-up send",
        "scale-up receive", "scale-out send", "scale-out receive"};
    return names[static_cast<int>(resource)];
}

namespace {

template <class T>
auto& at(T& container, int index) {
    return container[static_cast<std::size_t>(index)];
}

// A running task's demand on its rank, between its fixed delay and its end.
struct Activity {
    int task = 0;
    double remaining = 0;  // seconds at full speed
    double duration = 0;   // the same at the beginning
    double speed = 0;
    FluidActivity demand;
    UsageSegment total;  // what it uses over its whole duration
};

// A ready task in the queue of its stream, in the order they are taken.
struct Waiting {
    int negative_priority;
    Picoseconds ready;
    int task;
    auto operator<=>(const Waiting&) const = default;
};

// One class of ranks: its streams and what runs on them.
struct Rank {
    std::vector<std::set<Waiting>> waiting;  // per stream, transfers apart
    std::vector<int> running;                // per stream: task or -1
    std::vector<int> last;                   // per stream: task that ended last, or -1
    std::vector<Activity> active;
    Picoseconds settled = 0;                     // progress is accounted up to here
    std::uint64_t generation = 0;                // of the pending completion event
    std::vector<double> compute_since_transfer;  // by micro-batch, seconds
};

class Machine {
  public:
    Machine(const Program& program, const ProgramCosts& costs, const RankHardware& hardware)
        : program_(program), costs_(costs), hardware_(hardware) {
        const auto tasks = program.tasks.size();
        record_.tasks.resize(tasks);
        record_.usage.resize(program.classes.size());
        missing_.resize(tasks);
        followers_.resize(tasks);
        last_dependency_.assign(tasks, -1);
        entered_.assign(program.instances.size(), 0);
        left_.assign(program.instances.size(), 0);
        int micro_batches = 1;
        for (std::size_t i = 0; i < tasks; ++i) {
            missing_[i] = static_cast<int>(program.tasks[i].after.size());
            for (const int before : program.tasks[i].after)
                at(followers_, before).push_back(static_cast<int>(i));
            micro_batches = std::max(micro_batches, program.tasks[i].micro_batch + 1);
        }
        ranks_.resize(program.classes.size());
        for (auto& rank : ranks_) {
            rank.waiting.resize(program.streams.size());
            rank.running.assign(program.streams.size(), -1);
            rank.last.assign(program.streams.size(), -1);
            rank.compute_since_transfer.assign(static_cast<std::size_t>(micro_batches), 0.0);
        }
        unfinished_ = static_cast<int>(tasks);
    }

    RunRecord run(Driver driver) {
        calendar_.at(0, EventClass::arrival, [this] {
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

    void make_ready(int id) {
        TaskRecord& record = at(record_.tasks, id);
        record.ready = calendar_.now();
        record.cause = at(last_dependency_, id);
        const Task& t = task(id);
        if (t.kind == TaskKind::transfer) {
            const auto& instance = at(program_.instances, t.body);
            if (++at(entered_, t.body) == static_cast<int>(instance.tasks.size())) {
                eligible_.insert({calendar_.now(), t.body});
            }
        } else {
            at(at(ranks_, t.rank_class).waiting, t.stream).insert(waiting_of(id));
        }
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
        for (const int next : at(followers_, before)) {
            if (task(next).priority != -first->negative_priority) continue;
            const auto found = waiting.find(waiting_of(next));
            if (found != waiting.end()) return found;
        }
        return first;
    }

    Waiting waiting_of(int id) const {
        return {-task(id).priority, at(record_.tasks, id).ready, id};
    }

    // A transfer takes the streams of all its participants at once, so that no two can wait for
    // each other; anything else takes its own stream. Earliest ready first.
    void start_what_can() {
        for (auto it = eligible_.begin(); it != eligible_.end();) {
            const int instance = it->second;
            if (streams_free(instance)) {
                it = eligible_.erase(it);
                start_transfer(instance);
            } else {
                ++it;
            }
        }
        for (auto& rank : ranks_) {
            for (std::size_t s = 0; s < rank.running.size(); ++s) {
                if (rank.running[s] >= 0 || rank.waiting[s].empty()) continue;
                const auto next = choose(rank, s);
                const int id = next->task;
                rank.waiting[s].erase(next);
                start_single(id);
            }
        }
    }

    bool streams_free(int instance) {
        for (const int id : at(program_.instances, instance).tasks) {
            if (at(at(ranks_, task(id).rank_class).running, task(id).stream) >= 0) return false;
        }
        return true;
    }

    // Occupies the stream and settles what the start waited for: a dependency, or the stream.
    TaskRecord& occupy(int id) {
        const Task& t = task(id);
        Rank& rank = at(ranks_, t.rank_class);
        at(rank.running, t.stream) = id;
        TaskRecord& record = at(record_.tasks, id);
        record.start = calendar_.now();
        const int before = at(rank.last, t.stream);
        if (record.start > record.ready && before >= 0 &&
            at(record_.tasks, before).end == record.start) {
            record.cause = before;
        }
        return record;
    }

    void start_single(int id) {
        const Task& t = task(id);
        TaskRecord& record = occupy(id);
        if (t.kind == TaskKind::host) {
            record.alone = to_picoseconds(t.host_time);
            calendar_.at(record.start + record.alone, EventClass::completion,
                         [this, id] { finish(id); });
            return;
        }
        const OperatorCost& cost = t.kind == TaskKind::compute
                                       ? at(at(costs_.operators, t.stream), t.body)
                                       : at(at(costs_.pipelines, t.stream), t.body);
        record.gap = to_picoseconds(program_.kernel_gap);
        record.launch = to_picoseconds(cost.launch);
        const Seconds work = cost.time - cost.launch;
        record.alone = to_picoseconds(work);

        Activity activity;
        activity.task = id;
        activity.remaining = activity.duration = work.value();
        const double share = at(program_.streams, t.stream).core_share;
        const Resource cores =
            cost.on_vector_cores ? Resource::vector_cores : Resource::matrix_cores;
        activity.demand.usage.emplace_back(static_cast<int>(cores), share);
        if (work > Seconds(0.0)) {
            activity.demand.usage.emplace_back(static_cast<int>(Resource::memory),
                                               std::min(1.0, cost.hbm_time / work));
        }
        activity.total.matrix_seconds = cost.matrix.value();
        activity.total.hbm_bytes = cost.hbm.value();
        begin_later(record.start + record.gap + record.launch, std::move(activity));
    }

    void start_transfer(int instance_id) {
        const auto& instance = at(program_.instances, instance_id);
        const Coflow& coflow = at(costs_.coflows, instance.transfer);
        double compute = 0;
        int last_entered = instance.tasks.front();
        for (const int id : instance.tasks) {
            const Rank& rank = at(ranks_, task(id).rank_class);
            compute = std::max(compute, at(rank.compute_since_transfer, task(id).micro_batch));
            if (at(record_.tasks, id).ready > at(record_.tasks, last_entered).ready)
                last_entered = id;
        }
        const Picoseconds skew = to_picoseconds(Seconds(program_.rank_skew * compute));
        int stream_cause = -1;
        for (std::size_t part = 0; part < instance.tasks.size(); ++part) {
            const int id = instance.tasks[part];
            TaskRecord& record = occupy(id);
            if (record.cause >= 0 && at(record_.tasks, record.cause).end == record.start)
                stream_cause = record.cause;
            record.latency = to_picoseconds(coflow.latency);
            record.skew = skew;
            const CoflowShare& share = coflow.shares[std::min(part, coflow.shares.size() - 1)];
            record.alone = to_picoseconds(share.wire);

            Activity activity;
            activity.task = id;
            activity.remaining = activity.duration = share.wire.value();
            for (int port = 0; port < kPorts; ++port) {
                if (share.port_time[port] <= Seconds(0.0)) continue;
                activity.demand.usage.emplace_back(static_cast<int>(Resource::scale_up_send) + port,
                                                   share.port_time[port] / share.wire);
                activity.total.port_bytes[static_cast<std::size_t>(port)] =
                    share.bytes[port].value();
                activity.total.hbm_bytes +=
                    share.bytes[port].value();  // read to send, written on landing
            }
            if (share.wire > Seconds(0.0)) {
                const Seconds memory = Bytes(activity.total.hbm_bytes) / hardware_.hbm_bandwidth;
                activity.demand.usage.emplace_back(static_cast<int>(Resource::memory),
                                                   std::min(1.0, memory / share.wire));
            }
            begin_later(record.start + record.latency + record.skew, std::move(activity));
        }
        // Every participant starts together: when its own past does not explain the start, the
        // last to enter, or the last stream to come free, does.
        for (const int id : instance.tasks) {
            TaskRecord& record = at(record_.tasks, id);
            if (record.cause >= 0 && at(record_.tasks, record.cause).end == record.start) continue;
            record.cause = stream_cause >= 0 ? stream_cause : at(record_.tasks, last_entered).cause;
        }
    }

    void begin_later(Picoseconds time, Activity activity) {
        calendar_.at(time, EventClass::start, [this, activity = std::move(activity)]() mutable {
            const int rank_class = task(activity.task).rank_class;
            settle(rank_class);
            at(ranks_, rank_class).active.push_back(std::move(activity));
            replan(rank_class);
        });
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
            for (const auto& [resource, usage] : activity.demand.usage)
                segment.used[static_cast<std::size_t>(resource)] += usage * progress;
            const double part = activity.duration > 0 ? progress / activity.duration : 0.0;
            segment.matrix_seconds += part * activity.total.matrix_seconds;
            segment.hbm_bytes += part * activity.total.hbm_bytes;
            for (std::size_t port = 0; port < kPorts; ++port)
                segment.port_bytes[port] += part * activity.total.port_bytes[port];
        }
        if (!rank.active.empty()) at(record_.usage, rank_class).push_back(segment);
        rank.settled = now;
    }

    // New speeds, and one event for the next completion among them.
    void replan(int rank_class) {
        Rank& rank = at(ranks_, rank_class);
        const std::uint64_t generation = ++rank.generation;
        if (rank.active.empty()) return;
        std::vector<FluidActivity> demands;
        demands.reserve(rank.active.size());
        for (const auto& activity : rank.active) demands.push_back(activity.demand);
        const std::vector<double> speeds = max_min_speeds(demands, kResources);
        double next = std::numeric_limits<double>::infinity();
        for (std::size_t i = 0; i < rank.active.size(); ++i) {
            rank.active[i].speed = speeds[i];
            next = std::min(next, rank.active[i].remaining / speeds[i]);
        }
        // Rounded up, so that nothing ends before its work is done.
        const Picoseconds delay = static_cast<Picoseconds>(std::ceil(next * 1e12 - 1e-3));
        calendar_.at(calendar_.now() + std::max<Picoseconds>(delay, 0), EventClass::completion,
                     [this, rank_class, generation] { complete(rank_class, generation); });
    }

    void complete(int rank_class, std::uint64_t generation) {
        Rank& rank = at(ranks_, rank_class);
        if (generation != rank.generation) return;  // speeds changed since it was planned
        settle(rank_class);
        std::vector<int> ended;
        for (std::size_t i = 0; i < rank.active.size();) {
            if (rank.active[i].remaining <= 1e-12 * rank.active[i].speed) {
                ended.push_back(rank.active[i].task);
                rank.active.erase(rank.active.begin() + static_cast<std::ptrdiff_t>(i));
            } else {
                ++i;
            }
        }
        replan(rank_class);
        for (const int id : ended) finish(id);
    }

    void finish(int id) {
        const Task& t = task(id);
        Rank& rank = at(ranks_, t.rank_class);
        TaskRecord& record = at(record_.tasks, id);
        record.end = calendar_.now();
        record_.end = std::max(record_.end, record.end);
        at(rank.running, t.stream) = -1;
        at(rank.last, t.stream) = id;
        --unfinished_;
        double& compute = at(rank.compute_since_transfer, t.micro_batch);
        if (t.kind == TaskKind::transfer) {
            compute = 0;
            ++at(left_, t.body);
        } else if (t.kind != TaskKind::host) {
            compute += to_seconds(record.end - record.start).value();
        }
        for (const int next : at(followers_, id)) {
            at(last_dependency_, next) = id;
            if (--at(missing_, next) == 0) make_ready(next);
        }
        // Starts wait for everything that ends at this time, so that ties do not depend on order.
        if (!start_pending_) {
            start_pending_ = true;
            calendar_.at(calendar_.now(), EventClass::arrival, [this] {
                start_pending_ = false;
                start_what_can();
            });
        }
    }

    void find_critical_path() {
        int id = 0;
        for (std::size_t i = 0; i < record_.tasks.size(); ++i) {
            if (record_.tasks[i].end > at(record_.tasks, id).end) id = static_cast<int>(i);
        }
        Picoseconds reached = record_.end;
        while (id >= 0) {
            const TaskRecord& record = at(record_.tasks, id);
            if (record.end != reached) {
                throw std::logic_error(
                    fmt::format("a hole of {} ps in front of the task that follows task {}",
                                reached - record.end, id));
            }
            record_.critical_path.push_back(id);
            reached = record.start;
            id = reached == 0 ? -1 : record.cause;
        }
        if (reached != 0) throw std::logic_error("the critical path does not reach time zero");
        std::reverse(record_.critical_path.begin(), record_.critical_path.end());
    }

    const Program& program_;
    const ProgramCosts& costs_;
    const RankHardware& hardware_;
    Calendar calendar_;
    RunRecord record_;
    std::vector<Rank> ranks_;
    std::vector<int> missing_, last_dependency_;
    std::vector<std::vector<int>> followers_;
    std::vector<int> entered_, left_;
    std::set<std::pair<Picoseconds, int>> eligible_;
    int unfinished_ = 0;
    bool start_pending_ = false;
};

OperatorCost pipeline_cost(const Program& program, const Pipeline& pipeline,
                           const std::vector<OperatorCost>& operators) {
    OperatorCost cost;
    Seconds core(0.0), memory(0.0);
    double weight = 0;
    cost.on_vector_cores = true;
    for (const int id : pipeline.operators) {
        const OperatorCost& stage = at(operators, id);
        cost.launch = max(cost.launch, stage.launch);
        cost.matrix += stage.matrix;
        cost.vector += stage.vector;
        cost.hbm += stage.hbm;
        memory += stage.hbm_time;
        core += stage.time - stage.launch;
        cost.on_vector_cores = cost.on_vector_cores && stage.on_vector_cores;
        // The weakest evidence of any stage stands for the whole.
        cost.basis = std::max(cost.basis, stage.basis);
        cost.held_out_error += stage.held_out_error * stage.time.value();
        weight += stage.time.value();
        if (!stage.warning.empty()) cost.warning = stage.warning;
    }
    (void)program;
    if (weight > 0) cost.held_out_error /= weight;
    // Traffic saved on the way shortens a stage only as far as it was bound by it.
    const Bytes saved(std::min(pipeline.on_chip, cost.hbm.value()));
    const Seconds saved_time = cost.hbm > Bytes(0.0) ? memory * (saved / cost.hbm) : Seconds(0.0);
    cost.hbm -= saved;
    cost.hbm_time = memory - saved_time;
    cost.time = cost.launch + max(core - saved_time, cost.hbm_time);
    cost.choice = fmt::format("{} fused", pipeline.operators.size());
    return cost;
}

}  // namespace

ProgramCosts cost_program(const Program& program, CostCache& cache, const RankFabric& fabric,
                          const CollectiveLibrarySpec& library, long total_ranks) {
    ProgramCosts costs;
    // Which stream needs which operator: an operator that never runs on a stream costs nothing
    // there.
    std::vector<std::vector<char>> needed(program.streams.size(),
                                          std::vector<char>(program.operators.size(), 0));
    for (const auto& task : program.tasks) {
        if (task.kind == TaskKind::compute) at(at(needed, task.stream), task.body) = 1;
        if (task.kind == TaskKind::pipeline) {
            for (const int op : at(program.pipelines, task.body).operators)
                at(at(needed, task.stream), op) = 1;
        }
    }
    for (std::size_t s = 0; s < program.streams.size(); ++s) {
        std::vector<OperatorCost> operators(program.operators.size());
        for (std::size_t i = 0; i < program.operators.size(); ++i) {
            if (needed[s][i])
                operators[i] = cache.cost(program.operators[i].body, program.streams[s].core_share);
        }
        std::vector<OperatorCost> pipelines;
        for (const auto& pipeline : program.pipelines)
            pipelines.push_back(pipeline_cost(program, pipeline, operators));
        costs.operators.push_back(std::move(operators));
        costs.pipelines.push_back(std::move(pipelines));
    }
    for (const auto& transfer : program.transfers) {
        costs.coflows.push_back(make_coflow(transfer, fabric, library, total_ranks));
    }
    return costs;
}

RunRecord run_program(const Program& program, const ProgramCosts& costs,
                      const RankHardware& hardware, Driver driver) {
    require_valid(program);
    return Machine(program, costs, hardware).run(driver);
}

}  // namespace podsim
