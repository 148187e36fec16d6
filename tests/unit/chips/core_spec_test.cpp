// The section `core:` of a chip: what of it contradicts the chip, and what one rank has.
#include "chips/core_spec.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <stdexcept>

#include "base/catalog.hpp"
#include "chips/chip.hpp"
#include "chips/cost.hpp"
#include "tests/support/readers.hpp"
#include "tests/unit/chips/tiny_chip.hpp"

namespace podsim {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// The template that users copy.
std::string custom() {
    std::ifstream file(std::string(PODSIM_SOURCE_DIR) + "/configs/chips/custom-npu.yaml");
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

std::string refusal(const std::string& from, const std::string& to) {
    return refusal_of(
        [&] { read_chip(parse_yaml(replaced(custom(), from, to), "chip.yaml"), "c"); });
}

TEST(CoreSpec, OneRankHasItsShare) {
    ChipSpec chip = read_chip(parse_yaml(custom(), "chip.yaml"), "custom");
    chip.sustained_shares = {{0}, {0.9}};
    const CoreStructure core = *rank_hardware(chip).core;
    EXPECT_EQ(core.cores, 128);
    EXPECT_EQ(core.clock, 1.9e9);
    EXPECT_EQ(core.matrix.macs_per_cycle.at(DType::bf16), 4096);
    EXPECT_EQ(core.vector.cores, 2);
    EXPECT_EQ(core.buffers.level1, 1024 * 1024);
    const double fabric = chip.core->memory.fabric->value;
    EXPECT_DOUBLE_EQ(core.path.memory_rate, 16.384e12 * fabric);
    EXPECT_DOUBLE_EQ(with_memory_share(core, 0.5).path.memory_rate, 16.384e12 * fabric * 0.9);
}

TEST(CoreSpec, OneShareOfTheMemory) {
    const std::string whole = replaced(custom(), "    fabric: {", "    efficiency: {");
    const auto chip = [](const std::string& text) {
        return read_chip(parse_yaml(text, "chip.yaml"), "c");
    };
    const ChipSpec stated = chip(whole);
    const CoreStructure core = *rank_hardware(stated).core;
    EXPECT_DOUBLE_EQ(core.path.memory_rate, 16.384e12 * stated.core->memory.efficiency->value);
    EXPECT_DOUBLE_EQ(with_memory_share(core, 0.5).path.memory_rate, core.path.memory_rate);
    EXPECT_THAT(refusal("    fabric: {", "    efficiency: 0.86\n    fabric: {"),
                AllOf(HasSubstr("chip.yaml:93"), HasSubstr("core.memory.fabric: stands beside"),
                      HasSubstr("or fabric: that of the path alone")));
    EXPECT_THAT(refusal("    fabric: {", "    #"),
                AllOf(HasSubstr("chip.yaml:93"), HasSubstr("core.memory: names neither")));
    EXPECT_THAT(refusal("memory:\n  device: hbm4\n  stacks: {value: 8, source: \"design\", "
                        "confidence: assumed}\n  pin_rate: {value: 8 Gb/s, source: design, "
                        "confidence: assumed}\n",
                        ""),
                AllOf(HasSubstr("core.memory.fabric"), HasSubstr("no section memory")));
}

TEST(CoreSpec, ShapeAgainstRate) {
    EXPECT_THAT(refusal("    rows: {value: 16,", "    rows: {value: 32,"),
                AllOf(HasSubstr("core.matrix_unit"), HasSubstr("32 x 16 x 16"),
                      HasSubstr("peak_matrix"), HasSubstr("2 %")));
}

TEST(CoreSpec, FormatThatTheUnitLacks) {
    EXPECT_THAT(refusal("format: bf16", "format: fp4"),
                AllOf(HasSubstr("core.matrix_unit.format"), HasSubstr("no fp4")));
}

TEST(CoreSpec, BuffersThatHoldNoTile) {
    EXPECT_THAT(refusal("size: {value: 256 KiB", "size: {value: 512 B"),
                AllOf(HasSubstr("core.accumulator.size"), HasSubstr("cannot hold")));
    EXPECT_THAT(refusal("size: {value: 1024 KiB", "size: {value: 1 KiB"),
                AllOf(HasSubstr("core.level1.size"), HasSubstr("cannot hold")));
    EXPECT_THAT(refusal("a: {value: 64 KiB", "a: {value: 100 B"), HasSubstr("core.level0.a"));
    // 16 x 16 sums of 4 B, twice; a panel of 32 rows and columns, 16 deep in BF16.
    EXPECT_THAT(refusal("buffer: {value: 256 KiB", "buffer: {value: 64 B"),
                AllOf(HasSubstr("chip.yaml:80"), HasSubstr("core.vector.buffer: 64 B cannot hold"),
                      HasSubstr("of 2 KiB")));
    EXPECT_THAT(refusal("outstanding: {value: 256 KiB", "outstanding: {value: 1 KiB"), "accepted");
    EXPECT_THAT(refusal("outstanding: {value: 256 KiB", "outstanding: {value: 1 B"),
                HasSubstr("core.dma.outstanding: 1 B cannot hold a panel of the smallest tile, of "
                          "1 KiB"));
    EXPECT_THAT(refusal("accumulator: {value: 128 KiB", "accumulator: {value: 64 B"),
                AllOf(HasSubstr("cores.accumulator: 64 B cannot hold the 16 x 16 sums"),
                      HasSubstr("at least 1024 B")));
}

TEST(CoreSpec, LatencyOfAWayAcrossAChip) {
    EXPECT_THAT(refusal("latency: {value: 250 ns", "latency: {value: 250 s"),
                AllOf(HasSubstr("core.l2.latency: no load waits 250 s on a chip"),
                      HasSubstr("nanoseconds")));
}

TEST(CoreSpec, NoCores) {
    EXPECT_THAT(refusal("matrix: {value: 128,", "matrix: {value: 0,"), HasSubstr("cores.matrix"));
}

// A chip without `core:` has no pipeline; kinds without one go by the formulas, and say so.
TEST(CoreSpec, CycleNeedsIt) {
    const auto cycle = [](const OperatorBody& body) {
        return operator_cost(body, tiny_chip(), tiny_library(), Fidelity::cycle, 1.0);
    };
    try {
        cycle(Gemm{32, 32, 64, 1});
        FAIL() << "cycle without a core";
    } catch (const std::invalid_argument& error) {
        EXPECT_THAT(error.what(), HasSubstr("core:"));
    }
    StreamMix mix;
    mix.tokens = 10;
    mix.streams = 4;
    mix.hidden = 64;
    EXPECT_THAT(cycle(mix).warning, HasSubstr("tile stands in for cycle"));
}

}  // namespace
}  // namespace podsim
