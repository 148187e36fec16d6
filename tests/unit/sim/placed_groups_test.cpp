// Groups of a trace that begin inside a scale-up domain.
#include "sim/placed_groups.hpp"

#include <gtest/gtest.h>

namespace podsim {
namespace {

// Domains of four ranks in a pool of sixteen.
std::optional<int> stride(int members, int own, int first) {
    std::vector<int> group;
    for (int i = 0; i < members; ++i) group.push_back(first + i * own);
    return stride_cut_alike(group, own, 4, 16);
}

TEST(PlacedGroups, AsManyInEachDomain) {
    EXPECT_EQ(stride(2, 1, 0), 1);
    EXPECT_EQ(stride(2, 1, 2), 1);
    EXPECT_EQ(stride(2, 1, 3), 4);  // 3 | 4, as 0 | 4
    EXPECT_EQ(stride(4, 1, 2), 2);  // 2 3 | 4 5, as 0 2 | 4 6
    EXPECT_EQ(stride(4, 4, 3), 4);  // one in each, wherever
    EXPECT_EQ(stride(4, 1, 4), 1);
    EXPECT_EQ(stride(4, 1, 1), std::nullopt);                    // 1 2 3 | 4
    EXPECT_EQ(stride(2, 3, 4), 3);                               // 4 7, as 0 3
    EXPECT_EQ(stride(2, 3, 3), 4);                               // 3 | 6
    EXPECT_EQ(stride_cut_alike({3, 4}, 1, 4, 4), std::nullopt);  // no second domain to be in
    EXPECT_EQ(stride_cut_alike({5, 4}, 1, 4, 16), 1);  // a receiver in front of its sender
}

// 1 | 3 goes as one in each domain, 3 | 5 of domains of eight as every second rank, four in each;
// a pool of eight ranks has no room for four ranks of which each is a domain away.
TEST(PlacedGroups, UnevenPartsGoAsTheirSmallest) {
    EXPECT_EQ(stride_of_smallest_part({3, 4, 5, 6}, 4, 16), 4);
    EXPECT_EQ(stride_of_smallest_part({5, 6, 7, 8, 9, 10, 11, 12}, 8, 64), 2);
    EXPECT_EQ(stride_of_smallest_part({3, 4, 5, 6}, 4, 8), 2);
}

}  // namespace
}  // namespace podsim
