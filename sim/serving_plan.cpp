#include "sim/serving_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/cache_tiers.hpp"
#include "sim/memory_shares.hpp"
#include "sim/plan_run.hpp"
#include "sim/serving_fleet.hpp"
#include "sim/serving_plan_ground.hpp"
#include "sim/serving_plan_search.hpp"

namespace podsim {

double GrowthSpec::factor() const {
    return std::pow(1 + per_month, months);
}

const std::vector<std::pair<const char*, PlanPercentile>>& names_of(const PlanPercentile*) {
    static const std::vector<std::pair<const char*, PlanPercentile>> names = {
        {"p50", PlanPercentile::p50},
        {"p90", PlanPercentile::p90},
        {"p95", PlanPercentile::p95},
        {"p99", PlanPercentile::p99}};
    return names;
}

double share_of(PlanPercentile percentile) {
    switch (percentile) {
        case PlanPercentile::p50:
            return 0.5;
        case PlanPercentile::p90:
            return 0.9;
        case PlanPercentile::p95:
            return 0.95;
        case PlanPercentile::p99:
            return 0.99;
    }
    return 1;
}

double ServingPlanForm::may_be_late() const {
    return 1 - (percentile ? share_of(*percentile) : good);
}

// Those that are late with the one and with the other may be all different.
double ServingPlanForm::least_good() const {
    return percentile ? std::max(0.0, 1 - 2 * may_be_late()) : good;
}

namespace {

constexpr double kMostGrowth = 10000;  // times the traffic that is simulated for a fleet

Diagnostic at_plan(const ResolvedExperiment& experiment, const std::string& key, std::string what,
                   std::string hint = "") {
    return {experiment.spec.plan_places.of(key), "plan." + key, std::move(what), std::move(hint)};
}

std::vector<ApiBill> api_bills(const ResolvedExperiment& experiment, Catalog& catalog,
                               const ServingPlanReport& report, std::string& list_title) {
    const ServingPlanForm& form = *experiment.spec.serving_plan;
    const ApiPriceList list = read_api_prices(
        catalog.load("api_prices", form.api_prices, experiment.spec.plan_places.of("api_prices"),
                     "plan.api_prices"),
        form.api_prices);
    list_title = list.title;
    std::vector<std::string> names = form.api;
    if (names.empty()) {
        for (const auto& [name, price] : list.prices)
            if (price.model == experiment.spec.workload.model) names.push_back(name);
    }
    std::vector<Diagnostic> problems;
    std::vector<ApiBill> bills;
    std::vector<std::string> known;
    for (const auto& [name, price] : list.prices) known.push_back(name);
    for (const std::string& name : names) {
        const auto found = list.prices.find(name);
        if (found == list.prices.end()) {
            problems.push_back(at_plan(experiment, "api",
                                       fmt::format("{} has no price {}", form.api_prices, name),
                                       fmt::format("one of: {}", fmt::join(known, ", "))));
            continue;
        }
        bills.push_back({name, found->second,
                         found->second
                             .of(Tokens(report.input_per_month), Tokens(report.cached_per_month),
                                 Tokens(report.output_per_month))
                             .value()});
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    return bills;
}

// Lists of a pool that its blocks have no use for (settings_of, sim/serving_plan_space).
std::vector<std::string> meaningless(const ReplicaChoices& choices, const std::string& role) {
    std::vector<std::string> keys;
    const auto refuse = [&](const char* key, const auto& list) {
        if (!list.empty()) keys.emplace_back(key);
    };
    if (role == "attention") refuse("expert_parallel", choices.expert_parallel);
    if (role != "ffn") return keys;
    refuse("context_parallel", choices.context_parallel);
    refuse("max_num_seqs", choices.max_num_seqs);
    refuse("max_num_batched_tokens", choices.max_num_batched_tokens);
    return keys;
}

const PoolSpec& pool_named(const ResolvedAlternative& alternative, const std::string& name) {
    for (const ResolvedAlternative& pool : alternative.pools)
        if (pool.pool.name == name) return pool.pool;
    return alternative.pool;
}

// At the key that would have to be another one, with the value that would do where it is known.
Diagnostic why_nothing(const ResolvedExperiment& experiment, std::size_t index,
                       const ServingPlanAlternative& one, const std::string& what) {
    const ResolvedAlternative& alternative = experiment.alternatives[index];
    if (one.too_slow)
        return at_key(experiment.spec.workload, "slo", what, "a longer one, or faster chips");
    if (one.tier_bandwidth) {
        const auto& pools = alternative.pools;
        const auto own = std::find_if(pools.begin(), pools.end(), [](const auto& pool) {
            return pool.pool.scheduler.cache_tiers.has_value();
        });
        return at_tiers(experiment, own != pools.end() ? *own : pools.front(), what,
                        fmt::format("bandwidth: {}", to_string(*one.tier_bandwidth)));
    }
    if (one.least_chips > 0)
        return at_plan(experiment, "most_chips", what,
                       fmt::format("most_chips: {}", one.least_chips));
    return at_key(pool_named(alternative, one.pool), "chips", what);
}

}  // namespace

bool ServingPlanReport::partial() const {
    return std::any_of(alternatives.begin(), alternatives.end(),
                       [](const auto& one) { return one.partial; });
}

void check_serving_plan(const ResolvedExperiment& experiment,
                        const ResolvedAlternative& alternative) {
    const ServingPlanForm& form = *experiment.spec.serving_plan;
    std::vector<Diagnostic> problems;
    if (!promises(experiment))
        problems.push_back(at_key(experiment.spec.workload, "slo",
                                  "is missing: a fleet is planned for what is promised",
                                  "slo: {ttft: 2 s, tpot: 50 ms}"));
    // Of all alternatives alike: said once.
    const bool is_first = alternative.name == experiment.alternatives.front().name;
    if (is_first && form.growth.per_month > 1)
        problems.push_back(at_plan(
            experiment, "growth",
            fmt::format("per_month: {:.4g} % a month, {:.3g} times the traffic after {:.4g} "
                        "months; no fleet is planned for more than 100 % a month",
                        form.growth.per_month * 100, form.growth.factor(), form.growth.months),
            form.growth.per_month >= 1.5
                ? fmt::format("per_month: {:.4g} % ?", form.growth.per_month)
                : "at most 100 %"));
    else if (is_first && form.growth.factor() > kMostGrowth)
        problems.push_back(at_plan(experiment, "growth",
                                   fmt::format("{:.3g} times the traffic after {:.4g} months",
                                               form.growth.factor(), form.growth.months),
                                   fmt::format("at most {:.0f} times", kMostGrowth)));
    for (const ResolvedAlternative& pool : alternative.pools) {
        const auto& faults = pool.pool.faults;
        if (std::any_of(faults.begin(), faults.end(),
                        [](const auto& one) { return one.is_timed(); }))
            problems.push_back(at_key(
                pool.pool, "faults", "have a time or replicas, which podsim plan does not know",
                "remove from, until and replicas: the part is broken in the whole plan"));
    }
    for (const PoolChoices& choices : form.pools) {
        const auto& pools = alternative.pools;
        const auto pool = std::find_if(pools.begin(), pools.end(), [&](const auto& one) {
            return one.pool.name == choices.name;
        });
        if (pool != pools.end())
            for (const std::string& key : meaningless(choices.choices, pool->pool.role))
                problems.push_back(at_plan(
                    experiment, "pools",
                    fmt::format("{} says {}, which means nothing to a pool of role {}",
                                choices.name, key, pool->pool.role),
                    "of two pools that decode together attention has the sequences and ffn the "
                    "experts"));
        const auto& all = experiment.alternatives;
        const auto has = [&](const ResolvedAlternative& one) {
            return std::any_of(one.pools.begin(), one.pools.end(),
                               [&](const auto& known) { return known.pool.name == choices.name; });
        };
        if (std::none_of(all.begin(), all.end(), has))
            problems.push_back(at_plan(experiment, "pools",
                                       fmt::format("no alternative has a pool {}", choices.name),
                                       "the name of a pool of one of them"));
    }
    for (const int size : form.choices.chips_per_replica) {
        if (size <= alternative.system.chips) continue;
        problems.push_back(at_plan(experiment, "chips_per_replica",
                                   fmt::format("{} chips asked of {}, which has {}", size,
                                               alternative.system.name, alternative.system.chips),
                                   fmt::format("at most {}", alternative.system.chips)));
    }
    if (!problems.empty()) throw InputError(std::move(problems));
}

ServingPlanGround serving_plan_ground(const Node& experiment, Catalog& catalog,
                                      const PlanOptions& options) {
    ServingPlanGround ground;
    ground.document = experiment;
    catalog.apply_experiment_settings(ground.document);
    ground.resolved = resolve(ground.document, catalog);
    ResolvedExperiment& resolved = ground.resolved;
    if (!resolved.spec.serving_plan)
        throw InputError(ground.document.place, "plan", "missing: what is searched",
                         "plan: {} searches all degrees that divide; see docs/planning.md");
    measure_memories(resolved, options.cache_folder, options.fidelity);
    std::vector<Diagnostic> problems;
    for (const auto& alternative : resolved.alternatives) {
        try {
            check_serving_plan(resolved, alternative);
        } catch (const InputError& error) {
            problems.insert(problems.end(), error.diagnostics().begin(), error.diagnostics().end());
        }
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    catalog.require_all_settings_used();

    const ServingPlanForm& form = *resolved.spec.serving_plan;
    const ServingSpec& serving = *resolved.spec.workload.serving;
    const bool keeps = serving.scheduler.enable_prefix_caching.value_or(true);
    // The bound is of the rate that has to be carried; the bill is of the one that is planned.
    const double planned = form.growth.factor();
    const auto demand = [&](double scale) {
        return demand_of(scaled(*resolved.traffic, scale), 1, serving.slo, longest_of(resolved),
                         keeps, options.stop);
    };
    ground.demand = demand(planned);
    if (ground.demand.output < 1 && !ground.demand.stopped)
        throw InputError(
            {at_key(resolved.spec.workload, "traffic", "no request comes that could be served",
                    "a rate above 0, a longer duration, or a larger max_model_len")});
    ground.carried = form.burst > 1 ? demand(planned * form.burst) : ground.demand;
    return ground;
}

ServingPlanReport plan_serving(const Node& experiment, Catalog& catalog,
                               const PlanOptions& options) {
    ServingPlanGround prepared = serving_plan_ground(experiment, catalog, options);
    const ResolvedExperiment& resolved = prepared.resolved;
    ServingPlanReport report;
    report.experiment = resolved.spec.name;
    report.model = resolved.spec.workload.model;
    report.form = *resolved.spec.serving_plan;
    report.objective = resolved.spec.workload.serving->slo;
    report.demand = prepared.demand;
    const double months = report.demand.seconds / (kHoursOfMonth * 3600);
    if (months > 0) {
        report.input_per_month = report.demand.input / months;
        report.output_per_month = report.demand.output / months;
        report.cached_per_month = (report.demand.input - report.demand.computed) / months;
    }
    report.api = api_bills(resolved, catalog, report, report.api_list);
    const PlanGroundwork ground{prepared.document, resolved,
                                catalog,           prepared.carried,
                                options.fidelity,  options.cache ? options.cache_folder : "",
                                options.stop};
    for (std::size_t i = 0; i < resolved.alternatives.size(); ++i)
        report.alternatives.push_back(search_fleet(ground, i, options));
    std::vector<Diagnostic> problems;
    const auto& all = report.alternatives;
    if (std::all_of(all.begin(), all.end(), [](const auto& one) { return !one.nothing.empty(); })) {
        for (std::size_t i = 0; i < all.size(); ++i) {
            const std::string what = all[i].name + ": " + all[i].nothing;
            problems.push_back(why_nothing(resolved, i, all[i], what));
        }
        throw InputError(std::move(problems));
    }
    return report;
}

}  // namespace podsim
