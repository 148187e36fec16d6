#include "sim/packet_algorithm.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "base/names.hpp"
#include "interconnect/collective_work.hpp"
#include "interconnect/dimension_wise.hpp"
#include "interconnect/link_ratio.hpp"
#include "interconnect/reach.hpp"
#include "interconnect/topology_times.hpp"

namespace podsim {

namespace {

// What a library does with the bytes that packets know nothing of.
std::string not_as_packets(const Coflow& coflow, const CollectiveLibrarySpec& library,
                           const TransferHabits& habits) {
    if (habits.local_over_scale_out)
        return fmt::format("{} reaches neighbours over the scale-out links", library.name);
    if (coflow.in_switch)
        return fmt::format("{} lets the switches add up, and packets' switches do not",
                           library.name);
    return "";
}

// A group's transfer, and the place of its first rank in its domain.
struct PlacedTransfer {
    const Transfer& transfer;
    int first = 0;
};

// Ranks of each domain that has some.
std::vector<int> domain_sizes(const PlacedTransfer& placed, const RankFabric& fabric) {
    const Transfer& t = placed.transfer;
    const long width = std::max<long>(1, fabric.domain_ranks);
    std::vector<int> counts;
    for (long i = 0; i < t.group_ranks; ++i) {
        const auto domain = static_cast<std::size_t>((placed.first + i * t.stride) / width);
        if (counts.size() <= domain) counts.resize(domain + 1, 0);
        ++counts[domain];
    }
    std::erase(counts, 0);
    return counts;
}

// A side of a box of chips as packets see it: the slowest of its links, and rings that lack one.
RankSide side_of(const Topology& topology, const BoxSide& box, const std::vector<int>& chips) {
    RankSide side;
    side.members = box.members;
    side.closed = box.closed;
    long width = 1;
    for (std::size_t d = 0; d < box.dimension; ++d) width *= topology.dimensions[d];
    const long n = topology.dimensions[box.dimension];
    double slowest = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < chips.size(); ++i) {
        const int chip = chips[i];
        const long at = chip / width % n;
        const auto to = static_cast<int>(chip + ((at + box.spacing) % n - at) * width);
        bool has_link = false;
        const auto c = static_cast<std::size_t>(chip);
        for (int l = topology.first_link[c]; l < topology.first_link[c + 1]; ++l) {
            const TopologyLink& link = topology.links[static_cast<std::size_t>(l)];
            if (link.to / width % n != at) slowest = std::min(slowest, link.bandwidth);
            has_link = has_link || link.to == to;
        }
        const auto neighbour = std::lower_bound(chips.begin(), chips.end(), to);
        const bool member = neighbour != chips.end() && *neighbour == to;
        if (box.has_gap && !has_link && member)
            side.gaps.emplace_back(static_cast<int>(i),
                                   static_cast<int>(neighbour - chips.begin()));
    }
    side.rate = slowest;
    return side;
}

// Of the first `ranks` of a group, which share a domain.
RankLayout layout_within(const PlacedTransfer& placed, int ranks, const RankFabric& fabric) {
    RankLayout layout;
    if (!fabric.scale_up_links) return layout;
    const Transfer& t = placed.transfer;
    const int per_chip = std::max(1, fabric.ranks_per_chip);
    const TopologyStack& stack = fabric.scale_up_links->stack();
    const Topology& topology = stack.levels.front().topology;
    if (stack.levels.size() > 1) {
        const long near = stack.levels.front().chips * per_chip;
        if (near % t.stride == 0) layout.near = static_cast<int>(near / t.stride);
        return layout;
    }
    std::vector<int> place(topology.nodes.size(), 0), chips;
    for (std::size_t i = 0; i < topology.ring_order.size(); ++i)
        place[static_cast<std::size_t>(topology.ring_order[i])] = static_cast<int>(i);
    for (int i = 0; i < ranks; ++i) chips.push_back((placed.first + i * t.stride) / per_chip);
    layout.near_order.resize(static_cast<std::size_t>(ranks));
    std::iota(layout.near_order.begin(), layout.near_order.end(), 0);
    std::stable_sort(layout.near_order.begin(), layout.near_order.end(), [&](int a, int b) {
        return place[static_cast<std::size_t>(chips[static_cast<std::size_t>(a)])] <
               place[static_cast<std::size_t>(chips[static_cast<std::size_t>(b)])];
    });
    layout.is_torus = topology.family == "torus";
    if (!topology.chips_forward || per_chip > 1 || chips.back() >= topology.chips) return layout;
    for (const BoxSide& side : box_of(topology, chips, 1))
        layout.sides.push_back(side_of(topology, side, chips));
    return layout;
}

RankLayout layout_of(const PlacedTransfer& placed, const RankFabric& fabric) {
    if (in_one_domain(placed.transfer, fabric, placed.first))
        return layout_within(placed, placed.transfer.group_ranks, fabric);
    RankLayout layout;
    const std::vector<int> sizes = domain_sizes(placed, fabric);
    const auto [least, most] = std::minmax_element(sizes.begin(), sizes.end());
    if (*most == 1) return layout;
    layout.inner = *most;
    if (*least != *most) layout.sizes = sizes;
    layout.group = {layout_within(placed, layout.inner, fabric)};
    return layout;
}

// Ranks of one node, or of one inner level, of the first `ranks` of a group.
int node_ranks(const PlacedTransfer& placed, int ranks, const RankFabric& fabric) {
    if (!fabric.scale_up_links || placed.transfer.stride != 1) return 1;
    const TopologyStack& stack = fabric.scale_up_links->stack();
    long chips = stack.levels.front().chips;
    if (stack.levels.size() == 1) {
        const TopologyLevelSpec& level =
            stack.spec.levels.empty() ? stack.spec.level : stack.spec.levels.front();
        chips = std::max({1L, level.node_chips, level.rails});
    }
    const long node = chips * std::max(1, fabric.ranks_per_chip);
    const bool begins = placed.first % node == 0;
    return begins && node < ranks && ranks % node == 0 ? static_cast<int>(node) : 1;
}

// Of those that messages are made of, the one that tile's links take (least_bytes,
// interconnect/collective_algorithms): the one of the least seconds a byte, but the direct one
// where ports decide anyway. None where the links are ports alone.
std::optional<CollectiveTerms> best_on_links(const PlacedTransfer& placed, const RankFabric& fabric,
                                             PacketCollectiveSpec spec) {
    const Transfer& t = placed.transfer;
    const int per_chip = std::max(1, fabric.ranks_per_chip);
    if (!fabric.scale_up_links || fabric.scale_up_links->ports_decide() ||
        (t.stride > 1 && t.stride % per_chip != 0))
        return {};
    ChipGroup group;
    group.first = placed.first / per_chip;
    group.stride = std::max(1, t.stride / per_chip);
    group.members = t.stride > 1 ? spec.ranks : (spec.ranks + per_chip - 1) / per_chip;
    if (group.members < 2) return {};
    const double members = group.members;
    const double port = (spec.collective == Collective::broadcast
                             ? 1
                             : passes(spec.collective) * (members - 1) / members) /
                        (fabric.scale_up.value() * per_chip);
    const int node = node_ranks(placed, spec.ranks, fabric);
    std::optional<CollectiveTerms> best;
    for (const CollectiveTerms& terms : fabric.scale_up_links->terms(spec.collective, group)) {
        const bool for_few = terms.algorithm == Algorithm::halving_doubling ||
                             (terms.algorithm == Algorithm::tree && is_gather(spec.collective));
        if (for_few) continue;
        PacketCollectiveSpec one = spec;
        one.algorithm = terms.algorithm;
        if (terms.algorithm == Algorithm::hierarchical) one.layout.inner = node;
        if (!without_messages(one).empty()) continue;
        if (!best || terms.seconds_per_byte < best->seconds_per_byte * (1 - 1e-9)) best = terms;
        const bool enough = best->seconds_per_byte <= port * (1 + 1e-9);
        if (enough && !is_gather(spec.collective)) break;
    }
    return best;
}

// An algorithm within a domain, and the nodes that it goes by.
void do_within(const PlacedTransfer& t, const RankFabric& fabric, Algorithm algorithm,
               PacketCollectiveSpec& spec) {
    spec.layout.within = algorithm;
    if (algorithm == Algorithm::hierarchical && !spec.layout.group.empty())
        spec.layout.group.front().inner = node_ranks(t, spec.layout.inner, fabric);
}

// The all-gather of a broadcast, where a scatter and that take the links shorter than all else.
std::optional<Algorithm> scattered_by(const PlacedTransfer& t, const RankFabric& fabric,
                                      const PacketCollectiveSpec& spec) {
    if (spec.collective != Collective::broadcast) return {};
    PacketCollectiveSpec gather = spec;
    gather.collective = Collective::all_gather;
    const auto pass = best_on_links(t, fabric, gather), whole = best_on_links(t, fabric, spec);
    if (!pass || (whole && whole->seconds_per_byte <= 2 * pass->seconds_per_byte)) return {};
    return pass->algorithm;
}

// What is asked for; else what takes the links the shortest for long transfers, and of gathers what
// libraries do where ports decide (rings): a broadcast may be a scatter and an all-gather. Over
// several domains an algorithm is that within each, with rings between them.
void choose_algorithm(const PlacedTransfer& placed, const RankFabric& fabric,
                      PacketCollectiveSpec& spec) {
    const Transfer& t = placed.transfer;
    const auto asked = value_named<Algorithm>(t.algorithm);
    const bool exchange = spec.collective == Collective::all_to_all;
    const bool one_domain = in_one_domain(t, fabric, placed.first);
    if (exchange || spec.collective == Collective::send_recv || asked == Algorithm::direct ||
        asked == Algorithm::in_switch) {
        spec.algorithm = asked.value_or(Algorithm::direct);
        if (!exchange || asked || !one_domain) return;
        if (const auto best = best_on_links(placed, fabric, spec)) spec.algorithm = best->algorithm;
        return;
    }
    if (one_domain) {
        const auto best = asked ? std::nullopt : best_on_links(placed, fabric, spec);
        spec.algorithm = asked ? *asked : best ? best->algorithm : Algorithm::ring;
        if (asked) return;
        if (const auto gather_by = scattered_by(placed, fabric, spec)) {
            spec.algorithm = *gather_by;
            spec.scatters_first = true;
        }
        return;
    }
    spec.algorithm = Algorithm::ring;
    if (spec.layout.inner < 2) return;
    if (asked && *asked != Algorithm::hierarchical) {
        do_within(placed, fabric, *asked, spec);
        return;
    }
    PacketCollectiveSpec part = spec;
    part.ranks = spec.layout.inner;
    part.layout = spec.layout.group.front();
    if (spec.collective != Collective::broadcast) {
        const auto best = best_on_links(placed, fabric, part);
        do_within(placed, fabric, best ? best->algorithm : Algorithm::ring, spec);
    } else if (const auto gather_by = scattered_by(placed, fabric, part)) {
        do_within(placed, fabric, *gather_by, spec);
        spec.scatters_first = true;
    }
}

// Copies that travel as one: in one domain each rank that is meant gets one, over several each
// domain one (reach_of_merged, interconnect/reach).
void merge_copies(const Transfer& t, const RankFabric& fabric, bool uneven, PacketAlgorithm& made) {
    PacketCollectiveSpec& spec = made.spec;
    const Placement placement = placement_of(t, fabric);
    const Reach reach = reach_of_merged(t, placement);
    if (placement.domains < 2) {
        made.part = reach.up * placement.members / (placement.members - 1);
        return;
    }
    if (placement.smallest < placement.largest || uneven || placement.largest < 2) {
        made.stays = "copies of a token go as one over equal domains of several ranks, all alike";
        return;
    }
    spec.algorithm = Algorithm::hierarchical;
    spec.merged = MergedCopies{reach.out, reach.up, t.type == TransferType::combine};
    spec.in_pieces = true;
}

}  // namespace

bool in_one_domain(const Transfer& t, const RankFabric& fabric, int first_rank) {
    const long width = std::max<long>(1, fabric.domain_ranks);
    return first_rank % width + static_cast<long>(t.group_ranks - 1) * t.stride < width;
}

PacketAlgorithm packet_algorithm(const Transfer& t, const Coflow& coflow, const RankFabric& fabric,
                                 const CollectiveLibrarySpec& library, bool uneven,
                                 int first_rank) {
    PacketAlgorithm made;
    const PlacedTransfer placed{
        t, static_cast<int>(first_rank % std::max<long>(1, fabric.domain_ranks))};
    const TransferHabits& habits = transfer_habits(library, t.type);
    made.stays = not_as_packets(coflow, library, habits);
    if (!made.stays.empty()) return made;
    PacketCollectiveSpec& spec = made.spec;
    spec.collective = collective_of(t.type);
    spec.ranks = t.group_ranks;
    spec.size = t.size;
    spec.layout = layout_of(placed, fabric);
    choose_algorithm(placed, fabric, spec);
    const bool one_domain = in_one_domain(t, fabric, placed.first);
    const bool merges = habits.merges_copies && spec.collective == Collective::all_to_all;
    if (merges && !one_domain && placed.first > 0)
        made.stays = "copies of a token go as one in groups that begin with a domain";
    if (merges && made.stays.empty()) merge_copies(t, fabric, uneven, made);
    if (!made.stays.empty()) return made;
    if (spec.algorithm == Algorithm::hierarchical) {
        if (spec.layout.inner == 1) spec.layout.inner = node_ranks(placed, t.group_ranks, fabric);
        spec.in_pieces = !one_domain;
    }
    made.stays = without_messages(spec);
    const bool rings = spec.algorithm == Algorithm::ring;
    if (spec.collective == Collective::broadcast && rings && !spec.scatters_first &&
        spec.layout.within != Algorithm::ring) {
        made.stays =
            fmt::format("over several domains a broadcast goes in rows, and {} is asked for",
                        to_string(spec.layout.within));
    }
    return made;
}

}  // namespace podsim
