#include "interconnect/packet_collectives/near_groups.hpp"

#include <algorithm>
#include <cstddef>

#include "interconnect/binary_trees.hpp"
#include "interconnect/collective_work.hpp"
#include "interconnect/packet_collectives/algorithms.hpp"
#include "interconnect/packet_collectives/counts.hpp"
#include "interconnect/packet_collectives/steps.hpp"

namespace podsim::packet_collectives {

namespace {

// Two trees from each member of a group, so that a part of the sum is at every port: up, or
// down again.
Chain trees_with_all_roots(const PacketCollectiveSpec& spec, double bytes, bool up) {
    const int n = spec.layout.inner;
    const double each = bytes / n / 2;
    Chain chain;
    for (int root = 0; root < n; ++root) {
        for (const bool second : {false, true}) {
            const Chain one = tree_steps(binary_tree(n, second), each, up);
            if (chain.size() < one.size()) chain.resize(one.size());
            for (std::size_t s = 0; s < one.size(); ++s)
                for (const Send& send : one[s])
                    chain[s].push_back({(send.from + root) % n, (send.to + root) % n, send.bytes});
        }
    }
    return chain;
}

}  // namespace

Chain within_groups(const PacketCollectiveSpec& spec, double bytes, bool adding) {
    const RankLayout& layout = spec.layout;
    Chain inner;
    if (layout.within == Algorithm::tree) {
        inner = trees_with_all_roots(spec, bytes, adding);
    } else {
        PacketCollectiveSpec part;
        part.collective = adding ? Collective::reduce_scatter : Collective::all_gather;
        part.algorithm = layout.within;
        part.ranks = layout.inner;
        part.size = Bytes(bytes);
        part.exchange = spec.exchange;
        if (!layout.group.empty()) part.layout = layout.group.front();
        for (const Chain& chain : chains_of(part)) {
            if (inner.size() < chain.size()) inner.resize(chain.size());
            for (std::size_t s = 0; s < chain.size(); ++s)
                inner[s].insert(inner[s].end(), chain[s].begin(), chain[s].end());
        }
    }
    const std::vector<int> order = near_order(spec);
    Chain all(inner.size());
    for (std::size_t s = 0; s < inner.size(); ++s) {
        for (std::size_t first = 0; first < order.size();
             first += static_cast<std::size_t>(layout.inner)) {
            for (const Send& send : inner[s])
                all[s].push_back({order[first + static_cast<std::size_t>(send.from)],
                                  order[first + static_cast<std::size_t>(send.to)], send.bytes});
        }
    }
    return all;
}

std::vector<Chain> two_levels(const PacketCollectiveSpec& spec) {
    const auto inner = static_cast<std::size_t>(spec.layout.inner);
    const std::vector<int> order = near_order(spec);
    std::vector<std::vector<int>> between(inner);
    for (std::size_t i = 0; i < order.size(); ++i) between[i % inner].push_back(order[i]);
    const int pieces = pieces_of(spec, spec.size.value() / spec.ranks);
    const double piece = spec.size.value() / pieces, left = piece / static_cast<double>(inner);
    Chain chain;
    const auto meet = [&](bool adding) {
        const Chain steps = within_groups(spec, piece, adding);
        chain.insert(chain.end(), steps.begin(), steps.end());
    };
    if (scatters(spec.collective)) {
        meet(true);
        turn(between, left, false, chain);
    }
    if (gathers(spec.collective)) {
        turn(between, left, false, chain);
        meet(false);
    }
    return std::vector<Chain>(static_cast<std::size_t>(pieces), chain);
}

Pipeline pipeline_of(const PacketCollectiveSpec& spec) {
    if (spec.algorithm != Algorithm::ring || spec.layout.inner < 2 || !is_gather(spec.collective))
        return {};
    const auto inner = static_cast<std::size_t>(spec.layout.inner);
    const std::size_t groups = static_cast<std::size_t>(spec.ranks) / inner;
    if (scatters(spec.collective)) return {2, within_groups(spec, spec.size.value(), true).size()};
    const auto pieces = static_cast<std::size_t>(pieces_of(spec, spec.size.value() / spec.ranks));
    return {std::max<std::size_t>(2, pieces / 4), groups - 1};
}

}  // namespace podsim::packet_collectives
