#include "sim/decode_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "sim/cost_metrics.hpp"
#include "sim/metrics.hpp"

namespace podsim {

namespace {

DecodeSpec decode_spec(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative,
                       long sequences_per_rank) {
    DecodeSpec spec;
    spec.model = *experiment.model;
    spec.precision = alternative.pool.precision;
    spec.mapping = alternative.pool.mapping;
    spec.experts = alternative.pool.experts;
    spec.speculation = experiment.spec.workload.speculation;
    spec.engine = *alternative.engine;
    spec.sequences_per_rank = sequences_per_rank;
    spec.context = static_cast<long>(experiment.spec.workload.context.value());
    return spec;
}

DecodeStep build(const DecodeSpec& spec, const ResolvedAlternative& alternative) {
    try {
        return build_decode_step(spec);
    } catch (const std::invalid_argument& error) {
        const std::string text = error.what();
        const char* key =
            text.rfind("experts", 0) == 0 || text.find("redundant experts") != std::string::npos
                ? "experts"
                : "mapping";
        throw InputError({at_key(alternative.pool, key, text)});
    }
}

bool fits(const DecodeStep& step, const RankHardware& hardware) {
    return std::all_of(step.memory.begin(), step.memory.end(), [&](const MemoryNeed& need) {
        return need.total() <= hardware.hbm_capacity;
    });
}

// Largest batch a rank has memory for, 0 when not even one sequence fits.
long largest_batch_that_fits(const ResolvedExperiment& experiment,
                             const ResolvedAlternative& alternative, const RankHardware& hardware) {
    const auto works = [&](long batch) {
        return fits(build(decode_spec(experiment, alternative, batch), alternative), hardware);
    };
    const long least = std::max(1, alternative.pool.mapping.micro_batches);
    if (!works(least)) return 0;
    long low = least, high = least * 2;
    while (works(high) && high < (1L << 20)) {
        low = high;
        high *= 2;
    }
    while (high - low > 1) {
        const long middle = low + (high - low) / 2;
        (works(middle) ? low : high) = middle;
    }
    return low;
}

[[noreturn]] void refuse_memory(const ResolvedExperiment& experiment,
                                const ResolvedAlternative& alternative, const DecodeStep& step,
                                const RankHardware& hardware) {
    const MemoryNeed* worst = &step.memory.front();
    for (const auto& need : step.memory) {
        if (need.total() > worst->total()) worst = &need;
    }
    auto parts = worst->parts;
    std::stable_sort(parts.begin(), parts.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    std::string largest;
    for (std::size_t i = 0; i < parts.size() && i < 3; ++i) {
        largest +=
            fmt::format("{}{} {}", i == 0 ? "" : ", ", parts[i].first, to_string(parts[i].second));
    }
    const long batch = largest_batch_that_fits(experiment, alternative, hardware);
    std::string help =
        batch > 0 ? fmt::format("batch_per_chip at most {}", batch * alternative.chip.ranks)
                  : std::string(
                        "no batch fits: spread the weights over more ranks (tensor_parallel, "
                        "expert_parallel)");
    if (bytes_of(alternative.pool.precision.kv_cache) > 1.0) help += ", kv_cache in 8 bits";
    throw InputError({at_key(
        alternative.pool,
        alternative.pool.key_places.count("batch_per_chip") != 0 ? "batch_per_chip" : "chips",
        fmt::format("memory does not fit: a rank of {} ({}) needs {} of {}, {} too much ({})",
                    alternative.name, worst->rank_class, to_string(worst->total()),
                    to_string(hardware.hbm_capacity),
                    to_string(worst->total() - hardware.hbm_capacity), largest),
        help)});
}

// One run of a step at a fidelity.
struct StepRun {
    DecodeStep step;
    ProgramCosts costs;
    RunRecord record;
};

StepRun run_step(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative,
                 long batch, CostCache& cache, const RankFabric& fabric, Driver driver) {
    StepRun run;
    run.step = build(decode_spec(experiment, alternative, batch), alternative);
    try {
        run.costs = cost_program(run.step.program, cache, fabric, alternative.collectives,
                                 alternative.ranks);
    } catch (const std::invalid_argument& error) {
        throw InputError({at_key(alternative.pool, "precision", error.what())});
    }
    run.record = run_program(run.step.program, run.costs, cache.hardware(), driver);
    return run;
}

double iteration_of(const RunRecord& record) {
    return to_seconds(record.end).value();
}

long find_batch(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative,
                CostCache& cache, const RankFabric& fabric, std::vector<std::string>& warnings) {
    if (alternative.batch.per_rank) return *alternative.batch.per_rank;
    if (alternative.batch.per_chip) return *alternative.batch.per_chip / alternative.chip.ranks;
    const Seconds target = *alternative.batch.latency_target;
    const long most = largest_batch_that_fits(experiment, alternative, cache.hardware());
    const long least = std::max(1, alternative.pool.mapping.micro_batches);
    const double tokens = experiment.spec.workload.speculation.tokens_per_step();
    const auto latency = [&](long batch) {
        return time_per_output_token(
            Seconds(iteration_of(
                run_step(experiment, alternative, batch, cache, fabric, Driver::plain).record)),
            tokens);
    };
    if (most == 0)
        refuse_memory(experiment, alternative,
                      build(decode_spec(experiment, alternative, least), alternative),
                      cache.hardware());
    const Seconds floor = latency(least);
    if (floor > target) {
        throw InputError({at_key(
            alternative.pool, "latency_target",
            fmt::format("latency_target {}: {} needs {} for a token with only {} sequence{} a rank",
                        to_string(target), alternative.name, to_string(floor), least,
                        least == 1 ? "" : "s"),
            "raise the target, or shorten the step: fewer layers' weights a rank "
            "(tensor_parallel), faster memory")});
    }
    // Time grows with the batch but for steps of a tile; the search takes it as growing.
    long low = least, high = most + 1;
    while (high - low > 1) {
        const long middle = low + (high - low) / 2;
        (latency(middle) <= target ? low : high) = middle;
    }
    if (low == most)
        warnings.push_back(
            fmt::format("memory, not the latency target, limits the batch to {} a rank", most));
    return low;
}

// From the first start in the stack of equal layers to the last end, by layer.
double layer_seconds(const StepRun& run) {
    Picoseconds begin = run.record.end, end = 0;
    for (std::size_t i = 0; i < run.step.program.tasks.size(); ++i) {
        const int layer = run.step.program.tasks[i].layer;
        if (layer < run.step.stack_begin_layer || layer >= run.step.stack_end_layer) continue;
        begin = std::min(begin, run.record.tasks[i].start);
        end = std::max(end, run.record.tasks[i].end);
    }
    return to_seconds(end - begin).value() /
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
    return sum / ranks / iteration_of(run.record);
}

double host_use(const StepRun& run) {
    double busy = 0;
    for (std::size_t i = 0; i < run.step.program.tasks.size(); ++i) {
        const Task& task = run.step.program.tasks[i];
        if (task.kind == TaskKind::host && task.rank_class == 0)
            busy += to_seconds(run.record.tasks[i].end - run.record.tasks[i].start).value();
    }
    return busy / iteration_of(run.record);
}

void add_metrics(AlternativeResult& result, const StepRun& run,
                 const ResolvedAlternative& alternative, long batch) {
    const Provenance provenance =
        result.metrics.empty() ? Provenance{} : result.metrics.front().rests_on;
    const auto add = [&](const char* name, double value, const char* unit) {
        result.metrics.push_back({name, value, unit, {}, {}, provenance});
    };
    const Seconds iteration(result.iteration_seconds);
    const double sequences = result.totals.sequences;
    const Seconds per_token = time_per_output_token(iteration, run.step.tokens_per_step);
    add("batch_per_chip", static_cast<double>(batch * alternative.chip.ranks), "sequences");
    add("decode_tokens_per_second_per_chip",
        tokens_per_second(sequences / alternative.packages, per_token).value(), "tok/s");
    add("tokens_per_second_per_user", 1.0 / per_token.value(), "tok/s");
    add("time_per_output_token", per_token.value() * 1e3, "ms");
    add("layer_time", layer_seconds(run) * 1e6, "us");
    add("achieved_flops", result.totals.flops / iteration.value() / alternative.packages / 1e12,
        "TFLOPS");
    add("achieved_bandwidth",
        result.totals.hbm_bytes / iteration.value() / alternative.packages / 1e9, "GB/s");
    add("utilization_matrix", mean_use(result, run.step.program, "matrix units"), "share");
    add("utilization_vector", vector_use(run), "share");
    add("utilization_hbm", mean_use(result, run.step.program, "HBM"), "share");
    add("utilization_scale_up",
        std::max(mean_use(result, run.step.program, "scale-up send"),
                 mean_use(result, run.step.program, "scale-up receive")),
        "share");
    add("utilization_scale_out",
        std::max(mean_use(result, run.step.program, "scale-out send"),
                 mean_use(result, run.step.program, "scale-out receive")),
        "share");
    add("utilization_host", host_use(run), "share");
    double peak = 0;
    for (const auto& use : result.memory) peak = std::max(peak, use.total);
    add("memory_peak", peak / 1e9, "GB");
}

void warn_about_operators(AlternativeResult& result) {
    for (const auto& row : result.operators) {
        if (!row.warning.empty()) result.warnings.push_back(row.name + ": " + row.warning);
    }
}

}  // namespace

std::vector<MemoryUse> memory_use(const DecodeStep& step, const ResolvedAlternative& alternative) {
    const RankHardware hardware = rank_hardware(alternative.chip);
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

void check_decode(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative) {
    const RankHardware hardware = rank_hardware(alternative.chip);
    const long least = std::max(1, alternative.pool.mapping.micro_batches);
    const long batch = alternative.batch.per_rank ? *alternative.batch.per_rank
                       : alternative.batch.per_chip
                           ? *alternative.batch.per_chip / alternative.chip.ranks
                           : least;
    const DecodeStep step = build(decode_spec(experiment, alternative, batch), alternative);
    if (!fits(step, hardware)) refuse_memory(experiment, alternative, step, hardware);
}

AlternativeResult run_decode(const ResolvedExperiment& experiment,
                             const ResolvedAlternative& alternative, const RunOptions& options,
                             RunCounts& counts) {
    const RankHardware hardware = rank_hardware(alternative.chip);
    const RankFabric fabric = rank_fabric(alternative.system, alternative.chip.ranks);
    CostCache cache(hardware, alternative.kernels, options.fidelity, options.cache);

    AlternativeResult result;
    result.warnings = alternative.warnings;
    const long batch = find_batch(experiment, alternative, cache, fabric, result.warnings);
    {
        const DecodeStep step = build(decode_spec(experiment, alternative, batch), alternative);
        if (!fits(step, hardware)) refuse_memory(experiment, alternative, step, hardware);
    }
    const StepRun run = run_step(experiment, alternative, batch, cache, fabric, options.driver);
    counts.events += static_cast<long>(run.record.events);
    counts.cache_hits += cache.hits();
    counts.cache_misses += cache.misses();

    const EngineSpec& engine = *alternative.engine;
    const AssemblyInput input{
        run.step.program,
        run.costs,
        run.record,
        hardware,
        fabric,
        alternative.ranks,
        {engine.kernel_gap.confidence, engine.host_step.confidence, engine.rank_skew.confidence}};
    result.iteration_seconds = iteration_of(run.record);
    result.breakdown = breakdown_of(input);
    result.operators = operator_rows(input);
    result.resources = resource_use(input);
    result.memory = memory_use(run.step, alternative);
    result.bounds = bounds_of(input);
    result.totals = totals_of(input);
    const double groups = alternative.pool.mapping.data_parallel;
    result.totals.sequences = groups * static_cast<double>(run.step.sequences_per_group);
    result.totals.tokens_in =
        result.totals.sequences * (1 + experiment.spec.workload.speculation.draft_tokens);
    result.totals.tokens_out = result.totals.sequences * run.step.tokens_per_step;
    result.metrics.push_back(
        {"iteration_time", result.iteration_seconds * 1e3, "ms", {}, {}, provenance_of(input)});
    add_metrics(result, run, alternative, batch);
    const Precision& precision = alternative.pool.precision;
    add_cost_metrics(result, experiment.prices, alternative,
                     {precision.weights, precision.experts, precision.attention});
    warn_about_operators(result);
    if (options.timeline) result.timeline = timeline_of(input, 0);

    if (options.neighbour) {
        const Fidelity other =
            options.fidelity == Fidelity::tile ? Fidelity::analytic : Fidelity::tile;
        CostCache neighbour(hardware, alternative.kernels, other, true);
        result.neighbour = to_string(other);
        result.neighbour_gap =
            iteration_of(
                run_step(experiment, alternative, batch, neighbour, fabric, Driver::plain).record) /
                result.iteration_seconds -
            1.0;
    }
    return result;
}

}  // namespace podsim
