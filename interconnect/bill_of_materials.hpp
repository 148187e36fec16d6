// What a system is built of, counted from its topology: switches, optical modules at both ends of
// each optical link, cables, and what its record lists for each chip; their watts and dollars.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/document.hpp"
#include "base/form.hpp"
#include "base/sourced.hpp"
#include "base/units.hpp"

namespace podsim {

struct PartSpec {
    std::string title;
    Sourced<Watts> power;
    Sourced<Usd> price;
    BytesPerSecond bandwidth{0.0};  // of an optical module or cable, per direction
};

// configs/parts
struct PartListSpec {
    std::string name, title;
    std::map<std::string, PartSpec> parts;
};
PartListSpec read_parts(const Node& document, const std::string& name);
nlohmann::ordered_json part_list_schema();

// Beside links: what each chip brings along, and what power supplies and fans add.
struct BillSpec {
    std::string parts;                       // configs/parts; "": there is no bill
    std::map<std::string, double> per_chip;  // part -> how many for one chip
    Sourced<double> power_overhead;          // fans, pumps, conversion, over what parts draw
    Sourced<double> price_overhead;          // racks, assembly
    Sourced<Watts> chip_power;               // of a package, as its record has it or all-in
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
    Watts power{0.0}, power_low{0.0}, power_high{0.0};  // of all with chips and overhead
    Usd price{0.0}, price_low{0.0}, price_high{0.0};    // of all but the chips
};

template <class Form>
void describe(Form& form, PartSpec& part) {
    form.required("title", part.title, "name in words");
    form.required("power", part.power, "it draws, at nameplate", non_negative());
    form.required("price", part.price, "it costs", non_negative());
    form.optional("bandwidth", part.bandwidth, "of a module or cable, per direction",
                  non_negative());
}

template <class Form>
void describe(Form& form, PartListSpec& list) {
    form.required("title", list.title, "name in words");
    form.required("parts", list.parts, "by name");
}

template <class Form>
void describe(Form& form, BillSpec& bill) {
    form.required("parts", bill.parts, "list of parts, of configs/parts");
    form.required("chip_power", bill.chip_power, "what a package draws", positive());
    form.optional("per_chip", bill.per_chip, "part and how many for one chip", non_negative());
    form.optional("power_overhead", bill.power_overhead,
                  "fans, pumps and conversion, over what parts draw", non_negative());
    form.optional("price_overhead", bill.price_overhead, "racks, power shelves, assembly",
                  non_negative());
}

struct SystemSpec;
// Throws std::invalid_argument for a part that the list does not have, and where the system has no
// bill.
Bill bill_of(const SystemSpec& system, const PartListSpec& parts);

// The power of a chip by the system's bill, where its record does not say it.
void power_from_bill(SystemSpec& system, const PartListSpec& parts);

}  // namespace podsim
