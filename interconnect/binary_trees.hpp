// The two binary trees of an all-reduce or broadcast (Sanders, Speck and Traff 2009): each member
// is a leaf of one and passes on in the other, so that both directions of every port are used.
#pragma once

#include <cstddef>
#include <vector>

namespace podsim {

// The parent of each of `members` places, -1 of the root. In order: a place's subtree is what lies
// around it, so that near places are near in the tree; place 0 is above all. The second tree is the
// first one counted from the end, or from one place on where their number is odd.
std::vector<int> binary_tree(int members, bool second);

// The same for a broadcast from place 0, which hands half to the root of either tree of the others.
std::vector<int> broadcast_tree(int members, bool second);

// Places so that parents come before their children.
std::vector<int> from_the_root(const std::vector<int>& parents);

}  // namespace podsim
