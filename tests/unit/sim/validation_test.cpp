#include "sim/validation.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <filesystem>
#include <limits>

#include "sim/validation_suite.hpp"

namespace podsim {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;

const Catalog& catalog() {
    static const Catalog shipped(PODSIM_SOURCE_DIR "/configs");
    return shipped;
}

SuiteReport run(const std::string& text) {
    return run_suite(parse_yaml(text, "suite.yaml"), catalog(), RunOptions{});
}

std::vector<std::string> problems(const std::string& text) {
    std::vector<std::string> lines;
    try {
        run(text);
    } catch (const InputError& error) {
        for (const auto& diagnostic : error.diagnostics()) lines.push_back(to_string(diagnostic));
    }
    return lines;
}

// What a dispatch of 128 tokens over 8 GPUs takes, by the experiment alone.
double dispatch_microseconds() {
    Catalog own = catalog();
    const Node experiment = parse_yaml(R"(
experiment: dispatch
workload:
  kind: collective
  collective: {type: dispatch, ranks: 8, tokens_per_rank: 128, hidden: 7168, top_k: 8,
               element_bytes: 1, scale_block: 128}
alternatives: [{name: one, system: h800-ib, chips: 8}]
)",
                                       "experiment.yaml");
    const Result result = run_experiment(experiment, own, RunOptions{});
    return result.alternatives.front().metric("collective_time")->value;
}

// Cases that publish what is simulated over 1.1 and over 0.8: errors of +10 % and -20 %.
std::string two_cases(const std::string& gates, const std::string& more = "") {
    const double simulated = dispatch_microseconds();
    return fmt::format(R"(
suite: made-up
title: Two dispatches
gates: {}
defaults:
  workload:
    kind: collective
    collective: {{type: dispatch, tokens_per_rank: 128, hidden: 7168, top_k: 8, element_bytes: 1, scale_block: 128}}
  alternative: {{system: h800-ib, chips: 8}}
cases:
  - {{id: above, experiment: {{workload: {{collective: {{ranks: 8}}}}}}, metric: collective_time,
     published: {:.17g} us, use: check, source: made up}}
  - {{id: below, experiment: {{workload: {{collective: {{ranks: 8}}}}}}, metric: collective_time,
     published: {:.17g} ms, use: check, source: made up, note: in another unit}}
{})",
                       gates, simulated / 1.1, simulated / 0.8 / 1000, more);
}

TEST(Validation, ScoresAreMeansOverCheckedCases) {
    const SuiteReport report = run(two_cases("{mape: 15.001 %, worst: 21 %}", R"(
  - {id: fitted, experiment: {workload: {collective: {ranks: 8}}}, metric: collective_time,
     published: 1 us, use: fit, source: made up}
  - {id: shown, experiment: {workload: {collective: {ranks: 8}}}, metric: collective_time,
     published: 1 us, use: print, source: made up}
pairs: [{first: above, second: below}]
)"));
    EXPECT_EQ(report.suite, "made-up");
    EXPECT_EQ(report.title, "Two dispatches");
    ASSERT_EQ(report.cases.size(), 4u);
    EXPECT_NEAR(report.cases[0].error, 0.1, 1e-9);
    EXPECT_NEAR(report.cases[1].error, -0.2, 1e-9);
    EXPECT_NEAR(report.cases[1].simulated, dispatch_microseconds() / 1000, 1e-12);
    EXPECT_EQ(report.cases[1].unit, "ms");
    EXPECT_EQ(report.cases[1].note, "in another unit");
    EXPECT_EQ(report.cases[2].use, CaseUse::fit);
    EXPECT_NEAR(report.mape, 0.15, 1e-9);
    EXPECT_NEAR(report.bias, -0.05, 1e-9);
    EXPECT_NEAR(report.worst, -0.2, 1e-9);
    EXPECT_TRUE(report.passed);
    // Both simulate the same; published they are as 0.8 to 1.1, units apart.
    ASSERT_EQ(report.pairs.size(), 1u);
    EXPECT_NEAR(report.pairs[0].published, 0.8 / 1.1, 1e-9);
    EXPECT_NEAR(report.pairs[0].simulated, 1, 1e-9);
    EXPECT_NEAR(report.pairs[0].error, 1.1 / 0.8 - 1, 1e-9);
}

TEST(Validation, AGateThatIsNotKeptFailsTheSuite) {
    EXPECT_FALSE(run(two_cases("{mape: 14.999 %}")).passed);
    EXPECT_FALSE(run(two_cases("{worst: 19.999 %}")).passed);
    EXPECT_TRUE(run(two_cases("{}")).passed);
}

// Both cases simulate the same: their ratio is 1, published 0.8 / 1.1 = 0.727 as the cases', or 0.9
// as stated.
TEST(Validation, RatiosHaveAGateOfTheirOwn) {
    const auto with = [](const char* gate, const char* pair) {
        return run(
            two_cases(gate, fmt::format("pairs: [{{first: above, second: below{}}}]\n", pair)));
    };
    EXPECT_TRUE(with("{pairs: 37.501 %}", "").passed);
    EXPECT_FALSE(with("{pairs: 37.499 %}", "").passed);
    EXPECT_TRUE(with("{pairs: 37.499 %}", ", use: print").passed);
    const char* const stated = ", published: 0.9, source: made up";
    EXPECT_NEAR(with("{}", stated).pairs[0].error, 1 / 0.9 - 1, 1e-9);
    EXPECT_TRUE(with("{pairs: 11.112 %}", stated).passed);
    EXPECT_FALSE(with("{pairs: 11.111 %}", stated).passed);
}

TEST(Validation, OfAPrintedCaseOnlyARatioMayBePublished) {
    const char* const unpublished = R"(
  - {id: other, experiment: {workload: {collective: {ranks: 8}}}, metric: collective_time,
     use: print, source: made up}
pairs: [{first: other, second: above, published: 2, source: made up}]
)";
    const SuiteReport report = run(two_cases("{pairs: 50.1 %}", unpublished));
    EXPECT_TRUE(report.passed);
    EXPECT_TRUE(std::isnan(report.cases[2].published));
    EXPECT_EQ(report.cases[2].unit, "us");
    EXPECT_NEAR(report.cases[2].simulated, dispatch_microseconds(), 1e-9);
    EXPECT_NEAR(report.pairs[0].simulated, 1, 1e-9);
    EXPECT_NEAR(report.pairs[0].error, -0.5, 1e-9);

    const auto problems_of = [](const std::string& more) -> std::string {
        try {
            (void)run(two_cases("{}", more));
        } catch (const InputError& error) {
            return error.what();
        }
        return "";
    };
    EXPECT_THAT(
        problems_of(R"(
  - {id: other, experiment: {workload: {collective: {ranks: 8}}}, metric: collective_time,
     use: check, source: made up}
)"),
        ::testing::HasSubstr("cases.other.published: is missing; only a case with use: print"));
    EXPECT_THAT(problems_of(R"(
  - {id: other, experiment: {workload: {collective: {ranks: 8}}}, metric: collective_time,
     use: print, source: made up}
pairs: [{first: other, second: above}]
)"),
                ::testing::HasSubstr("pairs.0.published: is missing"));
    EXPECT_THAT(problems_of("pairs: [{first: below, second: above, published: 2}]\n"),
                ::testing::HasSubstr("a published ratio needs one"));
}

TEST(Validation, ABrokenLawOrNoNumberFailsTheSuite) {
    SuiteReport report;
    report.cases = {CaseReport{}, CaseReport{}};
    score(report);
    EXPECT_TRUE(report.passed);
    report.cases[1].use = CaseUse::print;
    report.cases[1].audit_passed = false;
    score(report);
    EXPECT_FALSE(report.passed);
    report.passed = report.cases[1].audit_passed = true;
    report.cases[1].error = std::numeric_limits<double>::quiet_NaN();
    score(report);
    EXPECT_FALSE(report.passed);
}

TEST(Validation, CasesAreLaidOverTheDefaults) {
    const SuiteReport report = run(R"(
suite: made-up
defaults:
  workload: {kind: decode, model: deepseek-r1, context: 1024 tokens, speculation: {draft_tokens: 1, acceptance: 1}}
  alternative: {system: h800-ib, chips: 32, precision: {weights: fp8, experts: fp8, activations: fp8}}
cases:
  - {id: A, experiment: {workload: {batch_per_chip: 16}}, metric: decode_tokens_per_second_per_chip,
     published: 1 tok/s, use: print, source: made up}
  - {id: B, experiment: {workload: {batch_per_chip: 16, speculation: {draft_tokens: 0, acceptance: 0}}},
     metric: decode_tokens_per_second_per_chip, published: 1 tok/s, use: print, source: made up}
  - id: C
    experiment: {workload: {batch_per_chip: 16}, alternatives: [{chips: 64}]}
    metric: decode_tokens_per_second_per_chip
    published: 1 tok/s
    use: print
    source: made up
)");
    EXPECT_GT(report.cases[0].simulated, 1.2 * report.cases[1].simulated);  // drafts are believed
    EXPECT_NE(report.cases[2].simulated, report.cases[0].simulated);
    for (const auto& one : report.cases) EXPECT_TRUE(one.audit_passed) << one.id;
}

TEST(Validation, EverythingWrongIsSaidAtOnceWithItsPlace) {
    const auto lines = problems(R"(suite: made-up
gates: {mape: 5 %}
cases:
  - {id: A, experiment: {}, metric: decode_tokens_per_sec_per_chip, published: 1 tok/s, use: print, source: made up}
  - {id: A, experiment: {}, metric: layer_time, published: 1 tok/s, use: print, source: made up}
  - {id: B, experiment: {alternatives: [{name: a}, {name: b}]}, metric: layer_time, published: 874, use: print, source: made up}
  - {id: C, experiment: {}, metric: layer_time, published: -874 us, use: print, source: made up}
pairs: [{first: A, second: D}]
)");
    EXPECT_THAT(lines, Contains(AllOf(HasSubstr("suite.yaml:4:37: cases.A.metric: unknown metric"),
                                      HasSubstr("decode_tokens_per_second_per_chip"))));
    EXPECT_THAT(lines, Contains(HasSubstr("suite.yaml:5:5: cases.A: there is a case of this id")));
    EXPECT_THAT(lines, Contains(AllOf(HasSubstr("cases.A.published"), HasSubstr("a rate of tokens"),
                                      HasSubstr("expected a time"))));
    EXPECT_THAT(lines,
                Contains(AllOf(HasSubstr("cases.B.experiment.alternatives"),
                               HasSubstr("2 alternatives, expected a list of exactly one"))));
    EXPECT_THAT(lines,
                Contains(AllOf(HasSubstr("cases.B.published"), HasSubstr("a unit belongs"))));
    EXPECT_THAT(lines, Contains(AllOf(HasSubstr("cases.C.published"), HasSubstr("above 0"))));
    EXPECT_THAT(lines, Contains(AllOf(HasSubstr("pairs.0.second"), HasSubstr("unknown case"))));
    EXPECT_THAT(lines, Contains(HasSubstr("gates: there is no case with use: check")));
    EXPECT_EQ(lines.size(), 8u) << testing::PrintToString(lines);
}

TEST(Validation, KeysAreKnownOnes) {
    const auto lines = problems(R"(suite: made-up
gate: {mape: 5 %}
cases:
  - {id: A, experiment: {}, metric: layer_time, published: 1 us, use: checked}
)");
    EXPECT_THAT(lines, Contains(HasSubstr("suite.yaml:2:1: gate: unknown key")));
    EXPECT_THAT(lines, Contains(HasSubstr("source")));
    EXPECT_THAT(lines, Contains(AllOf(HasSubstr("use"), HasSubstr("check"))));
}

TEST(Validation, WhatIsWrongWithAnExperimentIsFoundBeforeAnythingRuns) {
    const auto lines = problems(R"(suite: made-up
cases:
  - id: A
    experiment: {workload: {kind: decode, model: deepseek-r1, context: 1 us, batch_per_chip: 1}, alternatives: [{system: h800-ib, chips: 32}]}
    metric: layer_time
    published: 1 us
    use: print
    source: made up
  - id: B
    experiment: {workload: {kind: decode, model: deepseek-r1, context: 4096 tokens, batch_per_chip: 1}, alternatives: [{system: h800-ibb, chips: 32}]}
    metric: layer_time
    published: 1 us
    use: print
    source: made up
)");
    EXPECT_THAT(lines, Contains(AllOf(HasSubstr("suite.yaml:4:"),
                                      HasSubstr("cases.A.experiment.workload.context"))));
    EXPECT_THAT(lines, Contains(AllOf(HasSubstr("suite.yaml:10:"),
                                      HasSubstr("cases.B.experiment.alternatives.B.system"),
                                      HasSubstr("h800-ib"))));
}

TEST(Validation, AMetricThatTheRunDoesNotGive) {
    EXPECT_THAT(problems(two_cases("{}", R"(
  - {id: other, experiment: {workload: {collective: {ranks: 8}}}, metric: layer_time,
     published: 1 us, use: print, source: made up}
)")),
                Contains(AllOf(HasSubstr("cases.other.metric: layer_time is not what this run"),
                               HasSubstr("collective_time"))));
}

TEST(Validation, JsonHasTheKeysOfTheContract) {
    const auto json =
        to_json({run(two_cases("{mape: 20 %}", "pairs: [{first: above, second: below}]\n"))});
    const auto& suite = json.at("suites").at(0);
    EXPECT_EQ(suite.at("suite"), "made-up");
    EXPECT_NEAR(suite.at("mape").get<double>(), 0.15, 1e-9);
    EXPECT_NEAR(suite.at("bias").get<double>(), -0.05, 1e-9);
    EXPECT_NEAR(suite.at("worst").get<double>(), -0.2, 1e-9);
    EXPECT_EQ(suite.at("passed"), true);
    const auto& one = suite.at("cases").at(0);
    EXPECT_EQ(one.at("id"), "above");
    EXPECT_EQ(one.at("metric"), "collective_time");
    EXPECT_EQ(one.at("use"), "check");
    EXPECT_NEAR(one.at("simulated").get<double>() / one.at("published").get<double>(), 1.1, 1e-9);
    EXPECT_NEAR(one.at("error").get<double>(), 0.1, 1e-9);
    EXPECT_EQ(suite.at("pairs").size(), 1u);
}

TEST(Validation, SchemaDescribesWhatIsRead) {
    const auto schema = suite_schema();
    const auto& properties = schema.at("properties");
    for (const char* key : {"suite", "title", "gates", "defaults", "cases", "pairs"}) {
        EXPECT_TRUE(properties.contains(key)) << key;
    }
    EXPECT_EQ(properties.at("cases").at("items").at("properties").at("use").at("enum"),
              (nlohmann::ordered_json{"fit", "check", "print"}));
}

// The suites of the repository run and break no law.
TEST(Validation, ShippedSuitesRun) {
    int suites = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(PODSIM_SOURCE_DIR "/bench/validation")) {
        if (entry.path().extension() != ".yaml") continue;
        ++suites;
        const SuiteReport report =
            run_suite(read_yaml(entry.path().string()), catalog(), RunOptions{});
        EXPECT_EQ(report.suite, entry.path().stem().string());
        for (const auto& one : report.cases) {
            EXPECT_TRUE(one.audit_passed) << report.suite << " " << one.id;
            EXPECT_TRUE(std::isfinite(std::isnan(one.published) ? one.simulated : one.error))
                << report.suite << " " << one.id;
            EXPECT_FALSE(one.source.empty()) << report.suite << " " << one.id;
        }
    }
    EXPECT_GE(suites, 3);
}

}  // namespace
}  // namespace podsim
