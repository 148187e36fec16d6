// How popularity becomes load: shares, places, and the busiest rank, worked by hand and held
// against drawn tokens.
#include "workloads/expert_balance.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "base/random.hpp"

namespace podsim {
namespace {

using ::testing::DoubleNear;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Pointwise;

std::vector<double> uniform_shares(std::size_t experts) {
    return std::vector<double>(experts, 1.0 / static_cast<double>(experts));
}

// 1 + 1/2 + 1/3 + 1/4 = 25/12: shares 12, 6, 4 and 3 of 25, in some order.
TEST(ZipfShares, FallAsThePowerOfTheRank) {
    std::vector<double> shares = zipf_shares(4, 1);
    std::sort(shares.begin(), shares.end());
    EXPECT_THAT(shares, Pointwise(DoubleNear(1e-15), {0.12, 0.16, 0.24, 0.48}));
    EXPECT_THAT(zipf_shares(8, 0), Each(0.125));
    EXPECT_EQ(zipf_shares(64, 0.6), zipf_shares(64, 0.6));
}

// Hot experts are dealt out: side by side on the first rank they would be a worst case.
TEST(ZipfShares, DoNotFallWithTheIndex) {
    const std::vector<double> shares = zipf_shares(256, 1);
    EXPECT_FALSE(std::is_sorted(shares.rbegin(), shares.rend()));
    double first_half = 0;
    for (std::size_t i = 0; i < 128; ++i) first_half += shares[i];
    EXPECT_NEAR(first_half, 0.5, 0.3);
}

// Top 2 of shares 0.6, 0.3, 0.1: the first would be chosen 1.2 times. It is always chosen, and the
// other assignment falls 3 to 1.
TEST(ExpertChances, NoExpertTwiceForOneToken) {
    EXPECT_THAT(expert_chances({0.6, 0.3, 0.1}, 2),
                Pointwise(DoubleNear(1e-15), {1.0, 0.75, 0.25}));
    EXPECT_THAT(expert_chances({0.4, 0.4, 0.2}, 2), Pointwise(DoubleNear(1e-15), {0.8, 0.8, 0.4}));
    EXPECT_THAT(expert_chances({236, 219, 0, 0}, 2), ElementsAre(1, 1, 0, 0));
    EXPECT_THROW(expert_chances({1, 0, 0}, 2), std::invalid_argument);
    EXPECT_THROW(expert_chances({1, -1, 1}, 1), std::invalid_argument);
    EXPECT_THROW(expert_chances({1, 1}, 3), std::invalid_argument);
}

// The example that EPLB's readme works out (github.com/deepseek-ai/EPLB; weights and answer typed
// from it). Its hierarchical policy gives a node whole expert groups and then runs what we run for
// the node's own experts: 6 of them in 8 slots on 4 ranks.
TEST(PlaceExperts, AsEplbsOwnExample) {
    const auto on_node = [](const std::vector<double>& weights) {
        return place_experts(weights, 8, 4, ExpertPlacement::eplb);
    };
    // First layer, node 0 with experts 3 to 8: [5,6] [5,7] [8,4] [3,4].
    EXPECT_THAT(on_node({61, 104, 165, 39, 4, 73}), ElementsAre(2, 3, 2, 4, 5, 1, 0, 1));
    // Node 1 with experts 9, 10, 11, 0, 1, 2: [10,9] [10,2] [0,1] [11,1].
    EXPECT_THAT(on_node({56, 183, 86, 90, 132, 40}), ElementsAre(1, 0, 1, 5, 3, 4, 2, 4));
    // Second layer, node 0 with experts 6 to 11: [7,10] [6,8] [6,11] [8,9].
    EXPECT_THAT(on_node({187, 157, 172, 86, 16, 27}), ElementsAre(1, 4, 0, 2, 0, 5, 2, 3));
    // Node 1 with experts 0 to 5: [2,4] [5,1] [5,0] [3,1].
    EXPECT_THAT(on_node({20, 107, 104, 64, 19, 197}), ElementsAre(2, 4, 5, 1, 5, 0, 3, 1));
}

TEST(PlaceExperts, ContiguousStartsOverWhereExpertsEnd) {
    EXPECT_THAT(place_experts({4, 3, 2, 1}, 6, 3, ExpertPlacement::contiguous),
                ElementsAre(0, 1, 2, 3, 0, 1));
    EXPECT_THROW(place_experts({1, 1}, 1, 1, ExpertPlacement::contiguous), std::invalid_argument);
    EXPECT_THROW(place_experts({1, 1}, 3, 2, ExpertPlacement::eplb), std::invalid_argument);
}

// Expert 0 in two slots: each takes half of its tokens.
TEST(SlotChances, CopiesShareTheirExperts) {
    const SlotChances slots = slot_chances({1.0, 0.6, 0.4}, {0, 1, 0, 2}, 2);
    EXPECT_THAT(slots.chances, ElementsAre(0.5, 0.6, 0.5, 0.4));
}

// Of n independent normal counts of deviation s: mean + s e_n with e_2 = 1 / sqrt(pi) = 0.56419,
// e_8 = 1.42360 and e_64 = 2.34373 (Harter, Biometrika 48, 1961).
TEST(ExpectedMaximum, OfEqualNormalCounts) {
    const auto of = [](std::size_t n) {
        return expected_maximum(std::vector<CountLaw>(n, CountLaw{100, 10, 0}));
    };
    EXPECT_NEAR(of(1), 100, 1e-4);
    EXPECT_NEAR(of(2), 105.6419, 1e-3);
    EXPECT_NEAR(of(8), 114.2360, 1e-3);
    EXPECT_NEAR(of(64), 123.4373, 1e-3);
    EXPECT_DOUBLE_EQ(expected_maximum({{7, 0, 0}, {5, 0, 0}}), 7);
    EXPECT_THROW(expected_maximum({}), std::invalid_argument);
}

// One that stands out by ten deviations is the maximum.
TEST(ExpectedMaximum, OfAnOutlierIsItsMean) {
    EXPECT_NEAR(expected_maximum({{200, 5, 0}, {100, 10, 0}, {100, 10, 0}}), 200, 1e-3);
}

// Tokens that take k of the experts with exactly the given chances: one systematic sample of the
// experts in a random order (Goodman and Kish, J. Amer. Statist. Assoc. 45, 1950); of an expert's
// copies any.
struct Drawn {
    double busiest = 0, active = 0;  // of the busiest rank
};
Drawn drawn_load(const std::vector<double>& chances, const std::vector<int>& slots, int ranks,
                 int tokens, int steps) {
    const std::size_t room = slots.size() / static_cast<std::size_t>(ranks);
    std::vector<std::vector<std::size_t>> copies(chances.size());
    for (std::size_t i = 0; i < slots.size(); ++i)
        copies[static_cast<std::size_t>(slots[i])].push_back(i);
    Drawn mean;
    std::vector<std::pair<std::uint64_t, std::size_t>> order(chances.size());
    for (int step = 0; step < steps; ++step) {
        std::vector<int> reached(slots.size(), 0);
        for (int token = 0; token < tokens; ++token) {
            for (std::size_t i = 0; i < order.size(); ++i)
                order[i] = {random_bits(7, step, token, i), i};
            std::sort(order.begin(), order.end());
            double at = uniform(8, step, token), sum = 0;
            for (const auto& [key, expert] : order) {
                sum += chances[expert];
                if (sum <= at) continue;
                at += 1;
                const auto& held = copies[expert];
                ++reached[held[random_bits(9, step, token, expert) % held.size()]];
            }
        }
        int busiest = -1, active = 0;
        for (std::size_t rank = 0; rank < static_cast<std::size_t>(ranks); ++rank) {
            int sum = 0, awake = 0;
            for (std::size_t i = rank * room; i < (rank + 1) * room; ++i) {
                sum += reached[i];
                awake += reached[i] > 0 ? 1 : 0;
            }
            if (sum > busiest) {
                busiest = sum;
                active = awake;
            }
        }
        mean.busiest += static_cast<double>(busiest) / steps;
        mean.active += static_cast<double>(active) / steps;
    }
    return mean;
}

// The formula against drawn tokens: 64 experts, top 4. The mean of 400 steps has a standard error
// below 0.5 %.
TEST(GroupLoad, BusiestRankAsDrawn) {
    for (const double exponent : {0.0, 0.4, 1.0}) {
        const std::vector<double> shares = zipf_shares(64, exponent);
        const std::vector<double> chances = expert_chances(shares, 4);
        for (const auto placement : {ExpertPlacement::contiguous, ExpertPlacement::eplb}) {
            const std::vector<int> slots = place_experts(shares, 80, 16, placement);
            for (const int tokens : {16, 64, 256}) {
                const GroupLoad load = group_load(slot_chances(chances, slots, 16), tokens);
                const Drawn drawn = drawn_load(chances, slots, 16, tokens, 400);
                EXPECT_NEAR(load.busiest.tokens / drawn.busiest, 1, 0.01)
                    << exponent << " " << tokens;
                EXPECT_NEAR(load.busiest.active_slots, drawn.active, 0.25)
                    << exponent << " " << tokens;
            }
        }
    }
}

// 256 experts top 8, one to a rank, 1,024 tokens: mean 32, deviation sqrt(32 (1 - 1/32)) = 5.568.
// The expected maximum of 256 normal counts is 2.8 deviations above the mean, 47.6; counts lean
// to the right, which adds z^2 - 1 sixths of the skewness 0.168 = 0.19 deviations, 48.7.
TEST(GroupLoad, EvenEqualExpertsHaveABusiestRank) {
    const std::vector<double> chances = expert_chances(uniform_shares(256), 8);
    const auto slots = place_experts(uniform_shares(256), 256, 256, ExpertPlacement::contiguous);
    const GroupLoad load = group_load(slot_chances(chances, slots, 256), 1024);
    EXPECT_NEAR(load.busiest.tokens, 48.7, 0.3);
    EXPECT_NEAR(load.others.tokens, (8192 - load.busiest.tokens) / 255, 1e-9);
    EXPECT_NEAR(load.others.active_slots, 1, 1e-9);
}

TEST(GroupLoad, OneRankTakesAll) {
    const GroupLoad load = group_load(slot_chances({0.5, 0.5}, {0, 1}, 1), 10);
    EXPECT_DOUBLE_EQ(load.busiest.tokens, 10);
    EXPECT_DOUBLE_EQ(load.busiest.active_slots, 2 * (1 - std::pow(0.5, 10)));
}

// A token goes to both experts always: nothing is left to chance.
TEST(GroupLoad, CertainExpertsDoNotFluctuate) {
    const GroupLoad load = group_load(slot_chances({1, 1}, {0, 1}, 2), 10);
    EXPECT_DOUBLE_EQ(load.busiest.tokens, 10);
    EXPECT_DOUBLE_EQ(load.others.tokens, 10);
}

// Four tokens, each with the chance 1/2: min(N, 2) is 0, 1, 2, 2, 2 with 1, 4, 6, 4, 1 sixteenths.
// Mean (4 + 2 x 11) / 16 = 1.625; mean of squares (4 + 4 x 11) / 16 = 3.
TEST(Capacity, KeepsWhatABinomialLeaves) {
    const Cumulants kept = kept_of(4, 0.5, 2);
    EXPECT_NEAR(kept.first, 1.625, 1e-12);
    EXPECT_NEAR(kept.second, 3 - 1.625 * 1.625, 1e-12);
    // Mean of cubes (4 + 8 x 11) / 16 = 5.75.
    EXPECT_NEAR(kept.third, 5.75 - 3 * 1.625 * 3 + 2 * std::pow(1.625, 3), 1e-12);
    // With room for all of them the count is the binomial.
    const Cumulants all = kept_of(4, 0.5, 4);
    EXPECT_DOUBLE_EQ(all.first, 2);
    EXPECT_DOUBLE_EQ(all.second, 1);
    // Far below the mean the room is filled.
    EXPECT_DOUBLE_EQ(kept_of(100000, 0.5, 100).first, 100);
    EXPECT_DOUBLE_EQ(kept_of(100000, 0.5, 100).second, 0);
}

// Half of a binomial count of 4 with 1/2 is one of 4 with 1/4: 1, 3/4, 3/4 x 1/2.
TEST(Capacity, CopiesThinACount) {
    const Cumulants half = thinned(kept_of(4, 0.5, 4), 0.5);
    EXPECT_DOUBLE_EQ(half.first, 1);
    EXPECT_DOUBLE_EQ(half.second, 0.75);
    EXPECT_DOUBLE_EQ(half.third, 0.375);
}

// Top 2 of 8 experts, 1,024 tokens: 256 each, 1.25 times that is 320.
TEST(Capacity, IsAnEvenShareTimesItsFactor) {
    EXPECT_EQ(expert_capacity(1.25, 1024, 2, 8), 320);
    EXPECT_EQ(expert_capacity(1.0, 1023, 2, 8), 256);
}

// A rank takes no more than its experts' room, however hot they are; nothing is lost without a
// limit.
TEST(Capacity, BoundsTheBusiestRank) {
    const std::vector<double> chances = expert_chances(zipf_shares(64, 1), 4);
    std::vector<int> slots(64);
    std::iota(slots.begin(), slots.end(), 0);
    const SlotChances all = slot_chances(chances, slots, 16);
    constexpr long senders = 16, each = 1024;
    const double even = each * 4.0 / 64;  // an expert's share of a sender
    const GroupLoad free = group_load(all, senders * each);
    EXPECT_DOUBLE_EQ(free.kept, 1);
    double last = 0;
    for (const double factor : {1.0, 1.5, 2.0, 4.0, 16.0}) {
        const long room = expert_capacity(factor, each, 4, 64);
        const GroupLoad load = group_load(all, senders * each, {senders, room});
        EXPECT_LE(load.busiest.tokens, 4 * senders * factor * even * (1 + 1e-9));
        EXPECT_LE(load.busiest.tokens, free.busiest.tokens * (1 + 1e-9));
        EXPECT_GT(load.kept, last);
        last = load.kept;
        // What is kept is what ranks take.
        EXPECT_NEAR(load.busiest.tokens + 15 * load.others.tokens, load.kept * senders * each * 4.0,
                    1e-6 * senders * each);
    }
    EXPECT_NEAR(last, 1, 1e-9);
}

// Two ranks of two slots with chances 0.5, 0.1 and 0.2, 0.2, of 1,000 tokens: means 600 and 400,
// variances 1000 (0.25 + 0.09) = 340 and 320, third moment of the first 1000 x 0.09 x 0.8 = 72.
TEST(RankCounts, MomentsByHandAndAsDrawn) {
    const SlotChances slots{2, {0.5, 0.1, 0.2, 0.2}, {1, 1, 1, 1}};
    const std::vector<CountLaw> laws = rank_counts(slots, 1000);
    ASSERT_EQ(laws.size(), 2U);
    EXPECT_NEAR(laws[0].mean, 600, 1e-9);
    EXPECT_NEAR(laws[1].mean, 400, 1e-9);
    EXPECT_NEAR(laws[0].deviation, std::sqrt(340.0), 1e-9);
    EXPECT_NEAR(laws[1].deviation, std::sqrt(320.0), 1e-9);
    EXPECT_NEAR(laws[0].skewness, 72 / std::pow(340.0, 1.5), 1e-9);
    EXPECT_DOUBLE_EQ(drawn_count({600, 20, 0.6}, 2), 600 + 20 * (2 + 0.1 * 3));
    EXPECT_DOUBLE_EQ(drawn_count({1, 20, 0}, -2), 0);
}

}  // namespace
}  // namespace podsim
