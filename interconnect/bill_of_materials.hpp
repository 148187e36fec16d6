// What a system is built of, counted from its topology: switches, optical modules at both ends of
// each optical link, cables, and what its record lists for each chip; their watts and dollars.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/document.hpp"
#include "base/form.hpp"
#include "base/sourced.hpp"
#include "base/units.hpp"

namespace podsim {

// What a part counts as in a bill's totals.
enum class PartKind { fabric_switch, optic, cable, other };
const std::vector<std::pair<const char*, PartKind>>& names_of(const PartKind*);

struct PartSpec {
    std::string title;
    PartKind kind = PartKind::other;
    Sourced<Watts> power;
    Sourced<Usd> price;
    BytesPerSecond bandwidth{0.0};  // of a module, cable or port of a switch, per direction
    long ports = 0;                 // of a switch; 0: as many as are asked of it
};

// configs/parts
struct PartListSpec {
    std::string name, title;
    std::map<std::string, PartSpec> parts;
};
PartListSpec read_parts(const Node& document, const std::string& name);
nlohmann::ordered_json part_list_schema();

// The switches of a level that is simulated as ports alone: a folded Clos of the fewest tiers that
// reach all of a domain (`folded_clos`).
struct NetworkSpec {
    std::string switch_part;        // with ports and their bandwidth
    std::string optic_part;         // at both ends of a link
    std::string cable_part;         // of links at a chip, where those are copper
    BytesPerSecond bandwidth{0.0};  // of a chip over it, per direction; 0: all of the level's
};

// Parts that some chips share: of a server, a cube, a rack. The last group may be ragged.
struct PartGroup {
    long chips = 0;
    std::map<std::string, double> parts;
};

// Beside links: what chips bring along, and what power supplies and fans add.
struct BillSpec {
    std::string parts;                               // configs/parts; "": there is no bill
    std::map<std::string, double> per_chip;          // part -> how many for one chip
    std::map<std::string, PartGroup> groups;         // by name
    std::optional<NetworkSpec> scale_up, scale_out;  // of a level without a topology
    Sourced<double> power_overhead;  // fans, pumps, conversion, over what parts draw
    Sourced<double> price_overhead;  // racks, assembly
    Sourced<Watts> chip_power;       // of a package; 0 until `chip_power_from`
};

struct BillLine {
    std::string part, title;
    double count = 0;
    Watts power{0.0}, power_low{0.0}, power_high{0.0};  // of all of them
    Usd price{0.0}, price_low{0.0}, price_high{0.0};
};

struct Bill {
    std::vector<BillLine> lines;  // network first, then what chips bring along
    double optical_modules = 0, switches = 0, cables = 0;
    Watts chips_power{0.0}, overhead_power{0.0};
    Usd overhead_price{0.0};
    std::vector<std::string> missing;  // what is there and has no part, with a hint
    Watts power{0.0}, power_low{0.0}, power_high{0.0};  // of all with chips and overhead
    Usd price{0.0}, price_low{0.0}, price_high{0.0};    // of all but the chips
};

template <class Form>
void describe(Form& form, PartSpec& part) {
    form.required("title", part.title, "name in words");
    form.required("power", part.power, "it draws, at nameplate", non_negative());
    form.required("price", part.price, "it costs", non_negative());
    form.optional("kind", part.kind, "what it counts as: switch, optic, cable, other");
    form.optional("bandwidth", part.bandwidth,
                  "of a module, cable or port of a switch, per direction", non_negative());
    form.optional("ports", part.ports, "of a switch", non_negative());
    if (form.ok() && part.ports > 0 && !(part.bandwidth > BytesPerSecond(0.0)))
        form.problem("bandwidth", "is missing: what a port carries", "bandwidth: 50 GB/s");
}

template <class Form>
void describe(Form& form, PartListSpec& list) {
    form.required("title", list.title, "name in words");
    form.required("parts", list.parts, "by name");
}

template <class Form>
void describe(Form& form, NetworkSpec& network) {
    form.required("switch", network.switch_part, "part with ports and their bandwidth");
    form.optional("optic", network.optic_part, "part at both ends of a link");
    form.optional("cable", network.cable_part, "part of links at a chip, where they are copper");
    form.optional("bandwidth", network.bandwidth,
                  "of a chip over it, per direction; that of the level if left out",
                  non_negative());
}

template <class Form>
void describe(Form& form, PartGroup& group) {
    form.required("chips", group.chips, "that share the parts", at_least(1));
    form.required("parts", group.parts, "part and how many for the group", non_negative());
}

template <class Form>
void describe(Form& form, BillSpec& bill) {
    form.required("parts", bill.parts, "list of parts, of configs/parts");
    form.optional("chip_power", bill.chip_power,
                  "what a package draws; the design power of the chip's record if left out",
                  positive());
    form.optional("per_chip", bill.per_chip, "part and how many for one chip", non_negative());
    form.optional("groups", bill.groups, "what some chips share, by name: a server, a rack");
    form.optional("scale_up", bill.scale_up, "switches of links without a topology");
    form.optional("scale_out", bill.scale_out, "switches of a network without a topology");
    form.optional("power_overhead", bill.power_overhead,
                  "fans, pumps and conversion, over what parts draw", non_negative());
    form.optional("price_overhead", bill.price_overhead, "racks, power shelves, assembly",
                  non_negative());
}

// Switches of `ports` ports each that join `members` with `links` links between them all, and the
// links between those switches. One tier while a switch has a port for each member; with t tiers,
// every switch but those on top as many ports up as down (Al-Fares et al., SIGCOMM 2008, is t = 3):
//   members <= ports (ports/2)^(t-1),  (t-1) ceil(links / (ports/2)) + ceil(links / ports)
//   switches, (t-1) links between them
struct Clos {
    int tiers = 1;
    double switches = 0, inner_links = 0;
};
Clos folded_clos(double members, double links, long ports);

struct SystemSpec;
// A bill that does not say what a package draws takes it from the chip's record.
void chip_power_from(SystemSpec& system, const Sourced<Watts>& of_chip);

// Throws std::invalid_argument for a part that the list does not have, and where the system has no
// bill or nothing says what its chip draws.
Bill bill_of(const SystemSpec& system, const PartListSpec& parts);

// What the system costs for one chip, the chip not in it.
Sourced<Usd> share_by_bill(const SystemSpec& system, const Bill& bill, const PartListSpec& parts);

// The power of a chip by the system's bill, where its record does not say it.
void power_from_bill(SystemSpec& system, const Bill& bill, const PartListSpec& parts);

}  // namespace podsim
