// What a chip costs to make, by hand, and against what is published of the H100.
#include "chips/silicon_cost.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "base/catalog.hpp"
#include "base/form.hpp"
#include "chips/silicon_form.hpp"

namespace podsim {
namespace {

using ::testing::HasSubstr;

struct Made {
    ChipSpec chip;
    ProcessSpec process;
    SiliconPrices prices;
    explicit Made(const std::string& name) {
        Catalog catalog(PODSIM_SOURCE_DIR "/configs");
        chip = read_chip(catalog.load("chip", name, {}, ""), name);
        process = read_process(catalog.load("process", chip.silicon->process, {}, ""),
                               chip.silicon->process);
        const Node list = catalog.load("prices", "default", {}, "");
        prices = read<SiliconPrices>(*list.find("silicon"), "silicon");
    }
    SiliconCost at(Band band) const {
        return silicon_cost(chip, *chip.silicon, process, prices, band);
    }
};

std::string refusal(const Made& made) {
    try {
        made.at(Band::value);
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
    return "";
}

// pi 300^2 / (4 x 814) = 86.8, less pi 300 / sqrt(1628) = 23.4: 63 whole dies.
TEST(DiesPerWafer, ByHand) {
    EXPECT_EQ(dies_per_wafer(300, 814), 63);
    EXPECT_EQ(dies_per_wafer(300, 100), 640);  // 706.9 - 66.6
    EXPECT_EQ(dies_per_wafer(300, 60000), 0);
}

// 8.14 cm2 at 0.1 defects: (1 + 0.814 / 3)^-3 = 0.4867; clustered fully, ever more dies are whole.
TEST(AreaYield, ByHand) {
    EXPECT_NEAR(area_yield(814, 0.1, 3), 0.4867, 1e-4);
    EXPECT_NEAR(area_yield(814, 0.1, 1e9), std::exp(-0.814), 1e-6);  // Poisson
    EXPECT_DOUBLE_EQ(area_yield(814, 0, 3), 1);
}

// At least 2 of 3 at 0.9: 0.9^3 + 3 x 0.9^2 x 0.1 = 0.972.
TEST(SparesYield, ByHand) {
    EXPECT_NEAR(spares_yield(3, 2, 0.9), 0.972, 1e-12);
    EXPECT_NEAR(spares_yield(3, 3, 0.9), 0.729, 1e-12);
    EXPECT_DOUBLE_EQ(spares_yield(3, 2, 1), 1);
    EXPECT_DOUBLE_EQ(spares_yield(3, 2, 0), 0);
}

// 10 cm2 of cores that may break and 2 cm2 that may not.
TEST(DieYield, SparesSaveWhatIsInCores) {
    DieArea area;
    area.die_mm2 = 700;
    area.core_mm2 = 5;
    const double none = die_yield(area, 100, 100, 0.1, 3);
    EXPECT_NEAR(none, area_yield(700, 0.1, 3), 1e-12);
    // 200 mm2 outside: (1 + 0.2 / 3)^-3 = 0.8240; of 100 cores at 0.99501, 90 are all but certain.
    EXPECT_NEAR(die_yield(area, 100, 90, 0.1, 3), 0.8240, 1e-4);
    EXPECT_GE(die_yield(area, 101, 100, 0.1, 3), none);
}

// An H100: 16,988 USD over 63 dies of which so many work; 80 GB at 12 USD; 814 + 5 x 110 mm2 at 0.5
// USD; 5 % lost; 900 USD of test and module; 540 M USD over 2 M chips; a quarter of the price is
// cost.
TEST(SiliconCost, H100ByHand) {
    const Made made("h100-sxm");
    const SiliconCost cost = made.at(Band::value);
    EXPECT_TRUE(cost.area.published);
    EXPECT_NEAR(cost.dies.value(), 16988 / (63 * cost.yield), 1e-6);
    // 0.7 x 814 - 5 x 11 = 514.8 mm2 in cores; outside 299.2: (1 + 0.2992 / 3)^-3 = 0.7519.
    EXPECT_NEAR(cost.yield, 0.7519, 2e-4);
    EXPECT_NEAR(cost.memory.value(), 960, 1e-9);
    EXPECT_NEAR(cost.package.value(), 682, 1e-9);
    const double assembled = cost.dies.value() + 960 + 682;
    EXPECT_NEAR(cost.manufacturing.value(), assembled / 0.95 + 900, 1e-6);
    EXPECT_NEAR(cost.design.value(), 270, 1e-9);
    EXPECT_NEAR(cost.price.value(), (cost.manufacturing.value() + 270) / 0.25, 1e-6);
    EXPECT_NEAR((cost.manufacturing + cost.design + cost.margin).value(), cost.price.value(), 1e-6);
}

// Epoch AI, quoting SemiAnalysis, has 3,000 to 5,900 USD; sold at 20,000 to 27,000 in 2025.
TEST(SiliconCost, H100AgainstPublishedCost) {
    const Made made("h100-sxm");
    const double low = made.at(Band::low).manufacturing.value(),
                 high = made.at(Band::high).manufacturing.value();
    EXPECT_LT(low, 3000);
    EXPECT_GT(high, 3000);
    EXPECT_LT(high, 5900 * 1.1);
    EXPECT_LT(made.at(Band::low).price.value(), 20000);
    EXPECT_GT(made.at(Band::high).price.value(), 20000);
}

// A B200: two dies of about 800 mm2 with 148 of 160 cores in use, 192 GB of HBM3E in eight stacks.
// Epoch AI estimates 6,400 USD, 5,700 to 7,300, nearly half of it memory.
TEST(SiliconCost, B200AgainstPublishedCost) {
    Made made("h100-sxm");
    made.chip.cores->matrix.value = 148;
    made.chip.hbm->capacity.value = Bytes(192e9);
    SiliconSpec& silicon = *made.chip.silicon;
    silicon.compute_dies = 2;
    silicon.die_mm2->value = 800;
    silicon.spare_cores->value = 12;
    silicon.hbm_generation = "hbm3e";
    silicon.hbm_stacks = 8;
    const SiliconCost cost = made.at(Band::value);
    EXPECT_NEAR(cost.manufacturing.value() / 6400, 1, 0.15);
    EXPECT_NEAR(cost.memory / cost.manufacturing, 0.48, 0.05);
}

// Each end of a band is beyond the value, of every chip that has a section.
TEST(SiliconCost, BandsHoldTheValue) {
    for (const char* name : {"h100-sxm", "h200", "h800", "a100-80", "ascend-910c", "ascend-950dt",
                             "mi210", "custom-npu", "v100", "ascend-910", "ascend-980",
                             "rubin-ultra", "groq-lp30", "mtia-2i", "hygon-bw1000", "tpu-8i"}) {
        const Made made(name);
        EXPECT_LE(made.at(Band::low).price, made.at(Band::value).price) << name;
        EXPECT_LE(made.at(Band::value).price, made.at(Band::high).price) << name;
    }
}

// MTIA 2i: 128 GB of LPDDR5 at 10 USD beside a die of 421 mm2 on 0.10 USD a mm2 of substrate.
TEST(SiliconCost, MemoryOnTheBoardTakesNoInterposer) {
    Made made("mtia-2i");
    EXPECT_NEAR(made.at(Band::value).memory.value(), 1280, 1e-6);
    EXPECT_NEAR(made.at(Band::value).package.value(), 42.1, 1e-6);
    made.prices.substrate_usd_per_mm2.reset();
    EXPECT_NEAR(made.at(Band::value).package.value(), 210.5, 1e-6);
    made.chip.silicon->hbm_generation = "lpddr9";
    EXPECT_THAT(refusal(made), HasSubstr("did you mean lpddr5x"));
}

// 650 mm2 of LP30 on the substrate, and nothing beside them.
TEST(SiliconCost, SramAloneHasNoMemoryToBuy) {
    const SiliconCost cost = Made("groq-lp30").at(Band::value);
    EXPECT_EQ(cost.memory.value(), 0);
    EXPECT_NEAR(cost.package.value(), 65, 1e-6);
}

TEST(SiliconCost, TwiceTheMatrixUnitsAreDearer) {
    Made made("custom-npu");
    const double before = made.at(Band::value).price.value();
    double area = 0;
    for (const auto& [part, mm2] : made.at(Band::value).area.parts) area += mm2;
    EXPECT_NEAR(area, made.at(Band::value).area.die_mm2, 1e-9);
    for (auto& [dtype, macs] : made.chip.cores->macs_per_cycle) macs.value *= 2;
    EXPECT_GT(made.at(Band::value).price.value(), before * 1.02);
}

TEST(SiliconCost, BadInputIsNamed) {
    Made made("custom-npu");
    made.chip.silicon->hbm_generation = "hbm5";
    EXPECT_THAT(refusal(made), HasSubstr("hbm5"));
    EXPECT_THAT(refusal(made), HasSubstr("did you mean hbm"));
    made.chip.silicon->hbm_generation = "hbm4";
    made.chip.silicon->die_mm2.emplace().value = 1000;
    EXPECT_THAT(refusal(made), HasSubstr("beyond the reticle"));
    made.chip.silicon->die_mm2.reset();
    made.process.area.mac_mm2.erase(DType::int8);
    EXPECT_THAT(refusal(made), HasSubstr("no area.mac_mm2 for int8"));
}

}  // namespace
}  // namespace podsim
