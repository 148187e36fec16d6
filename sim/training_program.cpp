#include "sim/training_program.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>

#include "base/at.hpp"
#include "workloads/training_transfers.hpp"

namespace podsim {

namespace {

using Ids = std::vector<int>;

// What of a pass's program was copied once for all its uses.
struct Copied {
    int operators = 0, pipelines = 0, transfers = 0;  // where its own begin
    std::vector<int> streams;
    // By class: tasks that none of it waits for; those of data-parallel transfers apart, which go
    // on beside the passes that follow.
    std::vector<Ids> ends, beside;
};

// Gathers of parameters and reductions of gradients. What follows a pass does not wait for them.
bool goes_beside(const Program& program, const Task& task) {
    return task.kind == TaskKind::transfer &&
           at(program.streams, task.stream).name == "data-parallel transfers";
}

class Joiner {
  public:
    Joiner(const TrainingStep& step, const TrainingPlan& plan, const Transfer& send)
        : step_(step), plan_(plan), send_(send) {}

    StepProgram join() {
        const ScheduleTiming timing = time_schedule(step_.schedule, step_.times, true);
        std::vector<const PassRun*> runs;
        for (const PassRun& run : timing.passes) runs.push_back(&run);
        // A task waits for tasks in front of it.
        std::stable_sort(runs.begin(), runs.end(),
                         [](const PassRun* a, const PassRun* b) { return a->begin < b->begin; });
        // Experts part a stage's ranks in two, the optimiser takes them as one.
        const Program& first = step_.passes.front().forward->program;
        of_stage_ = first.classes.size();
        result_.program.kernel_gap = first.kernel_gap;
        result_.program.rank_skew = first.rank_skew;
        const double ranks = static_cast<double>(plan_.stage_ranks());
        for (int stage = 0; stage < step_.schedule.stages; ++stage) {
            double built = 0;
            for (const RankClass& one : first.classes) built += one.count;
            for (RankClass one : first.classes) {
                one.count = static_cast<int>(std::lround(one.count * ranks / built));
                if (step_.schedule.stages > 1)
                    one.name = fmt::format("stage {} {}", stage + 1, one.name);
                result_.program.classes.push_back(one);
            }
        }
        front_.resize(result_.program.classes.size());
        beside_.resize(result_.program.classes.size());
        // 0 is of sends between stages, which nothing computes for.
        first_of_pass_.assign(static_cast<std::size_t>(step_.schedule.stages), 1);
        find_ends(runs);
        for (const PassRun* run : runs) add(*run);
        for (int stage = 0; stage < step_.schedule.stages; ++stage) sum_norm(stage);
        if (step_.schedule.stages > 1) share_norm();
        for (int stage = 0; stage < step_.schedule.stages; ++stage) finish(stage);
        return std::move(result_);
    }

  private:
    // The first forward pass of each position on a stage, and the last that makes gradients.
    void find_ends(const std::vector<const PassRun*>& runs) {
        for (const PassRun* run : runs) {
            const Pass& pass = run->pass;
            const std::pair key{run->stage, pass.cell.position};
            if (pass.kind == PassKind::forward || pass.kind == PassKind::overlapped)
                first_.try_emplace(key, run);
            if (pass.kind == PassKind::backward || pass.kind == PassKind::weight_gradient)
                last_[key] = run;
            if (pass.kind == PassKind::overlapped)
                last_[{run->stage, pass.backward.position}] = run;
        }
    }

    // What runs: a pass, or its halves one after the other.
    std::vector<TrainingPassPtr> passes_of(const PassRun& run) const {
        const Pass& pass = run.pass;
        const PositionPasses& of = at(step_.passes, pass.cell.position);
        const std::pair key{run.stage, pass.cell.position};
        const bool last = last_.count(key) > 0 && last_.at(key) == &run && of.reducing;
        switch (pass.kind) {
            case PassKind::forward:
                return {first_.at(key) == &run && of.gathering ? of.gathering : of.forward};
            case PassKind::backward:
                if (of.backward) return {last ? of.reducing : of.backward};
                return {of.input_gradient, last ? of.reducing : of.weight_gradient};
            case PassKind::input_gradient:
                return {of.input_gradient};
            case PassKind::weight_gradient:
                return {last ? of.reducing : of.weight_gradient};
            case PassKind::overlapped:
                return {of.overlapped};
        }
        return {};
    }

    int stream(const Stream& one) {
        auto& streams = result_.program.streams;
        // Under a part of the cores it is another stream to a reader.
        const std::string name =
            one.core_share < 1 ? fmt::format("{}, {:.4g} of the cores", one.name, one.core_share)
                               : one.name;
        for (std::size_t i = 0; i < streams.size(); ++i)
            if (streams[i].name == name) return static_cast<int>(i);
        streams.push_back({name, one.core_share});
        return static_cast<int>(streams.size()) - 1;
    }

    const Copied& copied(const TrainingPass& pass) {
        const auto [it, fresh] = copied_.try_emplace(&pass);
        if (!fresh) return it->second;
        Copied& copy = it->second;
        Program& to = result_.program;
        const auto append = [](auto& list, const auto& more) {
            const auto begin = static_cast<int>(list.size());
            list.insert(list.end(), more.begin(), more.end());
            return begin;
        };
        copy.operators = append(to.operators, pass.program.operators);
        copy.pipelines = append(to.pipelines, pass.program.pipelines);
        for (std::size_t i = static_cast<std::size_t>(copy.pipelines); i < to.pipelines.size(); ++i)
            for (int& op : to.pipelines[i].operators) op += copy.operators;
        copy.transfers = append(to.transfers, pass.program.transfers);
        for (const Stream& one : pass.program.streams) copy.streams.push_back(stream(one));
        // By those of a pass, and by any.
        std::vector<bool> waited(pass.program.tasks.size()), waited_at_all(waited);
        for (const Task& task : pass.program.tasks) {
            for (const int before : task.after) {
                waited_at_all[static_cast<std::size_t>(before)] = true;
                if (!goes_beside(pass.program, task))
                    waited[static_cast<std::size_t>(before)] = true;
            }
        }
        copy.ends.resize(pass.program.classes.size());
        copy.beside.resize(pass.program.classes.size());
        for (std::size_t i = 0; i < waited.size(); ++i) {
            const Task& task = pass.program.tasks[i];
            const bool beside = goes_beside(pass.program, task);
            if (beside ? waited_at_all[i] : waited[i]) continue;
            at(beside ? copy.beside : copy.ends, task.rank_class).push_back(static_cast<int>(i));
        }
        return copy;
    }

    int class_of(int stage, int of_pass) const {
        return stage * static_cast<int>(of_stage_) + of_pass;
    }

    // After what the stage did before, and what it waits for. Parameters are fetched ahead of the
    // forward passes that need them. What takes all ranks as one is done by each of their classes.
    void append(const TrainingPass& pass, int stage, bool fetches_ahead) {
        if (pass.program.tasks.empty()) return;
        const std::size_t own = pass.program.classes.size();
        int halves = 0;
        for (std::size_t c = 0; c + own <= of_stage_; c += own)
            halves = append(pass, stage, fetches_ahead, static_cast<int>(c));
        at(first_of_pass_, stage) = halves;
    }

    // For classes from `first_class` on. Returns the number after its last half.
    int append(const TrainingPass& pass, int stage, bool fetches_ahead, int first_class) {
        const Copied& copy = copied(pass);
        Program& to = result_.program;
        const auto first = static_cast<int>(to.tasks.size());
        const auto instances = static_cast<int>(to.instances.size());
        int halves = 0;
        for (std::size_t i = 0; i < pass.program.tasks.size(); ++i) {
            Task task = pass.program.tasks[i];
            const int own = class_of(stage, first_class + task.rank_class);
            task.rank_class = own;
            // Each pass waits for the slowest rank by what it computed itself, each of its halves
            // by its own.
            task.micro_batch += at(first_of_pass_, stage);
            halves = std::max(halves, task.micro_batch + 1);
            task.stream = at(copy.streams, task.stream);
            if (task.kind == TaskKind::compute) task.body += copy.operators;
            if (task.kind == TaskKind::pipeline) task.body += copy.pipelines;
            if (task.kind == TaskKind::transfer) task.body += instances;
            if (task.after.empty()) {
                if (!fetches_ahead || !goes_beside(pass.program, pass.program.tasks[i]))
                    task.after = at(front_, own);
            } else {
                for (int& before : task.after) before += first;
            }
            to.tasks.push_back(std::move(task));
            result_.record.tasks.push_back(pass.record.tasks[i]);
        }
        for (TransferInstance instance : pass.program.instances) {
            instance.transfer += copy.transfers;
            for (int& task : instance.tasks) task += first;
            to.instances.push_back(std::move(instance));
        }
        for (std::size_t c = 0; c < copy.ends.size(); ++c) {
            Ids& front = at(front_, class_of(stage, first_class + static_cast<int>(c)));
            if (!copy.ends[c].empty()) front.clear();
            for (const int end : copy.ends[c]) front.push_back(end + first);
            for (const int end : copy.beside[c])
                at(beside_, class_of(stage, first_class + static_cast<int>(c)))
                    .push_back(end + first);
        }
        return halves;
    }

    // Whatever went on beside passes has ended.
    void wait_for_all(int stage) {
        for (std::size_t c = 0; c < of_stage_; ++c) {
            const int own = class_of(stage, static_cast<int>(c));
            Ids& beside = at(beside_, own);
            at(front_, own).insert(at(front_, own).end(), beside.begin(), beside.end());
            beside.clear();
        }
    }

    // From a position of a pipe to another: one task of the sender, one of the receiver.
    using Way = std::tuple<int, int, int, long>;  // pipe, position from, to, micro-batch
    void hand_on(const Cell& cell, int to_position) {
        if (to_position < 0 || to_position >= step_.schedule.positions) return;
        const auto& stages = at(step_.schedule.stage_of, cell.pipe);
        const int from = at(stages, cell.position), to = at(stages, to_position);
        if (from == to) return;
        Program& program = result_.program;
        if (sends_ < 0) {
            Transfer pair = send_;
            pair.shares = {{1, pair.size, Bytes(0.0)}, {1, Bytes(0.0), pair.size}};
            sends_ = static_cast<int>(program.transfers.size());
            program.transfers.push_back(std::move(pair));
        }
        Ids& received = received_[{cell.pipe, cell.position, to_position, cell.micro_batch}];
        for (std::size_t c = 0; c < of_stage_; ++c) {
            TransferInstance instance{sends_, {}};
            for (const int stage : {from, to}) {
                Task task;
                task.kind = TaskKind::transfer;
                task.body = static_cast<int>(program.instances.size());
                task.rank_class = class_of(stage, static_cast<int>(c));
                task.stream =
                    stream({stage == from ? "sends to stages" : "receives of stages", 1.0});
                if (stage == from) task.after = at(front_, task.rank_class);
                instance.tasks.push_back(static_cast<int>(program.tasks.size()));
                program.tasks.push_back(std::move(task));
                result_.record.tasks.emplace_back();
            }
            received.push_back(instance.tasks.back());
            program.instances.push_back(std::move(instance));
        }
    }

    void receive(const Cell& cell, int from_position, int stage) {
        const auto found =
            received_.find({cell.pipe, from_position, cell.position, cell.micro_batch});
        if (found == received_.end()) return;
        for (std::size_t c = 0; c < of_stage_; ++c)
            at(front_, class_of(stage, static_cast<int>(c))).push_back(found->second[c]);
    }

    void add(const PassRun& run) {
        const Pass& pass = run.pass;
        const bool forward = pass.kind == PassKind::forward || pass.kind == PassKind::overlapped;
        const Cell& back = pass.kind == PassKind::overlapped ? pass.backward : pass.cell;
        const bool backward =
            pass.kind != PassKind::forward && pass.kind != PassKind::weight_gradient;
        if (forward) receive(pass.cell, pass.cell.position - 1, run.stage);
        if (backward) receive(back, back.position + 1, run.stage);
        for (const TrainingPassPtr& one : passes_of(run)) append(*one, run.stage, forward);
        const bool weights =
            pass.kind != PassKind::forward && pass.kind != PassKind::input_gradient;
        if (weights && reduces_each(plan_)) wait_for_all(run.stage);
        if (forward) hand_on(pass.cell, pass.cell.position + 1);
        if (backward) hand_on(back, back.position - 1);
    }

    void sum_norm(int stage) {
        wait_for_all(stage);
        append(*step_.norms[at(step_.kind_of_stage, stage)], stage, false);
        wait_for_all(stage);
    }

    // All stages meet.
    void share_norm() {
        Program& program = result_.program;
        Transfer sum = norm_sum(plan_);
        sum.shares.assign(static_cast<std::size_t>(step_.schedule.stages), {1, sum.size, sum.size});
        const auto transfer = static_cast<int>(program.transfers.size());
        program.transfers.push_back(std::move(sum));
        for (std::size_t c = 0; c < of_stage_; ++c) {
            TransferInstance instance{transfer, {}};
            for (int stage = 0; stage < step_.schedule.stages; ++stage) {
                Task task;
                task.kind = TaskKind::transfer;
                task.body = static_cast<int>(program.instances.size());
                task.rank_class = class_of(stage, static_cast<int>(c));
                task.stream = stream({"norm over stages", 1.0});
                task.after = at(front_, task.rank_class);
                instance.tasks.push_back(static_cast<int>(program.tasks.size()));
                at(front_, task.rank_class) = {instance.tasks.back()};
                program.tasks.push_back(std::move(task));
                result_.record.tasks.emplace_back();
            }
            program.instances.push_back(std::move(instance));
        }
    }

    void finish(int stage) {
        append(*step_.optimizers[at(step_.kind_of_stage, stage)], stage, false);
        wait_for_all(stage);
        if (!(step_.host > Seconds(0.0))) return;
        for (std::size_t c = 0; c < of_stage_; ++c) {
            Task task;
            task.kind = TaskKind::host;
            task.name = "host step";
            task.host_time = step_.host;
            task.rank_class = class_of(stage, static_cast<int>(c));
            task.stream = stream({"host", 1.0});
            task.after = at(front_, task.rank_class);
            result_.program.tasks.push_back(std::move(task));
            result_.record.tasks.emplace_back();
            result_.record.tasks.back().alone = to_picoseconds(step_.host);
        }
    }

    const TrainingStep& step_;
    const TrainingPlan& plan_;
    const Transfer& send_;
    std::size_t of_stage_ = 1;        // classes of a stage
    std::vector<Ids> front_;          // by class: what its next task waits for
    std::vector<int> first_of_pass_;  // by stage: number that tells the next pass's micro-batches
    std::vector<Ids> beside_;         // by class: data-parallel transfers that it does not wait for
    std::map<std::pair<int, int>, const PassRun*> first_, last_;  // of a position on a stage
    std::map<const TrainingPass*, Copied> copied_;
    std::map<Way, Ids> received_;  // by class of a stage
    int sends_ = -1;
    StepProgram result_;
};

}  // namespace

StepProgram program_of_step(const TrainingStep& step, const TrainingPlan& plan,
                            const Transfer& send) {
    return Joiner(step, plan, send).join();
}

}  // namespace podsim
