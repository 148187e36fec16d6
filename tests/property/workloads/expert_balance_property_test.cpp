// What holds of any popularity: copies and assignments are conserved, the busiest rank is no
// lighter than the mean, and the load balancer's copies never make the heaviest slot heavier.
#include "workloads/expert_balance.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace podsim {
namespace {

long any(long low, long high) {
    return *rc::gen::inRange(low, high + 1);
}

struct Case {
    std::vector<double> shares, chances;
    long per_token = 1, slots = 0;
    int ranks = 1;
};

Case any_case() {
    Case one;
    const long experts = any(1, 60);
    one.per_token = any(1, experts);
    one.ranks = static_cast<int>(any(1, 20));
    one.slots = (experts + one.ranks - 1) / one.ranks * one.ranks + one.ranks * any(0, 2);
    if (*rc::gen::arbitrary<bool>()) {
        one.shares = zipf_shares(experts, 0.1 * static_cast<double>(any(0, 30)));
    } else {
        for (long i = 0; i < experts; ++i) one.shares.push_back(static_cast<double>(any(1, 1000)));
    }
    one.chances = expert_chances(one.shares, one.per_token);
    return one;
}

ExpertPlacement any_placement() {
    return *rc::gen::element(ExpertPlacement::contiguous, ExpertPlacement::eplb);
}

TEST(ExpertBalanceProperty, EveryTokenFindsItsExperts) {
    EXPECT_TRUE(rc::check([] {
        const Case one = any_case();
        const double sum = std::accumulate(one.chances.begin(), one.chances.end(), 0.0);
        RC_ASSERT(std::abs(sum - static_cast<double>(one.per_token)) <= 1e-9 * sum);
        for (std::size_t i = 0; i < one.shares.size(); ++i) {
            RC_ASSERT(one.chances[i] >= 0 && one.chances[i] <= 1);
            // More popular is chosen no less often.
            for (std::size_t j = 0; j < i; ++j)
                RC_ASSERT((one.shares[i] >= one.shares[j]) <= (one.chances[i] >= one.chances[j]));
        }
    }));
}

TEST(ExpertBalanceProperty, PlacesConserveCopies) {
    EXPECT_TRUE(rc::check([] {
        const Case one = any_case();
        const auto heaviest = [&](ExpertPlacement placement) {
            const auto slots = place_experts(one.shares, one.slots, one.ranks, placement);
            RC_ASSERT(slots.size() == static_cast<std::size_t>(one.slots));
            for (std::size_t expert = 0; expert < one.shares.size(); ++expert)
                RC_ASSERT(std::count(slots.begin(), slots.end(), static_cast<int>(expert)) >= 1);
            const SlotChances chances = slot_chances(one.shares, slots, one.ranks);
            const double sum = std::accumulate(chances.chances.begin(), chances.chances.end(), 0.0);
            const double shares = std::accumulate(one.shares.begin(), one.shares.end(), 0.0);
            RC_ASSERT(std::abs(sum - shares) <= 1e-9 * shares);
            return *std::max_element(chances.chances.begin(), chances.chances.end());
        };
        RC_ASSERT(heaviest(ExpertPlacement::eplb) <=
                  heaviest(ExpertPlacement::contiguous) * (1 + 1e-12));
    }));
}

TEST(ExpertBalanceProperty, AssignmentsAreConservedAndTheBusiestLeads) {
    EXPECT_TRUE(rc::check([] {
        const Case one = any_case();
        const auto slots = place_experts(one.shares, one.slots, one.ranks, any_placement());
        const SlotChances chances = slot_chances(one.chances, slots, one.ranks);
        const auto tokens = static_cast<double>(any(1, 5000));
        const GroupLoad load = group_load(chances, tokens);
        const double all = tokens * static_cast<double>(one.per_token);
        const double room = static_cast<double>(one.slots) / one.ranks;
        if (one.ranks > 1) {
            RC_ASSERT(std::abs(load.busiest.tokens + (one.ranks - 1) * load.others.tokens - all) <=
                      1e-9 * all);
        }
        RC_ASSERT(load.busiest.tokens >= all / one.ranks * (1 - 1e-9));
        RC_ASSERT(load.busiest.tokens <= std::min(all, tokens * room) * (1 + 1e-9));
        for (const RankLoad& rank : {load.busiest, load.others}) {
            RC_ASSERT(rank.active_slots >= 0 && rank.active_slots <= room * (1 + 1e-9));
            RC_ASSERT(rank.active_slots <= rank.tokens * (1 + 1e-9));
        }
    }));
}

// The share of the busiest rank falls as more tokens even chance out, down to that of its slots.
TEST(ExpertBalanceProperty, ManyTokensLeaveTheShareOfTheSlots) {
    EXPECT_TRUE(rc::check([] {
        const Case one = any_case();
        const auto slots = place_experts(one.shares, one.slots, one.ranks, any_placement());
        const SlotChances chances = slot_chances(one.chances, slots, one.ranks);
        const std::size_t room = slots.size() / static_cast<std::size_t>(one.ranks);
        double most = 0;
        for (std::size_t i = 0; i < slots.size(); i += room) {
            const auto begin = chances.chances.begin() + static_cast<std::ptrdiff_t>(i);
            most = std::max(most,
                            std::accumulate(begin, begin + static_cast<std::ptrdiff_t>(room), 0.0));
        }
        const double of_many = group_load(chances, 1e10).busiest.tokens / 1e10;
        RC_ASSERT(std::abs(of_many - most) <= 1e-3 * most);
        RC_ASSERT(group_load(chances, 1e3).busiest.tokens / 1e3 >= most * (1 - 1e-9));
    }));
}

}  // namespace
}  // namespace podsim
