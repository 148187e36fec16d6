// Reading a chip, each way it can be wrong, and what one rank has of it.
#include "chips/chip.hpp"
#include "tests/support/readers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <stdexcept>

namespace podsim {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Two dies of 10 cores: 20 x 1000 MAC x 2 x 1 GHz = 40 TFLOPS.
const char* const two_dies = R"(title: Two dies
vendor: nobody
year: 2026
ranks: 2
hbm:
  capacity: {value: 64 GB, source: sheet, confidence: vendor}
  bandwidth: 2 TB/s
cores:
  matrix: 20
  vector: 40
  separate_vector: true
  clock: 1 GHz
  macs_per_cycle: {bf16: 1000, int8: 2000}
  minimum_rows: 16
  accumulator: 64 KiB
  l2: 100 MB
  feed: 100 GB/s
peak_matrix:
  bf16: 40 TFLOPS
  int8: 80 TOPS
peak_published: {bf16: 44 TFLOPS}
peak_vector: 2 TFLOPS
power: {value: 700 W, low: 600 W, high: 800 W, source: analysts, confidence: estimate}
kernels: some-library
)";

std::string with(const std::string& from, const std::string& to) {
    return replaced(two_dies, from, to);
}

ChipSpec chip_of(const std::string& text) {
    return read_chip(parse_yaml(text, "chip.yaml"), "two-dies");
}

std::string refusal(const std::string& text) {
    return refusal_of([&] { chip_of(text); });
}

TEST(Chip, Reads) {
    const ChipSpec chip = chip_of(two_dies);
    EXPECT_EQ(chip.name, "two-dies");
    EXPECT_EQ(chip.title, "Two dies");
    EXPECT_EQ(chip.vendor, "nobody");
    EXPECT_EQ(chip.year, 2026);
    EXPECT_EQ(chip.ranks, 2);
    EXPECT_EQ(chip.hbm->capacity.value.value(), 64e9);
    EXPECT_EQ(chip.hbm->capacity.source, "sheet");
    EXPECT_EQ(chip.hbm->capacity.confidence, Confidence::vendor);
    EXPECT_EQ(chip.hbm->bandwidth.confidence, Confidence::assumed);  // it does not say
    EXPECT_EQ(chip.cores->accumulator.value.value(), 65536);
    EXPECT_EQ(chip.cores->macs_per_cycle.at(DType::int8).value, 2000);
    EXPECT_EQ(chip.peak_matrix.at(DType::int8).value.value(), 80e12);
    EXPECT_EQ(chip.power.high->value(), 800);
    EXPECT_EQ(chip.kernels, "some-library");
}

// A die has half of everything but what belongs to a core.
TEST(RankHardware, IsTheShareOfOneDie) {
    const RankHardware die = rank_hardware(chip_of(two_dies));
    EXPECT_EQ(die.matrix_cores, 10);
    EXPECT_TRUE(die.separate_vector);
    EXPECT_EQ(die.clock.value(), 1e9);
    EXPECT_EQ(die.peak_vector.value(), 1e12);
    EXPECT_EQ(die.hbm_bandwidth.value(), 1e12);
    EXPECT_EQ(die.hbm_capacity.value(), 32e9);
    EXPECT_EQ(die.l2.value(), 50e6);
    EXPECT_EQ(die.accumulator.value(), 65536);
    EXPECT_EQ(die.feed_per_core.value(), 100e9);
    EXPECT_EQ(die.minimum_rows, 16);
    EXPECT_EQ(die.peak_matrix.at(DType::bf16).value(), 20e12);
    EXPECT_EQ(die.peak_matrix.at(DType::int8).value(), 40e12);
}

// Without a word about it a chip keeps its clock.
TEST(RankHardware, KeepsWhatThePowerCapLeaves) {
    EXPECT_EQ(rank_hardware(chip_of(two_dies)).sustained_matrix, 1);
    const RankHardware die = rank_hardware(
        chip_of(with("kernels:", "sustained: {matrix: 0.7, response: 100 ms}\nkernels:")));
    EXPECT_EQ(die.sustained_matrix, 0.7);
    EXPECT_EQ(die.power_response.value(), 0.1);
    EXPECT_THAT(refusal(with("kernels:", "sustained: {matrix: 1.2, response: 1}\nkernels:")),
                AllOf(HasSubstr("sustained.matrix"), HasSubstr("sustained.response")));
}

TEST(ExecutedFormat, TheChipsOwnElseTheNarrowestWider) {
    const RankHardware die = rank_hardware(chip_of(two_dies));
    EXPECT_EQ(executed_format(die, DType::bf16), DType::bf16);
    EXPECT_EQ(executed_format(die, DType::int8), DType::int8);
    EXPECT_EQ(executed_format(die, DType::fp4), DType::int8);
    // As wide is not wider: FP8 cannot run as INT8.
    EXPECT_EQ(executed_format(die, DType::fp8), DType::bf16);
    EXPECT_THROW(executed_format(die, DType::fp16), std::invalid_argument);
    try {
        executed_format(die, DType::fp32);
        FAIL() << "nothing is wider";
    } catch (const std::invalid_argument& error) {
        EXPECT_THAT(error.what(), HasSubstr("no rate for fp32 nor for a wider format"));
    }
    EXPECT_EQ(peak_for(die, DType::fp8).value(), 20e12);
    EXPECT_EQ(peak_for(die, DType::fp4).value(), 40e12);
}

// Per package, from the data sheet where it has the format that is executed.
TEST(PublishedPeak, OfThePackage) {
    const ChipSpec chip = chip_of(two_dies);
    EXPECT_EQ(published_peak_for(chip, DType::bf16).value(), 44e12);
    EXPECT_EQ(published_peak_for(chip, DType::fp8).value(), 44e12);   // runs as BF16
    EXPECT_EQ(published_peak_for(chip, DType::int8).value(), 80e12);  // not on the sheet
    EXPECT_THROW(published_peak_for(chip, DType::fp32), std::invalid_argument);
}

// A variant of twice the units whose data sheet is still its parent's: 80 TFLOPS of units, 44 on
// the sheet. One that rounds a little down, 44 for 45, is its own.
TEST(PublishedPeak, IsNotThatOfWhatTheChipWas) {
    ChipSpec chip = chip_of(two_dies);
    chip.peak_matrix.at(DType::bf16).value = FlopsPerSecond(80e12);
    EXPECT_EQ(published_peak_for(chip, DType::bf16).value(), 80e12);
    chip.peak_matrix.at(DType::bf16).value = FlopsPerSecond(45e12);
    EXPECT_EQ(published_peak_for(chip, DType::bf16).value(), 44e12);
}

TEST(Chip, MissingKeysSayWhatTheyAre) {
    EXPECT_THAT(refusal(with("  bandwidth: 2 TB/s\n", "")),
                HasSubstr("hbm.bandwidth: is missing (data-sheet rate of the package)"));
    EXPECT_THAT(refusal(with("kernels: some-library\n", "")), HasSubstr("kernels: is missing"));
    for (const char* key : {"ranks", "peak_vector", "power"}) {
        const std::string text = with(std::string("\n") + key + ":", "\nrenamed:");
        EXPECT_THAT(refusal(text), AllOf(HasSubstr(std::string(key) + ": is missing"),
                                         HasSubstr("renamed: unknown key")));
    }
    for (const char* key : {"matrix", "vector", "clock", "macs_per_cycle", "minimum_rows",
                            "accumulator", "l2", "feed"}) {
        EXPECT_THAT(refusal(with(std::string("\n  ") + key + ":", "\n  renamed:")),
                    AllOf(HasSubstr(std::string("cores.") + key + ": is missing"),
                          HasSubstr("cores.renamed: unknown key")));
    }
}

// A chip of which only a data sheet is known has one core to a rank that is all of it.
TEST(Chip, MayBeKnownByItsDataSheetAlone) {
    const std::string text = replaced(two_dies, "cores:", "band: 25 %\ncores:");
    const std::string sheet =
        text.substr(0, text.find("cores:")) + text.substr(text.find("peak_matrix:"));
    const ChipSpec chip = chip_of(sheet);
    EXPECT_FALSE(chip.cores.has_value());
    EXPECT_EQ(chip.band->value, 0.25);
    const RankHardware die = rank_hardware(chip);
    EXPECT_EQ(die.matrix_cores, 1);
    EXPECT_EQ(die.peak_matrix.at(DType::bf16).value(), 20e12);
    EXPECT_EQ(die.hbm_bandwidth.value(), 1e12);
    EXPECT_THAT(refusal(replaced(sheet, "band: 25 %", "band: 100 %")), HasSubstr("band: "));
    EXPECT_THAT(refusal(replaced(sheet, "band: 25 %", "band: 0 %")), HasSubstr("band: "));
}

// The HBM holds the weights where there is any, else the SRAM.
TEST(Chip, HasAMemory) {
    const std::string sram = "sram: {capacity: 500 MB, bandwidth: 150 TB/s}\n";
    const ChipSpec both = chip_of(two_dies + sram);
    EXPECT_EQ(std::string(main_memory(both).name), "HBM");
    EXPECT_FALSE(rank_hardware(both).sram_only);
    const std::string text = with("hbm:\n", "other:\n");
    const std::string hbm =
        text.substr(text.find("other:"), text.find("cores:") - text.find("other:"));
    const ChipSpec alone = chip_of(replaced(text, hbm, sram));
    EXPECT_EQ(std::string(main_memory(alone).name), "SRAM");
    EXPECT_TRUE(rank_hardware(alone).sram_only);
    EXPECT_EQ(rank_hardware(alone).hbm_capacity.value(), 250e6);
    EXPECT_EQ(rank_hardware(alone).hbm_bandwidth.value(), 75e12);
    EXPECT_THAT(refusal(replaced(text, hbm, "")),
                AllOf(HasSubstr("hbm: is missing"), HasSubstr("sram: instead")));
}

// Sparsity and headlines are carried, asked to be above the dense rate, and in no answer.
TEST(Chip, HeadlinesAreNoPeaks) {
    const std::string more =
        "peak_sparse: {bf16: 80 TFLOPS}\npeak_headline: {bf16: 90 TFLOPS, fp4: 1 PFLOPS}\n";
    const ChipSpec chip = chip_of(two_dies + more);
    EXPECT_EQ(chip.peak_sparse.at(DType::bf16).value.value(), 80e12);
    EXPECT_EQ(chip.peak_headline.at(DType::fp4).value.value(), 1e15);
    EXPECT_EQ(rank_hardware(chip).peak_matrix, rank_hardware(chip_of(two_dies)).peak_matrix);
    EXPECT_EQ(published_peak_for(chip, DType::bf16).value(), 44e12);
    EXPECT_EQ(published_peak_for(chip, DType::fp4).value(), 80e12);  // runs as INT8
    EXPECT_THAT(refusal(std::string(two_dies) + "peak_sparse: {bf16: 39 TFLOPS}\n"),
                HasSubstr("peak_sparse: bf16 is 39 TFLOPS, below the dense 40 TFLOPS"));
    EXPECT_THAT(refusal(std::string(two_dies) + "peak_headline: {int8: 79 TOPS}\n"),
                HasSubstr("peak_headline: int8 is 79 TFLOPS, below the dense 80 TFLOPS"));
}

// Chips older than BF16 run models that were converted to FP16, not to FP32.
TEST(ExecutedFormat, Fp16StandsInForBf16) {
    RankHardware old;
    old.peak_matrix = {{DType::fp16, FlopsPerSecond(125e12)}, {DType::fp32, FlopsPerSecond(15e12)}};
    EXPECT_EQ(executed_format(old, DType::bf16), DType::fp16);
    old.peak_matrix = {{DType::bf16, FlopsPerSecond(125e12)}, {DType::fp32, FlopsPerSecond(15e12)}};
    EXPECT_EQ(executed_format(old, DType::fp16), DType::fp32);  // BF16 would lose digits
}

TEST(Chip, ErrorsHaveTheirPlace) {
    EXPECT_THAT(refusal(with("bandwidth: 2 TB/s", "bandwidth: 2 TB")),
                HasSubstr("chip.yaml:7:14: hbm.bandwidth: "));
}

// A volume is no rate, bits are no bytes but read as such, a bare number is nothing.
TEST(Chip, UnitsAreRead) {
    EXPECT_THAT(refusal(with("bandwidth: 2 TB/s", "bandwidth: 2 TB")), HasSubstr("TB/s"));
    EXPECT_THAT(refusal(with("bandwidth: 2 TB/s", "bandwidth: 2")), HasSubstr("unit"));
    EXPECT_THAT(refusal(with("capacity: {value: 64 GB,", "capacity: {value: 64 GB/s,")),
                HasSubstr("hbm.capacity.value: "));
    EXPECT_THAT(refusal(with("peak_vector: 2 TFLOPS", "peak_vector: 2 GHz")),
                HasSubstr("peak_vector: "));
    EXPECT_THAT(refusal(with("clock: 1 GHz", "clock: 1 s")), HasSubstr("cores.clock: "));
    EXPECT_THAT(refusal(with("value: 700 W", "value: 700")), HasSubstr("power.value: "));
    EXPECT_EQ(chip_of(with("bandwidth: 2 TB/s", "bandwidth: 2 Tb/s")).hbm->bandwidth.value.value(),
              0.25e12);
    EXPECT_EQ(chip_of(with("value: 64 GB", "value: 64 GiB")).hbm->capacity.value.value(),
              64 * 1073741824.0);
}

TEST(Chip, RefusesValuesThatCannotBe) {
    const char* const above = "a value above 0 was expected";
    EXPECT_THAT(refusal(with("bandwidth: 2 TB/s", "bandwidth: -2 TB/s")), HasSubstr(above));
    EXPECT_THAT(refusal(with("bandwidth: 2 TB/s", "bandwidth: 0 TB/s")), HasSubstr(above));
    EXPECT_NE(refusal(with("bandwidth: 2 TB/s", "bandwidth: nan TB/s")), "accepted");
    EXPECT_NE(refusal(with("bandwidth: 2 TB/s", "bandwidth: inf TB/s")), "accepted");
    EXPECT_NE(refusal(with("bandwidth: 2 TB/s", "bandwidth: .nan")), "accepted");
    EXPECT_THAT(refusal(with("l2: 100 MB", "l2: 0 B")), HasSubstr("cores.l2: "));
    EXPECT_THAT(refusal(with("feed: 100 GB/s", "feed: -1 GB/s")), HasSubstr("cores.feed: "));
    EXPECT_THAT(refusal(with("accumulator: 64 KiB", "accumulator: 0 KiB")), HasSubstr(above));
    EXPECT_THAT(refusal(with("minimum_rows: 16", "minimum_rows: 0")), HasSubstr("at least 1"));
    EXPECT_THAT(refusal(with("minimum_rows: 16", "minimum_rows: 1.5")), HasSubstr("whole number"));
    EXPECT_THAT(refusal(with("matrix: 20", "matrix: 0")), HasSubstr("at least 1"));
    EXPECT_THAT(refusal(with("ranks: 2", "ranks: 0")), HasSubstr("at least 1"));
    EXPECT_THAT(refusal(with("year: 2026", "year: 26")), HasSubstr("at least 1990"));
    EXPECT_THAT(refusal(with("bf16: 1000,", "bf16: 0,")), HasSubstr("cores.macs_per_cycle.bf16: "));
    EXPECT_THAT(refusal(with("low: 600 W", "low: 701 W")), HasSubstr("power.low: is above"));
    EXPECT_THAT(refusal(with("high: 800 W", "high: 699 W")), HasSubstr("power.high: is below"));
    EXPECT_THAT(refusal(with("confidence: estimate", "confidence: guess")),
                HasSubstr("power.confidence: "));
}

TEST(Chip, RefusesFormatsThatAreNone) {
    EXPECT_THAT(
        refusal(with("  int8: 80 TOPS", "  int88: 80 TOPS")),
        AllOf(HasSubstr("peak_matrix.int88: unknown key"), HasSubstr("did you mean int8?")));
    EXPECT_THAT(refusal(with("{bf16: 44 TFLOPS}", "{fp88: 44 TFLOPS}")),
                HasSubstr("peak_published.fp88: unknown key"));
    EXPECT_THAT(refusal(with("bf16: 1000, int8: 2000", "bf16: 1000, in8: 2000")),
                AllOf(HasSubstr("cores.macs_per_cycle.in8: unknown key"), HasSubstr("int8")));
}

// 20 cores x 1000 MAC x 2 x 1 GHz = 40 TFLOPS: 40.8 is 2 % above, 40.9 is more.
TEST(Chip, PeakHasToBeTheCores) {
    EXPECT_EQ(refusal(with("  bf16: 40 TFLOPS", "  bf16: 40.79 TFLOPS")), "accepted");
    EXPECT_EQ(refusal(with("  bf16: 40 TFLOPS", "  bf16: 39.21 TFLOPS")), "accepted");
    EXPECT_THAT(refusal(with("  bf16: 40 TFLOPS", "  bf16: 40.9 TFLOPS")),
                AllOf(HasSubstr("peak_matrix: bf16 is 40.9 TFLOPS, but 20 cores x 1000 MAC x 2 x "
                                "1 GHz give 40 TFLOPS"),
                      HasSubstr("2 %")));
    EXPECT_THAT(refusal(with("  bf16: 40 TFLOPS", "  bf16: 39.1 TFLOPS")),
                HasSubstr("give 40 TFLOPS"));
    // The same slip made at the other end.
    EXPECT_THAT(refusal(with("clock: 1 GHz", "clock: 1.1 GHz")),
                AllOf(HasSubstr("bf16 is 40 TFLOPS"), HasSubstr("int8 is 80 TFLOPS")));
}

TEST(Chip, PeakNeedsItsMacs) {
    EXPECT_THAT(refusal(with("{bf16: 1000, int8: 2000}", "{bf16: 1000}")),
                HasSubstr("int8 has a peak but cores.macs_per_cycle does not name it"));
}

// 20 cores x 1,000 multiply-accumulates x 2 x 1 GHz are 40 TFLOPS; at 2 GHz 80.
TEST(Chip, PeakFollowsTheCoresUnlessStated) {
    const std::string stated = "peak_matrix:\n  bf16: 40 TFLOPS\n  int8: 80 TOPS\n";
    for (const char* nothing : {"peak_matrix: {}\n", ""}) {
        const ChipSpec chip = chip_of(with(stated, nothing));
        EXPECT_DOUBLE_EQ(chip.peak_matrix.at(DType::bf16).value.value(), 40e12);
        EXPECT_DOUBLE_EQ(chip.peak_matrix.at(DType::int8).value.value(), 80e12);
        EXPECT_EQ(chip.peak_matrix.at(DType::bf16).confidence, Confidence::derived);
    }
    const ChipSpec faster = chip_of(replaced(with(stated, ""), "clock: 1 GHz", "clock: 2 GHz"));
    EXPECT_DOUBLE_EQ(faster.peak_matrix.at(DType::bf16).value.value(), 80e12);
}

TEST(Chip, RanksDivideTheCores) {
    EXPECT_THAT(refusal(with("ranks: 2", "ranks: 3")),
                AllOf(HasSubstr("ranks: 3 ranks do not divide 20 matrix cores"),
                      HasSubstr("ranks: 3 ranks do not divide 40 vector cores")));
}

// Everything that is wrong is said at once.
TEST(Chip, ErrorsComeTogether) {
    std::string text = with("bandwidth: 2 TB/s", "bandwidth: 2 TB");
    text.replace(text.find("clock: 1 GHz"), 12, "clock: 1 kg ");
    text += "colour: red\n";
    EXPECT_THAT(refusal(text), AllOf(HasSubstr("hbm.bandwidth: "), HasSubstr("cores.clock: "),
                                     HasSubstr("colour: unknown key")));
}

TEST(Chip, SchemaNamesItsKeys) {
    const auto schema = chip_schema();
    EXPECT_EQ(schema["title"], "podsim chip");
    EXPECT_TRUE(schema["properties"].contains("peak_matrix"));
    EXPECT_TRUE(schema["properties"]["cores"]["properties"].contains("feed"));
}

}  // namespace
}  // namespace podsim
