// What a library was fitted on, and what is said of transfers beyond it.
#include "interconnect/fitted_range.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/readers.hpp"
#include "tests/unit/interconnect/plain_fabric.hpp"

namespace podsim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::vector<FittedRange> two_tables = {{{8, 8}, {1, 131072}, {}},
                                             {{32, 64}, {4096, 4096}, {}}};

Transfer dispatch_of(int ranks, double tokens) {
    Transfer t = collective(TransferType::dispatch, ranks, tokens * 8 * 7392);
    t.copies = 8;
    t.messages_per_rank = tokens * 8;
    return t;
}

TEST(FittedRange, CoversItsRows) {
    EXPECT_THAT(outside_fit(dispatch_of(8, 1), two_tables), IsEmpty());
    EXPECT_THAT(outside_fit(dispatch_of(8, 131072), two_tables), IsEmpty());
    EXPECT_THAT(outside_fit(dispatch_of(64, 4096), two_tables), IsEmpty());
    EXPECT_THAT(outside_fit(dispatch_of(32, 4096), two_tables), IsEmpty());
    EXPECT_THAT(outside_fit(dispatch_of(320, 1), {}), IsEmpty());        // nothing is stated
    EXPECT_THAT(outside_fit(dispatch_of(1, 1), two_tables), IsEmpty());  // nothing moves
}

// 32 ranks are nearest to the second table: one token is not its 4,096.
TEST(FittedRange, TheNearestTableIsMeant) {
    const auto outside = outside_fit(dispatch_of(32, 1), two_tables);
    ASSERT_EQ(outside.size(), 1u);
    EXPECT_EQ(outside[0].quantity, FitQuantity::tokens);
    EXPECT_EQ(outside[0].low, 4096);
    EXPECT_EQ(outside[0].asked, 1);
    // 16 ranks are twice the one and half the other: the first has the fewer objections.
    const auto between = outside_fit(dispatch_of(16, 7), two_tables);
    ASSERT_EQ(between.size(), 1u);
    EXPECT_EQ(between[0].quantity, FitQuantity::ranks);
    EXPECT_EQ(between[0].high, 8);
    EXPECT_EQ(outside_fit(dispatch_of(72, 7), two_tables).size(), 2u);
}

TEST(FittedRange, OneLineAQuantity) {
    std::vector<OutsideFit> outside;
    for (const auto type : {TransferType::dispatch, TransferType::combine}) {
        outside.push_back({type, FitQuantity::tokens, 128, 128, 48});
        outside.push_back({type, FitQuantity::tokens, 128, 128, 4096});
        outside.push_back({type, FitQuantity::ranks, 8, 256, 320});
    }
    outside.push_back({TransferType::all_reduce, FitQuantity::ranks, 2, 8, 16});
    outside.push_back({TransferType::all_reduce, FitQuantity::bytes, 512, 536870912, 1e9});
    EXPECT_THAT(
        fit_warnings("cann", outside),
        ElementsAre("collective library cann was fitted at 8 to 256 ranks (dispatch, combine), "
                    "here 320; at 2 to 8 ranks (all_reduce), here 16: derived",
                    "collective library cann was fitted at 128 tokens a rank (dispatch, combine), "
                    "here 48 to 4096: derived",
                    "collective library cann was fitted at 512 B to 536.9 MB (all_reduce), here 1 "
                    "GB: derived"));
    EXPECT_THAT(fit_warnings("cann", {}), IsEmpty());
}

TEST(FittedRange, ATransferOutsideIsNotMeasured) {
    CollectiveLibrarySpec library = plain_library();
    TransferHabits& habits = library.transfers[TransferType::dispatch];
    habits.record.basis = Confidence::measured;
    habits.ranges = two_tables;
    const RankFabric fabric = plain_fabric();
    const auto basis = [&](int ranks, double tokens) {
        return basis_of(make_coflow(dispatch_of(ranks, tokens), fabric, library, 1024));
    };
    EXPECT_EQ(basis(64, 4096), Confidence::measured);
    EXPECT_EQ(basis(128, 4096), Confidence::derived);
    EXPECT_EQ(basis(64, 4095), Confidence::derived);
    habits.record.basis = Confidence::assumed;
    EXPECT_EQ(basis(128, 4096), Confidence::assumed);  // no better for being outside
}

TEST(FittedRange, OfRows) {
    EXPECT_EQ(to_string(range_of({dispatch_of(8, 4), dispatch_of(16, 2), dispatch_of(8, 64)})),
              "{ranks: [8, 16], tokens: [2, 64]}");
    const FittedRange range = range_of({collective(TransferType::all_reduce, 4, 512),
                                        collective(TransferType::all_reduce, 2, 1e6)});
    EXPECT_EQ(to_string(range), "{ranks: [2, 4], bytes: [512 B, 1000000 B]}");
}

TEST(FittedRange, ReadsTwoNumbersInOrder) {
    const auto refusal = [](const std::string& range) {
        return refusal_of([&] { read<FittedRange>(parse_yaml(range, "r.yaml"), "range"); });
    };
    const auto range =
        read<FittedRange>(parse_yaml("{ranks: [2, 8], bytes: [512 B, 512 MiB]}", "r.yaml"), "");
    EXPECT_THAT(range.ranks, ElementsAre(2, 8));
    EXPECT_EQ(range.bytes[1].value(), 536870912);
    EXPECT_THAT(refusal("{ranks: [8, 2]}"), HasSubstr("range.ranks: is not [lowest, highest]"));
    EXPECT_THAT(refusal("{tokens: [8]}"), HasSubstr("range.tokens: is not [lowest, highest]"));
    EXPECT_THAT(refusal("{tokens: [0, 8]}"), HasSubstr("range.tokens"));
}

}  // namespace
}  // namespace podsim
