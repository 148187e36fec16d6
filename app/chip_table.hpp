// `podsim show chip`: what chips have, cost and are known by, side by side.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/catalog.hpp"
#include "chips/chip.hpp"
#include "chips/kernel_library.hpp"
#include "interconnect/system.hpp"
#include "sim/price.hpp"

namespace podsim {

struct ShownChip {
    ChipSpec chip;
    KernelLibrarySpec kernels;
    std::optional<ChipPrice> price;       // of the default price list
    std::optional<Sourced<Usd>> silicon;  // what its silicon says it costs, where nobody sells it
    std::vector<SystemSpec> systems;      // that are built of it
};

// Looks up what belongs to a chip. Throws InputError for what cannot be read.
ShownChip shown_chip(const ChipSpec& chip, Catalog& catalog);

// A column each, three abreast in 80 characters.
std::string chip_table(const std::vector<ShownChip>& chips);

}  // namespace podsim
