#include "chips/energy.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "chips/chip.hpp"
#include "chips/power.hpp"

namespace podsim {

namespace {

constexpr double kBitsPerByte = 8, kPico = 1e-12;

JoulesPerByte per_bit(double picojoules) {
    return JoulesPerByte(picojoules * kPico * kBitsPerByte);
}

template <class Q>
Sourced<Q> usual(double value, double low, double high, const char* source) {
    return {Q(value), Q(low), Q(high), source, Confidence::assumed, ""};
}

// Of a 5 nm class chip, where neither chip nor process say anything.
Sourced<JoulesPerFlop> usual_vector() {
    return usual<JoulesPerFlop>(1.6 * kPico, 0.8 * kPico, 3.2 * kPico,
                                "an FP32 multiply-add of 7 nm (Jouppi et al., ISCA 2021, table 2) "
                                "with three register accesses, at 5 nm");
}

Sourced<JoulesPerByte> usual_on_chip() {
    return usual<JoulesPerByte>(7.2 * kPico, 3.5 * kPico, 14 * kPico,
                                "SRAM of 1 MB and 15 mm of wire at 7 nm (Jouppi et al., ISCA 2021, "
                                "table 2), at 5 nm");
}

Sourced<JoulesPerByte> usual_memory() {
    return {per_bit(3.7),
            per_bit(3.5),
            per_bit(4.0),
            "HBM2 to HBM3E, 3.5 to 3.9 pJ/bit (O'Connor et al., MICRO 2017, and later estimates)",
            Confidence::estimate,
            ""};
}

Sourced<JoulesPerByte> usual_scale_up() {
    return {per_bit(6),           per_bit(4.5),
            per_bit(18),          "electrical NVLink 5 to 8 pJ/bit, optical links 18",
            Confidence::estimate, ""};
}

Sourced<JoulesPerByte> usual_scale_out() {
    return {per_bit(15),          per_bit(10),
            per_bit(30),          "optical network, 10 to 15 pJ/bit a link",
            Confidence::estimate, ""};
}

// Clocks and refresh of the stacks draw this share of full traffic when none flows (active standby
// over read current of HBM2 data sheets). Beside them the interfaces on both ends of the wires are
// clocked at the pin rate whether data flow or not: 1.1 pJ/bit each, as third-party notes quote the
// I/O of HBM3 from Hot Chips 35 (2023); others put the whole path at 13.6 pJ/bit.
constexpr double kMemoryStandby = 0.3;
constexpr double kInterface = 2 * 1.1;  // pJ a bit of the peak rate

double of_band(const Sourced<double>& value, int end) {
    if (end < 0) return value.low.value_or(value.value);
    return end > 0 ? value.high.value_or(value.value) : value.value;
}

Sourced<Watts> static_power_of(const ChipSpec& chip, const Energies& energies) {
    const double standby = chip.hbm ? (chip.hbm->bandwidth.value *
                                       (kMemoryStandby * energies.hbm.value + per_bit(kInterface)))
                                          .value()
                                    : 0.0;
    if (chip.process && chip.silicon && chip.silicon->die_mm2) {
        const double mm2 =
            chip.silicon->die_mm2->value * static_cast<double>(chip.silicon->compute_dies) +
            (chip.silicon->other_mm2 ? chip.silicon->other_mm2->value : 0.0);
        const auto& leakage = chip.process->energy.leakage_w_per_mm2;
        const auto at = [&](int end) { return Watts(of_band(leakage, end) * mm2 + standby); };
        return {at(0),
                at(-1),
                at(1),
                "die area x leakage of the process, and standby of memory",
                Confidence::derived,
                ""};
    }
    // What leaks does not go with a cap that somebody sets.
    const double design = chip.power_as_built.value_or(chip.power).value.value();
    return usual<Watts>(0.18 * design, 0.1 * design, 0.3 * design,
                        "share of the design power at rest with clocks running, as of H100 and "
                        "A100");
}

// The one unknown that is left, from what must hold: at its sustained rate the best product draws
// the cap. Formats keep the ratio of their widths, as half of the bits move and switch.
std::map<DType, Sourced<JoulesPerFlop>> solved_matrix(const ChipSpec& chip,
                                                      const Energies& energies) {
    const double best = energies.best_product.value;
    const double sustained = chip.sustained ? std::min(best, chip.sustained->matrix.value) : best;
    const DType format = product_format(chip);
    Energies none = energies;
    none.matrix[format] = {JoulesPerFlop(0.0), {}, {}, "", Confidence::derived, ""};
    const PowerDraw rest = product_draw(chip, none, best);
    const double clock = sustained / best;
    const double dynamic = (energies.cap.value - rest.fixed).value() /
                               std::pow(clock, energies.voltage_exponent.value) -
                           rest.dynamic.value();
    const double rate = chip.peak_matrix.at(format).value.value() * best;
    std::map<DType, Sourced<JoulesPerFlop>> matrix;
    for (const auto& [dtype, peak] : chip.peak_matrix) {
        const double width = bytes_of(dtype) / bytes_of(format);
        const JoulesPerFlop each(std::max(0.0, dynamic) / rate * width);
        matrix[dtype] = {each,
                         0.7 * each,
                         1.3 * each,
                         chip.sustained
                             ? "solved: at its measured sustained rate the best product draws the "
                               "power cap"
                             : "solved: the best product draws the power cap at full clock",
                         Confidence::derived,
                         ""};
    }
    return matrix;
}

}  // namespace

double product_reuse(double accumulator_bytes, double operand_bytes) {
    constexpr double usual_accumulator = 128 * 1024;  // bytes, as large chips have
    const double held = accumulator_bytes > 0 ? accumulator_bytes : usual_accumulator;
    // Sums of 4 bytes.
    return std::sqrt(held / 4) / operand_bytes;
}

Energies energies_of(const ChipSpec& chip) {
    const EnergySpec stated = chip.energy.value_or(EnergySpec{});
    // The energies of a process are those of cores like the ones they were fitted on. Of a chip
    // known by its data sheet alone neither the cores nor, often, the power are known.
    const ProcessEnergy* process = chip.process && chip.cores ? &chip.process->energy : nullptr;
    Energies energies;
    energies.cap = stated.cap.value_or(chip.power);
    energies.voltage_exponent = stated.voltage_exponent.value_or(
        Sourced<double>{2.5, 2.0, 3.0, "between fixed voltage and voltage in step with the clock",
                        Confidence::assumed, ""});
    energies.best_product = stated.best_product.value_or(Sourced<double>{
        0.80, 0.75, 0.92, "best products of 1 ms on H100, H200 and A100", Confidence::derived, ""});
    energies.vector = stated.vector.value_or(process != nullptr ? process->vector : usual_vector());
    energies.on_chip =
        stated.on_chip.value_or(process != nullptr ? process->on_chip : usual_on_chip());
    // Without HBM it is the SRAM that holds operands.
    energies.hbm = stated.hbm.value_or(chip.hbm ? usual_memory() : energies.on_chip);
    energies.scale_up = stated.scale_up.value_or(usual_scale_up());
    energies.scale_out = stated.scale_out.value_or(usual_scale_out());
    energies.static_power = stated.static_power.value_or(static_power_of(chip, energies));
    energies.matrix = stated.matrix;
    if (energies.matrix.empty() && process != nullptr) energies.matrix = process->matrix;
    if (energies.matrix.empty()) energies.matrix = solved_matrix(chip, energies);
    return energies;
}

JoulesPerFlop matrix_energy(const Energies& energies, const ChipSpec& chip, DType dtype) {
    const DType format = executed_format(chip, dtype);
    const auto own = energies.matrix.find(format);
    if (own != energies.matrix.end()) return own->second.value;
    // Of the nearest width that is known, by the ratio of widths.
    const std::pair<const DType, Sourced<JoulesPerFlop>>* nearest = nullptr;
    const auto apart = [&](DType other) {
        return std::abs(std::log(bytes_of(other) / bytes_of(format)));
    };
    for (const auto& each : energies.matrix) {
        if (nearest == nullptr || apart(each.first) < apart(nearest->first)) nearest = &each;
    }
    return nearest->second.value * (bytes_of(format) / bytes_of(nearest->first));
}

}  // namespace podsim
