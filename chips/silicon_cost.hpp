// What a chip costs to make, and a price that follows, from its parts:
//
//   dies per wafer  N = pi d^2 / (4 A) - pi d / sqrt(2 A)                 (d: wafer, A: die)
//   yield of area   Y(A) = (1 + A D0 / c)^-c                              (negative binomial)
//   with spares     Y = Y(A - A_cores) x P(at least k of n cores are whole)
//   die             wafer / (N Y)
//   manufacturing   (dies + memory + interposer) / assembly yield + test + module
//   price           (manufacturing + design / volume) / (1 - gross margin)
//
// A core is whole with Y(A_core); cores count as independent. Low and high come from all inputs at
// the end that makes the chip cheap or dear.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/sourced.hpp"
#include "base/units.hpp"
#include "chips/chip.hpp"
#include "chips/process.hpp"

namespace podsim {

using UsdPerByte = Quantity<0, -1, 0, 1, 0, 0>;

struct SiliconPrices {
    std::map<std::string, Sourced<UsdPerByte>> hbm;
    Sourced<double> interposer_usd_per_mm2, stack_mm2;
    std::optional<Sourced<double>> substrate_usd_per_mm2;  // one die, no memory beside it
    Sourced<double> assembly_yield;
    Sourced<Usd> test, module;
    Sourced<double> other_die_usd_per_mm2;
    Sourced<double> volume, gross_margin;
    Sourced<Usd> system_share;
};

// Which end of every band: all that makes the chip cheap, the values, all that makes it dear.
enum class Band { low, value, high };

// That end of a value that makes the chip dearer, or of one that makes it cheaper.
template <class T>
T dearer(const Sourced<T>& value, Band band) {
    if (band == Band::low) return value.low.value_or(value.value);
    if (band == Band::high) return value.high.value_or(value.value);
    return value.value;
}
template <class T>
T cheaper(const Sourced<T>& value, Band band) {
    if (band == Band::low) return value.high.value_or(value.value);
    if (band == Band::high) return value.low.value_or(value.value);
    return value.value;
}

struct DieArea {
    bool published = false;
    double die_mm2 = 0;   // of one compute die
    double core_mm2 = 0;  // of one matrix core, with its share of what all cores take
    std::vector<std::pair<std::string, double>> parts;  // of all compute dies; empty if published
    long dies = 1;
};

// Compute dies that stand in the file, or if they would not fit the reticle and their area is not
// published, as many as it takes.
DieArea die_area(const ChipSpec& chip, const SiliconSpec& silicon, const ProcessSpec& process,
                 Band band);

double dies_per_wafer(double wafer_mm, double die_mm2);
double area_yield(double mm2, double defects_per_cm2, double clustering);
// P(at least `needed` of `built` are whole), each with probability `whole`.
double spares_yield(long built, long needed, double whole);
double die_yield(const DieArea& area, long cores_built, long cores_needed, double defects_per_cm2,
                 double clustering);

struct SiliconCost {
    DieArea area;
    double dies_per_wafer = 0, yield = 0;
    Usd dies{0.0}, memory{0.0}, package{0.0}, test_and_module{0.0}, assembly_loss{0.0};
    Usd manufacturing{0.0}, design{0.0}, margin{0.0}, price{0.0};
};

// Throws std::invalid_argument: a generation of memory without a price, a die beyond the reticle or
// the wafer, a format whose MAC has no area.
SiliconCost silicon_cost(const ChipSpec& chip, const SiliconSpec& silicon,
                         const ProcessSpec& process, const SiliconPrices& prices, Band band);

}  // namespace podsim
