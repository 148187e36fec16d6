#include "chips/power.hpp"

#include <algorithm>
#include <cmath>

namespace podsim {

namespace {

// The product whose draw decides: 2 n^3 FLOPs over 3 n^2 elements that cross memory at least once,
// three times as much with what waves of tiles read again (traffic of such kernels on H100).
constexpr double kSide = 8192, kReads = 3;

double lowest_clock() {
    return 0.1;
}

}  // namespace

double clock_share(const PowerDraw& draw, Watts cap, double alpha) {
    // An energy that was solved for draws the cap but for rounding.
    if (!(draw.total() > cap * (1 + 1e-9))) return 1;
    const double left = (cap - draw.fixed).value();
    if (!(left > 0)) return lowest_clock();
    return std::max(lowest_clock(), std::pow(left / draw.dynamic.value(), 1 / alpha));
}

DType product_format(const ChipSpec& chip) {
    for (const DType format : {DType::bf16, DType::fp16}) {
        if (chip.peak_matrix.count(format) > 0) return format;
    }
    DType widest = chip.peak_matrix.begin()->first;
    for (const auto& [format, peak] : chip.peak_matrix) {
        if (bytes_of(format) > bytes_of(widest)) widest = format;
    }
    return widest;
}

PowerDraw product_draw(const ChipSpec& chip, const Energies& energies, double share) {
    const DType format = product_format(chip);
    const double element = bytes_of(format);
    const FlopsPerSecond rate = share * chip.peak_matrix.at(format).value;
    const double reuse =
        product_reuse(chip.cores ? chip.cores->accumulator.value.value() : 0.0, element);
    const double memory_reuse = 2 * kSide / (3 * element * kReads);
    PowerDraw draw;
    const BytesPerSecond traffic =
        min(BytesPerSecond(rate.value() / memory_reuse), main_memory(chip).bandwidth.value);
    draw.fixed = energies.static_power.value + traffic * energies.hbm.value;
    draw.dynamic = rate * matrix_energy(energies, chip, format) +
                   BytesPerSecond(rate.value() / reuse) * energies.on_chip.value;
    return draw;
}

double sustained_share(const ChipSpec& chip, const Energies& energies) {
    const double best = energies.best_product.value;
    const Watts cap = energies.cap.value;
    const double clock =
        clock_share(product_draw(chip, energies, best), cap, energies.voltage_exponent.value);
    if (clock < 1) return best * clock;
    // The draw rises with the share, and its slope falls where traffic fills the memory.
    const auto fits = [&](double share) {
        return !(product_draw(chip, energies, share).total() > cap);
    };
    if (fits(1)) return 1;
    double low = best, high = 1;
    for (int step = 0; step < 50; ++step) {
        const double middle = (low + high) / 2;
        (fits(middle) ? low : high) = middle;
    }
    return low;
}

Energies at_end(Energies energies, int end) {
    const auto move = [end](auto& sourced) {
        if (end < 0 && sourced.low) sourced.value = *sourced.low;
        if (end > 0 && sourced.high) sourced.value = *sourced.high;
    };
    for (auto& [dtype, energy] : energies.matrix) move(energy);
    move(energies.vector);
    move(energies.on_chip);
    move(energies.hbm);
    move(energies.scale_up);
    move(energies.scale_out);
    move(energies.static_power);
    return energies;
}

Joules at_clock(Joules at_full_clock, double clock, double alpha) {
    return at_full_clock * std::pow(clock, alpha - 1);
}

}  // namespace podsim
