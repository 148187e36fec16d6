#include "interconnect/dimension_wise.hpp"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <set>
#include <utility>

namespace podsim {

std::vector<BoxSide> box_of(const Topology& topology, const std::vector<int>& chips,
                            long siblings) {
    std::vector<BoxSide> sides;
    long width = 1, size = 1;
    for (std::size_t d = 0; d < topology.dimensions.size(); ++d) {
        const long n = topology.dimensions[d];
        std::set<long> at;
        for (const int chip : chips) at.insert(chip / width % n);
        BoxSide side;
        side.dimension = d;
        side.members = static_cast<long>(at.size());
        size *= side.members;
        if (side.members > 1) {
            side.spacing = *std::next(at.begin()) - *at.begin();
            for (auto one = at.begin(); std::next(one) != at.end(); ++one)
                if (*std::next(one) - *one != side.spacing) return {};
            side.closed = side.members * side.spacing == n;
            side.sharing = std::clamp((siblings + width - 1) / width, 1L, side.spacing);
            sides.push_back(side);
        }
        width *= n;
    }
    if (size != static_cast<long>(chips.size())) return {};
    return sides;
}

namespace {

// In which its ends differ.
std::size_t dimension_of(const Topology& topology, const TopologyLink& link) {
    long width = 1;
    for (std::size_t d = 0; d < topology.dimensions.size(); ++d) {
        const long n = topology.dimensions[d];
        if (link.from / width % n != link.to / width % n) return d;
        width *= n;
    }
    return 0;
}

// Links between neighbours of the box along its sides, those of the siblings' boxes too: from each
// member to the next one along a side, over the chips between, and back; in a mesh to all.
std::vector<int> links_of(const Topology& topology, const std::vector<BoxSide>& sides,
                          const std::vector<int>& chips, long siblings) {
    std::vector<char> used(topology.links.size(), 0);
    const auto mark = [&](int from, int to) {
        for (int l = topology.first_link[static_cast<std::size_t>(from)];
             l < topology.first_link[static_cast<std::size_t>(from) + 1]; ++l)
            if (topology.links[static_cast<std::size_t>(l)].to == to)
                used[static_cast<std::size_t>(l)] = 1;
    };
    const bool is_torus = topology.family == "torus";
    for (const BoxSide& side : sides) {
        long width = 1;
        for (std::size_t d = 0; d < side.dimension; ++d) width *= topology.dimensions[d];
        const long n = topology.dimensions[side.dimension];
        const auto moved = [&](long chip, long by) {
            const long at = chip / width % n;
            return static_cast<int>(chip + ((at + by) % n - at) * width);
        };
        const long last = chips.back() / width % n;
        for (const int first : chips) {
            const long at = first / width % n;
            for (long sibling = 0; sibling < std::max(1L, siblings); ++sibling) {
                const long chip = first + sibling;
                if (chip >= topology.chips) break;
                if (is_torus && (side.closed || at != last)) {
                    for (long hop = 0; hop < side.spacing; ++hop) {
                        mark(moved(chip, hop), moved(chip, hop + 1));
                        mark(moved(chip, hop + 1), moved(chip, hop));
                    }
                }
                for (long k = 0; !is_torus && k < side.members; ++k) {
                    const long other = last - k * side.spacing;
                    if (other != at) mark(static_cast<int>(chip), moved(chip, other - at));
                }
            }
        }
    }
    std::vector<int> links;
    for (std::size_t l = 0; l < used.size(); ++l)
        if (used[l] != 0) links.push_back(static_cast<int>(l));
    return links;
}

}  // namespace

void dimension_wise(const Topology& topology, const std::vector<BoxSide>& sides,
                    const std::vector<int>& chips, long siblings, double passes,
                    CollectiveTerms& terms) {
    std::vector<double> link(topology.dimensions.size(), 0.0), latency(link);
    for (const TopologyLink& l : topology.links) {
        const std::size_t d = dimension_of(topology, l);
        link[d] = l.bandwidth;
        latency[d] = l.latency;
    }
    const bool is_torus = topology.family == "torus";
    // What 1 byte of a chip's puts on each of its links along a side, siblings' bytes as well.
    const auto on_a_link = [&](const BoxSide& side) {
        const double n = static_cast<double>(side.members);
        if (!is_torus) return 1 / n;
        const bool both = side.closed && topology.dimensions[side.dimension] > 2;
        return (n - 1) / n / (both ? 2.0 : 1.0) * static_cast<double>(side.sharing);
    };
    std::vector<double> left;  // of each share, a chip's part now
    for (const BoxSide& side : sides) left.push_back(link[side.dimension] / on_a_link(side));
    const double sum = std::accumulate(left.begin(), left.end(), 0.0);
    for (double& share : left) share /= sum;
    std::vector<double> bytes(topology.dimensions.size(), 0.0);
    for (std::size_t phase = 0; phase < sides.size(); ++phase) {
        double seconds = 0, wait = 0, steps = 0;
        for (std::size_t s = 0; s < sides.size(); ++s) {
            const BoxSide& side = sides[(s + phase) % sides.size()];
            const std::size_t d = side.dimension;
            const double n = static_cast<double>(side.members);
            const double each = left[s] * on_a_link(side);
            bytes[d] += each;
            seconds = std::max(seconds, each / link[d]);
            const double count = is_torus ? n - 1 : 1;
            const double hops = is_torus ? static_cast<double>(side.spacing) : 1;
            wait = std::max(wait, count * (hops * latency[d] + topology.endpoint_latency));
            steps = std::max(steps, count);
            left[s] /= n;
        }
        terms.seconds_per_byte += passes * seconds;
        terms.latency += passes * wait;
        terms.steps += static_cast<int>(passes * steps);
    }
    LinkBytes loads(topology.links.size(), 0.0);
    for (const int l : links_of(topology, sides, chips, siblings)) {
        const auto i = static_cast<std::size_t>(l);
        loads[i] = passes * bytes[dimension_of(topology, topology.links[i])];
    }
    terms.link_bytes.push_back(std::move(loads));
}

}  // namespace podsim
