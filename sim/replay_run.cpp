#include "sim/replay_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>

#include "base/at.hpp"
#include "base/names.hpp"
#include "sim/cost_metrics.hpp"
#include "workloads/trace_files.hpp"
#include "workloads/trace_program.hpp"
#include "workloads/trace_summary.hpp"

namespace podsim {

const std::vector<std::pair<const char*, ReplayCompute>>& names_of(const ReplayCompute*) {
    static const std::vector<std::pair<const char*, ReplayCompute>> names = {
        {"recorded", ReplayCompute::recorded}, {"chip", ReplayCompute::chip}};
    return names;
}

namespace {

namespace fs = std::filesystem;

constexpr int kMostRank = 1'000'000'000;

// What took how long by which evidence.
struct WorkCount {
    long recorded = 0, by_chip = 0, nothing = 0;
};

// Roofline of a node's FLOP and bytes with what the chip's kernel library reaches:
//   T = launch + max(FLOP / (peak x efficiency), bytes / (bandwidth x efficiency))
OperatorCost chip_cost(const TracedWork& work, const ReplaySpec& spec, CostCache& cache) {
    const RankHardware& hardware = cache.hardware();
    const KernelLibrarySpec& library = cache.library();
    OperatorCost cost;
    double memory_efficiency = library.vector.memory_efficiency;
    cost.launch = library.vector.launch;
    cost.basis = library.vector.record.basis;
    cost.held_out_error = library.vector.record.held_out_error;
    cost.on_vector_cores = true;
    Seconds products(0.0);
    if (work.flops > 0) {
        const DType format = executed_format(hardware, spec.format);
        const auto found = library.gemm.find(format);
        if (found == library.gemm.end())
            throw std::invalid_argument(
                fmt::format("{} has no products in {}", library.name, to_string(format)));
        const GemmHabits& habits = found->second;
        cost.matrix = Flops(work.flops) / peak_for(hardware, spec.format);
        products = cost.matrix / habits.matrix_efficiency;
        memory_efficiency = habits.memory_efficiency;
        cost.launch = habits.launch;
        cost.basis = habits.record.basis;
        cost.held_out_error = habits.record.held_out_error;
        cost.on_vector_cores = false;
    }
    cost.basis = std::max(cost.basis, Confidence::derived);
    cost.hbm = Bytes(work.bytes);
    cost.hbm_time = cost.hbm / (hardware.hbm_bandwidth * memory_efficiency);
    cost.choice = "roofline";
    cost.time = cost.launch + max(products, cost.hbm_time);
    return cost;
}

OperatorCost recorded_cost(double seconds) {
    OperatorCost cost;
    cost.time = Seconds(std::max(0.0, seconds));
    cost.basis = Confidence::measured;
    // Whatever it shared the chip with is in its time already.
    cost.off_cores = true;
    cost.choice = "recorded";
    return cost;
}

OperatorCost cost_of(const TracedWork& work, const ReplaySpec& spec, CostCache& cache,
                     WorkCount& count) {
    const bool recorded = work.seconds >= 0, works = work.flops > 0 || work.bytes > 0;
    if (works && (!recorded || spec.compute == ReplayCompute::chip)) {
        ++count.by_chip;
        return chip_cost(work, spec, cache);
    }
    ++(recorded ? count.recorded : count.nothing);
    return recorded_cost(work.seconds * spec.compute_scale);
}

struct Replay {
    std::shared_ptr<const ReplayedTrace> trace;
    const TraceProgram& traced() const { return trace->traced; }
    ProgramCosts costs;
    WorkCount count;
};

Replay prepare(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative,
               CostCache& cache, const RankFabric& fabric) {
    const ReplaySpec& spec = *experiment.spec.workload.replay;
    Replay replay;
    replay.trace = experiment.trace;
    const int ranks = replay.traced().ranks;
    for (const PlacedJob& job : replay.trace->jobs) {
        if (job.last_rank() < alternative.ranks) continue;
        throw InputError({at_key(
            experiment.spec.workload, "jobs",
            fmt::format("the last of {}'s {} ranks is rank {} of the pool, {} has {}", job.name,
                        job.ranks, job.last_rank(), alternative.name, alternative.ranks),
            "more chips, or another first_rank or stride")});
    }
    if (ranks > alternative.ranks) {
        const long chips = (ranks + alternative.chip.ranks - 1) / alternative.chip.ranks;
        throw InputError({at_key(alternative.pool, "chips",
                                 fmt::format("{} ranks replay on {} of {} chips", ranks,
                                             alternative.ranks, alternative.packages),
                                 fmt::format("chips: {} would do", chips))});
    }
    const bool jobs = !replay.trace->jobs.empty();
    const Program& program = replay.traced().program;
    try {
        // What stands for ranks that all do alike moves between all of them, else what the trace
        // says moves, and nothing beside it.
        if (!replay.traced().groups.empty()) {
            cost_transfers(replay.traced(), fabric, alternative.collectives, replay.costs);
        } else {
            for (const auto& transfer : program.transfers)
                replay.costs.coflows.push_back(
                    make_coflow(transfer, fabric, alternative.collectives, alternative.ranks));
        }
    } catch (const std::invalid_argument& error) {
        if (jobs) throw InputError({at_key(experiment.spec.workload, "jobs", error.what())});
        throw InputError({at_key(alternative.pool, "chips", error.what())});
    }
    std::vector<OutsideFit> outside;
    for (const Coflow& coflow : replay.costs.coflows)
        outside.insert(outside.end(), coflow.outside.begin(), coflow.outside.end());
    replay.costs.warnings = fit_warnings(alternative.collectives.name, outside);
    std::vector<OperatorCost> operators;
    try {
        for (const TracedWork& work : replay.traced().work)
            operators.push_back(cost_of(work, spec, cache, replay.count));
    } catch (const std::invalid_argument& error) {
        throw InputError({at_key(alternative.pool, "kernels", error.what())});
    }
    replay.costs.operators.assign(program.streams.size(), operators);
    replay.costs.pipelines.assign(program.streams.size(), {});
    return replay;
}

// FLOP of every execution on every rank.
double flops_of(const TraceProgram& traced) {
    double sum = 0;
    for (const Task& task : traced.program.tasks) {
        if (task.kind != TaskKind::compute) continue;
        sum += at(traced.program.classes, task.rank_class).count * at(traced.work, task.body).flops;
    }
    return sum;
}

using Interval = std::pair<Picoseconds, Picoseconds>;

// Sorted and joined, in place.
void join(std::vector<Interval>& list) {
    std::sort(list.begin(), list.end());
    std::size_t kept = 0;
    for (const Interval& one : list) {
        if (kept > 0 && one.first <= list[kept - 1].second) {
            list[kept - 1].second = std::max(list[kept - 1].second, one.second);
        } else {
            list[kept++] = one;
        }
    }
    list.resize(kept);
}

Picoseconds length(const std::vector<Interval>& list) {
    Picoseconds sum = 0;
    for (const Interval& one : list) sum += one.second - one.first;
    return sum;
}

Picoseconds overlap(const std::vector<Interval>& a, const std::vector<Interval>& b) {
    Picoseconds sum = 0;
    for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
        sum += std::max<Picoseconds>(
            0, std::min(a[i].second, b[j].second) - std::max(a[i].first, b[j].first));
        a[i].second < b[j].second ? ++i : ++j;
    }
    return sum;
}

void add_warnings(AlternativeResult& result, const ResolvedExperiment& experiment,
                  const ResolvedAlternative& alternative, const Replay& replay) {
    std::vector<std::string> first = alternative.warnings;
    const auto& of_trace = experiment.trace->warnings;
    first.insert(first.end(), of_trace.begin(), of_trace.end());
    first.insert(first.end(), replay.traced().warnings.begin(), replay.traced().warnings.end());
    const ReplaySpec& spec = *experiment.spec.workload.replay;
    if (replay.count.nothing > 0)
        first.push_back(
            fmt::format("{} kinds of compute nodes have neither time nor work: they take none",
                        replay.count.nothing));
    if (spec.compute == ReplayCompute::recorded && replay.count.by_chip > 0)
        first.push_back(
            fmt::format("{} kinds of compute nodes have no recorded time: they take the chip's",
                        replay.count.by_chip));
    if (spec.compute == ReplayCompute::chip && replay.count.recorded > 0)
        first.push_back(
            fmt::format("{} kinds of compute nodes do not say their work: they take their recorded "
                        "time",
                        replay.count.recorded));
    double working = 0;
    for (const RankClass& one : replay.traced().program.classes) working += one.count;
    if (!replay.trace->jobs.empty() && working < alternative.ranks)
        first.push_back(fmt::format("{} of {} ranks have no job", alternative.ranks - working,
                                    alternative.ranks));
    if (replay.trace->jobs.empty() && replay.traced().ranks < alternative.ranks)
        first.push_back(
            fmt::format("{} of {} ranks have nothing to do: the trace is of ranks 0 to "
                        "{}, and what names no group is of all of those",
                        alternative.ranks - replay.traced().ranks, alternative.ranks,
                        replay.traced().ranks - 1));
    result.warnings.insert(result.warnings.begin(), first.begin(), first.end());
}

// Beside the experiment, else from the working directory.
std::string trace_path(const WorkloadSpec& workload, const std::string& key,
                       const std::string& name) {
    const fs::path beside = fs::path(workload.places.of(key).file).parent_path() / name;
    std::error_code none;
    if (fs::path(name).is_relative() && fs::exists(beside, none)) return beside.string();
    if (fs::exists(name, none)) return name;
    throw InputError({at_key(workload, key, "there is no file or folder " + name,
                             "a path from this file's folder, or from the working directory")});
}

nlohmann::ordered_json document_of(const TraceSummary& summary, const TraceProgram& program) {
    const double folded = static_cast<double>(program.ranks) / static_cast<double>(summary.ranks);
    nlohmann::ordered_json json{
        {"format", name_of(summary.format)},
        {"ranks", program.ranks},
        {"nodes", std::llround(static_cast<double>(summary.nodes) * folded)},
        {"dependencies", summary.edges}};
    json["classes"] = nlohmann::ordered_json::array();
    std::vector<long> tasks(program.program.classes.size(), 0);
    for (const Task& task : program.program.tasks) ++at(tasks, task.rank_class);
    for (std::size_t c = 0; c < tasks.size(); ++c)
        json["classes"].push_back({{"name", program.program.classes[c].name},
                                   {"ranks", program.program.classes[c].count},
                                   {"tasks", tasks[c]}});
    double flops = 0;
    for (const TraceKindSum& kind : summary.kinds)
        if (kind.kind != "compute, host") flops += kind.flops * folded;
    json["flops"] = flops;
    auto list = nlohmann::ordered_json::array();
    for (const TransferInstance& instance : program.program.instances) {
        const Transfer& transfer = at(program.program.transfers, instance.transfer);
        double ranks = 0;
        for (const int task : instance.tasks)
            ranks += at(program.program.classes, at(program.program.tasks, task).rank_class).count;
        // `sent`: the mean over the members; of a message what its sender sends.
        double sent = transfer.size.value();
        if (!transfer.shares.empty() && transfer.type != TransferType::send_recv) {
            sent = 0;
            for (const TransferShare& share : transfer.shares)
                sent += share.ranks * share.send.value() / transfer.group_ranks;
        }
        const nlohmann::ordered_json key{
            {"type", to_string(transfer.type)}, {"ranks", transfer.group_ranks}, {"sent", sent}};
        const auto same = std::find_if(list.begin(), list.end(), [&](const auto& one) {
            return one["type"] == key["type"] && one["ranks"] == key["ranks"] &&
                   one["sent"] == key["sent"];
        });
        const double times = ranks / transfer.group_ranks;
        if (same != list.end()) {
            (*same)["times"] = (*same)["times"].template get<double>() + times;
        } else {
            list.push_back(key);
            list.back()["times"] = times;
        }
    }
    json["transfers"] = list;
    return json;
}

// The document of what is replayed, in the result; one that a result carries has to be of the same.
void keep_document(const WorkloadSpec& workload, const std::string& key, const std::string& name,
                   const Node& document, const std::string& path, Catalog& catalog) {
    const auto load = [&] {
        return catalog.load("trace", name, workload.places.of(key), "workload." + key);
    };
    if (!catalog.holds("trace", name)) {
        catalog.embed("trace", name, document);
        (void)load();
        return;
    }
    const Node carried = load();
    for (const char* part : {"format", "nodes", "dependencies"}) {
        const Node *one = carried.find(part), *other = document.find(part);
        if (one != nullptr && one->text == other->text) continue;
        throw InputError({at_key(workload, key,
                                 fmt::format("{} is another trace than the result's: {} of it "
                                             "differ",
                                             path, part),
                                 "run the experiment anew, or put the trace back")});
    }
}

// Where each job sits. No two may have a rank in common.
std::vector<PlacedJob> place_jobs(const WorkloadSpec& workload,
                                  const std::vector<TraceProgram>& programs) {
    std::vector<PlacedJob> placed;
    std::map<int, std::string> taken;
    int next = 0;
    for (std::size_t j = 0; j < programs.size(); ++j) {
        const ReplayJobSpec& spec = workload.replay->jobs[j];
        PlacedJob job;
        job.name = spec.name;
        job.ranks = programs[j].ranks;
        job.first_rank = spec.first_rank >= 0 ? spec.first_rank : next;
        job.stride = spec.stride;
        job.start = spec.start;
        const double last = job.first_rank + static_cast<double>(job.ranks - 1) * job.stride;
        if (last > kMostRank)
            throw InputError({at_key(workload, "jobs",
                                     fmt::format("{} ends at rank {:.0f} of the pool, beyond {}",
                                                 job.name, last, kMostRank),
                                     "a smaller first_rank or stride")});
        for (int i = 0; i < job.ranks; ++i) {
            const int rank = job.first_rank + i * job.stride;
            const auto [other, free] = taken.emplace(rank, job.name);
            if (free) continue;
            throw InputError({at_key(workload, "jobs",
                                     fmt::format("{} and {} both have rank {} of the pool",
                                                 other->second, job.name, rank),
                                     "first_rank and stride say where a job sits")});
        }
        next = job.last_rank() + 1;
        placed.push_back(job);
    }
    return placed;
}

ReplayedTrace read_jobs(const WorkloadSpec& workload, Catalog& catalog) {
    ReplayedTrace replayed;
    std::vector<TraceProgram> programs;
    for (const ReplayJobSpec& job : workload.replay->jobs) {
        const std::string path = trace_path(workload, "jobs", job.trace);
        const ExecutionTrace trace = read_trace({path});
        TraceProgram program =
            program_of_trace(trace, job.ranks, workload.replay->host_scale, true);
        for (const std::string& warning : trace.warnings)
            replayed.warnings.push_back(job.name + ": " + warning);
        programs.push_back(named_job(std::move(program), job.name, job.start));
        keep_document(workload, "jobs", job.name,
                      from_json(document_of(summarise(trace), programs.back()), path), path,
                      catalog);
    }
    replayed.jobs = place_jobs(workload, programs);
    replayed.traced = join_jobs(programs, replayed.jobs);
    return replayed;
}

// Of each job its time among the others and by itself. No order of all is slower than job after
// job, each serially.
void add_jobs(AlternativeResult& result, const Replay& replay, const AssemblyInput& together,
              const RunOptions& options) {
    if (!replay.trace->jobs.empty()) result.bounds.serial = 0;
    for (const PlacedJob& job : replay.trace->jobs) {
        const LoneJob lone = alone(replay.traced().program, replay.costs, job);
        RunRecord own;
        const auto& tasks = together.record.tasks;
        own.tasks = {tasks.begin() + static_cast<std::ptrdiff_t>(job.tasks.begin),
                     tasks.begin() + static_cast<std::ptrdiff_t>(job.tasks.end)};
        Picoseconds end = 0;
        for (const TaskRecord& task : own.tasks) end = std::max(end, task.end);
        const RunRecord by_itself =
            run_program(lone.program, lone.costs, together.hardware, options.driver);
        result.bounds.serial +=
            bounds_of({lone.program, lone.costs, by_itself, together.hardware, together.fabric,
                       together.total_ranks, together.evidence})
                .serial;
        const ReplayTimes times = replay_times(lone.program, own);
        result.jobs.push_back({job.name, job.ranks, job.first_rank, job.stride, job.start.value(),
                               (to_seconds(end) - job.start).value(),
                               (to_seconds(by_itself.end) - job.start).value(), times.communication,
                               times.waiting});
    }
}

}  // namespace

void load_trace(ResolvedExperiment& experiment, Catalog& catalog) {
    const WorkloadSpec& workload = experiment.spec.workload;
    const ReplaySpec& spec = *workload.replay;
    if (!spec.jobs.empty()) {
        experiment.trace = std::make_shared<const ReplayedTrace>(read_jobs(workload, catalog));
        return;
    }
    const std::string path = trace_path(workload, "trace", spec.trace);
    TraceSummary summary;
    {
        ReplayedTrace replayed;
        const ExecutionTrace trace = read_trace({path});
        summary = summarise(trace);
        replayed.traced = program_of_trace(trace, spec.ranks, spec.host_scale);
        replayed.warnings = trace.warnings;
        experiment.trace = std::make_shared<const ReplayedTrace>(std::move(replayed));
    }
    keep_document(workload, "trace", spec.trace,
                  from_json(document_of(summary, experiment.trace->traced), path), path, catalog);
}

ReplayTimes replay_times(const Program& program, const RunRecord& record) {
    std::vector<std::vector<Interval>> transfers(program.classes.size()), compute = transfers,
                                                                          waiting = transfers;
    for (std::size_t i = 0; i < program.tasks.size(); ++i) {
        const Task& task = program.tasks[i];
        const TaskRecord& r = record.tasks[i];
        if (task.kind == TaskKind::transfer) {
            at(transfers, task.rank_class).emplace_back(r.start, r.end);
            at(waiting, task.rank_class).emplace_back(r.ready, r.start);
        } else if (task.kind != TaskKind::host) {
            at(compute, task.rank_class).emplace_back(r.start, r.end);
        }
    }
    ReplayTimes times;
    double ranks = 0;
    for (std::size_t c = 0; c < program.classes.size(); ++c) {
        join(transfers[c]);
        join(compute[c]);
        const double count = program.classes[c].count;
        ranks += count;
        const Picoseconds all = length(transfers[c]);
        times.communication += count * to_seconds(all).value();
        times.exposed += count * to_seconds(all - overlap(transfers[c], compute[c])).value();
        // A receive that was asked for early holds nothing up while there is other work.
        std::vector<Interval> busy = transfers[c];
        busy.insert(busy.end(), compute[c].begin(), compute[c].end());
        join(busy);
        join(waiting[c]);
        times.waiting += count * to_seconds(length(waiting[c]) - overlap(waiting[c], busy)).value();
        times.compute += count * to_seconds(length(compute[c])).value();
    }
    times.communication /= ranks;
    times.exposed /= ranks;
    times.waiting /= ranks;
    times.compute /= ranks;
    return times;
}

AlternativeResult run_replay(const ResolvedExperiment& experiment,
                             const ResolvedAlternative& alternative, const RunOptions& options,
                             RunCounts& counts) {
    const RankHardware hardware = hardware_of(alternative);
    const RankFabric fabric = rank_fabric(alternative.system, alternative.chip.ranks);
    CostCache cache(hardware, alternative.kernels, fidelity_of(options, alternative.chip),
                    options.cache);
    const Replay replay = prepare(experiment, alternative, cache, fabric);
    const Program& program = replay.traced().program;
    const RunRecord record = run_program(program, replay.costs, hardware, options.driver);
    counts.add(record, cache);
    if (record.end == 0) {
        throw InputError(
            {at_key(experiment.spec.workload, replay.trace->jobs.empty() ? "trace" : "jobs",
                    "all its nodes together take no time",
                    "durations, operations or bytes of more than nothing")});
    }
    if (options.program) options.program({alternative.name, program, replay.costs, record});

    EngineEvidence evidence;
    evidence.host = Confidence::measured;
    const AssemblyInput input{program, replay.costs,      record,  hardware,
                              fabric,  alternative.ranks, evidence};
    AlternativeResult result = assemble(input, options.timeline);
    result.totals.flops = flops_of(replay.traced());
    if (replay.count.by_chip > 0) {
        for (const Task& task : program.tasks) {
            if (task.kind != TaskKind::compute) continue;
            const OperatorCost& cost = at(replay.costs.operators.front(), task.body);
            if (!(cost.matrix > Seconds(0.0))) continue;
            result.totals.matrix_flops += at(program.classes, task.rank_class).count *
                                          at(replay.traced().work, task.body).flops;
        }
    }
    add_warnings(result, experiment, alternative, replay);
    const Provenance provenance = provenance_of(input);
    const auto add = [&](const char* name, double value, const char* unit) {
        result.metrics.push_back({name, value, unit, {}, {}, provenance});
    };
    const ReplayTimes times = replay_times(program, record);
    add("step_time", result.iteration_seconds * 1e3, "ms");
    add("compute_time", times.compute * 1e3, "ms");
    add("communication_time", times.communication * 1e3, "ms");
    add("exposed_communication_time", times.exposed * 1e3, "ms");
    add("waiting_time", times.waiting * 1e3, "ms");
    add_jobs(result, replay, input, options);
    if (result.totals.flops > 0)
        add("achieved_flops",
            result.totals.flops / result.iteration_seconds / alternative.packages / 1e12, "TFLOPS");
    return result;
}

void check_replay(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative) {
    CostCache cache(hardware_of(alternative), alternative.kernels, Fidelity::tile, true);
    (void)prepare(experiment, alternative, cache,
                  rank_fabric(alternative.system, alternative.chip.ranks));
}

}  // namespace podsim
