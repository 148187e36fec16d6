#include "interconnect/bill_of_materials.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <set>
#include <stdexcept>

#include "interconnect/system.hpp"

namespace podsim {

PartListSpec read_parts(const Node& document, const std::string& name) {
    PartListSpec list = read<PartListSpec>(document, "");
    list.name = name;
    return list;
}

nlohmann::ordered_json part_list_schema() {
    return schema<PartListSpec>("podsim parts").json();
}

namespace {

class Counter {
  public:
    Counter(const PartListSpec& parts, Bill& bill) : parts_(parts), bill_(bill) {}

    const PartSpec& part(const std::string& name) const {
        const auto at = parts_.parts.find(name);
        if (at != parts_.parts.end()) return at->second;
        std::vector<std::string> known;
        for (const auto& entry : parts_.parts) known.push_back(entry.first);
        const std::string nearest = nearest_name(name, known);
        throw std::invalid_argument(
            fmt::format("parts {} have no {}{}", parts_.name, name,
                        nearest.empty() ? "" : ": did you mean " + nearest + "?"));
    }

    void add(const std::string& name, double count) {
        if (name.empty() || count <= 0) return;
        const PartSpec& spec = part(name);
        const auto at = index_.emplace(name, bill_.lines.size());
        if (at.second) bill_.lines.push_back({name, spec.title, 0, {}, {}, {}, {}, {}, {}});
        BillLine& line = bill_.lines[at.first->second];
        const auto low = [](const auto& s) { return s.low ? *s.low : s.value; };
        const auto high = [](const auto& s) { return s.high ? *s.high : s.value; };
        line.count += count;
        line.power += count * spec.power.value;
        line.power_low += count * low(spec.power);
        line.power_high += count * high(spec.power);
        line.price += count * spec.price.value;
        line.price_low += count * low(spec.price);
        line.price_high += count * high(spec.price);
    }

    // Links of one level, `copies` of it in the system.
    void add_level(const TopologyLevelSpec& spec, const Topology& topology, double copies) {
        double tier1 = 0, tier2 = 0;
        for (const TopologyNode& node : topology.nodes) {
            tier1 += node.kind == NodeKind::tier1 ? 1 : 0;
            tier2 += node.kind == NodeKind::tier2 ? 1 : 0;
        }
        add(spec.switch_part, tier1 * copies);
        add(spec.second_switch_part.empty() ? spec.switch_part : spec.second_switch_part,
            tier2 * copies);
        bill_.switches += (tier1 + tier2) * copies;
        // Each link is there in both directions: a module at the end of each.
        std::map<std::string, double> optics;
        double cables = 0;
        for (const TopologyLink& link : topology.links) {
            const auto is_chip = [&](int n) {
                return topology.nodes[static_cast<std::size_t>(n)].kind == NodeKind::chip;
            };
            const bool at_chip = is_chip(link.from) || is_chip(link.to);
            const std::string& optic = at_chip || spec.second_optic_part.empty()
                                           ? spec.optic_part
                                           : spec.second_optic_part;
            if (link.medium == Medium::optical && !optic.empty()) {
                const BytesPerSecond of_one = part(optic).bandwidth;
                optics[optic] +=
                    of_one > BytesPerSecond(0.0) ? link.bandwidth / of_one.value() : 1.0;
            } else if (link.medium == Medium::copper && !spec.cable_part.empty()) {
                const BytesPerSecond of_one = part(spec.cable_part).bandwidth;
                cables +=
                    (of_one > BytesPerSecond(0.0) ? link.bandwidth / of_one.value() : 1.0) / 2;
            }
        }
        for (const auto& [name, count] : optics) {
            const double whole = std::ceil(count * copies - 1e-6);
            add(name, whole);
            bill_.optical_modules += whole;
        }
        const double whole = std::ceil(cables * copies - 1e-6);
        add(spec.cable_part, whole);
        bill_.cables += whole;
    }

  private:
    const PartListSpec& parts_;
    Bill& bill_;
    std::map<std::string, std::size_t> index_;
};

}  // namespace

Bill bill_of(const SystemSpec& system, const PartListSpec& parts) {
    if (system.bill.parts.empty())
        throw std::invalid_argument(system.name + " says no bill: of what it is built");
    Bill bill;
    Counter counter(parts, bill);
    const double chips = static_cast<double>(system.chips);
    for (const bool up : {true, false}) {
        // Faults are parts that are there and do not work.
        SystemSpec whole = system;
        for (LinkLevelSpec* level : {&whole.scale_up, &whole.scale_out}) {
            level->planes_down = 0;
            if (level->topology) level->topology->faults.clear();
        }
        const std::optional<TopologyStack> stack = topology_of(whole, up);
        if (!stack) continue;
        for (std::size_t l = 0; l < stack->levels.size(); ++l) {
            const TopologyLevelSpec& spec =
                stack->spec.levels.empty() ? stack->spec.level : stack->spec.levels[l];
            counter.add_level(spec, stack->levels[l].topology,
                              std::ceil(chips / static_cast<double>(stack->levels[l].chips)));
        }
    }
    for (const auto& [name, count] : system.bill.per_chip) counter.add(name, count * chips);
    for (const BillLine& line : bill.lines) {
        bill.power += line.power;
        bill.power_low += line.power_low;
        bill.power_high += line.power_high;
        bill.price += line.price;
        bill.price_low += line.price_low;
        bill.price_high += line.price_high;
    }
    const auto& chip = system.bill.chip_power;
    bill.power += chips * chip.value;
    bill.power_low += chips * (chip.low ? *chip.low : chip.value);
    bill.power_high += chips * (chip.high ? *chip.high : chip.value);
    const auto& more = system.bill.power_overhead;
    bill.power *= 1 + more.value;
    bill.power_low *= 1 + (more.low ? *more.low : more.value);
    bill.power_high *= 1 + (more.high ? *more.high : more.value);
    const auto& racks = system.bill.price_overhead;
    bill.price *= 1 + racks.value;
    bill.price_low *= 1 + (racks.low ? *racks.low : racks.value);
    bill.price_high *= 1 + (racks.high ? *racks.high : racks.value);
    return bill;
}

void power_from_bill(SystemSpec& system, const PartListSpec& parts) {
    if (system.power_per_chip.value > Watts(0.0)) return;
    const Bill bill = bill_of(system, parts);
    const double chips = static_cast<double>(system.chips);
    system.power_per_chip.value = bill.power / chips;
    system.power_per_chip.low = bill.power_low / chips;
    system.power_per_chip.high = bill.power_high / chips;
    system.power_per_chip.source = "its bill of parts, " + parts.name;
    system.power_per_chip.confidence = Confidence::derived;
}

}  // namespace podsim
