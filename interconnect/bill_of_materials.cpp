#include "interconnect/bill_of_materials.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "interconnect/system.hpp"

namespace podsim {

const std::vector<std::pair<const char*, PartKind>>& names_of(const PartKind*) {
    static const std::vector<std::pair<const char*, PartKind>> names = {
        {"switch", PartKind::fabric_switch},
        {"optic", PartKind::optic},
        {"cable", PartKind::cable},
        {"other", PartKind::other}};
    return names;
}

PartListSpec read_parts(const Node& document, const std::string& name) {
    PartListSpec list = read<PartListSpec>(document, "");
    list.name = name;
    return list;
}

nlohmann::ordered_json part_list_schema() {
    return schema<PartListSpec>("podsim parts").json();
}

Clos folded_clos(double members, double links, long ports) {
    // Quotients of doubles: 1.344 TB/s over 28 GB/s are 48 ports, not 49.
    const auto whole = [](double count) { return std::ceil(count * (1 - 1e-12) - 1e-9); };
    Clos clos;
    const double half = static_cast<double>(ports) / 2;
    for (double reach = static_cast<double>(ports); reach < members; reach *= half) {
        if (half <= 1)
            throw std::invalid_argument(
                fmt::format("switches of {} ports do not join {:.0f}", ports, members));
        ++clos.tiers;
    }
    const double lower = clos.tiers - 1;
    clos.switches = lower * whole(links / half) + whole(links / static_cast<double>(ports));
    clos.inner_links = lower * links;
    return clos;
}

namespace {

// In place of a part's name: it is there and counted elsewhere, or in the chips.
constexpr const char* kNone = "none";

template <class T>
T low_of(const Sourced<T>& sourced) {
    return sourced.low.value_or(sourced.value);
}
template <class T>
T high_of(const Sourced<T>& sourced) {
    return sourced.high.value_or(sourced.value);
}

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

    // Nobody buys a part of a part.
    void add(const std::string& name, double count) {
        count = std::ceil(count - 1e-6);
        if (name == kNone || count <= 0) return;
        const PartSpec& spec = part(name);
        const auto at = index_.emplace(name, bill_.lines.size());
        if (at.second) bill_.lines.push_back({name, spec.title, 0, {}, {}, {}, {}, {}, {}});
        BillLine& line = bill_.lines[at.first->second];
        line.count += count;
        line.power += count * spec.power.value;
        line.power_low += count * low_of(spec.power);
        line.power_high += count * high_of(spec.power);
        line.price += count * spec.price.value;
        line.price_low += count * low_of(spec.price);
        line.price_high += count * high_of(spec.price);
        if (spec.kind == PartKind::fabric_switch) bill_.switches += count;
        if (spec.kind == PartKind::optic) bill_.optical_modules += count;
        if (spec.kind == PartKind::cable) bill_.cables += count;
    }

    // Links of one level, `copies` of it in the system; `path` is where its parts are named.
    void add_level(const TopologyLevelSpec& spec, const Topology& topology, double copies,
                   const std::string& path) {
        Rates optics, cables;
        add_switches(spec, topology, copies, path, optics);
        // Each link is there in both directions: a module at the end of each, one cable for both.
        // Between two chips there are whole ones; what a switch has to all others may be shared.
        const auto carried = [&](const TopologyLink& link, const std::string& name) {
            return topology.chips_forward && !name.empty() && name != kNone
                       ? whole_parts(link.bandwidth, name)
                       : link.bandwidth;
        };
        bool bare_optics = false, bare_copper = false;
        for (const TopologyLink& link : topology.links) {
            if (link.medium == Medium::optical) {
                const std::string& optic = optic_of(spec, topology, link);
                bare_optics = bare_optics || optic.empty();
                optics[optic] += carried(link, optic);
            } else if (link.medium == Medium::copper) {
                bare_copper = bare_copper || spec.cable_part.empty();
                cables[spec.cable_part] += carried(link, spec.cable_part) / 2;
            }
        }
        if (bare_optics) miss(path, "optical links", "optic");
        if (bare_copper) miss(path, "copper links", "cable");
        add_by_bandwidth(optics, copies);
        add_by_bandwidth(cables, copies);
    }

    // A folded Clos over each of `copies` domains of `chips`.
    void add_network(const NetworkSpec& spec, double chips, double bandwidth, double copies) {
        const PartSpec& box = part(spec.switch_part);
        if (box.ports < 1) {
            throw std::invalid_argument(fmt::format(
                "part {} has no ports: a network counts its switches by them", spec.switch_part));
        }
        const double links = chips * bandwidth / box.bandwidth.value();
        const Clos clos = folded_clos(std::min(chips, std::ceil(links)), links, box.ports);
        add(spec.switch_part, clos.switches * copies);
        Rates optics, cables;
        const double inner = 2 * clos.inner_links * box.bandwidth.value();
        if (spec.cable_part.empty()) {
            optics[spec.optic_part] += 2 * chips * bandwidth;
        } else {
            cables[spec.cable_part] += chips * bandwidth;
        }
        if (inner > 0) optics[spec.optic_part] += inner;
        add_by_bandwidth(optics, copies);
        add_by_bandwidth(cables, copies);
    }

  private:
    using Rates = std::map<std::string, double>;  // B/s to carry, by part

    void miss(const std::string& path, const std::string& what, const char* key) {
        bill_.missing.push_back(
            fmt::format("{} has {} of no part: {}.{} names one, or none where the bill's groups "
                        "count them",
                        path, what, path, key));
    }

    static const std::string& optic_of(const TopologyLevelSpec& spec, const Topology& topology,
                                       const TopologyLink& link) {
        const auto is_chip = [&](int n) {
            return topology.nodes[static_cast<std::size_t>(n)].kind == NodeKind::chip;
        };
        const bool outer = !is_chip(link.from) && !is_chip(link.to);
        return outer && !spec.second_optic_part.empty() ? spec.second_optic_part : spec.optic_part;
    }

    double rate_of(const std::string& name) const {
        const BytesPerSecond of_one = part(name).bandwidth;
        if (!(of_one > BytesPerSecond(0.0))) {
            throw std::invalid_argument(
                fmt::format("part {} has no bandwidth: links are counted by it", name));
        }
        return of_one.value();
    }

    // What those that one link needs can carry, B/s. A part may be bought for the sheet's rounded
    // figure.
    double whole_parts(double bandwidth, const std::string& name) const {
        const double of_one = rate_of(name);
        return std::ceil(bandwidth / of_one - 0.01) * of_one;
    }

    void add_by_bandwidth(const Rates& rates, double copies) {
        for (const auto& [name, rate] : rates) {
            if (name.empty() || name == kNone) continue;
            add(name, rate / rate_of(name) * copies);
        }
    }

    // A switch of the graph takes as many of its part as have the ports for its links, side by
    // side; or tiers of them where it has more neighbours than a part has ports.
    void add_switches(const TopologyLevelSpec& spec, const Topology& topology, double copies,
                      const std::string& path, Rates& optics) {
        std::map<std::string, double> counts;
        double bare = 0;
        for (std::size_t n = 0; n < topology.nodes.size(); ++n) {
            const NodeKind kind = topology.nodes[n].kind;
            if (kind != NodeKind::tier1 && kind != NodeKind::tier2) continue;
            const bool second = kind == NodeKind::tier2 && !spec.second_switch_part.empty();
            const std::string& name = second ? spec.second_switch_part : spec.switch_part;
            if (name == kNone) continue;
            if (name.empty()) {
                bare += copies;
                continue;
            }
            const PartSpec& box = part(name);
            if (box.ports < 1) {
                counts[name] += 1;
                continue;
            }
            const auto first = static_cast<std::size_t>(topology.first_link[n]);
            const auto last = static_cast<std::size_t>(topology.first_link[n + 1]);
            double rate = 0;
            for (std::size_t l = first; l < last; ++l) rate += topology.links[l].bandwidth;
            const Clos clos = folded_clos(static_cast<double>(last - first),
                                          rate / box.bandwidth.value(), box.ports);
            counts[name] += clos.switches;
            if (clos.inner_links > 0) {
                optics[spec.second_optic_part.empty() ? spec.optic_part : spec.second_optic_part] +=
                    2 * clos.inner_links * box.bandwidth.value();
            }
        }
        for (const auto& [name, count] : counts) add(name, count * copies);
        bill_.switches += bare;
        if (bare > 0) miss(path, fmt::format("{:.0f} switches", bare), "switch");
    }

    const PartListSpec& parts_;
    Bill& bill_;
    std::map<std::string, std::size_t> index_;
};

void add_links(const SystemSpec& system, bool up, Counter& counter) {
    // Faults are parts that are there and do not work.
    SystemSpec whole = system;
    LinkLevelSpec& level = up ? whole.scale_up : whole.scale_out;
    level.planes_down = 0;
    if (level.topology) level.topology->faults.clear();
    const double chips = static_cast<double>(system.chips);
    const std::string path = up ? "scale_up.topology" : "scale_out.topology";
    if (const std::optional<TopologyStack> stack = topology_of(whole, up)) {
        for (std::size_t l = 0; l < stack->levels.size(); ++l) {
            const bool single = stack->spec.levels.empty();
            counter.add_level(single ? stack->spec.level : stack->spec.levels[l],
                              stack->levels[l].topology,
                              std::ceil(chips / static_cast<double>(stack->levels[l].chips)),
                              single ? path : fmt::format("{}.levels[{}]", path, l));
        }
        return;
    }
    const std::optional<NetworkSpec>& network = up ? system.bill.scale_up : system.bill.scale_out;
    if (!network) return;
    const double group = static_cast<double>(std::min(level.domain.value, system.chips));
    const BytesPerSecond rate =
        network->bandwidth > BytesPerSecond(0.0) ? network->bandwidth : level.bandwidth.value;
    counter.add_network(*network, group, rate.value(), std::ceil(chips / group));
}

}  // namespace

void chip_power_from(SystemSpec& system, const Sourced<Watts>& of_chip) {
    if (!(system.bill.chip_power.value > Watts(0.0))) system.bill.chip_power = of_chip;
}

Bill bill_of(const SystemSpec& system, const PartListSpec& parts) {
    if (system.bill.parts.empty())
        throw std::invalid_argument(system.name + " says no bill: of what it is built");
    const Sourced<Watts>& chip = system.bill.chip_power;
    if (!(chip.value > Watts(0.0))) {
        throw std::invalid_argument(fmt::format(
            "neither bill.chip_power of {} nor power of its chip says what a package draws",
            system.name));
    }
    Bill bill;
    Counter counter(parts, bill);
    const double chips = static_cast<double>(system.chips);
    for (const bool up : {true, false}) add_links(system, up, counter);
    for (const auto& [name, count] : system.bill.per_chip) counter.add(name, count * chips);
    for (const auto& [group, shared] : system.bill.groups) {
        const double groups = std::ceil(chips / static_cast<double>(shared.chips));
        for (const auto& [name, count] : shared.parts) counter.add(name, count * groups);
    }
    for (const BillLine& line : bill.lines) {
        bill.power += line.power;
        bill.power_low += line.power_low;
        bill.power_high += line.power_high;
        bill.price += line.price;
        bill.price_low += line.price_low;
        bill.price_high += line.price_high;
    }
    bill.chips_power = chips * chip.value;
    bill.power += bill.chips_power;
    bill.power_low += chips * low_of(chip);
    bill.power_high += chips * high_of(chip);
    const auto& more = system.bill.power_overhead;
    bill.overhead_power = bill.power * more.value;
    bill.power += bill.overhead_power;
    bill.power_low *= 1 + low_of(more);
    bill.power_high *= 1 + high_of(more);
    const auto& racks = system.bill.price_overhead;
    bill.overhead_price = bill.price * racks.value;
    bill.price += bill.overhead_price;
    bill.price_low *= 1 + low_of(racks);
    bill.price_high *= 1 + high_of(racks);
    return bill;
}

Sourced<Usd> share_by_bill(const SystemSpec& system, const Bill& bill, const PartListSpec& parts) {
    const double chips = static_cast<double>(system.chips);
    return {bill.price / chips,      bill.price_low / chips,
            bill.price_high / chips, "its bill of parts, " + parts.name,
            Confidence::derived,     ""};
}

void power_from_bill(SystemSpec& system, const Bill& bill, const PartListSpec& parts) {
    if (system.power_per_chip.value > Watts(0.0)) return;
    const double chips = static_cast<double>(system.chips);
    system.power_per_chip = {bill.power / chips,      bill.power_low / chips,
                             bill.power_high / chips, "its bill of parts, " + parts.name,
                             Confidence::derived,     ""};
}

}  // namespace podsim
