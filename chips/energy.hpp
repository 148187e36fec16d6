// What operations and bytes of a chip draw. A chip may state any of it; what it leaves open is
// filled in, each with where it is from:
//
//   matrix   stated > the process's, if cores are known > solved: the best product draws the cap
//   static   stated > die area x the process's leakage + standby of memory > a share of the
//            design power
//   others   stated > the process's, of memory and links by technology > those of a 5 nm class chip
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/sourced.hpp"
#include "base/units.hpp"
#include "chips/process.hpp"
#include "program/dtype.hpp"

namespace podsim {

struct ChipSpec;

// As a chip's file states it: of the package, at the voltage of the clock behind the peaks.
struct EnergySpec {
    std::map<DType, Sourced<JoulesPerFlop>> matrix;  // operands from the core's buffers included
    std::optional<Sourced<JoulesPerFlop>> vector;
    std::optional<Sourced<JoulesPerByte>> on_chip;              // last-level cache to a core
    std::optional<Sourced<JoulesPerByte>> hbm;                  // traffic, without standby
    std::optional<Sourced<JoulesPerByte>> scale_up, scale_out;  // links
    std::optional<Sourced<Watts>> static_power;  // at rest, clocks running, memory's standby too
    std::optional<Sourced<Watts>> cap;           // thermal design power unless lower
    std::optional<Sourced<double>> voltage_exponent;  // alpha of P_dynamic ~ f^alpha
    std::optional<Sourced<double>> best_product;      // share of the peak, at rest, full clock
};

// Nothing left open.
struct Energies {
    std::map<DType, Sourced<JoulesPerFlop>> matrix;
    Sourced<JoulesPerFlop> vector;
    Sourced<JoulesPerByte> on_chip, hbm, scale_up, scale_out;
    Sourced<Watts> static_power, cap;
    Sourced<double> voltage_exponent, best_product;
};

Energies energies_of(const ChipSpec& chip);

// What a FLOP of the matrix units in `dtype` draws, in the format it is executed in.
JoulesPerFlop matrix_energy(const Energies& energies, const ChipSpec& chip, DType dtype);

// FLOPs of a large product for each byte that its cores load from the last-level cache: a tile of
// side s of sums in the accumulator takes 2 s^2 FLOPs and 2 s operands a step. An accumulator of 0
// is one that nobody knows: the usual size stands in.
double product_reuse(double accumulator_bytes, double operand_bytes);

}  // namespace podsim
