// The table a run prints, from Results made by hand.
#include "app/comparison.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "app/text_table.hpp"
#include "app/timeline.hpp"
#include "tests/app/cli/program.hpp"

namespace podsim {
namespace {

AlternativeResult alternative(const std::string& name) {
    AlternativeResult a;
    a.name = name;
    a.system = "a-system";
    a.chip = "a-chip";
    a.fidelity = "tile";
    a.packages = 160;
    a.ranks = 320;
    a.iteration_seconds = 0.080;
    const Provenance measured{{{"measured", 0.58}, {"specified", 0.27}, {"assumed", 0.15}}, 0.07};
    a.metrics = {{"decode_tokens_per_second_per_chip", 1943.21, "tok/s", {}, {}, measured},
                 {"utilization_hbm", 0.5012, "share", {}, {}, measured},
                 {"usd_per_million_output_tokens", 0.1631, "USD/Mtok", {}, {}, measured},
                 {"usd_per_million_output_tokens_owned", 0.21, "USD/Mtok", {}, {}, measured},
                 {"colour", 3.5, "hue", {}, {}, {}}};
    a.breakdown = {{"attention", 0.060, 0.75}, {"kernel gaps", 0.020, 0.25}};
    a.memory = {{"ranks", 320, {{"weights", 30e9}}, 30e9, 64e9},
                {"others", 32, {{"weights", 40e9}}, 40e9, 64e9}};
    a.bounds = {0.040, 0.060, 0.070, 0.160};
    a.cost = {{"rental", 1.2, {}, {}, "rumour", "hearsay", {{"rental", 1.2}}},
              {"owned", 1.5, {}, {}, "estimate", "", {}}};
    a.audit = {{"no resource above 100 %", true, ""}, {"memory fits", true, ""}};
    a.neighbour = "analytic";
    a.neighbour_gap = -0.067;
    return a;
}

Result result_of(std::vector<AlternativeResult> alternatives) {
    Result result;
    result.experiment = "By hand";
    result.kind = "decode";
    result.seed = 3;
    result.alternatives = std::move(alternatives);
    return result;
}

// The line that begins with this label, blanks squeezed.
std::string row(const std::string& text, const std::string& label) {
    for (const std::string& line : lines_of(text)) {
        if (line.rfind("  " + label, 0) != 0) continue;
        std::string squeezed;
        for (const char c : line) {
            if (c != ' ' || (!squeezed.empty() && squeezed.back() != ' ')) squeezed += c;
        }
        return squeezed;
    }
    return "";
}

TEST(Comparison, RowsHaveUnitsAndFourDigits) {
    const std::string text = comparison_text(result_of({alternative("One"), alternative("Two")}));
    EXPECT_EQ(row(text, "decode per chip"), "decode per chip, tok/s 1943 1943") << text;
    EXPECT_EQ(row(text, "HBM bandwidth"), "HBM bandwidth, % 50.1 50.1");
    EXPECT_EQ(row(text, "chips (ranks)"), "chips (ranks) 160 (320) 160 (320)");
    EXPECT_EQ(row(text, "of capacity"), "of capacity, GB 64.00 64.00");
    EXPECT_EQ(row(text, "colour"), "colour, hue 3.500 3.500");  // an unknown metric is shown
    EXPECT_EQ(row(text, "attention"), "attention 75.0 ########## 75.0 ##########");
    EXPECT_EQ(row(text, "kernel gaps"), "kernel gaps 25.0 ###....... 25.0 ###.......");
    // 40, 60, 70 and 160 of 80 ms.
    EXPECT_EQ(row(text, "roofline"), "roofline: never below 50.0 50.0");
    EXPECT_EQ(row(text, "serial"), "serial: never above 200 200");
    EXPECT_EQ(row(text, "analytic"), "analytic differs by -6.70 -6.70");
    EXPECT_EQ(row(text, "prefill"), "");  // what no alternative has is left out
    EXPECT_EQ(row(text, "engine"), "");
}

TEST(Comparison, CostByBasisAndRumoursAreMarked) {
    AlternativeResult owned = alternative("Owned");
    owned.cost = {{"owned", 2.5, {}, {}, "estimate", "", {}}};
    owned.metrics = {{"usd_per_million_output_tokens", 0.4, "USD/Mtok", {}, {}, {}}};
    const std::string text = comparison_text(result_of({alternative("Both"), owned}));
    const auto lines = lines_of(text);
    const auto begin = std::find(lines.begin(), lines.end(), "cost of renting the chips");
    const auto then = std::find(lines.begin(), lines.end(), "cost of owning the chips");
    ASSERT_LT(begin, then) << text;
    ASSERT_NE(then, lines.end()) << text;
    const auto tokens = [&](auto from) {
        return row(*std::find_if(from, lines.end(),
                                 [](const std::string& line) {
                                     return contains(line, "million output tokens");
                                 }),
                   "million");
    };
    EXPECT_EQ(tokens(begin), "million output tokens, USD 0.163* -");
    EXPECT_EQ(tokens(then), "million output tokens, USD 0.210 0.400");
    EXPECT_TRUE(contains(text, "* rental price of a-chip is a rumour: hearsay\n")) << text;
}

TEST(Comparison, BandsAreShownUnderTheirValue) {
    AlternativeResult a = alternative("One");
    a.metrics[0].low = 1800;
    a.metrics[0].high = 2100;
    const std::string text = comparison_text(result_of({a}));
    EXPECT_EQ(row(text, "  from low to high"), "from low to high 1800 to 2100") << text;
}

TEST(Comparison, MoreThanThreeComeInBlocks) {
    std::vector<AlternativeResult> many;
    for (const char* name : {"A", "B", "C", "D", "E", "F", "G"}) many.push_back(alternative(name));
    const std::string text = comparison_text(result_of(many));
    std::size_t blocks = 0;
    for (const std::string& line : lines_of(text)) {
        blocks += line == "what runs" ? 1 : 0;
        EXPECT_LE(display_width(line), 80u) << line;
    }
    EXPECT_EQ(blocks, 3u);
}

TEST(Comparison, PartsBeyondEightAreSummed) {
    AlternativeResult a = alternative("One");
    a.breakdown.clear();
    for (int i = 0; i < 12; ++i) a.breakdown.push_back({"part " + std::to_string(i), 0.01, 0.08});
    a.breakdown.push_back({"rest", 0.01, 0.04});
    const std::string text = comparison_text(result_of({a}));
    EXPECT_EQ(row(text, "5 other parts"), "5 other parts 36.0 ##########") << text;
}

TEST(Notes, ProvenanceAndWhatIsUnequal) {
    AlternativeResult guessed = alternative("Guessed");
    for (Metric& metric : guessed.metrics) metric.rests_on = {{{"assumed", 1.0}}, 0};
    const std::string text = comparison_notes(result_of({alternative("Known"), guessed}));
    EXPECT_TRUE(contains(text,
                         "  Known: 58 % measured (held-out error 7 %), 27 % specified, 15 % "
                         "assumed\n"))
        << text;
    EXPECT_TRUE(contains(
        text, "Compare with care: 100 % of the time of Guessed is assumed, 15 % of Known.\n"))
        << text;
    AlternativeResult close = alternative("Close");
    for (Metric& metric : close.metrics) {
        metric.rests_on = {{{"measured", 0.66}, {"assumed", 0.34}}, 0};
    }
    EXPECT_FALSE(contains(comparison_notes(result_of({alternative("Known"), close})), "with care"));
}

TEST(Notes, AWarningOfManyIsSaidOnce) {
    AlternativeResult one = alternative("One"), two = alternative("Two");
    one.warnings = {"a shape outside the tables", "another"};
    two.warnings = {"a shape outside the tables"};
    const std::string text = comparison_notes(result_of({one, two}));
    EXPECT_TRUE(contains(text, "  One, Two: a shape outside the tables\n  One: another\n")) << text;
}

TEST(Notes, AuditInWords) {
    EXPECT_TRUE(contains(comparison_notes(result_of({alternative("One")})),
                         "audit: passed, 2 laws hold for every alternative\n"));
    AlternativeResult dense = alternative("Dense");
    dense.audit.push_back({"not checked: links carry what the experts exchange", true,
                           "not checked: the model has no experts"});
    const std::string text = comparison_notes(result_of({alternative("One"), dense, dense}));
    EXPECT_TRUE(contains(text,
                         "audit: passed, 2 laws hold for every alternative\n  not checked: links "
                         "carry what the experts exchange (the model has no experts)\n"))
        << text;
    EXPECT_EQ(text.find("not checked"), text.rfind("not checked"));
    AlternativeResult broken = alternative("Broken");
    broken.audit[1] = {"memory fits", false, "70 GB of 64 GB"};
    const Result result = result_of({alternative("One"), broken});
    EXPECT_TRUE(contains(comparison_notes(result), "audit: FAILED, 1 law is broken"));
    EXPECT_EQ(audit_breaches(result),
              (std::vector<std::string>{"Broken breaks the law \"memory fits\": 70 GB of 64 GB"}));
}

TEST(Timeline, EventsTracksAndCounters) {
    AlternativeResult a = alternative("One");
    a.iteration_seconds = 4e-6;
    a.timeline = {{"gemm", "compute", "launch", 0, 1e-6, 3, 1},
                  {"gemm", "compute", "work", 1e-6, 2.5e-6, 3, 1},
                  {"host step", "host", "work", 3.5e-6, 0.5e-6, -1, 0}};
    a.resources = {{"HBM", "ranks", 0.5, 1.0, 1, "B", 1, {1.0, 0.0}}};
    const auto trace = nlohmann::ordered_json::parse(timeline_json(result_of({a})));
    std::vector<nlohmann::ordered_json> work, counters;
    for (const auto& event : trace["traceEvents"]) {
        if (event["ph"] == "X") work.push_back(event);
        if (event["ph"] == "C") counters.push_back(event);
    }
    ASSERT_EQ(work.size(), 3u);
    EXPECT_EQ(work[0]["name"], "gemm (launch)");
    EXPECT_EQ(work[1]["name"], "gemm");
    EXPECT_EQ(work[1]["ts"], 1.0);
    EXPECT_EQ(work[1]["dur"], 2.5);
    EXPECT_EQ(work[1]["args"]["layer"], 3);
    EXPECT_FALSE(work[2]["args"].contains("layer"));
    EXPECT_EQ(work[1]["tid"], work[0]["tid"]);
    EXPECT_NE(work[2]["tid"], work[0]["tid"]);
    ASSERT_EQ(counters.size(), 3u);  // two windows of 2 us, and the end
    EXPECT_EQ(counters[0]["args"]["used"], 100.0);
    EXPECT_EQ(counters[1]["ts"], 2.0);
    EXPECT_EQ(counters[2]["args"]["used"], 0.0);
}

}  // namespace
}  // namespace podsim
