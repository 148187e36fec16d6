#include "interconnect/packet_collectives/near_groups.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>

#include "interconnect/binary_trees.hpp"
#include "interconnect/collective_work.hpp"
#include "interconnect/packet_collectives/algorithms.hpp"
#include "interconnect/packet_collectives/counts.hpp"
#include "interconnect/packet_collectives/steps.hpp"

namespace podsim::packet_collectives {

namespace {

// Two trees from each member of a group, so that a part of the sum is at every port: up, or
// down again.
Chain trees_with_all_roots(int members, double bytes, bool up) {
    const double each = bytes / members / 2;
    Chain chain;
    for (int root = 0; root < members; ++root) {
        for (const bool second : {false, true}) {
            const Chain one = tree_steps(binary_tree(members, second), each, up);
            if (chain.size() < one.size()) chain.resize(one.size());
            for (std::size_t s = 0; s < one.size(); ++s)
                for (const Send& send : one[s])
                    chain[s].push_back(
                        {(send.from + root) % members, (send.to + root) % members, send.bytes});
        }
    }
    return chain;
}

// Members of each group, one group after the other.
std::vector<std::vector<int>> groups_of(const PacketCollectiveSpec& spec) {
    const std::vector<int> order = near_order(spec);
    std::vector<std::vector<int>> groups;
    for (std::size_t first = 0; first < order.size();) {
        const std::vector<int>& sizes = spec.layout.sizes;
        const int size = sizes.empty() ? spec.layout.inner : sizes.at(groups.size());
        const std::size_t end = std::min(order.size(), first + static_cast<std::size_t>(size));
        groups.emplace_back(order.begin() + static_cast<std::ptrdiff_t>(first),
                            order.begin() + static_cast<std::ptrdiff_t>(end));
        first = end;
    }
    return groups;
}

// Of `members` that lie as the first group does; by rings where there are too few of them for what
// is asked.
Chain within_group(const PacketCollectiveSpec& spec, int members, double bytes, bool adding) {
    const RankLayout& layout = spec.layout;
    if (members < 2) return {};
    if (layout.within == Algorithm::tree) return trees_with_all_roots(members, bytes, adding);
    PacketCollectiveSpec part;
    part.collective = adding ? Collective::reduce_scatter : Collective::all_gather;
    part.algorithm = layout.within;
    part.ranks = members;
    part.size = Bytes(bytes);
    part.most_pieces = 1;  // the pieces of both levels are enough
    part.exchange = spec.exchange;
    if (!layout.group.empty() && members == layout.inner) part.layout = layout.group.front();
    if (!without_messages(part).empty()) part.algorithm = Algorithm::ring;
    Chain inner;
    for (const Chain& chain : chains_of(part)) {
        if (inner.size() < chain.size()) inner.resize(chain.size());
        for (std::size_t s = 0; s < chain.size(); ++s)
            inner[s].insert(inner[s].end(), chain[s].begin(), chain[s].end());
    }
    return inner;
}

// A turn of a ring of groups whose members are unequal in number: each group's part, as large as
// its members are of all, goes on from group to group, spread over those who take it in
// (to_next_domains, interconnect/between_domains.hpp).
void turn_of_groups(const std::vector<std::vector<int>>& groups, double bytes, Chain& chain) {
    double ranks = 0;
    for (const std::vector<int>& group : groups) ranks += static_cast<double>(group.size());
    const std::size_t n = groups.size();
    for (std::size_t s = 0; s + 1 < n; ++s) {
        Step step;
        for (std::size_t g = 0; g < n; ++g) {
            const std::vector<int>&from = groups[g], &to = groups[(g + 1) % n];
            const double part = bytes * static_cast<double>(groups[(g + n - s) % n].size()) / ranks;
            for (std::size_t k = 0; k < to.size(); ++k)
                step.push_back(
                    {from[k % from.size()], to[k], part / static_cast<double>(to.size())});
        }
        chain.push_back(std::move(step));
    }
}

}  // namespace

Chain within_groups(const PacketCollectiveSpec& spec, double bytes, bool adding) {
    std::map<std::size_t, Chain> known;  // by members
    Chain all;
    for (const std::vector<int>& group : groups_of(spec)) {
        const auto [found, is_new] = known.try_emplace(group.size());
        if (is_new)
            found->second = within_group(spec, static_cast<int>(group.size()), bytes, adding);
        const Chain& inner = found->second;
        if (all.size() < inner.size()) all.resize(inner.size());
        for (std::size_t s = 0; s < inner.size(); ++s)
            for (const Send& send : inner[s])
                all[s].push_back({group[static_cast<std::size_t>(send.from)],
                                  group[static_cast<std::size_t>(send.to)], send.bytes});
    }
    return all;
}

namespace {

// Rings of all pieces, then of each piece the gathering of its parts, in the order in which they
// come.
std::vector<Chain> part_by_part(const PacketCollectiveSpec& spec,
                                const std::vector<std::vector<int>>& between, std::size_t groups) {
    const std::size_t pieces = pieces_of_parts(spec, groups);
    const double piece = spec.size.value() / static_cast<double>(pieces);
    Chain ring;
    turn(between, piece / static_cast<double>(between.size()), false, ring);
    std::vector<Chain> chains(pieces, ring);
    chains.resize(pieces * (1 + groups),
                  within_groups(spec, piece / static_cast<double>(groups), false));
    return chains;
}

std::vector<Fork> forks_of_parts(std::size_t pieces, std::size_t groups) {
    std::vector<Fork> forks(pieces);
    for (std::size_t piece = 0; piece < pieces; ++piece)
        for (std::size_t step = 0; step < groups; ++step) forks.push_back({piece, step});
    return forks;
}

}  // namespace

std::vector<Chain> two_levels(const PacketCollectiveSpec& spec) {
    const std::vector<std::vector<int>> groups = groups_of(spec);
    const bool equal = spec.layout.sizes.empty();
    std::vector<std::vector<int>> between(equal ? groups.front().size() : 0);
    for (const std::vector<int>& group : groups)
        for (std::size_t i = 0; i < between.size(); ++i) between[i].push_back(group[i]);
    if (gathers_part_by_part(spec)) return part_by_part(spec, between, groups.size());
    const int pieces = pieces_of(spec, spec.size.value() / spec.ranks);
    const double piece = spec.size.value() / pieces;
    Chain chain;
    const auto meet = [&](bool adding) {
        const Chain steps = within_groups(spec, piece, adding);
        chain.insert(chain.end(), steps.begin(), steps.end());
    };
    const auto pass_on = [&] {
        if (equal) {
            turn(between, piece / static_cast<double>(between.size()), false, chain);
        } else {
            turn_of_groups(groups, piece, chain);
        }
    };
    if (scatters(spec.collective)) {
        meet(true);
        pass_on();
    }
    if (gathers(spec.collective)) {
        pass_on();
        meet(false);
    }
    return std::vector<Chain>(static_cast<std::size_t>(pieces), chain);
}

Pipeline pipeline_of(const PacketCollectiveSpec& spec) {
    if (spec.algorithm != Algorithm::ring || spec.layout.inner < 2 || !is_gather(spec.collective))
        return {};
    const std::size_t groups = groups_of(spec).size();
    if (scatters(spec.collective)) return {2, within_groups(spec, spec.size.value(), true).size()};
    if (gathers_part_by_part(spec)) {
        Pipeline pipeline;
        pipeline.forks = forks_of_parts(pieces_of_parts(spec, groups), groups);
        return pipeline;
    }
    const auto pieces = static_cast<std::size_t>(pieces_of(spec, spec.size.value() / spec.ranks));
    return {std::max<std::size_t>(2, pieces / 4), groups - 1};
}

}  // namespace podsim::packet_collectives
