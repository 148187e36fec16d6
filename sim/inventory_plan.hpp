// `podsim plan --inventory`: several services, each an experiment of kind serving with a section
// `plan`, on chips that are owned. Each service goes to one of its alternatives as a whole; which
// fleet that takes is what `podsim plan` finds of it alone (sim/serving_plan), as services share no
// chips. Fleets are searched only where their closed-form bound leaves them a chance
// (sim/inventory_search).
#pragma once

#include <string>
#include <vector>

#include "sim/inventory_form.hpp"
#include "sim/inventory_search.hpp"
#include "sim/serving_plan.hpp"

namespace podsim {

struct PlacedPool {
    std::string name, role, system, chip;
    int chips = 0;                // of a replica
    int replicas = 0, owned = 0;  // spares included; of these on chips that are there
    double usd_per_month = 0;
};

struct InventoryService {
    std::string name, model;
    ServingPlanAlternative plan;    // that was chosen; without an answer where it is unmet
    std::vector<PlacedPool> pools;  // empty: unmet
    double usd_per_month = 0;
    std::string unmet;  // why
};

struct InventorySystem {
    std::string system, chip;
    int owned = 0, used = 0, bought = 0;
    double usd_per_chip_hour = 0;  // of an owned one; of the first service that names it
};

struct InventoryReport {
    InventorySpec inventory;
    std::vector<InventoryService> services;
    std::vector<InventorySystem> systems;
    InventoryCounts counts;
    long options = 0, runs = 0;
    double usd_per_month = 0, watts = 0;
    bool interrupted = false;
    std::vector<std::string> warnings;
    bool partial() const { return interrupted; }
};

// Throws InputError: what is wrong with a file, or with all of them.
InventoryReport plan_inventory(const Node& inventory, const std::vector<Node>& experiments,
                               Catalog& catalog, const PlanOptions& options);

}  // namespace podsim
