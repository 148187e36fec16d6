// What a system is built of, counted by hand.
#include "interconnect/bill_of_materials.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "interconnect/system.hpp"
#include "tests/support/readers.hpp"

namespace podsim {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// 10 W and 100 USD for everything, from half of that to twice.
constexpr const char* kParts = R"(
title: Parts of tests
parts:
  box: {title: a switch of 8 ports, kind: switch, ports: 8, bandwidth: 50 GB/s, power: 10 W, price: 100 USD}
  plain: {title: a switch of any ports, kind: switch, power: 10 W, price: 100 USD}
  optic: {title: a module, kind: optic, bandwidth: 50 GB/s, power: 10 W, price: 100 USD}
  cable: {title: a cable, kind: cable, bandwidth: 25 GB/s, power: 10 W, price: 100 USD}
  host: {title: a host, power: {value: 10 W, low: 5 W, high: 20 W}, price: {value: 100 USD, low: 50 USD, high: 200 USD}}
)";

constexpr const char* kSystem = R"(
title: A system of tests
chip: some-chip
chips: 10
scale_up: {technology: links, bandwidth: 100 GB/s, domain: 10, latency: 1 us}
scale_out: {technology: network, bandwidth: 50 GB/s, domain: 10, latency: 1 us}
collectives: nominal
bill:
  parts: tests
)";

PartListSpec parts() {
    return read_parts(parse_yaml(kParts, "parts.yaml"), "tests");
}

SystemSpec system_of(const std::string& more, const std::string& from = "",
                     const std::string& to = "") {
    std::string text = kSystem + more;
    if (!from.empty()) text = replaced(text, from, to);
    SystemSpec system = read_system(parse_yaml(text, "system.yaml"), "tested");
    Sourced<Watts> chip;
    chip.value = Watts(100);
    chip_power_from(system, chip);
    return system;
}

double count_of(const Bill& bill, const std::string& part) {
    for (const BillLine& line : bill.lines)
        if (line.part == part) return line.count;
    return 0;
}

// 1,024 links on 64 ports: 1,024/32 leaves and 1,024/64 above. 6,144 are more than the 2,048 that
// two tiers reach: 2 x 6,144/32 + 6,144/64. A rack of 72 on one switch of 72 ports.
TEST(FoldedClos, ByHand) {
    const auto expect = [](const Clos& clos, int tiers, double switches, double inner) {
        EXPECT_EQ(clos.tiers, tiers);
        EXPECT_EQ(clos.switches, switches);
        EXPECT_EQ(clos.inner_links, inner);
    };
    expect(folded_clos(1024, 1024, 64), 2, 48, 1024);
    expect(folded_clos(6144, 6144, 64), 3, 2 * 192 + 96, 2 * 6144);
    expect(folded_clos(72, 72, 72), 1, 1, 0);
    expect(folded_clos(72, 73, 72), 1, 2, 0);
    expect(folded_clos(64, 64 * 18, 128), 1, 9, 0);
    EXPECT_THROW(folded_clos(4, 4, 2), std::invalid_argument);
}

// 10 chips of 2 ports under switches of 8: two tiers, 5 leaves and 3 on top; 2 x 20 links of 50
// GB/s with a module at either end. With cables 40 of 25 GB/s at the chips, 40 modules between.
TEST(Bill, ANetworkOfPortsAlone) {
    const Bill optical = bill_of(system_of("  scale_up: {switch: box, optic: optic}\n"), parts());
    EXPECT_EQ(count_of(optical, "box"), 5 + 3);
    EXPECT_EQ(count_of(optical, "optic"), 80);
    EXPECT_EQ(optical.switches, 8);
    EXPECT_EQ(optical.optical_modules, 80);
    const Bill copper =
        bill_of(system_of("  scale_up: {switch: box, optic: optic, cable: cable}\n"), parts());
    EXPECT_EQ(count_of(copper, "cable"), 40);
    EXPECT_EQ(count_of(copper, "optic"), 40);
    // Half of the bandwidth: 10 links, 3 + 2 switches.
    const Bill half = bill_of(
        system_of("  scale_up: {switch: box, optic: optic, bandwidth: 50 GB/s}\n"), parts());
    EXPECT_EQ(half.switches, 3 + 2);
    // Two domains of 5, of one tier each: 10 of 8 ports are two switches.
    const Bill two = bill_of(
        system_of("  scale_up: {switch: box, optic: optic}\n",
                  "domain: 10, latency: 1 us}\nscale_out", "domain: 5, latency: 1 us}\nscale_out"),
        parts());
    EXPECT_EQ(two.switches, 2 * 2);
    EXPECT_EQ(two.optical_modules, 2 * 20);
    EXPECT_THROW(bill_of(system_of("  scale_out: {switch: plain}\n"), parts()),
                 std::invalid_argument);
}

constexpr const char* kPlanes =
    "bandwidth: 100 GB/s, planes: 2, topology: {family: switched-planes, first_medium: copper, ";

SystemSpec planes_with(const std::string& names) {
    return system_of("", "scale_up: {technology: links, bandwidth: 100 GB/s,",
                     std::string("scale_up: {technology: links, ") + kPlanes + names + "},");
}

// Two planes, each a switch of ten links of 50 GB/s: two boxes of 8 ports have them and inner links
// to join them; a switch that does not say its ports is one.
TEST(Bill, ASwitchOfTheGraphTakesAsManyAsHaveItsPorts) {
    const Bill boxes = bill_of(planes_with("switch: box, cable: cable, optic: optic"), parts());
    EXPECT_EQ(boxes.switches, 2 * (3 + 2));
    EXPECT_EQ(boxes.cables, 10 * 2 * 2);
    EXPECT_EQ(boxes.optical_modules, 2 * 2 * 10);
    EXPECT_THAT(boxes.missing, ElementsAre());
    EXPECT_EQ(bill_of(planes_with("switch: plain, cable: none"), parts()).switches, 2);
}

// What has no part is said; `none` says that it needs none.
TEST(Bill, SaysWhatIsMissing) {
    const Bill bare = bill_of(planes_with("switch_latency: 100 ns"), parts());
    EXPECT_THAT(bare.missing, ElementsAre(HasSubstr("scale_up.topology has 2 switches of no part: "
                                                    "scale_up.topology.switch names one"),
                                          HasSubstr("copper links of no part")));
    EXPECT_EQ(bare.switches, 2);
    EXPECT_TRUE(bill_of(planes_with("switch: none, cable: none"), parts()).missing.empty());
    try {
        bill_of(planes_with("switch: bax"), parts());
        FAIL() << "a part that is not there";
    } catch (const std::invalid_argument& error) {
        EXPECT_THAT(error.what(), HasSubstr("have no bax: did you mean box?"));
    }
}

// Ten chips: 0.25 of a host each are three; three groups of four; 6 x 10 W + 10 x 100 W, a tenth
// more for fans: 1,166 W (1,133 to 1,232). 6 x 100 USD and a fifth: 720 (360 to 1,440).
TEST(Bill, ChipsAndGroupsBringPartsAlong) {
    const SystemSpec system = system_of(
        "  per_chip: {host: 0.25}\n  groups: {node: {chips: 4, parts: {host: 1}}}\n"
        "  power_overhead: 10 %\n  price_overhead: 20 %\n");
    const Bill bill = bill_of(system, parts());
    EXPECT_EQ(count_of(bill, "host"), 3 + 3);
    EXPECT_DOUBLE_EQ(bill.chips_power.value(), 1000);
    EXPECT_NEAR(bill.overhead_power.value(), 106, 1e-9);
    EXPECT_NEAR(bill.power.value(), 1166, 1e-9);
    EXPECT_NEAR(bill.power_low.value(), 1133, 1e-9);
    EXPECT_NEAR(bill.power_high.value(), 1232, 1e-9);
    EXPECT_NEAR(bill.price.value(), 720, 1e-9);
    const Sourced<Usd> share = share_by_bill(system, bill, parts());
    EXPECT_NEAR(share.value.value(), 72, 1e-9);
    EXPECT_NEAR(share.low->value(), 36, 1e-9);
    EXPECT_NEAR(share.high->value(), 144, 1e-9);
}

// A bill's own power of a package is kept, the chip's record stands in for none, and none at all
// is refused.
TEST(Bill, ThePowerOfThePackage) {
    EXPECT_EQ(system_of("").bill.chip_power.value, Watts(100));
    EXPECT_EQ(system_of("  chip_power: 300 W\n").bill.chip_power.value, Watts(300));
    SystemSpec none = system_of("");
    none.bill.chip_power = {};
    EXPECT_THROW(bill_of(none, parts()), std::invalid_argument);
    EXPECT_THAT(refusal_of([] { (void)system_of("  chip_power: 0 W\n"); }),
                HasSubstr("bill.chip_power"));
}

// Sixteen CloudMatrix384: 6,144 chips are 192 leaves of 32, and a spine of 192 neighbours is no box
// of 64 ports but two tiers of them: the 480 boxes of three tiers.
TEST(Bill, SpinesBeyondTheirPortsAreTiers) {
    Catalog catalog(configs_root);
    SystemSpec system = read_system(catalog.load("system", "cloudmatrix384-x16", {}, ""), "x16");
    system.bill.chip_power.value = Watts(700);
    const Bill bill = bill_of(system, read_parts(catalog.load("parts", "default", {}, ""), "d"));
    EXPECT_EQ(count_of(bill, "router-64x400g"), folded_clos(6144, 6144, 64).switches);
    EXPECT_EQ(count_of(bill, "roce-optic-400g"), 2 * 3 * 6144);
    EXPECT_EQ(count_of(bill, "ub-switch"), 16 * 448);
}

}  // namespace
}  // namespace podsim
