#include "sim/single_run.hpp"

#include <fmt/format.h>

#include "base/at.hpp"
#include "sim/band.hpp"
#include "sim/collective_jobs.hpp"
#include "sim/cost_file.hpp"
#include "sim/cost_metrics.hpp"
#include "sim/energy_use.hpp"
#include "sim/expert_exchange.hpp"
#include "sim/packet_answer.hpp"
#include "sim/packet_knobs.hpp"
#include "sim/routed_collective.hpp"

namespace podsim {

namespace {

Program program_of(const WorkloadSpec& workload, const ResolvedAlternative& alternative) {
    if (workload.layer && alternative.pool.exchanges_layer()) {
        Program exchange = exchange_program(*workload.layer, alternative.pool.experts.exchange);
        if (alternative.engine) exchange.kernel_gap = alternative.engine->kernel_gap.value;
        return exchange;
    }
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
    if (is_routed(alternative.pool.experts)) {
        return routed_program(*workload.collective, workload.fused_work, alternative.pool.experts);
    }
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
    std::vector<PacketCollectiveRun> packets;  // of a collective at cycle: its
    bool by_packets() const { return !packets.empty() && packets.front().stays.empty(); }
};

SingleRun simulate(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative,
                   CostCache& cache, const RankFabric& fabric, const RunOptions& options) {
    SingleRun run;
    run.program = program_of(experiment.spec.workload, alternative);
    run.costs =
        cost_program(run.program, cache, fabric, alternative.collectives, alternative.ranks);
    if (experiment.spec.workload.collective && cache.fidelity() == Fidelity::cycle) {
        const PacketJob whole{run.program.transfers.front(), run.costs.coflows.front()};
        run.packets = packets_of({whole}, experiment, alternative, fabric, options.seed);
        take_wire(run.packets.front(), run.costs.coflows.front());
    }
    run.record = run_program(run.program, run.costs, cache.hardware(), options.driver);
    return run;
}

// Of the time of a layer with its exchange, the sum of each token's results at the end.
Seconds closing_of(const SingleRun& run) {
    if (!run.costs.fused.empty()) return run.costs.fused.front().parts.front().closing;
    const TaskRecord& last = run.record.tasks.back();
    return to_seconds(last.end - last.start);
}

// Rates by the counts of DeepGEMM's benchmark, and what crosses the links.
template <class Add>
void add_exchange_metrics(const MoeLayer& layer, const SingleRun& run,
                          const AlternativeResult& result, int packages, Add&& add) {
    const ExchangeBytes bytes = exchange_bytes(layer);
    const double time = result.iteration_seconds, ranks = static_cast<double>(layer.form.ranks),
                 span = time - closing_of(run).value();
    add("expert_bandwidth", bytes.experts.value() * ranks / span / packages / 1e9, "GB/s");
    add("logical_link_bandwidth", bytes.links.value() * ranks / span / packages / 1e9, "GB/s");
    add("link_bandwidth", result.totals.sent_bytes / time / packages / 1e9, "GB/s");
}

// How much longer the same kernels take on a chip that has been as busy for long: its controller
// holds them to the power cap (chips/sustained_clock.hpp).
Seconds held_back(const SingleRun& run) {
    Seconds longer{0.0};
    for (const Task& task : run.program.tasks) {
        if (task.kind != TaskKind::compute) continue;
        const OperatorCost& cost = at(at(run.costs.operators, task.stream), task.body);
        longer = longer + (cost.sustained - cost.time);
    }
    return longer;
}

// What a run says, but for what is odd about it.
AlternativeResult answer_of(const SingleRun& run, const ResolvedExperiment& experiment,
                            const ResolvedAlternative& alternative, const RankHardware& hardware,
                            const RankFabric& fabric, bool timeline) {
    EngineEvidence evidence;
    if (alternative.engine) evidence.gap = alternative.engine->kernel_gap.confidence;
    const AssemblyInput input{run.program, run.costs,         run.record, hardware,
                              fabric,      alternative.ranks, evidence};
    AlternativeResult result = assemble(input, timeline);
    const auto& workload = experiment.spec.workload;
    const Provenance provenance = provenance_of(input);
    const auto add = [&](const char* name, double value, const char* unit) {
        result.metrics.push_back({name, value, unit, {}, {}, provenance});
    };
    const auto add_power = [&](AlternativeResult& to) {
        const EnergyBand band = add_energy(to, input, alternative, false);
        add_power_metrics(to, band, experiment, alternative, 0);
    };
    const double time = result.iteration_seconds;
    if (!workload.kernels.empty()) {
        add("operator_time", time * 1e6, "us");
        add("achieved_flops", result.totals.flops / time / alternative.packages / 1e12, "TFLOPS");
        add("achieved_bandwidth", result.totals.hbm_bytes / time / alternative.packages / 1e9,
            "GB/s");
        if (const double longer = held_back(run).value(); longer > 1e-3 * time) {
            add("operator_time_sustained", (time + longer) * 1e6, "us");
            add("sustained_flops",
                result.totals.flops / (time + longer) / alternative.packages / 1e12, "TFLOPS");
        }
        if (workload.layer && alternative.pool.exchanges_layer())
            add_exchange_metrics(*workload.layer, run, result, alternative.packages, add);
        // Vector work has no matrix format: a plain BF16 peak stands beside it.
        DType format = DType::bf16;
        for (const Operator& each : workload.kernels) {
            if (!std::holds_alternative<VectorWork>(each.body))
                format = compute_dtype_of(each.body);
        }
        add_power(result);
        add_cost_metrics(result, experiment.prices, alternative, {format});
        return result;
    }
    const Transfer& transfer = *workload.collective;
    const double algorithm = transfer.size.value() / time;
    add("collective_time", time * 1e6, "us");
    add("algorithm_bandwidth", algorithm / 1e9, "GB/s");
    add("bus_bandwidth", algorithm * bus_factor(transfer.type, transfer.group_ranks) / 1e9, "GB/s");
    if (run.by_packets()) {
        const PacketCollectiveRun& packets = run.packets.front();
        add("packet_time", packets.time.value() * 1e6, "us");
        add("packet_over_coflow", packets.time / packets.coflow, "ratio");
        add_packets_met(packets, add);
    }
    add_power(result);
    return result;
}

}  // namespace

AlternativeResult run_single(const ResolvedExperiment& experiment,
                             const ResolvedAlternative& alternative, const RunOptions& options,
                             RunCounts& counts) {
    if (!experiment.spec.workload.collectives.empty())
        return run_collectives(experiment, alternative, options, counts);
    const RankHardware hardware = hardware_of(alternative);
    const RankFabric fabric = rank_fabric(alternative.system, alternative.chip.ranks);
    const Fidelity fidelity = fidelity_of(options, alternative.chip);
    CostCache cache(hardware, alternative.kernels, fidelity, options.cache);
    const CostFile file(options.cache_folder, cache);
    const SingleRun run = simulate(experiment, alternative, cache, fabric, options);
    counts.add(run.record, cache);
    file.keep(cache);
    if (options.program) options.program({alternative.name, run.program, run.costs, run.record});

    const auto answer = [&](const SingleRun& one, bool timeline) {
        return answer_of(one, experiment, alternative, hardware, fabric, timeline);
    };
    AlternativeResult result = answer(run, options.timeline);
    std::vector<std::string> warnings = alternative.warnings;
    if (experiment.spec.workload.collective)
        if (const auto why = packets_warning(run.packets, experiment, alternative); !why.empty())
            warnings.push_back(why);
    const bool kernels = !experiment.spec.workload.kernels.empty();
    if (const auto band = error_band(alternative.chip, alternative.kernels);
        band && !run.program.operators.empty()) {
        const auto with = [&](double factor) {
            SingleRun other{run.program, scaled(run.costs, factor, hardware), {}, run.packets};
            other.record = run_program(other.program, other.costs, hardware, Driver::plain);
            return answer(other, false);
        };
        add_bands(result, with(1 - band->share), with(1 + band->share));
        warnings.push_back(band_warning(alternative.chip, *band));
    }
    result.warnings.insert(result.warnings.begin(), warnings.begin(), warnings.end());
    if (options.neighbour && ((kernels && alternative.chip.cores) || run.by_packets())) {
        const Fidelity other = neighbour_of(fidelity);
        CostCache neighbour(hardware, alternative.kernels, other, true);
        RunOptions plain = options;
        plain.driver = Driver::plain;
        result.neighbour = to_string(other);
        result.neighbour_gap =
            to_seconds(simulate(experiment, alternative, neighbour, fabric, plain).record.end)
                    .value() /
                result.iteration_seconds -
            1.0;
    }
    return result;
}

namespace {

// The ranks that share a layer's experts are all of the alternative's.
void require_group(const WorkloadSpec& workload, const ResolvedAlternative& alternative) {
    if (!workload.layer || !alternative.pool.exchanges_layer()) return;
    const MoeForm& form = workload.layer->form;
    if (form.ranks != alternative.ranks) {
        throw InputError({at_key(
            alternative.pool, "chips",
            fmt::format("make {} ranks, and {} share the experts", alternative.ranks, form.ranks),
            "as many, where tokens are exchanged")});
    }
    if (form.ranks < 2)
        throw InputError({at_key(workload, "operator.ranks", "one rank exchanges nothing",
                                 "2 ranks or more, or no experts.exchange")});
    if (form.tokens % form.ranks != 0) {
        throw InputError({at_key(
            workload, "operator.tokens",
            fmt::format("{} tokens do not divide over {} ranks", form.tokens, form.ranks))});
    }
}

}  // namespace

void check_single(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative) {
    CostCache cache(hardware_of(alternative), alternative.kernels,
                    finest_fidelity(alternative.chip), true);
    require_group(experiment.spec.workload, alternative);
    std::vector<Diagnostic> problems;
    check_packets(experiment.spec.workload, alternative.pool, problems);
    if (!experiment.spec.workload.collectives.empty()) {
        check_collectives(experiment, alternative, problems);
        if (!problems.empty()) throw InputError(std::move(problems));
        return;
    }
    const Program program = program_of(experiment.spec.workload, alternative);
    const CostProblems costs =
        cost_problems(program, cache, rank_fabric(alternative.system, alternative.chip.ranks),
                      alternative.collectives, alternative.ranks);
    // A library that the user did not name is nothing to point at: the operator is.
    const bool named = alternative.pool.places.has("kernels");
    const std::string hint = fmt::format(
        "other dtypes of the operator, larger buffers, or at tile another library than {} of {}",
        alternative.kernels.name, named ? "this alternative" : "chip " + alternative.chip.name);
    for (const auto& what : costs.operators) {
        if (alternative.pool.tiling) {
            problems.push_back(at_key(alternative.pool, "tiling", what));
        } else if (named) {
            problems.push_back(at_key(alternative.pool, "kernels", what, hint));
        } else {
            problems.push_back(at_key(experiment.spec.workload, "operator", what, hint));
        }
    }
    for (const auto& what : costs.transfers)
        problems.push_back(at_key(alternative.pool, "chips", what));
    if (!problems.empty()) throw InputError(std::move(problems));
}

}  // namespace podsim
