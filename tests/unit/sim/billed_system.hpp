// A shipped system with its chip and its bill of parts.
#pragma once

#include <string>

#include "chips/chip.hpp"
#include "interconnect/system.hpp"
#include "tests/support/readers.hpp"

namespace podsim {

struct BilledSystem {
    SystemSpec system;
    ChipSpec chip;
    PartListSpec parts;
    Bill bill;
    Sourced<Watts> power_of_record;  // of a chip all-in; 0 where its bill says it
};

inline BilledSystem billed_system(const std::string& name) {
    Catalog catalog(configs_root);
    BilledSystem billed;
    billed.system = read_system(catalog.load("system", name, {}, ""), name);
    const std::string& chip = billed.system.chip;
    billed.chip = read_chip(catalog.load("chip", chip, {}, ""), chip);
    const std::string& parts = billed.system.bill.parts;
    billed.parts = read_parts(catalog.load("parts", parts, {}, ""), parts);
    billed.power_of_record = billed.system.power_per_chip;
    chip_power_from(billed.system, billed.chip.power);
    billed.bill = bill_of(billed.system, billed.parts);
    power_from_bill(billed.system, billed.bill, billed.parts);
    return billed;
}

}  // namespace podsim
