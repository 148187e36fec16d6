#include "interconnect/system.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "base/form.hpp"
#include "interconnect/topology_times.hpp"

namespace podsim {

const std::vector<std::pair<const char*, PlaneBalance>>& names_of(const PlaneBalance*) {
    static const std::vector<std::pair<const char*, PlaneBalance>> names = {
        {"packet", PlaneBalance::packet}, {"message", PlaneBalance::message}};
    return names;
}

// What is beyond these is a slip of the pen (a unit too many), and its times are none of a
// simulation.
template <class Form>
void describe(Form& form, LinkLevelSpec& level) {
    form.required("technology", level.technology, "what the links are");
    form.required("bandwidth", level.bandwidth, "of a chip, per direction, all planes together",
                  Check{1e6, 1e18, false, "a rate of 1 MB/s to 1e18 B/s"});
    form.required("domain", level.domain, "chips that reach each other over it", at_least(1));
    form.optional("planes", level.planes, "parallel switch planes",
                  Check{1, 1e6, false, "a whole number of 1 to 1,000,000"});
    form.optional("planes_down", level.planes_down, "failed planes; the rest carry everything",
                  non_negative());
    form.optional("plane_balance", level.plane_balance,
                  "packet: sprayed evenly; message: one plane a message");
    form.required("latency", level.latency, "one small message end to end",
                  Check{0, 10, false, "a latency of 0 to 10 s"});
    form.optional("oversubscription", level.oversubscription,
                  "of the switches above the first tier; divides the bandwidth",
                  Check{1, 1000, false, "a ratio of 1 to 1,000, no fabric is built beyond"});
    form.optional("reduces_in_switch", level.reduces_in_switch,
                  "scale-up: its switches can add up and copy what passes (NVLink SHARP)");
    form.optional("topology", level.topology,
                  "the links inside (docs/fabric.md); ports alone if left out");
    if (form.ok() && level.topology && level.oversubscription > 1) {
        form.problem("oversubscription", "is that of the topology where there is one",
                     "topology.oversubscription");
    }
    if (form.ok() && level.planes_down >= level.planes.value) {
        form.problem("planes_down", fmt::format("{} of {} planes down leave none",
                                                level.planes_down, level.planes.value));
    }
}

template <class Form>
void describe(Form& form, RackSpec& rack) {
    form.required("chips", rack.chips, "packages it holds", at_least(1));
    form.required("power", rack.power, "what it is fed", positive());
}

namespace {

// What no system is built of is a slip of the pen.
template <class Form>
void check_bill(Form& form, const BillSpec& bill) {
    constexpr double kMany = 1e6;
    const auto few = [&](const std::string& key, const std::map<std::string, double>& parts) {
        for (const auto& [part, count] : parts) {
            if (count > kMany)
                form.problem("bill", fmt::format("{}.{}: {} of it", key, part, count),
                             "up to 1,000,000");
        }
    };
    few("per_chip", bill.per_chip);
    for (const auto& [name, group] : bill.groups) few("groups." + name, group.parts);
    const auto overhead = [&](const char* key, const Sourced<double>& more) {
        if (more.high.value_or(more.value) > 10 || more.value > 10)
            form.problem("bill", fmt::format("{}: {} times the parts", key, more.value),
                         "up to 10 times");
    };
    overhead("power_overhead", bill.power_overhead);
    overhead("price_overhead", bill.price_overhead);
    if (bill.chip_power.value > Watts(kMany))
        form.problem("bill", "chip_power: " + to_string(bill.chip_power.value), "up to 1 MW");
    for (const auto* network : {&bill.scale_up, &bill.scale_out}) {
        if (*network && (*network)->bandwidth > BytesPerSecond(1e18))
            form.problem("bill", "bandwidth: " + to_string((*network)->bandwidth),
                         "a rate of up to 1e18 B/s");
    }
}

}  // namespace

template <class Form>
void describe(Form& form, HostSpec& host) {
    form.required("chips", host.chips, "packages that share it", at_least(1));
    form.required("memory", host.memory, "of its processors, together", positive());
    form.required("bandwidth", host.bandwidth, "of that memory, data sheet", positive());
    form.optional("peak", host.peak, "matrix work of its processors in BF16, data sheet",
                  positive());
    form.optional("attained", host.attained,
                  "share of peak and bandwidth that its processors' kernels reach with experts "
                  "(100 %)",
                  share_above_zero());
    form.optional("storage", host.storage, "of its drives", positive());
    form.optional("storage_bandwidth", host.storage_bandwidth, "of its drives together, reading",
                  positive());
    if (form.ok() && host.storage.has_value() != host.storage_bandwidth.has_value())
        form.problem("storage", "of drives both storage and storage_bandwidth are needed");
}

template <class Form>
void describe(Form& form, SystemSpec& system) {
    form.required("title", system.title, "name in words");
    form.optional("variant_of", system.variant_of,
                  "written by podsim: the system this one started from");
    form.required("chip", system.chip, "its chip, of configs/chips or a path");
    form.required("chips", system.chips, "packages it has in all", at_least(1));
    form.required("scale_up", system.scale_up, "supernode links");
    form.required("scale_out", system.scale_out, "network between supernode domains");
    form.required("collectives", system.collectives,
                  "collective library it uses unless told otherwise");
    form.optional("power_per_chip", system.power_per_chip,
                  "all-in nameplate power for one chip: host, network and fans included; that of "
                  "its bill of parts if left out",
                  positive());
    form.optional("rack", system.rack, "what a rack holds and is fed");
    form.optional("host", system.host,
                  "processors, memory and drives of a node: where experts may lie");
    if (form.ok() && system.rack && system.power_per_chip.value > Watts(0.0) &&
        chips_fed(system.rack->power.value, system.power_per_chip.value) < 1) {
        form.problem("rack",
                     fmt::format("{} feed no chip of {}", to_string(system.rack->power.value),
                                 to_string(system.power_per_chip.value)));
    }
    form.optional("bill", system.bill, "what it is built of beside its links, for costs and power");
    if (form.ok()) check_bill(form, system.bill);
    if (form.ok() && system.bill.parts.empty() && !(system.power_per_chip.value > Watts(0.0))) {
        form.problem("power_per_chip", "is missing, and there is no bill to add it up from",
                     "power_per_chip, or bill");
    }
    if (form.ok() && system.scale_out.reduces_in_switch) {
        form.problem("scale_out", "reduces_in_switch is known of scale_up only");
    }
}

SystemSpec read_system(const Node& document, const std::string& name) {
    SystemSpec system = read<SystemSpec>(document, "");
    system.name = name;
    Problems problems;
    for (const bool up : {true, false}) {
        try {
            (void)topology_of(system, up);
        } catch (const InputError& error) {
            problems.insert(problems.end(), error.diagnostics().begin(), error.diagnostics().end());
        }
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    return system;
}

std::optional<TopologyStack> topology_of(const SystemSpec& system, bool scale_up) {
    const LinkLevelSpec& level = scale_up ? system.scale_up : system.scale_out;
    if (!level.topology) return {};
    TopologySpec spec = *level.topology;
    for (long i = 0; i < level.planes_down; ++i) {
        FaultSpec fault;
        fault.plane = level.planes.value - 1 - i;
        spec.faults.push_back(fault);
    }
    return build_topology(spec, std::min(level.domain.value, system.chips), level.bandwidth.value,
                          level.planes.value,
                          scale_up ? "scale_up.topology" : "scale_out.topology");
}

namespace {

BytesPerSecond rate_of(const LinkLevelSpec& level, int ranks_per_chip) {
    const double up = static_cast<double>(level.planes.value - level.planes_down) /
                      static_cast<double>(level.planes.value);
    return level.bandwidth.value * up / level.oversubscription /
           static_cast<double>(ranks_per_chip);
}

}  // namespace

long chips_fed(Watts supply, Watts each) {
    // 12 MW over 1.2 kW are 10,000 chips, however the quotient of doubles falls.
    return static_cast<long>(std::floor(supply / each * (1 + 1e-12)));
}

RankFabric rank_fabric(const SystemSpec& system, int ranks_per_chip) {
    RankFabric fabric;
    fabric.scale_up = rate_of(system.scale_up, ranks_per_chip);
    fabric.scale_out = rate_of(system.scale_out, ranks_per_chip);
    fabric.domain_ranks = system.scale_up.domain.value * ranks_per_chip;
    fabric.scale_up_latency = system.scale_up.latency.value;
    fabric.scale_out_latency = system.scale_out.latency.value;
    fabric.scale_up_planes = system.scale_up.planes.value - system.scale_up.planes_down;
    fabric.scale_out_planes = system.scale_out.planes.value - system.scale_out.planes_down;
    fabric.scale_up_reduces = system.scale_up.reduces_in_switch;
    fabric.scale_up_balance = system.scale_up.plane_balance;
    fabric.scale_out_balance = system.scale_out.plane_balance;
    fabric.ranks_per_chip = ranks_per_chip;
    if (auto up = topology_of(system, true)) {
        fabric.scale_up_links = std::make_shared<const TopologyTimes>(
            std::move(*up), system.scale_up.reduces_in_switch);
    }
    if (auto out = topology_of(system, false))
        fabric.scale_out_links = std::make_shared<const TopologyTimes>(std::move(*out), false);
    return fabric;
}

nlohmann::ordered_json system_schema() {
    return schema<SystemSpec>("podsim system").json();
}

}  // namespace podsim
