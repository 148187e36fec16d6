// How the energies of a chip are written: the description for chips/chip.cpp.
#pragma once

#include "base/form.hpp"
#include "chips/energy.hpp"

namespace podsim {

template <class Form>
void describe(Form& form, EnergySpec& energy) {
    form.optional("matrix", energy.matrix,
                  "of a FLOP of the matrix units with its operands, by format", positive());
    form.optional("vector", energy.vector, "of an FP32 FLOP of the vector units", positive());
    form.optional("on_chip", energy.on_chip, "of a byte from the last-level cache to a core",
                  positive());
    form.optional("hbm", energy.hbm, "of a byte of memory traffic", positive());
    form.optional("scale_up", energy.scale_up, "of a byte sent over scale-up links", positive());
    form.optional("scale_out", energy.scale_out, "of a byte sent over the network", positive());
    form.optional("static_power", energy.static_power,
                  "of the package at rest with its clocks and memory running", non_negative());
    form.optional("cap", energy.cap,
                  "what its controller holds it to; the design power unless lower", positive());
    form.optional("voltage_exponent", energy.voltage_exponent,
                  "alpha of dynamic power ~ clock^alpha, 1 to 4", at_least(1));
    form.optional("best_product", energy.best_product,
                  "share of the matrix peak that the best product reaches at full clock",
                  share_above_zero());
    if (!form.ok()) return;
    if (energy.static_power && energy.cap && !(energy.static_power->value < energy.cap->value)) {
        form.problem("static_power", "leaves nothing of the cap for work");
    }
    if (energy.voltage_exponent && energy.voltage_exponent->value > 4)
        form.problem("voltage_exponent", "is above 4; voltage falls no faster than the clock");
}

}  // namespace podsim
