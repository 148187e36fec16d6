#include "app/system_table.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <functional>
#include <stdexcept>

#include "app/number_text.hpp"
#include "app/text_table.hpp"
#include "chips/chip.hpp"
#include "interconnect/coflow.hpp"
#include "interconnect/topology_times.hpp"
#include "sim/price.hpp"

namespace podsim {

namespace {

using Json = nlohmann::ordered_json;
using Systems = std::vector<ShownSystem>;

constexpr std::size_t kAbreast = 4, kLabel = 28;
constexpr double kSizes[] = {65536, 1048576, 16777216, 268435456, 1073741824};
constexpr const char* kSizeNames[] = {"64 KiB", "1 MiB", "16 MiB", "256 MiB", "1 GiB"};

ShownLevel shown_level(const SystemSpec& system, bool up) {
    const LinkLevelSpec& level = up ? system.scale_up : system.scale_out;
    ShownLevel shown;
    shown.chips = std::min(level.domain.value, system.chips);
    shown.bandwidth = level.bandwidth.value.value();
    shown.latency = level.latency.value.value();
    const std::optional<TopologyStack> stack = topology_of(system, up);
    if (!stack) {
        shown.topology = "ports alone";
        const long half = shown.chips / 2;
        shown.bisection = static_cast<double>(half) * shown.bandwidth / level.oversubscription;
        return shown;
    }
    double out = 0;
    int near_from = 0, near_to = 0;
    for (const TopologyStack::Level& part : stack->levels) {
        shown.topology += (shown.topology.empty() ? "" : ", ") + part.topology.family;
        for (const long n : part.topology.dimensions)
            shown.topology +=
                (&n == part.topology.dimensions.data() ? " " : "x") + std::to_string(n);
        const TopologyFigures figures = figures_of(part.topology);
        if (!shown.near || figures.near < *shown.near) {
            shown.near = figures.near;
            near_from = figures.near_from;
            near_to = figures.near_to;
        }
        if (!shown.far || figures.far > *shown.far) shown.far = figures.far;
        shown.figures = figures;
        out = figures.bisection;
    }
    shown.bisection = out;
    const TopologyFigures& last = *shown.figures;
    if (shown.chips > 1) {
        shown.near_read = pair_operations(*stack, near_from, near_to, 512).read;
        shown.far_read = pair_operations(*stack, last.far_from, last.far_to, 512).read;
    }
    return shown;
}

BusCurve curve_of(const SystemSpec& system, const ChipSpec& chip,
                  const CollectiveLibrarySpec& library, TransferType type, Collective collective) {
    BusCurve curve;
    curve.collective = to_string(type);
    const RankFabric fabric = rank_fabric(system, chip.ranks);
    const int ranks = static_cast<int>(fabric.domain_ranks);
    for (const double size : kSizes) {
        curve.sizes.push_back(size);
        Transfer transfer;
        transfer.name = curve.collective;
        transfer.type = type;
        transfer.group_ranks = ranks;
        transfer.size = Bytes(size);
        const Coflow coflow = make_coflow(transfer, fabric, library, ranks);
        const double time = completion_times(coflow, {Seconds(0.0)}).front().value();
        curve.library.push_back(ranks < 2 ? 0 : bus_factor(type, ranks) * size / time);
        std::optional<double> links;
        std::string algorithm;
        if (fabric.scale_up_links && fabric.domain_ranks > chip.ranks) {
            const int chips = ranks / chip.ranks;
            const auto& terms = fabric.scale_up_links->terms(collective, {chips, 1, 0});
            const CollectiveTerms& best = best_of(terms, size);
            links = bus_factor(type, chips) * size / best.time(size);
            algorithm = to_string(best.algorithm);
        }
        curve.links.push_back(links);
        curve.algorithms.push_back(algorithm);
    }
    return curve;
}

}  // namespace

ShownSystem shown_system(const Node& document, const std::string& name, Catalog& catalog) {
    ShownSystem shown;
    shown.spec = read_system(document, name);
    const SystemSpec& system = shown.spec;
    const auto load = [&](const char* kind, const std::string& what, const char* key) {
        const Node* node = document.find(key);
        return catalog.load(kind, what, node != nullptr ? node->place : document.place, key);
    };
    shown.scale_up = shown_level(system, true);
    shown.scale_out = shown_level(system, false);
    const ChipSpec chip = read_chip(load("chip", system.chip, "chip"), system.chip);
    const CollectiveLibrarySpec library = read_collective_library(
        load("collectives", system.collectives, "collectives"), system.collectives);
    for (const auto& [type, collective] :
         {std::pair{TransferType::all_reduce, Collective::all_reduce},
          std::pair{TransferType::all_to_all, Collective::all_to_all}}) {
        try {
            shown.curves.push_back(curve_of(system, chip, library, type, collective));
        } catch (const std::invalid_argument& error) {
            shown.notes.push_back(fmt::format("{}: {}", system.name, error.what()));
        }
    }
    if (system.bill.parts.empty()) {
        shown.notes.push_back(fmt::format(
            "{} has no bill of parts: `bill: {{parts: default, per_chip: {{nic-400g: 1}}}}` and "
            "the "
            "switch, optic and cable of its levels make one (docs/fabric.md, Parts); podsim show "
            "parts default lists them",
            system.name));
    } else {
        const PartListSpec parts =
            read_parts(load("parts", system.bill.parts, "bill"), system.bill.parts);
        chip_power_from(shown.spec, chip.power);
        try {
            shown.bill = bill_of(system, parts);
            shown.power_of_record = system.power_per_chip.value > Watts(0.0);
            power_from_bill(shown.spec, *shown.bill, parts);
        } catch (const std::invalid_argument& error) {
            throw InputError(document.find("bill")->place, "bill", error.what(),
                             "podsim show parts lists them");
        }
        for (const std::string& what : shown.bill->missing)
            shown.notes.push_back(fmt::format("{}: {}", system.name, what));
    }
    const auto lists = catalog.names("prices");
    if (std::find(lists.begin(), lists.end(), "default") != lists.end()) {
        const PriceSpec prices =
            read_prices(catalog.load("prices", "default", document.place, ""), "default");
        const auto at = prices.systems.find(name);
        if (at != prices.systems.end())
            shown.share_per_chip = at->second.share_per_chip.value.value();
        const auto of_chip = prices.chips.find(chip.name);
        if (of_chip != prices.chips.end() && of_chip->second.purchase) {
            shown.chips_price =
                of_chip->second.purchase->value.value() * static_cast<double>(system.chips);
        }
    }
    return shown;
}

namespace {

class Table {
  public:
    explicit Table(const Systems& systems)
        : systems_(systems),
          table_(kLabel,
                 std::min<std::size_t>(24, (kTerminalWidth - kLabel) / systems.size() - 1)) {}

    using CellOf = std::function<std::string(const ShownSystem&)>;
    void section(const std::string& title) { title_ = title; }
    void row(const std::string& label, const CellOf& cell_of) {
        std::vector<std::string> cells;
        for (const ShownSystem& system : systems_) cells.push_back(cell_of(system));
        if (std::all_of(cells.begin(), cells.end(), [](const auto& c) { return c.empty(); }))
            return;
        for (std::string& cell : cells)
            if (cell.empty()) cell = "-";
        if (!title_.empty()) table_.line(title_);
        title_.clear();
        table_.row(label, cells);
    }
    void level(const std::string& title, const ShownLevel ShownSystem::*which) {
        section(title);
        const auto number = [&](const char* label, auto&& value) {
            row(label, [&](const ShownSystem& s) {
                const std::optional<double> v = value(s.*which);
                return v ? significant(*v) : std::string();
            });
        };
        row("  topology", [&](const ShownSystem& s) { return (s.*which).topology; });
        row("  chips", [&](const ShownSystem& s) { return std::to_string((s.*which).chips); });
        using Value = std::optional<double>;
        number("  a chip, GB/s", [](const ShownLevel& l) -> Value { return l.bandwidth / 1e9; });
        number("  bisection, TB/s",
               [](const ShownLevel& l) -> Value { return l.bisection / 1e12; });
        row("  diameter, links", [&](const ShownSystem& s) {
            const auto& figures = (s.*which).figures;
            return figures ? std::to_string(figures->diameter) : std::string();
        });
        const auto microseconds = [](const Value& v) { return v ? Value(*v * 1e6) : v; };
        number("  near pair, one way, us",
               [&](const ShownLevel& l) { return microseconds(l.near); });
        number("  far pair, one way, us", [&](const ShownLevel& l) { return microseconds(l.far); });
        number("  512 B read, near, us",
               [&](const ShownLevel& l) { return microseconds(l.near_read); });
        number("  512 B read, far, us",
               [&](const ShownLevel& l) { return microseconds(l.far_read); });
        number("  as libraries see it, us",
               [](const ShownLevel& l) -> Value { return l.latency * 1e6; });
    }
    const std::string& text() const { return table_.text(); }

  private:
    const Systems& systems_;
    TextTable table_;
    std::string title_;
};

// Parts of any of the systems, in the order they first come.
std::vector<std::string> parts_of(const Systems& systems) {
    std::vector<std::string> names;
    for (const ShownSystem& system : systems) {
        if (!system.bill) continue;
        for (const BillLine& line : system.bill->lines)
            if (std::find(names.begin(), names.end(), line.part) == names.end())
                names.push_back(line.part);
    }
    return names;
}

// What systems are built of, part by part and in all.
void add_bill(Table& table, const Systems& systems) {
    using OfLine = std::function<double(const BillLine&)>;
    using OfBill = std::function<double(const Bill&)>;
    const auto lines = [&](const OfLine& value, bool whole) {
        for (const std::string& part : parts_of(systems)) {
            table.row("  " + part, [&](const ShownSystem& s) {
                if (!s.bill) return std::string();
                for (const BillLine& line : s.bill->lines)
                    if (line.part == part)
                        return whole ? fmt::format("{:.0f}", value(line))
                                     : significant(value(line));
                return std::string();
            });
        }
    };
    const auto of_bill = [&](const char* label, const OfBill& value) {
        table.row(label, [&](const ShownSystem& s) {
            return s.bill ? significant(value(*s.bill)) : std::string();
        });
    };
    const auto count = [&](const char* label, const OfBill& value) {
        table.row(label, [&](const ShownSystem& s) {
            return s.bill ? fmt::format("{:.0f}", value(*s.bill)) : std::string();
        });
    };
    const auto range = [&](const OfBill& low, const OfBill& high) {
        table.row("    lowest to highest", [&](const ShownSystem& s) {
            return s.bill ? fmt::format("{:.0f}-{:.0f}", low(*s.bill), high(*s.bill))
                          : std::string();
        });
    };
    table.section("parts, all of it");
    count("  switches", [](const Bill& b) { return b.switches; });
    count("  optical modules", [](const Bill& b) { return b.optical_modules; });
    count("  cables", [](const Bill& b) { return b.cables; });
    table.section("bill of parts, number");
    lines([](const BillLine& l) { return l.count; }, true);
    table.section("bill of parts, kW");
    lines([](const BillLine& l) { return l.power.value() / 1e3; }, false);
    of_bill("  chips", [](const Bill& b) { return b.chips_power.value() / 1e3; });
    of_bill("  fans, pumps, conversion",
            [](const Bill& b) { return b.overhead_power.value() / 1e3; });
    table.section("bill of parts, kUSD");
    lines([](const BillLine& l) { return l.price.value() / 1e3; }, false);
    of_bill("  assembly, margin", [](const Bill& b) { return b.overhead_price.value() / 1e3; });
    of_bill("  all of it but the chips", [](const Bill& b) { return b.price.value() / 1e3; });
    range([](const Bill& b) { return b.price_low.value() / 1e3; },
          [](const Bill& b) { return b.price_high.value() / 1e3; });
    table.row("  chips, default prices", [](const ShownSystem& s) {
        return s.bill && s.chips_price ? significant(*s.chips_price / 1e3) : std::string();
    });
    table.section("power, kW");
    table.row("  by its record", [](const ShownSystem& s) {
        if (!s.power_of_record) return std::string();
        return significant(s.spec.power_per_chip.value.value() * static_cast<double>(s.spec.chips) /
                           1e3);
    });
    of_bill("  by its parts", [](const Bill& b) { return b.power.value() / 1e3; });
    range([](const Bill& b) { return b.power_low.value() / 1e3; },
          [](const Bill& b) { return b.power_high.value() / 1e3; });
    table.section("system share of a chip, USD");
    table.row("  by the default prices", [](const ShownSystem& s) {
        return s.share_per_chip ? fmt::format("{:.0f}", *s.share_per_chip) : std::string();
    });
    table.row("  by its parts", [](const ShownSystem& s) {
        return s.bill ? fmt::format("{:.0f}",
                                    s.bill->price.value() / static_cast<double>(s.spec.chips))
                      : std::string();
    });
}

std::string table_of(const Systems& systems) {
    Table table(systems);
    table.row("", [](const ShownSystem& s) { return s.spec.name; });
    table.row("chip", [](const ShownSystem& s) { return s.spec.chip; });
    table.row("chips", [](const ShownSystem& s) { return std::to_string(s.spec.chips); });
    table.level("scale-up domain", &ShownSystem::scale_up);
    table.level("scale-out", &ShownSystem::scale_out);
    for (const char* const type : {"all_reduce", "all_to_all"}) {
        const auto curve = [&](const ShownSystem& s) -> const BusCurve* {
            for (const BusCurve& c : s.curves)
                if (c.collective == type) return &c;
            return nullptr;
        };
        for (const bool links : {false, true}) {
            table.section(fmt::format("busbw of {} in a domain, {}, GB/s", type,
                                      links ? "links alone" : "with its library"));
            for (std::size_t i = 0; i < std::size(kSizes); ++i) {
                table.row(fmt::format("  {}", kSizeNames[i]), [&](const ShownSystem& s) {
                    const BusCurve* c = curve(s);
                    if (c == nullptr) return std::string();
                    if (!links) return significant(c->library[i] / 1e9);
                    if (!c->links[i]) return std::string();
                    return significant(*c->links[i] / 1e9);
                });
            }
        }
    }
    add_bill(table, systems);
    return table.text();
}

Json json_of(const ShownLevel& level) {
    Json json = {{"topology", level.topology},
                 {"chips", level.chips},
                 {"bandwidth_per_chip", level.bandwidth},
                 {"bisection", level.bisection},
                 {"library_latency", level.latency}};
    if (level.figures) json["diameter"] = level.figures->diameter;
    const auto put = [&](const char* key, const std::optional<double>& value) {
        if (value) json[key] = *value;
    };
    put("latency_near", level.near);
    put("latency_far", level.far);
    put("read_512_near", level.near_read);
    put("read_512_far", level.far_read);
    return json;
}

}  // namespace

std::string system_table(const Systems& systems) {
    std::string text;
    for (std::size_t i = 0; i < systems.size(); i += kAbreast) {
        const std::size_t end = std::min(systems.size(), i + kAbreast);
        if (i > 0) text += "\n";
        text += table_of(Systems(systems.begin() + static_cast<std::ptrdiff_t>(i),
                                 systems.begin() + static_cast<std::ptrdiff_t>(end)));
    }
    for (const ShownSystem& system : systems)
        for (const std::string& note : system.notes) text += hanging("note: ", note) + "\n";
    return text;
}

nlohmann::ordered_json to_json(const ShownSystem& system) {
    Json json = {{"chips", system.spec.chips},
                 {"scale_up", json_of(system.scale_up)},
                 {"scale_out", json_of(system.scale_out)}};
    Json curves = Json::array();
    for (const BusCurve& curve : system.curves) {
        for (std::size_t i = 0; i < curve.sizes.size(); ++i) {
            Json point = {{"collective", curve.collective},
                          {"bytes", curve.sizes[i]},
                          {"library_bus_bandwidth", curve.library[i]}};
            if (curve.links[i]) {
                point["links_bus_bandwidth"] = *curve.links[i];
                point["algorithm"] = curve.algorithms[i];
            }
            curves.push_back(std::move(point));
        }
    }
    json["bus_bandwidth"] = std::move(curves);
    json["power"] =
        system.spec.power_per_chip.value.value() * static_cast<double>(system.spec.chips);
    if (system.share_per_chip) json["system_share_per_chip"] = *system.share_per_chip;
    if (system.chips_price) json["chips_price"] = *system.chips_price;
    if (system.bill) {
        Json lines = Json::array();
        for (const BillLine& line : system.bill->lines) {
            lines.push_back({{"part", line.part},
                             {"title", line.title},
                             {"count", line.count},
                             {"power", line.power.value()},
                             {"power_low", line.power_low.value()},
                             {"power_high", line.power_high.value()},
                             {"price", line.price.value()},
                             {"price_low", line.price_low.value()},
                             {"price_high", line.price_high.value()}});
        }
        json["bill"] = {{"switches", system.bill->switches},
                        {"optical_modules", system.bill->optical_modules},
                        {"cables", system.bill->cables},
                        {"chips_power", system.bill->chips_power.value()},
                        {"overhead_power", system.bill->overhead_power.value()},
                        {"power", system.bill->power.value()},
                        {"power_low", system.bill->power_low.value()},
                        {"power_high", system.bill->power_high.value()},
                        {"overhead_price", system.bill->overhead_price.value()},
                        {"price", system.bill->price.value()},
                        {"price_low", system.bill->price_low.value()},
                        {"price_high", system.bill->price_high.value()},
                        {"lines", std::move(lines)}};
    }
    if (!system.notes.empty()) json["notes"] = system.notes;
    return json;
}

}  // namespace podsim
