#include "interconnect/packet_collectives/algorithms.hpp"

#include <cstddef>
#include <numeric>
#include <utility>

#include "interconnect/binary_trees.hpp"
#include "interconnect/collective_work.hpp"
#include "interconnect/packet_collectives/broadcast_rows.hpp"
#include "interconnect/packet_collectives/counts.hpp"
#include "interconnect/packet_collectives/near_groups.hpp"
#include "interconnect/packet_collectives/steps.hpp"

namespace podsim::packet_collectives {

namespace {

// A reduce-scatter and an all-gather of S, as far as they are asked for, in one ring; on a
// torus half of it each way round. Within groups first where there are groups of near members,
// of what is left then between equal places.
std::vector<Chain> ring(const PacketCollectiveSpec& spec) {
    if (spec.collective == Collective::send_recv) return {neighbours(spec)};
    if (spec.collective == Collective::broadcast && !spec.scatters_first) return rows(spec);
    if (spec.scatters_first && spec.layout.inner > 1) return scattered_rows(spec);
    if (spec.layout.inner > 1) return two_levels(spec);
    const bool both = spec.layout.is_torus && spec.ranks > 2;
    std::vector<Chain> chains;
    for (const bool back : {false, true}) {
        if (back && !both) break;
        Chain chain;
        const double part = both ? spec.size.value() / 2 : spec.size.value();
        if (scatters(spec.collective)) turn({near_order(spec)}, part, back, chain);
        if (gathers_all(spec)) turn({near_order(spec)}, part, back, chain);
        chains.push_back(std::move(chain));
    }
    return chains;
}

// Two binary trees with half of the bytes each, in pieces that follow each other, up and down
// again.
std::vector<Chain> tree(const PacketCollectiveSpec& spec) {
    const int pieces = tree_pieces_of(spec);
    const double bytes = spec.size.value() / 2 / pieces;
    const bool up = spec.collective == Collective::all_reduce;
    std::vector<Chain> both;
    for (const bool second : {false, true}) {
        const std::vector<int> parents =
            up ? binary_tree(spec.ranks, second) : broadcast_tree(spec.ranks, second);
        Chain chain;
        if (up) chain = tree_steps(parents, bytes, true);
        const Chain down = tree_steps(parents, bytes, false);
        chain.insert(chain.end(), down.begin(), down.end());
        both.push_back(std::move(chain));
    }
    std::vector<Chain> chains;
    for (int piece = 0; piece < pieces; ++piece)
        chains.insert(chains.end(), both.begin(), both.end());
    return chains;
}

// With the partner half the ranks away, a quarter... and back (Thakur, Rabenseifner and Gropp
// 2005): the long messages go to the nearest.
Chain halving_doubling(const PacketCollectiveSpec& spec) {
    Chain halving;
    double bytes = spec.size.value() / 2;
    for (int far = 1; far < spec.ranks; far *= 2, bytes /= 2) {
        Step step;
        for (int i = 0; i < spec.ranks; ++i) step.push_back({i, i ^ far, bytes});
        halving.push_back(std::move(step));
    }
    Chain chain;
    if (scatters(spec.collective)) chain = halving;
    if (gathers_all(spec)) chain.insert(chain.end(), halving.rbegin(), halving.rend());
    return chain;
}

Chain direct(const PacketCollectiveSpec& spec) {
    if (spec.collective == Collective::send_recv) return neighbours(spec);
    Chain chain;
    std::vector<int> all(static_cast<std::size_t>(spec.ranks));
    for (int i = 0; i < spec.ranks; ++i) all[static_cast<std::size_t>(i)] = i;
    if (spec.collective == Collective::broadcast && !spec.scatters_first) {
        Step step;
        for (int i = 1; i < spec.ranks; ++i) step.push_back({0, i, spec.size.value()});
        return {step};
    }
    for (int pass = 0; pass < passes(spec.collective); ++pass) {
        Step step;
        exchange(
            spec, all,
            spec.bytes.empty() ? uniform_matrix(spec.ranks, spec.size / spec.ranks) : spec.bytes,
            step);
        chain.push_back(std::move(step));
    }
    return chain;
}

// Within groups, then between equal places of groups; an all-gather the other way round.
Chain hierarchical(const PacketCollectiveSpec& spec) {
    const int inner = spec.layout.inner, groups = spec.ranks / inner;
    const bool all = spec.collective == Collective::all_to_all;
    Step within, between;
    for (int k = 0; k < groups; ++k) {
        std::vector<int> members;
        for (int i = 0; i < inner; ++i) members.push_back(k * inner + i);
        exchange(spec, members, uniform_matrix(inner, spec.size / inner), within);
    }
    for (int i = 0; i < inner; ++i) {
        std::vector<int> members;
        for (int k = 0; k < groups; ++k) members.push_back(k * inner + i);
        exchange(spec, members,
                 uniform_matrix(groups, all ? spec.size / groups : spec.size / inner / groups),
                 between);
    }
    if (all || spec.collective == Collective::reduce_scatter) return {within, between};
    if (spec.collective == Collective::all_gather || spec.scatters_first) return {between, within};
    return {within, between, between, within};
}

// All lines along one dimension.
Chain along(const PacketCollectiveSpec& spec, std::size_t d, double left, bool back) {
    long stride = 1;
    for (std::size_t k = 0; k < d; ++k) stride *= spec.layout.dimensions[k];
    const long n = spec.layout.dimensions[d];
    std::vector<std::vector<int>> lines;
    for (int rank = 0; rank < spec.ranks; ++rank) {
        if (rank / stride % n != 0) continue;
        lines.emplace_back();
        for (long k = 0; k < n; ++k) lines.back().push_back(static_cast<int>(rank + k * stride));
    }
    Chain chain;
    if (spec.layout.is_torus) {
        turn(lines, left, back, chain);
        return chain;
    }
    Step step;
    for (const std::vector<int>& line : lines)
        exchange(spec, line,
                 uniform_matrix(static_cast<int>(n), Bytes(left / static_cast<double>(n))), step);
    return {step};
}

// Along each dimension in turn, as many shares as dimensions, each in an order turned by one:
// rings both ways round, or all of a line of a mesh at once; and back.
std::vector<Chain> dimension_wise(const PacketCollectiveSpec& spec) {
    const std::vector<long>& sizes = spec.layout.dimensions;
    std::vector<std::size_t> used;
    for (std::size_t d = 0; d < sizes.size(); ++d)
        if (sizes[d] > 1) used.push_back(d);
    // What begins along a side is as large as lets the first phase end everywhere at a time, of
    // links that are alike.
    std::vector<double> weights;
    for (const std::size_t d : used) {
        const double n = static_cast<double>(sizes[d]);
        weights.push_back(spec.layout.is_torus ? n / (n - 1) * (n > 2 ? 2 : 1) : n);
    }
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    std::vector<Chain> chains;
    for (std::size_t share = 0; share < used.size(); ++share) {
        for (const bool back : {false, true}) {
            if (back && !spec.layout.is_torus) break;
            std::vector<Chain> phases;
            double left =
                spec.size.value() * weights[share] / sum / (spec.layout.is_torus ? 2.0 : 1.0);
            for (std::size_t phase = 0; phase < used.size(); ++phase) {
                const std::size_t d = used[(share + phase) % used.size()];
                phases.push_back(along(spec, d, left, back));
                left /= static_cast<double>(sizes[d]);
            }
            Chain chain;
            if (scatters(spec.collective))
                for (const Chain& phase : phases)
                    chain.insert(chain.end(), phase.begin(), phase.end());
            if (gathers_all(spec))
                for (auto phase = phases.rbegin(); phase != phases.rend(); ++phase)
                    chain.insert(chain.end(), phase->begin(), phase->end());
            chains.push_back(std::move(chain));
        }
    }
    return chains;
}

}  // namespace

std::vector<Chain> chains_of(const PacketCollectiveSpec& spec) {
    switch (spec.algorithm) {
        case Algorithm::ring:
            return ring(spec);
        case Algorithm::tree:
            return tree(spec);
        case Algorithm::halving_doubling:
            return {halving_doubling(spec)};
        case Algorithm::direct:
            return {direct(spec)};
        case Algorithm::dimension_wise:
            return dimension_wise(spec);
        case Algorithm::hierarchical:
            return {hierarchical(spec)};
        case Algorithm::in_switch:
            break;
    }
    return {};
}

}  // namespace podsim::packet_collectives
