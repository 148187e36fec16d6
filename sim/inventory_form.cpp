#include "sim/inventory_form.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <set>

#include "base/form.hpp"

namespace podsim {

template <class Form>
void describe(Form& form, OwnedChips& owned) {
    form.required("system", owned.system, "of configs/systems, or a path");
    form.optional("chip", owned.chip, "instead of the system's chip");
    form.required("chips", owned.chips, "packages that are there", at_least(1));
    form.optional("price", owned.price,
                  "of an hour of a chip that is used; absent: its power and operations",
                  non_negative());
}

template <class Form>
void describe(Form& form, InventorySpec& inventory) {
    form.required("inventory", inventory.name, "what it is, in words");
    form.required("owned", inventory.owned, "chips, by the system that they stand in");
    form.optional("buy", inventory.buy,
                  "true: what is not there may be had at the price of the price list; false: "
                  "services that find no room are not served");
    form.optional("site_power", inventory.site_power,
                  "what all services together may draw at nameplate, cooling included", positive());
    if (!form.ok()) return;
    std::set<std::pair<std::string, std::string>> seen;
    for (const OwnedChips& owned : inventory.owned) {
        if (!seen.insert({owned.system, owned.chip}).second)
            form.problem("owned", fmt::format("has {} twice", owned.system),
                         "one entry a system and chip");
    }
}

InventorySpec read_inventory(const Node& document) {
    auto inventory = read<InventorySpec>(document, "");
    const Node& owned = *document.find("owned");
    for (std::size_t i = 0; i < inventory.owned.size(); ++i)
        inventory.owned[i].place = owned.items[i].place;
    return inventory;
}

nlohmann::ordered_json inventory_schema() {
    return schema<InventorySpec>("podsim inventory").json();
}

}  // namespace podsim
