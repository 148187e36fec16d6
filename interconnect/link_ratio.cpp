#include "interconnect/link_ratio.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "base/names.hpp"
#include "interconnect/topology_times.hpp"

namespace podsim {

namespace {

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
        case TransferType::send_recv:
            return Collective::send_recv;
    }
    return Collective::all_to_all;
}

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
void fit(ChipGroup& group, const TopologyTimes& times) {
    const long chips = times.stack().levels.back().chips;
    group.members =
        static_cast<int>(std::min<long>(group.members, (chips + group.stride - 1) / group.stride));
    if (times.ports_decide()) return;
    const long last = static_cast<long>(group.members - 1) * group.stride;
    group.siblings = static_cast<int>(std::min<long>(group.stride, chips - last));
}

// Of the algorithm that is asked for; that of the switches is the library's protocol.
LinkSeconds seconds_by(const TopologyTimes& times, const Transfer& t, const ChipGroup& group,
                       double port) {
    if (t.algorithm == to_string(Algorithm::in_switch)) return {port, {}};
    if (const auto algorithm = value_named<Algorithm>(t.algorithm)) {
        const auto& asked = times.terms(collective_of(t.type), group, algorithm);
        if (!asked.empty()) return link_seconds(times.stack(), asked.front());
    }
    std::string known;
    for (const CollectiveTerms& terms : times.terms(collective_of(t.type), group))
        known += (known.empty() ? "" : ", ") + to_string(terms.algorithm);
    throw std::invalid_argument(
        fmt::format("{} of {} chips on {}: no algorithm {}, there are {}", t.name, group.members,
                    times.stack().levels.back().topology.family, t.algorithm, known));
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

// Long transfers at the best algorithm: bytes a second of the links against `rate` of a chip's
// port.
Side side_within(const TopologyTimes& times, const Transfer& t, ChipGroup group, double rate) {
    fit(group, times);
    if (group.members < 2) return {};
    const double port = bus_factor(t.type, group.members) / rate;
    return against(times,
                   t.algorithm.empty() ? times.seconds_per_byte(collective_of(t.type), group, port)
                                       : seconds_by(times, t, group, port),
                   port);
}

// Between domains: rings of equal places go from a domain to the next, exchanges everywhere.
Side side_between(const TopologyTimes& times, TransferType type, ChipGroup group, long domain_chips,
                  double rate) {
    fit(group, times);
    const long inside = std::max(1L, domain_chips / group.stride);
    const double members = static_cast<double>(group.members);
    if (group.members <= inside) return {};
    if (collective_of(type) != Collective::all_to_all) {
        return against(times, times.shifted(group, type == TransferType::send_recv ? 1 : inside),
                       1 / rate);
    }
    // What stays in a domain is not there: between switches that is not taken off.
    const double crossing = (members - static_cast<double>(inside)) / members;
    const double port = bus_factor(type, group.members) / rate;
    const LinkSeconds links = times.seconds_per_byte(Collective::all_to_all, group, port);
    const bool port_decides = links.whole <= port * (1 + 1e-9);
    return against(times, links, port_decides ? port : crossing / rate);
}

int classes_of(const std::shared_ptr<const TopologyTimes>& links) {
    if (!links) return 0;
    std::size_t count = 0;
    for (const auto& level : links->stack().levels) count += level.topology.link_classes.size();
    return static_cast<int>(count);
}

}  // namespace

int link_classes(const RankFabric& fabric) {
    return classes_of(fabric.scale_up_links) + classes_of(fabric.scale_out_links);
}

LinkRatio link_ratio(const Transfer& t, const RankFabric& fabric, long in_domain) {
    LinkRatio ratio;
    if (t.group_ranks < 2) return ratio;
    // A few numbers are all latency: what links make of their bytes is not worth the way through
    // the fabric.
    if (t.size < Bytes(64.0) && t.algorithm.empty()) return ratio;
    const bool links_decide = !t.algorithm.empty() && t.algorithm != to_string(Algorithm::ring) &&
                              t.algorithm != to_string(Algorithm::in_switch) &&
                              t.algorithm != to_string(Algorithm::direct);
    if (links_decide && !fabric.scale_up_links) {
        throw std::invalid_argument(
            fmt::format("{}: algorithm {} needs a scale-up topology, the system has ports alone",
                        t.name, t.algorithm));
    }
    if (fabric.scale_up_links && in_domain > 1) {
        Side up = side_within(*fabric.scale_up_links, t,
                              chips_of(in_domain, t.stride, fabric.ranks_per_chip),
                              fabric.scale_up.value() * fabric.ranks_per_chip);
        ratio.up = up.ratio;
        ratio.up_uses = std::move(up.uses);
    }
    if (fabric.scale_out_links) {
        Side out = side_between(*fabric.scale_out_links, t.type,
                                chips_of(t.group_ranks, t.stride, fabric.ranks_per_chip),
                                fabric.domain_ranks / fabric.ranks_per_chip,
                                fabric.scale_out.value() * fabric.ranks_per_chip);
        ratio.out = std::max(1.0, out.ratio);
        ratio.out_uses = std::move(out.uses);
        for (LinkUse& use : ratio.out_uses) use.link += classes_of(fabric.scale_up_links);
    }
    return ratio;
}

}  // namespace podsim
