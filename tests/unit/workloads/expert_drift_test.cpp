// Popularity that moves, and experts placed anew for it.
#include "workloads/expert_drift.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <vector>

#include "tests/unit/workloads/serving_cases.hpp"
#include "tests/unit/workloads/step_specs.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;

// 1 - exp(-a / t): after t ln 2 one half.
TEST(ExpertDrift, AHalfHasMovedAfterLogTwo) {
    const ExpertBalancing experts{Seconds(1800.0), Seconds(0.0), Seconds(0.0)};
    EXPECT_DOUBLE_EQ(experts.moved(Seconds(0.0)), 0);
    EXPECT_NEAR(experts.moved(Seconds(1800 * std::log(2.0))), 0.5, 1e-12);
    EXPECT_NEAR(experts.moved(Seconds(1800.0)), 1 - std::exp(-1.0), 1e-12);
}

// Tokens of another domain beside those of the first.
TEST(ExpertDrift, DomainsMix) {
    EXPECT_THAT(mixed_shares({0.5, 0.3, 0.2}, {0.1, 0.1, 0.8}, 0.25),
                ElementsAre(DoubleEq(0.4), DoubleEq(0.25), DoubleEq(0.35)));
    EXPECT_THROW((void)mixed_shares({1}, {0.5, 0.5}, 0.5), std::invalid_argument);
}

// Experts hand their shares on: the set of shares stays, so much of it has moved as was asked for,
// and who has moved at a quarter has at a half.
TEST(ExpertDrift, SharesStayWhoeverHasThem) {
    const std::vector<double> shares = zipf_shares(256, 0.8);
    EXPECT_EQ(exchanged_shares(shares, 0, 0), shares);
    std::vector<bool> before(shares.size(), false);
    for (const double moved : {0.25, 0.5, 0.75, 1.0}) {
        const std::vector<double> now = exchanged_shares(shares, moved, 0);
        EXPECT_THAT(now, ::testing::UnorderedElementsAreArray(shares)) << moved;
        double handed_on = 0;
        for (std::size_t i = 0; i < shares.size(); ++i) {
            const bool differs = now[i] != shares[i];
            handed_on += differs ? shares[i] : 0;
            EXPECT_TRUE(differs || !before[i]) << i;
            before[i] = differs;
        }
        // To half of the largest share.
        EXPECT_NEAR(handed_on, moved, *std::max_element(shares.begin(), shares.end()) / 2) << moved;
    }
    EXPECT_NE(exchanged_shares(shares, 0.5, 0), exchanged_shares(shares, 0.5, 1));
    EXPECT_THROW((void)exchanged_shares(shares, 1.5, 0), std::invalid_argument);
}

// Two ranks of two slots. {0 1 | 2 3} to {1 2 | 3 0}: each receives one. {0 0 | 1 2} to
// {1 1 | 0 2}: two copies of an expert are received once.
TEST(ExpertDrift, ARankReceivesWhatItDidNotHold) {
    const ReceivedExperts one = received_experts({0, 1, 2, 3}, {1, 2, 3, 0}, 2);
    EXPECT_EQ(one.busiest, 1);
    EXPECT_EQ(one.all, 2);
    const ReceivedExperts copies = received_experts({0, 0, 1, 2}, {1, 1, 0, 2}, 2);
    EXPECT_EQ(copies.busiest, 1);
    EXPECT_EQ(copies.all, 2);
    EXPECT_EQ(received_experts({0, 1, 2, 3}, {1, 0, 3, 2}, 2).all, 0);
    EXPECT_THROW((void)received_experts({0, 1, 2}, {0, 1, 2}, 2), std::invalid_argument);
}

// Two ranks of two slots, 0.8 and 0.2 of 1: 1.6 times the mean of 0.5.
TEST(ExpertDrift, WhatABalancerCounts) {
    SlotChances slots;
    slots.ranks = 2;
    slots.chances = {0.6, 0.2, 0.1, 0.1};
    slots.copies = {1, 1, 1, 1};
    EXPECT_DOUBLE_EQ(expected_imbalance(slots), 1.6);
    slots.chances = {0.5, 0.5, 0.5, 0.5};
    EXPECT_DOUBLE_EQ(expected_imbalance(slots), 1);
}

// The load of the busiest rank over the mean grows from just placed to all moved, and ends where
// experts that were placed for another popularity are: beyond 2 in place of 1.1.
TEST(ExpertDrift, ImbalanceGrowsWithWhatHasMoved) {
    StepSpec spec = plain_step(72, 32);
    spec.experts = {32, 0, Popularity::zipf, 0.45};
    double before = 0;
    for (const double moved : {0.0, 0.25, 0.5, 1.0}) {
        spec.experts.moved = moved;
        const double now = expert_load(spec, expert_layout(spec), 256).imbalance;
        EXPECT_GT(now, before + 0.05) << moved;
        before = now;
        if (moved == 0) {
            EXPECT_LT(now, 1.2);
        }
    }
    EXPECT_GT(before, 2.0);
}

// Of any skew, any number of ranks and copies or none: what has moved is worse placed than placed
// anew for it, and the more has moved the worse, on the mean of 128 layers. Of one layer it may be
// better by what a greedy placement leaves, 2 %.
TEST(ExpertDrift, WhatHasMovedLiesWorseThanWhatIsPlacedAnew) {
    const auto imbalance = [](const std::vector<double>& of, const std::vector<double>& placed_for,
                              int ranks, int redundant) {
        const long slots = 256 + redundant;
        return expected_imbalance(
            slot_chances(expert_chances(of, 8),
                         place_experts(placed_for, slots, ranks, ExpertPlacement::eplb), ranks));
    };
    for (const double skew : {0.3, 0.45, 0.8, 1.1}) {
        for (const int ranks : {16, 32, 64}) {
            for (const int redundant : {0, 64}) {
                const std::vector<double> shares = zipf_shares(256, skew);
                const double fresh = imbalance(shares, shares, ranks, redundant);
                double before = fresh;
                for (const double moved : {0.25, 0.5, 1.0}) {
                    double mean = 0;
                    for (long layer = 0; layer < 128; ++layer) {
                        const std::vector<double> now = exchanged_shares(shares, moved, layer);
                        const double left = imbalance(now, shares, ranks, redundant);
                        EXPECT_GE(left, 0.98 * fresh)
                            << skew << " " << ranks << " " << redundant << " " << moved;
                        // As uneven as they were.
                        EXPECT_NEAR(imbalance(now, now, ranks, redundant), fresh, 1e-9);
                        mean += left / 128;
                    }
                    EXPECT_GT(mean, before)
                        << skew << " " << ranks << " " << redundant << " " << moved;
                    before = mean;
                }
            }
        }
    }
}

ServingCase drifting(double every, double stall) {
    ServingCase serving = one_pool([](const StepLoad& load) {
        return Seconds(0.010 * (1 + load.moved) * (load.decodes > 0 ? 1 : 0));
    });
    serving.pools[0].experts = ExpertBalancing{Seconds(1e9), Seconds(every), Seconds(stall)};
    return serving;
}

// 1,000 steps of 10 ms, and half a second every two: T = 10 + T / 2 x 0.5 has T = 13 s, six times.
TEST(ExpertDrift, EveryPlacingStallsTheReplica) {
    RequestStream stream = listed({{0.0, 8, 1001}});
    const ServingOutcome out = simulate_serving(drifting(2, 0.5), stream);
    EXPECT_EQ(out.pools[0].rebalances, 6);
    EXPECT_NEAR(out.pools[0].rebalancing, 3.0, 1e-9);
    EXPECT_NEAR(out.span, 13.0, 1e-6);
}

// With a drift of 10 s and a placing every 5 s the mean share that has moved is
// 1 - (10 / 5) (1 - exp(-5 / 10)) = 0.213; without placings steps get ever longer.
TEST(ExpertDrift, StepsFollowWhatHasMoved) {
    ServingCase placed = drifting(5, 0), left = drifting(0, 0);
    placed.pools[0].experts->drift_time = left.pools[0].experts->drift_time = Seconds(10.0);
    RequestStream stream = listed({{0.0, 8, 4001}});
    const ServingOutcome with = simulate_serving(placed, stream);
    stream = listed({{0.0, 8, 4001}});
    const ServingOutcome without = simulate_serving(left, stream);
    EXPECT_NEAR(with.pools[0].moved_seconds / with.pools[0].busy, 0.213, 0.02);
    // A period of 5 s holds 5 ln(2 exp(0.5) - 1) = 4.159 s of steps: 40 of them take 48.09 s.
    EXPECT_NEAR(with.span, 48.09, 0.5);
    // dt / (2 - exp(-t / 10)) summed to 40 s of steps: 5 ln(2 exp(T / 10) - 1) = 40, T = 73.07 s.
    EXPECT_NEAR(without.span, 73.07, 0.5);
    EXPECT_EQ(without.pools[0].rebalances, 0);
}

}  // namespace
}  // namespace podsim
