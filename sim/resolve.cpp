#include "sim/resolve.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "chips/cost.hpp"

namespace podsim {

namespace {

using Problems = std::vector<Diagnostic>;

void add(Problems& problems, const InputError& error) {
    problems.insert(problems.end(), error.diagnostics().begin(), error.diagnostics().end());
}

Place place_of(const PoolSpec& pool, const std::string& key) {
    const auto found = pool.key_places.find(key);
    return found != pool.key_places.end() ? found->second : pool.place;
}

// A library measured on another chip is evidence carried over, not measured here.
void mark_carried_over(ResolvedAlternative& alternative) {
    if (alternative.kernels.chip == alternative.chip.name) return;
    alternative.warnings.push_back(
        fmt::format("kernel library {} was fitted on {}, not on {}: its habits are carried over",
                    alternative.kernels.name, alternative.kernels.chip, alternative.chip.name));
    for (FitRecord* record : records_of(alternative.kernels)) {
        if (record->basis == Confidence::measured) record->basis = Confidence::derived;
    }
}

void fill_mapping(ResolvedAlternative& alternative, WorkloadKind kind, Problems& problems) {
    PoolSpec& pool = alternative.pool;
    if (pool.chips > alternative.system.chips) {
        problems.push_back(at_key(pool, "chips",
                                  fmt::format("{} chips asked of {}, which has {}", pool.chips,
                                              alternative.system.name, alternative.system.chips),
                                  fmt::format("at most {}", alternative.system.chips)));
    }
    if (kind != WorkloadKind::decode) return;
    MappingSpec& mapping = pool.mapping;
    if (mapping.data_parallel == 0) {
        if (alternative.ranks % (mapping.tensor_parallel * mapping.pipeline_parallel) != 0) {
            problems.push_back(
                at_key(pool, "mapping",
                       fmt::format("tensor_parallel {} does not divide the {} ranks of {} chips",
                                   mapping.tensor_parallel, alternative.ranks, pool.chips)));
            return;
        }
        mapping.data_parallel =
            alternative.ranks / (mapping.tensor_parallel * mapping.pipeline_parallel);
    }
    if (mapping.expert_parallel == 0) mapping.expert_parallel = alternative.ranks;
    if (mapping.ranks() != alternative.ranks) {
        problems.push_back(at_key(
            pool, "mapping",
            fmt::format("data_parallel {} x tensor_parallel {} x pipeline_parallel {} are {} "
                        "ranks, but {} chips of {} rank{} are {}",
                        mapping.data_parallel, mapping.tensor_parallel, mapping.pipeline_parallel,
                        mapping.ranks(), pool.chips, alternative.chip.ranks,
                        alternative.chip.ranks == 1 ? "" : "s", alternative.ranks),
            mapping.ranks() % alternative.chip.ranks == 0
                ? fmt::format("chips: {} would do", mapping.ranks() / alternative.chip.ranks)
                : fmt::format(
                      "data_parallel: {} would do",
                      alternative.ranks / (mapping.tensor_parallel * mapping.pipeline_parallel))));
    }
}

void check_batch(const ResolvedAlternative& alternative, const WorkloadSpec& workload,
                 Problems& problems) {
    const long ranks = alternative.chip.ranks;
    if (!alternative.batch.per_chip || *alternative.batch.per_chip % ranks == 0) return;
    const long batch = *alternative.batch.per_chip;
    Diagnostic problem =
        at_key(alternative.pool, "batch_per_chip",
               fmt::format("{} sequences do not divide over the {} ranks of one {} ({})", batch,
                           ranks, alternative.chip.name, alternative.name),
               batch < ranks ? fmt::format("{} would", ranks)
                             : fmt::format("{} or {} would", batch / ranks * ranks,
                                           (batch / ranks + 1) * ranks));
    if (!alternative.pool.batch.given()) {
        problem.place = workload.batch_place;
        problem.path = "workload.batch_per_chip";
    }
    problems.push_back(std::move(problem));
}

ResolvedAlternative resolve_alternative(const AlternativeSpec& spec, const WorkloadSpec& workload,
                                        Catalog& catalog, Problems& problems) {
    ResolvedAlternative result;
    result.name = spec.name;
    result.pool = spec.pools.front();
    PoolSpec& pool = result.pool;
    const auto load = [&](const char* kind, const std::string& name, const char* key) {
        return catalog.load(kind, name, place_of(pool, key), pool.path + "." + key);
    };
    result.system = read_system(load("system", pool.system, "system"), pool.system);
    if (pool.chip.empty()) pool.chip = result.system.chip;
    result.chip = read_chip(load("chip", pool.chip, "chip"), pool.chip);
    // The rest does not hang on the system and the chip being right: report all that is wrong.
    const std::size_t before = problems.size();
    const auto attempt = [&](auto&& action) {
        try {
            action();
        } catch (const InputError& error) {
            add(problems, error);
        }
    };
    if (pool.kernels.empty()) pool.kernels = result.chip.kernels;
    if (pool.collectives.empty()) pool.collectives = result.system.collectives;
    attempt([&] {
        result.kernels =
            read_kernel_library(load("kernels", pool.kernels, "kernels"), pool.kernels);
    });
    attempt([&] {
        result.collectives = read_collective_library(
            load("collectives", pool.collectives, "collectives"), pool.collectives);
    });
    if (workload.kind == WorkloadKind::decode) {
        if (pool.engine.empty()) {
            pool.engine = "nominal";
            result.warnings.push_back("no engine is named: the nominal one stands in");
        }
        attempt([&] {
            result.engine = read_engine(load("engine", pool.engine, "engine"), pool.engine);
        });
    }
    result.packages = pool.chips;
    result.ranks = pool.chips * result.chip.ranks;
    result.batch = pool.batch.given() ? pool.batch : workload.batch;
    fill_mapping(result, workload.kind, problems);
    check_batch(result, workload, problems);
    if (problems.size() == before) mark_carried_over(result);
    return result;
}

}  // namespace

Diagnostic at_key(const PoolSpec& pool, const std::string& key, std::string what,
                  std::string hint) {
    return {place_of(pool, key), pool.path + "." + key, std::move(what), std::move(hint)};
}

ResolvedExperiment resolve(const Node& experiment, Catalog& catalog) {
    ResolvedExperiment result;
    result.spec = read_experiment(experiment);
    Problems problems;
    const Node* workload = experiment.find("workload");
    if (!result.spec.workload.model.empty()) {
        const Node* model = workload->find("model");
        try {
            result.model = read_model(
                catalog.load("model", result.spec.workload.model, model->place, "workload.model"),
                result.spec.workload.model);
        } catch (const InputError& error) {
            add(problems, error);
        }
    }
    try {
        const Node* prices = experiment.find("prices");
        result.prices = read_prices(
            catalog.load("prices", result.spec.prices,
                         prices != nullptr ? prices->place : experiment.place, "prices"),
            result.spec.prices);
    } catch (const InputError& error) {
        add(problems, error);
    }
    for (const auto& alternative : result.spec.alternatives) {
        try {
            result.alternatives.push_back(
                resolve_alternative(alternative, result.spec.workload, catalog, problems));
        } catch (const InputError& error) {
            add(problems, error);
        }
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    return result;
}

}  // namespace podsim
