// What connects: a system's two kinds of links as ports of a chip and of a rank.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/document.hpp"
#include "base/sourced.hpp"
#include "base/units.hpp"
#include "interconnect/bill_of_materials.hpp"
#include "interconnect/topology.hpp"

namespace podsim {

// How pieces of a message choose among equal parallel planes: sprayed packet by packet (even), or
// one plane a message (the fullest plane decides).
enum class PlaneBalance { packet, message };
const std::vector<std::pair<const char*, PlaneBalance>>& names_of(const PlaneBalance*);

// Links of one reach. A switched level without oversubscription is ports alone.
struct LinkLevelSpec {
    std::string technology;
    Sourced<BytesPerSecond> bandwidth;  // of a chip, per direction, all planes together
    Sourced<long> domain;               // chips that reach each other over it
    Sourced<long> planes{1, {}, {}, "", Confidence::vendor, ""};
    long planes_down = 0;  // failed planes: the rest carry everything
    PlaneBalance plane_balance = PlaneBalance::packet;
    Sourced<Seconds> latency;        // one small message, end to end, in hardware
    double oversubscription = 1;     // of its switches above the first tier; divides bandwidth
    bool reduces_in_switch = false;  // its switches add up and copy what passes
    std::optional<TopologySpec> topology;  // inside the fabric; without one it is ports alone
};

// A rack: what it holds and what it is fed.
struct RackSpec {
    Sourced<long> chips;
    Sourced<Watts> power;
};

// What chips of a node share: its processors, their memory, its drives.
struct HostSpec {
    Sourced<long> chips;                          // packages a host serves
    Sourced<Bytes> memory;                        // of its processors, together
    Sourced<BytesPerSecond> bandwidth;            // of that memory, data sheet
    std::optional<Sourced<FlopsPerSecond>> peak;  // matrix work of its processors in BF16
    // Share of both that their kernels reach with experts.
    Sourced<double> attained{1.0, {}, {}, "", Confidence::assumed, ""};
    std::optional<Sourced<Bytes>> storage;  // of its drives
    std::optional<Sourced<BytesPerSecond>> storage_bandwidth;
};

struct SystemSpec {
    std::string name, title;
    std::string variant_of;         // the system it started from by base: or --set, "" for itself
    std::string chip;               // configs/chips
    long chips = 0;                 // it has in all
    LinkLevelSpec scale_up;         // supernode links
    LinkLevelSpec scale_out;        // network between domains
    std::string collectives;        // default collective library
    Sourced<Watts> power_per_chip;  // all-in: chip, host, network, cooling fans; nameplate
                                    // (0 until `power_from_bill` where it is not given)
    std::optional<RackSpec> rack;
    std::optional<HostSpec> host;
    BillSpec bill;                            // what it is built of beside its links
    std::optional<Sourced<Usd>> built_share;  // of a chip by that bill, worked out when resolved
};

class TopologyTimes;

// The ports of one rank.
struct RankFabric {
    BytesPerSecond scale_up{0.0}, scale_out{0.0};  // data-sheet rate per direction
    long domain_ranks = 1;                         // ranks within the scale-up domain
    Seconds scale_up_latency{0.0}, scale_out_latency{0.0};
    long scale_up_planes = 1, scale_out_planes = 1;
    bool scale_up_reduces = false;  // in the switches
    PlaneBalance scale_up_balance = PlaneBalance::packet, scale_out_balance = PlaneBalance::packet;
    int ranks_per_chip = 1;
    std::shared_ptr<const TopologyTimes> scale_up_links, scale_out_links;  // none: ports alone
};

// The links of a level of a system, with what `planes_down` says; empty where it has no topology.
// Throws InputError.
std::optional<TopologyStack> topology_of(const SystemSpec& system, bool scale_up);

SystemSpec read_system(const Node& document, const std::string& name);
// Whole chips that so much power feeds.
long chips_fed(Watts supply, Watts each);

RankFabric rank_fabric(const SystemSpec& system, int ranks_per_chip);
nlohmann::ordered_json system_schema();

}  // namespace podsim
