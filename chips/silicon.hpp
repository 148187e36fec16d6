// What a chip is built of, for its price: optional section `silicon` of a chip.
#pragma once

#include <optional>
#include <string>

#include "base/sourced.hpp"
#include "base/units.hpp"

namespace podsim {

struct SiliconSpec {
    std::string process;  // configs/processes
    long compute_dies = 1;
    std::optional<Sourced<double>> die_mm2;    // of one compute die; else from its parts
    std::optional<Sourced<double>> other_mm2;  // of further dies in the package, I/O and base dies
    std::optional<Sourced<long>> spare_cores;  // matrix cores of the package that may be broken
    std::string hbm_generation;                // a key of the price list's silicon.hbm, or "none"
    long hbm_stacks = 0;                       // in the package; memory on the board has none
    std::optional<Sourced<BytesPerSecond>> links;  // of all its ports, per direction; for SerDes
    std::optional<Sourced<double>> volume;         // chips that share the design cost
    std::optional<Sourced<double>> gross_margin;   // of who sells it
};

}  // namespace podsim
