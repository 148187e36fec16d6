// `podsim validate` on suites of known outcome: published is what podsim itself answers, times a
// factor.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include <nlohmann/json.hpp>

#include "app/validation_table.hpp"
#include "tests/app/cli/program.hpp"

namespace podsim {
namespace {

using Json = nlohmann::ordered_json;

class Validate : public testing::Test {
  protected:
    Validate() {
        folder_.write("e.yaml", kGemm);
        const Json result = Json::parse(folder_.podsim({"run", "e.yaml", "--json"}).out);
        simulated_ = result["alternatives"][0]["metrics"]["operator_time"]["value"];
    }

    // One checked case, published at `factor` of what podsim says.
    void suite(const std::string& name, double factor) {
        folder_.write("suites/" + name + ".yaml", fmt::format(R"(suite: {}
title: A suite with a title
gates: {{mape: 12 %, worst: 20 %}}
cases:
  - id: ONE
    experiment:
      workload:
        kind: operator
        operator: {{type: gemm, m: 4096, n: 4096, k: 7168}}
      alternatives: [{{name: H800, system: h800-ib, chips: 1}}]
    metric: operator_time
    published: {} us
    use: check
    source: this test
)",
                                                              name, simulated_ * factor));
    }

    Folder folder_;
    double simulated_ = 0;
};

TEST_F(Validate, PassesWithinItsGates) {
    suite("near", 1.0 / 1.1);  // simulated is 10 % above published
    const Outcome outcome = folder_.podsim({"validate", "--suites", "suites"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_TRUE(contains(outcome.out, "near: A suite with a title\n")) << outcome.out;
    EXPECT_TRUE(contains(outcome.out, "+10.0 %\n")) << outcome.out;
    EXPECT_TRUE(contains(outcome.out,
                         "MAPE 10.0 % (gate 12.0 %), bias +10.0 %, worst +10.0 % (gate 20.0 %)"))
        << outcome.out;
    EXPECT_TRUE(contains(outcome.out, "passed")) << outcome.out;
    for (const std::string& line : lines_of(outcome.out)) EXPECT_LE(line.size(), 80u) << line;
}

TEST_F(Validate, FailsBeyondThemWithStatusOne) {
    suite("far", 2.0);
    suite("near", 1.0);
    const Outcome outcome = folder_.podsim({"validate", "--suites", "suites", "--summary"});
    EXPECT_EQ(outcome.code, 1) << outcome.err;
    const auto lines = lines_of(outcome.out);
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_TRUE(contains(lines[0], "far ") && contains(lines[0], "FAILED")) << lines[0];
    EXPECT_TRUE(contains(lines[0], "-50.0 %")) << lines[0];
    EXPECT_TRUE(contains(lines[1], "near ") && contains(lines[1], "passed")) << lines[1];
    EXPECT_EQ(folder_.podsim({"validate", "near", "--suites", "suites"}).code, 0);
    EXPECT_EQ(folder_.podsim({"validate", "suites/far.yaml"}).code, 1);
}

TEST_F(Validate, JsonHasTheKeysOfTheContract) {
    suite("near", 1.0 / 1.05);
    const Outcome outcome = folder_.podsim({"validate", "--json", "--suites", "suites"});
    const Json json = Json::parse(outcome.out);
    ASSERT_EQ(json["suites"].size(), 1u);
    const Json& one = json["suites"][0];
    EXPECT_EQ(one["suite"], "near");
    EXPECT_EQ(one["passed"], true);
    EXPECT_NEAR(one["mape"].get<double>(), 0.05, 1e-9);
    EXPECT_NEAR(one["bias"].get<double>(), 0.05, 1e-9);
    EXPECT_NEAR(one["worst"].get<double>(), 0.05, 1e-9);
    const Json& first = one["cases"][0];
    EXPECT_EQ(first["id"], "ONE");
    EXPECT_EQ(first["metric"], "operator_time");
    EXPECT_EQ(first["use"], "check");
    EXPECT_NEAR(first["simulated"].get<double>(), simulated_, 1e-9 * simulated_);
    EXPECT_NEAR(first["error"].get<double>(), 0.05, 1e-9);
}

TEST_F(Validate, ASettingChangesWhatIsSimulated) {
    suite("near", 1.0);
    // A tenth of the compute: the product takes far longer than published.
    const std::vector<std::string> slow = {"validate",
                                           "--suites",
                                           "suites",
                                           "--set",
                                           "chip:h800.cores.clock=183 MHz",
                                           "--set",
                                           "chip:h800.peak_matrix={bf16: 98.94 TFLOPS}"};
    const Outcome outcome = folder_.podsim(slow);
    EXPECT_EQ(outcome.code, 1) << outcome.err;
}

TEST_F(Validate, ProblemsOfASuiteAreTold) {
    folder_.write("suites/bad.yaml", "suite: bad\ncases: [{id: A, metric: layer_tiem}]\n");
    const Outcome outcome = folder_.podsim({"validate", "bad", "--suites", "suites"});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(outcome.out, "");
    EXPECT_TRUE(contains(outcome.err, "suites/bad.yaml:2:")) << outcome.err;
    EXPECT_EQ(folder_.podsim({"check", "suites/bad.yaml"}).code, 2);
}

TEST(SuiteTable, CasesThatDoNotCountAndPairsAreMarked) {
    SuiteReport report;
    report.suite = "s";
    report.cases = {{"A", "layer_time", "us", "", "", 1000, 1100, 0.1, CaseUse::check, true},
                    {"B", "layer_time", "us", "", "", 500, 500, 0.0, CaseUse::fit, true},
                    {"C", "layer_time", "us", "", "", 500, 400, -0.2, CaseUse::print, false}};
    report.pairs = {{"A", "B", 2.0, 2.2, 0.1, CaseUse::check, "", ""},
                    {"A", "C", 2.0, 3.0, 0.5, CaseUse::print, "", ""}};
    report.gate_pairs = 0.2;
    report.cases[2].published = report.cases[2].error = std::nan("");
    report.mape = report.bias = report.worst = 0.1;
    const std::string text = suite_table(report);
    EXPECT_TRUE(contains(
        text, "  A layer, us                                     1000        1100     +10.0 %\n"))
        << text;
    EXPECT_TRUE(contains(text, "B layer, us [fit]")) << text;
    EXPECT_TRUE(contains(text, "C layer, us [print] [BREAKS A LAW]")) << text;
    EXPECT_TRUE(contains(text, "ratios between cases (gate 20.0 %)")) << text;
    EXPECT_TRUE(contains(text, "A over C [print]")) << text;
    EXPECT_TRUE(contains(text, "A over B")) << text;
    EXPECT_TRUE(contains(text, "over 1 case: passed")) << text;
}

}  // namespace
}  // namespace podsim
