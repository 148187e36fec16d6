#include "interconnect/packet_collectives/algorithms.hpp"

#include <algorithm>
#include <cstddef>
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
    const double way = both ? spec.size.value() / 2 : spec.size.value();
    const int rings = rings_of(spec, way / spec.ranks);
    std::vector<Chain> chains;
    for (int i = 0; i < 2 * rings; ++i) {
        const bool back = i % 2 == 1;
        if (back && !both) continue;
        Chain chain;
        const double part = way / rings;
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

// Members of group `k`; those with place `k`.
std::vector<int> group_members(int k, int inner) {
    std::vector<int> members;
    for (int i = 0; i < inner; ++i) members.push_back(k * inner + i);
    return members;
}
std::vector<int> place_members(int k, int inner, int groups) {
    std::vector<int> members;
    for (int g = 0; g < groups; ++g) members.push_back(g * inner + k);
    return members;
}

// An exchange in two levels: what a group has for a place is gathered at its member with that place
// and goes on from there. Copies of a token that travel as one go between groups first.
Chain exchange_in_levels(const PacketCollectiveSpec& spec, int pieces) {
    const int inner = spec.layout.inner, groups = spec.ranks / inner;
    const auto n = static_cast<std::size_t>(inner), g = static_cast<std::size_t>(groups);
    const double size = spec.size.value();
    const auto bytes = [&](std::size_t from, std::size_t to) {
        return spec.bytes.empty() ? size / spec.ranks : spec.bytes[from][to];
    };
    Step within, between;
    for (std::size_t k = 0; k < g; ++k) {
        ByteMatrix matrix = uniform_matrix(
            inner, spec.merged ? Bytes(spec.merged->within * size / (inner - 1)) : Bytes(0.0));
        for (std::size_t i = 0; i < n && !spec.merged; ++i)
            for (std::size_t to = 0; to < n * g; ++to) matrix[i][to % n] += bytes(k * n + i, to);
        for (auto& row : matrix)
            for (double& one : row) one /= pieces;
        exchange(spec, group_members(static_cast<int>(k), inner), matrix, within);
    }
    for (std::size_t i = 0; i < n; ++i) {
        ByteMatrix matrix = uniform_matrix(
            groups, spec.merged ? Bytes(spec.merged->between * size / (groups - 1)) : Bytes(0.0));
        for (std::size_t from = 0; from < n * g && !spec.merged; ++from)
            for (std::size_t to = 0; to < g; ++to) matrix[from / n][to] += bytes(from, to * n + i);
        for (auto& row : matrix)
            for (double& one : row) one /= pieces;
        exchange(spec, place_members(static_cast<int>(i), inner, groups), matrix, between);
    }
    const bool between_first = spec.merged && !spec.merged->gathers_first;
    return between_first ? Chain{between, within} : Chain{within, between};
}

// Within groups, then between equal places of groups; an all-gather the other way round.
std::vector<Chain> hierarchical(const PacketCollectiveSpec& spec) {
    const int inner = spec.layout.inner, groups = spec.ranks / inner;
    if (spec.collective == Collective::all_to_all) {
        const int pieces = spec.in_pieces ? pieces_of(spec, spec.size.value() / inner) : 1;
        return std::vector<Chain>(static_cast<std::size_t>(pieces),
                                  exchange_in_levels(spec, pieces));
    }
    Step within, between;
    for (int k = 0; k < groups; ++k)
        exchange(spec, group_members(k, inner), uniform_matrix(inner, spec.size / inner), within);
    for (int i = 0; i < inner; ++i)
        exchange(spec, place_members(i, inner, groups),
                 uniform_matrix(groups, spec.size / inner / groups), between);
    if (spec.collective == Collective::reduce_scatter) return {{within, between}};
    if (spec.collective == Collective::all_gather || spec.scatters_first)
        return {{between, within}};
    return {{within, between, between, within}};
}

// A row of n: what each has goes both ways to the ends. What is added up goes the same ways back.
Chain along_row(const std::vector<int>& row, double bytes, bool adding) {
    const std::size_t n = row.size();
    Chain chain(n - 1);
    for (std::size_t s = 0; s + 1 < n; ++s) {
        Step& step = chain[adding ? n - 2 - s : s];
        const auto pass = [&](std::size_t from, std::size_t to) {
            Send send{row[from], row[to], bytes / static_cast<double>(n)};
            if (adding) std::swap(send.from, send.to);
            step.push_back(send);
        };
        for (std::size_t i = s; i + 1 < n; ++i) pass(i, i + 1);
        for (std::size_t i = 1; i + s < n; ++i) pass(i, i - 1);
    }
    return chain;
}

// A ring of these that lacks a link, as the row that is left of it; nothing of a whole one.
std::vector<int> row_left_of(const std::vector<int>& ring,
                             const std::vector<std::pair<int, int>>& gaps) {
    const std::size_t n = ring.size();
    for (std::size_t i = 0; i < n; ++i) {
        const std::pair<int, int> here{ring[i], ring[(i + 1) % n]}, back{here.second, here.first};
        if (std::find(gaps.begin(), gaps.end(), here) == gaps.end() &&
            std::find(gaps.begin(), gaps.end(), back) == gaps.end())
            continue;
        std::vector<int> row = ring;
        std::rotate(row.begin(), row.begin() + static_cast<std::ptrdiff_t>((i + 1) % n), row.end());
        return row;
    }
    return {};
}

// All lines along one side.
Chain along(const PacketCollectiveSpec& spec, std::size_t d, double left, bool back, bool adding) {
    long stride = 1;
    for (std::size_t k = 0; k < d; ++k) stride *= spec.layout.sides[k].members;
    const RankSide& side = spec.layout.sides[d];
    const long n = side.members;
    std::vector<std::vector<int>> lines;
    for (int rank = 0; rank < spec.ranks; ++rank) {
        if (rank / stride % n != 0) continue;
        lines.emplace_back();
        for (long k = 0; k < n; ++k) lines.back().push_back(static_cast<int>(rank + k * stride));
    }
    if (!spec.layout.is_torus) {
        Step step;
        for (const std::vector<int>& line : lines)
            exchange(spec, line,
                     uniform_matrix(static_cast<int>(n), Bytes(left / static_cast<double>(n))),
                     step);
        return {step};
    }
    Chain chain;
    std::vector<std::vector<int>> rings;
    const auto add = [&](const Chain& more) {
        if (chain.size() < more.size()) chain.resize(more.size());
        for (std::size_t s = 0; s < more.size(); ++s)
            chain[s].insert(chain[s].end(), more[s].begin(), more[s].end());
    };
    for (const std::vector<int>& line : lines) {
        const std::vector<int> row = side.closed ? row_left_of(line, side.gaps) : line;
        if (row.empty()) {
            rings.push_back(line);
        } else {
            add(along_row(row, left, adding));
        }
    }
    if (rings.empty()) return chain;
    Chain round;
    turn(rings, left, back, round);
    add(round);
    return chain;
}

// What begins along a side is as large as lets the first phase end everywhere at a time: by what 1
// byte puts on each of its links, both ways round where it is a ring.
double weight_of(const RankSide& side, bool is_torus) {
    const double n = static_cast<double>(side.members);
    if (!is_torus) return side.rate * n;
    const bool both = side.closed && side.gaps.empty() && side.members > 2;
    return side.rate * n / (n - 1) * (both ? 2 : 1);
}

std::size_t steps_along(const RankSide& side, bool is_torus) {
    return is_torus ? static_cast<std::size_t>(side.members - 1) : 1;
}

// Of the phases of a reduce-scatter; an all-gather's are these from the last on. Each share is
// along another side in each, and all wait for the longest.
std::vector<std::size_t> phase_steps(const RankLayout& layout) {
    std::size_t used = 0, most = 0;
    for (const RankSide& side : layout.sides) {
        if (side.members < 2) continue;
        ++used;
        most = std::max(most, steps_along(side, layout.is_torus));
    }
    return std::vector<std::size_t>(used, most);
}

// Along each side in turn, as many shares as sides, each in an order turned by one: rings both ways
// round, or all of a line of a mesh at once; and back.
std::vector<Chain> dimension_wise(const PacketCollectiveSpec& spec) {
    const std::vector<RankSide>& sides = spec.layout.sides;
    const std::vector<std::size_t> steps = phase_steps(spec.layout);
    std::vector<std::size_t> used;
    double sum = 0;
    for (std::size_t d = 0; d < sides.size(); ++d) {
        if (sides[d].members < 2) continue;
        used.push_back(d);
        sum += weight_of(sides[d], spec.layout.is_torus);
    }
    std::vector<Chain> chains;
    for (std::size_t share = 0; share < used.size(); ++share) {
        for (const bool back : {false, true}) {
            if (back && !spec.layout.is_torus) break;
            const auto phases = [&](bool adding) {
                std::vector<Chain> made;
                double left = spec.size.value() *
                              weight_of(sides[used[share]], spec.layout.is_torus) / sum /
                              (spec.layout.is_torus ? 2.0 : 1.0);
                for (std::size_t phase = 0; phase < used.size(); ++phase) {
                    const std::size_t d = used[(share + phase) % used.size()];
                    made.push_back(along(spec, d, left, back, adding));
                    made.back().resize(steps.at(phase));
                    left /= static_cast<double>(sides[d].members);
                }
                return made;
            };
            Chain chain;
            if (scatters(spec.collective))
                for (const Chain& phase : phases(true))
                    chain.insert(chain.end(), phase.begin(), phase.end());
            if (gathers_all(spec)) {
                const std::vector<Chain> made = phases(false);
                for (auto phase = made.rbegin(); phase != made.rend(); ++phase)
                    chain.insert(chain.end(), phase->begin(), phase->end());
            }
            chains.push_back(std::move(chain));
        }
    }
    return chains;
}

}  // namespace

std::vector<std::size_t> joins_of(const PacketCollectiveSpec& spec) {
    if (spec.algorithm != Algorithm::dimension_wise) return {};
    const std::vector<std::size_t> phases = phase_steps(spec.layout);
    std::vector<std::size_t> joins;
    std::size_t begin = 0;
    for (int pass = 0; pass < passes(spec.collective); ++pass) {
        for (const std::size_t steps : phases) {
            if (begin > 0) joins.push_back(begin);
            begin += steps;
        }
    }
    return joins;
}

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
            return hierarchical(spec);
        case Algorithm::in_switch:
            break;
    }
    return {};
}

}  // namespace podsim::packet_collectives
