// The surface against the bank model it was measured from, between its points; and its file.
#include "chips/memory_surface.hpp"

#include <gtest/gtest.h>

#include "chips/hbm_cycle.hpp"
#include "tests/unit/chips/bank_scene.hpp"

namespace podsim {
namespace {

const MemoryDevice& hbm3() {
    static const MemoryDevice device = shipped_memory("hbm3");
    return device;
}

// One pseudo-channel of a stack on its own, so that a chunk is what it sees.
const MemorySurface& surface() {
    static const MemorySurface measured = [] {
        MemorySurface s = measure_surface(hbm3(), 1, BytesPerSecond(0));
        s.channels = 1;
        s.interleave = 1e9;
        return s;
    }();
    return measured;
}

double measured(AccessOrder order, long chunk, int streams, double writes) {
    AccessPattern pattern;
    pattern.order = order;
    pattern.request = pattern.chunk = chunk;
    pattern.streams = streams;
    pattern.mixed = true;
    pattern.write_share = writes;
    pattern.requests = 32768 * 64 / chunk;
    pattern.seed = 7;
    return run_memory(hbm3(), {1, true, BytesPerSecond(0)}, pattern).share;
}

TEST(MemorySurface, MidpointsAreWithinThreePercentOfTheBankModel) {
    for (const long chunk : {320L, 448L, 640L, 896L, 1280L, 1792L, 2560L, 3584L}) {
        for (const double writes : {0.0, 0.025, 0.075, 0.15, 0.25, 0.35, 0.45, 0.6}) {
            const double truth = measured(AccessOrder::random, chunk, 1, writes);
            const double share =
                sustained_share(surface(), {static_cast<double>(chunk), writes, 0});
            EXPECT_NEAR(share / truth, 1, 0.03) << chunk << " B, writes " << writes;
        }
    }
    for (const int streams : {3, 6, 10, 14, 20, 28, 40}) {
        for (const double writes : {0.0, 0.075, 0.15, 0.25, 0.45}) {
            const double truth = measured(AccessOrder::streams, 64, streams, writes);
            const double share =
                sustained_share(surface(), {64, writes, static_cast<double>(streams)});
            EXPECT_NEAR(share / truth, 1, 0.03) << streams << " streams, writes " << writes;
        }
    }
}

// Below 128 B activates bind; 48 B are two column commands of which three quarters are asked for.
TEST(MemorySurface, SmallChunks) {
    for (const long chunk : {32L, 64L, 96L, 128L, 160L}) {
        const double truth = measured(AccessOrder::random, chunk, 1, 0);
        EXPECT_NEAR(sustained_share(surface(), {static_cast<double>(chunk), 0, 0}) / truth, 1,
                    0.03);
    }
    EXPECT_DOUBLE_EQ(sustained_share(surface(), {48, 0, 0}),
                     0.75 * sustained_share(surface(), {64, 0, 0}));
}

TEST(MemorySurface, LatencyGrowsWithLoadAndThenHolds) {
    Seconds last{0.0};
    for (const double load : {0.1, 0.3, 0.5, 0.7, 0.9}) {
        const Seconds latency = loaded_latency(surface(), load);
        EXPECT_GT(latency, last);
        last = latency;
    }
    EXPECT_DOUBLE_EQ(loaded_latency(surface(), 2).value(), surface().latency_mean.back());
    AccessPattern pattern;
    pattern.order = AccessOrder::random;
    pattern.chunk = 512;
    pattern.load = 0.65;
    pattern.requests = 32768;
    const MemoryRun run = run_memory(hbm3(), {1, true, BytesPerSecond(0)}, pattern);
    EXPECT_NEAR(loaded_latency(surface(), 0.65) / run.latency.mean, 1, 0.05);
}

// A chunk of the whole memory is dealt out: at most an interleave each until all have one.
TEST(MemorySurface, ChunksAreDealtOut) {
    MemorySurface s = surface();
    s.interleave = 256;
    s.channels = 32;
    EXPECT_DOUBLE_EQ(sustained_share(s, {4096, 0.1, 0}), sustained_share(surface(), {256, 0.1, 0}));
    EXPECT_DOUBLE_EQ(sustained_share(s, {16384, 0.1, 0}),
                     sustained_share(surface(), {512, 0.1, 0}));
    EXPECT_DOUBLE_EQ(sustained_share(s, {64, 0.1, 0}), sustained_share(surface(), {64, 0.1, 0}));
}

TEST(MemorySurface, FileGivesBackWhatWasWrittenAndNothingElse) {
    const std::string setting = surface_setting(hbm3(), 1, BytesPerSecond(0));
    const std::string file = surface_file(setting, surface());
    const auto back = stored_surface(file, setting);
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(back->random_share, surface().random_share);
    EXPECT_EQ(back->latency_p99, surface().latency_p99);
    MemoryDevice other = hbm3();
    other.timing.tFAW.value = Seconds(16e-9);
    EXPECT_FALSE(stored_surface(file, surface_setting(other, 1, BytesPerSecond(0))).has_value());
    for (std::size_t at = 0; at < file.size(); at += 97) {
        std::string torn = file;
        torn[at] = static_cast<char>(torn[at] ^ 1);
        EXPECT_FALSE(stored_surface(torn, setting).has_value()) << at;
        EXPECT_FALSE(stored_surface(file.substr(0, at), setting).has_value());
    }
}

}  // namespace
}  // namespace podsim
