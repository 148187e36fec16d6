// What a run draws, by component, by hand; what racks and sites allow.
#include "sim/energy_use.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "chips/power.hpp"
#include "sim/resolve.hpp"
#include "tests/support/readers.hpp"
#include "tests/unit/sim/audit_cases.hpp"
#include "tests/unit/sim/experiment_cases.hpp"

namespace podsim {
namespace {

using ::testing::HasSubstr;

double joules(const AlternativeResult& result, const std::string& name) {
    for (const EnergyPart& part : result.energy) {
        if (part.part == name) return part.joules;
    }
    throw std::out_of_range(name);
}

double sum_of(const AlternativeResult& result) {
    double sum = 0;
    for (const EnergyPart& part : result.energy) sum += part.joules;
    return sum;
}

Node product() {
    return parse_yaml(R"(experiment: a product
workload: {kind: operator, operator: {type: gemm, m: 1024, n: 2048, k: 4096}}
alternatives:
  - {name: A, system: test-system, chips: 3, kernels: test-kernels}
prices: test-prices
)",
                      "test.yaml");
}

const std::vector<Setting> stated_energies() {
    std::vector<Setting> settings;
    for (const char* text :
         {"chip:test-chip.energy.matrix.bf16=0.5 pJ/FLOP", "chip:test-chip.energy.hbm=4 pJ/bit",
          "chip:test-chip.energy.on_chip=8 pJ/B", "chip:test-chip.energy.static_power=100 W"}) {
        settings.push_back(parse_setting(text));
    }
    return settings;
}

// Six ranks each do 2 x 1024 x 2048 x 4096 = 17.18 GFLOP: 51.54 mJ at 0.5 pJ. Operands and result,
// 29.36 MB, draw 32 pJ a byte from memory: 5.637 mJ. Sums of 64 KiB are a tile of side 128, so that
// 64 FLOPs go with a byte from the cache: 268.4 MB at 8 pJ, 12.88 mJ. Three packages at rest draw
// 300 W and their hosts 900 W all the time.
TEST(EnergyUse, OfAProductByHand) {
    const AlternativeResult result = run_test(product(), stated_energies());
    EXPECT_NEAR(joules(result, "matrix units"), 6 * 17179869184. * 0.5e-12, 1e-9);
    EXPECT_NEAR(joules(result, "HBM"), 6 * 2. * (1024 * 4096 + 4096 * 2048 + 1024 * 2048) * 32e-12,
                1e-9);
    EXPECT_NEAR(joules(result, "on-chip movement"), 6 * 17179869184. / 64 * 8e-12, 1e-9);
    EXPECT_NEAR(joules(result, "static"), 300 * result.iteration_seconds, 1e-12);
    EXPECT_NEAR(joules(result, "host, network, fans"), 900 * result.iteration_seconds, 1e-12);
    EXPECT_EQ(joules(result, "scale-up links"), 0);
    EXPECT_NEAR(value_of(result, "power_per_chip"), sum_of(result) / result.iteration_seconds / 3,
                1e-6);
    EXPECT_EQ(value_of(result, "power_nameplate_per_chip"), 1000);
    ASSERT_EQ(result.operators.size(), 1u);
    EXPECT_NEAR(result.operators[0].energy_each * 6,
                sum_of(result) - joules(result, "static") - joules(result, "host, network, fans"),
                1e-9);
}

double power_of(const AlternativeResult& result, const std::string& part) {
    return joules(result, part) / result.iteration_seconds / 3;
}

// The system is built for a chip of 700 W and 1000 W in all: its host and fans draw 300 W whatever
// the chip is held to. What a site has to feed follows the chip.
TEST(EnergyUse, TheHostKeepsItsShare) {
    for (const auto& [power, nameplate] : {std::pair("400 W", 700.), {"900 W", 1200.}}) {
        auto settings = stated_energies();
        settings.push_back(parse_setting(std::string("chip:test-chip.power=") + power));
        const AlternativeResult set = run_test(product(), settings);
        EXPECT_NEAR(power_of(set, "host, network, fans"), 300, 1e-6);
        EXPECT_NEAR(value_of(set, "power_nameplate_per_chip"), nameplate, 1e-9);
    }
    const AlternativeResult full = run_test(product(), stated_energies());
    auto settings = stated_energies();
    settings.push_back(parse_setting("chip:test-chip.power=400 W"));
    EXPECT_LE(value_of(run_test(product(), settings), "power_per_chip"),
              value_of(full, "power_per_chip") + 1e-9);
}

// The same by another chip in the system's place: a file of its own, of 400 W.
TEST(EnergyUse, TheHostKeepsItsShareUnderAnotherChip) {
    Catalog catalog = test_catalog();
    catalog.embed("chip", "cool-chip",
                  parse_yaml(replaced(kTestChip, "power: 700 W", "power: 400 W"), "cool.yaml"));
    const ResolvedExperiment experiment =
        resolve(with(product(), "alternatives.A.chip", "cool-chip"), catalog);
    EXPECT_DOUBLE_EQ(experiment.alternatives[0].host_power.value(), 300);
    EXPECT_DOUBLE_EQ(experiment.alternatives[0].system.power_per_chip.value.value(), 700);
}

// Without HBM the line is called by what holds the operands, and a byte out of it is counted once.
TEST(EnergyUse, OfAChipWithoutHbm) {
    auto settings = stated_energies();
    settings.push_back(parse_setting("chip:test-chip.hbm=null"));
    settings.push_back(
        parse_setting("chip:test-chip.sram={capacity: 128 GB, bandwidth: 3.2 TB/s}"));
    const AlternativeResult result = run_test(product(), settings);
    EXPECT_NEAR(joules(result, "SRAM"), 6 * 2. * (1024 * 4096 + 4096 * 2048 + 1024 * 2048) * 32e-12,
                1e-9);
    EXPECT_NEAR(joules(result, "on-chip movement") + joules(result, "SRAM") / 4,
                6 * 17179869184. / 64 * 8e-12, 1e-9);
    EXPECT_THROW(joules(result, "HBM"), std::out_of_range);
}

// Twice the energy of a FLOP is twice that part and no other.
TEST(EnergyUse, PartsAreApart) {
    auto settings = stated_energies();
    const AlternativeResult before = run_test(product(), settings);
    settings[0] = parse_setting("chip:test-chip.energy.matrix.bf16=1.0 pJ/FLOP");
    const AlternativeResult after = run_test(product(), settings);
    EXPECT_NEAR(joules(after, "matrix units"), 2 * joules(before, "matrix units"), 1e-9);
    EXPECT_NEAR(joules(after, "HBM"), joules(before, "HBM"), 1e-12);
}

// A step's rows carry its dynamic energy, and its tokens all of it.
TEST(EnergyUse, OfAStep) {
    const AlternativeResult result = run_test(test_experiment());
    EXPECT_NEAR(value_of(result, "energy_per_token"), sum_of(result) / result.totals.tokens_out,
                1e-9);
    double shares = 0;
    for (const EnergyPart& part : result.energy) {
        EXPECT_GE(part.joules, 0) << part.part;
        shares += part.share;
    }
    EXPECT_NEAR(shares, 1, 1e-12);
    EXPECT_GT(joules(result, "scale-up links"), 0);
    EXPECT_LE(value_of(result, "power_package"), 700 * 1.15);
    EXPECT_GT(value_of(result, "power_package"), 100);
    for (const char* name : {"power_per_chip", "power_package", "energy_per_token"}) {
        const Metric& metric = *result.metric(name);
        EXPECT_LT(*metric.low, metric.value) << name;
        EXPECT_GT(*metric.high, metric.value) << name;
    }
}

// A chip that is fed less draws less and is no faster.
TEST(EnergyUse, ALowerCapIsKept) {
    auto at = [](const char* cap) {
        return run_test(test_experiment(),
                        {parse_setting("chip:test-chip.energy.matrix.bf16=0.8 pJ/FLOP"),
                         parse_setting("chip:test-chip.energy.static_power=60 W"),
                         parse_setting(std::string("chip:test-chip.energy.cap=") + cap)});
    };
    const AlternativeResult full = at("700 W"), low = at("150 W");
    EXPECT_GE(low.iteration_seconds, full.iteration_seconds);
    EXPECT_LE(value_of(low, "power_package"), value_of(full, "power_package"));
    EXPECT_LE(value_of(low, "power_package"), 150 * 1.15);
}

// 60 kW over 1.2 feed 50 chips of 1 kW.
TEST(SitePower, CapsTheChips) {
    const AlternativeResult result = run_test(with(test_experiment(), "site_power", "60 kW"));
    EXPECT_EQ(value_of(result, "chips_allowed"), 50);
    EXPECT_NEAR(value_of(result, "site_power_headroom"), 60 - 16 * 1.2, 1e-9);
    EXPECT_EQ(problems_of(with(test_experiment(), "site_power", "19.2 kW")), "");
    const std::string problem = problems_of(with(test_experiment(), "site_power", "19 kW"));
    EXPECT_THAT(problem, HasSubstr("alternatives.A.chips: 16 chips of 1 kW"));
    EXPECT_THAT(problem, HasSubstr("draw 19.2 kW, site_power is 19 kW"));
    EXPECT_THAT(problem, HasSubstr("at most 15 chips"));
}

TEST(RackPower, SaysHowManyMayRun) {
    const auto run = [](const char* power) {
        return run_test(test_experiment(), {parse_setting("system:test-system.rack.chips=16"),
                                            parse_setting(std::string("system:test-system.rack.") +
                                                          "power=" + power)});
    };
    EXPECT_EQ(value_of(run("20 kW"), "chips_per_rack"), 16);
    const AlternativeResult starved = run("12.5 kW");
    EXPECT_EQ(value_of(starved, "chips_per_rack"), 12);
    EXPECT_TRUE(std::any_of(starved.warnings.begin(), starved.warnings.end(), [](const auto& line) {
        return line.find("12 of them may run") != std::string::npos;
    }));
    EXPECT_THAT(
        problems_of(test_experiment(), {parse_setting("system:test-system.rack.chips=16"),
                                        parse_setting("system:test-system.rack.power=900 W")}),
        HasSubstr("feed no chip"));
}

// The audit sees energy that does not add up and a package beyond what it is built for.
TEST(EnergyAudit, CatchesWhatIsNot) {
    const Audited sound = audited_cloudmatrix();
    EXPECT_EQ(sound.broken(), Laws{});
    Audited lost = sound;
    lost.result.energy.front().joules *= 0.5;
    EXPECT_EQ(lost.broken(), Laws{"energy is the sum of its parts"});
    Audited cheap = sound;
    cheap.metric("energy_per_token").value *= 0.5;
    EXPECT_EQ(cheap.broken(), Laws{"energy is the sum of its parts"});
    Audited hot = sound;
    const double scale = 20;
    for (EnergyPart& part : hot.result.energy) part.joules *= scale;
    for (const char* name : {"power_per_chip", "power_package", "energy_per_token"})
        hot.metric(name).value *= scale;
    EXPECT_EQ(hot.broken(), Laws{"a package draws no more than it is built for"});
}

}  // namespace
}  // namespace podsim
