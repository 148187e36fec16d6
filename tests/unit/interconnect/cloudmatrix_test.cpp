// CloudMatrix384 as its topology says: the published latencies from named terms, the bandwidth of a
// package, its parts and power. And what a topology does to a collective of a run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "interconnect/bill_of_materials.hpp"
#include "interconnect/coflow.hpp"
#include "interconnect/link_ratio.hpp"
#include "tests/unit/interconnect/topology_text.hpp"

namespace podsim {
namespace {

SystemSpec system_with(const std::vector<std::string>& settings, const std::string& name) {
    std::vector<Setting> all;
    for (const std::string& text : settings) all.push_back(parse_setting(text));
    return read_system(Catalog(configs_root, all).load("system", name, {}, ""), name);
}
SystemSpec cloudmatrix() {
    SystemSpec system = system_with({}, "cloudmatrix384");
    Sourced<Watts> package;
    package.value = Watts(700);
    package.high = Watts(780);
    chip_power_from(system, package);
    return system;
}

// arXiv 2506.12708: 512 B read in the node and across; arXiv 2607.06202: one and two hops.
TEST(CloudMatrix, LatenciesFromNamedTerms) {
    const TopologyStack stack = *topology_of(cloudmatrix(), true);
    const PairOperations node = pair_operations(stack, 0, 1, 512);
    const PairOperations far = pair_operations(stack, 0, 100, 512);
    EXPECT_NEAR(node.read / 1.2e-6, 1, 0.05);
    EXPECT_NEAR(far.read / 1.9e-6, 1, 0.05);
    EXPECT_NEAR(node.synchronised_write / 929e-9, 1, 0.05);
    EXPECT_NEAR(far.synchronised_write / 2.5e-6, 1, 0.05);
    EXPECT_NEAR(far.bandwidth / 392e9, 1, 1e-9);
}

// 5,376 modules between the tiers (48 x 7 x 16 links of half a module, two ends) and 1,536 of the
// scale-out network; 336 + 112 UB switches and 18 routers; 559 kW by SemiAnalysis.
TEST(CloudMatrix, PartsAndPower) {
    const PartListSpec parts =
        read_parts(Catalog(configs_root).load("parts", "default", {}, ""), "default");
    const Bill bill = bill_of(cloudmatrix(), parts);
    EXPECT_EQ(bill.optical_modules, 6912);
    EXPECT_EQ(bill.switches, 336 + 112 + 12 + 6);
    EXPECT_NEAR(bill.power.value() / 559e3, 1, 0.03);
    EXPECT_LT(bill.power_low, bill.power);
    EXPECT_GT(bill.power_high, bill.power);
    SystemSpec wrong = cloudmatrix();
    wrong.bill.per_chip["kunpeng-921"] = 1;
    EXPECT_THROW(bill_of(wrong, parts), std::invalid_argument);
}

// Without a power of its record a system draws what its parts do.
TEST(CloudMatrix, PowerFromItsBill) {
    const PartListSpec parts =
        read_parts(Catalog(configs_root).load("parts", "default", {}, ""), "default");
    SystemSpec system = cloudmatrix();
    const Bill bill = bill_of(system, parts);
    power_from_bill(system, bill, parts);
    EXPECT_EQ(system.power_per_chip.value, cloudmatrix().power_per_chip.value);
    system.power_per_chip = {};
    power_from_bill(system, bill, parts);
    EXPECT_NEAR(system.power_per_chip.value * 384 / bill.power, 1, 1e-12);
    EXPECT_EQ(system.power_per_chip.confidence, Confidence::derived);
    EXPECT_LT(*system.power_per_chip.low, system.power_per_chip.value);
    EXPECT_GT(*system.power_per_chip.high, system.power_per_chip.value);
}

Transfer all_to_all(int ranks) {
    Transfer t;
    t.name = "exchange";
    t.type = TransferType::all_to_all;
    t.group_ranks = ranks;
    t.size = Bytes(1e9);
    return t;
}

double seconds_of(const SystemSpec& system, int ranks_per_chip, int ranks) {
    const CollectiveLibrarySpec library = read_collective_library(
        Catalog(configs_root).load("collectives", "nominal", {}, ""), "nominal");
    const Coflow coflow =
        make_coflow(all_to_all(ranks), rank_fabric(system, ranks_per_chip), library, ranks);
    return (completion_times(coflow, {Seconds(0.0)}).front() - coflow.latency).value();
}

// A Clos that takes nothing off is ports alone, whatever part of it talks.
TEST(TopologyOfARun, NonBlockingChangesNothing) {
    SystemSpec ports = cloudmatrix();
    ports.scale_up.topology.reset();
    ports.scale_out.topology.reset();
    for (const int ranks : {8, 16, 72, 320, 768})
        EXPECT_NEAR(seconds_of(cloudmatrix(), 2, ranks) / seconds_of(ports, 2, ranks), 1, 1e-12);
}

TEST(TopologyOfARun, DeadPlaneByFaultOrByPlanesDown) {
    const double whole = seconds_of(cloudmatrix(), 2, 320);
    const auto fault = system_with({"system:cloudmatrix384.scale_up.topology.faults=[{plane: 3}]"},
                                   "cloudmatrix384");
    EXPECT_NEAR(seconds_of(fault, 2, 320) / whole, 7.0 / 6, 1e-9);
    const auto down =
        system_with({"system:cloudmatrix384.scale_up.planes_down=1"}, "cloudmatrix384");
    EXPECT_NEAR(seconds_of(down, 2, 320) / whole, 7.0 / 6, 1e-9);
}

// 16 x 16, 100 GB/s a link: S 16/8 over each; the library reaches 85 % of that.
TEST(TopologyOfARun, TorusIsBoundByItsLinks) {
    EXPECT_NEAR(seconds_of(system_with({}, "custom-torus"), 1, 256), 2e9 / 100e9 / 0.85, 1e-9);
}

TEST(TopologyOfARun, NoRouteNamesThePair) {
    const auto fault = system_with({"system:cloudmatrix384.scale_up.topology.faults=[{chip: 5}]"},
                                   "cloudmatrix384");
    try {
        seconds_of(fault, 2, 320);
        FAIL() << "a dead chip took part";
    } catch (const std::invalid_argument& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr("no route from chip0 to chip5"));
    }
}

}  // namespace
}  // namespace podsim
