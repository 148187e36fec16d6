#include "sim/single_run.hpp"

#include "sim/cost_file.hpp"
#include "sim/cost_metrics.hpp"

namespace podsim {

namespace {

Program program_of(const WorkloadSpec& workload, const ResolvedAlternative& alternative) {
    Program program;
    program.streams = {{"stream", 1.0}};
    Task task;
    if (!workload.kernels.empty()) {
        program.classes = {{"ranks", alternative.ranks}};
        task.kind = TaskKind::compute;
        for (const Operator& each : workload.kernels) {
            task.body = intern(program, each);
            program.tasks.push_back(task);
            task.after = {static_cast<int>(program.tasks.size()) - 1};
        }
        return program;
    }
    program.classes = {{"ranks", workload.collective->group_ranks}};
    program.transfers = {*workload.collective};
    const bool first = workload.collective->type != TransferType::dispatch;
    program.instances = {{0, {workload.fused_work && !first ? 1 : 0}}};
    task.kind = TaskKind::transfer;
    program.tasks = {task};
    if (!workload.fused_work) return program;
    Task work;
    work.kind = TaskKind::compute;
    work.body = intern(program, *workload.fused_work);
    // A dispatch quantises before it sends; a combine sums what it received.
    program.tasks.insert(first ? program.tasks.end() : program.tasks.begin(), work);
    program.tasks.back().after = {0};
    return program;
}

struct SingleRun {
    Program program;
    ProgramCosts costs;
    RunRecord record;
};

SingleRun run_single(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative,
                     CostCache& cache, const RankFabric& fabric, Driver driver) {
    SingleRun run;
    run.program = program_of(experiment.spec.workload, alternative);
    run.costs =
        cost_program(run.program, cache, fabric, alternative.collectives, alternative.ranks);
    run.record = run_program(run.program, run.costs, cache.hardware(), driver);
    return run;
}

AlternativeResult run_one(const ResolvedExperiment& experiment,
                          const ResolvedAlternative& alternative, const RunOptions& options,
                          RunCounts& counts) {
    const RankHardware hardware = hardware_of(alternative);
    const RankFabric fabric = rank_fabric(alternative.system, alternative.chip.ranks);
    CostCache cache(hardware, alternative.kernels, options.fidelity, options.cache);
    const CostFile file(options.cache_folder, cache);
    const SingleRun run = run_single(experiment, alternative, cache, fabric, options.driver);
    counts.add(run.record, cache);
    file.keep(cache);
    if (options.program) options.program({alternative.name, run.program, run.costs, run.record});

    const AssemblyInput input{run.program, run.costs,         run.record, hardware,
                              fabric,      alternative.ranks, {}};
    AlternativeResult result = assemble(input, options.timeline);
    result.warnings.insert(result.warnings.begin(), alternative.warnings.begin(),
                           alternative.warnings.end());
    const auto& workload = experiment.spec.workload;
    const Provenance provenance = provenance_of(input);
    const auto add = [&](const char* name, double value, const char* unit) {
        result.metrics.push_back({name, value, unit, {}, {}, provenance});
    };
    const double time = result.iteration_seconds;
    if (!workload.kernels.empty()) {
        add("operator_time", time * 1e6, "us");
        add("achieved_flops", result.totals.flops / time / alternative.packages / 1e12, "TFLOPS");
        add("achieved_bandwidth", result.totals.hbm_bytes / time / alternative.packages / 1e9,
            "GB/s");
        if (options.neighbour) {
            const Fidelity other = neighbour_of(options.fidelity);
            CostCache neighbour(hardware, alternative.kernels, other, true);
            result.neighbour = to_string(other);
            result.neighbour_gap =
                to_seconds(run_single(experiment, alternative, neighbour, fabric, Driver::plain)
                               .record.end)
                        .value() /
                    time -
                1.0;
        }
    } else {
        const Transfer& transfer = *workload.collective;
        const double algorithm = transfer.size.value() / time;
        add("collective_time", time * 1e6, "us");
        add("algorithm_bandwidth", algorithm / 1e9, "GB/s");
        add("bus_bandwidth", algorithm * bus_factor(transfer.type, transfer.group_ranks) / 1e9,
            "GB/s");
    }
    return result;
}

}  // namespace

AlternativeResult run_operator(const ResolvedExperiment& experiment,
                               const ResolvedAlternative& alternative, const RunOptions& options,
                               RunCounts& counts) {
    AlternativeResult result = run_one(experiment, alternative, options, counts);
    // Vector work has no matrix format: a plain BF16 peak stands beside it.
    DType format = DType::bf16;
    for (const Operator& each : experiment.spec.workload.kernels) {
        if (!std::holds_alternative<VectorWork>(each.body)) format = compute_dtype_of(each.body);
    }
    add_cost_metrics(result, experiment.prices, alternative, {format});
    return result;
}

AlternativeResult run_collective(const ResolvedExperiment& experiment,
                                 const ResolvedAlternative& alternative, const RunOptions& options,
                                 RunCounts& counts) {
    return run_one(experiment, alternative, options, counts);
}

void check_single(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative) {
    CostCache cache(hardware_of(alternative), alternative.kernels, Fidelity::tile, true);
    const Program program = program_of(experiment.spec.workload, alternative);
    const CostProblems costs =
        cost_problems(program, cache, rank_fabric(alternative.system, alternative.chip.ranks),
                      alternative.collectives, alternative.ranks);
    std::vector<Diagnostic> problems;
    for (const auto& what : costs.operators)
        problems.push_back(at_key(alternative.pool, "kernels", what));
    for (const auto& what : costs.transfers)
        problems.push_back(at_key(alternative.pool, "chips", what));
    if (!problems.empty()) throw InputError(std::move(problems));
}

}  // namespace podsim
