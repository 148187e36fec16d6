// What a power cap leaves of a chip's clock, by numbers worked out by hand.
#include "chips/sustained_clock.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>

#include "chips/cost_cache.hpp"
#include "tests/unit/chips/tiny_chip.hpp"

namespace podsim {
namespace {

RankHardware capped(double share, double response_ms) {
    RankHardware hardware = tiny_chip();
    hardware.sustained_matrix = share;
    hardware.power_response = microseconds(1000 * response_ms);
    return hardware;
}

double ms(Seconds time) {
    return time.value() * 1e3;
}

// 7 ms of work at the peak are 10 ms at 0.7 of it; what took longer than that anyway stays.
TEST(SustainedClock, CapsTheMatrixUnitsWork) {
    const RankHardware hardware = capped(0.7, 100);
    const Seconds work = microseconds(7000);
    EXPECT_NEAR(ms(sustained_time(microseconds(8000), work, hardware)), 10, 1e-9);
    EXPECT_NEAR(ms(sustained_time(microseconds(12000), work, hardware)), 12, 1e-9);
    EXPECT_NEAR(ms(sustained_time(microseconds(8000), work, tiny_chip())), 8, 1e-9);
}

// With s = 1/2 and r = 100 ms, 100 ms from rest do 0.5 x 100 + 0.5 x 100 (1 - 1/e) = 81.606 ms of
// work at full clock.
TEST(SustainedClock, FromRestTheClockSinksWithTheResponse) {
    const RankHardware hardware = capped(0.5, 100);
    const double work = 50 + 50 * (1 - std::exp(-1.0));
    EXPECT_NEAR(work, 81.606, 1e-3);
    const Seconds time = microseconds(1000 * work);
    EXPECT_NEAR(ms(repeated_time(time, 2.0 * time, hardware, {})), 100, 1e-6);
    // As one hundred kernels of a hundredth: a hundredth of it each.
    EXPECT_NEAR(ms(repeated_time(time / 100, time / 50, hardware, {0, 100})), 1, 1e-8);
}

// The first 18 and the 30 after them are the first 48.
TEST(SustainedClock, ExecutionsFollowEachOther) {
    const RankHardware hardware = capped(0.6, 50);
    const Seconds time = microseconds(4000), sustained = microseconds(6000);
    const auto mean = [&](double before, double timed) {
        return ms(repeated_time(time, sustained, hardware, {before, timed}));
    };
    EXPECT_NEAR(18 * mean(0, 18) + 30 * mean(18, 30), 48 * mean(0, 48), 1e-8);
    EXPECT_LT(mean(0, 18), mean(18, 30));
}

// A short kernel keeps the clock, one after many others has the sustained time.
TEST(SustainedClock, EndsAreFullAndSustained) {
    const RankHardware hardware = capped(0.5, 100);
    const Seconds time = microseconds(10), sustained = microseconds(20);
    EXPECT_NEAR(ms(repeated_time(time, sustained, hardware, {})), 0.01, 1e-6);
    EXPECT_NEAR(ms(repeated_time(time, sustained, hardware, {1e6, 1})), 0.02, 1e-7);
    // Without a response, at once; without a cap, never.
    EXPECT_EQ(repeated_time(time, sustained, capped(0.5, 0), {}), sustained);
    EXPECT_EQ(repeated_time(time, time, hardware, {1e6, 1}), time);
}

TEST(SustainedClock, RefusesNothingTimed) {
    const RankHardware hardware = capped(0.5, 100);
    const Seconds time = microseconds(10);
    for (const Repeats& bad :
         {Repeats{0, 0}, Repeats{-1, 1}, Repeats{0, std::numeric_limits<double>::quiet_NaN()}}) {
        EXPECT_THROW(repeated_time(time, 2.0 * time, hardware, bad), std::invalid_argument);
    }
}

// The product of tiny_chip.hpp: 2 us of launch and 1.3 us; 0.15 us of work at the peak. At 0.03 of
// the peak that is 5 us.
TEST(SustainedClock, AStepsKernelsRunAtTheSustainedRate) {
    const Gemm gemm{32, 32, 64, 1};
    const RankHardware hardware = capped(0.03, 1000);
    const auto time = [&](RankState state) {
        return CostCache(hardware, tiny_library(), Fidelity::tile, true, state)
                   .cost(gemm, 1.0)
                   .time.value() *
               1e6;
    };
    EXPECT_NEAR(time(RankState::at_rest), 3.3, 1e-4);
    EXPECT_NEAR(time(RankState::busy), 5, 1e-9);
    const OperatorCost cost = operator_cost(gemm, hardware, tiny_library(), Fidelity::tile, 1.0);
    EXPECT_NEAR(cost.time.value() * 1e6, 3.3, 1e-9);
    EXPECT_NEAR(cost.sustained.value() * 1e6, 5, 1e-9);
}

}  // namespace
}  // namespace podsim
