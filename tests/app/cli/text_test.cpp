// Numbers and tables as a reader sees them.
#include <gtest/gtest.h>

#include <limits>

#include "app/metric_table.hpp"
#include "app/number_text.hpp"
#include "app/text_table.hpp"

namespace podsim {
namespace {

TEST(Significant, FourDigitsByDefault) {
    EXPECT_EQ(significant(1943.2), "1943");
    EXPECT_EQ(significant(12.345), "12.35");
    EXPECT_EQ(significant(0.045678), "0.04568");
    EXPECT_EQ(significant(9.99996), "10.00");
    EXPECT_EQ(significant(99999), "99999");
    EXPECT_EQ(significant(1234567), "1234567");
    EXPECT_EQ(significant(12345678), "1.235e+07");
    EXPECT_EQ(significant(0.00001234), "1.234e-05");
    EXPECT_EQ(significant(-2.5, 2), "-2.5");
    EXPECT_EQ(significant(0), "0");
    EXPECT_EQ(significant(std::numeric_limits<double>::quiet_NaN()), "-");
    EXPECT_EQ(signed_significant(0.5), "+0.500");
    EXPECT_EQ(signed_significant(-0.5), "-0.500");
}

TEST(PrintUnit, KeepsNumbersShort) {
    EXPECT_EQ(print_unit("B/s").text, "GB/s");
    EXPECT_DOUBLE_EQ(3.2e12 * print_unit("B/s").factor, 3200.0);
    EXPECT_EQ(print_unit("share").text, "%");
    EXPECT_DOUBLE_EQ(print_unit("share").factor, 100.0);
    EXPECT_EQ(print_unit("tok/s").text, "tok/s");
    EXPECT_DOUBLE_EQ(print_unit("tok/s").factor, 1.0);
}

using Lines = std::vector<std::string>;

TEST(Wrap, AtSpacesElseAtJointsElseAnywhere) {
    EXPECT_EQ(wrap("one two three", 7), (Lines{"one two", "three"}));
    EXPECT_EQ(wrap("cloudmatrix-infer", 16), (Lines{"cloudmatrix-", "infer"}));
    EXPECT_EQ(wrap("abcdefgh", 3), (Lines{"abc", "def", "gh"}));
    EXPECT_EQ(wrap("", 5), (Lines{""}));
    EXPECT_EQ(wrap("a\nb", 5), (Lines{"a b"}));
    // A code point is one column, and never cut in two.
    EXPECT_EQ(wrap("äöüäöü", 4), (Lines{"äöüä", "öü"}));
    EXPECT_EQ(display_width("äöü"), 3u);
}

TEST(Hanging, LinesAfterTheFirstAreIndented) {
    EXPECT_EQ(hanging("* ", "one two three four five six seven", 22),
              "* one two three four\n  five six seven\n");
}

TEST(TextTable, CellsAreFlushRightAndGoOnBelow) {
    TextTable table(12, 8);
    table.row("", {"A", "B"});
    table.row("  a long label", {"12.5", "a-long-cell"});
    EXPECT_EQ(table.text(),
              "                    A        B\n"
              "  a long         12.5  a-long-\n"
              "  label                   cell\n");
}

// A cell of words that fills its column would read on from the one before it.
TEST(TextTable, WordsKeepASpaceMoreFromTheColumnBefore) {
    TextTable table(4, 8);
    table.row("a", {"12345678", "70 to 78"});
    EXPECT_EQ(table.text(), "a    12345678    70 to\n" + std::string(20, ' ') + "78\n");
}

TEST(MetricInfo, KnownSuffixedAndUnknownNames) {
    EXPECT_EQ(metric_info("layer_time").label, "layer");
    EXPECT_EQ(metric_info("layer_time").group, "latency");
    EXPECT_EQ(metric_info("usd_per_million_output_tokens_owned").label,
              "million output tokens, owned");
    // The longest known name is meant.
    EXPECT_EQ(metric_info("prefill_tokens_per_second_per_chip_with_cached").label,
              "prefill per chip, with cached");
    EXPECT_EQ(metric_info("colour").label, "colour");
    EXPECT_EQ(metric_info("colour").group, "other");
}

}  // namespace
}  // namespace podsim
