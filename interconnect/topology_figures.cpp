#include "interconnect/topology_figures.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <vector>

#include "interconnect/router.hpp"

namespace podsim {

namespace {

// Greatest flow from the chips of one half to the others (Dinic's algorithm), capacities as they
// are: what the least cut between them lets through.
class Flooding {
  public:
    Flooding(const Topology& topology, const std::vector<char>& is_source)
        : sink_(static_cast<int>(topology.nodes.size()) + 1), out_(topology.nodes.size() + 2) {
        const int source = sink_ - 1;
        for (const TopologyLink& link : topology.links) {
            // Chips that do not forward are only ever ends.
            if (!topology.chips_forward &&
                ((link.from < topology.chips &&
                  is_source[static_cast<std::size_t>(link.from)] == 0) ||
                 (link.to < topology.chips && is_source[static_cast<std::size_t>(link.to)] != 0)))
                continue;
            add(link.from, link.to, link.bandwidth);
        }
        for (int chip = 0; chip < topology.chips; ++chip) {
            const double all = std::numeric_limits<double>::infinity();
            if (is_source[static_cast<std::size_t>(chip)] != 0) {
                add(source, chip, all);
            } else {
                add(chip, sink_, all);
            }
        }
    }
    double greatest() {
        double total = 0;
        while (level()) {
            next_.assign(out_.size(), 0);
            for (double sent = 1; sent > 0; total += sent)
                sent = push(sink_ - 1, std::numeric_limits<double>::infinity());
        }
        return total;
    }

  private:
    struct Arc {
        int to;
        double left;
    };
    void add(int from, int to, double capacity) {
        out_[static_cast<std::size_t>(from)].push_back(static_cast<int>(arcs_.size()));
        arcs_.push_back({to, capacity});
        out_[static_cast<std::size_t>(to)].push_back(static_cast<int>(arcs_.size()));
        arcs_.push_back({from, 0});
    }
    bool level() {
        depth_.assign(out_.size(), -1);
        std::vector<int> queue = {sink_ - 1};
        depth_[static_cast<std::size_t>(sink_ - 1)] = 0;
        for (std::size_t i = 0; i < queue.size(); ++i) {
            const auto u = static_cast<std::size_t>(queue[i]);
            for (const int a : out_[u]) {
                const Arc& arc = arcs_[static_cast<std::size_t>(a)];
                const auto v = static_cast<std::size_t>(arc.to);
                if (arc.left <= kNothing || depth_[v] >= 0) continue;
                depth_[v] = depth_[u] + 1;
                queue.push_back(arc.to);
            }
        }
        return depth_[static_cast<std::size_t>(sink_)] >= 0;
    }
    double push(int node, double most) {
        if (node == sink_) return most;
        const auto u = static_cast<std::size_t>(node);
        for (std::size_t& i = next_[u]; i < out_[u].size(); ++i) {
            const auto a = static_cast<std::size_t>(out_[u][i]);
            const auto v = static_cast<std::size_t>(arcs_[a].to);
            if (arcs_[a].left <= kNothing || depth_[v] != depth_[u] + 1) continue;
            const double sent = push(arcs_[a].to, std::min(most, arcs_[a].left));
            if (sent <= 0) continue;
            arcs_[a].left -= sent;
            arcs_[a ^ 1].left += sent;
            return sent;
        }
        return 0;
    }
    static constexpr double kNothing = 1;  // B/s: rounding
    int sink_;
    std::vector<std::vector<int>> out_;
    std::vector<Arc> arcs_;
    std::vector<int> depth_;
    std::vector<std::size_t> next_;
};

// The least of what crosses between halves: by coordinate where there are some, else the lower and
// the upper half of the chips.
double bisection_of(const Topology& topology) {
    double least = std::numeric_limits<double>::infinity();
    std::vector<char> lower(static_cast<std::size_t>(topology.chips), 0);
    if (topology.dimensions.empty()) {
        std::fill(lower.begin(), lower.begin() + topology.chips / 2, 1);
        return Flooding(topology, lower).greatest();
    }
    const bool any_even = std::any_of(topology.dimensions.begin(), topology.dimensions.end(),
                                      [](long n) { return n % 2 == 0; });
    long stride = 1;
    for (const long n : topology.dimensions) {
        if (any_even && n % 2 != 0) {  // would not cut in half
            stride *= n;
            continue;
        }
        double crossing = 0;
        const auto is_low = [&](int chip) { return chip / stride % n < n / 2; };
        for (const TopologyLink& link : topology.links)
            if (is_low(link.from) && !is_low(link.to)) crossing += link.bandwidth;
        if (n > 1) least = std::min(least, crossing);
        stride *= n;
    }
    return least;
}

}  // namespace

TopologyFigures figures_of(const Topology& topology) {
    TopologyFigures figures;
    figures.near = std::numeric_limits<double>::infinity();
    Router router(topology);
    // One chip of each class sees what all of its class see; without symmetry every chip looks.
    std::map<int, int> first;
    for (int chip = 0; chip < topology.chips; ++chip)
        first.emplace(
            topology.symmetric ? topology.chip_class[static_cast<std::size_t>(chip)] : chip, chip);
    for (const auto& [name, chip] : first) {
        router.search(chip);
        std::map<int, int> at_distance;  // a chip of each distance: paths of one cost are alike
        for (int other = 0; other < topology.chips; ++other) {
            if (other == chip || router.distance(other) < 0) continue;
            figures.diameter = std::max(figures.diameter, router.hops(other));
            at_distance.emplace(router.distance(other), other);
        }
        for (const auto& [distance, other] : at_distance) {
            const double latency = router.latency(other);
            if (latency < figures.near) {
                figures.near = latency;
                figures.near_from = chip;
                figures.near_to = other;
            }
            if (latency > figures.far) {
                figures.far = latency;
                figures.far_from = chip;
                figures.far_to = other;
            }
        }
    }
    if (topology.chips < 2) {
        figures.near = 0;
        return figures;
    }
    figures.bisection = bisection_of(topology);
    return figures;
}

}  // namespace podsim
