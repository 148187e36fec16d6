// Command sequences worked out by hand from the timing table (bank_scene.hpp), exact to the cycle.
#include <gtest/gtest.h>

#include "tests/unit/chips/bank_scene.hpp"

namespace podsim {
namespace {

using C = MemoryCommand;

// Activate at 0, read at tRCD, data from tCL on for two cycles.
TEST(BankSequence, ReadOfAClosedRow) {
    BankScene scene;
    scene.access(0, 0, 7);
    scene.run();
    EXPECT_EQ(scene.time_of(C::activate), 0);
    EXPECT_EQ(scene.time_of(C::read), 31);
    EXPECT_EQ(scene.completion(0), 31 + 20 + 2);
    EXPECT_EQ(scene.time_of(C::precharge), -1);  // the row stays open
    EXPECT_EQ(scene.channel.statistics().row_misses, 1U);
}

TEST(BankSequence, ReadOfAnOpenRow) {
    BankScene scene;
    scene.access(0, 0, 7);
    scene.access(200, 0, 7);
    scene.run();
    EXPECT_EQ(scene.time_of(C::read, 1), 200);
    EXPECT_EQ(scene.completion(1), 222);
    EXPECT_EQ(scene.channel.statistics().row_hits, 1U);
}

// Precharge at once (tRAS is long over), tRP, then as a closed row.
TEST(BankSequence, ReadOfAConflictingRow) {
    BankScene scene;
    scene.access(0, 0, 7);
    scene.access(200, 0, 8);
    scene.run();
    EXPECT_EQ(scene.time_of(C::precharge), 200);
    EXPECT_EQ(scene.time_of(C::activate, 1), 226);
    EXPECT_EQ(scene.time_of(C::read, 1), 257);
    EXPECT_EQ(scene.completion(1), 279);
    EXPECT_EQ(scene.channel.statistics().row_conflicts, 1U);
}

// Both wait from the start: precharge at max(tRAS 45, read 31 + tRTP 9), activate at
// max(45 + tRP 26, tRC 72).
TEST(BankSequence, ConflictAtOnceWaitsForTheRowCycle) {
    BankScene scene;
    scene.access(0, 0, 7);
    scene.access(0, 0, 8);
    scene.run();
    EXPECT_EQ(scene.time_of(C::precharge), 45);
    EXPECT_EQ(scene.time_of(C::activate, 1), 72);
    EXPECT_EQ(scene.completion(1), 72 + 31 + 22);
}

// The closed policy precharges by itself, so that a later access to another row finds it closed.
TEST(BankSequence, ClosedPolicy) {
    MemoryDevice device = plain_hbm3();
    device.controller.row_policy = RowPolicy::closed;
    BankScene scene(device);
    scene.access(0, 0, 7);
    scene.access(200, 0, 8);
    scene.run();
    EXPECT_EQ(scene.time_of(C::precharge), 45);
    EXPECT_EQ(scene.time_of(C::activate, 1), 200);
    EXPECT_EQ(scene.completion(1), 200 + 31 + 22);
}

// Open rows in banks 0 and 1 (group 0) and 4 (group 1): two reads tCCD_L or tCCD_S apart.
TEST(BankSequence, ReadsOfTheSameAndOfAnotherBankGroup) {
    for (const int second : {1, 4}) {
        BankScene scene;
        scene.access(0, 0, 7);
        scene.access(0, second, 7);
        scene.access(300, 0, 7);
        scene.access(300, second, 7);
        scene.run();
        EXPECT_EQ(scene.time_of(C::read, 2), 300);
        EXPECT_EQ(scene.time_of(C::read, 3), second == 1 ? 304 : 302);
    }
}

// Activates to other groups are tRRD_S = 4 apart, to the same one tRRD_L = 5.
TEST(BankSequence, ActivatesKeepTheirDistance) {
    BankScene scene;
    scene.access(0, 0, 1);
    scene.access(0, 1, 1);
    scene.access(0, 4, 1);
    scene.run();
    EXPECT_EQ(scene.time_of(C::activate, 0), 0);
    // At 4 the other group may come and the same one not yet: it goes first though it is younger.
    EXPECT_EQ(scene.time_of(C::activate, 1), 4);
    EXPECT_EQ(scene.commands[1].bank, 4);
    EXPECT_EQ(scene.time_of(C::activate, 2), 8);
}

// Four activates 4 apart, the fifth tFAW = 24 after the first, the ninth after the fifth.
TEST(BankSequence, FourActivatesAWindow) {
    BankScene scene;
    for (const int bank : {0, 4, 8, 12, 1, 5, 9, 13, 2}) scene.access(0, bank, 1);
    scene.run();
    const Cycle expected[] = {0, 4, 8, 12, 24, 28, 32, 36, 48};
    for (std::size_t i = 0; i < 9; ++i) EXPECT_EQ(scene.time_of(C::activate, i), expected[i]);
}

// A write at 15 (its own tRCD) ends its data at 15 + 10 + 2 = 27. A read of the same group may
// follow tWTR_L = 10 after that, of another group tWTR_S = 7; by then all rows are open.
TEST(BankSequence, WriteToReadTurnaround) {
    for (const int second : {0, 4}) {
        BankScene scene;
        scene.access(0, 0, 7, true);
        scene.access(100, second, 7);
        scene.access(300, 0, 7, true);
        scene.access(301, second, 7);
        scene.run();
        EXPECT_EQ(scene.time_of(C::write), 15);
        EXPECT_EQ(scene.completion(0), 27);
        EXPECT_EQ(scene.time_of(C::write, 1), 300);
        EXPECT_EQ(scene.time_of(C::read, 1), 312 + (second == 0 ? 10 : 7));
    }
}

// A write command comes tRTW = 20 after a read.
TEST(BankSequence, ReadToWriteTurnaround) {
    BankScene scene;
    scene.access(0, 0, 7);
    scene.access(300, 0, 7);
    scene.access(301, 0, 7, true);
    scene.run();
    EXPECT_EQ(scene.time_of(C::read, 1), 300);
    EXPECT_EQ(scene.time_of(C::write), 320);
}

// A row just written closes tWR = 33 after its last data.
TEST(BankSequence, WriteRecovery) {
    BankScene scene;
    scene.access(0, 0, 7, true);
    scene.access(1, 0, 8, true);
    scene.run();
    EXPECT_EQ(scene.time_of(C::precharge), 27 + 33);
    EXPECT_EQ(scene.time_of(C::activate, 1), 60 + 26);
}

// Due at 6,240: the open row closes, tRP later all banks refresh for 560 cycles.
TEST(BankSequence, RefreshOfAllBanks) {
    BankScene scene(plain_hbm3(RefreshMode::all_bank));
    scene.access(6000, 0, 7);
    scene.access(6241, 0, 7);
    scene.run(10000);
    EXPECT_EQ(scene.time_of(C::precharge), 6240);
    EXPECT_EQ(scene.time_of(C::refresh_all), 6266);
    EXPECT_EQ(scene.time_of(C::activate, 1), 6266 + 560);
    EXPECT_EQ(scene.completion(1), 6826 + 31 + 22);
    EXPECT_EQ(scene.channel.statistics().refresh_cycles, 586);
}

// Every 390 cycles another bank: the first, bank 0, is away for 320 and another works on.
TEST(BankSequence, RefreshOfOneBank) {
    BankScene scene(plain_hbm3(RefreshMode::per_bank));
    scene.access(391, 0, 7);
    scene.access(391, 4, 7);
    scene.run(779);
    EXPECT_EQ(scene.time_of(C::refresh_bank), 390);
    EXPECT_EQ(scene.completion(1), 391 + 31 + 22);
    EXPECT_EQ(scene.completion(0), 390 + 320 + 31 + 22);
}

// First ready: reads of the open row pass an older one to another row, until the cap.
TEST(BankSequence, RowHitsPassUntilTheCap) {
    MemoryDevice device = plain_hbm3();
    device.controller.row_hit_cap = 4;
    BankScene scene(device);
    scene.access(0, 0, 7);
    scene.access(1, 0, 8);
    for (int i = 0; i < 8; ++i) scene.access(2, 0, 7);
    scene.run();
    // Row 7's first and three more, 4 apart from 31 on; then row 8; then row 7 again.
    EXPECT_EQ(scene.time_of(C::read, 3), 43);
    EXPECT_EQ(scene.time_of(C::precharge), 43 + 9);
    EXPECT_EQ(scene.time_of(C::activate, 1), 52 + 26);
    EXPECT_EQ(scene.completion(1), 78 + 31 + 22);
}

// Twelve writes gather until the thirteenth starts the drain, down to four.
TEST(BankSequence, WritesAreDrainedBetweenWatermarks) {
    MemoryDevice device = plain_hbm3();
    device.controller.drain_above = 13;
    device.controller.drain_to = 4;
    BankScene scene(device);
    for (int i = 0; i < 40; ++i) scene.access(0, 0, 7);
    for (int i = 0; i < 12; ++i) scene.access(0, 4, 7, true);
    scene.access(100, 4, 7, true);
    scene.run(250);
    // No write before the thirteenth came at 100; then nine until four are left, then reads.
    EXPECT_GE(scene.time_of(C::write), 100);
    std::size_t in_a_row = 0;
    for (const IssuedCommand& issued : scene.commands) {
        if (issued.command == C::write) ++in_a_row;
        if (issued.command == C::read && in_a_row > 0) break;
    }
    EXPECT_EQ(in_a_row, 9U);
}

}  // namespace
}  // namespace podsim
