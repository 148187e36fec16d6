// Patterns on one HBM3 pseudo-channel (32 bit, 6.4 Gb/s, 16 banks, window 64) against the figures
// of an independent bank-level prototype. Its timing values are not recorded. One set of
// assumptions gives all of its figures (`prototype_hbm3`); where the shipped table gives another
// one, it is held beside it with the rule that makes the difference.
#include <gtest/gtest.h>

#include "base/names.hpp"
#include "chips/hbm_cycle.hpp"
#include "tests/unit/chips/bank_scene.hpp"

namespace podsim {
namespace {

constexpr long kRequests = 60000;

MemoryRun run_on_one(const MemoryDevice& device, AccessPattern pattern) {
    pattern.requests = kRequests;
    return run_memory(device, {1, true, BytesPerSecond(0)}, pattern);
}

AccessPattern chunks_of(long bytes) {
    AccessPattern pattern;
    pattern.order = AccessOrder::random;
    pattern.chunk = bytes;
    return pattern;
}

AccessPattern streams_of(int streams, double write_share) {
    AccessPattern pattern;
    pattern.order = AccessOrder::streams;
    pattern.streams = streams;
    pattern.write_share = write_share;
    return pattern;
}

AccessPattern stride_of(long bytes) {
    AccessPattern pattern;
    pattern.order = AccessOrder::strided;
    pattern.stride = bytes;
    return pattern;
}

AccessPattern sequential(double write_share = 0) {
    AccessPattern pattern;
    pattern.write_share = write_share;
    return pattern;
}

// What the prototype's own figures tell of it:
//   0.62 of 64 B at random lies below what tFAW = 16 ns allows (256 B / 16 ns / 25.6 GB/s = 0.625)
//     and above what 17 would (0.588);
//   0.914 with refreshes of 350 ns is an interval counted from the end of one to the start of the
//     next, 1 - 350 / 4250 = 0.918, not 1 - 350 / 3900 = 0.910;
//   0.10 at a stride of 4 KiB is two banks in turn, 2 x 64 B / tRC / 25.6 GB/s: sixteen rows of 512
//   B
//     lie side by side;
//   34 ns at little load are tRCD + tCL + data for one request of eight, and fewer for the others.
MemoryDevice prototype_hbm3(RefreshMode refresh) {
    MemoryDevice device = plain_hbm3(refresh);
    device.organisation.page.value = Bytes(512);
    device.timing.tFAW.value = Seconds(16e-9);
    device.timing.tRCD_read.value = device.timing.tRP.value = Seconds(15e-9);
    device.timing.tRAS.value = Seconds(31e-9);
    device.timing.tRC.value = Seconds(46e-9);
    if (refresh == RefreshMode::all_bank) device.timing.tREFI.value = Seconds(4250e-9);
    return device;
}

struct Row {
    const char* name;
    AccessPattern pattern;
    double all_bank, per_bank;  // shares of the peak
};

class PrototypeTable : public testing::TestWithParam<Row> {};

TEST_P(PrototypeTable, WithinThreePercent) {
    const Row& row = GetParam();
    EXPECT_NEAR(run_on_one(plain_hbm3(RefreshMode::all_bank), row.pattern).share / row.all_bank, 1,
                0.03);
    EXPECT_NEAR(run_on_one(plain_hbm3(RefreshMode::per_bank), row.pattern).share / row.per_bank, 1,
                0.03);
}

INSTANTIATE_TEST_SUITE_P(Patterns, PrototypeTable,
                         testing::Values(Row{"sequential", sequential(), 0.914, 1.0},
                                         Row{"streams", streams_of(8, 0), 0.914, 1.0},
                                         Row{"random_1024", chunks_of(1024), 0.90, 0.97},
                                         Row{"random_512", chunks_of(512), 0.91, 0.995},
                                         Row{"random_256", chunks_of(256), 0.91, 0.999}),
                         [](const auto& one) { return std::string(one.param.name); });

class Prototype : public testing::TestWithParam<Row> {};

TEST_P(Prototype, WithinThreePercentByOneSetOfAssumptions) {
    const Row& row = GetParam();
    for (const auto& [refresh, share] :
         {std::pair(RefreshMode::all_bank, row.all_bank), {RefreshMode::per_bank, row.per_bank}}) {
        if (share == 0) continue;
        EXPECT_NEAR(run_on_one(prototype_hbm3(refresh), row.pattern).share / share, 1, 0.03)
            << name_of(refresh);
    }
}

// Writes were measured with per-bank refresh alone, "10 to 50 %".
INSTANTIATE_TEST_SUITE_P(Patterns, Prototype,
                         testing::Values(Row{"sequential", sequential(), 0.914, 1.0},
                                         Row{"streams", streams_of(8, 0), 0.914, 1.0},
                                         Row{"random_1024", chunks_of(1024), 0.90, 0.97},
                                         Row{"random_512", chunks_of(512), 0.91, 0.995},
                                         Row{"random_256", chunks_of(256), 0.91, 0.999},
                                         Row{"random_64", chunks_of(64), 0.57, 0.62},
                                         Row{"stride_4096", stride_of(4096), 0.10, 0.10},
                                         Row{"half_writes", sequential(0.5), 0, 0.89},
                                         Row{"writes_in_streams", streams_of(16, 0.1), 0, 0.97}),
                         [](const auto& one) { return std::string(one.param.name); });

// 64 B an activate: four of them in tFAW are the bound, 256 B / tFAW. The prototype's 0.62 lies
// below what 16 ns allow (0.625) and above what 17 would (0.588), so it had 16; the table has 15.
// Its all-bank figures lose 8.6 %, less than 350 ns of each 3.9 us (9.0 %): it counted the interval
// from the end of a refresh, 3.9 us of each 4.25.
TEST(PrototypeFigure, RandomAccessesAreBoundByFourActivates) {
    MemoryDevice device = plain_hbm3(RefreshMode::per_bank);
    EXPECT_NEAR(run_on_one(device, chunks_of(64)).share, 256 / 15.0 / 25.6, 0.01);
    device.timing.tFAW.value = Seconds(16e-9);
    EXPECT_NEAR(run_on_one(device, chunks_of(64)).share / 0.62, 1, 0.03);
    device.controller.refresh = RefreshMode::all_bank;
    device.timing.tREFI.value = Seconds(4250e-9);
    EXPECT_NEAR(run_on_one(device, chunks_of(64)).share / 0.57, 1, 0.03);
}

// Row conflicts: 64 B a bank in each tRC, 64 / 45 ns / 25.6 GB/s = 0.0556 for one bank. The
// prototype's 0.10 is two banks in turn; with whole rows side by side in four groups those are met
// by a stride of 8 KiB, by one of 4 KiB four.
TEST(PrototypeFigure, ConflictsAreBoundByTheRowCycle) {
    const MemoryDevice all = plain_hbm3(RefreshMode::all_bank);
    const MemoryDevice none = plain_hbm3(RefreshMode::none);
    EXPECT_NEAR(run_on_one(none, stride_of(16384)).share, 0.0556, 0.0556 * 0.01);
    EXPECT_NEAR(run_on_one(none, stride_of(8192)).share, 0.1111, 0.1111 * 0.01);
    EXPECT_NEAR(run_on_one(none, stride_of(4096)).share, 0.2222, 0.2222 * 0.01);
    EXPECT_NEAR(run_on_one(all, stride_of(8192)).share / 0.10, 1, 0.03);
    // A hashed bank takes the pathology away.
    MemoryDevice hashed = all;
    hashed.controller.hash_banks = true;
    EXPECT_GT(run_on_one(hashed, stride_of(4096)).share, 0.5);
}

// The prototype says 0.89 sequential and 0.97 in many streams "at 10 to 50 % writes". How many
// writes gather before the bus turns decides: 0.89 is the shipped drain from 48 to 16 at 50 %, 0.97
// takes one from 112 to 16 (16 streams, of which one writes; the shipped one gives 0.94).
TEST(PrototypeFigure, Writes) {
    MemoryDevice device = plain_hbm3(RefreshMode::per_bank);
    EXPECT_NEAR(run_on_one(device, sequential(0.5)).share / 0.89, 1, 0.03);
    const double shipped = run_on_one(device, streams_of(16, 0.1)).share;
    EXPECT_NEAR(shipped, 0.94, 0.01);
    device.controller.write_window = 128;
    device.controller.drain_above = 112;
    const double gathered = run_on_one(device, streams_of(16, 0.1)).share;
    EXPECT_GT(gathered, shipped);
    EXPECT_NEAR(gathered / 0.97, 1, 0.03);
}

// Random 512 B in 64 B requests that come evenly. With the shipped 19.4 and 16.3 ns of tRCD and tRP
// a request takes 4 to 9 ns longer; at random times, as a memory sees them, up to 140 ns at 95 %.
TEST(PrototypeFigure, LoadedLatency) {
    const MemoryDevice device = prototype_hbm3(RefreshMode::per_bank);
    const std::pair<double, double> published[] = {{0.2, 34}, {0.4, 52}, {0.6, 71},
                                                   {0.8, 84}, {0.9, 94}, {0.95, 103}};
    for (const auto& [load, nanoseconds] : published) {
        AccessPattern pattern = chunks_of(512);
        pattern.load = load;
        pattern.even = true;
        const MemoryRun run = run_on_one(device, pattern);
        EXPECT_NEAR(run.latency.mean.value() * 1e9 / nanoseconds, 1, 0.10) << load;
        EXPECT_NEAR(run.share, load, 0.01);
    }
}

// What comes out of a run has to fit together.
TEST(MemoryRun, FiguresAgree) {
    const MemoryDevice device = shipped_memory("hbm3");
    AccessPattern pattern = chunks_of(256);
    pattern.write_share = 0.25;
    pattern.request = 256;
    const MemoryRun run = run_on_one(device, pattern);
    EXPECT_EQ(run.requests, static_cast<std::uint64_t>(kRequests));
    EXPECT_DOUBLE_EQ(run.bytes.value(), 256.0 * kRequests);
    EXPECT_NEAR(run.energy.value(), run.bytes.value() * 8 * 3.7e-12, 1e-12);
    EXPECT_DOUBLE_EQ(run.peak.value(), 25.6e9);
    EXPECT_LE(run.share, 1);
    // A bank is away tRFC_bank = 200 ns of each 3.9 us, and some ns for its precharge.
    EXPECT_NEAR(run.refresh_loss, 200.0 / 3900, 0.01);
}

TEST(MemoryRun, RefusesPatternsWithoutSense) {
    const MemoryDevice device = shipped_memory("hbm3");
    AccessPattern pattern = chunks_of(100);
    EXPECT_THROW(run_memory(device, {}, pattern), std::invalid_argument);
    pattern = sequential(1.5);
    EXPECT_THROW(run_memory(device, {}, pattern), std::invalid_argument);
    pattern = sequential();
    pattern.requests = 3;
    EXPECT_THROW(run_memory(device, {}, pattern), std::invalid_argument);
}

// Any device runs, none above its peak, a stream near it.
class EveryMemory : public testing::TestWithParam<std::string> {};

TEST_P(EveryMemory, RunsAStream) {
    AccessPattern pattern;
    pattern.request = 4096;
    pattern.requests = 4000;
    const MemoryDevice device = shipped_memory(GetParam());
    const MemoryRun run = run_memory(device, {1, false, BytesPerSecond(0)}, pattern);
    EXPECT_DOUBLE_EQ(run.peak.value(), stack_bandwidth(device).value());
    EXPECT_GT(run.share, 0.9);
    EXPECT_LE(run.share, 1.0001);
}

INSTANTIATE_TEST_SUITE_P(Shipped, EveryMemory, testing::ValuesIn(names_in_configs("memory")),
                         test_name);

}  // namespace
}  // namespace podsim
