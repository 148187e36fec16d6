// Groups of a trace that begin inside a scale-up domain.
#include "sim/placed_groups.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace podsim {
namespace {

// Domains of four ranks in a pool of sixteen.
std::optional<int> stride(int members, int own, int first) {
    return stride_cut_alike(members, own, first, 4, 16);
}

TEST(PlacedGroups, AsManyInEachDomain) {
    EXPECT_EQ(stride(2, 1, 0), 1);
    EXPECT_EQ(stride(2, 1, 2), 1);
    EXPECT_EQ(stride(2, 1, 3), 4);  // 3 | 4, as 0 | 4
    EXPECT_EQ(stride(4, 1, 2), 2);  // 2 3 | 4 5, as 0 2 | 4 6
    EXPECT_EQ(stride(4, 4, 3), 4);  // one in each, wherever
    EXPECT_EQ(stride(4, 1, 4), 1);
    EXPECT_EQ(stride(4, 1, 1), std::nullopt);                  // 1 2 3 | 4
    EXPECT_EQ(stride(2, 3, 4), 3);                             // 4 7, as 0 3
    EXPECT_EQ(stride(2, 3, 3), 4);                             // 3 | 6
    EXPECT_EQ(stride_cut_alike(2, 1, 3, 4, 4), std::nullopt);  // no second domain to be in
}

TEST(PlacedGroups, OnlyWhatIsCutOtherwiseChanges) {
    TraceProgram traced;
    for (const int first : {0, 3, 1, -1}) {
        Transfer transfer;
        transfer.name = "all_reduce";
        transfer.group_ranks = first == 1 ? 4 : 2;
        traced.program.transfers.push_back(transfer);
        traced.first_ranks.push_back(first);
    }
    std::string warning;
    const auto placed = cut_as_placed(traced, 4, 16, warning);
    ASSERT_TRUE(placed.has_value());
    EXPECT_EQ(placed->program.transfers[0].stride, 1);
    EXPECT_EQ(placed->program.transfers[1].stride, 4);
    EXPECT_EQ(placed->program.transfers[2].stride, 1);
    EXPECT_EQ(placed->program.transfers[3].stride, 1);
    EXPECT_THAT(warning, testing::HasSubstr("1 of 4 kinds of transfers"));
    EXPECT_THAT(warning, testing::HasSubstr("all_reduce of 4 ranks from rank 1 on"));
    warning.clear();
    EXPECT_FALSE(cut_as_placed(traced, 16, 16, warning).has_value());
    EXPECT_EQ(warning, "");
}

}  // namespace
}  // namespace podsim
