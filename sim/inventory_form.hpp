// Chips that stand in somebody's rooms: what `podsim plan --inventory` places services on.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/diagnostic.hpp"
#include "base/document.hpp"
#include "base/units.hpp"

namespace podsim {

struct OwnedChips {
    std::string system, chip;  // chip: instead of the system's
    int chips = 0;             // packages
    // What an hour of one that is used costs; absent: its running cost.
    std::optional<UsdPerSecond> price;
    Place place;
};

struct InventorySpec {
    std::string name;
    std::vector<OwnedChips> owned;
    std::optional<Watts> site_power;  // what all services may draw, cooling included
    bool buy = true;  // what is not owned may be had, at the price of the services' price lists
};

// Throws InputError.
InventorySpec read_inventory(const Node& document);
nlohmann::ordered_json inventory_schema();

}  // namespace podsim
