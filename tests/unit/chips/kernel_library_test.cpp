// Reading a kernel library, and each way it can be wrong.
#include "chips/kernel_library.hpp"
#include "tests/support/readers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <stdexcept>

namespace podsim {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const char* const library_text = R"(title: Some library
chip: some-chip
smooth_maximum: 3
gemm:
  bf16:
    matrix_efficiency: 0.9
    memory_efficiency: 85 %
    launch: 3 us
    tile_overhead: 1 us
    feed_factor: 2.5
    k_step: 40 ns
    splits_k: false
    ramp: 10 us
    ramp_bytes: 30 MB
    split_reduce: 2 us
    record: {basis: measured, rows: 40, held_out_error: 0.07, source: a table, date: 2026-01-01}
attention_decode:
  matrix_efficiency: 0.6
  memory_efficiency: 0.8
  launch: 12 us
  row_block: 32
  split_overhead: 1.5
  record: {basis: assumed, source: nobody, date: 2026-01-01}
attention_prefill:
  matrix_efficiency: 0.7
  memory_efficiency: 0.8
  launch: 11 us
  record: {basis: assumed, source: nobody, date: 2026-01-01}
vector:
  memory_efficiency: 0.8
  vector_efficiency: 0.5
  launch: 1 us
  record: {basis: assumed, source: nobody, date: 2026-01-01}
)";

std::string with(const std::string& from, const std::string& to) {
    return replaced(library_text, from, to);
}

KernelLibrarySpec library_of(const std::string& text) {
    return read_kernel_library(parse_yaml(text, "library.yaml"), "some");
}

std::string refusal(const std::string& text) {
    return refusal_of([&] { library_of(text); });
}

TEST(KernelLibrary, Reads) {
    const KernelLibrarySpec library = library_of(library_text);
    EXPECT_EQ(library.name, "some");
    EXPECT_EQ(library.chip, "some-chip");
    EXPECT_EQ(library.smooth_maximum, 3);
    const GemmHabits& gemm = gemm_habits(library, DType::bf16);
    EXPECT_EQ(gemm.matrix_efficiency, 0.9);
    EXPECT_EQ(gemm.memory_efficiency, 0.85);
    EXPECT_EQ(gemm.launch.value(), 3e-6);
    EXPECT_EQ(gemm.tile_overhead.value(), 1e-6);
    EXPECT_EQ(gemm.feed_factor, 2.5);
    EXPECT_DOUBLE_EQ(gemm.k_step.value(), 4e-8);
    EXPECT_FALSE(gemm.splits_k);
    EXPECT_EQ(gemm.ramp.value(), 1e-5);
    EXPECT_EQ(gemm.ramp_bytes.value(), 30e6);
    EXPECT_EQ(gemm.split_reduce.value(), 2e-6);
    EXPECT_EQ(gemm.record.basis, Confidence::measured);
    EXPECT_EQ(gemm.record.rows, 40);
    EXPECT_EQ(gemm.record.held_out_error, 0.07);
    EXPECT_EQ(library.attention_decode.row_block, 32);
    EXPECT_EQ(library.attention_decode.split_overhead, 1.5);
    EXPECT_DOUBLE_EQ(library.attention_prefill.launch.value(), 11e-6);
    EXPECT_EQ(library.vector.vector_efficiency, 0.5);
}

TEST(KernelLibrary, NamesWhatItHas) {
    KernelLibrarySpec library = library_of(library_text);
    library.gemm[DType::int8] = library.gemm[DType::bf16];
    try {
        gemm_habits(library, DType::fp8);
        FAIL() << "it has no fp8";
    } catch (const std::invalid_argument& error) {
        EXPECT_STREQ(error.what(), "kernel library some has no fp8 products (it has bf16, int8)");
    }
}

TEST(KernelLibrary, MissingKeys) {
    for (const char* key : {"chip", "gemm", "attention_decode", "attention_prefill", "vector"}) {
        EXPECT_THAT(
            refusal(with(std::string("\n") + key + ":", "\nrenamed:")),
            AllOf(HasSubstr(std::string(key) + ": is missing"), HasSubstr("renamed: unknown key")));
    }
    EXPECT_THAT(refusal(with("    matrix_efficiency: 0.9\n", "")),
                HasSubstr("gemm.bf16.matrix_efficiency: is missing"));
    EXPECT_THAT(refusal(with("    launch: 3 us\n", "")), HasSubstr("gemm.bf16.launch: is missing"));
    EXPECT_THAT(refusal(with("  launch: 12 us\n", "")),
                HasSubstr("attention_decode.launch: is missing"));
    EXPECT_THAT(refusal(with("  vector_efficiency: 0.5\n", "")),
                HasSubstr("vector.vector_efficiency: is missing"));
    // Parameters without an origin are refused.
    EXPECT_THAT(refusal(with("source: a table, ", "")),
                HasSubstr("gemm.bf16.record.source: is missing"));
    EXPECT_THAT(refusal(with("basis: measured, ", "")),
                HasSubstr("gemm.bf16.record.basis: is missing"));
}

TEST(KernelLibrary, RefusesValuesThatCannotBe) {
    const char* const share = "a share above 0, at most 1";
    EXPECT_THAT(refusal(with("matrix_efficiency: 0.9", "matrix_efficiency: 1.01")),
                HasSubstr(share));
    EXPECT_THAT(refusal(with("matrix_efficiency: 0.9", "matrix_efficiency: 0")), HasSubstr(share));
    EXPECT_THAT(refusal(with("memory_efficiency: 85 %", "memory_efficiency: 850 %")),
                HasSubstr(share));
    EXPECT_THAT(refusal(with("matrix_efficiency: 0.6", "matrix_efficiency: -0.6")),
                HasSubstr("attention_decode.matrix_efficiency"));
    EXPECT_THAT(refusal(with("vector_efficiency: 0.5", "vector_efficiency: 2")), HasSubstr(share));
    EXPECT_NE(refusal(with("matrix_efficiency: 0.9", "matrix_efficiency: nan")), "accepted");
    EXPECT_THAT(refusal(with("launch: 3 us", "launch: -3 us")), HasSubstr("0 or more"));
    EXPECT_THAT(refusal(with("launch: 3 us", "launch: 3")), HasSubstr("unit"));
    EXPECT_THAT(refusal(with("launch: 3 us", "launch: 3 MB")), HasSubstr("gemm.bf16.launch: "));
    EXPECT_THAT(refusal(with("ramp_bytes: 30 MB", "ramp_bytes: 0 MB")), HasSubstr("above 0"));
    EXPECT_THAT(refusal(with("feed_factor: 2.5", "feed_factor: 0")), HasSubstr("above 0"));
    EXPECT_THAT(refusal(with("smooth_maximum: 3", "smooth_maximum: 0.5")), HasSubstr("at least 1"));
    EXPECT_THAT(refusal(with("row_block: 32", "row_block: 0")), HasSubstr("at least 1"));
    EXPECT_THAT(refusal(with("split_overhead: 1.5", "split_overhead: -1")), HasSubstr("0 or more"));
    EXPECT_THAT(refusal(with("splits_k: false", "splits_k: maybe")), HasSubstr("true or false"));
}

TEST(KernelLibrary, RefusesFormatsThatAreNone) {
    EXPECT_THAT(refusal(with("  bf16:", "  bf61:")),
                AllOf(HasSubstr("gemm.bf61: unknown key"), HasSubstr("did you mean bf16?")));
    std::string none = library_text;
    const auto begin = none.find("gemm:"), end = none.find("attention_decode:");
    none.replace(begin, end - begin, "gemm: {}\n");
    EXPECT_THAT(refusal(none), HasSubstr("gemm: names no format"));
}

TEST(KernelLibrary, SchemaNamesItsKeys) {
    EXPECT_TRUE(kernel_library_schema()["properties"].contains("attention_decode"));
}

}  // namespace
}  // namespace podsim
