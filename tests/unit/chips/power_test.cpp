// What a power cap leaves of the clock, by hand, and from one set of energies per process.
#include "chips/power.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "base/catalog.hpp"
#include "chips/process.hpp"

namespace podsim {
namespace {

ChipSpec chip_of(const std::string& name) {
    Catalog catalog(PODSIM_SOURCE_DIR "/configs");
    ChipSpec chip = read_chip(catalog.load("chip", name, {}, ""), name);
    const std::string process = chip.silicon->process;
    chip.process = read_process(catalog.load("process", process, {}, ""), process);
    return chip;
}

// N3's 0.348 pJ for each of 35 PFLOPS in FP8 would ask for 12 kW of a package of 3.6: energies of
// a process are not those of a chip of which neither cores nor power are known well.
TEST(SustainedShare, ADataSheetKeepsItsClock) {
    const ChipSpec chip = chip_of("rubin-ultra");
    ASSERT_FALSE(chip.cores.has_value());
    EXPECT_NEAR(sustained_matrix_share(chip), 1, 1e-9);
}

// By the process's energies alone: the chip's own are forgotten.
double predicted(ChipSpec chip) {
    chip.energy->matrix.clear();
    return sustained_share(chip, energies_of(chip));
}

// 100 W at rest and 800 W of work under 500 W: half of the work's power is left, and with alpha = 1
// half of the clock; with alpha = 3 it is 0.5^(1/3).
TEST(ClockShare, ByHand) {
    const PowerDraw draw{Watts(100), Watts(800)};
    EXPECT_NEAR(clock_share(draw, Watts(500), 1), 0.5, 1e-12);
    EXPECT_NEAR(clock_share(draw, Watts(500), 3), 0.793701, 1e-6);
    EXPECT_DOUBLE_EQ(clock_share(draw, Watts(900), 2), 1);   // just enough
    EXPECT_DOUBLE_EQ(clock_share(draw, Watts(90), 2), 0.1);  // not even for what never sleeps
}

// A quarter of the voltage's square less: at half the clock and alpha = 3 an operation draws 0.25.
TEST(AtClock, VoltageFallsWithTheClock) {
    EXPECT_NEAR(at_clock(Joules(8), 0.5, 3).value(), 2, 1e-12);
    EXPECT_NEAR(at_clock(Joules(8), 0.5, 1).value(), 8, 1e-12);
}

// 128 KiB of sums are a tile of 181 x 181: 181 / 2 FLOPs for each byte of BF16 operands.
TEST(ProductReuse, SideOfTheTile) {
    EXPECT_NEAR(product_reuse(128 * 1024, 2), 90.51, 0.01);
    EXPECT_NEAR(product_reuse(128 * 1024, 1), 181.02, 0.01);
}

// 18 % of 1500 W of design power, whatever cap somebody sets.
TEST(StaticPower, DoesNotGoWithACap) {
    ChipSpec chip = chip_of("custom-npu");
    EXPECT_NEAR(energies_of(chip).static_power.value.value(), 270, 1e-6);
    chip.energy = chip.energy.value_or(EnergySpec{});
    chip.energy->cap = Sourced<Watts>{Watts(200), {}, {}, "", Confidence::assumed, ""};
    EXPECT_NEAR(energies_of(chip).static_power.value.value(), 270, 1e-6);
    EXPECT_EQ(energies_of(chip).cap.value, Watts(200));
}

// An H100 by hand: 814 mm2 x 0.08 W + 3352 GB/s x 8 x (0.3 x 3.7 + 2 x 1.1) pJ = 65.1 + 88.8 W at
// rest. At 0.79 of 989.4 TFLOPS it moves 781.6e12 / 910.2 = 858.7 GB/s of memory, 25.4 W, and draws
// 781.6e12 x 0.733 pJ = 572.9 W and 781.6e12 / 90.51 x 7.15 pJ = 61.7 W. f = ((700 - 179.3) /
// 634.7)^0.4 = 0.9239.
TEST(SustainedShare, H100ByHand) {
    const ChipSpec chip = chip_of("h100-sxm");
    const Energies energies = energies_of(chip);
    EXPECT_NEAR(energies.static_power.value.value(), 153.9, 0.1);
    const PowerDraw draw = product_draw(chip, energies, 0.79);
    EXPECT_NEAR(draw.fixed.value(), 179.3, 0.1);
    EXPECT_NEAR(draw.dynamic.value(), 634.7, 0.2);
    EXPECT_NEAR(sustained_share(chip, energies), 0.7299, 2e-4);
}

// One energy of a FLOP, fitted on the H100 and carried to 7 nm by the ratio of the nodes, says what
// the two others sustain: A100 0.83 and H200 0.70 were measured. What is lost of the best product's
// rate: 7.6 % on the H100, 9.8 % on the A100, and on the H200 the 11 % that are published (766
// TFLOPS for 0.5 ms, 680 to 690 for long).
TEST(SustainedShare, OneSetOfEnergiesAProcess) {
    EXPECT_NEAR(predicted(chip_of("h100-sxm")), 0.73, 0.002);
    EXPECT_NEAR(predicted(chip_of("a100-80")) / 0.83, 1, 0.015);
    EXPECT_NEAR(predicted(chip_of("h200")) / 0.70, 1, 0.025);
    const auto derate = [](const std::string& name, double best) {
        return 1 - predicted(chip_of(name)) / best;
    };
    EXPECT_NEAR(derate("h100-sxm", 0.79), 0.076, 0.002);
    EXPECT_NEAR(derate("a100-80", 0.92), 0.098, 0.011);
    EXPECT_NEAR(derate("h200", 0.80), 0.11, 0.01);
}

// What a file states meets what was measured, so that a changed chip starts from where its original
// is; unchanged, the measured share itself counts.
TEST(SustainedShare, ChangedChipsStartFromTheMeasuredOne) {
    for (const char* name : {"h100-sxm", "h200", "a100-80"}) {
        ChipSpec chip = chip_of(name);
        const double measured = chip.sustained->matrix.value;
        EXPECT_EQ(sustained_matrix_share(chip), measured) << name;
        chip.variant_of = name;
        EXPECT_NEAR(sustained_matrix_share(chip), measured, 0.001) << name;
        chip.power.value = chip.power.value * 0.7;
        EXPECT_LT(sustained_matrix_share(chip), measured - 0.05) << name;
        chip.power.value = Watts(5000);
        EXPECT_EQ(sustained_matrix_share(chip), 1) << name;
    }
}

// Watt by watt: more of them never sustain less, and nothing jumps where the best product comes
// free of the cap.
TEST(SustainedShare, HasNoStepInTheCap) {
    for (const char* name : {"custom-npu", "ascend-910c", "h200", "mi210"}) {
        ChipSpec chip = chip_of(name);
        chip.variant_of = name;
        double before = 0;
        int between = 0;
        for (int watts = 200; watts <= 2500; ++watts) {
            chip.power.value = Watts(watts);
            const Energies energies = energies_of(chip);
            const double share = sustained_share(chip, energies);
            EXPECT_GE(share, before) << name << " " << watts;
            // f rises as a power of 0.4 from where nothing but rest is paid for: steep at first.
            if (before > 0.3) {
                EXPECT_LT(share - before, 0.01) << name << " " << watts;
            }
            if (share > energies.best_product.value && share < 1) ++between;
            before = share;
        }
        EXPECT_EQ(before, 1) << name;
        EXPECT_GT(between, 0) << name;
    }
}

// Without energies and process the best product draws the cap by definition: nothing slows down.
TEST(Energies, SolvedFromTheCap) {
    ChipSpec chip = chip_of("h800");
    chip.energy.reset();
    chip.process.reset();
    const Energies energies = energies_of(chip);
    EXPECT_NEAR(product_draw(chip, energies, 0.80).total().value(), 700, 1e-6);
    EXPECT_EQ(sustained_matrix_share(chip), 1);
    EXPECT_NEAR(
        matrix_energy(energies, chip, DType::fp8) / matrix_energy(energies, chip, DType::bf16), 0.5,
        1e-12);
}

}  // namespace
}  // namespace podsim
