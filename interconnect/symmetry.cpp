#include "interconnect/symmetry.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace podsim {

namespace {

std::size_t index(int i) {
    return static_cast<std::size_t>(i);
}

// Orbits as sets that are joined; the least member represents.
class JoinedSets {
  public:
    explicit JoinedSets(std::size_t size) : parent_(size) {
        std::iota(parent_.begin(), parent_.end(), 0);
    }
    int find(int i) {
        while (parent_[index(i)] != i) {
            parent_[index(i)] = parent_[index(parent_[index(i)])];
            i = parent_[index(i)];
        }
        return i;
    }
    void join(int a, int b) {
        a = find(a);
        b = find(b);
        parent_[index(std::max(a, b))] = std::min(a, b);
    }
    std::vector<int> representatives() {
        std::vector<int> all(parent_.size());
        for (std::size_t i = 0; i < all.size(); ++i) all[i] = find(static_cast<int>(i));
        return all;
    }

  private:
    std::vector<int> parent_;
};

bool alike(const TopologyLink& a, const TopologyLink& b) {
    return a.link_class == b.link_class && a.plane == b.plane && a.bandwidth == b.bandwidth &&
           a.latency == b.latency && a.weight == b.weight && a.cost == b.cost;
}

using Moves = std::vector<std::pair<int, int>>;  // node and its image; others stay

class OrbitSearch {
  public:
    explicit OrbitSearch(const Topology& topology)
        : topology_(topology),
          chips_(index(topology.chips)),
          links_(topology.links.size()),
          image_(topology.nodes.size()),
          into_(topology.nodes.size()) {
        std::iota(image_.begin(), image_.end(), 0);
        for (std::size_t l = 0; l < topology.links.size(); ++l) {
            into_[index(topology.links[l].to)].push_back(static_cast<int>(l));
            by_end_.push_back(static_cast<int>(l));
        }
        for (std::size_t n = 0; n < topology.nodes.size(); ++n) {
            std::stable_sort(by_end_.begin() + topology.first_link[n],
                             by_end_.begin() + topology.first_link[n + 1],
                             [&](int a, int b) { return link(a).to < link(b).to; });
        }
    }

    // Joins the orbits of a permutation of nodes, if it maps links onto links.
    bool offer(const Moves& moves) {
        for (const auto& [node, to] : moves) image_[index(node)] = to;
        const bool is_symmetry = find_links(moves);
        if (is_symmetry) {
            for (const auto& [link, to] : found_) links_.join(link, to);
            for (const auto& [node, to] : moves)
                if (node < topology_.chips) chips_.join(node, to);
        }
        for (const auto& [node, to] : moves) image_[index(node)] = node;
        return is_symmetry;
    }

    Orbits orbits() { return {chips_.representatives(), links_.representatives()}; }

  private:
    int image(int node) const { return image_[index(node)]; }
    const TopologyLink& link(int l) const { return topology_.links[index(l)]; }

    // The images of all links at moved nodes.
    bool find_links(const Moves& moves) {
        found_.clear();
        for (const auto& [node, to] : moves) {
            const int end = topology_.first_link[index(node) + 1];
            for (int l = topology_.first_link[index(node)]; l < end; ++l)
                if (!find_link(l)) return false;
            // Those from nodes that stay; the others are found from there.
            for (const int l : into_[index(node)])
                if (image(link(l).from) == link(l).from && !find_link(l)) return false;
        }
        return true;
    }

    using LinkRange = std::pair<std::vector<int>::const_iterator, std::vector<int>::const_iterator>;
    LinkRange between(int from, int to) const {
        const auto first = by_end_.begin() + topology_.first_link[index(from)];
        const auto last = by_end_.begin() + topology_.first_link[index(from) + 1];
        const auto found =
            std::lower_bound(first, last, to, [&](int l, int node) { return link(l).to < node; });
        auto end = found;
        while (end != last && link(*end).to == to) ++end;
        return {found, end};
    }
    // Equal links between two nodes keep their order.
    bool find_link(int l) {
        const TopologyLink& one = link(l);
        long before = 0;  // of its equals
        const LinkRange here = between(one.from, one.to);
        for (auto at = here.first; at != here.second && *at != l; ++at)
            if (alike(link(*at), one)) ++before;
        const LinkRange there = between(image(one.from), image(one.to));
        for (auto at = there.first; at != there.second; ++at) {
            if (!alike(link(*at), one) || before-- > 0) continue;
            found_.emplace_back(l, *at);
            return true;
        }
        return false;
    }

    const Topology& topology_;
    JoinedSets chips_, links_;
    std::vector<int> image_;
    std::vector<std::vector<int>> into_;
    std::vector<int> by_end_;  // links of each node in the order of their ends
    std::vector<std::pair<int, int>> found_;
};

// Whether traffic stays as it is when each chip takes another's place.
using NewPlace = std::function<int(int)>;
using Keeps = std::function<bool(const NewPlace&)>;

// Chips with coordinates: turns by the least step along each dimension, mirrors, and of a mesh of
// all with all any two that change places. Only where there is nothing but chips.
void offer_coordinates(const Topology& topology, OrbitSearch& search, const Keeps& keeps) {
    if (static_cast<int>(topology.nodes.size()) != topology.chips) return;
    int stride = 1;
    for (const long size : topology.dimensions) {
        const int n = static_cast<int>(size);
        std::vector<int> moved(index(n));
        const auto offer = [&] {
            const auto place = [&](int chip) {
                const int at = chip / stride % n;
                return chip + (moved[index(at)] - at) * stride;
            };
            if (!keeps(place)) return false;
            Moves moves;
            for (int chip = 0; chip < topology.chips; ++chip)
                if (place(chip) != chip) moves.emplace_back(chip, place(chip));
            return search.offer(moves);
        };
        int turn = n;
        for (int step = 1; step < turn; ++step) {
            if (n % step != 0) continue;
            for (int at = 0; at < n; ++at) moved[index(at)] = (at + step) % n;
            if (offer()) turn = step;
        }
        // A mirror, or two that change places, and turns make those that lie a turn on.
        for (int about = 0; about < turn; ++about) {
            for (int at = 0; at < n; ++at) moved[index(at)] = (about + n - at) % n;
            offer();
        }
        const bool is_torus = topology.family == "torus";
        for (int first = 0; !is_torus && first < turn && first + 1 < n; ++first) {
            std::iota(moved.begin(), moved.end(), 0);
            std::swap(moved[index(first)], moved[index(first + 1)]);
            offer();
        }
        stride *= n;
    }
}

// What hangs together below the second tier: nodes of chips with their switches and whatever else
// is attached. Of each its members in order.
std::vector<std::vector<int>> groups_below(const Topology& topology) {
    JoinedSets sets(topology.nodes.size());
    const auto is_above = [&](int node) {
        return topology.nodes[index(node)].kind == NodeKind::tier2;
    };
    for (const TopologyLink& link : topology.links)
        if (!is_above(link.from) && !is_above(link.to)) sets.join(link.from, link.to);
    std::map<int, std::vector<int>> groups;
    for (int node = 0; node < static_cast<int>(topology.nodes.size()); ++node)
        if (!is_above(node)) groups[sets.find(node)].push_back(node);
    std::vector<std::vector<int>> all;
    for (auto& [first, members] : groups) all.push_back(std::move(members));
    return all;
}

// In switched fabrics chips under the same switches, and groups on the same second tier.
void offer_exchanges(const Topology& topology, const std::vector<int>& marks, OrbitSearch& search) {
    const auto mark = [&](int node) { return node < topology.chips ? marks[index(node)] : 0; };
    std::map<std::vector<int>, std::vector<int>> alike_groups;  // by what a group is made of
    for (std::vector<int>& group : groups_below(topology)) {
        std::stable_sort(group.begin(), group.end(), [&](int a, int b) {
            const bool chip_a = a < topology.chips, chip_b = b < topology.chips;
            return std::tuple(!chip_a, mark(a)) < std::tuple(!chip_b, mark(b));
        });
        std::map<std::pair<int, std::vector<int>>, int> seen;  // mark and switches; the last chip
        std::vector<int> make;
        for (const int node : group) {
            const TopologyNode& of = topology.nodes[index(node)];
            make.push_back(static_cast<int>(of.kind));
            make.push_back(of.kind == NodeKind::chip ? mark(node) : of.plane);
            if (node >= topology.chips) continue;
            std::vector<int> switches;
            for (int l = topology.first_link[index(node)]; l < topology.first_link[index(node) + 1];
                 ++l)
                switches.push_back(topology.links[index(l)].to);
            const auto [twin, first] = seen.try_emplace({mark(node), std::move(switches)}, node);
            if (first) continue;
            search.offer({{twin->second, node}, {node, twin->second}});
            twin->second = node;
        }
        const auto [like, first] = alike_groups.try_emplace(std::move(make), group);
        if (first) continue;
        Moves moves;
        for (std::size_t i = 0; i < group.size(); ++i) {
            moves.emplace_back(group[i], like->second[i]);
            moves.emplace_back(like->second[i], group[i]);
        }
        search.offer(moves);
    }
}

// In switched fabrics turns of the first `used` groups by the least step, and of the chips of all.
void offer_turns(const Topology& topology, int last_chip, OrbitSearch& search, const Keeps& keeps) {
    std::vector<std::vector<int>> groups = groups_below(topology);
    std::size_t used = 0, chips = 0;
    for (const std::vector<int>& group : groups) {
        if (group.front() > last_chip) break;  // chips are the first nodes
        if (group.size() != groups.front().size()) return;
        ++used;
    }
    if (used == 0) return;
    for (const int node : groups.front()) chips += node < topology.chips ? 1 : 0;
    std::vector<int> place(index(topology.chips));
    const auto offer = [&](std::size_t group_step, std::size_t chip_step) {
        Moves moves;
        std::iota(place.begin(), place.end(), 0);
        for (std::size_t g = 0; g < used; ++g) {
            const std::vector<int>& from = groups[g];
            const std::vector<int>& to = groups[(g + group_step) % used];
            for (std::size_t i = 0; i < from.size(); ++i) {
                const int image = to[i < chips ? (i + chip_step) % chips : i];
                if (image == from[i]) continue;
                moves.emplace_back(from[i], image);
                if (i < chips) place[index(from[i])] = image;
            }
        }
        return keeps([&](int chip) { return place[index(chip)]; }) && search.offer(moves);
    };
    for (std::size_t step = 1; step < used; ++step)
        if (used % step == 0 && offer(step, 0)) break;
    for (std::size_t step = 1; step < chips; ++step)
        if (chips % step == 0 && offer(0, step)) break;
}

bool is_switched(const Topology& topology) {
    return !topology.chips_forward && topology.family != "dragonfly";
}

}  // namespace

Orbits orbits_of(const Topology& topology, const std::vector<int>& marks) {
    OrbitSearch search(topology);
    if (is_switched(topology)) {
        offer_exchanges(topology, marks, search);
    } else {
        offer_coordinates(topology, search, [&](const NewPlace& place) {
            for (int chip = 0; chip < topology.chips; ++chip)
                if (marks[index(place(chip))] != marks[index(chip)]) return false;
            return true;
        });
    }
    return search.orbits();
}

Orbits orbits_of(const Topology& topology, const std::vector<PairAmount>& pairs) {
    OrbitSearch search(topology);
    const auto key = [&](int from, int to) {
        return static_cast<long>(from) * topology.chips + static_cast<long>(to);
    };
    std::unordered_map<long, double> amounts;
    amounts.reserve(pairs.size());
    int last = 0;
    for (const PairAmount& pair : pairs) {
        amounts[key(pair.from, pair.to)] += pair.amount;
        last = std::max({last, pair.from, pair.to});
    }
    const auto keeps = [&](const NewPlace& place) {
        return std::all_of(pairs.begin(), pairs.end(), [&](const PairAmount& pair) {
            const auto there = amounts.find(key(place(pair.from), place(pair.to)));
            return there != amounts.end() &&
                   there->second == amounts.find(key(pair.from, pair.to))->second;
        });
    };
    if (is_switched(topology)) {
        offer_turns(topology, last, search, keeps);
    } else {
        offer_coordinates(topology, search, keeps);
    }
    return search.orbits();
}

void average_over_orbits(const Orbits& orbits, std::vector<double>& loads) {
    std::vector<double> sum(loads.size(), 0.0);
    std::vector<int> size(loads.size(), 0);
    for (std::size_t l = 0; l < loads.size(); ++l) {
        sum[index(orbits.links[l])] += loads[l];
        size[index(orbits.links[l])] += 1;
    }
    for (std::size_t l = 0; l < loads.size(); ++l)
        loads[l] = sum[index(orbits.links[l])] / size[index(orbits.links[l])];
}

}  // namespace podsim
