#include "sim/training_run_step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <stdexcept>

#include "base/names.hpp"
#include "base/statistics.hpp"
#include "sim/band.hpp"
#include "sim/cost_file.hpp"
#include "sim/training_days.hpp"
#include "sim/training_parts.hpp"
#include "sim/training_program.hpp"
#include "sim/training_result.hpp"
#include "sim/training_unfolded.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {

TrainingJob training_job(const ResolvedExperiment& experiment,
                         const ResolvedAlternative& alternative) {
    const TrainingForm& form = *experiment.spec.workload.training;
    TrainingJob job;
    job.model = *experiment.model;
    job.precision = alternative.pool.precision;
    job.engine = *alternative.engine;
    job.experts = alternative.pool.experts;
    job.sequence = static_cast<long>(form.sequence.value());
    job.global_batch = static_cast<long>(form.global_batch());
    job.drafts = form.drafts;
    job.dropout = form.dropout;
    job.scaling = form.scaling;
    job.optimizer = form.optimizer.formats;
    job.gradient_reduction = form.optimizer.reduction;
    job.domain_ranks =
        static_cast<long>(alternative.system.scale_up.domain.value) * alternative.chip.ranks;
    return job;
}

TrainingPlan training_plan(const ResolvedExperiment& experiment,
                           const ResolvedAlternative& alternative) {
    const TrainingForm& form = *experiment.spec.workload.training;
    const MappingSpec& mapping = alternative.pool.mapping;
    TrainingPlan plan;
    plan.tensor_parallel = mapping.tensor_parallel;
    plan.pipeline_parallel = mapping.pipeline_parallel;
    plan.data_parallel = mapping.data_parallel;
    plan.expert_parallel = mapping.expert_parallel;
    plan.more = mapping.training;
    static_cast<ContextMapping&>(plan.more) = mapping.context;
    plan.zero_stage = form.zero_stage;
    plan.micro_batch = form.micro_batch;
    plan.schedule = form.schedule;
    plan.overlap_passes = form.overlap_passes;
    plan.recompute = form.recompute_choice();
    plan.offload = form.offload;
    return plan;
}

void fill_training_mapping(const ResolvedExperiment& experiment, ResolvedAlternative& alternative) {
    MappingSpec& mapping = alternative.pool.mapping;
    const long within = static_cast<long>(mapping.tensor_parallel) * mapping.context_parallel() *
                        mapping.pipeline_parallel;
    const bool unequal = mapping.training.unequal_groups;
    if (mapping.data_parallel == 0) {
        const long groups = unequal ? groups_that_fit(training_plan(experiment, alternative),
                                                      alternative.ranks, alternative.chip.ranks)
                                    : alternative.ranks / within;
        mapping.data_parallel = std::max(1, static_cast<int>(groups));
        alternative.chosen.emplace_back("mapping.data_parallel",
                                        std::to_string(mapping.data_parallel));
    }
    if (const long used = within * mapping.data_parallel; unequal && used < alternative.ranks) {
        alternative.packages = static_cast<int>(used / alternative.chip.ranks);
        alternative.standing_by = alternative.pool.chips - alternative.packages;
        alternative.ranks = alternative.packages * alternative.chip.ranks;
    }
    if (mapping.expert_parallel != 0) return;
    mapping.expert_parallel = 1;
    if (experiment.model && has_experts(*experiment.model)) {
        const long stage = within / mapping.pipeline_parallel * mapping.data_parallel;
        const long domain = alternative.system.scale_up.domain.value * alternative.chip.ranks;
        const int width = mapping.training.expert_tensor_parallel;
        for (long ranks = std::min(stage, domain) / width; ranks > 1; --ranks) {
            if (stage % (ranks * width) != 0) continue;
            if (experiment.model->routed_experts % ranks != 0) continue;
            mapping.expert_parallel = static_cast<int>(ranks);
            break;
        }
    }
    alternative.chosen.emplace_back("mapping.expert_parallel",
                                    std::to_string(mapping.expert_parallel));
}

namespace {

// A problem stands where its key does.
Diagnostic at_plan(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative,
                   const StepError& error) {
    const std::string first = error.key.substr(0, error.key.find('.'));
    if (first == "mapping" || first == "experts")
        return at_key(alternative.pool, error.key, error.reason);
    return at_key(experiment.spec.workload, error.key, error.reason);
}

std::string largest_parts(const MemoryNeed& need) {
    auto parts = need.parts;
    std::stable_sort(parts.begin(), parts.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    std::string text;
    for (std::size_t i = 0; i < parts.size() && i < 3; ++i)
        text +=
            fmt::format("{}{} {}", i == 0 ? "" : ", ", parts[i].first, to_string(parts[i].second));
    return text;
}

void require_memory(const TrainingCase& training, const TrainingPlan& plan,
                    const std::vector<StageNeed>& needs, const ResolvedAlternative& alternative,
                    Bytes capacity) {
    const auto worst = std::max_element(
        needs.begin(), needs.end(),
        [](const auto& a, const auto& b) { return a.need.total() < b.need.total(); });
    const Bytes total = worst->need.total();
    if (total <= capacity) return;
    const std::string help = training.help_for_memory(plan);
    throw InputError({at_key(
        alternative.pool, "mapping",
        fmt::format("memory does not fit: a rank of {} ({}) needs {} of {}, {} too much ({})",
                    alternative.name, worst->need.rank_class, to_string(total), to_string(capacity),
                    to_string(total - capacity), largest_parts(worst->need)),
        help.empty() ? "no single change helps: more chips, or several of recompute: full, more "
                       "pipeline stages, a smaller micro_batch"
                     : help + " would fit")});
}

// What a rank offloads has to fit its part of the host's memory.
void require_host_memory(const TrainingCase& training, const TrainingPlan& plan,
                         const std::vector<StageNeed>& needs, const ResolvedExperiment& experiment,
                         const ResolvedAlternative& alternative) {
    const Bytes capacity = plan.offload.host_capacity;
    const auto worst = std::max_element(
        needs.begin(), needs.end(), [](const auto& a, const auto& b) { return a.host < b.host; });
    if (capacity == Bytes(0.0) || worst->host <= capacity) return;
    const auto most_with = [&](double TrainingOffload::*share, double value) {
        TrainingPlan other = plan;
        other.offload.*share = value;
        Bytes most(0.0);
        for (const StageNeed& one : training.memory(other)) most = max(most, one.host);
        return most;
    };
    // What the host holds grows evenly with either share: the largest whole percent that fits.
    std::string help = "more of the host's memory, or nothing offloaded";
    for (const auto& [name, share] : {std::pair{"activations", &TrainingOffload::activations},
                                      std::pair{"optimizer", &TrainingOffload::optimizer}}) {
        const double asked = plan.offload.*share;
        const Bytes without = asked > 0 ? most_with(share, 0) : capacity;
        if (without >= capacity) continue;
        const double fits = asked * ((capacity - without) / (worst->host - without));
        double percent = std::floor(100 * fits);
        while (percent > 0 && most_with(share, percent / 100) > capacity) --percent;
        if (!(percent > 0)) continue;
        help = fmt::format("{}: {:.0f} % would fit", name, percent);
        break;
    }
    throw InputError(
        {at_key(experiment.spec.workload, "offload.host_capacity",
                fmt::format("is {}, and a rank of {} ({}) would keep {} in the host's memory",
                            to_string(capacity), alternative.name, worst->need.rank_class,
                            to_string(worst->host)),
                help)});
}

long most_common_layer(const ModelSpec& model) {
    const auto kinds = layer_kinds(model);
    const auto most = std::max_element(
        kinds.begin(), kinds.end(), [](const auto& a, const auto& b) { return a.count < b.count; });
    const auto found = std::find(model.layers.begin(), model.layers.end(), most->kind);
    return found - model.layers.begin();
}

struct Machinery {
    RankHardware hardware;
    RankFabric fabric;
    explicit Machinery(const ResolvedAlternative& alternative)
        : hardware(hardware_of(alternative)),
          fabric(rank_fabric(alternative.system, alternative.chip.ranks)) {}
    TrainingMachine machine(const ResolvedAlternative& alternative, Driver driver) const {
        return {hardware, fabric, alternative.collectives, alternative.ranks, driver};
    }
};

// What was chosen where nothing was asked for; "" for the usual order.
std::string text_of(const ChosenOrder& chosen) {
    if (chosen.beyond >= chosen.beyond_flat) return "";
    return fmt::format(
        "ranks lie as {}: {} of a rank leave its scale-up domain in a step, {} "
        "would under {} (mapping.placement: flat)",
        to_string(chosen.order), to_string(Bytes(chosen.beyond)),
        to_string(Bytes(chosen.beyond_flat)), to_string(kFlatOrder));
}

void add_unfolded(AlternativeResult& result, const UnfoldedStep& unfolded) {
    const Provenance provenance = result.metrics.front().rests_on;
    const auto add = [&](const char* name, double value, const char* unit) {
        result.metrics.push_back({name, value, unit, {}, {}, provenance});
    };
    add("step_time_unfolded", unfolded.total.value(), "s");
    add("expert_imbalance_unfolded", unfolded.imbalance, "ratio");
}

// The step under each of the loads that a trace has, one after the other.
void add_steps_of_trace(AlternativeResult& result, const TrainingJob& job, const TrainingPlan& plan,
                        const TrainingMachine& machine, CostCache& cache,
                        const ResolvedAlternative& alternative) {
    std::vector<double> times, imbalances;
    std::size_t too_full = 0;
    for (const std::vector<ExpertCounts>& counts : alternative.load_steps) {
        TrainingJob other = job;
        other.experts.counts = counts;
        TrainingPlan loaded = plan;
        loaded.routed = routed_load(other, plan);
        TrainingCase training(other, machine, cache, PassDetail::times);
        const auto parts = part_steps(training, other, machine, cache, loaded);
        times.push_back(slowest(parts).step.total.value());
        imbalances.push_back(loaded.routed.imbalance);
        for (const PartStep& part : parts) {
            if (part.step.fullest().need.total() <= machine.hardware.hbm_capacity) continue;
            ++too_full;
            break;
        }
    }
    const Provenance provenance = result.metrics.front().rests_on;
    const auto add = [&](const char* name, double value, const char* unit) {
        result.metrics.push_back({name, value, unit, {}, {}, provenance});
    };
    double squares = 0;
    const double middle = mean(times);
    for (const double time : times) squares += (time - middle) * (time - middle);
    add("trace_steps", static_cast<double>(times.size()), "steps");
    add("trace_step_time", middle, "s");
    add("trace_step_time_deviation", std::sqrt(squares / static_cast<double>(times.size())), "s");
    add("trace_step_time_worst", *std::max_element(times.begin(), times.end()), "s");
    add("trace_expert_imbalance", mean(imbalances), "ratio");
    if (too_full > 0) {
        result.warnings.push_back(
            fmt::format("{} of {} steps of the trace do not fit the memory of their fullest rank",
                        too_full, times.size()));
    }
}

// Of what is to be computed again, what the model does not have.
std::vector<std::string> not_in(const ModelSpec& model, const RecomputeChoice& recompute) {
    const RecomputeModules have = modules_of(model);
    const auto has = [&](RecomputeModule module) {
        return std::find(have.begin(), have.end(), module) != have.end();
    };
    std::string names;
    for (const RecomputeModule module : have)
        names += (names.empty() ? "" : ", ") + name_of(module);
    std::vector<std::string> said;
    for (const RecomputeModule module : recompute.modules()) {
        if (!has(module))
            said.push_back(
                fmt::format("recompute_modules: {} has no {}, nothing of it is computed "
                            "again; it has {}",
                            model.name, name_of(module), names));
    }
    if (recompute.modules().empty() && recompute.policy() == RecomputePolicy::up_projections &&
        !has(RecomputeModule::mla_up_proj))
        said.push_back(
            fmt::format("recompute: up-projections computes nothing again: {} has no "
                        "latents of queries, keys and values",
                        model.name));
    return said;
}

// How unequal groups turned out, and what stands by.
std::vector<std::string> said_of(const std::vector<PartStep>& parts, const TrainingPlan& plan,
                                 const ResolvedAlternative& alternative) {
    std::vector<std::string> said;
    if (parts.size() > 1) {
        std::string text =
            fmt::format("{} data-parallel groups are not alike:", plan.data_parallel);
        for (const PartStep& one : parts) {
            text += fmt::format("{} {} of {} micro-batches", &one == &parts.front() ? "" : ",",
                                one.part.groups, one.part.plan.part.micro_batches);
            if (one.part.last_block)
                text += fmt::format(" with experts over {} ranks ({} copies)",
                                    one.part.plan.expert_parallel, one.part.redundant);
            text += fmt::format(" in {}", to_string(one.step.total));
        }
        said.push_back(text + "; the step waits for the slowest");
    }
    if (alternative.standing_by > 0) {
        said.push_back(
            fmt::format("{} of {} chips make no data-parallel group and stand by: they "
                        "are paid, and spares of a run",
                        alternative.standing_by, alternative.pool.chips));
    }
    return said;
}

// A fabric may have no way for a collective that its library knows.
std::vector<PartStep> steps_of(TrainingCase& training, const TrainingJob& job,
                               const TrainingMachine& machine, CostCache& cache,
                               const TrainingPlan& plan, const ResolvedAlternative& alternative) {
    try {
        return part_steps(training, job, machine, cache, plan);
    } catch (const std::invalid_argument& error) {
        throw InputError({at_key(alternative.pool, "mapping", error.what())});
    }
}

}  // namespace

void require_host_link(const ResolvedExperiment& experiment,
                       const ResolvedAlternative& alternative) {
    if (alternative.chip.host_link) return;
    Diagnostic problem =
        at_key(experiment.spec.workload, "offload",
               fmt::format("{} has no link to its host's memory", alternative.chip.name),
               "give the chip's record a host_link of technology, bandwidth and latency, or leave "
               "offload away");
    if (!experiment.spec.workload.training->offload.any()) {
        problem.place = experiment.spec.plan_places.of("offload");
        problem.path = "plan.offload";
    }
    throw InputError({problem});
}

void check_training(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative) {
    const TrainingJob job = training_job(experiment, alternative);
    TrainingPlan plan = training_plan(experiment, alternative);
    std::vector<Diagnostic> problems;
    for (const StepError& error : training_problems(job, plan, alternative.ranks))
        problems.push_back(at_plan(experiment, alternative, error));
    if (!experiment.spec.workload.training->fold) {
        const bool unequal = plan.more.unequal_groups;
        if (unequal || job.experts.capacity_factor > 0)
            problems.push_back(at_key(
                experiment.spec.workload, "fold",
                unequal ? "draws groups that are alike, mapping.unequal_groups says they are not"
                        : "draws what comes to experts, experts.capacity_factor would drop some",
                "leave one of the two away"));
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    plan.routed = routed_load(job, plan);
    plan.order = chosen_order(job, plan).order;
    if (plan.offload.any()) require_host_link(experiment, alternative);
    Machinery machinery(alternative);
    // Whether a library has a collective at all; where it goes is worked out when it runs.
    machinery.fabric.scale_up_links.reset();
    machinery.fabric.scale_out_links.reset();
    CostCache cache(machinery.hardware, alternative.kernels, finest_fidelity(alternative.chip),
                    true, RankState::busy);
    TrainingCase training(job, machinery.machine(alternative, Driver::plain), cache);
    // One position of each kind shows every format and collective that is asked for.
    for (const bool backward : {false, true}) {
        PassRequest request;
        request.kind = backward ? PassKind::backward : PassKind::forward;
        request.gathers = !backward;
        request.reduces = backward;
        for (const TrainingPosition& position : positions_of(job, plan)) {
            request.position = position;
            const Program program = build_pass(job, plan, request);
            if (program.tasks.empty()) continue;
            const CostProblems costs = cost_problems(program, cache, machinery.fabric,
                                                     alternative.collectives, alternative.ranks);
            for (const auto& what : costs.operators)
                problems.push_back(at_key(alternative.pool,
                                          alternative.pool.tiling ? "tiling" : "precision", what));
            for (const auto& what : costs.transfers)
                problems.push_back(at_key(alternative.pool, "collectives", what));
            if (!problems.empty()) throw InputError(std::move(problems));
            // Further ones differ in numbers of layers.
            if (!position.embedding && !position.head) break;
        }
    }
    const std::vector<StageNeed> needs =
        part_memory(job, machinery.machine(alternative, Driver::plain), cache, plan);
    require_memory(training, plan, needs, alternative, machinery.hardware.hbm_capacity);
    require_host_memory(training, plan, needs, experiment, alternative);
    check_days(experiment, alternative);
}

AlternativeResult run_training(const ResolvedExperiment& experiment,
                               const ResolvedAlternative& alternative, const RunOptions& options,
                               RunCounts& counts) {
    const TrainingJob job = training_job(experiment, alternative);
    TrainingPlan plan = training_plan(experiment, alternative);
    plan.routed = routed_load(job, plan);
    plan.order = chosen_order(job, plan).order;
    const Machinery machinery(alternative);
    const Fidelity fidelity = fidelity_of(options, alternative.chip);
    CostCache cache(machinery.hardware, alternative.kernels, fidelity, options.cache,
                    RankState::busy);
    const CostFile file(options.cache_folder, cache);
    TrainingCase training(job, machinery.machine(alternative, options.driver), cache);
    const TrainingMachine machine = machinery.machine(alternative, options.driver);
    const std::vector<PartStep> parts = steps_of(training, job, machine, cache, plan, alternative);
    const TrainingStep& step = slowest(parts).step;
    for (const PartStep& one : parts)
        require_memory(training, plan, one.step.needs, alternative,
                       machinery.hardware.hbm_capacity);
    if (options.program) {
        const TrainingPlan& traced = slowest(parts).part.plan;
        const StepProgram whole = program_of_step(step, traced, stage_send(job, traced));
        options.program({alternative.name, whole.program, {}, whole.record});
    }
    const long layer = most_common_layer(job.model);
    const auto holds = std::find_if(step.positions.begin(), step.positions.end(),
                                    [&](const auto& one) { return layer < one.end; });
    const TrainingPosition alone = layer_of(*holds, layer);
    const TrainingPassPtr forward = training.part(plan, alone, PassKind::forward),
                          backward = training.part(plan, alone, PassKind::backward);
    counts.events += training.events();
    counts.cache_hits += cache.hits();
    counts.cache_misses += cache.misses();
    counts.stored_hits += cache.stored_hits();
    file.keep(cache);
    AlternativeResult result =
        training_answer({job, plan, step, parts, forward, backward, experiment, alternative,
                         machinery.hardware, machinery.fabric},
                        options.timeline);
    if (!experiment.spec.workload.training->fold)
        add_unfolded(result, unfolded_step(training, job, plan, step, options.seed));
    if (!alternative.load_steps.empty())
        add_steps_of_trace(result, job, plan, machine, cache, alternative);
    std::optional<StragglerSteps> slowed;
    if (const auto& run = experiment.spec.workload.training->run; run && run->stragglers)
        slowed = straggler_steps(step, job, slowest(parts).part.plan, alternative.chip.ranks,
                                 *run->stragglers, options.seed);
    add_days(result, experiment, alternative, slowed ? &*slowed : nullptr, options.seed);
    if (const std::string why = text_of(chosen_order(job, plan)); !why.empty())
        result.warnings.push_back(why);
    for (std::string& what : said_of(parts, plan, alternative))
        result.warnings.push_back(std::move(what));
    for (std::string& what : not_in(job.model, plan.recompute))
        result.warnings.push_back(std::move(what));
    result.warnings.insert(result.warnings.begin(), alternative.warnings.begin(),
                           alternative.warnings.end());
    if (options.neighbour && alternative.chip.cores) {
        const Fidelity other = neighbour_of(fidelity);
        CostCache neighbour(machinery.hardware, alternative.kernels, other, true, RankState::busy);
        const TrainingMachine same = machinery.machine(alternative, Driver::plain);
        TrainingCase beside(job, same, neighbour);
        result.neighbour = to_string(other);
        result.neighbour_gap =
            slowest(part_steps(beside, job, same, neighbour, plan)).step.total / step.total - 1.0;
    }
    return result;
}

}  // namespace podsim
