#include "interconnect/packet_collectives/steps.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "interconnect/binary_trees.hpp"

namespace podsim::packet_collectives {

bool scatters(Collective collective) {
    return collective == Collective::all_reduce || collective == Collective::reduce_scatter;
}
bool gathers(Collective collective) {
    return collective == Collective::all_reduce || collective == Collective::all_gather;
}
bool gathers_all(const PacketCollectiveSpec& spec) {
    return gathers(spec.collective) || spec.scatters_first;
}

std::vector<int> near_order(const PacketCollectiveSpec& spec) {
    if (!spec.layout.near_order.empty()) return spec.layout.near_order;
    std::vector<int> order;
    for (int i = 0; i < spec.ranks; ++i) order.push_back(i);
    return order;
}

void turn(const std::vector<std::vector<int>>& rings, double bytes, bool back, Chain& chain) {
    const std::size_t steps = rings.front().size() - 1;
    for (std::size_t s = 0; s < steps; ++s) {
        Step step;
        for (const std::vector<int>& ring : rings) {
            const std::size_t n = ring.size();
            for (std::size_t i = 0; i < n; ++i)
                step.push_back(
                    {ring[i], ring[(i + (back ? n - 1 : 1)) % n], bytes / static_cast<double>(n)});
        }
        chain.push_back(std::move(step));
    }
}

Chain neighbours(const PacketCollectiveSpec& spec) {
    const std::vector<int> order = near_order(spec);
    Step step;
    for (std::size_t i = 0; i < order.size(); ++i)
        step.push_back({order[i], order[(i + 1) % order.size()], spec.size.value()});
    return {step};
}

void exchange(const PacketCollectiveSpec& spec, const std::vector<int>& members,
              const ByteMatrix& bytes, Step& step) {
    AllToAllSpec how = spec.exchange;
    how.members = members;
    how.entries.clear();
    const auto inner = static_cast<std::size_t>(std::max({1, spec.layout.inner, spec.layout.near}));
    const std::size_t first = step.size();
    for (const PacketMessage& message : all_to_all(bytes, how))
        step.push_back({message.source, message.destination, message.size.value()});
    if (how.order != SendOrder::rotated || inner < 2 || members.size() <= inner) return;
    // A group after the other and within it a place after the other, from one's own on: with
    // ports of their own for what leaves the group, a walk by rank would begin with the same
    // one for all of a group.
    const std::size_t groups = (members.size() + inner - 1) / inner;
    std::vector<std::size_t> place(static_cast<std::size_t>(spec.ranks), 0);
    for (std::size_t i = 0; i < members.size(); ++i)
        place[static_cast<std::size_t>(members[i])] = i;
    const auto turn_of = [&](const Send& send) {
        const std::size_t from = place[static_cast<std::size_t>(send.from)];
        const std::size_t to = place[static_cast<std::size_t>(send.to)];
        return std::pair{(to / inner + groups - from / inner) % groups,
                         (to % inner + inner - from % inner) % inner};
    };
    const auto begin = step.begin() + static_cast<std::ptrdiff_t>(first);
    for (auto at = begin; at != step.end();) {
        // To one sender's next walk, which begins where the first destination comes again.
        auto end = at + 1;
        while (end != step.end() && end->from == at->from && end->to != at->to) ++end;
        std::stable_sort(at, end,
                         [&](const Send& x, const Send& y) { return turn_of(x) < turn_of(y); });
        at = end;
    }
}

Chain tree_steps(const std::vector<int>& parents, double bytes, bool up) {
    std::vector<std::size_t> depth(parents.size(), 0);
    Chain chain;
    for (const int child : from_the_root(parents)) {
        const int parent = parents[static_cast<std::size_t>(child)];
        if (parent < 0) continue;
        const std::size_t above = depth[static_cast<std::size_t>(parent)];
        depth[static_cast<std::size_t>(child)] = above + 1;
        if (chain.size() <= above) chain.resize(above + 1);
        chain[above].push_back(up ? Send{child, parent, bytes} : Send{parent, child, bytes});
    }
    if (up) std::reverse(chain.begin(), chain.end());
    return chain;
}

}  // namespace podsim::packet_collectives
