// The shape of a fabric: chips, switches and directed links, built from a family and its sizes.
// A level without a topology stays ports alone (interconnect/system.hpp).
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/document.hpp"
#include "base/form.hpp"
#include "base/units.hpp"

namespace podsim {

enum class Medium { backplane, copper, optical };
const std::vector<std::pair<const char*, Medium>>& names_of(const Medium*);

// How messages choose among paths.
//   minimal: one shortest path a pair (dimension order, destination modulo)
//   hashed: one of the equal shortest paths at random for each flow: the fullest link decides
//   adaptive: spread evenly over all shortest paths
//   valiant: over a random third chip, both halves shortest: twice the mean load, whatever the
//   pairs all_paths: shortest and Valiant's in the shares that make the fullest link least full
enum class RoutingPolicy { minimal, hashed, adaptive, valiant, all_paths };
const std::vector<std::pair<const char*, RoutingPolicy>>& names_of(const RoutingPolicy*);

// What a fabric has beside chips: hosts, memory of a pool. No ranks run there.
enum class AttachedKind { host, memory };
const std::vector<std::pair<const char*, AttachedKind>>& names_of(const AttachedKind*);
struct AttachedSpec {
    AttachedKind kind = AttachedKind::host;
    long per_node = 1;  // of them under each first-tier switch
    BytesPerSecond bandwidth{0.0};
};

// What is broken. Exactly one of plane, chip, link, switch_name.
struct FaultSpec {
    std::optional<long> plane, chip;
    std::vector<std::string> link;  // two names as "chip7", "l1.p0.3"
    std::string switch_name;
    double capacity = 0;  // share of the links' bandwidth that is left
    // Of a topology of levels: which, from the inside. Each of its groups lacks the part: whatever
    // waits for the slowest group is as late as with one that lacks it.
    std::optional<long> topology_level;  // the outermost if there is none
    Place place;                         // where it is written
};
std::string name_of(const FaultSpec& fault);  // "plane 3", "link chip7 - l1.p0.0"

// One level; which sizes are meant depends on the family (`topology_families`).
struct TopologyLevelSpec {
    std::string family;
    long chips = 0;                 // of one group of this level; 0: all of the level
    BytesPerSecond bandwidth{0.0};  // of a chip in this level, per direction; 0: the level's
    std::vector<long> dimensions;   // torus, full-mesh
    std::vector<BytesPerSecond> link_bandwidth;  // of a link in each dimension
    long planes = 0;                             // switched-planes; 0: the level's
    long node_chips = 0;          // chips under one first-tier switch (switched-planes, fat-tree)
    std::vector<long> nodes;      // their sizes where they are unequal
    long second_tier = 0;         // switches of a plane above the first tier; 0: none
    long rails = 0;               // fat-tree: chip i of a node goes to leaf i modulo rails
    double oversubscription = 1;  // down over up at the first tier
    long routers_per_group = 0, chips_per_router = 0, global_links = 0;  // dragonfly
    BytesPerSecond local_bandwidth{0.0}, global_bandwidth{0.0};          // of a link
    std::vector<AttachedSpec> attached;
    Medium first_medium = Medium::copper, second_medium = Medium::optical;
    Seconds electrical_latency{0.0}, optical_latency{0.0};  // serialiser, wire and deserialiser
    Seconds switch_latency{0.0};
    int virtual_channels = 0;  // 0: as many as the routing needs
    std::string switch_part, second_switch_part, optic_part, second_optic_part, cable_part;
};

struct TopologySpec {
    TopologyLevelSpec level;                // where there is one
    std::vector<TopologyLevelSpec> levels;  // else from the inside out, the last over all chips
    RoutingPolicy routing = RoutingPolicy::adaptive;
    long flows_per_pair = 1;        // hashed: pieces of a message that choose for themselves
    Seconds endpoint_latency{0.0};  // both ends together: issue, translation, on-chip network
    Seconds memory_latency{0.0};    // of a read at the far end
    long sync_legs = 4;  // ways across of a synchronised write: data, answer, flag, answer
    std::vector<FaultSpec> faults;
    Place place;  // where it is written
};

enum class NodeKind { chip, tier1, tier2, host, memory };

struct TopologyNode {
    NodeKind kind = NodeKind::chip;
    int plane = 0, index = 0;  // index within kind and plane
};

struct TopologyLink {
    int from = 0, to = 0;
    int link_class = 0;  // links that the symmetry of the fabric maps onto each other
    int plane = 0;
    double bandwidth = 0;  // B/s of this direction
    double latency = 0;    // s, the switch at its end included
    double weight = 1;     // its share where paths are equal
    Medium medium = Medium::copper;
    int cost = 1;  // shortest paths have the least sum of it
};

struct Topology {
    std::string family;
    int chips = 0;  // the first nodes
    std::vector<TopologyNode> nodes;
    std::vector<TopologyLink> links;  // by `from`
    std::vector<int> first_link;      // of a node in links; one more at the end
    std::vector<std::string> link_classes;
    std::vector<int> chip_class;   // chips that the symmetry maps onto each other
    std::vector<int> ring_order;   // in which neighbours are near
    std::vector<long> dimensions;  // torus, full-mesh
    bool symmetric = true;         // false: faults; routes are then worked out chip by chip
    bool chips_forward = false;    // chips pass on what is for others
    double endpoint_latency = 0;   // s
    int routing_channels = 1;      // virtual channels that its routing uses
};

// "chip7", "l1.p0.3", "l2.p6.15", "host2", "memory0".
std::string name_of(const TopologyNode& node);

struct TopologyFamily {
    std::string name, sentence;
    // Adds nodes and links of `level` for `chips` chips of `bandwidth` each and `planes` planes.
    // Throws std::invalid_argument.
    Topology (*build)(const TopologyLevelSpec& level, long chips, BytesPerSecond bandwidth,
                      long planes);
    std::vector<std::string> keys;  // of a level, that mean something in this family alone
};
const std::vector<TopologyFamily>& topology_families();

// A whole fabric: one Topology for each level. Pairs of one group of a level travel within it,
// others over the levels outside. Faults are of the outermost level unless they name another.
// Throws InputError at the spec's place: unknown family, sizes that do not fit, parts that are not
// there, chips that cannot reach each other, links that together exceed a chip's bandwidth.
struct TopologyStack {
    struct Level {
        Topology topology;
        long chips = 0;        // of a group
        double bandwidth = 0;  // of a chip
    };
    std::vector<Level> levels;  // from the inside out
    TopologySpec spec;
};
TopologyStack build_topology(const TopologySpec& spec, long chips, BytesPerSecond bandwidth,
                             long planes, const std::string& path);

// With faults taken out: links of no capacity are gone, others keep their share.
void apply_fault(Topology& topology, const FaultSpec& fault);

void describe_fault(ReadForm& form, FaultSpec& fault);
void describe_fault(SchemaForm& form, FaultSpec& fault);
void describe(ReadForm& form, TopologySpec& topology);
void describe(SchemaForm& form, TopologySpec& topology);

}  // namespace podsim
