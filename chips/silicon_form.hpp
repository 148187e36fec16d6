// How the silicon of a chip, and what silicon costs, are written.
#pragma once

#include "base/form.hpp"
#include "chips/silicon.hpp"
#include "chips/silicon_cost.hpp"

namespace podsim {

// A margin of all of the price would ask for an endless one.
inline Check below_one() {
    return {0.0, 0.99, false, "a share from 0 to 0.99"};
}

template <class Form>
void describe(Form& form, SiliconSpec& silicon) {
    form.required("process", silicon.process,
                  "of its compute dies, of configs/processes or a path");
    form.optional("compute_dies", silicon.compute_dies, "in the package", at_least(1));
    form.optional("die_mm2", silicon.die_mm2,
                  "of one compute die; worked out from its parts if absent", positive());
    form.optional("other_mm2", silicon.other_mm2, "of further dies in the package, in all",
                  non_negative());
    form.optional("spare_cores", silicon.spare_cores,
                  "matrix cores of the package beside those in use: so many may be broken",
                  non_negative());
    form.required("hbm_generation", silicon.hbm_generation,
                  "a key of the price list's silicon.hbm; none where there is only SRAM");
    form.required("hbm_stacks", silicon.hbm_stacks,
                  "stacks in the package; 0 where memory stands on the board", non_negative());
    form.optional("links", silicon.links, "of all its ports, per direction", positive());
    form.optional("volume", silicon.volume, "chips that share the cost of design", at_least(1));
    form.optional("gross_margin", silicon.gross_margin, "of who sells it", below_one());
}

template <class Form>
void describe(Form& form, SiliconPrices& prices) {
    form.required("hbm", prices.hbm, "price of memory, by generation", positive());
    form.required("interposer_usd_per_mm2", prices.interposer_usd_per_mm2,
                  "advanced package, by the area of what stands on it", non_negative());
    form.optional("substrate_usd_per_mm2", prices.substrate_usd_per_mm2,
                  "package of one die with no memory stack beside it; else as the interposer",
                  non_negative());
    form.required("stack_mm2", prices.stack_mm2, "what a memory stack takes of it", positive());
    form.required("assembly_yield", prices.assembly_yield, "packages that survive their assembly",
                  share_above_zero());
    form.required("test", prices.test, "wafer, package and system test of one chip",
                  non_negative());
    form.required("module", prices.module, "board, power stages, cooling plate of one chip",
                  non_negative());
    form.required("other_die_usd_per_mm2", prices.other_die_usd_per_mm2,
                  "further dies, in an older process", non_negative());
    form.required("volume", prices.volume, "chips that share the cost of design, unless stated",
                  at_least(1));
    form.required("gross_margin", prices.gross_margin, "of who sells it, unless stated",
                  below_one());
    form.required("system_share", prices.system_share,
                  "host, switches, optics and racks for one chip where the system has no price",
                  non_negative());
    if (form.ok() && prices.hbm.empty()) form.problem("hbm", "names no generation");
}

}  // namespace podsim
