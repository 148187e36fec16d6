#include "sim/step_run.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "models/sizes.hpp"
#include "sim/band.hpp"
#include "sim/cost_file.hpp"
#include "sim/cost_metrics.hpp"
#include "sim/energy_use.hpp"
#include "sim/expert_host.hpp"
#include "sim/metrics.hpp"
#include "sim/step_case.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {

namespace {

// From the first start in the stack of equal layers to the last end, by layer and pass.
double layer_seconds(const StepRun& run) {
    Picoseconds begin = run.record.end, end = 0;
    for (std::size_t i = 0; i < run.step.program.tasks.size(); ++i) {
        const int layer = run.step.program.tasks[i].layer;
        if (layer < run.step.stack_begin_layer || layer >= run.step.stack_end_layer) continue;
        begin = std::min(begin, run.record.tasks[i].start);
        end = std::max(end, run.record.tasks[i].end);
    }
    return to_seconds(end - begin).value() / run.step.passes /
           (run.step.stack_end_layer - run.step.stack_begin_layer);
}

// Mean over the ranks of all classes.
double mean_use(const AlternativeResult& result, const Program& program, const char* resource) {
    double sum = 0, ranks = 0;
    for (const auto& use : result.resources) {
        if (use.resource != resource) continue;
        for (const auto& rank_class : program.classes) {
            if (rank_class.name != use.rank_class) continue;
            sum += use.mean * rank_class.count;
            ranks += rank_class.count;
        }
    }
    return ranks > 0 ? sum / ranks : 0;
}

double vector_use(const StepRun& run) {
    double sum = 0, ranks = 0;
    for (const auto& task : run.step.program.tasks) {
        if (task.kind != TaskKind::compute && task.kind != TaskKind::pipeline) continue;
        const auto& costs =
            task.kind == TaskKind::compute ? run.costs.operators : run.costs.pipelines;
        const auto& cost =
            costs[static_cast<std::size_t>(task.stream)][static_cast<std::size_t>(task.body)];
        sum += cost.vector.value() *
               run.step.program.classes[static_cast<std::size_t>(task.rank_class)].count;
    }
    for (const auto& rank_class : run.step.program.classes) ranks += rank_class.count;
    return sum / ranks / run.iteration().value();
}

double host_use(const StepRun& run) {
    double busy = 0;
    for (std::size_t i = 0; i < run.step.program.tasks.size(); ++i) {
        const Task& task = run.step.program.tasks[i];
        if (task.kind == TaskKind::host && task.rank_class == 0 && task.name != kPrefixFetch)
            busy += to_seconds(run.record.tasks[i].end - run.record.tasks[i].start).value();
    }
    return busy / run.iteration().value();
}

void add_metrics(AlternativeResult& result, const StepRun& run,
                 const ResolvedExperiment& experiment, const ResolvedAlternative& alternative,
                 double batch_per_chip) {
    const Provenance provenance =
        result.metrics.empty() ? Provenance{} : result.metrics.front().rests_on;
    const auto add = [&](const char* name, double value, const char* unit) {
        result.metrics.push_back({name, value, unit, {}, {}, provenance});
    };
    const Seconds iteration(result.iteration_seconds);
    const double sequences = result.totals.sequences;
    const WorkloadSpec& workload = experiment.spec.workload;
    add("batch_per_chip", batch_per_chip, "sequences");
    if (run.step.expert_imbalance) add("expert_imbalance", *run.step.expert_imbalance, "ratio");
    if (const auto& offloaded = run.step.offloaded) {
        add("experts_resident", offloaded->resident, "share");
        add("experts_found", offloaded->found, "share");
        add("expert_bytes_fetched_per_rank", offloaded->fetched.value() / 1e9, "GB");
    }
    if (workload.kind == WorkloadKind::prefill) {
        const double per_chip = sequences / alternative.packages;
        add("prefill_tokens_per_second_per_chip",
            per_chip * workload.computed().value() / iteration.value(), "tok/s");
        if (workload.cached > Tokens(0.0)) {
            add("prefill_tokens_per_second_per_chip_with_cached",
                per_chip * workload.context.value() / iteration.value(), "tok/s");
        }
        add("time_to_first_token", iteration.value() * 1e3, "ms");
    } else {
        const Seconds per_token = time_per_output_token(iteration, run.step.tokens_per_step);
        add("decode_tokens_per_second_per_chip",
            tokens_per_second(sequences / alternative.packages, per_token).value(), "tok/s");
        add("tokens_per_second_per_user", 1.0 / per_token.value(), "tok/s");
        add("time_per_output_token", per_token.value() * 1e3, "ms");
    }
    add("layer_time", layer_seconds(run) * 1e6, "us");
    add("achieved_flops", result.totals.flops / iteration.value() / alternative.packages / 1e12,
        "TFLOPS");
    add("achieved_bandwidth",
        result.totals.hbm_bytes / iteration.value() / alternative.packages / 1e9, "GB/s");
    add("utilization_matrix", mean_use(result, run.step.program, "matrix units"), "share");
    add("utilization_vector", vector_use(run), "share");
    const char* const memory = main_memory(alternative.chip).name;
    add("utilization_hbm", mean_use(result, run.step.program, memory), "share");
    add("utilization_scale_up",
        std::max(mean_use(result, run.step.program, "scale-up send"),
                 mean_use(result, run.step.program, "scale-up receive")),
        "share");
    add("utilization_scale_out",
        std::max(mean_use(result, run.step.program, "scale-out send"),
                 mean_use(result, run.step.program, "scale-out receive")),
        "share");
    add("utilization_host", host_use(run), "share");
    for (const auto& use : result.host_memory) add("host_memory_used", use.total / 1e9, "GB");
    double peak = 0;
    for (const auto& use : result.memory) peak = std::max(peak, use.total);
    add("memory_peak", peak / 1e9, "GB");
}

// Each rank of a tensor-parallel group takes whole tokens to the experts: more than there are,
// where they do not divide. "" where they do.
std::string rounded_tokens(const StepSpec& spec) {
    const long tensor = spec.mapping.tensor_parallel;
    if (tensor == 1 || spec.mapping.context_parallel() > 1 || !has_experts(spec.model) ||
        sees_group(spec))
        return "";
    for (const StepSpec::Pass& pass : spec.passes()) {
        const long tokens = spec.sequences_per_group * pass.query;
        const long counted = tokens_to_experts(spec, tokens) * tensor;
        if (counted == tokens) continue;
        return fmt::format(
            "{} tokens of a tensor-parallel group of {} go to the experts as {}: whole ones a rank "
            "(experts.exchange: gather does not round)",
            tokens, tensor, counted);
    }
    return "";
}

}  // namespace

std::vector<MemoryUse> memory_use(const ServingStep& step, const ResolvedAlternative& alternative) {
    const RankHardware hardware = hardware_of(alternative);
    std::vector<MemoryUse> uses;
    for (std::size_t c = 0; c < step.memory.size(); ++c) {
        MemoryUse use;
        use.rank_class = step.memory[c].rank_class;
        use.ranks = step.program.classes[c].count;
        for (const auto& [part, size] : step.memory[c].parts) {
            if (size > Bytes(0.0)) use.parts.push_back({part, size.value()});
        }
        use.total = step.memory[c].total().value();
        use.capacity = hardware.hbm_capacity.value();
        uses.push_back(std::move(use));
    }
    return uses;
}

void check_step(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative) {
    StepCase(experiment, alternative).check();
}

namespace {

// What a run says, but for what is odd about it.
AlternativeResult answer_of(const StepRun& run, const ResolvedExperiment& experiment,
                            const ResolvedAlternative& alternative, const StepCase& step_case,
                            long batch, bool timeline) {
    const EngineSpec& engine = *alternative.engine;
    const AssemblyInput input{
        run.step.program,
        run.costs,
        run.record,
        step_case.hardware(),
        step_case.fabric(),
        alternative.ranks,
        {engine.kernel_gap.confidence, engine.host_step.confidence, engine.rank_skew.confidence}};
    AlternativeResult result = assemble(input, timeline);
    result.memory = memory_use(run.step, alternative);
    if (const auto host = host_memory(alternative, step_case.spec(batch)))
        result.host_memory.push_back(*host);
    const double groups = alternative.pool.mapping.data_parallel;
    result.totals.sequences = groups * static_cast<double>(run.step.sequences_per_group);
    // A prefill takes in what it computes and yields the first token of each sequence.
    const WorkloadSpec& workload = experiment.spec.workload;
    const bool prefill = workload.kind == WorkloadKind::prefill;
    result.totals.tokens_in =
        result.totals.sequences *
        (prefill ? workload.computed().value() : 1 + workload.speculation.draft_tokens);
    result.totals.tokens_out = result.totals.sequences * run.step.tokens_per_step;
    result.metrics.push_back(
        {"iteration_time", result.iteration_seconds * 1e3, "ms", {}, {}, provenance_of(input)});
    add_metrics(result, run, experiment, alternative, step_case.per_chip(batch));
    const EnergyBand band = add_energy(result, input, alternative, true);
    add_power_metrics(result, band, experiment, alternative,
                      prefill ? result.totals.tokens_in : result.totals.tokens_out);
    const Precision& formats = alternative.pool.precision;
    add_cost_metrics(result, experiment.prices, alternative,
                     {formats.weights, formats.experts, formats.attention});
    return result;
}

}  // namespace

AlternativeResult run_serving_step(const ResolvedExperiment& experiment,
                                   const ResolvedAlternative& alternative,
                                   const RunOptions& options, RunCounts& counts) {
    const StepCase step_case(experiment, alternative);
    const Fidelity fidelity = fidelity_of(options, alternative.chip);
    CostCache cache(step_case.hardware(), alternative.kernels, fidelity, options.cache,
                    RankState::busy);
    const CostFile file(options.cache_folder, cache);

    std::vector<std::string> warnings = alternative.warnings;
    if (!experiment.model->engram.layers.empty()) {
        warnings.push_back(fmt::format(
            "{} of tables of conditional memory are read from {}: whether they fit there is not "
            "checked",
            to_string(engram_table_bytes(*experiment.model)),
            alternative.pool.mapping.engram_tables == TablePlace::host
                ? "each host's memory"
                : "memory that the hosts of a scale-up domain pool"));
    }
    const Bytes reserve = alternative.engine->memory_reserve.value;
    if (step_case.hardware().sram_only && reserve > Bytes(0.0)) {
        warnings.push_back(
            fmt::format("the runtime reserve of {} of engine {} is not taken from "
                        "the SRAM of {}",
                        to_string(reserve), alternative.engine->name, alternative.chip.name));
    }
    const auto& workload = experiment.spec.workload;
    const long made_for = experiment.model->max_context;
    if (made_for > 0 && workload.context > Tokens(static_cast<double>(made_for))) {
        warnings.push_back(
            fmt::format("a context of {:.0f} tokens is longer than the {} that {} was made for",
                        workload.context.value(), made_for, experiment.model->name));
    }
    const long batch = step_case.find_batch(cache, warnings);
    if (const std::string counted = rounded_tokens(step_case.spec(batch)); !counted.empty())
        warnings.push_back(counted);
    const StepRun run = step_case.run(batch, cache, options.driver);
    counts.add(run.record, cache);
    file.keep(cache);
    if (options.program)
        options.program({alternative.name, run.step.program, run.costs, run.record});
    const auto answer = [&](const StepRun& one, bool timeline) {
        return answer_of(one, experiment, alternative, step_case, batch, timeline);
    };
    AlternativeResult result = answer(run, options.timeline);
    if (const auto band = error_band(alternative.chip, alternative.kernels)) {
        const auto with = [&](double factor) {
            StepRun other{run.step, scaled(run.costs, factor, step_case.hardware()), {}};
            other.record =
                run_program(other.step.program, other.costs, step_case.hardware(), Driver::plain);
            return answer(other, false);
        };
        add_bands(result, with(1 - band->share), with(1 + band->share));
        warnings.push_back(band_warning(alternative.chip, *band));
    }
    result.warnings.insert(result.warnings.begin(), warnings.begin(), warnings.end());

    if (options.neighbour && alternative.chip.cores) {
        const Fidelity other = neighbour_of(fidelity);
        CostCache neighbour(step_case.hardware(), alternative.kernels, other, true,
                            RankState::busy);
        result.neighbour = to_string(other);
        result.neighbour_gap =
            step_case.run(batch, neighbour, Driver::plain).iteration() / run.iteration() - 1.0;
    }
    return result;
}

}  // namespace podsim
