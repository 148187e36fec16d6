#include "sim/collective_jobs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <utility>

#include "chips/cost_cache.hpp"
#include "interconnect/coflow.hpp"
#include "sim/band.hpp"
#include "sim/energy_use.hpp"
#include "sim/packet_answer.hpp"
#include "sim/replay_jobs.hpp"

namespace podsim {

namespace {

using Jobs = std::vector<CollectiveJobSpec>;

std::vector<int> ranks_of(const CollectiveJobSpec& job) {
    std::vector<int> ranks;
    for (int i = 0; i < job.transfer.group_ranks; ++i)
        ranks.push_back(job.first_rank + i * job.transfer.stride);
    return ranks;
}

// Which collectives each rank takes part in, and how many ranks in the same ones.
std::map<std::vector<std::size_t>, int> cells_of(const Jobs& jobs) {
    std::map<int, std::vector<std::size_t>> of_rank;
    for (std::size_t j = 0; j < jobs.size(); ++j)
        for (const int rank : ranks_of(jobs[j])) of_rank[rank].push_back(j);
    std::map<std::vector<std::size_t>, int> cells;
    for (const auto& [rank, its] : of_rank) ++cells[its];
    return cells;
}

struct JobsRun {
    TraceProgram traced;
    ProgramCosts costs;
    RunRecord record;
    std::vector<PacketCollectiveRun> packets;  // at cycle
    bool by_packets() const { return !packets.empty() && packets.front().stays.empty(); }
};

JobsRun costs_of(const Jobs& jobs, const ResolvedAlternative& alternative,
                 const RankFabric& fabric) {
    JobsRun run;
    run.traced = program_of_collectives(jobs);
    cost_transfers(run.traced, fabric, alternative.collectives, run.costs);
    std::vector<OutsideFit> outside;
    for (const Coflow& coflow : run.costs.coflows)
        outside.insert(outside.end(), coflow.outside.begin(), coflow.outside.end());
    run.costs.warnings = fit_warnings(alternative.collectives.name, outside);
    run.costs.operators.assign(run.traced.program.streams.size(), {});
    run.costs.pipelines.assign(run.traced.program.streams.size(), {});
    return run;
}

// What packets took each has, and shares neither ports nor links any more: packets have.
void take_packets(JobsRun& run) {
    run.costs.shared_links = 0;
    for (std::size_t j = 0; j < run.packets.size(); ++j) {
        Coflow& coflow = run.costs.coflows[j];
        take_wire(run.packets[j], coflow);
        for (CoflowShare& share : coflow.shares) {
            share.links.clear();
            for (Seconds& port : share.port_time) port = Seconds(0.0);
        }
    }
}

// When packets moved what is not kept, only how much: evenly over the run.
void even_out(RunRecord& record) {
    for (std::vector<UsageSegment>& usage : record.usage) {
        UsageSegment all;
        all.end = record.end;
        for (const UsageSegment& segment : usage) {
            all.hbm_bytes += segment.hbm_bytes;
            for (std::size_t port = 0; port < kPorts; ++port)
                all.port_bytes[port] += segment.port_bytes[port];
        }
        usage = {all};
    }
}

JobsRun run_jobs(const Jobs& jobs, const ResolvedExperiment& experiment,
                 const ResolvedAlternative& alternative, const RankFabric& fabric,
                 Fidelity fidelity, const RunOptions& options) {
    JobsRun run = costs_of(jobs, alternative, fabric);
    if (fidelity == Fidelity::cycle) {
        std::vector<PacketJob> packets;
        for (std::size_t j = 0; j < jobs.size(); ++j)
            packets.push_back(
                {jobs[j].transfer, run.costs.coflows[j], jobs[j].first_rank, jobs[j].start});
        run.packets = packets_of(packets, experiment, alternative, fabric, options.seed);
        if (run.by_packets()) take_packets(run);
    }
    run.record =
        run_program(run.traced.program, run.costs, hardware_of(alternative), options.driver);
    if (run.by_packets()) even_out(run.record);
    return run;
}

// From its start to the end of the last of its ranks.
Seconds time_of(const JobsRun& run, const CollectiveJobSpec& job) {
    const auto& tasks = run.traced.program.tasks;
    Picoseconds end = 0;
    for (std::size_t t = 0; t < tasks.size(); ++t)
        if (tasks[t].kind == TaskKind::transfer && tasks[t].name == job.name)
            end = std::max(end, run.record.tasks[t].end);
    return to_seconds(end) - job.start;
}

AssemblyInput input_of(const JobsRun& run, const RankHardware& hardware, const RankFabric& fabric,
                       long ranks) {
    return {run.traced.program, run.costs, run.record, hardware, fabric, ranks, {}};
}

}  // namespace

TraceProgram program_of_collectives(const Jobs& jobs) {
    TraceProgram made;
    Program& program = made.program;
    for (const CollectiveJobSpec& job : jobs) {
        Transfer transfer = job.transfer;
        transfer.name = job.name;
        program.transfers.push_back(transfer);
        program.streams.push_back({job.name, 1.0});
        program.instances.push_back({static_cast<int>(program.transfers.size()) - 1, {}});
        made.groups.push_back({ranks_of(job)});
        made.ranks = std::max(made.ranks, job.last_rank() + 1);
    }
    for (const auto& [its, ranks] : cells_of(jobs)) {
        std::vector<std::string> names;
        for (const std::size_t j : its) names.push_back(jobs[j].name);
        const auto rank_class = static_cast<int>(program.classes.size());
        program.classes.push_back({fmt::format("{}", fmt::join(names, " + ")), ranks});
        for (const std::size_t j : its) {
            Task task;
            task.rank_class = rank_class;
            task.stream = static_cast<int>(j);
            if (jobs[j].start > Seconds(0.0)) {
                task.kind = TaskKind::host;
                task.name = "start";
                task.host_time = jobs[j].start;
                program.tasks.push_back(task);
                task = {};
                task.rank_class = rank_class;
                task.stream = static_cast<int>(j);
                task.after = {static_cast<int>(program.tasks.size()) - 1};
            }
            task.kind = TaskKind::transfer;
            task.name = jobs[j].name;
            task.body = static_cast<int>(j);
            program.instances[j].tasks.push_back(static_cast<int>(program.tasks.size()));
            program.tasks.push_back(task);
        }
    }
    return made;
}

AlternativeResult run_collectives(const ResolvedExperiment& experiment,
                                  const ResolvedAlternative& alternative, const RunOptions& options,
                                  RunCounts& counts) {
    const Jobs& jobs = experiment.spec.workload.collectives;
    const RankHardware hardware = hardware_of(alternative);
    const RankFabric fabric = rank_fabric(alternative.system, alternative.chip.ranks);
    const Fidelity fidelity = fidelity_of(options, alternative.chip);
    const auto run_some = [&](const Jobs& some, Fidelity level) {
        return run_jobs(some, experiment, alternative, fabric, level, options);
    };
    const JobsRun run = run_some(jobs, fidelity);
    counts.add(run.record, CostCache(hardware, alternative.kernels, fidelity, false));
    if (options.program)
        options.program({alternative.name, run.traced.program, run.costs, run.record});
    const AssemblyInput input = input_of(run, hardware, fabric, alternative.ranks);
    AlternativeResult result = assemble(input, options.timeline);
    const Provenance provenance = provenance_of(input);
    const auto add = [&](const char* name, double value, const char* unit) {
        result.metrics.push_back({name, value, unit, {}, {}, provenance});
    };
    add("collective_time", result.iteration_seconds * 1e6, "us");
    const bool several = jobs.size() > 1;
    // Of packets of several there is no serial bound: those of one hold up those of another.
    if (several) result.bounds.serial = 0;
    for (const CollectiveJobSpec& job : jobs) {
        std::optional<JobsRun> apart;
        if (several) apart = run_some({job}, fidelity);
        const JobsRun& lone = apart ? *apart : run;
        if (several && !run.by_packets())
            result.bounds.serial +=
                bounds_of(input_of(lone, hardware, fabric, alternative.ranks)).serial;
        const Seconds time = time_of(run, job);
        result.jobs.push_back({job.name, job.transfer.group_ranks, job.first_rank,
                               job.transfer.stride, job.start.value(), time.value(),
                               time_of(lone, job).value(), time.value(), 0});
    }
    if (run.by_packets()) {
        add_packets_met(run.packets.front(), add);
        if (options.neighbour) {
            const Fidelity other = neighbour_of(fidelity);
            result.neighbour = to_string(other);
            result.neighbour_gap =
                to_seconds(run_some(jobs, other).record.end).value() / result.iteration_seconds -
                1.0;
        }
    }
    add_power_metrics(result, add_energy(result, input, alternative, false), experiment,
                      alternative, 0);
    std::vector<std::string> warnings = alternative.warnings;
    if (const auto why = packets_warning(run.packets, experiment, alternative); !why.empty())
        warnings.push_back(why);
    result.warnings.insert(result.warnings.begin(), warnings.begin(), warnings.end());
    return result;
}

void check_collectives(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative,
                       std::vector<Diagnostic>& problems) {
    const Jobs& jobs = experiment.spec.workload.collectives;
    for (const CollectiveJobSpec& job : jobs) {
        if (job.last_rank() < alternative.ranks) continue;
        problems.push_back(
            at_key(experiment.spec.workload, "collectives",
                   fmt::format("the last of {}'s {} ranks is rank {} of the pool, {} has {}",
                               job.name, job.transfer.group_ranks, job.last_rank(),
                               alternative.name, alternative.ranks),
                   "more chips, fewer ranks, or another first_rank or stride"));
        return;
    }
    try {
        (void)costs_of(jobs, alternative, rank_fabric(alternative.system, alternative.chip.ranks));
    } catch (const std::invalid_argument& error) {
        problems.push_back(at_key(experiment.spec.workload, "collectives", error.what(), ""));
    }
}

}  // namespace podsim
