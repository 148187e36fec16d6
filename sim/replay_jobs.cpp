#include "sim/replay_jobs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "base/at.hpp"
#include "interconnect/coflow.hpp"
#include "interconnect/placed_links.hpp"

namespace podsim {

namespace {

void shift(std::vector<int>& list, int by) {
    for (int& one : list) one += by;
}

int size_of(std::size_t size) {
    return static_cast<int>(size);
}

// Behind what is there.
void append(Program& all, const Program& one) {
    const int classes = size_of(all.classes.size()), streams = size_of(all.streams.size()),
              operators = size_of(all.operators.size()), transfers = size_of(all.transfers.size()),
              instances = size_of(all.instances.size()), tasks = size_of(all.tasks.size());
    all.classes.insert(all.classes.end(), one.classes.begin(), one.classes.end());
    all.streams.insert(all.streams.end(), one.streams.begin(), one.streams.end());
    all.operators.insert(all.operators.end(), one.operators.begin(), one.operators.end());
    all.transfers.insert(all.transfers.end(), one.transfers.begin(), one.transfers.end());
    for (TransferInstance instance : one.instances) {
        instance.transfer += transfers;
        shift(instance.tasks, tasks);
        all.instances.push_back(std::move(instance));
    }
    for (Task task : one.tasks) {
        task.rank_class += classes;
        task.stream += streams;
        if (task.kind == TaskKind::compute) task.body += operators;
        if (task.kind == TaskKind::transfer) task.body += instances;
        shift(task.after, tasks);
        all.tasks.push_back(std::move(task));
    }
}

// Links that always carry the same are one: most of a fabric's links are like many others.
class LinkNumbers {
  public:
    void see(int transfer, const LinkRatio& ratio) {
        // A ratio is of the port of its side: equal ones of two sides are not equal bytes.
        int side = 0;
        for (const auto* uses : {&ratio.up_uses, &ratio.out_uses}) {
            for (const LinkUse& use : *uses)
                carries_[use.link].emplace_back(2 * transfer + side, std::llround(use.ratio * 1e9));
            ++side;
        }
    }
    void number() {
        for (const auto& [link, what] : carries_)
            numbers_[link] = alike_.try_emplace(what, size_of(alike_.size())).first->second;
    }
    void renumber(std::vector<LinkUse>& uses) const {
        std::map<int, double> kept;
        for (const LinkUse& use : uses) kept[numbers_.at(use.link)] = use.ratio;
        uses.clear();
        for (const auto& [link, ratio] : kept) uses.push_back({link, ratio});
    }
    int count() const { return size_of(alike_.size()); }

  private:
    using Carried = std::vector<std::pair<int, long long>>;
    std::map<int, Carried> carries_;
    std::map<Carried, int> alike_;
    std::map<int, int> numbers_;
};

}  // namespace

TraceProgram named_job(TraceProgram job, const std::string& name, Seconds start) {
    Program& program = job.program;
    for (RankClass& one : program.classes) one.name = name + ": " + one.name;
    if (!(start > Seconds(0.0))) return job;
    const int stream = size_of(program.streams.size());
    program.streams.push_back({"start", 1.0});
    const int classes = size_of(program.classes.size());
    std::vector<Task> tasks;
    for (int c = 0; c < classes; ++c) {
        Task wait;
        wait.kind = TaskKind::host;
        wait.name = "start";
        wait.rank_class = c;
        wait.stream = stream;
        wait.host_time = start;
        tasks.push_back(std::move(wait));
    }
    for (Task& task : program.tasks) {
        shift(task.after, classes);
        if (task.after.empty()) task.after = {task.rank_class};
        tasks.push_back(std::move(task));
    }
    program.tasks = std::move(tasks);
    for (TransferInstance& instance : program.instances) shift(instance.tasks, classes);
    return job;
}

TraceProgram join_jobs(const std::vector<TraceProgram>& programs, std::vector<PlacedJob>& jobs) {
    TraceProgram all;
    for (std::size_t j = 0; j < programs.size(); ++j) {
        TraceProgram job = programs[j];
        PlacedJob& place = jobs[j];
        for (Transfer& transfer : job.program.transfers) transfer.stride *= place.stride;
        place.classes = {all.program.classes.size(),
                         all.program.classes.size() + job.program.classes.size()};
        place.tasks = {all.program.tasks.size(),
                       all.program.tasks.size() + job.program.tasks.size()};
        append(all.program, job.program);
        all.work.insert(all.work.end(), job.work.begin(), job.work.end());
        all.ranks = std::max(all.ranks, place.last_rank() + 1);
        for (const std::string& warning : job.warnings)
            all.warnings.push_back(place.name + ": " + warning);
        for (auto& groups : job.groups) {
            for (auto& group : groups)
                for (int& rank : group) rank = place.first_rank + rank * place.stride;
            all.groups.push_back(std::move(groups));
        }
    }
    return all;
}

void cost_transfers(const TraceProgram& joined, const RankFabric& fabric,
                    const CollectiveLibrarySpec& library, ProgramCosts& costs) {
    const std::vector<Transfer>& transfers = joined.program.transfers;
    std::vector<LinkRatio> ratios;
    LinkNumbers numbers;
    for (std::size_t t = 0; t < transfers.size(); ++t) {
        ratios.push_back(placed_link_ratio(transfers[t], fabric, joined.groups.at(t)));
        numbers.see(size_of(t), ratios.back());
    }
    numbers.number();
    costs.shared_links = numbers.count();
    for (std::size_t t = 0; t < transfers.size(); ++t) {
        numbers.renumber(ratios[t].up_uses);
        numbers.renumber(ratios[t].out_uses);
        costs.coflows.push_back(
            make_coflow(transfers[t], fabric, library, joined.groups.at(t), ratios[t]));
    }
}

LoneJob alone(const Program& all, const ProgramCosts& costs, const PlacedJob& place) {
    const int first_class = size_of(place.classes.begin), first_task = size_of(place.tasks.begin);
    LoneJob lone{{}, costs};
    lone.program.streams = all.streams;
    lone.program.operators = all.operators;
    lone.program.transfers = all.transfers;
    lone.program.classes = {all.classes.begin() + static_cast<std::ptrdiff_t>(place.classes.begin),
                            all.classes.begin() + static_cast<std::ptrdiff_t>(place.classes.end)};
    int before = 0;  // instances of other jobs in front
    for (const TransferInstance& instance : all.instances) {
        const auto task = static_cast<std::size_t>(instance.tasks.front());
        if (task < place.tasks.begin) ++before;
        if (task < place.tasks.begin || task >= place.tasks.end) continue;
        lone.program.instances.push_back(instance);
        shift(lone.program.instances.back().tasks, -first_task);
    }
    for (std::size_t i = place.tasks.begin; i < place.tasks.end; ++i) {
        Task task = all.tasks[i];
        task.rank_class -= first_class;
        if (task.kind == TaskKind::transfer) task.body -= before;
        shift(task.after, -first_task);
        lone.program.tasks.push_back(std::move(task));
    }
    return lone;
}

}  // namespace podsim
