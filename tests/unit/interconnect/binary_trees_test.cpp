// Two binary trees, and what they cost on links.
#include "interconnect/binary_trees.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "interconnect/collective_algorithms.hpp"
#include "tests/unit/interconnect/topology_text.hpp"

namespace podsim {
namespace {

// 4 above 2 and 6, these above the odd places, 0 above all; the other one counts from the end.
TEST(BinaryTrees, EightByHand) {
    EXPECT_EQ(binary_tree(8, false), (std::vector<int>{-1, 2, 4, 2, 0, 6, 4, 6}));
    EXPECT_EQ(binary_tree(8, true), (std::vector<int>{1, 3, 1, 7, 5, 3, 5, -1}));
    EXPECT_EQ(binary_tree(3, false), (std::vector<int>{-1, 2, 0}));
    EXPECT_EQ(binary_tree(3, true), (std::vector<int>{1, -1, 0}));
    EXPECT_EQ(broadcast_tree(4, false), (std::vector<int>{-1, 0, 3, 1}));
    EXPECT_EQ(broadcast_tree(2, true), (std::vector<int>{-1, 0}));
}

// Of any number: one root, no place with more than two children, log2 deep, and who passes on in
// one tree is a leaf of the other.
TEST(BinaryTrees, OfAnyNumber) {
    for (int members = 2; members <= 130; ++members) {
        std::vector<int> children[2];
        for (const bool second : {false, true}) {
            const std::vector<int> parents = binary_tree(members, second);
            const std::vector<int> order = from_the_root(parents);
            ASSERT_EQ(order.size(), parents.size()) << members;
            EXPECT_EQ(std::count(parents.begin(), parents.end(), -1), 1);
            std::vector<int>& its = children[second ? 1 : 0];
            its.assign(parents.size(), 0);
            std::vector<int> depth(parents.size(), 0);
            for (const int place : order) {
                const int parent = parents[static_cast<std::size_t>(place)];
                if (parent < 0) continue;
                ++its[static_cast<std::size_t>(parent)];
                depth[static_cast<std::size_t>(place)] =
                    depth[static_cast<std::size_t>(parent)] + 1;
            }
            EXPECT_LE(*std::max_element(its.begin(), its.end()), 2);
            int doublings = 0;
            while ((1 << doublings) < members) ++doublings;
            EXPECT_LE(*std::max_element(depth.begin(), depth.end()), doublings) << members;
        }
        for (std::size_t place = 0; place < children[0].size(); ++place)
            EXPECT_LE(children[0][place] + children[1][place], 3) << members << ", " << place;
    }
}

// A ring of eight chips at 1 us a link: the tree of the even places goes from 0 to 4 (4 us), from 4
// to 2 or 6 (2) and from there to a leaf (1), 7 us down and as many up, six steps.
TEST(BinaryTrees, LatencyIsThatOfTheLongestWay) {
    const TopologyStack ring =
        stack_of("{family: torus, dimensions: [8], electrical_latency: 1 us}", 8, 100e9);
    const auto tree = [&](Collective collective) {
        return collective_terms(ring, collective, {8, 1, 0}, false, Algorithm::tree).at(0);
    };
    EXPECT_NEAR(tree(Collective::all_reduce).latency, 14e-6, 1e-12);
    EXPECT_EQ(tree(Collective::all_reduce).steps, 6);
    // From 0 to 2 (2 us), the root of the others' second tree, to 6 (4), 1 (3) and 7 (2).
    EXPECT_NEAR(tree(Collective::broadcast).latency, 11e-6, 1e-12);
}

// On one switch every port carries S up and S down of an all-reduce but those of the two roots.
TEST(BinaryTrees, BytesOfASwitch) {
    const TopologyStack one = stack_of("{family: switched-planes, node_chips: 8}", 8, 100e9);
    const auto terms =
        collective_terms(one, Collective::all_reduce, {8, 1, 0}, false, Algorithm::tree).at(0);
    EXPECT_NEAR(terms.seconds_per_byte, 2 / 100e9, 1e-18);
}

}  // namespace
}  // namespace podsim
