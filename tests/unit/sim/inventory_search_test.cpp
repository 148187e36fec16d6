// Who goes where, by hand, and against every choice tried out.
#include "sim/inventory_search.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

#include "base/random.hpp"

namespace podsim {
namespace {

ServiceOption option(std::vector<OptionPool> pools, bool solved = true) {
    return {solved, true, std::move(pools)};
}

InventoryPlacement placed(const std::vector<OwnedMachines>& owned, bool buy,
                          std::vector<std::vector<ServiceOption>> services) {
    InventoryCounts counts;
    return place_services(
        {owned, buy}, services,
        [](std::size_t, std::size_t) -> ServiceOption { throw std::logic_error("solved"); },
        counts);
}

// Machines of 8 and of 4 chips. The chat takes two replicas of 8 on the first kind (1 USD an hour
// here, 10 elsewhere) or three of 4 on the second (2, 3); the search three of 4 on the second alone
// (2, 8). There is room for three on the second kind: the search goes there (6 USD) and the chat to
// the first (2 USD), although the chat alone would cost as little as 6 there.
TEST(InventorySearch, ByHand) {
    const std::vector<OwnedMachines> owned = {{16, 8}, {12, 4}};
    const auto best = placed(
        owned, true,
        {{option({{1, 4, 3, 2, 3}}), option({{0, 8, 2, 1, 10}})}, {option({{1, 4, 3, 2, 8}})}});
    EXPECT_EQ(best.option, (std::vector<int>{1, 0}));
    EXPECT_DOUBLE_EQ(best.usd, 2 + 6);
    EXPECT_EQ(best.used, (std::vector<int>{16, 12}));
    EXPECT_EQ(best.here, (std::vector<std::vector<int>>{{2}, {3}}));
}

// A machine of 16 chips and one of 8: replicas of 10 find room once, the second is bought; one of 6
// fits beside the first.
TEST(InventorySearch, AReplicaIsInOneMachine) {
    const auto best =
        placed({{24, 16}}, true, {{option({{0, 6, 1, 1, 5}})}, {option({{0, 10, 2, 1, 7}})}});
    EXPECT_EQ(best.here, (std::vector<std::vector<int>>{{1}, {1}}));
    EXPECT_DOUBLE_EQ(best.usd, 1 + 1 + 7);
    EXPECT_EQ(best.used[0], 16);
}

// Two services of 8 chips on 8: one is served, the cheaper. With buying both are.
TEST(InventorySearch, WithoutBuyingAsManyAsThereIsRoomFor) {
    const std::vector<std::vector<ServiceOption>> services = {{option({{0, 8, 1, 3, 4}})},
                                                              {option({{0, 8, 1, 2, 4}})}};
    const auto best = placed({{8, 8}}, false, services);
    EXPECT_EQ(best.option, (std::vector<int>{InventoryPlacement::kUnserved, 0}));
    EXPECT_DOUBLE_EQ(best.usd, 2);
    EXPECT_DOUBLE_EQ(placed({{8, 8}}, true, services).usd, 3 + 4);
}

// 100 W a replica: both services would draw 500 W of 450. One is served, the cheaper; with 500 W
// both. A service that alone draws too much is ruled out without being solved.
TEST(InventorySearch, NoMorePowerThanThereIs) {
    std::vector<std::vector<ServiceOption>> services = {{option({{0, 1, 3, 2, 4, 100}})},
                                                        {option({{0, 1, 2, 2, 4, 100}})},
                                                        {option({{0, 1, 6, 2, 4, 100}}, false)}};
    const auto solve = [](std::size_t, std::size_t) -> ServiceOption {
        throw std::logic_error("solved");
    };
    for (const auto& [watts, first] : {std::pair(450.0, -1), {500.0, 0}}) {
        InventoryCounts counts;
        auto copy = services;
        const auto best = place_services({{{9, 1}}, true, watts}, copy, solve, counts);
        EXPECT_EQ(best.option, (std::vector<int>{first, 0, -1}));
        EXPECT_EQ(counts.by_bound, 1);
    }
}

// Owned chips that cost more than bought ones stay empty.
TEST(InventorySearch, WhatIsDearerStaysEmpty) {
    const auto best = placed({{8, 8}}, true, {{option({{0, 8, 1, 5, 4}})}});
    EXPECT_DOUBLE_EQ(best.usd, 4);
    EXPECT_EQ(best.used[0], 0);
}

// Options whose bound is dearer than the answer are never solved.
TEST(InventorySearch, BoundsPrune) {
    std::vector<std::vector<ServiceOption>> services = {{option({{0, 1, 10, 1, 1}}, false),
                                                         option({{0, 1, 5, 1, 1}}, false),
                                                         option({{0, 1, 30, 1, 1}}, false)}};
    std::vector<std::size_t> asked;
    InventoryCounts counts;
    const auto best = place_services(
        {{{100, 1}}}, services,
        [&](std::size_t, std::size_t which) {
            asked.push_back(which);
            return option({{0, 1, which == 1 ? 20 : 12, 1, 1}});
        },
        counts);
    EXPECT_EQ(best.option[0], 0);
    EXPECT_EQ(asked, (std::vector<std::size_t>{1, 0}));
    EXPECT_EQ(counts.solved, 2);
    EXPECT_EQ(counts.choices, 4);
}

// Where an option turns out not to exist another is taken, or the service is unmet.
TEST(InventorySearch, NoFleet) {
    std::vector<std::vector<ServiceOption>> services = {{option({{0, 1, 1, 1, 1}}, false)},
                                                        {option({{0, 2, 1, 1, 1}}, false)}};
    InventoryCounts counts;
    const auto best = place_services(
        {{{4, 4}}}, services,
        [&](std::size_t service, std::size_t) {
            ServiceOption one = option({{0, 2, 2, 1, 1}});
            one.exists = service == 1;
            return one;
        },
        counts);
    EXPECT_EQ(best.option, (std::vector<int>{InventoryPlacement::kUnserved, 0}));
    std::vector<std::vector<ServiceOption>> many(
        18, std::vector<ServiceOption>(1, option({{0, 1, 1, 1, 1}})));
    EXPECT_THROW(placed({{4, 4}}, true, many), std::invalid_argument);
}

// Random options with bounds below what they take: the same bill as with everything solved.
TEST(InventorySearch, AsGoodAsEveryChoiceTriedOut) {
    long spared = 0;
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        std::uint64_t draw = 0;
        const auto number = [&](int least, int most) {
            return least + static_cast<int>(uniform(seed, 1, draw++) * (most - least + 1));
        };
        const std::vector<OwnedMachines> owned = {{number(0, 64), 8}, {number(0, 48), 16}};
        const bool buy = number(0, 1) == 1;
        std::vector<std::vector<ServiceOption>> solved, bounds;
        for (int s = number(1, 4); s > 0; --s) {
            solved.emplace_back();
            bounds.emplace_back();
            for (int o = number(1, 3); o > 0; --o) {
                ServiceOption one = option({});
                for (int p = number(1, 2); p > 0; --p) {
                    const int chips = 1 << number(0, 3);
                    one.pools.push_back({static_cast<std::size_t>(number(0, 1)), chips,
                                         number(1, 5), 1.0 * chips, 0.5 * number(1, 8) * chips});
                }
                solved.back().push_back(one);
                one.solved = false;
                for (OptionPool& pool : one.pools) pool.replicas = number(1, pool.replicas);
                bounds.back().push_back(one);
            }
        }
        InventoryCounts counts;
        long options = 0;
        for (const auto& one : solved) options += static_cast<long>(one.size());
        const auto found = place_services(
            {owned, buy}, bounds,
            [&](std::size_t service, std::size_t which) { return solved[service][which]; }, counts);
        const auto tried = placed(owned, buy, solved);
        EXPECT_NEAR(found.usd, tried.usd, 1e-9 * tried.usd) << seed;
        EXPECT_EQ(std::count(found.option.begin(), found.option.end(), -1),
                  std::count(tried.option.begin(), tried.option.end(), -1));
        spared += options - counts.solved;
    }
    EXPECT_GT(spared, 100);
}

}  // namespace
}  // namespace podsim
