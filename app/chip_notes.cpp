#include "app/chip_notes.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "app/text_table.hpp"
#include "chips/power.hpp"
#include "chips/silicon_cost.hpp"

namespace podsim {

namespace {

using Json = nlohmann::ordered_json;

// The same for low, value and high; or why there is none.
struct SiliconBand {
    std::optional<std::array<SiliconCost, 3>> costs;
    std::string why_not;
};

SiliconBand silicon_band(const ChipSpec& chip, const PriceSpec& prices) {
    SiliconBand band;
    if (!chip.silicon || !chip.process) {
        band.why_not = "the file has no section silicon";
        return band;
    }
    if (!prices.silicon) {
        band.why_not = "price list " + prices.name + " has no section silicon";
        return band;
    }
    try {
        const auto at = [&](Band end) {
            return silicon_cost(chip, *chip.silicon, *chip.process, *prices.silicon, end);
        };
        band.costs = {at(Band::low), at(Band::value), at(Band::high)};
    } catch (const std::invalid_argument& error) {
        band.why_not = error.what();
    }
    return band;
}

std::vector<std::pair<std::string, double>> lines_of(const SiliconCost& cost) {
    std::vector<std::pair<std::string, double>> lines;
    for (const auto& [part, mm2] : cost.area.parts) lines.emplace_back(part + ", mm2", mm2);
    lines.emplace_back("compute dies", cost.area.dies);
    lines.emplace_back("area of one, mm2", cost.area.die_mm2);
    lines.emplace_back("dies on a wafer", cost.dies_per_wafer);
    lines.emplace_back("yield with spares, %", cost.yield * 100);
    lines.emplace_back("dies, USD", cost.dies.value());
    lines.emplace_back("memory, USD", cost.memory.value());
    lines.emplace_back("package, USD", cost.package.value());
    lines.emplace_back("lost in assembly, USD", cost.assembly_loss.value());
    lines.emplace_back("test and module, USD", cost.test_and_module.value());
    lines.emplace_back("manufacturing, USD", cost.manufacturing.value());
    lines.emplace_back("design, USD", cost.design.value());
    lines.emplace_back("margin, USD", cost.margin.value());
    lines.emplace_back("price, USD", cost.price.value());
    return lines;
}

// What the energies say, whatever was measured.
double predicted_share(const ChipSpec& chip, const Energies& energies) {
    return sustained_share(chip, energies);
}

// By the energies of the process alone; nothing where it is not known.
std::optional<double> process_share(const ChipSpec& chip) {
    if (!chip.process || !chip.cores) return std::nullopt;
    ChipSpec plain = chip;
    if (plain.energy) plain.energy->matrix.clear();
    return sustained_share(plain, energies_of(plain));
}

}  // namespace

std::string chip_notes(const ChipSpec& chip, const PriceSpec& prices) {
    const Energies energies = energies_of(chip);
    std::string text = "\nPower (docs/power.md):\n";
    for (const auto& [dtype, peak] : chip.peak_matrix) {
        const auto own = energies.matrix.find(dtype);
        text += fmt::format("  matrix units, {}: {:.3g} pJ/FLOP ({})\n", to_string(dtype),
                            matrix_energy(energies, chip, dtype).value() * 1e12,
                            own != energies.matrix.end() ? to_string(own->second.confidence)
                                                         : "by the ratio of widths");
    }
    text += fmt::format(
        "  vector {:.3g} pJ/FLOP, on chip {:.3g} pJ/B, {} {:.3g} pJ/bit, scale-up {:.3g} pJ/bit\n",
        energies.vector.value.value() * 1e12, energies.on_chip.value.value() * 1e12,
        main_memory(chip).name, energies.hbm.value.value() * 1e12 / 8,
        energies.scale_up.value.value() * 1e12 / 8);
    text += fmt::format("  at rest {}, cap {}\n", to_string(energies.static_power.value),
                        to_string(energies.cap.value));
    text += fmt::format("  share of the matrix peak sustained by the best product: {:.3f}\n",
                        predicted_share(chip, energies));
    if (const auto share = process_share(chip))
        text +=
            fmt::format("    by the energies of {} alone: {:.3f}\n", chip.process->name, *share);
    if (chip.sustained)
        text += fmt::format("    measured, and used for the chip as it is: {:.3f}\n",
                            chip.sustained->matrix.value);

    text += "\nSilicon (docs/power.md):";
    const SiliconBand band = silicon_band(chip, prices);
    if (!band.costs) return text + " no cost: " + band.why_not + "\n";
    text += fmt::format(" process {}\n", chip.process->name);
    const auto low = lines_of((*band.costs)[0]), value = lines_of((*band.costs)[1]),
               high = lines_of((*band.costs)[2]);
    TextTable table(34, 11);
    table.row("", {"low", "value", "high"});
    for (std::size_t i = 0; i < value.size(); ++i) {
        table.row("  " + value[i].first,
                  {fmt::format("{:.5g}", low[i].second), fmt::format("{:.5g}", value[i].second),
                   fmt::format("{:.5g}", high[i].second)});
    }
    return text + table.text();
}

std::optional<Sourced<Usd>> silicon_price(const ChipSpec& chip, const PriceSpec& prices) {
    const SiliconBand band = silicon_band(chip, prices);
    if (!band.costs) return {};
    const auto& [low, value, high] = *band.costs;
    return Sourced<Usd>{value.price,          low.price, high.price, "its silicon",
                        Confidence::estimate, ""};
}

nlohmann::ordered_json chip_notes_json(const ChipSpec& chip, const PriceSpec& prices) {
    const Energies energies = energies_of(chip);
    Json matrix = Json::object();
    for (const auto& [dtype, peak] : chip.peak_matrix)
        matrix[to_string(dtype)] = matrix_energy(energies, chip, dtype).value();
    Json power = {{"matrix_joules_per_flop", matrix},
                  {"static_watts", energies.static_power.value.value()},
                  {"cap_watts", energies.cap.value.value()},
                  {"sustained_share", predicted_share(chip, energies)},
                  {"sustained_share_by_process", nullptr},
                  {"sustained_share_measured", nullptr}};
    if (const auto share = process_share(chip)) power["sustained_share_by_process"] = *share;
    if (chip.sustained) power["sustained_share_measured"] = chip.sustained->matrix.value;
    Json json = {{"power", power}, {"silicon", nullptr}};
    const SiliconBand band = silicon_band(chip, prices);
    if (!band.costs) return json;
    json["silicon"] = Json::object();
    const std::array<const char*, 3> ends = {"low", "value", "high"};
    for (std::size_t i = 0; i < ends.size(); ++i) {
        for (const auto& [line, number] : lines_of((*band.costs)[i]))
            json["silicon"][ends[i]][line] = number;
    }
    return json;
}

}  // namespace podsim
