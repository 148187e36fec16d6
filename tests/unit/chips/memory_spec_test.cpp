// Devices and the chips that carry them: what is refused, with which sum.
#include "chips/memory_spec.hpp"

#include <gmock/gmock.h>

#include "chips/address_map.hpp"
#include "chips/chip.hpp"
#include "tests/unit/chips/bank_scene.hpp"

namespace podsim {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string of_h200(const std::string& path, const std::string& value) {
    Node document = Catalog(configs_root).load("chip", "h200", {}, "");
    set_path(document, path, value, {"test", 1, 1});
    return refusal_of([&] {
        const ChipSpec chip = read_chip(document, "h200");
        check_memory(chip, shipped_memory(chip.memory->device), document);
    });
}

TEST(MemorySpec, EveryChipAgreesWithItsDevices) {
    for (const std::string& name : names_in_configs("chip")) {
        const Node document = Catalog(configs_root).load("chip", name, {}, "");
        const ChipSpec chip = read_chip(document, name);
        if (!chip.memory) continue;
        EXPECT_TRUE(
            contradictions(*chip.memory, chip, shipped_memory(chip.memory->device), document)
                .empty())
            << name;
    }
}

// 6 stacks x 1024 pins x 6.25 Gb/s = 4.8 TB/s; 6 x 24 GB = 144 GB, of which 141 are sold.
TEST(MemorySpec, ContradictionsShowTheSum) {
    EXPECT_EQ(of_h200("hbm.bandwidth.value", "4.88 TB/s"), "accepted");
    EXPECT_THAT(of_h200("hbm.bandwidth.value", "4.92 TB/s"),
                AllOf(HasSubstr("6 stacks x 1024 pins x 6.25 Gb/s give 4.8 TB/s"),
                      HasSubstr("memory.pin_rate")));
    EXPECT_THAT(of_h200("hbm.capacity.value", "160 GB"), HasSubstr("x 24 GB = 144 GB"));
    EXPECT_EQ(of_h200("memory.stack_capacity", "24 GB"),
              of_h200("memory.stack_capacity", "24.0 GB"));
    EXPECT_THAT(of_h200("memory.stack_capacity", "24 GB"), HasSubstr("6 stacks x 24 GB"));
    EXPECT_EQ(of_h200("memory.stack_capacity", "23.5 GB"), "accepted");
}

TEST(MemorySpec, StacksOfTheSilicon) {
    EXPECT_THAT(of_h200("silicon.hbm_stacks", "5"),
                AllOf(HasSubstr("silicon.hbm_stacks: 5 stacks, memory.stacks says 6"),
                      HasSubstr("correct one")));
    EXPECT_EQ(of_h200("silicon.hbm_stacks", "0"), "accepted");  // on the board
}

TEST(MemorySpec, VariantsAreWarnedAbout) {
    const Catalog catalog(configs_root, {parse_setting("chip:h200.hbm.bandwidth=6 TB/s")});
    Catalog own = catalog;
    const Node document = own.load("chip", "h200", {}, "");
    const ChipSpec chip = read_chip(document, "h200");
    EXPECT_EQ(check_memory(chip, shipped_memory("hbm3e"), document).size(), 1U);
}

TEST(MemoryDevice, RatesOfAStack) {
    EXPECT_DOUBLE_EQ(stack_bandwidth(shipped_memory("hbm2e")).value(), 409.6e9);
    EXPECT_DOUBLE_EQ(stack_bandwidth(shipped_memory("hbm3")).value(), 819.2e9);
    EXPECT_DOUBLE_EQ(stack_bandwidth(shipped_memory("hbm4")).value(), 2048e9);
    EXPECT_DOUBLE_EQ(burst_bytes(shipped_memory("hbm3")).value(), 32);
}

std::string of_hbm3(const std::string& path, const std::string& value) {
    Node document = Catalog(configs_root).load("memory", "hbm3", {}, "");
    set_path(document, path, value, {"test", 1, 1});
    return refusal_of([&] { read_memory(document, "hbm3"); });
}

TEST(MemoryDevice, RefusesWhatCannotBe) {
    EXPECT_THAT(of_hbm3("organisation.banks.value", "32"), HasSubstr("at most 64"));
    EXPECT_THAT(of_hbm3("organisation.page.value", "1000 B"), HasSubstr("whole number"));
    EXPECT_THAT(of_hbm3("timing.tRC.value", "40 ns"), HasSubstr("below tRAS + tRP"));
    EXPECT_THAT(of_hbm3("timing.tRFC_bank.value", "4 us"), HasSubstr("is not below tREFI"));
    EXPECT_THAT(of_hbm3("controller.drain_to", "48"), HasSubstr("not below drain_above"));
    EXPECT_THAT(of_hbm3("controller.drain_above", "100"), HasSubstr("never wait"));
    EXPECT_THAT(of_hbm3("controller.access", "48"), HasSubstr("whole number"));
    EXPECT_EQ(of_hbm3("controller.row_policy", "closed"), "accepted");
    EXPECT_THAT(of_hbm3("controller.row_policy", "clsed"), HasSubstr("closed"));
}

TEST(MemoryDevice, AddressesNameEveryPartOnce) {
    EXPECT_THAT(problems_of_address({"column", "channel", "group", "bank"}),
                testing::ElementsAre("stack is left out"));
    EXPECT_EQ(problems_of_address(
                  {"column:0", "kolumn", "column", "channel", "channel", "group", "bank", "stack"})
                  .size(),
              3U);
    EXPECT_TRUE(
        problems_of_address({"column:8", "channel", "column", "group", "bank", "stack"}).empty());
}

}  // namespace
}  // namespace podsim
