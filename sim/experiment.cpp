#include "sim/experiment.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <stdexcept>

#include "base/names.hpp"
#include "sim/audit.hpp"
#include "sim/default_mapping.hpp"
#include "sim/disaggregated_run.hpp"
#include "sim/memory_shares.hpp"
#include "sim/plan_run.hpp"
#include "sim/replay_run.hpp"
#include "sim/resolve.hpp"
#include "sim/serving_plan.hpp"
#include "sim/serving_run.hpp"
#include "sim/single_run.hpp"
#include "sim/step_run.hpp"
#include "sim/training_run_step.hpp"

namespace podsim {

namespace {

nlohmann::ordered_json configuration_of(const Node& experiment, const Catalog& catalog) {
    nlohmann::ordered_json result;
    result["experiment"] = to_json(experiment);
    result["documents"] = nlohmann::ordered_json::object();
    result["origins"] = nlohmann::ordered_json::object();
    for (const auto& [path, origin] : origins(experiment))
        result["origins"]["experiment." + path] = origin;
    for (const auto& [name, document] : catalog.used_documents()) {
        result["documents"][name] = to_json(document);
        for (const auto& [path, origin] : origins(document))
            result["origins"][name + "." + path] = origin;
    }
    return result;
}

// "a, b": of all pools, each name once, in their order.
template <class Name>
std::string names_of_pools(const ResolvedAlternative& alternative, const Name& name) {
    if (alternative.pools.empty()) return name(alternative);
    std::vector<std::string> names;
    for (const ResolvedAlternative& pool : alternative.pools) {
        if (std::find(names.begin(), names.end(), name(pool)) == names.end())
            names.push_back(name(pool));
    }
    return fmt::format("{}", fmt::join(names, ", "));
}

AlternativeResult run_alternative(const ResolvedExperiment& experiment,
                                  const ResolvedAlternative& alternative, const RunOptions& options,
                                  RunCounts& counts) {
    AlternativeResult result;
    switch (experiment.spec.workload.kind) {
        case WorkloadKind::decode:
        case WorkloadKind::prefill:
            result = is_disaggregated_step(experiment.spec.workload, alternative)
                         ? run_disaggregated_step(experiment, alternative, options, counts)
                         : run_serving_step(experiment, alternative, options, counts);
            break;
        case WorkloadKind::kernel:
        case WorkloadKind::collective:
            result = run_single(experiment, alternative, options, counts);
            break;
        case WorkloadKind::training:
            result = run_training(experiment, alternative, options, counts);
            break;
        case WorkloadKind::replay:
            result = run_replay(experiment, alternative, options, counts);
            break;
        case WorkloadKind::serving:
            result = run_serving(experiment, alternative, options, counts);
            break;
    }
    result.name = alternative.name;
    const auto of_pools = [&](const auto& name) { return names_of_pools(alternative, name); };
    result.system = of_pools([](const auto& pool) { return pool.system.name; });
    result.chip = of_pools([](const auto& pool) { return pool.chip.name; });
    result.engine =
        of_pools([](const auto& pool) { return pool.engine ? pool.engine->name : std::string(); });
    result.kernels = of_pools([](const auto& pool) { return pool.kernels.name; });
    result.collectives = of_pools([](const auto& pool) { return pool.collectives.name; });
    result.fidelity = to_string(fidelity_of(options, alternative.chip));
    // Packets are run for one collective by itself (sim/packet_collective).
    if (options.fidelity == Fidelity::cycle && result.totals.sent_bytes > 0 &&
        experiment.spec.workload.kind != WorkloadKind::collective)
        result.warnings.emplace_back("transfers take what they take at tile: no packets are run");
    const bool has_pools = !alternative.pools.empty();  // then of all replicas of all pools
    if (!has_pools) result.packages = alternative.packages;
    if (!has_pools) result.ranks = alternative.ranks;
    result.ranks_per_chip = alternative.chip.ranks;
    return result;
}

// Numbers that are each possible and together last longer than 106 days are the user's, not ours.
AlternativeResult run_within_time(const ResolvedExperiment& experiment,
                                  const ResolvedAlternative& alternative, const RunOptions& options,
                                  RunCounts& counts) {
    try {
        return run_alternative(experiment, alternative, options, counts);
    } catch (const std::range_error& error) {
        throw InputError(alternative.pool.places.map, "alternatives." + alternative.name,
                         error.what(),
                         "a size, a bandwidth, a latency or a ratio of the workload, the system or "
                         "its libraries is out of proportion");
    }
}

// The resolved configuration says what was chosen, and that it was.
void write_chosen(const ResolvedExperiment& experiment, Node& document) {
    const Place rule{kDefaultRule, 0, 0};
    Node& list = *document.find("alternatives");
    for (std::size_t i = 0; i < experiment.alternatives.size(); ++i) {
        Node* pools = list.items[i].find("pools");
        const ResolvedAlternative& alternative = experiment.alternatives[i];
        for (std::size_t p = 0; p < std::max<std::size_t>(1, alternative.pools.size()); ++p) {
            Node& pool = pools != nullptr ? pools->items[p] : list.items[i];
            const auto& chosen =
                alternative.pools.empty() ? alternative.chosen : alternative.pools[p].chosen;
            for (const auto& [key, value] : chosen) set_path(pool, key, value, rule);
        }
    }
}

// Throws InputError for a level of detail that what is known of the chip does not carry.
void require_fidelity(const WorkloadSpec& workload, const ResolvedAlternative& alternative,
                      std::optional<Fidelity> asked) {
    const ChipSpec& chip = alternative.chip;
    if (!asked || *asked == Fidelity::analytic) return;
    // A collective without a kernel's own work asks nothing of the chip's cores.
    if (workload.moves_bytes_alone()) return;
    const auto refuse = [&](const std::string& why, const char* hint) {
        throw InputError(
            {at_key(alternative.pool, "chip",
                    fmt::format("fidelity {} asks for {}", to_string(*asked), why), hint)});
    };
    if (!chip.cores) {
        refuse(fmt::format("the cores of {}, of which only a data sheet is known", chip.name),
               "leave --fidelity away (this alternative then runs at analytic, with a band), or "
               "give the chip a section cores");
    }
    if (*asked == Fidelity::cycle && !chip.core) {
        refuse(
            fmt::format("the structure of a core of {}, which its file does not have", chip.name),
            "leave --fidelity away (it then runs at tile), or give the chip a section core");
    }
}

// Everything wrong anywhere is said before the first run begins. `document` gets the settings.
ResolvedExperiment checked(Node& document, Catalog& catalog, const std::string& cache_folder,
                           std::optional<Fidelity> fidelity = {}) {
    catalog.apply_experiment_settings(document);
    ResolvedExperiment resolved = resolve(document, catalog);
    measure_memories(resolved, cache_folder, fidelity);
    write_chosen(resolved, document);
    const WorkloadKind kind = resolved.spec.workload.kind;
    std::vector<Diagnostic> problems;
    for (const auto& asked : resolved.alternatives) {
        // At cycle every operator is cut for the core, as at tile with a structural library.
        std::optional<ResolvedAlternative> cut;
        if (fidelity == Fidelity::cycle && asked.chip.core) {
            cut = asked;
            cut->kernels.kind = KernelKind::structural;
        }
        const ResolvedAlternative& alternative = cut ? *cut : asked;
        try {
            require_fidelity(resolved.spec.workload, alternative, fidelity);
            if (resolved.spec.plan) {
                check_plan(resolved, alternative);
                continue;
            }
            if (resolved.spec.serving_plan) {
                check_serving_plan(resolved, alternative);
                continue;
            }
            if (kind == WorkloadKind::replay) {
                check_replay(resolved, alternative);
            } else if (kind == WorkloadKind::serving) {
                check_serving(resolved, alternative);
            } else if (kind == WorkloadKind::training) {
                check_training(resolved, alternative);
            } else if (is_disaggregated_step(resolved.spec.workload, alternative)) {
                check_disaggregated_step(resolved, alternative);
            } else {
                is_step(kind) ? check_step(resolved, alternative)
                              : check_single(resolved, alternative);
            }
        } catch (const InputError& error) {
            problems.insert(problems.end(), error.diagnostics().begin(), error.diagnostics().end());
        }
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    catalog.require_all_settings_used();
    return resolved;
}

}  // namespace

std::vector<Diagnostic> check_experiment(const Node& experiment, Catalog& catalog) {
    Node document = experiment;
    return checked(document, catalog, "").unexpected;
}

Fidelity fidelity_of(const RunOptions& options, const ChipSpec& chip) {
    return options.fidelity.value_or(finest_fidelity(chip));
}

Result run_experiment(const Node& experiment, Catalog& catalog, const RunOptions& options) {
    Node document = experiment;
    if (const Node* plan = document.find("plan")) {
        throw InputError(plan->place, "plan", "asks for a search, not for a run",
                         "podsim plan FILE --out DIR writes experiments that run");
    }
    const ResolvedExperiment resolved =
        checked(document, catalog, options.cache_folder, options.fidelity);

    Result result;
    result.experiment = resolved.spec.name;
    result.kind = name_of(resolved.spec.workload.kind);
    result.seed = options.seed;
    result.configuration = configuration_of(document, catalog);
    RunCounts counts;
    for (const auto& alternative : resolved.alternatives) {
        if (options.progress) options.progress(alternative.name);
        AlternativeResult one = run_within_time(resolved, alternative, options, counts);
        one.audit = audit(one, result.kind, result.configuration);
        result.alternatives.push_back(std::move(one));
    }
    result.switches.driver = options.driver == Driver::systemc ? "systemc" : "plain";
    result.switches.cache = options.cache;
    result.switches.events = counts.events;
    result.switches.cache_hits = counts.cache_hits;
    result.switches.cache_misses = counts.cache_misses;
    result.switches.cache_stored_hits = counts.stored_hits;
    return result;
}

}  // namespace podsim
