// `podsim show system`: what systems connect, how fast, and what that takes, side by side.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/catalog.hpp"
#include "interconnect/bill_of_materials.hpp"
#include "interconnect/system.hpp"
#include "interconnect/topology_figures.hpp"

namespace podsim {

// Bus bandwidth (nccl-tests) of one collective over a scale-up domain, by size in bytes.
struct BusCurve {
    std::string collective;
    std::vector<double> sizes;
    std::vector<double> library;               // B/s, with its software
    std::vector<std::optional<double>> links;  // B/s, the best algorithm over the links alone
    std::vector<std::string> algorithms;       // that one
};

struct ShownLevel {
    std::string topology;  // family, or "ports alone"
    long chips = 0;
    double bandwidth = 0, bisection = 0;  // B/s: of a chip; between halves, one way
    std::optional<TopologyFigures> figures;
    std::optional<double> near, far;            // s: a small message one way
    std::optional<double> near_read, far_read;  // s: 512 bytes
    double latency = 0;                         // s, as libraries were measured with
};

struct ShownSystem {
    SystemSpec spec;
    ShownLevel scale_up, scale_out;
    std::vector<BusCurve> curves;
    std::optional<Bill> bill;
    bool power_of_record = true;           // else of its bill
    std::optional<double> share_per_chip;  // USD, of the default prices
    std::optional<double> chips_price;     // USD, of all chips at the default prices
    std::vector<std::string> notes;
};

// Loads what the system names: chip, collectives, parts, the default prices.
ShownSystem shown_system(const Node& document, const std::string& name, Catalog& catalog);

// A column each, four abreast, in 80 characters.
std::string system_table(const std::vector<ShownSystem>& systems);
nlohmann::ordered_json to_json(const ShownSystem& system);

}  // namespace podsim
