// Reading a system, each way it can be wrong, and the ports of one rank.
#include "interconnect/system.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/diagnostic.hpp"
#include "tests/support/readers.hpp"

namespace podsim {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const char* const system_text = R"(title: Some system
chip: some-chip
chips: 64
scale_up:
  technology: switched
  bandwidth: {value: 400 GB/s, source: sheet, confidence: vendor}
  domain: 8
  planes: 4
  planes_down: 1
  plane_balance: message
  latency: 1 us
scale_out:
  technology: Ethernet
  bandwidth: 400 Gb/s
  domain: 1000
  latency: 5 us
  oversubscription: 2
collectives: some-library
power_per_chip: 1400 W
)";

std::string with(const std::string& from, const std::string& to) {
    return replaced(system_text, from, to);
}

SystemSpec system_of(const std::string& text) {
    return read_system(parse_yaml(text, "system.yaml"), "some");
}

std::string refusal(const std::string& text) {
    return refusal_of([&] { system_of(text); });
}

TEST(System, Reads) {
    const SystemSpec system = system_of(system_text);
    EXPECT_EQ(system.name, "some");
    EXPECT_EQ(system.chip, "some-chip");
    EXPECT_EQ(system.chips, 64);
    EXPECT_EQ(system.scale_up.technology, "switched");
    EXPECT_EQ(system.scale_up.bandwidth.value.value(), 400e9);
    EXPECT_EQ(system.scale_up.bandwidth.source, "sheet");
    EXPECT_EQ(system.scale_up.planes.value, 4);
    EXPECT_EQ(system.scale_up.plane_balance, PlaneBalance::message);
    EXPECT_EQ(system.scale_out.bandwidth.value.value(), 50e9);  // bits
    EXPECT_EQ(system.scale_out.planes.value, 1);
    EXPECT_EQ(system.scale_out.planes_down, 0);
    EXPECT_EQ(system.scale_out.plane_balance, PlaneBalance::packet);
    EXPECT_EQ(system.scale_out.oversubscription, 2);
    EXPECT_EQ(system.collectives, "some-library");
    EXPECT_EQ(system.power_per_chip.value.value(), 1400);
}

// Two ranks a chip: half of the port each, twice as many in the domain. One plane of four is down:
// three quarters of the rate. The network is oversubscribed twofold.
TEST(RankFabric, OfOneRank) {
    const RankFabric fabric = rank_fabric(system_of(system_text), 2);
    EXPECT_DOUBLE_EQ(fabric.scale_up.value(), 400e9 * 3 / 4 / 2);
    EXPECT_DOUBLE_EQ(fabric.scale_out.value(), 50e9 / 2 / 2);
    EXPECT_EQ(fabric.domain_ranks, 16);
    EXPECT_EQ(fabric.scale_up_planes, 3);
    EXPECT_EQ(fabric.scale_out_planes, 1);
    EXPECT_EQ(fabric.scale_up_balance, PlaneBalance::message);
    EXPECT_EQ(fabric.scale_up_latency.value(), 1e-6);
    EXPECT_EQ(fabric.scale_out_latency.value(), 5e-6);
    EXPECT_EQ(rank_fabric(system_of(system_text), 1).domain_ranks, 8);
}

TEST(System, MissingKeys) {
    for (const char* key :
         {"chip", "chips", "scale_up", "scale_out", "collectives", "power_per_chip"}) {
        EXPECT_THAT(
            refusal(with(std::string("\n") + key + ":", "\nrenamed:")),
            AllOf(HasSubstr(std::string(key) + ": is missing"), HasSubstr("renamed: unknown key")));
    }
    for (const char* key : {"technology", "bandwidth", "domain", "latency"}) {
        EXPECT_THAT(refusal(with(std::string("\n  ") + key + ":", "\n  renamed:")),
                    AllOf(HasSubstr(std::string("scale_up.") + key + ": is missing"),
                          HasSubstr("scale_up.renamed: unknown key")));
    }
}

TEST(System, UnitsAreRead) {
    EXPECT_THAT(refusal(with("value: 400 GB/s", "value: 400 GB")),
                HasSubstr("system.yaml:6:22: scale_up.bandwidth.value: "));
    EXPECT_THAT(refusal(with("bandwidth: 400 Gb/s", "bandwidth: 400")), HasSubstr("unit"));
    EXPECT_THAT(refusal(with("latency: 1 us", "latency: 1")), HasSubstr("scale_up.latency: "));
    EXPECT_THAT(refusal(with("latency: 5 us", "latency: 5 GB")), HasSubstr("scale_out.latency: "));
    EXPECT_THAT(refusal(with("1400 W", "1400 Wh")), HasSubstr("power_per_chip: "));
}

TEST(System, RefusesValuesThatCannotBe) {
    EXPECT_THAT(refusal(with("value: 400 GB/s", "value: -400 GB/s")), HasSubstr("1 MB/s to 1e18"));
    EXPECT_THAT(refusal(with("value: 400 GB/s", "value: 0 GB/s")), HasSubstr("1 MB/s to 1e18"));
    EXPECT_NE(refusal(with("value: 400 GB/s", "value: nan GB/s")), "accepted");
    EXPECT_NE(refusal(with("value: 400 GB/s", "value: .inf")), "accepted");
    EXPECT_THAT(refusal(with("latency: 1 us", "latency: -1 us")), HasSubstr("0 to 10 s"));
    EXPECT_THAT(refusal(with("chips: 64", "chips: 0")), HasSubstr("at least 1"));
    EXPECT_THAT(refusal(with("domain: 8", "domain: 0")), HasSubstr("at least 1"));
    EXPECT_THAT(refusal(with("domain: 8", "domain: 8.5")), HasSubstr("whole number"));
    EXPECT_THAT(refusal(with("planes: 4", "planes: 0")), HasSubstr("of 1 to 1,000,000"));
    EXPECT_THAT(refusal(with("planes_down: 1", "planes_down: -1")), HasSubstr("0 or more"));
    EXPECT_THAT(refusal(with("oversubscription: 2", "oversubscription: 0.5")),
                HasSubstr("a ratio of 1 to 1,000"));
    EXPECT_THAT(refusal(with("plane_balance: message", "plane_balance: packets")),
                HasSubstr("did you mean packet?"));
    EXPECT_THAT(refusal(with("power_per_chip: 1400 W", "power_per_chip: 0 W")),
                HasSubstr("above 0"));
}

// Whoever takes all planes down has no fabric left to simulate.
TEST(System, SomePlaneIsUp) {
    EXPECT_EQ(refusal(with("planes_down: 1", "planes_down: 3")), "accepted");
    EXPECT_THAT(refusal(with("planes_down: 1", "planes_down: 4")),
                HasSubstr("scale_up.planes_down: 4 of 4 planes down leave none"));
    EXPECT_THAT(refusal(with("planes_down: 1", "planes_down: 5")), HasSubstr("5 of 4"));
    // Of a level that has one plane.
    EXPECT_THAT(refusal(with("  oversubscription: 2\n", "  planes_down: 1\n")),
                HasSubstr("scale_out.planes_down: 1 of 1 planes down leave none"));
}

TEST(System, SchemaNamesItsKeys) {
    const auto schema = system_schema();
    EXPECT_TRUE(schema["properties"]["scale_up"]["properties"].contains("planes_down"));
}

}  // namespace
}  // namespace podsim
