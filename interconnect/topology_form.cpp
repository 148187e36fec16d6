// How a topology is written in YAML.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "interconnect/topology.hpp"

namespace podsim {

namespace {

// What is beyond these is a slip of the pen, and its times are no time of a simulation.
Check wire_latency() {
    return {0, 1, false, "a latency of 0 to 1 s"};
}
Check link_rate(bool may_be_zero) {
    return {may_be_zero ? 0 : 1e6, 1e18, false,
            may_be_zero ? "0 or a rate up to 1e18 B/s" : "a rate of 1 MB/s to 1e18 B/s"};
}
Check few() {
    return {0, 1e6, false, "a whole number of 0 to 1,000,000"};
}

}  // namespace

template <class Form>
void describe(Form& form, AttachedSpec& attached) {
    form.required("kind", attached.kind, "host or memory");
    form.optional("per_node", attached.per_node, "of them under each first-tier switch set",
                  at_least(1), few());
    form.required("bandwidth", attached.bandwidth, "of one, per direction", link_rate(false));
}

namespace {

template <class Form>
void describe_part(Form& form, FaultSpec& fault) {
    form.optional("plane", fault.plane, "a plane, from 0", non_negative());
    form.optional("chip", fault.chip, "a chip, from 0", non_negative());
    form.optional("link", fault.link, "two ends, as [chip7, l1.p0.0]; both directions");
    form.optional("switch", fault.switch_name, "a switch, as l2.p0.3");
    form.optional("capacity", fault.capacity, "share of bandwidth that is left; 0: dead", share());
    form.optional("topology_level", fault.topology_level,
                  "with levels: which, from the inside, from 0 (each of its groups lacks the part, "
                  "chips are counted within the group); the outermost if left out",
                  non_negative());
    if (!form.ok()) return;
    const int named = (fault.plane ? 1 : 0) + (fault.chip ? 1 : 0) + (fault.link.empty() ? 0 : 1) +
                      (fault.switch_name.empty() ? 0 : 1);
    if (named != 1) {
        form.problem("plane", fmt::format("{} parts are named, one is meant", named),
                     "exactly one of plane, chip, link, switch");
    } else if (!fault.link.empty() && fault.link.size() != 2) {
        form.problem("link", "is not two ends", "as [chip7, l1.p0.0]");
    }
}

}  // namespace

void describe_fault(ReadForm& form, FaultSpec& fault) {
    fault.place = form.place();
    describe_part(form, fault);
}
void describe_fault(SchemaForm& form, FaultSpec& fault) {
    describe_part(form, fault);
}

template <class Form>
void describe(Form& form, FaultSpec& fault) {
    describe_fault(form, fault);
}

template <class Form>
void describe_level(Form& form, TopologyLevelSpec& level) {
    form.optional("family", level.family, "switched-planes, fat-tree, full-mesh, torus, dragonfly");
    form.optional("chips", level.chips, "of one group; the last level has all", non_negative());
    form.optional("bandwidth", level.bandwidth, "of a chip in this level, per direction",
                  link_rate(true));
    form.optional("dimensions", level.dimensions, "torus, full-mesh: chips along each",
                  at_least(1));
    form.optional("link_bandwidth", level.link_bandwidth, "of a link in each dimension",
                  link_rate(false));
    form.optional("planes", level.planes, "switched-planes: those of the level if left out",
                  non_negative());
    form.optional("node_chips", level.node_chips, "chips under one first-tier switch or leaf",
                  non_negative());
    form.optional("nodes", level.nodes, "the same where nodes are unequal", at_least(1));
    form.optional("second_tier", level.second_tier, "switches of a plane above the first tier",
                  non_negative());
    form.optional("rails", level.rails, "fat-tree: chip i of a node is on leaf i modulo rails",
                  non_negative());
    form.optional("oversubscription", level.oversubscription,
                  "bandwidth down over up at the first tier",
                  Check{1, 1000, false, "a ratio of 1 to 1,000, no fabric is built beyond"});
    form.optional("routers_per_group", level.routers_per_group, "dragonfly", non_negative());
    form.optional("chips_per_router", level.chips_per_router, "dragonfly", non_negative());
    form.optional("global_links", level.global_links, "dragonfly: of a router", non_negative());
    form.optional("local_bandwidth", level.local_bandwidth, "dragonfly: of a link in a group",
                  link_rate(true));
    form.optional("global_bandwidth", level.global_bandwidth, "dragonfly: of a global link",
                  link_rate(true));
    form.optional("attached", level.attached, "hosts and memory on the first-tier switches");
    form.optional("first_medium", level.first_medium, "of links at a chip");
    form.optional("second_medium", level.second_medium, "of links between switches");
    form.optional("electrical_latency", level.electrical_latency,
                  "of a backplane or copper link: serialiser to deserialiser", wire_latency());
    form.optional("optical_latency", level.optical_latency, "of an optical link, fibre included",
                  wire_latency());
    form.optional("switch_latency", level.switch_latency, "through a switch or a router",
                  wire_latency());
    form.optional("virtual_channels", level.virtual_channels,
                  "of a link; as many as the routing needs if left out", non_negative());
    form.optional("switch", level.switch_part, "part of a first-tier switch (configs/parts)");
    form.optional("second_switch", level.second_switch_part, "of a switch above, if another");
    form.optional("optic", level.optic_part, "part at each end of an optical link at a chip");
    form.optional("second_optic", level.second_optic_part, "between switches, if another");
    form.optional("cable", level.cable_part, "part of a copper link");
}

// Whether somebody who chose `family` wrote `value` too, or wrote it later: what a `base:` says
// for another family than the one of its variant is no slip. A setting has no line.
bool written_for(const Node& value, const Node& family, const Place& map) {
    const bool family_is_set = family.place.line == 0;
    return value.place.file == family.place.file || value.place.line == 0 ||
           (value.place.file == map.file && !family_is_set);
}

// nullptr where it is absent or taken back.
const Node* value_of(const Node& map, const std::string& key) {
    const Node* value = map.find(key);
    return value == nullptr || value->kind == Node::Kind::null ? nullptr : value;
}

// A key that the family does not read would be ignored, and the fabric not the one that is meant.
void refuse_keys_of_others(ReadForm& form, const TopologyLevelSpec& level) {
    const Node* family = value_of(form.node(), "family");
    const auto& all = topology_families();
    const auto own = std::find_if(all.begin(), all.end(),
                                  [&](const auto& one) { return one.name == level.family; });
    if (family == nullptr || own == all.end()) return;
    std::set<std::string> others;
    for (const TopologyFamily& one : all) others.insert(one.keys.begin(), one.keys.end());
    for (const std::string& key : own->keys) others.erase(key);
    for (const std::string& key : others) {
        const Node* value = value_of(form.node(), key);
        if (value == nullptr || !written_for(*value, *family, form.place())) continue;
        form.problem(key, "means nothing in the family " + own->name,
                     fmt::format("it reads {}", fmt::join(own->keys, ", ")));
    }
}
void refuse_keys_of_others(SchemaForm&, const TopologyLevelSpec&) {}

// Two keys that say the same thing differently, or one without what it is about: whichever of them
// was meant, the other would be ignored.
void refuse_keys_that_do_nothing(ReadForm& form, const TopologyLevelSpec& level) {
    const Node *nodes = value_of(form.node(), "nodes"),
               *node_chips = value_of(form.node(), "node_chips");
    if (nodes != nullptr && node_chips != nullptr && node_chips->place.file == nodes->place.file)
        form.problem("node_chips", "is beside nodes, which say the size of each", "one of the two");
    if (level.family != "switched-planes" || level.node_chips > 0 || !level.nodes.empty()) return;
    const auto idle = [&](const char* key, bool is_given) {
        if (is_given && value_of(form.node(), key) != nullptr)
            form.problem(key, "means nothing for switches of one tier",
                         "node_chips: how many chips are under one first-tier switch");
    };
    idle("second_tier", level.second_tier > 0);
    idle("oversubscription", level.oversubscription > 1);
}
void refuse_keys_that_do_nothing(SchemaForm&, const TopologyLevelSpec&) {}

// Where there are levels, each has its own.
void refuse_keys_beside_levels(ReadForm& form) {
    const Node* levels = value_of(form.node(), "levels");
    if (levels == nullptr) return;
    std::set<std::string> of_a_level = {
        "chips",           "bandwidth",      "first_medium",     "electrical_latency",
        "optical_latency", "switch_latency", "virtual_channels", "switch",
        "optic",           "cable"};
    for (const TopologyFamily& one : topology_families())
        of_a_level.insert(one.keys.begin(), one.keys.end());
    for (const std::string& key : of_a_level) {
        const Node* value = value_of(form.node(), key);
        if (value != nullptr && written_for(*value, *levels, form.place()))
            form.problem(key, "is beside levels", "write it in the level that it is meant for");
    }
}
void refuse_keys_beside_levels(SchemaForm&) {}

template <class Form>
void describe(Form& form, TopologyLevelSpec& level) {
    describe_level(form, level);
    refuse_keys_of_others(form, level);
    refuse_keys_that_do_nothing(form, level);
}

// Only hashed routes send a message in pieces; what a `base:` says for its routing is no slip.
void refuse_pieces_without_hash(ReadForm& form, const TopologySpec& topology) {
    const Node *pieces = value_of(form.node(), "flows_per_pair"),
               *routing = value_of(form.node(), "routing");
    if (pieces == nullptr || topology.flows_per_pair == 1) return;
    if (topology.routing == RoutingPolicy::hashed) return;
    if (routing == nullptr || written_for(*pieces, *routing, form.place()))
        form.problem("flows_per_pair", "means nothing unless routing is hashed", "routing: hashed");
}
void refuse_pieces_without_hash(SchemaForm&, const TopologySpec&) {}

template <class Form>
void describe_topology(Form& form, TopologySpec& topology) {
    describe(form, topology.level);
    refuse_keys_beside_levels(form);
    form.optional("levels", topology.levels, "levels of their own, from the inside out");
    form.optional("routing", topology.routing, "how messages choose among paths");
    form.optional("flows_per_pair", topology.flows_per_pair,
                  "hashed: pieces of a message that choose for themselves", at_least(1), few());
    form.optional("endpoint_latency", topology.endpoint_latency,
                  "both ends: issue, translation, on-chip network", wire_latency());
    form.optional("memory_latency", topology.memory_latency, "of a read at the far end",
                  wire_latency());
    form.optional("sync_legs", topology.sync_legs, "ways across of a synchronised write",
                  at_least(1), few());
    form.optional("faults", topology.faults, "what is broken");
    if (!form.ok()) return;
    refuse_pieces_without_hash(form, topology);
    if (topology.levels.empty() == topology.level.family.empty()) {
        form.problem("family", topology.levels.empty() ? "is missing" : "is beside levels",
                     "either family, or levels with a family each");
    }
}

void describe(ReadForm& form, TopologySpec& topology) {
    topology.place = form.place();
    describe_topology(form, topology);
}
void describe(SchemaForm& form, TopologySpec& topology) {
    describe_topology(form, topology);
}

}  // namespace podsim
