#include "workloads/kv_cache.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace podsim {
namespace {

using Names = std::vector<std::uint64_t>;

BlockCache one_tier(long blocks) {
    BlockCacheSpec spec;
    spec.tiers.resize(1);
    spec.tiers[0].blocks = blocks;
    return BlockCache(spec);
}

// Four blocks of room. 1 2 | 3 | 1 4: all fits. Then 5 lets the least recently used go: of the
// prompt 1 2 its end, 2.
TEST(BlockCache, LeastRecentlyUsedByHand) {
    BlockCache cache = one_tier(4);
    EXPECT_EQ(cache.refer(Names{1, 2}, Seconds(0)).blocks, 0);
    EXPECT_EQ(cache.refer(Names{3}, Seconds(1)).blocks, 0);
    EXPECT_EQ(cache.refer(Names{1, 4}, Seconds(2)).blocks, 1);
    EXPECT_EQ(cache.held(0), 4);
    EXPECT_EQ(cache.refer(Names{5}, Seconds(3)).blocks, 0);
    EXPECT_EQ(cache.match(Names{1, 2}, Seconds(3)).blocks, 1);
    EXPECT_EQ(cache.match(Names{3}, Seconds(3)).blocks, 1);
    EXPECT_EQ(cache.match(Names{1, 4}, Seconds(3)).blocks, 2);
    EXPECT_EQ(cache.counts().looked_up, 6);
    EXPECT_EQ(cache.counts().hits, 1);
    EXPECT_DOUBLE_EQ(cache.counts().hit_rate(), 1.0 / 6);
    EXPECT_EQ(cache.counts().moved_out[0], 1);
}

// 2 is held and 1 is not: nothing of the prompt can be used.
TEST(BlockCache, OnlyAnUnbrokenPrefixCounts) {
    BlockCache cache = one_tier(3);
    cache.refer(Names{1, 2, 3}, Seconds(0));
    EXPECT_EQ(cache.match(Names{2, 3}, Seconds(1)).blocks, 2);  // names, not places
    EXPECT_EQ(cache.match(Names{9, 2, 3}, Seconds(1)).blocks, 0);
    EXPECT_EQ(cache.match(Names{1, 9, 3}, Seconds(1)).blocks, 1);
}

TEST(BlockCache, APromptLongerThanTheStoreLeavesItsBeginning) {
    BlockCache cache = one_tier(2);
    cache.refer(Names{1, 2, 3, 4}, Seconds(0));
    EXPECT_EQ(cache.match(Names{1, 2, 3, 4}, Seconds(0)).blocks, 2);
}

// A request holds 2 named blocks and 1 fresh one of 4: another may have 1, not 2, and what the
// first has pinned does not give way to it.
TEST(BlockCache, WhatRunsIsPinned) {
    BlockCache cache = one_tier(4);
    ASSERT_TRUE(cache.acquire(Names{1, 2}, 3, Seconds(0)));
    cache.name(Names{1, 2}, Seconds(1));
    EXPECT_EQ(cache.pinned(), 2);
    EXPECT_EQ(cache.fresh(), 1);
    EXPECT_EQ(cache.available(), 1);
    EXPECT_FALSE(cache.acquire(Names{7}, 2, Seconds(2)));
    EXPECT_FALSE(cache.grow(2, Seconds(2)));
    EXPECT_EQ(cache.fresh(), 1);
    EXPECT_TRUE(cache.grow(1, Seconds(2)));
    // A second one with the same prompt needs no block for what is there.
    const auto shared = cache.acquire(Names{1, 2}, 2, Seconds(3));
    ASSERT_TRUE(shared);
    EXPECT_EQ(shared->blocks, 2);
    cache.release(Names{1, 2}, 2, Seconds(4));
    EXPECT_EQ(cache.pinned(), 2);  // by the second
    cache.release(Names{1, 2}, 0, Seconds(5));
    EXPECT_EQ(cache.pinned(), 0);
    EXPECT_EQ(cache.available(), 4);
    EXPECT_EQ(cache.match(Names{1, 2}, Seconds(6)).blocks, 2);  // kept, until its room is needed
    EXPECT_TRUE(cache.acquire({}, 3, Seconds(7)));
    EXPECT_EQ(cache.match(Names{1, 2}, Seconds(8)).blocks, 1);
}

// Two requests work the same prompt out at a time: one copy stays.
TEST(BlockCache, TheSameWorkedOutTwiceIsKeptOnce) {
    BlockCache cache = one_tier(10);
    ASSERT_TRUE(cache.acquire(Names{1, 2}, 2, Seconds(0)));
    ASSERT_TRUE(cache.acquire(Names{1, 2}, 2, Seconds(0)));
    EXPECT_EQ(cache.fresh(), 4);
    cache.name(Names{1, 2}, Seconds(1));
    cache.name(Names{1, 2}, Seconds(1));
    EXPECT_EQ(cache.fresh(), 0);
    EXPECT_EQ(cache.pinned(), 2);
    cache.release(Names{1, 2}, 0, Seconds(2));
    cache.release(Names{1, 2}, 0, Seconds(2));
    EXPECT_EQ(cache.held(0), 2);
    EXPECT_THROW(cache.release(Names{1}, 0, Seconds(2)), std::invalid_argument);
    EXPECT_THROW(cache.name(Names{5}, Seconds(2)), std::invalid_argument);
}

TEST(BlockCache, TimeToLive) {
    BlockCacheSpec spec;
    spec.tiers.resize(1);
    spec.tiers[0].blocks = 4;
    spec.tiers[0].time_to_live = Seconds(10);
    BlockCache cache(spec);
    cache.refer(Names{1}, Seconds(0));
    cache.refer(Names{2}, Seconds(6));
    EXPECT_EQ(cache.match(Names{1}, Seconds(10)).blocks, 1);
    EXPECT_EQ(cache.match(Names{1}, Seconds(11)).blocks, 0);
    cache.refer(Names{3}, Seconds(12));
    EXPECT_EQ(cache.held(0), 2);
    EXPECT_EQ(cache.counts().expired[0], 1);
    EXPECT_EQ(cache.refer(Names{2}, Seconds(15)).blocks, 1);
    EXPECT_EQ(cache.match(Names{2}, Seconds(24)).blocks, 1);  // each use counts anew
}

// One block in HBM, two in the host, three on disk: the seventh name lets the first go.
TEST(BlockCache, WhatGivesWayMovesDownTheTiers) {
    BlockCacheSpec spec;
    spec.block_bytes = Bytes(1e6);
    spec.tiers = {{"hbm", 1, {}, {}, {}},
                  {"host", 2, BytesPerSecond(1e9), Seconds(1e-5), {}},
                  {"ssd", 3, BytesPerSecond(1e8), Seconds(1e-4), {}}};
    BlockCache cache(spec);
    for (std::uint64_t name = 1; name <= 7; ++name)
        cache.refer(Names{name}, Seconds(static_cast<double>(name)));
    EXPECT_EQ(cache.held(0), 1);
    EXPECT_EQ(cache.held(1), 2);
    EXPECT_EQ(cache.held(2), 3);
    EXPECT_EQ(cache.match(Names{1}, Seconds(8)).blocks, 0);
    EXPECT_EQ(cache.match(Names{2}, Seconds(8)).by_tier[2], 1);
    EXPECT_EQ(cache.match(Names{6}, Seconds(8)).by_tier[1], 1);
    EXPECT_EQ(cache.match(Names{7}, Seconds(8)).by_tier[0], 1);
    // 2 comes up, 7 goes to the host, 5 from there to the disk's free place.
    const PrefixHit hit = cache.refer(Names{2}, Seconds(8));
    EXPECT_EQ(hit.by_tier[2], 1);
    EXPECT_EQ(cache.held(2), 3);
    EXPECT_EQ(cache.match(Names{7}, Seconds(9)).by_tier[1], 1);
    EXPECT_EQ(cache.match(Names{5}, Seconds(9)).by_tier[2], 1);
    // 0.1 ms and 1 MB at 100 MB/s.
    EXPECT_DOUBLE_EQ(cache.load_time(hit).value(), 1e-4 + 1e-2);
    PrefixHit both;
    both.by_tier = {4, 3, 2, 0, 0, 0};
    EXPECT_DOUBLE_EQ(cache.load_time(both).value(), 1e-5 + 3e-3 + 1e-4 + 2e-2);
}

TEST(BlockCache, AHitOnALowerTierNeedsRoomAbove) {
    BlockCacheSpec spec;
    spec.tiers = {{"hbm", 2, {}, {}, {}}, {"host", 4, {}, {}, {}}};
    BlockCache cache(spec);
    cache.refer(Names{1, 2}, Seconds(0));
    cache.refer(Names{3, 4}, Seconds(1));
    ASSERT_TRUE(cache.acquire({}, 1, Seconds(2)));
    EXPECT_EQ(cache.match(Names{1, 2}, Seconds(2)).by_tier[1], 2);
    EXPECT_FALSE(cache.acquire(Names{1, 2}, 2, Seconds(2)));
    EXPECT_TRUE(cache.acquire(Names{1}, 1, Seconds(2)));
    EXPECT_EQ(cache.pinned(), 1);
    EXPECT_EQ(cache.match(Names{3, 4}, Seconds(2)).by_tier[1], 2);
}

TEST(BlockCache, WhatIsNoStore) {
    EXPECT_THROW(BlockCache(BlockCacheSpec{}), std::invalid_argument);
    EXPECT_THROW(one_tier(0), std::invalid_argument);
}

}  // namespace
}  // namespace podsim
