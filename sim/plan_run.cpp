#include "sim/plan_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "base/names.hpp"
#include "chips/chip.hpp"
#include "sim/cost_file.hpp"
#include "sim/memory_shares.hpp"
#include "sim/plan_document.hpp"
#include "sim/price.hpp"
#include "sim/straggler_steps.hpp"
#include "sim/training_days.hpp"
#include "sim/training_parts.hpp"
#include "sim/training_run_step.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {

namespace {

Diagnostic at_plan(const ResolvedExperiment& experiment, const std::string& key, std::string what,
                   std::string hint = "") {
    return {experiment.spec.plan_places.of(key), "plan." + key, std::move(what), std::move(hint)};
}

// An alternative with its job, and what its mapping gives.
struct Ground {
    TrainingJob job;
    TrainingPlan start;
    GivenDegrees given;
    PlanGround ground;

    Ground(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative)
        : job(training_job(experiment, alternative)),
          start(training_plan(experiment, alternative)),
          ground{job,
                 start,
                 alternative.pool.chips,
                 alternative.chip.ranks,
                 alternative.system.scale_up.domain.value * alternative.chip.ranks,
                 {}} {
        if (const auto& run = experiment.spec.workload.training->run; run) {
            ground.standing_by = [form = *run](int chips) {
                const auto spec = training_run_spec(form, chips, 1, Seconds(1.0));
                return chips_under_repair(spec.failures) - static_cast<double>(form.spares);
            };
        }
        const auto has = [&](const char* key) {
            return alternative.pool.places.has(std::string("mapping.") + key);
        };
        given = {has("tensor_parallel"), has("context_parallel"),       has("pipeline_parallel"),
                 has("expert_parallel"), has("expert_tensor_parallel"), has("positions_per_stage")};
    }
};

// What a plan does not search and a mapping may not give.
void require_open(const ResolvedAlternative& alternative, std::vector<Diagnostic>& problems) {
    for (const char* key : {"data_parallel", "layers", "sequence_parallel"}) {
        const std::string path = std::string("mapping.") + key;
        if (!alternative.pool.places.has(path)) continue;
        problems.push_back(at_key(alternative.pool, path,
                                  "follows from the other degrees where a mapping is searched",
                                  "remove it"));
    }
}

PlanForm looked_at(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative,
                   const Ground& ground) {
    std::vector<Diagnostic> problems;
    require_open(alternative, problems);
    for (const int chips : experiment.spec.plan->chips) {
        if (chips <= alternative.system.chips) continue;
        problems.push_back(at_plan(experiment, "chips",
                                   fmt::format("{} chips asked of {}, which has {}", chips,
                                               alternative.system.name, alternative.system.chips),
                                   fmt::format("at most {}", alternative.system.chips)));
    }
    PlanForm form = filled_form(ground.ground, *experiment.spec.plan, ground.given);
    const bool offloads =
        ground.start.offload.any() ||
        std::any_of(form.offload.begin(), form.offload.end(),
                    [](OffloadPolicy policy) { return policy != OffloadPolicy::none; });
    if (offloads) require_host_link(experiment, alternative);
    for (const StepError& error : value_problems(ground.ground, form))
        problems.push_back(at_plan(experiment, error.key, error.reason));
    if (!problems.empty()) throw InputError(std::move(problems));
    return form;
}

PlanSpace space_of(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative,
                   const Ground& ground, const PlanForm& form) {
    PlanSpace space = plan_space(ground.ground, form);
    if (!space.candidates.empty()) return space;
    std::vector<Diagnostic> problems;
    for (const StepError& error : space.first_problem) {
        problems.push_back(
            at_plan(experiment, error.key.substr(error.key.find('.') + 1),
                    fmt::format("no mapping of {} chips of {} can be; of the first that was "
                                "tried: {}",
                                alternative.packages, alternative.name, error.reason),
                    "more values of a degree, idle: 5 %, or batch: at-most"));
    }
    if (problems.empty())
        problems.push_back(at_plan(experiment, "", "no mapping can be", "leave degrees away"));
    throw InputError(std::move(problems));
}

// Of combinations that were asked for and are not what they were asked to be.
void add_what_is_left_out(const PlanSpace& space, std::vector<std::string>& warnings) {
    if (space.without_overlap > 0) {
        std::string names;
        for (const ScheduleKind kind : space.do_not_overlap)
            names += (names.empty() ? "" : ", ") + name_of(kind);
        warnings.push_back(
            fmt::format("overlap_passes is of 1f1b and interleaved: {} combinations of {} are "
                        "taken without",
                        space.without_overlap, names));
    }
    if (space.parted > 0)
        warnings.push_back(fmt::format("{} combinations are left out: placement {}", space.parted,
                                       space.parted_by));
}

// The experiment that a candidate is, resolved: what `podsim run` would make of its file.
struct Chosen {
    ResolvedExperiment experiment;
    ResolvedAlternative alternative;
};

Chosen chosen(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative,
              const PlanCandidate& of) {
    Chosen result{experiment, alternative};
    result.experiment.alternatives.clear();
    TrainingForm& form = *result.experiment.spec.workload.training;
    form.sequences = of.global_batch;
    form.batch_tokens.reset();
    form.micro_batch = of.plan.micro_batch;
    form.schedule = of.plan.schedule;
    form.overlap_passes = of.plan.overlap_passes;
    form.recompute = of.plan.recompute.policy();
    form.recompute_modules = of.plan.recompute.modules();
    form.recompute_layers = of.plan.recompute.layers();
    form.zero_stage = of.plan.zero_stage;
    form.offload = of.plan.offload;
    if (form.run) form.run->spares += of.chips_there - of.chips;
    ResolvedAlternative& on = result.alternative;
    on.packages = on.pool.chips = of.chips;
    on.standing_by = 0;  // they are spares of the run
    on.ranks = of.chips * on.chip.ranks;
    MappingSpec& mapping = on.pool.mapping;
    mapping.tensor_parallel = of.plan.tensor_parallel;
    mapping.pipeline_parallel = of.plan.pipeline_parallel;
    mapping.data_parallel = of.plan.data_parallel;
    mapping.expert_parallel = of.plan.expert_parallel;
    mapping.training = of.plan.more;
    mapping.context = of.plan.more;
    return result;
}

Node* entry(Node& map, const char* key) {
    if (Node* found = map.find(key)) return found;
    Node::Entry fresh;
    fresh.key = key;
    fresh.value.kind = Node::Kind::map;
    map.entries.push_back(fresh);
    return &map.entries.back().value;
}

// The file that runs a candidate alone.
Node experiment_of(const Node& document, std::size_t index, const ResolvedExperiment& experiment,
                   const PlanCandidate& of) {
    Node result = alone(document, index);
    const Place place = document.place;
    Node& pool = pool_node(result, 0);
    const auto set = [&](Node& map, const std::string& path, const std::string& value) {
        set_path(map, path, value, place);
    };
    set(pool, "chips", std::to_string(of.chips));
    Node& mapping = *entry(pool, "mapping");
    mapping.kind = Node::Kind::map;
    const TrainingPlan& plan = of.plan;
    const auto degree = [&](const char* key, long value, bool always) {
        if (always || value > 1) {
            set(mapping, key, std::to_string(value));
        } else {
            drop(mapping, key);
        }
    };
    degree("tensor_parallel", plan.tensor_parallel, true);
    degree("context_parallel", plan.more.context_parallel, false);
    degree("pipeline_parallel", plan.pipeline_parallel, true);
    degree("data_parallel", plan.data_parallel, true);
    degree("expert_parallel", plan.expert_parallel, has_experts(*experiment.model));
    degree("expert_tensor_parallel", plan.more.expert_tensor_parallel, false);
    degree("positions_per_stage", plan.more.positions_per_stage, false);
    drop(mapping, "placement");
    if (plan.order != kFlatOrder) set(mapping, "placement", to_string(plan.order));
    if (plan.order == kFlatOrder) set(mapping, "placement", "flat");
    drop(mapping, "sequence_parallel");
    if (plan.more.sequence_parallel) set(mapping, "sequence_parallel", "true");
    Node& workload = *result.find("workload");
    set(workload, "global_batch", std::to_string(of.global_batch));
    set(workload, "micro_batch", std::to_string(plan.micro_batch));
    set(workload, "schedule", name_of(plan.schedule));
    if (experiment.spec.workload.training->overlap_passes)
        set(workload, "overlap_passes", plan.overlap_passes ? "true" : "false");
    set(workload, "recompute", name_of(plan.recompute.policy()));
    drop(workload, "recompute_modules");
    if (const RecomputeModules& modules = plan.recompute.modules(); !modules.empty()) {
        std::string list;
        for (const RecomputeModule module : modules)
            list += (list.empty() ? "[" : ", ") + name_of(module);
        set(workload, "recompute_modules", list + "]");
    }
    drop(workload, "recompute_layers");
    if (const long layers = plan.recompute.layers(); layers > 0)
        set(workload, "recompute_layers", std::to_string(layers));
    set(workload, "zero_stage", std::to_string(plan.zero_stage));
    drop(workload, "offload");
    const TrainingOffload& offload = plan.offload;
    const auto share = [](double value) { return fmt::format("{:.6g} %", 100 * value); };
    if (offload.optimizer > 0) set(workload, "offload.optimizer", share(offload.optimizer));
    if (offload.activations > 0) set(workload, "offload.activations", share(offload.activations));
    if (offload.optimizer > 0 && offload.host_memory > BytesPerSecond(0.0))
        set(workload, "offload.host_memory",
            fmt::format("{:.9g} GB/s", offload.host_memory.value() / 1e9));
    const int idle = of.chips_there - of.chips;
    const auto& run = experiment.spec.workload.training->run;
    if (run && idle > 0) set(workload, "run.spares", std::to_string(run->spares + idle));
    return result;
}

std::string text_of(const TrainingPlan& plan) {
    std::string text = fmt::format(
        "tensor_parallel {}, pipeline_parallel {}, data_parallel {}, "
        "expert_parallel {}, micro_batch {}, {}, recompute {}, "
        "zero_stage {}",
        plan.tensor_parallel, plan.pipeline_parallel, plan.data_parallel, plan.expert_parallel,
        plan.micro_batch, name_of(plan.schedule), plan.recompute.name(), plan.zero_stage);
    if (plan.more.context_parallel > 1)
        text = fmt::format("context_parallel {}, ", plan.more.context_parallel) + text;
    if (plan.order != kFlatOrder) text += ", placement " + to_string(plan.order);
    if (plan.offload.any()) text += ", offload " + to_string(plan.offload);
    return text;
}

std::string why_nothing(const PlanFound& found, const std::string& name) {
    const PlanNearest& nearest = *found.nearest;
    return fmt::format(
        "none of the {} mappings of {} fits: the nearest ({}) needs {} of {} in a rank, {} too "
        "much; {}",
        found.counts.possible, name, text_of(nearest.candidate.plan), to_string(nearest.need),
        to_string(nearest.room), to_string(nearest.need - nearest.room),
        nearest.help.empty() ? "no single change helps: more chips, more stages, or formats of "
                               "fewer bytes for the optimiser's states"
                             : nearest.help + " would fit");
}

// Of the chip's record or of its kernel library: the largest error on what was held out.
std::optional<ErrorBand> band_of(const ResolvedAlternative& alternative) {
    if (auto stated = error_band(alternative.chip, alternative.kernels)) return stated;
    ErrorBand band{0, "the largest held-out error of kernel library " + alternative.kernels.name};
    KernelLibrarySpec library = alternative.kernels;
    for (const FitRecord* record : records_of(library))
        band.share = std::max(band.share, record->held_out_error);
    if (band.share > 0) return band;
    return {};
}

FlopsPerSecond peak_of(const ResolvedAlternative& alternative) {
    const Precision& formats = alternative.pool.precision;
    FlopsPerSecond peak(0.0);
    for (const DType format : {formats.weights, formats.experts, formats.activations})
        peak = max(peak, published_peak_for(alternative.chip, format));
    return peak;
}

class Planner {
  public:
    Planner(const Node& document, const ResolvedExperiment& experiment, const PlanOptions& options)
        : document_(document), experiment_(experiment), options_(options) {}

    PlanAlternative plan(std::size_t index) const {
        const ResolvedAlternative& alternative = experiment_.alternatives[index];
        PlanAlternative result;
        result.name = alternative.name;
        result.system = alternative.system.name;
        result.chip = alternative.chip.name;
        result.warnings = alternative.warnings;
        const Ground ground(experiment_, alternative);
        result.form = looked_at(experiment_, alternative, ground);
        const PlanSpace space = space_of(experiment_, alternative, ground, result.form);
        add_what_is_left_out(space, result.warnings);
        const RankHardware hardware = hardware_of(alternative);
        const RankFabric fabric = rank_fabric(alternative.system, alternative.chip.ranks);
        RunOptions run;
        run.fidelity = options_.fidelity;
        run.driver = Driver::plain;
        run.cache = options_.cache;
        run.cache_folder = options_.cache_folder;
        run.neighbour = false;
        const Fidelity fidelity = fidelity_of(run, alternative.chip);
        result.fidelity = to_string(fidelity);
        CostCache cache(hardware, alternative.kernels, fidelity, options_.cache, RankState::busy);
        const CostFile file(options_.cache_folder, cache);
        const int most = *std::max_element(result.form.chips.begin(), result.form.chips.end());
        const TrainingMachine machine{hardware, fabric, alternative.collectives,
                                      static_cast<long>(most) * alternative.chip.ranks,
                                      Driver::plain};
        PlanQuestion question(ground.job, result.form, machine, cache);
        question.peak = peak_of(alternative);
        question.band = band_of(alternative);
        const auto prices =
            cost_bases(experiment_.prices, alternative.chip, alternative.system, result.warnings);
        if (!prices.empty()) question.usd_per_hour = prices.front().usd_per_hour_per_chip;
        const auto& days = experiment_.spec.workload.training->run;
        if (days) {
            question.spares = days->spares;
            question.days = [&](const PlanTimed& timed, const PartStep& slowest) {
                return days_of(timed, slowest, ground.job, alternative);
            };
        }
        question.stop = options_.stop;
        if (options_.progress) {
            question.progress = [&](const std::string& what, long done, long all) {
                options_.progress(
                    fmt::format("{}: {} {} of {}", alternative.name, what, done, all));
            };
        }
        result.found = search_plans(std::move(question), space);
        file.keep(cache);
        if (!result.found.partial && result.found.timed.empty() && !result.found.refusal.empty())
            throw InputError({at_key(alternative.pool, "system", result.found.refusal)});
        if (result.found.nearest) result.nothing = why_nothing(result.found, alternative.name);
        for (const auto& [objective, list] : result.found.best) {
            if (!list.empty()) result.winners[objective] = winner(index, list.front(), result, run);
        }
        return result;
    }

  private:
    PlanDays days_of(const PlanTimed& timed, const PartStep& slowest, TrainingJob job,
                     const ResolvedAlternative& alternative) const {
        TrainingRunForm form = *experiment_.spec.workload.training->run;
        form.spares += timed.candidate.chips_there - timed.candidate.chips;
        // What the length of a run changes is less than a step.
        constexpr double steps = 1e5;
        try {
            job.global_batch = timed.candidate.global_batch;
            form = with_checkpoint_times(form, job, timed.candidate.plan, alternative);
            const auto spec_of = [&](Seconds step) {
                return training_run_spec(form, timed.candidate.chips, steps, step);
            };
            if (!form.stragglers) return {expected_run(spec_of(timed.step)).goodput, 1, 1};
            const StragglerSteps slowed = expected_straggler_steps(
                slowest.step, job, slowest.part.plan, alternative.chip.ranks, *form.stragglers);
            TrainingRunSpec spec = spec_of(slowed.expected.front() * timed.step);
            spec.slow = slow_units(*form.stragglers, slowed.expected, slowed.units());
            const TrainingRun run = expected_run(spec);
            return {run.goodput, (spec.step_time + run.slowed / steps) / timed.step,
                    slowed.expected.front()};
        } catch (const std::invalid_argument&) {
            return {0, 1, 1};  // nothing would ever be finished
        }
    }

    // One mapping may be best at several things: it runs once.
    PlanWinner winner(std::size_t index, std::size_t timed, const PlanAlternative& so_far,
                      const RunOptions& run) const {
        for (const auto& [objective, known] : so_far.winners) {
            if (known.timed == timed) return known;
        }
        const PlanCandidate& of = so_far.found.timed[timed].candidate;
        const Chosen one = chosen(experiment_, experiment_.alternatives[index], of);
        RunCounts counts;
        PlanWinner result;
        result.timed = timed;
        result.result = run_training(one.experiment, one.alternative, run, counts);
        result.result.name = one.alternative.name;
        result.experiment = experiment_of(document_, index, experiment_, of);
        return result;
    }

    const Node& document_;
    const ResolvedExperiment& experiment_;
    const PlanOptions& options_;
};

void require_plan(const ResolvedExperiment& experiment, const Node& document) {
    if (experiment.spec.plan) return;
    throw InputError(document.place, "plan", "missing: what is searched",
                     "plan: {} searches all degrees that divide; see docs/planning.md");
}

}  // namespace

bool PlanReport::partial() const {
    return std::any_of(alternatives.begin(), alternatives.end(),
                       [](const auto& one) { return one.found.partial; });
}

void check_plan(const ResolvedExperiment& experiment, const ResolvedAlternative& alternative) {
    const Ground ground(experiment, alternative);
    (void)looked_at(experiment, alternative, ground);
    check_days(experiment, alternative);
}

PlanReport plan_experiment(const Node& experiment, Catalog& catalog, const PlanOptions& options) {
    Node document = experiment;
    catalog.apply_experiment_settings(document);
    ResolvedExperiment resolved = resolve(document, catalog);
    require_plan(resolved, document);
    measure_memories(resolved, options.cache_folder, options.fidelity);
    std::vector<Diagnostic> problems;
    const auto attempt = [&](const auto& action) {
        try {
            action();
        } catch (const InputError& error) {
            problems.insert(problems.end(), error.diagnostics().begin(), error.diagnostics().end());
        }
    };
    for (const auto& alternative : resolved.alternatives)
        attempt([&] { check_plan(resolved, alternative); });
    if (!problems.empty()) throw InputError(std::move(problems));
    catalog.require_all_settings_used();
    PlanReport report;
    report.experiment = resolved.spec.name;
    const Planner planner(document, resolved, options);
    for (std::size_t i = 0; i < resolved.alternatives.size(); ++i) {
        if (options.stop && options.stop()) {
            PlanAlternative untouched;
            untouched.name = resolved.alternatives[i].name;
            untouched.found.partial = true;
            report.alternatives.push_back(std::move(untouched));
            continue;
        }
        attempt([&] { report.alternatives.push_back(planner.plan(i)); });
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    const auto& all = report.alternatives;
    if (std::all_of(all.begin(), all.end(), [](const auto& one) { return !one.nothing.empty(); })) {
        for (std::size_t i = 0; i < all.size(); ++i)
            problems.push_back(at_key(resolved.alternatives[i].pool, "chips", all[i].nothing));
        throw InputError(std::move(problems));
    }
    return report;
}

}  // namespace podsim
