// What follows from a chip's file: how far its power cap lets it go, and what its silicon costs.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "chips/chip.hpp"
#include "sim/price.hpp"

namespace podsim {

// Energies filled in, the sustained share beside the measured one, and the cost of its silicon
// with low and high; a line that says why where there is none.
std::string chip_notes(const ChipSpec& chip, const PriceSpec& prices);
nlohmann::ordered_json chip_notes_json(const ChipSpec& chip, const PriceSpec& prices);

// What its silicon says it costs, from low to high; nothing where that says nothing.
std::optional<Sourced<Usd>> silicon_price(const ChipSpec& chip, const PriceSpec& prices);

}  // namespace podsim
