#include "interconnect/dimension_wise.hpp"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <set>

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

void dimension_wise(const Topology& topology, const std::vector<BoxSide>& sides, double passes,
                    CollectiveTerms& terms) {
    std::vector<double> link(topology.dimensions.size(), 0.0), latency(link);
    for (const TopologyLink& l : topology.links) {
        link[static_cast<std::size_t>(l.link_class)] = l.bandwidth;
        latency[static_cast<std::size_t>(l.link_class)] = l.latency;
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
    LinkBytes loads;
    for (const TopologyLink& l : topology.links)
        loads.push_back(passes * bytes[static_cast<std::size_t>(l.link_class)]);
    terms.link_bytes.push_back(std::move(loads));
}

}  // namespace podsim
