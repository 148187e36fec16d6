// What a chip-hour costs, by hand.
#include "sim/price.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/resolve.hpp"
#include "tests/unit/sim/experiment_cases.hpp"

namespace podsim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

PriceSpec test_prices() {
    return read_prices(parse_yaml(kTestPrices, "p.yaml"), "test-prices");
}

struct Machine {
    ChipSpec chip;
    SystemSpec system;
    Machine() {
        chip.name = "test-chip";
        system.name = "test-system";
        system.power_per_chip.value = Watts(1000);
    }
};

// r (1 + r)^n / ((1 + r)^n - 1): 1.09^4 = 1.41158161; 0.09 x 1.41158161 / 0.41158161 = 0.308669.
TEST(CapitalRecoveryFactor, ByHand) {
    EXPECT_NEAR(capital_recovery_factor(0.09, 4), 0.308669, 1e-6);
    EXPECT_NEAR(capital_recovery_factor(0.09, 4), 0.09 * 1.41158161 / 0.41158161, 1e-9);
    EXPECT_DOUBLE_EQ(capital_recovery_factor(0, 4), 0.25);       // no interest: a quarter a year
    EXPECT_NEAR(capital_recovery_factor(0.05, 1), 1.05, 1e-12);  // all back after a year
    EXPECT_NEAR(capital_recovery_factor(1e-9, 4), 0.25, 1e-7);   // the limit
}

// (20,000 + 10,000) x 0.308669 / (8766 x 0.9 h) = 0.782490 + 0.391245 USD/h; 1 kW x 1.2 x 0.10 =
// 0.12 USD/h; a fifth more for operations: 1.552481 USD/h.
TEST(CostBases, OwnedByHand) {
    const Machine machine;
    std::vector<std::string> notes;
    const auto bases = cost_bases(test_prices(), machine.chip, machine.system, notes);
    ASSERT_EQ(bases.size(), 2u);
    EXPECT_THAT(notes, IsEmpty());
    EXPECT_EQ(bases[0].name, "rental");
    EXPECT_NEAR(bases[0].usd_per_hour_per_chip, 2, 1e-12);
    const CostBasis& owned = bases[1];
    EXPECT_EQ(owned.name, "owned");
    ASSERT_EQ(owned.parts.size(), 4u);
    EXPECT_EQ(owned.parts[0].first, "chip");
    EXPECT_NEAR(owned.parts[0].second, 0.782490, 1e-6);
    EXPECT_EQ(owned.parts[1].first, "system");
    EXPECT_NEAR(owned.parts[1].second, 0.391245, 1e-6);
    EXPECT_EQ(owned.parts[2].first, "power");
    EXPECT_NEAR(owned.parts[2].second, 0.12, 1e-9);
    EXPECT_EQ(owned.parts[3].first, "operations");
    EXPECT_NEAR(owned.parts[3].second, 0.258747, 1e-6);
    EXPECT_NEAR(owned.usd_per_hour_per_chip, 1.552481, 1e-6);
}

TEST(CostBases, OnlyWhatIsKnown) {
    std::vector<std::string> notes;
    PriceSpec prices = test_prices();
    Machine machine;
    prices.chips["test-chip"].rental.reset();
    EXPECT_EQ(cost_bases(prices, machine.chip, machine.system, notes).front().name, "owned");

    // Owning needs the system's share.
    machine.system.name = "another";
    prices = test_prices();
    auto bases = cost_bases(prices, machine.chip, machine.system, notes);
    ASSERT_EQ(bases.size(), 1u);
    EXPECT_EQ(bases.front().name, "rental");
    ASSERT_EQ(notes.size(), 1u);
    EXPECT_THAT(notes.front(),
                HasSubstr("know no system another: the cost of owning is not given"));

    notes.clear();
    machine.chip.name = "nobody's";
    EXPECT_TRUE(cost_bases(prices, machine.chip, machine.system, notes).empty());
    EXPECT_THAT(notes.front(), HasSubstr("know no chip nobody's: no cost is given"));
}

// No price of the system, but a bill of its parts: 10,000 USD a chip as in OwnedByHand.
TEST(CostBases, PartsStandInForAPrice) {
    std::vector<std::string> notes;
    Machine machine;
    machine.system.name = "another";
    machine.system.built_share.emplace();
    machine.system.built_share->value = Usd(10000);
    const auto bases = cost_bases(test_prices(), machine.chip, machine.system, notes);
    ASSERT_EQ(bases.size(), 2u);
    EXPECT_NEAR(bases[1].parts[1].second, 0.391245, 1e-6);
    EXPECT_THAT(notes, ElementsAre(HasSubstr("its share is worked out from parts")));
}

// A chip that started from another has that one's price, and says so.
TEST(CostBases, AVariantHasItsParentsPrice) {
    std::vector<std::string> notes;
    Machine machine;
    machine.chip.name = "half-the-memory";
    machine.chip.variant_of = "test-chip";
    const auto bases = cost_bases(test_prices(), machine.chip, machine.system, notes);
    ASSERT_EQ(bases.size(), 2u);
    EXPECT_NEAR(bases[0].usd_per_hour_per_chip, 2, 1e-12);
    EXPECT_THAT(notes, ElementsAre(HasSubstr("half-the-memory has no price of its own: that of "
                                             "test-chip stands in")));
}

TEST(Prices, SayWhatIsWrong) {
    const auto wrong = [](const char* path, const char* value) -> std::string {
        try {
            read_prices(with(parse_yaml(kTestPrices, "p.yaml"), path, value), "p");
        } catch (const InputError& error) {
            return error.what();
        }
        return "";
    };
    EXPECT_THAT(wrong("electricity", "0.1 USD"), HasSubstr("electricity"));
    EXPECT_THAT(wrong("power_usage_effectiveness", "0.9"), HasSubstr("at least 1"));
    EXPECT_THAT(wrong("use", "0 %"), HasSubstr("use: "));
    EXPECT_THAT(wrong("life_years", "0"), HasSubstr("life_years"));
    EXPECT_THAT(wrong("interest", "-1 %"), HasSubstr("interest"));
    EXPECT_THAT(wrong("chips", "{h800: {rental: 2 USD}}"), HasSubstr("chips.h800.rental"));
    EXPECT_THAT(wrong("chips", "{h800: {lease: 2 USD/h}}"), HasSubstr("lease"));
    EXPECT_EQ(wrong("interest", "0 %"), "");
}

// A chip that nobody sells is priced by its silicon, with a band; one that is sold is not.
TEST(CostBases, FromSilicon) {
    Catalog catalog(PODSIM_SOURCE_DIR "/configs");
    const PriceSpec prices = read_prices(catalog.load("prices", "default", {}, ""), "default");
    ChipSpec chip = load_chip(catalog, "custom-npu", {}, "");
    const SystemSpec system =
        read_system(catalog.load("system", "custom-supernode", {}, ""), "custom-supernode");
    std::vector<std::string> notes;
    const auto bases = cost_bases(prices, chip, system, notes);
    ASSERT_EQ(bases.size(), 1u);
    EXPECT_EQ(bases[0].name, "silicon");
    EXPECT_LT(*bases[0].low, bases[0].usd_per_hour_per_chip);
    EXPECT_GT(*bases[0].high, bases[0].usd_per_hour_per_chip);
    ASSERT_EQ(notes.size(), 1u);
    EXPECT_THAT(notes[0], HasSubstr("follows from its silicon"));
    const SiliconCost cost =
        silicon_cost(chip, *chip.silicon, *chip.process, *prices.silicon, Band::value);
    EXPECT_NEAR(bases[0].parts[0].second,
                cost.price.value() * capital_recovery_factor(0.09, 4) / (8766 * 0.9), 1e-9);

    for (auto& [dtype, macs] : chip.cores->macs_per_cycle) macs.value *= 2;
    EXPECT_GT(cost_bases(prices, chip, system, notes)[0].usd_per_hour_per_chip,
              bases[0].usd_per_hour_per_chip);

    notes.clear();
    chip.silicon->hbm_generation = "hbm9";
    EXPECT_THAT(cost_bases(prices, chip, system, notes), IsEmpty());
    ASSERT_EQ(notes.size(), 1u);
    EXPECT_THAT(notes[0], HasSubstr("memory hbm9"));

    const ChipSpec sold = load_chip(catalog, "h800", {}, "");
    for (const CostBasis& basis : cost_bases(prices, sold, system, notes))
        EXPECT_NE(basis.name, "silicon");
}

// 1 TB at 12 USD/GB: 12,000 x 0.308669 / (8766 x 0.9 h) x 1.2 = 0.563393 USD/h.
TEST(MediumCost, ByHand) {
    PriceSpec prices = test_prices();
    prices.media["ddr5"].purchase.value = UsdPerByte(12e-9);
    prices.media["ddr5"].purchase.low = UsdPerByte(3e-9);
    const MediumCost cost = medium_cost(prices, "ddr5", Bytes(1e12));
    EXPECT_NEAR(cost.usd_per_hour, 12000 * 0.308669 / (8766 * 0.9) * 1.2, 1e-5);
    EXPECT_NEAR(cost.low, cost.usd_per_hour / 4, 1e-12);
    EXPECT_DOUBLE_EQ(cost.high, cost.usd_per_hour);
    EXPECT_THROW((void)medium_cost(prices, "tape", Bytes(1)), std::out_of_range);
}

CostBasis basis_of(const char* name, double usd) {
    CostBasis basis;
    basis.name = name;
    basis.usd_per_hour_per_chip = usd;
    return basis;
}

TEST(CommonBases, RentAndOwnershipAreNotAddedUp) {
    std::vector<std::string> notes;
    const std::vector<CostBasis> both = {basis_of("rental", 2), basis_of("owned", 1)},
                                 rented = {basis_of("rental", 3)}, built = {basis_of("silicon", 4)};
    EXPECT_THAT(common_bases({{"a", both}, {"b", both}}, notes), ElementsAre("rental", "owned"));
    EXPECT_THAT(notes, IsEmpty());
    EXPECT_THAT(common_bases({{"a", both}, {"b", rented}}, notes), ElementsAre("rental"));
    ASSERT_EQ(notes.size(), 1u);
    EXPECT_THAT(notes[0], HasSubstr("a: rental owned; b: rental"));
    EXPECT_THAT(common_bases({{"a", built}, {"b", rented}}, notes), IsEmpty());
    EXPECT_THAT(notes[1], HasSubstr("no cost is given for all of them"));
    EXPECT_THAT(common_bases({{"a", both}, {"b", {}}}, notes), IsEmpty());
    EXPECT_THAT(notes[2], HasSubstr("b: no price"));
}

// Both are what owning costs; the answer says that one price was worked out.
TEST(CommonBases, APriceFromSiliconStandsInForOneThatWasPaid) {
    std::vector<std::string> notes;
    const std::vector<CostBasis> owned = {basis_of("owned", 1)}, built = {basis_of("silicon", 4)};
    EXPECT_THAT(common_bases({{"a", built}, {"b", owned}}, notes), ElementsAre("owned"));
    ASSERT_EQ(notes.size(), 1u);
    EXPECT_THAT(notes[0], HasSubstr("follows from silicon"));
    EXPECT_DOUBLE_EQ(basis_named(built, "owned")->usd_per_hour_per_chip, 4);
    EXPECT_FALSE(basis_named(built, "rental").has_value());
    notes.clear();
    EXPECT_THAT(common_bases({{"a", built}, {"b", built}}, notes), ElementsAre("silicon"));
    EXPECT_THAT(notes, IsEmpty());
}

}  // namespace
}  // namespace podsim
