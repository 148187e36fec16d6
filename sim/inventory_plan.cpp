#include "sim/inventory_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>
#include <stdexcept>

#include "interconnect/system.hpp"
#include "sim/plan_run.hpp"
#include "sim/serving_plan_ground.hpp"
#include "sim/serving_plan_search.hpp"
#include "sim/serving_run.hpp"

namespace podsim {

namespace {

// Chips that are owned stand whether replicas use them or not.
void require_standing(const ResolvedExperiment& experiment) {
    std::vector<Diagnostic> problems;
    for (const ResolvedAlternative& alternative : experiment.alternatives) {
        for (const ResolvedAlternative& pool : alternative.pools) {
            if (pool.pool.autoscaling)
                problems.push_back(at_key(pool.pool, "autoscaling",
                                          "says nothing to podsim plan --inventory, whose chips "
                                          "stand",
                                          "remove it"));
            if (pool.pool.role == "ffn")
                problems.push_back(
                    at_key(pool.pool, "role",
                           "says nothing to podsim plan --inventory, which sizes "
                           "each pool by itself",
                           "pools of role prefill and decode, or one of role serve"));
        }
    }
    if (!problems.empty()) throw InputError(std::move(problems));
}

class InventoryPlan {
  public:
    InventoryPlan(const Node& inventory, const std::vector<Node>& experiments, Catalog& catalog,
                  const PlanOptions& options)
        : catalog_(catalog), options_(options) {
        report_.inventory = read_inventory(inventory);
        rooms_.buy = report_.inventory.buy;
        if (report_.inventory.site_power) rooms_.most_watts = report_.inventory.site_power->value();
        read_machines();
        for (const Node& experiment : experiments) add_service(experiment);
    }

    InventoryReport take() {
        std::vector<std::vector<ServiceOption>> services;
        for (std::size_t s = 0; s < grounds_.size(); ++s) {
            services.emplace_back();
            const std::size_t alternatives = grounds_[s]->resolved.alternatives.size();
            for (std::size_t a = 0; a < alternatives; ++a)
                services.back().push_back(bound_of(s, a));
            report_.options += static_cast<long>(alternatives);
        }
        const auto solve = [&](std::size_t service, std::size_t option) {
            return solved(service, option);
        };
        try {
            const InventoryPlacement placement =
                place_services(rooms_, services, solve, report_.counts);
            tell(placement, services);
        } catch (const std::invalid_argument& error) {
            throw InputError(report_.inventory.owned.front().place, "", error.what(),
                             "fewer services or alternatives at a time");
        }
        report_.interrupted = options_.stop && options_.stop();
        return std::move(report_);
    }

  private:
    // A kind of machine; what is not owned has none.
    std::size_t kind_of(const std::string& system, const std::string& chip, long machine) {
        for (std::size_t i = 0; i < report_.systems.size(); ++i) {
            if (report_.systems[i].system == system && report_.systems[i].chip == chip) return i;
        }
        report_.systems.push_back({system, chip, 0, 0, 0, 0});
        rooms_.machines.push_back({0, static_cast<int>(std::max(1L, machine))});
        prices_.emplace_back();
        return report_.systems.size() - 1;
    }

    void read_machines() {
        std::vector<Diagnostic> problems;
        for (std::size_t i = 0; i < report_.inventory.owned.size(); ++i) {
            const OwnedChips& owned = report_.inventory.owned[i];
            const std::string where = fmt::format("owned.{}", i);
            try {
                const SystemSpec system = read_system(
                    catalog_.load("system", owned.system, owned.place, where + ".system"),
                    owned.system);
                const std::string chip = owned.chip.empty() ? system.chip : owned.chip;
                (void)catalog_.load("chip", chip, owned.place, where + ".chip");
                const std::size_t kind = kind_of(owned.system, chip, system.chips);
                report_.systems[kind].owned += owned.chips;
                rooms_.machines[kind].chips += owned.chips;
                prices_[kind] = owned.price;
            } catch (const InputError& error) {
                problems.insert(problems.end(), error.diagnostics().begin(),
                                error.diagnostics().end());
            }
        }
        if (!problems.empty()) throw InputError(std::move(problems));
    }

    void add_service(const Node& experiment) {
        grounds_.push_back(std::make_unique<ServingPlanGround>(
            serving_plan_ground(experiment, catalog_, options_)));
        const ResolvedExperiment& resolved = grounds_.back()->resolved;
        require_standing(resolved);
        InventoryService service;
        service.name = resolved.spec.name;
        service.model = resolved.spec.workload.model;
        report_.services.push_back(std::move(service));
        plans_.emplace_back(resolved.alternatives.size());
    }

    PlanGroundwork groundwork(std::size_t service) const {
        const ServingPlanGround& ground = *grounds_[service];
        return {ground.document, ground.resolved,   catalog_,
                ground.carried,  options_.fidelity, options_.cache ? options_.cache_folder : "",
                options_.stop};
    }

    // A pool of `replicas`, with what one costs here and elsewhere.
    OptionPool pool_on(const ResolvedExperiment& experiment, const ResolvedAlternative& pool,
                       int chips, int replicas) {
        OptionPool one;
        one.kind = kind_of(pool.system.name, pool.chip.name, pool.system.chips);
        one.chips = chips;
        one.replicas = replicas;
        std::vector<std::string> notes;
        const auto bases = cost_bases(experiment.prices, pool.chip, pool.system, notes);
        if (bases.empty()) warn_once(pool.chip.name + " has no price: an hour counts 1 USD");
        one.bought_usd = chips * (bases.empty() ? 1.0 : bases.front().usd_per_hour_per_chip);
        const auto& price = prices_[one.kind];
        const double running =
            price ? price->value() * 3600 : running_usd_per_hour(experiment.prices, pool.system);
        one.owned_usd = chips * running;
        one.watts = chips * fleet_power(experiment.prices, pool).value() /
                    (static_cast<double>(pool.packages) * pool.pool.replicas);
        InventorySystem& system = report_.systems[one.kind];
        if (!(system.usd_per_chip_hour > 0)) system.usd_per_chip_hour = running;
        return one;
    }

    void warn_once(const std::string& warning) {
        auto& all = report_.warnings;
        if (std::find(all.begin(), all.end(), warning) == all.end()) all.push_back(warning);
    }

    // Of each pool the replica that costs least by its bound; nothing where no replica can be.
    ServiceOption bound_of(std::size_t service, std::size_t alternative) {
        const ResolvedExperiment& experiment = grounds_[service]->resolved;
        const auto& pools = experiment.alternatives[alternative].pools;
        const int spares = experiment.spec.serving_plan->spare_replicas;
        ServiceOption option;
        for (std::size_t p = 0; p < pools.size(); ++p) {
            const PoolCandidates candidates = pool_candidates(groundwork(service), alternative, p);
            OptionPool best;
            double least = -1;
            for (const ReplicaCandidate& candidate : candidates.found) {
                const OptionPool one = pool_on(experiment, pools[p], candidate.replica.packages,
                                               candidate.bound.replicas + spares);
                const double each = std::min(one.owned_usd, one.bought_usd) * one.replicas;
                if (least >= 0 && each >= least) continue;
                least = each;
                best = one;
            }
            // Several sizes of replica: the bound is one chip at a time of the cheapest.
            std::set<int> sizes;
            for (const ReplicaCandidate& candidate : candidates.found)
                sizes.insert(candidate.replica.packages);
            if (sizes.size() > 1) {
                best.replicas *= best.chips;
                best.owned_usd /= best.chips;
                best.bought_usd /= best.chips;
                best.watts /= best.chips;
                best.chips = 1;
            }
            option.exists = option.exists && least >= 0;
            option.pools.push_back(best);
        }
        // Why there is none is known to the search.
        if (!option.exists) plans_[service][alternative] = search(service, alternative);
        return option;
    }

    ServingPlanAlternative search(std::size_t service, std::size_t alternative) {
        ServingPlanAlternative found = search_fleet(groundwork(service), alternative, options_);
        report_.runs += found.counts.runs;
        return found;
    }

    ServiceOption solved(std::size_t service, std::size_t alternative) {
        const ResolvedExperiment& experiment = grounds_[service]->resolved;
        ServingPlanAlternative& plan = plans_[service][alternative];
        plan = search(service, alternative);
        ServiceOption option;
        option.solved = true;
        option.exists = plan.answer.has_value();
        if (!plan.answer) return option;
        const auto& pools = experiment.alternatives[alternative].pools;
        for (std::size_t p = 0; p < pools.size(); ++p) {
            const PlannedPool& pool = plan.answer->pools[p];
            option.pools.push_back(
                pool_on(experiment, pools[p], pool.chips, pool.replicas + pool.spares));
        }
        return option;
    }

    void tell(const InventoryPlacement& placement,
              const std::vector<std::vector<ServiceOption>>& services) {
        for (std::size_t k = 0; k < report_.systems.size(); ++k)
            report_.systems[k].used = placement.used.size() > k ? placement.used[k] : 0;
        for (std::size_t s = 0; s < report_.services.size(); ++s) {
            if (placement.option[s] == InventoryPlacement::kUnserved) continue;
            const auto chosen = static_cast<std::size_t>(placement.option[s]);
            place(report_.services[s], s, chosen, services[s][chosen], placement.here[s]);
        }
        for (std::size_t s = 0; s < report_.services.size(); ++s) {
            if (report_.services[s].pools.empty())
                report_.services[s].unmet = why_unmet(s, services[s]);
        }
    }

    void place(InventoryService& service, std::size_t s, std::size_t chosen,
               const ServiceOption& option, const std::vector<int>& here) {
        service.plan = std::move(plans_[s][chosen]);
        const ServingAnswer& answer = *service.plan.answer;
        for (std::size_t p = 0; p < option.pools.size(); ++p) {
            const OptionPool& pool = option.pools[p];
            InventorySystem& system = report_.systems[pool.kind];
            PlacedPool placed{
                answer.pools[p].name, answer.pools[p].role, system.system, system.chip,
                pool.chips,           pool.replicas,        here[p],       0};
            const int bought = pool.replicas - here[p];
            placed.usd_per_month =
                (here[p] * pool.owned_usd + bought * pool.bought_usd) * kHoursOfMonth;
            system.bought += bought * pool.chips;
            service.usd_per_month += placed.usd_per_month;
            service.pools.push_back(std::move(placed));
        }
        report_.usd_per_month += service.usd_per_month;
        report_.watts += answer.watts;
    }

    // Of each alternative what it lacks.
    std::string why_unmet(std::size_t s, const std::vector<ServiceOption>& options) const {
        std::string text;
        const auto& alternatives = grounds_[s]->resolved.alternatives;
        for (std::size_t a = 0; a < options.size(); ++a) {
            std::string why = plans_[s][a].nothing;
            if (why.empty()) {
                for (const OptionPool& pool : options[a].pools) {
                    const InventorySystem& system = report_.systems[pool.kind];
                    why += fmt::format(
                        "{}{}{} chips of {}, {} of {} are left", why.empty() ? "takes " : "; ",
                        options[a].solved ? "" : "at least ", pool.chips * pool.replicas,
                        system.system, system.owned - system.used, system.owned);
                }
            }
            const auto& site = report_.inventory.site_power;
            if (site && plans_[s][a].nothing.empty())
                why += fmt::format("; {} of {} of site_power",
                                   to_string(Watts(watts_of(options[a]))), to_string(*site));
            text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", alternatives[a].name, why);
        }
        return text;
    }

    Catalog& catalog_;
    const PlanOptions& options_;
    InventoryReport report_;
    OwnedRooms rooms_;
    std::vector<std::optional<UsdPerSecond>> prices_;
    std::vector<std::unique_ptr<ServingPlanGround>> grounds_;
    std::vector<std::vector<ServingPlanAlternative>> plans_;
};

}  // namespace

InventoryReport plan_inventory(const Node& inventory, const std::vector<Node>& experiments,
                               Catalog& catalog, const PlanOptions& options) {
    return InventoryPlan(inventory, experiments, catalog, options).take();
}

}  // namespace podsim
