// What a fabrication process costs and draws: facts of the node, shared by all chips made in it.
// Hardly any of it is published; every value carries its band.
#pragma once

#include <map>
#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "base/document.hpp"
#include "base/sourced.hpp"
#include "base/units.hpp"
#include "program/dtype.hpp"

namespace podsim {

using JoulesPerFlop = Quantity<0, 0, -1, 0, 1, 0>;
using JoulesPerByte = Quantity<0, -1, 0, 0, 1, 0>;

// Areas in mm2; a MAC with its operand buffers and accumulator, SRAM as built into arrays.
struct ProcessArea {
    std::map<DType, Sourced<double>> mac_mm2;
    Sourced<double> vector_mm2;   // an FP32 multiply-accumulate lane with its registers
    Sourced<double> sram_mm2;     // a MiB
    Sourced<double> hbm_phy_mm2;  // and controller, of a stack
    Sourced<double> link_mm2;     // SerDes and controller, of a GB/s per direction
    Sourced<double> uncore;       // share of a die that is none of these: network, control, margins
    Sourced<double> die_to_die;   // share of a die that being one of several takes
};

// Energies at the voltage of the clock that a chip's peaks are stated at.
struct ProcessEnergy {
    std::map<DType, Sourced<JoulesPerFlop>> matrix;  // operands from the core's buffers included
    Sourced<JoulesPerFlop> vector;
    Sourced<JoulesPerByte> on_chip;     // last-level cache to a core
    Sourced<double> leakage_w_per_mm2;  // and clocks at rest, of a mm2 of die
};

struct ProcessSpec {
    std::string name, title;
    Sourced<Usd> wafer;  // processed, 300 mm unless said otherwise
    Sourced<double> wafer_mm;
    Sourced<double> defects_per_cm2;
    Sourced<double> clustering;  // exponent of the yield: small where defects cluster
    Sourced<double> reticle_mm2;
    Sourced<Usd> design;  // masks and design of one chip, once
    ProcessArea area;
    ProcessEnergy energy;
};

ProcessSpec read_process(const Node& document, const std::string& name);
nlohmann::ordered_json process_schema();

}  // namespace podsim
