// The page of docs/accuracy.md: its form on a small suite, and that the page in the tree is not
// older than the suites.
#include "app/accuracy_page.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/app/cli/program.hpp"

namespace podsim {
namespace {

SuiteReport small_suite() {
    SuiteReport report;
    report.suite = "small";
    report.title = "A small suite";
    report.limits = {{"Large ones.", "Nobody measured them."}};
    report.gate_mape = 0.12;
    report.mape = report.bias = report.worst = 0.1;
    Provenance rests_on{{{"measured", 0.75}, {"assumed", 0.25}}, 0.05};
    report.cases = {{"A", "layer_time", "us", "paper | one", "", 1000, 1100, 0.1, CaseUse::check,
                     true, rests_on},
                    {"B",
                     "layer_time",
                     "us",
                     "paper two",
                     "derived, not measured",
                     500,
                     400,
                     -0.2,
                     CaseUse::print,
                     true,
                     {}}};
    report.pairs = {{"A", "B", 2.0, 2.75, 0.375, CaseUse::print, "", "of two machines"}};
    report.gate_pairs = 0.2;
    TableReport table;
    table.table.id = "T";
    table.table.chip = "h800";
    table.table.kernels = "lib";
    table.table.source = "paper two";
    table.table.use = CaseUse::fit;
    table.table.gate.mape = 0.07;
    table.errors.rows = 42;
    table.errors.mape = 0.051;
    report.tables = {table, table};
    report.tables[1].table.id = "GONE";
    report.tables[1].table.table.file = "kernels/gone.csv";
    report.tables[1].skipped = "no kernels/gone.csv in /somewhere";
    report.fits = {{"kernels",
                    "lib",
                    "gemm.bf16",
                    {Confidence::measured, 120, 0.064, "a table", "2026-11-22", "mind"}}};
    return report;
}

TEST(AccuracyPage, SaysHowFarOffAndWhatItRestsOn) {
    const std::string page = accuracy_page({small_suite()});
    for (const char* line :
         {"# How far off podsim is\n",
          "10.0 % | +10.0 % | +10.0 % | MAPE 12.0 %, pairs 20.0 % | passed |\n",
          "| `small` | A small suite | 1 |",
          "## Out of reach, and why\n\n- `small`: **Large ones.** Nobody measured them.\n",
          "\n## small\n\nA small suite.\n\n", "| A | layer, us | 1000 | 1100 | +10.0 % | check |\n",
          "| B | layer, us | 500.0 | 400.0 | -20.0 % | print |\n",
          "| A over B | 2.000 | 2.750 | +37.5 % | print |\n",
          "- A over B (print): of two machines\n",
          "| T | h800 | lib | 42 | 5.10 % | 0 % | 0 % | 0 % | - | MAPE 7.00 % | fit |\n",
          "Skipped:\n\n- GONE: `kernels/gone.csv` was not there\n",
          "- B (print): derived, not measured\n", "- T (fit): no reason is given\n",
          "rest on: 75 % measured, 25 % assumed.\n",
          "| kernels `lib` | gemm.bf16 | measured | 120 | 6.40 % | 2026-11-22 | a table; mind |\n",
          "Published by:\n\n- paper | one\n- paper two\n"}) {
        EXPECT_TRUE(contains(page, line)) << line << "\n--- is not in\n" << page;
    }
    EXPECT_FALSE(contains(page, "/somewhere"));
    EXPECT_EQ(page, accuracy_page({small_suite()}));
}

// Every row of a table has as many cells as its head.
TEST(AccuracyPage, TablesAreWhole) {
    SuiteReport suite = small_suite();
    suite.title = "a | bar\nand a break";
    std::size_t bars = 0;
    for (const std::string& line : lines_of(accuracy_page({suite}))) {
        std::size_t count = 0;
        for (std::size_t i = 0; i < line.size(); ++i)
            count += line[i] == '|' && (i == 0 || line[i - 1] != '\\');
        if (line.empty() || line[0] != '|') {
            bars = 0;
            continue;
        }
        if (bars == 0) bars = count;
        EXPECT_EQ(count, bars) << line;
    }
}

TEST(AccuracyPage, IsWhatMarkdownPrints) {
    const Folder folder;
    folder.write("suites/ep.yaml", R"(suite: one
title: One transfer
limits: [{what: Other sizes., why: They are not published.}]
cases:
  - id: CM
    experiment:
      workload: {kind: collective, collective: {type: dispatch, ranks: 8, tokens_per_rank: 128, hidden: 7168, top_k: 8, element_bytes: 1, scale_block: 7168}}
      alternatives: [{system: cloudmatrix384, chips: 4, collectives: cann}]
    metric: collective_time
    published: 116 us
    use: check
    source: a paper
)");
    const Outcome outcome = folder.podsim({"validate", "--markdown", "--suites", "suites"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.out.rfind("# How far off podsim is\n", 0), 0u) << outcome.out;
    EXPECT_TRUE(contains(outcome.out, "- `one`: **Other sizes.** They are not published.\n"));
    EXPECT_TRUE(contains(outcome.out, "| collectives `cann` | dispatch | ")) << outcome.out;
    EXPECT_FALSE(contains(outcome.out, "kernels `")) << outcome.out;  // none runs
    EXPECT_EQ(folder.podsim({"validate", "--markdown", "--suites", "suites"}).out, outcome.out);
    const Outcome both = folder.podsim({"validate", "--markdown", "--json"});
    EXPECT_EQ(both.code, 2);
    EXPECT_TRUE(contains(both.err, "choose one")) << both.err;
}

TEST(AccuracyPage, InTheTreeHasEverySuite) {
    const std::string root = PODSIM_SOURCE_DIR;
    std::ifstream file(root + "/docs/accuracy.md");
    std::ostringstream text;
    text << file.rdbuf();
    for (const auto& entry : std::filesystem::directory_iterator(root + "/bench/validation")) {
        if (entry.path().extension() != ".yaml") continue;
        const std::string suite = entry.path().stem().string();
        EXPECT_TRUE(contains(text.str(), "\n| `" + suite + "` |") &&
                    contains(text.str(), "\n## " + suite + "\n"))
            << suite << ": podsim validate --markdown --data DIR > docs/accuracy.md";
    }
}

}  // namespace
}  // namespace podsim
