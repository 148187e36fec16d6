#include "interconnect/dimension_wise.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <utility>

namespace podsim {

namespace {

long width_of(const Topology& topology, std::size_t dimension) {
    long width = 1;
    for (std::size_t d = 0; d < dimension; ++d) width *= topology.dimensions[d];
    return width;
}

// `by` places along a dimension.
int moved(const Topology& topology, long chip, std::size_t dimension, long by) {
    const long width = width_of(topology, dimension), n = topology.dimensions[dimension];
    const long at = chip / width % n;
    return static_cast<int>(chip + ((at + by) % n - at) * width);
}

// Calls `use(ring, from, to)` for neighbours along a side of the group and of its siblings, each
// pair once from either end: chips next to each other of a torus, all of a line of a mesh. `ring`
// is a number of the ring, row or line.
template <class Use>
void along(const Topology& topology, const BoxSide& side, const std::vector<int>& chips,
           long siblings, const Use& use) {
    const bool is_torus = topology.family == "torus";
    const long width = width_of(topology, side.dimension), n = topology.dimensions[side.dimension];
    const long last = chips.back() / width % n;
    for (const int first : chips) {
        const long at = first / width % n;
        for (long sibling = 0; sibling < std::max(1L, siblings); ++sibling) {
            const long chip = first + sibling;
            if (chip >= topology.chips) break;
            const long ring = (first - at * width) * std::max(1L, siblings) + sibling;
            const auto to = [&](long by) { return moved(topology, chip, side.dimension, by); };
            if (is_torus && (side.closed || at != last)) {
                for (long hop = 0; hop < side.spacing; ++hop) {
                    use(ring, to(hop), to(hop + 1));
                    use(ring, to(hop + 1), to(hop));
                }
            }
            for (long k = 0; !is_torus && k < side.members; ++k) {
                const long other = last - k * side.spacing;
                if (other != at) use(ring, static_cast<int>(chip), to(other - at));
            }
        }
    }
}

int link_between(const Topology& topology, int from, int to) {
    for (int l = topology.first_link[static_cast<std::size_t>(from)];
         l < topology.first_link[static_cast<std::size_t>(from) + 1]; ++l)
        if (topology.links[static_cast<std::size_t>(l)].to == to) return l;
    return -1;
}

// Whether what faults left can go along the side; a ring that lacks one link is a row.
bool is_open(const Topology& topology, BoxSide& side, const std::vector<int>& chips,
             long siblings) {
    std::map<long, std::set<std::pair<int, int>>> gaps;
    along(topology, side, chips, siblings, [&](long ring, int from, int to) {
        if (link_between(topology, from, to) < 0)
            gaps[ring].insert({std::min(from, to), std::max(from, to)});
    });
    side.has_gap = !gaps.empty();
    const bool rings = topology.family == "torus" && side.closed && side.members > 2;
    return std::all_of(gaps.begin(), gaps.end(),
                       [&](const auto& ring) { return rings && ring.second.size() < 2; });
}

}  // namespace

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
    if (topology.symmetric) return sides;
    for (BoxSide& side : sides)
        if (!is_open(topology, side, chips, siblings)) return {};
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

// Links between neighbours of the box along its sides, those of the siblings' boxes too.
std::vector<int> links_of(const Topology& topology, const std::vector<BoxSide>& sides,
                          const std::vector<int>& chips, long siblings) {
    std::vector<char> used(topology.links.size(), 0);
    for (const BoxSide& side : sides) {
        along(topology, side, chips, siblings, [&](long /*ring*/, int from, int to) {
            const int l = link_between(topology, from, to);
            if (l >= 0) used[static_cast<std::size_t>(l)] = 1;
        });
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
    // The slowest link of each dimension holds up the others of its phase.
    std::vector<double> link(topology.dimensions.size(), std::numeric_limits<double>::infinity());
    std::vector<double> latency(topology.dimensions.size(), 0.0);
    const std::vector<int> used = links_of(topology, sides, chips, siblings);
    for (const int l : used) {
        const TopologyLink& one = topology.links[static_cast<std::size_t>(l)];
        const std::size_t d = dimension_of(topology, one);
        link[d] = std::min(link[d], one.bandwidth);
        latency[d] = std::max(latency[d], one.latency);
    }
    const bool is_torus = topology.family == "torus";
    // What 1 byte of a chip's puts on each of its links along a side, siblings' bytes as well.
    const auto on_a_link = [&](const BoxSide& side) {
        const double n = static_cast<double>(side.members);
        if (!is_torus) return 1 / n;
        const bool both = side.closed && !side.has_gap && topology.dimensions[side.dimension] > 2;
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
    for (const int l : used) {
        const auto i = static_cast<std::size_t>(l);
        loads[i] = passes * bytes[dimension_of(topology, topology.links[i])];
    }
    terms.link_bytes.push_back(std::move(loads));
}

}  // namespace podsim
