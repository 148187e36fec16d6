#include "sim/resolve.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "base/names.hpp"
#include "chips/cost.hpp"
#include "chips/energy.hpp"
#include "chips/memory_device.hpp"
#include "chips/tiling_check.hpp"
#include "interconnect/coflow.hpp"
#include "sim/aged_steps.hpp"
#include "sim/alternative_notes.hpp"
#include "sim/default_mapping.hpp"
#include "sim/expert_host.hpp"
#include "sim/host_charge.hpp"
#include "sim/replay_run.hpp"
#include "sim/routed_collective.hpp"
#include "sim/routing_file.hpp"
#include "sim/serving_faults.hpp"
#include "sim/serving_run.hpp"
#include "sim/slice.hpp"
#include "sim/training_run_step.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {

namespace {

using Problems = std::vector<Diagnostic>;

// The chip that a system's file names, where `standing` may be another that stands in it.
ChipSpec own_chip(const ChipSpec& standing, const SystemSpec& system, const Node& system_document,
                  Catalog& catalog) {
    if (standing.name == system.chip) return standing;
    const Place place = system_document.find("chip")->place;
    return read_chip(catalog.load("chip", system.chip, place, "chip"), system.chip);
}

const Sourced<Watts>& power_as_built(const ChipSpec& chip) {
    return chip.power_as_built ? *chip.power_as_built : chip.power;
}

// A system is built around the chip its file names, as that one's file says. Whatever chip stands
// in it, host, network and fans draw what they did:
//
//   host = nameplate - design power of the system's own chip,  nameplate' = host + design power
void divide_power(ResolvedAlternative& alternative, const Node& system_document, Catalog& catalog) {
    SystemSpec& system = alternative.system;
    const ChipSpec built_for = own_chip(alternative.chip, system, system_document, catalog);
    const Watts own = power_as_built(built_for).value;
    Sourced<Watts>& nameplate = system.power_per_chip;
    alternative.host_power = max(Watts(0.0), nameplate.value - own);
    const Watts more = alternative.chip.power.value - own;
    if (!(nameplate.value > Watts(0.0)) || more == Watts(0.0)) return;
    nameplate.value = alternative.host_power + alternative.chip.power.value;
    for (std::optional<Watts>* end : {&nameplate.low, &nameplate.high}) {
        if (*end) *end = max(alternative.chip.power.value, **end + more);
    }
    nameplate.confidence = std::max(nameplate.confidence, Confidence::derived);
}

// The degrees that were left open, and whether they fill the ranks.
void fill_mapping(ResolvedAlternative& alternative, Problems& problems) {
    PoolSpec& pool = alternative.pool;
    MappingSpec& mapping = pool.mapping;
    const auto within = static_cast<double>(mapping.group_ranks());
    // Degrees beside data_parallel, as a problem names them.
    const std::string degrees =
        fmt::format("tensor_parallel {}{} x pipeline_parallel {}", mapping.tensor_parallel,
                    mapping.context_parallel() > 1
                        ? fmt::format(" x context_parallel {}", mapping.context_parallel())
                        : "",
                    mapping.pipeline_parallel);
    const bool divides = std::fmod(alternative.ranks, within) == 0;
    if (mapping.expert_parallel == 0)
        mapping.expert_parallel = std::max(1, alternative.ranks / mapping.pipeline_parallel);
    if (mapping.data_parallel == 0) {
        if (divides) {
            mapping.data_parallel = alternative.ranks / static_cast<int>(within);
            return;
        }
        problems.push_back(at_key(pool, "mapping",
                                  fmt::format("{} does not divide the {} ranks of {} chips",
                                              degrees, alternative.ranks, pool.chips)));
        return;
    }
    const double product = mapping.data_parallel * within;
    if (product == alternative.ranks) return;
    const double chips = product / alternative.chip.ranks;
    std::string hint;
    if (chips == std::floor(chips) && chips <= static_cast<double>(alternative.system.chips)) {
        hint = fmt::format("chips: {} would do", chips);
    } else if (divides) {
        hint = fmt::format("data_parallel: {} would do", alternative.ranks / within);
    }
    problems.push_back(at_key(
        pool, "mapping",
        fmt::format("data_parallel {} x {} are {} ranks, but {} chips of {} rank{} are {}",
                    mapping.data_parallel, degrees, product, pool.chips, alternative.chip.ranks,
                    alternative.chip.ranks == 1 ? "" : "s", alternative.ranks),
        std::move(hint)));
}

double given_batch(const BatchSpec& batch) {
    if (batch.tokens_per_rank) return batch.tokens_per_rank->value();
    return static_cast<double>(batch.per_chip   ? *batch.per_chip
                               : batch.per_rank ? *batch.per_rank
                                                : batch.per_group.value_or(0));
}

void check_batch(const ResolvedAlternative& alternative, const WorkloadSpec& workload,
                 Problems& problems) {
    if (!alternative.batch.given() || alternative.batch.latency_target) return;
    const double sequences = sequences_per_group(alternative, workload);
    if (sequences == std::floor(sequences)) return;
    // What one sequence a group takes, in the batch's own count.
    const double given = given_batch(alternative.batch), one = given / sequences;
    const double less = std::floor(sequences) * one, more = std::ceil(sequences) * one;
    const long group = alternative.pool.mapping.group_ranks();
    std::string hint;
    if (more == std::floor(more))
        hint =
            less >= 1 ? fmt::format("{} or {} would", less, more) : fmt::format("{} would", more);
    problems.push_back(at_batch(
        alternative, workload,
        fmt::format("{} makes {:.4g} sequences for each {} of {}, expected whole ones", given,
                    sequences,
                    group == 1 ? "rank" : fmt::format("data-parallel group of {} ranks", group),
                    alternative.name),
        std::move(hint)));
}

// Runs `action` and keeps what is wrong. Returns whether nothing was.
template <class Action>
bool attempt(Problems& problems, Action&& action) {
    try {
        action();
        return true;
    } catch (const InputError& error) {
        problems.insert(problems.end(), error.diagnostics().begin(), error.diagnostics().end());
        return false;
    }
}

// Loads what a pool rests on, and keeps what is wrong.
class Loader {
  public:
    Loader(Catalog& catalog, PoolSpec& pool, Problems& problems)
        : catalog_(catalog), pool_(pool), problems_(problems) {}

    // A name that the pool does not give comes from the document `giver` of its system or chip, and
    // an error in it stands there. Returns whether the Spec could be read.
    template <class Spec>
    bool load(const char* kind, std::string& name, const Node* giver, Node& document, Spec& spec,
              Spec (*read)(const Node&, const std::string&)) {
        return attempt(problems_, [&] {
            Place place = pool_.places.of(kind);
            std::string path = pool_.path + "." + kind;
            if (name.empty()) {
                const Node* given = giver->find(kind);
                name = given->text;
                place = given->place;
                path = kind;
            }
            document = catalog_.load(kind, name, place, path);
            spec = read(document, name);
        });
    }

  private:
    Catalog& catalog_;
    PoolSpec& pool_;
    Problems& problems_;
};

}  // namespace

void load_process(ChipSpec& chip, const Node& document, Catalog& catalog) {
    if (!chip.silicon) return;
    const Node* silicon = document.find("silicon");
    const Node* named = silicon != nullptr ? silicon->find("process") : nullptr;
    const std::string& name = chip.silicon->process;
    chip.process =
        read_process(catalog.load("process", name, named != nullptr ? named->place : document.place,
                                  "silicon.process"),
                     name);
}

ChipSpec load_chip(Catalog& catalog, const std::string& name, const Place& asked_at,
                   const std::string& path) {
    const Node document = catalog.load("chip", name, asked_at, path);
    ChipSpec chip = read_chip(document, name);
    load_process(chip, document, catalog);
    return chip;
}

namespace {

// The counts of a histogram. What is used of the file goes into the catalog, so that a result
// carries it and can be run again without the file.
void load_histogram(PoolSpec& pool, Catalog& catalog) {
    ExpertsSpec& experts = pool.experts;
    if (experts.popularity != Popularity::histogram) return;
    const Place place = pool.places.of("experts.histogram");
    const std::string path = pool.path + ".experts.histogram";
    std::string name = experts.histogram;
    if (!experts.histogram_part.empty()) name += "#" + experts.histogram_part;
    if (!catalog.holds("routing", name)) {
        const std::string file = catalog.file_of("routing", experts.histogram, place, path);
        catalog.embed("routing", name, read_routing(file, experts.histogram_part));
    }
    experts.counts = expert_counts(catalog.load("routing", name, place, path));
}

// The same step by step, of training.
void load_steps(const WorkloadSpec& workload, ResolvedAlternative& result, Catalog& catalog) {
    if (!workload.training || workload.training->load_steps.empty()) return;
    const std::string& part = workload.training->load_steps;
    const ExpertsSpec& experts = result.pool.experts;
    if (experts.popularity != Popularity::histogram) {
        throw InputError(
            {at_key(workload, "load_steps", "names steps of a histogram, and popularity is none",
                    "experts: {popularity: histogram, histogram: FILE}")});
    }
    const Place place = result.pool.places.of("experts.histogram");
    const std::string path = result.pool.path + ".experts.histogram";
    const std::string name = experts.histogram + "#by step: " + part;
    if (!catalog.holds("routing", name)) {
        const std::string file = catalog.file_of("routing", experts.histogram, place, path);
        catalog.embed("routing", name, read_routing_steps(file, part));
    }
    result.load_steps = expert_count_steps(catalog.load("routing", name, place, path));
}

// The memory devices that a chip names have to be there and to agree with it. Returns their
// document.
Node look_at_memory(ResolvedAlternative& result, const Node& document, Catalog& catalog) {
    if (!result.chip.memory) return {};
    const std::string& name = result.chip.memory->device;
    Node found = catalog.load("memory", name, document.find("memory")->place, "memory.device");
    result.memory = read_memory(found, name);
    for (const Diagnostic& odd : check_memory(result.chip, *result.memory, document))
        result.warnings.push_back(fmt::format("chip {}: {}", result.chip.name, odd.what));
    return found;
}

// Where its record does not say the power of a chip, or no price list has the system, its bill of
// parts says what a chip draws and what of the system it has to pay.
void add_bill(SystemSpec& system, const ChipSpec& chip, const Node& document,
              const ResolvedExperiment& experiment, Catalog& catalog) {
    const auto& known = experiment.prices.systems;
    const bool priced = known.count(system.name) > 0 || known.count(system.variant_of) > 0;
    const bool powered = system.power_per_chip.value > Watts(0.0);
    if (system.bill.parts.empty() || (priced && powered)) return;
    const Place place = document.find("bill")->place;
    const PartListSpec parts = read_parts(
        catalog.load("parts", system.bill.parts, place, "bill.parts"), system.bill.parts);
    chip_power_from(system, power_as_built(own_chip(chip, system, document, catalog)));
    try {
        const Bill bill = bill_of(system, parts);
        power_from_bill(system, bill, parts);
        if (!priced) system.built_share = share_by_bill(system, bill, parts);
    } catch (const std::invalid_argument& error) {
        throw InputError(place, "bill", error.what(), "podsim show parts NAME lists them");
    }
}

// What the fabric or the library refuses: no route, an algorithm that is not there. A group beyond
// the pool is said where it runs.
void check_collective(const ResolvedAlternative& result, const WorkloadSpec& workload,
                      Problems& problems) {
    if (workload.collective->group_ranks > result.ranks) return;
    try {
        (void)make_coflow(*workload.collective, rank_fabric(result.system, result.chip.ranks),
                          result.collectives, result.ranks);
    } catch (const std::invalid_argument& error) {
        problems.push_back(at_key(workload, "collective", error.what(), ""));
    }
}

void check_tiling(const PoolSpec& pool, const ChipSpec& chip, Problems& problems) {
    if (!pool.tiling) return;
    const RankHardware hardware = rank_hardware(chip);
    if (!hardware.core) return;
    for (TilingProblem& problem : tiling_problems(*pool.tiling, *hardware.core)) {
        problems.push_back(at_key(pool, "tiling." + problem.key, std::move(problem.what),
                                  std::move(problem.hint)));
    }
}

// Loads everything that can be found, so that all that is wrong is said in one go; a mapping is
// looked at when system and chip are known.
void resolve_alternative(ResolvedAlternative& result, const ResolvedExperiment& experiment,
                         Catalog& catalog, Problems& problems) {
    const WorkloadSpec& workload = experiment.spec.workload;
    PoolSpec& pool = result.pool;
    Loader loader(catalog, pool, problems);
    Node system, chip, memory, other;
    const bool has_system =
        loader.load("system", pool.system, nullptr, system, result.system, read_system);
    const bool has_chip = (has_system || !pool.chip.empty()) &&
                          loader.load("chip", pool.chip, &system, chip, result.chip, read_chip) &&
                          attempt(problems, [&] { load_process(result.chip, chip, catalog); });
    if (has_chip) attempt(problems, [&] { memory = look_at_memory(result, chip, catalog); });
    if (has_system && has_chip) {
        attempt(problems,
                [&] { add_bill(result.system, result.chip, system, experiment, catalog); });
        attempt(problems, [&] { divide_power(result, system, catalog); });
    }
    if (has_system) {
        if (!pool.slice.empty()) cut_slice(result.system, pool, problems);
        for (const std::string& what : break_parts(result.system, pool.faults, pool.path, problems))
            result.warnings.push_back("broken: " + what);
    }
    if (has_chip || !pool.kernels.empty())
        loader.load("kernels", pool.kernels, &chip, other, result.kernels, read_kernel_library);
    if (pool.tiling) result.kernels.tiling = *pool.tiling;
    if (has_chip) attempt(problems, [&] { check_tiling(pool, result.chip, problems); });
    if (has_chip) note_variant(result, chip, memory);
    if (has_system || !pool.collectives.empty())
        loader.load("collectives", pool.collectives, &system, other, result.collectives,
                    read_collective_library);
    const bool trains = workload.kind == WorkloadKind::training;
    if (is_step(workload.kind) || trains) {
        if (pool.engine.empty()) {
            pool.engine = trains ? "megatron" : "nominal";
            result.warnings.push_back(
                fmt::format("no engine is named: the {} one stands in", pool.engine));
        }
        result.engine.emplace();
        if (loader.load("engine", pool.engine, nullptr, other, *result.engine, read_engine)) {
            if (result.engine->training.has_value() != trains) {
                problems.push_back(
                    at_key(pool, "engine",
                           fmt::format("{} {}", pool.engine, trains ? "does not train" : "trains"),
                           trains ? "megatron, or one with a section `training`"
                                  : "nominal, or one without a section `training`"));
            } else if (!trains) {
                mark_other_phase(result, workload.kind);
            }
        }
        attempt(problems, [&] { load_histogram(pool, catalog); });
        attempt(problems, [&] { load_steps(workload, result, catalog); });
    }
    if (workload.collective && is_routed(pool.experts)) {
        const std::size_t known = problems.size();
        attempt(problems, [&] { load_histogram(pool, catalog); });
        if (problems.size() == known) check_routed(workload, pool, problems);
    }
    // The gap between the kernels of an exchange, where somebody launches them one by one.
    if (workload.layer && pool.exchanges_layer() && !pool.engine.empty()) {
        result.engine.emplace();
        loader.load("engine", pool.engine, nullptr, other, *result.engine, read_engine);
    }
    if (!has_system || !has_chip) return;
    if (pool.chips > result.system.chips) {
        problems.push_back(at_key(pool, "chips",
                                  fmt::format("{} chips asked of {}, which has {}", pool.chips,
                                              result.system.name, result.system.chips),
                                  fmt::format("at most {}", result.system.chips)));
        return;
    }
    if (experiment.spec.site_power && result.chip.power.value > Watts(0.0)) {
        const double overhead = experiment.prices.power_usage_effectiveness.value;
        const Watts site = *experiment.spec.site_power, each = result.system.power_per_chip.value;
        const long fed = chips_fed(site / std::max(1.0, overhead), each);
        if (pool.chips > fed) {
            problems.push_back(
                at_key(pool, "chips",
                       fmt::format("{} chips of {} at a power usage effectiveness of {} draw {}, "
                                   "site_power is {}",
                                   pool.chips, to_string(each), overhead,
                                   to_string(each * (overhead * pool.chips)), to_string(site)),
                       fmt::format("at most {} chips", fed)));
            return;
        }
    }
    result.packages = pool.chips;
    result.ranks = pool.chips * result.chip.ranks;
    result.batch = pool.batch.given() ? pool.batch : workload.batch;
    if (is_step(workload.kind)) {
        check_charge(result, problems);
        fill_offload(result, problems);
        const std::size_t known = problems.size();
        // Pools that hold half a model say how; the rule sees whole ones.
        const bool whole = pool.role != "attention" && pool.role != "ffn";
        if (whole && experiment.model && result.engine) choose_mapping(experiment, result);
        fill_mapping(result, problems);
        if (whole && problems.size() == known && experiment.model)
            note_chosen(*experiment.model, result);
        check_batch(result, workload, problems);
    }
    if (trains) fill_training_mapping(experiment, result);
    if (workload.kind != WorkloadKind::collective) mark_carried_over(result);
    if (workload.collective && problems.empty()) check_collective(result, workload, problems);
}

}  // namespace

Diagnostic at_key(const PoolSpec& pool, const std::string& key, std::string what,
                  std::string hint) {
    return {pool.places.of(key), pool.path + "." + key, std::move(what), std::move(hint)};
}

Diagnostic at_key(const WorkloadSpec& workload, const std::string& key, std::string what,
                  std::string hint) {
    return {workload.places.of(key), "workload." + key, std::move(what), std::move(hint)};
}

Diagnostic at_batch(const ResolvedAlternative& alternative, const WorkloadSpec& workload,
                    std::string what, std::string hint) {
    const std::string key = alternative.batch.key();
    if (!alternative.pool.batch.given())
        return at_key(workload, key, std::move(what), std::move(hint));
    return at_key(alternative.pool, key, std::move(what), std::move(hint));
}

double sequences_per_group(const ResolvedAlternative& alternative, const WorkloadSpec& workload) {
    const BatchSpec& batch = alternative.batch;
    const double given = given_batch(batch);
    const auto group = static_cast<double>(alternative.pool.mapping.group_ranks());
    if (batch.per_chip) return given * group / alternative.chip.ranks;
    if (batch.per_rank) return given * group;
    if (batch.tokens_per_rank) return given * group / workload.computed().value();
    return given;
}

namespace {

// The prompt's images with the tower that makes tokens of them, which lengthen it.
void add_images(const Node& config, ResolvedExperiment& result) {
    constexpr double most_tokens = 1e9;  // as of a prompt
    WorkloadSpec& workload = result.spec.workload;
    if (!workload.images) return;
    const auto tower = read_vision_tower(config, *result.model);
    if (!tower) {
        throw InputError(
            {at_key(workload, "images",
                    fmt::format("{} has no vision tower (vision_config)", result.model->name),
                    "remove it, or take a model that sees")});
    }
    const ImagesSpec& images = *workload.images;
    result.images = StepImages{*tower, {images.width, images.height, images.frames}, images.count};
    workload.image_tokens = Tokens(static_cast<double>(result.images->tokens()));
    workload.context += workload.image_tokens;
    if (workload.context.value() > most_tokens) {
        throw InputError({at_key(workload, "images",
                                 fmt::format("make {:.0f} tokens, with the prompt more than {:.0f}",
                                             workload.image_tokens.value(), most_tokens))});
    }
}

void load_draft(ResolvedExperiment& result, Catalog& catalog) {
    SpeculationSpec& speculation = result.spec.workload.speculation;
    if (speculation.draft_model.empty()) return;
    const Place place = result.spec.workload.places.of("speculation");
    const Node& config =
        catalog.load("model", speculation.draft_model, place, "workload.speculation.draft_model");
    speculation.draft = std::make_shared<const ModelSpec>(
        read_model(config, speculation.draft_model, result.unexpected));
}

// A head of one layer reads the hidden states of the model it was trained with; a model that drafts
// by itself has to have its tokens.
void check_draft(const ResolvedExperiment& result) {
    const WorkloadSpec& workload = result.spec.workload;
    const ModelSpec* draft = workload.speculation.draft.get();
    if (draft == nullptr || !result.model) return;
    const ModelSpec& model = *result.model;
    if (layer_count(*draft) > 1 || draft->hidden == model.hidden) return;
    throw InputError({at_key(
        workload, "speculation.draft_model",
        fmt::format(
            "{} is the head of another model: its hidden states are {} wide, those of {} {}",
            draft->name, draft->hidden, model.name, model.hidden),
        "a head of that model, or a model of its family that drafts by itself")});
}

std::vector<std::string> draft_notes(const ResolvedExperiment& result) {
    const ModelSpec* draft = result.spec.workload.speculation.draft.get();
    if (draft == nullptr || !result.model) return {};
    const bool is_head = layer_count(*draft) == 1;
    const long own = draft->vocabulary, wanted = result.model->vocabulary;
    if (is_head ? own <= wanted : own == wanted) return {};
    return {
        fmt::format("{} drafts of a vocabulary of {} tokens, {} has {}: engines refuse drafts of "
                    "other tokens",
                    draft->name, own, result.model->name, wanted)};
}

// What means nothing to a model without experts.
std::vector<std::string> expert_notes(const ResolvedExperiment& result, const PoolSpec& pool) {
    if (!result.model || has_experts(*result.model)) return {};
    std::vector<std::string> notes;
    const auto note = [&](const char* key, long value) {
        notes.push_back(fmt::format("{}: {} means nothing to {}, which has no experts", key, value,
                                    result.model->name));
    };
    if (pool.experts.redundant > 0) note("experts.redundant", pool.experts.redundant);
    if (pool.mapping.expert_parallel > 1)
        note("mapping.expert_parallel", pool.mapping.expert_parallel);
    return notes;
}

}  // namespace

ResolvedExperiment resolve(const Node& experiment, Catalog& catalog) {
    ResolvedExperiment result;
    result.spec = read_experiment(experiment);
    Problems problems;
    const WorkloadSpec& workload = result.spec.workload;
    if (is_step(workload.kind) || workload.kind == WorkloadKind::training || workload.serving) {
        attempt(problems, [&] {
            const Node& config = catalog.load("model", workload.model, workload.places.of("model"),
                                              "workload.model");
            result.model = read_model(config, workload.model, result.unexpected);
            add_images(config, result);
        });
        attempt(problems, [&] {
            load_draft(result, catalog);
            check_draft(result);
        });
    }
    if (workload.replay) attempt(problems, [&] { load_trace(result, catalog); });
    if (workload.serving) attempt(problems, [&] { load_traffic(result, catalog); });
    attempt(problems, [&] {
        const Node* prices = experiment.find("prices");
        result.prices = read_prices(
            catalog.load("prices", result.spec.prices,
                         prices != nullptr ? prices->place : experiment.place, "prices"),
            result.spec.prices);
    });
    // Cache tiers are paid for by what they are made of.
    const auto look_at_media = [&](const SchedulerSettings& settings, const auto& owner) {
        if (!settings.cache_tiers) return;
        for (const CacheTierSetting& tier : *settings.cache_tiers) {
            const auto& media = result.prices.media;
            if (tier.medium.empty() || media.count(tier.medium) > 0) continue;
            std::string known;
            for (const auto& [name, price] : media) known += (known.empty() ? "" : ", ") + name;
            problems.push_back(
                at_key(owner, "scheduler.cache_tiers",
                       fmt::format("{}: prices {} know no medium {}", tier.name, result.prices.name,
                                   tier.medium),
                       known.empty() ? "media of a price list of your own" : "one of: " + known));
        }
    };
    if (workload.serving) look_at_media(workload.serving->scheduler, workload);
    // A replica of a serving pool is resolved as what it decodes or reads by itself.
    const auto resolved_pool = [&](const AlternativeSpec& alternative, const PoolSpec& pool) {
        for (Diagnostic& problem : timed_fault_problems(pool, workload.kind))
            problems.push_back(std::move(problem));
        ResolvedAlternative resolved;
        resolved.name = alternative.name;
        resolved.pool = pool;
        for (const Diagnostic& key : result.unexpected) resolved.warnings.push_back(to_string(key));
        for (const auto& notes : {draft_notes(result), expert_notes(result, pool)})
            resolved.warnings.insert(resolved.warnings.end(), notes.begin(), notes.end());
        if (workload.serving) {
            resolved.pool.chips = pool.chips / pool.replicas;
            if (result.model) choose_popularity(*result.model, resolved);
            resolve_alternative(resolved, replica_experiment(result, pool), catalog, problems);
            look_at_media(pool.scheduler, pool);
            if (pool.experts.offload.is_used() && !pool.experts.offload.resident)
                problems.push_back(
                    at_key(pool, "experts.offload.resident",
                           "is missing: in serving the cache takes what the experts leave",
                           "resident: 30 %"));
            if (workload.serving->expert_balance && result.model)
                attempt(problems, [&] {
                    load_drift(*workload.serving->expert_balance, workload, resolved.pool,
                               *result.model, catalog);
                });
        } else if (pool.role == "ffn") {
            // It has no sequences of its own: its batch is the attention pool's.
            resolve_alternative(resolved, replica_experiment(result, pool), catalog, problems);
        } else {
            resolve_alternative(resolved, result, catalog, problems);
        }
        return resolved;
    };
    for (const auto& alternative : result.spec.alternatives) {
        ResolvedAlternative resolved = resolved_pool(alternative, alternative.pools.front());
        if (workload.serving || alternative.pools.size() > 1) {
            resolved.pools = {resolved};
            for (std::size_t i = 1; i < alternative.pools.size(); ++i)
                resolved.pools.push_back(resolved_pool(alternative, alternative.pools[i]));
        }
        result.alternatives.push_back(std::move(resolved));
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    note_libraries(result.alternatives);
    return result;
}

RankHardware hardware_of(const ResolvedAlternative& alternative) {
    RankHardware hardware = rank_hardware(alternative.chip);
    const RankFabric fabric = rank_fabric(alternative.system, alternative.chip.ranks);
    hardware.host_bandwidth = host_rate(alternative, hardware.host_bandwidth);
    hardware.pool_bandwidth = fabric.scale_up;
    hardware.pool_latency = fabric.scale_up_latency;
    return hardware;
}

}  // namespace podsim
