// A Result as JSON and CSV.
#include "sim/result.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <limits>

namespace podsim {
namespace {

Result small() {
    AlternativeResult a;
    a.name = "A, \"the first\"";
    a.packages = 2;
    a.ranks = 4;
    a.iteration_seconds = 0.5;
    a.metrics = {
        {"layer_time", 1.5, "us", 1.0, {}, {{{"measured", 0.75}, {"assumed", 0.25}}, 0.1}}};
    a.breakdown = {{"attention", 0.5, 1.0}};
    OperatorRow row;
    row.name = "gemm";
    row.shape = "4 x 5,\n6";
    row.count = 3;
    row.seconds_each = 0.1;
    row.flops_each = 1e15;
    row.critical = {2, 0.5, 0, 0, 0, 0.25, 0.125};
    a.operators = {row};
    a.resources = {{"HBM", "ranks", 0.5, 0.75, 3, "B", 6, {0.25, 0.75}}};
    a.memory = {{"ranks", 4, {{"weights", 7}}, 7, 8}};
    a.cost = {{"rental", 1.25, {}, {}, "rumour", "hearsay", {{"chip", 1.0}, {"power", 0.25}}}};
    a.audit = {{"memory fits", true, "7 of 8"}};
    a.warnings = {"beware"};
    Result result;
    result.experiment = "small";
    result.kind = "operator";
    result.seed = 18446744073709551615u;
    result.alternatives = {a};
    result.configuration = {{"experiment", {{"a", 1}}}};
    return result;
}

TEST(ResultJson, SaysEverything) {
    const auto json = to_json(small());
    EXPECT_EQ(json["schema_version"], kResultSchemaVersion);
    EXPECT_EQ(json["model_code_version"], kModelCodeVersion);
    EXPECT_EQ(json["seed"].get<std::uint64_t>(), 18446744073709551615u);
    EXPECT_EQ(json["configuration"]["experiment"]["a"], 1);
    const auto& a = json["alternatives"][0];
    EXPECT_EQ(a["name"], "A, \"the first\"");
    const auto& metric = a["metrics"]["layer_time"];
    EXPECT_EQ(metric["value"], 1.5);
    EXPECT_EQ(metric["unit"], "us");
    EXPECT_EQ(metric["low"], 1.0);
    EXPECT_FALSE(metric.contains("high"));
    EXPECT_EQ(metric["rests_on"]["shares"]["measured"], 0.75);
    EXPECT_EQ(metric["rests_on"]["measured_error"], 0.1);
    EXPECT_EQ(a["breakdown"][0]["part"], "attention");
    EXPECT_EQ(a["operators"][0]["count"], 3);
    EXPECT_EQ(a["resources"][0]["windows"][1], 0.75);
    EXPECT_EQ(a["memory"][0]["parts"][0]["bytes"], 7.0);
    EXPECT_EQ(a["cost"][0]["parts"]["power"], 0.25);
    EXPECT_EQ(a["audit"][0]["passed"], true);
    EXPECT_EQ(a["warnings"][0], "beware");
    EXPECT_TRUE(a["neighbour"].is_null());
    // A timeline is not part of it, nor anything of the host outside "switches".
    EXPECT_FALSE(a.contains("timeline"));
    EXPECT_TRUE(json["switches"].contains("host_seconds"));
}

TEST(ResultJson, NeighbourWhenThereIsOne) {
    Result result = small();
    result.alternatives[0].neighbour = "analytic";
    result.alternatives[0].neighbour_gap = -0.125;
    const auto json = to_json(result)["alternatives"][0]["neighbour"];
    EXPECT_EQ(json["fidelity"], "analytic");
    EXPECT_EQ(json["gap"], -0.125);
}

TEST(ResultJson, WhatIsNotFiniteIsNull) {
    Result result = small();
    result.alternatives[0].metrics[0].value = std::numeric_limits<double>::infinity();
    const auto json = to_json(result);
    EXPECT_TRUE(json["alternatives"][0]["metrics"]["layer_time"]["value"].is_null());
    EXPECT_TRUE(nlohmann::ordered_json::accept(json.dump()));
}

TEST(OperatorsCsv, QuotesAsRfc4180Says) {
    const std::string csv = operators_csv(small());
    const std::string header = csv.substr(0, csv.find('\n'));
    EXPECT_EQ(header,
              "alternative,name,kind,rank_class,stream,shape,choice,basis,count,seconds_each,"
              "seconds_total,seconds_critical,flops_each,bytes_each,achieved_flops,"
              "achieved_bandwidth,share_of_peak,roofline_seconds,critical_count,critical_gap,"
              "critical_launch,critical_latency,critical_skew,critical_work,critical_contention,"
              "warning");
    EXPECT_EQ(
        csv.substr(header.size() + 1),
        "\"A, \"\"the first\"\"\",gemm,,,,\"4 x 5,\n6\",,,3,0.1,0,0,1000000000000000,0,0,0,0,0,"
        "2,0.5,0,0,0,0.25,0.125,\n");
}

TEST(AlternativeResult, FindsItsMetrics) {
    const AlternativeResult a = small().alternatives[0];
    ASSERT_NE(a.metric("layer_time"), nullptr);
    EXPECT_EQ(a.metric("layer_time")->value, 1.5);
    EXPECT_EQ(a.metric("layer"), nullptr);
}

TEST(AuditPassed, OneBreachOfAnyAlternativeFails) {
    Result result = small();
    EXPECT_TRUE(result.audit_passed());
    result.alternatives.push_back(result.alternatives[0]);
    result.alternatives[1].audit.push_back({"work is done", false, "3 tasks left"});
    EXPECT_FALSE(result.audit_passed());
    EXPECT_TRUE(Result().audit_passed());
}

}  // namespace
}  // namespace podsim
