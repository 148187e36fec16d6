// `podsim show chip`: a column each, with what follows from a record.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/app/cli/program.hpp"

namespace podsim {
namespace {

std::string shown(std::vector<std::string> names) {
    names.insert(names.begin(), {"show", "chip"});
    const Outcome outcome = Folder().podsim(names);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome.out;
}

// The cells of the first row with that label.
std::string row(const std::string& table, const std::string& label) {
    for (const std::string& line : lines_of(table)) {
        if (line.rfind(label, 0) == 0) return line.substr(label.size());
    }
    return "";
}

// H100: 989.4 TFLOPS over 3,352 GB/s = 295 FLOP/B, over 700 W = 1.41 TFLOPS/W.
TEST(ShowChip, WorksOutRatios) {
    const std::string table = shown({"h100-sxm", "custom-npu"});
    EXPECT_TRUE(contains(row(table, "  memory rate: ridge, FLOP/B"), " 295 ")) << table;
    EXPECT_TRUE(contains(row(table, "  power, TFLOPS/W"), " 1.41 ")) << table;
    // 989.4 TFLOPS for 23,238 USD = 42.6 GFLOPS/USD.
    EXPECT_TRUE(contains(row(table, "  purchase, GFLOPS/USD"), " 42.6 ")) << table;
}

// Without a purchase price the silicon's counts, and the rate per dollar says so by a mark:
// V100, 125 TFLOPS over its price.
TEST(ShowChip, PriceOfSiliconWhereNobodySells) {
    const std::string table = shown({"v100", "h100-sxm", "groq-lp30"});
    const std::string cells = row(table, "  price of its silicon, USD");
    EXPECT_TRUE(contains(cells, ",") && contains(cells, " (")) << table;
    const auto json = nlohmann::json::parse(shown({"v100", "--json"}));
    const auto& silicon = json["computed"]["silicon"];
    const double price = silicon["value"]["price, USD"];
    EXPECT_LT(silicon["low"]["price, USD"], price);
    EXPECT_GT(silicon["high"]["price, USD"], price);
    const std::string rate = row(table, "  purchase, GFLOPS/USD");
    const double shown_rate = std::stod(rate);
    EXPECT_NEAR(shown_rate / (125e3 / price), 1, 0.01) << table;
    EXPECT_TRUE(contains(rate, "^")) << table;
    EXPECT_TRUE(contains(table, "^ at the price of its silicon")) << table;
    EXPECT_TRUE(contains(row(table, "  stacks or devices"), "4 x hbm2e")) << table;
    EXPECT_EQ(json["document"]["memory"]["device"], "hbm2e");
    for (const std::string& line : lines_of(table)) EXPECT_LE(line.size(), 80u) << line;
    EXPECT_FALSE(contains(shown({"h100-sxm", "h200"}), "^")) << table;
}

TEST(ShowChip, KeepsHeadlinesApartAndSaysHowAChipIsKnown) {
    const std::string table = shown({"b300", "rubin-vr200", "mi355x"});
    EXPECT_TRUE(contains(table, "headline: no answer uses it\n")) << table;
    const std::string dense = table.substr(0, table.find("headline:"));
    EXPECT_TRUE(contains(dense, "35000") && !contains(dense, "50000")) << table;
    EXPECT_TRUE(contains(row(table, "known by"), "structure       data sheet        structure"));
    EXPECT_TRUE(
        contains(row(table, "  level of detail"), "tile         analytic             tile"));
    for (const std::string& line : lines_of(table)) EXPECT_LE(line.size(), 80u) << line;
}

TEST(ShowChip, FourthChipStandsInABlockOfItsOwn) {
    const std::string table = shown({"h100-sxm", "h200", "h800", "groq-lp30"});
    std::size_t blocks = 0;
    for (const std::string& line : lines_of(table)) blocks += line.rfind("vendor", 0) == 0 ? 1 : 0;
    EXPECT_EQ(blocks, 2u);
    EXPECT_TRUE(contains(table.substr(table.find("groq-lp30")), "  SRAM, MB")) << table;
    EXPECT_FALSE(contains(table.substr(table.find("groq-lp30")), "  HBM")) << table;
}

TEST(ShowChip, OneChipHasEverySource) {
    const std::string text = shown({"ascend-910b3"});
    EXPECT_TRUE(contains(text, "Every number and its source:")) << text;
    EXPECT_TRUE(contains(text, "CANN platform configuration")) << text;
    const auto json = nlohmann::json::parse(shown({"ascend-910b3", "--json"}));
    EXPECT_EQ(json["document"]["variant_of"], "ascend-910b2");
}

TEST(RunOnADataSheet, TakesAnalyticUnasked) {
    const Folder folder;
    folder.write("e.yaml",
                 "experiment: two chips\n"
                 "workload: {kind: decode, model: llama-3.1-8b, context: 2048 tokens, "
                 "batch_per_chip: 8}\n"
                 "alternatives:\n"
                 "  - {name: known, system: hgx-h100, chips: 1}\n"
                 "  - {name: sheet, system: vr200-nvl72, chips: 1}\n");
    const Outcome outcome = folder.podsim({"run", "e.yaml"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_TRUE(contains(outcome.out, "from low to high"));
    EXPECT_TRUE(contains(outcome.out, "of rubin-vr200 only a data sheet is known")) << outcome.out;
    const Outcome refused = folder.podsim({"run", "e.yaml", "--fidelity", "tile"});
    EXPECT_EQ(refused.code, 2);
    EXPECT_TRUE(contains(refused.err, "leave --fidelity away")) << refused.err;
    // A result of two levels runs again at both.
    const Outcome again = folder.podsim({"run", "results/e/result.json", "--out", "again"});
    EXPECT_EQ(again.code, 0) << again.err;
    EXPECT_TRUE(contains(again.out, "tile         analytic")) << again.out;
}

}  // namespace
}  // namespace podsim
