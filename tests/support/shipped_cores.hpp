// The core structures of shipped chips, memory and banks as a run has them.
#pragma once

#include <string>

#include "base/catalog.hpp"
#include "chips/chip.hpp"
#include "chips/memory_device.hpp"

namespace podsim {

inline CoreStructure core_of(const std::string& name) {
    Catalog catalog(std::string(PODSIM_SOURCE_DIR) + "/configs");
    ChipSpec chip = read_chip(catalog.load("chip", name, {}, ""), name);
    if (chip.core->memory.fabric) {
        const std::string& device = chip.memory->device;
        chip.sustained_shares =
            measure_shares(read_memory(catalog.load("memory", device, {}, ""), device),
                           chip.memory->pin_rate.value, chip.cores->matrix.value);
    }
    return *rank_hardware(chip).core;
}

}  // namespace podsim
