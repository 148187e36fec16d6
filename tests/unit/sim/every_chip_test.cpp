// Every shipped chip stands in a system, has a price or one that follows from its silicon, and
// decodes a dense model there without a breach of the audit.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "sim/band.hpp"
#include "sim/experiment.hpp"
#include "sim/price.hpp"
#include "sim/resolve.hpp"
#include "tests/unit/sim/billed_system.hpp"

namespace podsim {
namespace {

using testing::Contains;
using testing::HasSubstr;

std::vector<SystemSpec> systems_of(const std::string& chip) {
    std::vector<SystemSpec> systems;
    Catalog catalog(configs_root);
    for (const std::string& name : catalog.names("system")) {
        const SystemSpec system = read_system(catalog.load("system", name, {}, ""), name);
        if (system.chip == chip) systems.push_back(billed_system(name).system);
    }
    return systems;
}

ChipSpec chip_named(const std::string& name) {
    return read_chip(Catalog(configs_root).load("chip", name, {}, ""), name);
}

class EveryChip : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Configs, EveryChip, testing::ValuesIn(names_in_configs("chip")),
                         test_name);

TEST_P(EveryChip, StandsInASystem) {
    const std::vector<SystemSpec> systems = systems_of(GetParam());
    EXPECT_FALSE(systems.empty());
    const ChipSpec chip = chip_named(GetParam());
    for (const SystemSpec& system : systems) {
        EXPECT_GE(system.power_per_chip.value, chip.power.value) << system.name;
        EXPECT_LT(system.power_per_chip.value, 4.0 * chip.power.value) << system.name;
    }
}

// A price somebody pays, or one that follows from its silicon, between a low and a high.
TEST_P(EveryChip, HasAPrice) {
    Catalog catalog(configs_root);
    const PriceSpec prices = read_prices(catalog.load("prices", "default", {}, ""), "default");
    ChipSpec chip = chip_named(GetParam());
    // A variant without a price of its own takes its parent's.
    if (prices.chips.count(chip.name) > 0 || prices.chips.count(chip.variant_of) > 0) return;
    ASSERT_TRUE(chip.silicon.has_value());
    ASSERT_TRUE(prices.silicon.has_value());
    const Node document = catalog.load("chip", GetParam(), {}, "");
    load_process(chip, document, catalog);
    ASSERT_TRUE(chip.process.has_value());
    const auto price = [&](Band band) {
        return silicon_cost(chip, *chip.silicon, *chip.process, *prices.silicon, band).price;
    };
    EXPECT_GT(price(Band::low), Usd(500.0));
    EXPECT_LT(price(Band::low), price(Band::value));
    EXPECT_LT(price(Band::value), price(Band::high));
    EXPECT_LT(price(Band::value), Usd(200000.0));
}

// docs/chips.md has a row for each: by what it is known, and its library.
TEST_P(EveryChip, HasItsRowInThePage) {
    std::ifstream page(std::string(PODSIM_SOURCE_DIR) + "/docs/chips.md");
    const ChipSpec chip = chip_named(GetParam());
    std::string line;
    while (std::getline(page, line) && line.rfind("| `" + chip.name + "` |", 0) != 0) {
    }
    EXPECT_THAT(line, HasSubstr(chip.cores ? "| structure |" : "| data sheet |"));
    EXPECT_THAT(line, HasSubstr("| `" + chip.kernels + "` |"));
}

// Llama 3.1 8B, 16 GB in BF16, in the smallest power of two of chips that holds it. What only a
// data sheet is known of says between what its answer lies.
TEST_P(EveryChip, DecodesADenseModel) {
    const ChipSpec chip = chip_named(GetParam());
    const std::vector<SystemSpec> systems = systems_of(GetParam());
    ASSERT_FALSE(systems.empty());
    std::string refused;
    for (long chips = 1; chips <= systems.front().chips; chips *= 2) {
        Catalog catalog(configs_root);
        const Node experiment = parse_yaml(
            fmt::format("experiment: any chip\n"
                        "workload: {{kind: decode, model: llama-3.1-8b, context: 2048 tokens, "
                        "batch_per_group: 32}}\n"
                        "alternatives: [{{name: A, system: {}, chips: {}}}]\n",
                        systems.front().name, chips),
            "any.yaml");
        RunOptions options;
        options.driver = Driver::plain;
        options.neighbour = false;
        Result result;
        try {
            result = run_experiment(experiment, catalog, options);
        } catch (const InputError& error) {
            refused = error.what();
            ASSERT_THAT(refused, HasSubstr("memory does not fit"));
            continue;
        }
        EXPECT_TRUE(result.audit_passed());
        const AlternativeResult& one = result.alternatives.front();
        EXPECT_EQ(one.fidelity, chip.cores ? "tile" : "analytic");
        const Metric* time = one.metric("time_per_output_token");
        ASSERT_NE(time, nullptr);
        EXPECT_GT(time->value, 0);
        EXPECT_LT(time->value, 1000);
        ASSERT_EQ(time->low.has_value(), !chip.cores || chip.band);
        if (!time->low) return;
        EXPECT_LT(*time->low, time->value);
        EXPECT_GT(*time->high, time->value);
        EXPECT_GE(*time->low, one.bounds.roofline * 1e3);
        EXPECT_THAT(one.warnings, Contains(HasSubstr(chip.cores ? "may be off by"
                                                                : "only a data sheet is known")));
        return;
    }
    FAIL() << refused;
}

}  // namespace
}  // namespace podsim
