#include "interconnect/reach.hpp"

#include <algorithm>
#include <map>

#include "interconnect/link_ratio.hpp"

namespace podsim {

Placement placement_of(const Transfer& t, const RankFabric& fabric) {
    const long members = t.group_ranks, stride = t.stride;
    // Domains smaller than the stride hold one member each, and some none.
    const long width = std::max(stride, fabric.domain_ranks);
    Placement placement;
    placement.members = placement.smallest = static_cast<double>(members);
    long first = 0;
    while (first < members) {
        placement.domains += 1;
        const long next = static_cast<long>(placement.domains) * width;
        const long end = std::min(members, (next + stride - 1) / stride);
        const double here = static_cast<double>(end - first);
        placement.largest = std::max(placement.largest, here);
        placement.smallest = std::min(placement.smallest, here);
        first = end;
    }
    return placement;
}

Placement placement_of(const std::vector<int>& ranks, long domain_ranks) {
    std::map<long, long> here;
    for (const int rank : ranks) ++here[rank / std::max(1L, domain_ranks)];
    Placement placement;
    placement.members = placement.smallest = static_cast<double>(ranks.size());
    placement.domains = static_cast<double>(here.size());
    for (const auto& [domain, members] : here) {
        placement.largest = std::max(placement.largest, static_cast<double>(members));
        placement.smallest = std::min(placement.smallest, static_cast<double>(members));
    }
    return placement;
}

namespace {

// Spread evenly over the members, the rank itself one of them.
Reach reach_of_exchange(const Placement& p) {
    return {1.0 / p.members, (p.largest - 1.0) / p.members, (p.members - p.smallest) / p.members};
}

// Rings in two levels, for a result (all-gather) or an input (reduce-scatter) of size 1: within a
// domain of L members each sends (L - 1)/L; a domain takes in what the other members hold,
// (P - L)/P, through the ports of its L members. Without remainders (D - 1)/D/L over D domains.
Reach reach_of_gather(const Placement& p) {
    return {0.0, (p.largest - 1.0) / p.largest, (p.members - p.smallest) / p.members / p.smallest};
}

// A chain in a pipeline: all passes through every member of a domain, and from domain to domain
// through all ports of it, a part through each.
Reach reach_of_chain(const Placement& p) {
    return {0.0, p.largest > 1 ? 1.0 : 0.0, p.domains > 1 ? 1.0 / p.smallest : 0.0};
}

// Neighbours in a row: within the domain where all are, else the parted pair decides.
Reach reach_of_message(const Placement& p) {
    return p.domains > 1 ? Reach{0, 0, 1} : Reach{0, 1, 0};
}

}  // namespace

Reach reach_of_merged(const Transfer& t, const Placement& p) {
    const double copies = static_cast<double>(t.copies);
    const double share =  // of the domains that one token may go to
        t.domain_limit > 0 ? std::min(1.0, static_cast<double>(t.domain_limit) / p.domains) : 1.0;
    const double all = static_cast<double>(t.experts > 0 ? t.experts : t.group_ranks);
    const double experts = std::max(all * share, copies);
    const double domains = distinct_places(p.domains * share, experts, t.copies) / copies;
    const double ranks = distinct_places(p.members * share, experts, t.copies) / copies;
    return {ranks / p.members, ranks * (p.largest - 1.0) / p.largest,
            domains * (p.members - p.smallest) / p.members};
}

Reach reach_of(TransferType type, const Placement& placement) {
    if (placement.members == 1) return {1, 0, 0};
    switch (type) {
        case TransferType::dispatch:
        case TransferType::combine:
        case TransferType::all_to_all:
            return reach_of_exchange(placement);
        case TransferType::all_reduce:
        case TransferType::all_gather:
        case TransferType::reduce_scatter:
            return reach_of_gather(placement);
        case TransferType::broadcast:
            return reach_of_chain(placement);
        case TransferType::send_recv:
            return reach_of_message(placement);
    }
    return {};
}

namespace {

bool is_exchange(TransferType type) {
    return type == TransferType::dispatch || type == TransferType::combine ||
           type == TransferType::all_to_all;
}

}  // namespace

// A hierarchical exchange first gathers, at the member of the domain that has the receiver's place,
// what the domain has for it: of what leaves the domain (L - 1)/L crosses its own links before.
// Direct gathers send every part to every member that lacks it.
Reach reach_of_asked(const Transfer& t, const Placement& p) {
    Reach reach = reach_of(t.type, p);
    if (asks(t, Algorithm::hierarchical) && is_exchange(t.type))
        reach.up += reach.out * (p.largest - 1.0) / p.largest;
    if (sends_pairs(t)) {
        reach = reach_of_exchange(p);
        if (!is_exchange(t.type)) reach.self = 0;
    }
    return reach;
}

double passes(TransferType type) {
    return type == TransferType::all_reduce ? 2.0 : 1.0;
}

}  // namespace podsim
