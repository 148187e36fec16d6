// Every shipped system says what it is built of, and what that draws is what its record says.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "sim/price.hpp"
#include "sim/resolve.hpp"
#include "tests/unit/sim/billed_system.hpp"

namespace podsim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class EverySystem : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Configs, EverySystem, testing::ValuesIn(names_in_configs("system")),
                         test_name);

TEST_P(EverySystem, IsBuiltOfWholeParts) {
    const BilledSystem billed = billed_system(GetParam());
    const Bill& bill = billed.bill;
    EXPECT_THAT(bill.missing, ElementsAre());
    EXPECT_FALSE(bill.lines.empty());
    double counted = 0;
    for (const BillLine& line : bill.lines) {
        EXPECT_EQ(line.count, std::floor(line.count)) << line.part;
        EXPECT_GT(line.count, 0) << line.part;
        EXPECT_LE(line.power_low, line.power) << line.part;
        EXPECT_LE(line.power, line.power_high) << line.part;
        EXPECT_LT(line.price_low, line.price_high) << line.part;
        if (billed.parts.parts.at(line.part).kind != PartKind::other) counted += line.count;
    }
    EXPECT_EQ(counted, bill.switches + bill.optical_modules + bill.cables);
    EXPECT_LT(bill.power_low, bill.power_high);
    EXPECT_LE(bill.power_low, bill.power);
    EXPECT_LE(bill.power, bill.power_high);
    EXPECT_LE(bill.price_low, bill.price);
    EXPECT_LE(bill.price, bill.price_high);
    EXPECT_GT(bill.price, Usd(0));
}

// What somebody published lies between the lowest and the highest of its parts; what we assumed
// for want of that, its band meets theirs.
TEST_P(EverySystem, DrawsWhatItsRecordSays) {
    const BilledSystem billed = billed_system(GetParam());
    const Sourced<Watts>& record = billed.power_of_record;
    if (!(record.value > Watts(0))) return;
    const double chips = static_cast<double>(billed.system.chips);
    const Watts low = billed.bill.power_low / chips, high = billed.bill.power_high / chips;
    if (record.confidence == Confidence::assumed) {
        EXPECT_LE(low, record.high.value_or(record.value));
        EXPECT_GE(high, record.low.value_or(record.value));
    } else {
        EXPECT_LE(low, record.value);
        EXPECT_GE(high, record.value);
    }
}

ResolvedAlternative resolved(const std::string& settings, const std::string& system,
                             std::vector<CostBasis>& bases, std::vector<std::string>& notes) {
    std::vector<Setting> all;
    if (!settings.empty()) all.push_back(parse_setting(settings));
    Catalog catalog(configs_root, all);
    const Node document = parse_yaml(
        fmt::format(
            "experiment: costs\n"
            "workload: {{kind: operator, operator: {{type: gemm, m: 128, n: 128, k: 128}}}}\n"
            "alternatives: [{{name: A, system: {}, chips: 1}}]\nprices: default\n",
            system),
        "costs.yaml");
    const ResolvedExperiment experiment = resolve(document, catalog);
    const ResolvedAlternative& one = experiment.alternatives.front();
    bases = cost_bases(experiment.prices, one.chip, one.system, notes);
    return one;
}

// A server that no price list has: four hosts of 2,500 + 4,000 USD, a PCI Express board of 2,500
// and a chassis of 6,000, a third and a bit (35 %) more, over eight cards: 5,821.88 USD a card.
// An owned card at 16,500 pays 0.308669 / (8,766 x 0.9 h) of either an hour (9 %, four years).
TEST(BillsInCosts, AnOwnedCardByHand) {
    std::vector<CostBasis> bases;
    std::vector<std::string> notes;
    const ResolvedAlternative one = resolved("", "atlas-800i-a2", bases, notes);
    const double share = (4 * (2500 + 4000) + 2500 + 6000) * 1.35 / 8;
    EXPECT_NEAR(share, 5821.875, 1e-9);
    ASSERT_TRUE(one.system.built_share.has_value());
    EXPECT_NEAR(one.system.built_share->value.value(), share, 1e-6);
    const auto owned = std::find_if(bases.begin(), bases.end(),
                                    [](const CostBasis& basis) { return basis.name == "owned"; });
    ASSERT_NE(owned, bases.end());
    const double of_a_dollar = 0.308669 / (8766 * 0.9);
    EXPECT_NEAR(owned->parts[0].second, 16500 * of_a_dollar, 1e-5);
    EXPECT_NEAR(owned->parts[1].second, share * of_a_dollar, 1e-5);
    EXPECT_NEAR(owned->parts[1].second, 0.227778, 1e-5);
    EXPECT_THAT(notes, testing::Contains(HasSubstr("its share is worked out from parts")));
}

// A template with another chip draws that chip's power, and neither the template's nor a nameplate
// of another's: what hosts and switches draw stays, fans and conversion go along.
TEST(BillsInCosts, ATemplateDrawsWhatItsChipDoes) {
    std::vector<CostBasis> bases;
    std::vector<std::string> notes;
    const auto template_power = [&](const std::string& chip) {
        const std::string setting = "system:custom-nvswitch.chip=" + chip;
        return resolved(setting, "custom-nvswitch", bases, notes).system.power_per_chip.value;
    };
    const Watts own = template_power("custom-npu"), other = template_power("h100-sxm");
    EXPECT_NEAR((own - other).value(), (1500 - 700) * 1.15, 1e-6);
    EXPECT_GT(other, Watts(700));
}

}  // namespace
}  // namespace podsim
