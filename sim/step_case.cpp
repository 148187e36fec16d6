#include "sim/step_case.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/expert_host.hpp"
#include "sim/metrics.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {

namespace {

// Beyond it a search for the largest batch ends: more than any rank has memory for.
constexpr long kMostSequences = 1L << 20;

// The largest `n` in [low, high) that `works`, where low does and high does not.
template <class Works>
long largest(long low, long high, const Works& works) {
    while (high - low > 1) {
        const long middle = low + (high - low) / 2;
        (works(middle) ? low : high) = middle;
    }
    return low;
}

const MemoryNeed& fullest(const std::vector<MemoryNeed>& needs) {
    return *std::max_element(needs.begin(), needs.end(),
                             [](const auto& a, const auto& b) { return a.total() < b.total(); });
}

// "KV cache 55 GB, routed experts 2 GB, ..."
std::string largest_parts(const MemoryNeed& need) {
    auto parts = need.parts;
    std::stable_sort(parts.begin(), parts.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    std::string text;
    for (std::size_t i = 0; i < parts.size() && i < 3; ++i) {
        text +=
            fmt::format("{}{} {}", i == 0 ? "" : ", ", parts[i].first, to_string(parts[i].second));
    }
    return text;
}

// What a rank needs, by what would make it less.
struct NeedByRemedy {
    Bytes weights{0.0}, cache{0.0}, work{0.0};  // work: activations and buffers of the exchange
};

NeedByRemedy by_remedy(const MemoryNeed& need) {
    NeedByRemedy sums;
    for (const auto& [part, size] : need.parts) {
        if (part == "runtime reserve") continue;
        const bool work = part == "activations" || part == "exchange buffers";
        (work ? sums.work : part == "KV cache" ? sums.cache : sums.weights) += size;
    }
    return sums;
}

}  // namespace

StepCase::StepCase(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative)
    : experiment_(experiment),
      alternative_(alternative),
      hardware_(hardware_of(alternative)),
      fabric_(rank_fabric(alternative.system, alternative.chip.ranks)) {}

StepSpec StepCase::spec(long batch) const {
    StepSpec spec;
    spec.model = *experiment_.model;
    spec.precision = alternative_.pool.precision;
    spec.mapping = alternative_.pool.mapping;
    spec.experts = alternative_.pool.experts;
    spec.speculation = experiment_.spec.workload.speculation;
    spec.engine = *alternative_.engine;
    // Runtimes of chips without HBM live in the host: SRAM is placed byte by byte when compiled.
    if (hardware_.sram_only) spec.engine.memory_reserve.value = Bytes(0.0);
    spec.sequences_per_group = batch;
    const WorkloadSpec& workload = experiment_.spec.workload;
    spec.context = static_cast<long>(workload.context.value());
    if (workload.kind == WorkloadKind::prefill) {
        spec.phase = Phase::prefill;
        spec.prompt = static_cast<long>(workload.computed().value());
        spec.chunk = static_cast<long>(workload.chunk.value());
        spec.images = experiment_.images;
    }
    ExpertOffload& offload = spec.experts.offload;
    if (offload.is_used() && !offload.resident) offload.resident = most_resident(spec);
    return spec;
}

// Of a rank's experts the largest share that finds room beside all else; 0 too where none does, or
// where the step does not work out.
double StepCase::most_resident(StepSpec spec) const {
    try {
        require_consistent(spec);
        const long slots = expert_layout(spec).slots_per_rank;
        const auto fits_with = [&](long staying) {
            spec.experts.offload.resident =
                static_cast<double>(staying) / static_cast<double>(slots);
            return fullest(step_memory(spec, expert_layout(spec))).total() <=
                   hardware_.hbm_capacity;
        };
        if (fits_with(slots)) return 1;
        const long most = fits_with(0) ? largest(0, slots, fits_with) : 0;
        return static_cast<double>(most) / static_cast<double>(slots);
    } catch (const StepError&) {
        return 0;
    }
}

ServingStep StepCase::build(long batch) const {
    try {
        return build_step(spec(batch));
    } catch (const StepError& error) {
        throw InputError({at_step(error)});
    }
}

// `context` and `speculation` stand in the workload, the rest in the pool.
Diagnostic StepCase::at_step(const StepError& error) const {
    const WorkloadSpec& workload = experiment_.spec.workload;
    const std::string first = error.key.substr(0, error.key.find('.'));
    return workload.places.has(first) ? at_key(workload, error.key, error.reason)
                                      : at_key(alternative_.pool, error.key, error.reason);
}

StepRun StepCase::run(long batch, CostCache& cache, Driver driver) const {
    StepRun run;
    run.step = build(batch);
    run.costs = cost_program(run.step.program, cache, fabric_, alternative_.collectives,
                             alternative_.ranks);
    run.record = run_program(run.step.program, run.costs, hardware_, driver);
    return run;
}

long StepCase::smallest() const {
    const MappingSpec& mapping = alternative_.pool.mapping;
    return std::max(mapping.micro_batches, mapping.pipeline_parallel);
}

const char* StepCase::group_name() const {
    return alternative_.pool.mapping.group_ranks() > 1 ? "data-parallel group" : "rank";
}

double StepCase::per_chip(long batch) const {
    return static_cast<double>(batch * alternative_.chip.ranks) /
           static_cast<double>(alternative_.pool.mapping.group_ranks());
}

std::optional<Bytes> StepCase::memory_of(long batch) const {
    try {
        const StepSpec step = spec(batch);
        require_consistent(step);
        return fullest(step_memory(step, expert_layout(step))).total();
    } catch (const StepError&) {
        return {};
    }
}

bool StepCase::fits(long batch) const {
    const StepSpec step = spec(batch);
    return fullest(step_memory(step, expert_layout(step))).total() <= hardware_.hbm_capacity;
}

long StepCase::largest_that_fits() const {
    const long least = smallest();
    if (!fits(least)) return 0;
    long high = 2 * least;
    while (high < kMostSequences && fits(high)) high *= 2;
    return largest(high / 2, high, [&](long batch) { return fits(batch); });
}

long StepCase::largest_chunk(long batch) const {
    StepSpec step = spec(batch);
    if (step.phase != Phase::prefill) return 0;
    const auto fits_in = [&](long chunk) {
        step.chunk = chunk;
        return fullest(step_memory(step, expert_layout(step))).total() <= hardware_.hbm_capacity;
    };
    const long now = step.chunk > 0 ? step.chunk : step.prompt;
    return now > 1 && fits_in(1) ? largest(1, now, fits_in) : 0;
}

// Where more experts are to stay than find room: how many do.
std::optional<std::string> StepCase::fewer_resident(const StepSpec& step) const {
    if (!step.experts.offload.is_used()) return {};
    const double most = most_resident(step);
    if (!(most > 0) || most >= step.experts.offload.resident.value_or(0)) return {};
    return fmt::format(
        "experts.offload.resident at most {:.0f} %, or without the key as many as "
        "find room",
        std::floor(100 * most));
}

// What would make a step fit whose smallest batch does not: less of what fills the memory most.
std::string StepCase::help_without_batch() const {
    const long least = smallest();
    const StepSpec step = spec(least);
    const NeedByRemedy need = by_remedy(fullest(step_memory(step, expert_layout(step))));
    if (const auto fewer = fewer_resident(step)) return *fewer;
    const std::string spread =
        "spread the weights over more ranks (tensor_parallel, expert_parallel, pipeline_parallel)";
    if (const long chunk = largest_chunk(least); chunk > 0)
        return fmt::format("no batch fits in one pass: chunk at most {} tokens", chunk);
    if (need.weights >= max(need.cache, need.work)) return "no batch fits: " + spread;
    if (need.cache >= need.work)
        return "no batch fits: a shorter context, or spread the cache over more ranks "
               "(tensor_parallel, context_parallel, pipeline_parallel)";
    return "no batch fits: fewer tokens at a time, or spread them over more ranks "
           "(tensor_parallel)";
}

void StepCase::require_memory(const ServingStep& step) const {
    const MemoryNeed& worst = fullest(step.memory);
    if (worst.total() <= hardware_.hbm_capacity) return;
    const long batch = largest_that_fits();
    const bool counted = !alternative_.batch.latency_target.has_value();
    std::string help;
    if (batch == 0) {
        help = help_without_batch();
    } else {
        const double most = static_cast<double>(batch),
                     ranks = static_cast<double>(alternative_.pool.mapping.group_ranks());
        const double computed = experiment_.spec.workload.computed().value();
        const BatchSpec& given = alternative_.batch;
        // Fewer than a sequence a rank are asked for by the group.
        help = given.per_rank && most < ranks ? fmt::format("batch_per_group at most {}", batch)
               : given.per_rank ? fmt::format("batch_per_rank at most {}", std::floor(most / ranks))
               : given.per_group ? fmt::format("batch_per_group at most {}", batch)
               : given.tokens_per_rank
                   ? fmt::format("tokens_per_rank at most {}", most * computed / ranks)
                   : fmt::format("batch_per_chip at most {}", std::floor(per_chip(batch)));
    }
    const NeedByRemedy need = by_remedy(worst);
    if (batch > 0 && need.work > need.cache) {
        const long chunk = largest_chunk(step.sequences_per_group);
        if (chunk > 0) help += fmt::format(", or chunk at most {} tokens", chunk);
    }
    if (bytes_of(alternative_.pool.precision.kv_cache) > 1.0 && need.cache >= need.work)
        help += ", kv_cache in 8 bits";
    if (!alternative_.chosen.empty()) help += "; mapping by the default rule:";
    for (const auto& [key, value] : alternative_.chosen)
        help += fmt::format(" {} {}", key.rfind("mapping.", 0) == 0 ? key.substr(8) : key, value);
    const std::string what =
        fmt::format("memory does not fit: a rank of {} ({}) needs {} of {}{}, {} too much ({})",
                    alternative_.name, worst.rank_class, to_string(worst.total()),
                    to_string(hardware_.hbm_capacity), hardware_.sram_only ? " of SRAM" : "",
                    to_string(worst.total() - hardware_.hbm_capacity), largest_parts(worst));
    throw InputError({counted && batch > 0
                          ? at_batch(alternative_, experiment_.spec.workload, what, help)
                          : at_key(alternative_.pool, "chips", what, help)});
}

void StepCase::check() const {
    const BatchSpec& given = alternative_.batch;
    const long batch =
        given.latency_target
            ? smallest()
            : static_cast<long>(sequences_per_group(alternative_, experiment_.spec.workload));
    std::vector<Diagnostic> problems;
    for (const StepError& problem : step_problems(spec(batch)))
        problems.push_back(at_step(problem));
    if (!problems.empty()) throw InputError(std::move(problems));
    const ServingStep step = build(batch);
    CostCache cache(hardware_, alternative_.kernels, finest_fidelity(alternative_.chip), true,
                    RankState::busy);
    const CostProblems costs =
        cost_problems(step.program, cache, fabric_, alternative_.collectives, alternative_.ranks);
    for (const auto& what : costs.operators)
        problems.push_back(at_key(
            alternative_.pool, alternative_.pool.tiling ? "tiling" : "precision", what,
            fmt::format("another precision, larger buffers, or at tile another library than {}",
                        alternative_.kernels.name)));
    for (const auto& what : costs.transfers)
        problems.push_back(at_key(alternative_.pool, "collectives", what));
    try {
        require_host_memory(alternative_, spec(batch));
        require_memory(step);
    } catch (const InputError& error) {
        problems.insert(problems.end(), error.diagnostics().begin(), error.diagnostics().end());
    }
    if (!problems.empty()) throw InputError(std::move(problems));
}

Seconds StepCase::latency(long batch, CostCache& cache) const {
    const Seconds iteration = run(batch, cache, Driver::plain).iteration();
    const WorkloadSpec& workload = experiment_.spec.workload;
    if (workload.kind == WorkloadKind::prefill) return iteration;
    return time_per_output_token(iteration, workload.speculation.tokens_per_step());
}

long StepCase::find_batch(CostCache& cache, std::vector<std::string>& warnings) const {
    if (!alternative_.batch.latency_target)
        return static_cast<long>(sequences_per_group(alternative_, experiment_.spec.workload));
    const Seconds target = *alternative_.batch.latency_target;
    const long least = smallest(), most = largest_that_fits();
    if (most == 0) require_memory(build(least));
    const Seconds floor = latency(least, cache);
    if (floor > target) {
        throw InputError({at_batch(
            alternative_, experiment_.spec.workload,
            fmt::format(
                "latency_target {}: {} needs {} {} token with only {} sequence{} a {}",
                to_string(target), alternative_.name, to_string(floor),
                experiment_.spec.workload.kind == WorkloadKind::prefill ? "to the first" : "for a",
                least, least == 1 ? "" : "s", group_name()),
            "raise the target, or shorten the step: fewer layers' weights a rank "
            "(tensor_parallel), faster memory")});
    }
    // Time grows with the batch but for steps of a tile; the search takes it as growing.
    const long batch =
        largest(least, most + 1, [&](long middle) { return latency(middle, cache) <= target; });
    if (batch == most)
        warnings.push_back(fmt::format(
            "memory, not the latency target, limits the batch to {} a {}", most, group_name()));
    return batch;
}

}  // namespace podsim
