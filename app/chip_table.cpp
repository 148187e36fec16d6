#include "app/chip_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "app/chip_notes.hpp"
#include "app/number_text.hpp"
#include "app/text_table.hpp"
#include "base/names.hpp"
#include "chips/cost.hpp"
#include "sim/band.hpp"

namespace podsim {

namespace {

using Chips = std::vector<ShownChip>;
using CellOf = std::function<std::string(const ShownChip&)>;
using Peaks = std::map<DType, Sourced<FlopsPerSecond>>;

constexpr std::size_t kAbreast = 3;
constexpr const char* kNothing = "";

// "2.35 (1.7 to 5)", in a unit of `scale`; a rumour has a star.
template <class Quantity>
std::string banded(const Sourced<Quantity>& figure, double scale) {
    const auto text = [&](const Quantity& value) {
        return fmt::format("{:.7g}", value.value() * scale);
    };
    std::string cell = text(figure.value);
    if (figure.confidence == Confidence::rumour) cell += "*";
    if (figure.confidence == Confidence::assumed) cell += "?";
    if (!figure.low && !figure.high) return cell;
    return cell + fmt::format(" ({} to {})", text(figure.low.value_or(figure.value)),
                              text(figure.high.value_or(figure.value)));
}

// Two digits: "12,000".
std::string rounded_usd(Usd usd) {
    const double unit = std::pow(10.0, std::floor(std::log10(usd.value())) - 1);
    std::string text = fmt::format("{:.0f}", std::round(usd.value() / unit) * unit);
    for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
    return text;
}

// The rate of dense 16-bit products, which every chip here has in one of two formats.
std::optional<FlopsPerSecond> dense_16_bit(const ChipSpec& chip) {
    for (const DType dtype : {DType::bf16, DType::fp16}) {
        const auto peak = chip.peak_matrix.find(dtype);
        if (peak != chip.peak_matrix.end()) return peak->second.value;
    }
    return {};
}

class Table {
  public:
    Table(const Chips& chips, std::size_t first)
        : begin_(chips.begin() + static_cast<std::ptrdiff_t>(first)),
          end_(chips.begin() +
               static_cast<std::ptrdiff_t>(std::min(first + kAbreast, chips.size()))) {}

    void section(std::string title) { title_ = std::move(title); }

    // Left out where no chip of the block has anything.
    void row(const std::string& label, const CellOf& cell_of) {
        std::vector<std::string> cells;
        bool any = false;
        for (auto chip = begin_; chip != end_; ++chip) {
            cells.push_back(cell_of(*chip));
            any = any || !cells.back().empty();
            if (cells.back().empty()) cells.back() = "-";
        }
        if (!any) return;
        if (!title_.empty()) table_.line(title_);
        title_.clear();
        table_.row(label, cells);
    }

    void peaks(const std::string& title, Peaks ChipSpec::*of) {
        section(title);
        for (const auto& [word, dtype] : names_of(static_cast<const DType*>(nullptr))) {
            row(std::string("  ") + word, [of, dtype = dtype](const ShownChip& shown) {
                const auto peak = (shown.chip.*of).find(dtype);
                return peak == (shown.chip.*of).end() ? kNothing : banded(peak->second, 1e-12);
            });
        }
    }

    const std::string& text() const { return table_.text(); }

  private:
    Chips::const_iterator begin_, end_;
    TextTable table_{29, 16};
    std::string title_;
};

void add_structure(Table& table) {
    table.row("", [](const ShownChip& shown) { return shown.chip.name; });
    table.row("vendor", [](const ShownChip& shown) { return shown.chip.vendor; });
    table.row("year", [](const ShownChip& shown) {
        return shown.chip.year > 0 ? std::to_string(shown.chip.year) : kNothing;
    });
    table.row("known by",
              [](const ShownChip& shown) { return shown.chip.cores ? "structure" : "data sheet"; });
    table.row("ranks", [](const ShownChip& shown) { return std::to_string(shown.chip.ranks); });
    table.row("cores (matrix / vector)", [](const ShownChip& shown) {
        if (!shown.chip.cores) return std::string(kNothing);
        const CoresSpec& cores = *shown.chip.cores;
        return cores.separate_vector
                   ? fmt::format("{} / {}", cores.matrix.value, cores.vector.value)
                   : std::to_string(cores.matrix.value);
    });
    table.row("clock, GHz", [](const ShownChip& shown) {
        return shown.chip.cores ? banded(shown.chip.cores->clock, 1e-9) : kNothing;
    });
}

void add_peaks(Table& table) {
    table.peaks("dense peak of matrix units, TFLOPS", &ChipSpec::peak_matrix);
    table.row("  vector units, FP32",
              [](const ShownChip& shown) { return banded(shown.chip.peak_vector, 1e-12); });
    table.peaks("data sheet's dense peak, TFLOPS", &ChipSpec::peak_published);
    table.peaks("with sparsity: no answer uses it", &ChipSpec::peak_sparse);
    table.peaks("headline: no answer uses it", &ChipSpec::peak_headline);
}

void add_memory(Table& table) {
    table.section("memory");
    table.row("  HBM, LPDDR or GDDR, GB", [](const ShownChip& shown) {
        return shown.chip.hbm ? banded(shown.chip.hbm->capacity, 1e-9) : kNothing;
    });
    table.row("  its bandwidth, GB/s", [](const ShownChip& shown) {
        return shown.chip.hbm ? banded(shown.chip.hbm->bandwidth, 1e-9) : kNothing;
    });
    table.row("  stacks or devices", [](const ShownChip& shown) {
        if (!shown.chip.memory) return std::string(kNothing);
        return fmt::format("{} x {}", shown.chip.memory->stacks.value, shown.chip.memory->device);
    });
    table.row("  SRAM, MB", [](const ShownChip& shown) {
        return shown.chip.sram ? banded(shown.chip.sram->capacity, 1e-6) : kNothing;
    });
    table.row("  its bandwidth, TB/s", [](const ShownChip& shown) {
        return shown.chip.sram ? banded(shown.chip.sram->bandwidth, 1e-12) : kNothing;
    });
    table.row("  last-level cache, MiB", [](const ShownChip& shown) {
        return shown.chip.cores ? banded(shown.chip.cores->l2, 1.0 / 1048576) : kNothing;
    });
}

// Of the systems with that chip the one that joins most of them.
const SystemSpec* largest(const ShownChip& shown) {
    const auto joins_fewer = [](const SystemSpec& a, const SystemSpec& b) {
        return a.scale_up.domain.value < b.scale_up.domain.value;
    };
    const auto most = std::max_element(shown.systems.begin(), shown.systems.end(), joins_fewer);
    return most == shown.systems.end() ? nullptr : &*most;
}

void add_systems(Table& table) {
    const auto row = [&](const char* label,
                         const std::function<std::string(const SystemSpec&)>& of) {
        table.row(label, [&of](const ShownChip& shown) {
            const SystemSpec* system = largest(shown);
            return system != nullptr ? of(*system) : kNothing;
        });
    };
    table.section("largest system of it");
    row("  name", [](const SystemSpec& system) { return system.name; });
    row("  chips in a scale-up domain",
        [](const SystemSpec& system) { return std::to_string(system.scale_up.domain.value); });
    row("  scale-up, GB/s a direction",
        [](const SystemSpec& system) { return banded(system.scale_up.bandwidth, 1e-9); });
    row("  scale-out, Gb/s",
        [](const SystemSpec& system) { return banded(system.scale_out.bandwidth, 8e-9); });
    row("  power per chip, all-in, W",
        [](const SystemSpec& system) { return banded(system.power_per_chip, 1); });
    table.row("  systems in all",
              [](const ShownChip& shown) { return std::to_string(shown.systems.size()); });
}

void add_price(Table& table) {
    table.section("power and price");
    table.row("  thermal design power, W",
              [](const ShownChip& shown) { return banded(shown.chip.power, 1); });
    table.row("  rental, USD/h", [](const ShownChip& shown) {
        return shown.price && shown.price->rental ? banded(*shown.price->rental, 3600) : kNothing;
    });
    table.row("  purchase, USD", [](const ShownChip& shown) {
        return shown.price && shown.price->purchase ? banded(*shown.price->purchase, 1) : kNothing;
    });
    table.row("  price of its silicon, USD", [](const ShownChip& shown) {
        if (!shown.silicon) return std::string(kNothing);
        const Sourced<Usd>& price = *shown.silicon;
        return fmt::format("{} ({} to {})", rounded_usd(price.value),
                           rounded_usd(price.low.value_or(price.value)),
                           rounded_usd(price.high.value_or(price.value)));
    });
    table.section("dense 16-bit peak over");
    table.row("  memory rate: ridge, FLOP/B", [](const ShownChip& shown) {
        const auto peak = dense_16_bit(shown.chip);
        if (!peak) return std::string(kNothing);
        return significant(peak->value() / main_memory(shown.chip).bandwidth.value.value(), 3);
    });
    table.row("  power, TFLOPS/W", [](const ShownChip& shown) {
        const auto peak = dense_16_bit(shown.chip);
        if (!peak) return std::string(kNothing);
        return significant(peak->value() / shown.chip.power.value.value() * 1e-12, 3);
    });
    table.row("  purchase, GFLOPS/USD", [](const ShownChip& shown) {
        const auto peak = dense_16_bit(shown.chip);
        if (!peak) return std::string(kNothing);
        if (shown.price && shown.price->purchase)
            return significant(peak->value() / shown.price->purchase->value.value() * 1e-9, 3);
        if (!shown.silicon) return std::string(kNothing);
        return significant(peak->value() / shown.silicon->value.value() * 1e-9, 3) + "^";
    });
}

void add_evidence(Table& table) {
    table.section("how an operator's time is found");
    table.row("  level of detail",
              [](const ShownChip& shown) { return to_string(finest_fidelity(shown.chip)); });
    table.row("  kernel library", [](const ShownChip& shown) { return shown.kernels.name; });
    table.row("  fitted on", [](const ShownChip& shown) {
        if (!is_fitted(shown.kernels)) return std::string("no chip");
        return shown.kernels.chip == shown.chip.name ? "this chip" : shown.kernels.chip;
    });
    table.row("  band either way, %", [](const ShownChip& shown) {
        const auto band = error_band(shown.chip, shown.kernels);
        return band ? significant(band->share * 100, 2) : kNothing;
    });
    table.row("  held-out errors, %", [](const ShownChip& shown) {
        KernelLibrarySpec library = shown.kernels;
        double least = 1, most = 0;
        for (const FitRecord* record : records_of(library)) {
            if (record->held_out_error <= 0) continue;
            least = std::min(least, record->held_out_error);
            most = std::max(most, record->held_out_error);
        }
        if (most == 0) return std::string(kNothing);
        return least == most ? significant(most * 100, 2)
                             : significant(least * 100, 2) + " to " + significant(most * 100, 2);
    });
}

}  // namespace

ShownChip shown_chip(const ChipSpec& chip, Catalog& catalog) {
    const Place place{"podsim show", 0, 0};
    ShownChip shown{chip, {}, {}, {}, {}};
    shown.kernels =
        read_kernel_library(catalog.load("kernels", chip.kernels, place, "kernels"), chip.kernels);
    const auto has = [&](const char* kind, const std::string& name) {
        const auto names = catalog.names(kind);
        return std::find(names.begin(), names.end(), name) != names.end();
    };
    if (has("prices", "default")) {
        const PriceSpec prices =
            read_prices(catalog.load("prices", "default", place, "prices"), "default");
        for (const std::string& name : {chip.name, chip.variant_of}) {
            const auto price = prices.chips.find(name);
            if (price == prices.chips.end() || shown.price) continue;
            shown.price = price->second;
        }
        if (!shown.price || !shown.price->purchase) shown.silicon = silicon_price(chip, prices);
    }
    for (const std::string& name : catalog.names("system")) {
        SystemSpec system = read_system(catalog.load("system", name, place, "system"), name);
        if (system.chip != chip.name) continue;
        if (!system.bill.parts.empty() && !(system.power_per_chip.value > Watts(0.0))) {
            const PartListSpec parts = read_parts(
                catalog.load("parts", system.bill.parts, place, "bill.parts"), system.bill.parts);
            chip_power_from(system, chip.power);
            power_from_bill(system, bill_of(system, parts), parts);
        }
        shown.systems.push_back(system);
    }
    return shown;
}

std::string chip_table(const Chips& chips) {
    std::string text;
    for (std::size_t first = 0; first < chips.size(); first += kAbreast) {
        Table table(chips, first);
        add_structure(table);
        add_peaks(table);
        add_memory(table);
        add_systems(table);
        add_price(table);
        add_evidence(table);
        text += (first > 0 ? "\n" : "") + table.text();
    }
    text += "* a rumour, ? assumed; in brackets from low to high.\n";
    const auto by_silicon = [](const ShownChip& shown) { return shown.silicon.has_value(); };
    if (std::any_of(chips.begin(), chips.end(), by_silicon))
        text += "^ at the price of its silicon (docs/power.md).\n";
    return text;
}

}  // namespace podsim
