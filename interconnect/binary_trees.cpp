#include "interconnect/binary_trees.hpp"

namespace podsim {

std::vector<int> binary_tree(int members, bool second) {
    const auto seen = [&](int place) {
        if (!second) return place;
        return members % 2 == 0 ? members - 1 - place : (place + 1) % members;
    };
    std::vector<int> parents(static_cast<std::size_t>(members), -1);
    for (int place = 1; place < members; ++place) {
        const int step = place & -place;  // leaves are odd, their parents even, and so on
        int parent = (place ^ step) | (2 * step);
        if (parent >= members) parent = place ^ step;
        parents[static_cast<std::size_t>(seen(place))] = seen(parent);
    }
    return parents;
}

std::vector<int> broadcast_tree(int members, bool second) {
    std::vector<int> parents(1, -1);
    for (const int parent : binary_tree(members - 1, second)) parents.push_back(parent + 1);
    return parents;
}

std::vector<int> from_the_root(const std::vector<int>& parents) {
    std::vector<std::vector<int>> children(parents.size());
    std::vector<int> order;
    for (std::size_t place = 0; place < parents.size(); ++place) {
        if (parents[place] < 0) {
            order.push_back(static_cast<int>(place));
        } else {
            children[static_cast<std::size_t>(parents[place])].push_back(static_cast<int>(place));
        }
    }
    for (std::size_t next = 0; next < order.size(); ++next)
        for (const int child : children[static_cast<std::size_t>(order[next])])
            order.push_back(child);
    return order;
}

}  // namespace podsim
