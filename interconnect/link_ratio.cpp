#include "interconnect/link_ratio.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <stdexcept>
#include <utility>

#include "base/names.hpp"
#include "interconnect/reach.hpp"
#include "interconnect/topology_times.hpp"

namespace podsim {

namespace {

// The chips that `members` ranks, every stride-th, sit on.
ChipGroup chips_of(long members, long stride, long ranks_per_chip) {
    ChipGroup group;
    if (stride >= ranks_per_chip) {
        group.members = static_cast<int>(members);
        group.stride = static_cast<int>(stride / ranks_per_chip);
    } else {
        group.members = static_cast<int>((members * stride + ranks_per_chip - 1) / ranks_per_chip);
    }
    return group;
}

// Cut to the chips that there are, with the siblings between its members.
void fit(ChipGroup& group, int first, const TopologyTimes& times) {
    const long chips = times.stack().levels.back().chips;
    group.first = static_cast<int>(first % chips);
    const long room = chips - group.first;
    group.members =
        static_cast<int>(std::min<long>(group.members, (room + group.stride - 1) / group.stride));
    if (times.ports_decide()) {
        group.first = 0;
        return;
    }
    const long last = group.first + static_cast<long>(group.members - 1) * group.stride;
    group.siblings = static_cast<int>(std::min<long>(group.stride, chips - last));
}

// Of the algorithm that is asked for; nothing of that of the switches, which is the library's
// protocol.
const CollectiveTerms* asked_terms(const TopologyTimes& times, const Transfer& t,
                                   const ChipGroup& group) {
    if (t.algorithm.empty() || asks(t, Algorithm::in_switch)) return nullptr;
    if (const auto algorithm = value_named<Algorithm>(t.algorithm)) {
        const auto& asked = times.terms(collective_of(t.type), group, algorithm);
        if (!asked.empty()) return &asked.front();
    }
    std::string known;
    for (const CollectiveTerms& terms : times.terms(collective_of(t.type), group))
        known += (known.empty() ? "" : ", ") + to_string(terms.algorithm);
    throw std::invalid_argument(
        fmt::format("{} of {} chips on {}: no algorithm {}, there are {}", t.name, group.members,
                    times.stack().levels.back().topology.family, t.algorithm, known));
}

// Chips of a group under one leaf, or one router's.
double shared_by(const TopologyTimes& times, const ChipGroup& group) {
    const TopologyStack& stack = times.stack();
    if (stack.levels.back().topology.chips_forward) return 1;
    const TopologyLevelSpec& level =
        stack.spec.levels.empty() ? stack.spec.level : stack.spec.levels.back();
    const long leaf = std::max(
        {1L, level.node_chips, level.chips_per_router * std::max(1L, level.routers_per_group)});
    return static_cast<double>(
        std::clamp<long>(leaf / group.stride * std::max(1, group.siblings), 1, group.members));
}

// Of an algorithm that is asked for, on levels that are ports alone: a ring's steps to the next,
// each of the level's latency.
Seconds steps_of_ports(const Transfer& t, const RankFabric& fabric, const TransferWay& way) {
    const bool ring = asks(t, Algorithm::ring) && bus_factor(t.type, t.group_ranks) != 1.0;
    const auto steps = [&](double members) { return passes(t.type) * (ring ? members - 1 : 1.0); };
    const double domains = std::ceil(t.group_ranks / static_cast<double>(way.in_domain));
    Seconds sum(0.0);
    if (!fabric.scale_up_links && way.in_domain > 1)
        sum += steps(static_cast<double>(way.in_domain)) * fabric.scale_up_latency;
    if (!fabric.scale_out_links && domains > 1) sum += steps(domains) * fabric.scale_out_latency;
    return sum;
}

struct Side {
    double ratio = 1;
    std::vector<LinkUse> uses;
};

// Against a port that takes `port` seconds a byte.
Side against(const TopologyTimes& times, const LinkSeconds& links, double port) {
    Side side;
    const double ratio = links.whole / port;
    side.ratio = ratio <= 1 + 1e-9 ? 1.0 : ratio;  // a sum over links rounds, a port does not
    if (times.ports_decide()) return side;
    for (std::size_t i = 0; i < links.classes.size(); ++i) {
        if (links.classes[i] > 0)
            side.uses.push_back(
                {static_cast<int>(i), std::min(links.classes[i] / port, side.ratio)});
    }
    return side;
}

// Long transfers at the algorithm that is asked for, else the best: bytes a second of the links
// against `rate` of a chip's port.
Side side_within(const TopologyTimes& times, const Transfer& t, const ChipGroup& group,
                 const CollectiveTerms* asked, bool pipelined, double rate) {
    const double port = bus_factor(t.type, group.members) / rate;
    LinkSeconds links{port, {}};
    if (asked) {
        links = link_seconds(times.stack(), *asked);
        // Pieces of a pipeline are in different steps at a time: the fullest link of all decides.
        if (pipelined && !links.classes.empty())
            links.whole = *std::max_element(links.classes.begin(), links.classes.end());
    } else if (t.algorithm.empty()) {
        links = times.seconds_per_byte(collective_of(t.type), group, port);
    }
    return against(times, links, port);
}

// Of the domain with the fewest members: they have less to pass on within it, and where chips pass
// on for each other fewer links for that. Against the port of the domain with the most.
double ratio_of_fewest(const TopologyTimes& times, const Transfer& t, ChipGroup group,
                       const TransferWay& way, double rate) {
    const double of_chip = static_cast<double>(group.members) / static_cast<double>(way.in_domain);
    const int largest = group.members;  // chips, as all of these
    const double most = bus_factor(t.type, largest);
    group.members = static_cast<int>(std::ceil(of_chip * static_cast<double>(way.least_in_domain)));
    if (group.members < 2 || times.ports_decide()) return 1;
    const CollectiveTerms* asked = asked_terms(times, t, group);
    // Of an exchange each has a part for every member of the whole group.
    const double fewest =
        collective_of(t.type) == Collective::all_to_all
            ? most * static_cast<double>(group.members - 1) / static_cast<double>(largest - 1)
            : bus_factor(t.type, group.members);
    return side_within(times, t, group, asked, true, rate).ratio * fewest / most;
}

// What crosses the port of the busiest member of a domain, of a size of 1 byte (interconnect/coflow
// says why).
double crossing(Collective collective, const ChipGroup& group, long domain_chips) {
    std::map<long, long> domains;
    for (int i = 0; i < group.members; ++i)
        domains[(group.first + static_cast<long>(i) * group.stride) / domain_chips] += 1;
    if (domains.size() < 2) return 0;
    if (collective == Collective::send_recv) return 1;
    double least = group.members;
    for (const auto& [domain, here] : domains) least = std::min(least, static_cast<double>(here));
    if (collective == Collective::broadcast) return 1 / least;
    const double lacks = (group.members - least) / group.members;
    return collective == Collective::all_to_all ? lacks : lacks / least;
}

struct SideBetween {
    Side side;
    double steps = 0;  // s
};

// Between domains: rings of equal places go from a domain to the next, exchanges everywhere.
SideBetween side_between(const TopologyTimes& times, const Transfer& t, const ChipGroup& group,
                         long domain_chips, ExchangePath path, double rate) {
    const Collective collective = sends_pairs(t) ? Collective::all_to_all : collective_of(t.type);
    const double bytes = crossing(collective, group, domain_chips);
    if (!(bytes > 0)) return {};
    const LinkSeconds links = times.between(collective, group, domain_chips, path);
    const double domains = std::ceil(static_cast<double>(group.members) * group.stride /
                                     static_cast<double>(domain_chips));
    const bool one_step =
        collective == Collective::all_to_all || collective == Collective::send_recv;
    return {against(times, links, bytes / rate),
            passes(t.type) * links.latency * (one_step ? 1 : std::max(1.0, domains - 1))};
}

int classes_of(const std::shared_ptr<const TopologyTimes>& links) {
    if (!links) return 0;
    std::size_t count = 0;
    for (const auto& level : links->stack().levels) count += level.topology.link_classes.size();
    return static_cast<int>(count);
}

}  // namespace

Collective collective_of(TransferType type) {
    switch (type) {
        case TransferType::dispatch:
        case TransferType::combine:
        case TransferType::all_to_all:
            return Collective::all_to_all;
        case TransferType::all_reduce:
            return Collective::all_reduce;
        case TransferType::all_gather:
            return Collective::all_gather;
        case TransferType::reduce_scatter:
            return Collective::reduce_scatter;
        case TransferType::broadcast:
            return Collective::broadcast;
        case TransferType::send_recv:
            return Collective::send_recv;
    }
    return Collective::all_to_all;
}

bool asks(const Transfer& t, Algorithm algorithm) {
    return t.algorithm == to_string(algorithm);
}

bool sends_pairs(const Transfer& t) {
    return asks(t, Algorithm::direct) && t.type != TransferType::broadcast &&
           t.type != TransferType::send_recv;
}

int link_classes(const RankFabric& fabric) {
    return classes_of(fabric.scale_up_links) + classes_of(fabric.scale_out_links);
}

LinkRatio link_ratio(const Transfer& t, const RankFabric& fabric, const TransferWay& way) {
    LinkRatio ratio;
    if (t.group_ranks < 2) return ratio;
    const bool links_decide = !t.algorithm.empty() && !asks(t, Algorithm::ring) &&
                              !asks(t, Algorithm::in_switch) && !sends_pairs(t) &&
                              !asks(t, Algorithm::hierarchical);
    if (links_decide && !fabric.scale_up_links) {
        throw std::invalid_argument(
            fmt::format("{}: algorithm {} needs a scale-up topology, the system has ports alone",
                        t.name, t.algorithm));
    }
    // A few numbers are all latency: what links make of their bytes is not worth the way through
    // the fabric.
    const bool is_long = !way.placed && (t.size >= Bytes(64.0) || !t.algorithm.empty());
    if (fabric.scale_up_links && way.in_domain > 1 && !way.local_over_scale_out) {
        const TopologyTimes& times = *fabric.scale_up_links;
        ChipGroup group = chips_of(way.in_domain, t.stride, fabric.ranks_per_chip);
        fit(group, way.first_in_domain, times);
        if (group.members > 1) {
            // Beyond a domain `hierarchical` is what happens anyway: within it links do their best.
            Transfer within = t;
            if (way.in_domain < t.group_ranks && asks(t, Algorithm::hierarchical))
                within.algorithm = "";
            // Between domains all ports are at work: every member is a root of trees.
            if (way.in_domain < t.group_ranks && t.type == TransferType::all_reduce &&
                asks(t, Algorithm::tree))
                group.roots = group.members;
            const CollectiveTerms* asked = asked_terms(times, within, group);
            ratio.up_latency = Seconds(times.farthest(group));
            if (asked) ratio.steps += Seconds(asked->latency);
            ratio.up_shared = shared_by(times, group);
            if (is_long) {
                Side up = side_within(times, within, group, asked, way.in_domain < t.group_ranks,
                                      fabric.scale_up.value() * fabric.ranks_per_chip);
                ratio.up = up.ratio;
                ratio.up_uses = std::move(up.uses);
                if (way.least_in_domain < way.in_domain)
                    ratio.up = std::max(
                        ratio.up, ratio_of_fewest(times, within, group, way,
                                                  fabric.scale_up.value() * fabric.ranks_per_chip));
            }
        }
    }
    if (fabric.scale_out_links && (way.in_domain < t.group_ranks || way.local_over_scale_out)) {
        const TopologyTimes& times = *fabric.scale_out_links;
        ChipGroup group = chips_of(t.group_ranks, t.stride, fabric.ranks_per_chip);
        fit(group, way.first, times);
        if (group.members > 1) {
            ratio.out_latency = Seconds(times.farthest(group));
            ratio.out_shared = shared_by(times, group);
            if (is_long || !t.algorithm.empty()) {
                const long domain =
                    way.local_over_scale_out ? 1 : fabric.domain_ranks / fabric.ranks_per_chip;
                SideBetween out = side_between(times, t, group, std::max(1L, domain), way.path,
                                               fabric.scale_out.value() * fabric.ranks_per_chip);
                if (is_long) {
                    ratio.out = out.side.ratio;
                    ratio.out_uses = std::move(out.side.uses);
                }
                for (LinkUse& use : ratio.out_uses) use.link += classes_of(fabric.scale_up_links);
                if (!t.algorithm.empty()) ratio.steps += Seconds(out.steps);
            }
        }
    }
    if (!t.algorithm.empty()) ratio.steps += steps_of_ports(t, fabric, way);
    return ratio;
}

}  // namespace podsim
