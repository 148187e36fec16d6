// Between what the answer for a chip lies of which only a data sheet is known.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/band.hpp"
#include "tests/support/readers.hpp"
#include "tests/unit/sim/experiment_cases.hpp"

namespace podsim {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

// The chip of these tests without its cores, and with a line more.
Catalog catalog_of_sheet(const std::string& more = "") {
    std::string text = kTestChip;
    const std::size_t begin = text.find("cores:"), end = text.find("peak_matrix:");
    text.erase(begin, end - begin);
    Catalog catalog = test_catalog();
    catalog.embed("chip", "test-chip", parse_yaml(text + more, "test-chip.yaml"));
    return catalog;
}

AlternativeResult run_sheet(const Node& experiment, const std::string& more = "",
                            const RunOptions& options = quick()) {
    Catalog catalog = catalog_of_sheet(more);
    const Result result = run_experiment(experiment, catalog, options);
    EXPECT_TRUE(result.audit_passed());
    return result.alternatives.front();
}

const Node product = parse_yaml(R"(experiment: one product
workload:
  kind: operator
  operator: {type: gemm, m: 64, n: 4096, k: 7168, dtypes: {a: bf16, b: bf16, c: bf16}}
alternatives: [{name: A, system: test-system, chips: 1}]
prices: test-prices
)",
                                "product.yaml");

// 60 MB over 1.6 TB/s x 0.8 are 47 us, and 3 us of launch: 50 us in all, 10 % of it either way.
TEST(Band, ScalesTheTimeOfAnOperator) {
    const AlternativeResult result = run_sheet(product, "band: 10 %\n");
    const Metric* time = result.metric("operator_time");
    ASSERT_TRUE(time->low && time->high);
    const double bytes = 2.0 * (64.0 * 7168 + 4096.0 * 7168 + 64.0 * 4096);
    EXPECT_NEAR(time->value, 3 + bytes / (1.6e12 * 0.8) * 1e6, 1e-3);
    EXPECT_NEAR(*time->low, 0.9 * time->value, 1e-3);
    EXPECT_NEAR(*time->high, 1.1 * time->value, 1e-3);
    // Rates and costs turn with it, what an hour costs does not.
    const Metric* rate = result.metric("achieved_bandwidth");
    EXPECT_NEAR(*rate->high, rate->value / 0.9, rate->value * 1e-4);
    const Metric* cost = result.metric("usd_per_eflop_hour_achieved");
    EXPECT_NEAR(*cost->high, cost->value * 1.1, cost->value * 1e-4);
    EXPECT_FALSE(result.metric("usd_per_hour_per_chip")->low);
}

// 30 % off would be faster than memory: 47 us x 0.7 = 33 us, but 60 MB take 37.5 us at 1.6 TB/s.
TEST(Band, EndsAtTheDataSheet) {
    const AlternativeResult result = run_sheet(product, "band: 30 %\n");
    const double bytes = 2.0 * (64.0 * 7168 + 4096.0 * 7168 + 64.0 * 4096);
    EXPECT_NEAR(*result.metric("operator_time")->low, 0.7 * 3 + bytes / 1.6e12 * 1e6, 1e-3);
}

// The test library was measured within 5 %.
TEST(Band, IsThatOfTheLibraryUnlessTheChipStatesOne) {
    const AlternativeResult result = run_sheet(test_experiment());
    EXPECT_EQ(result.fidelity, "analytic");
    EXPECT_EQ(result.neighbour, "");
    EXPECT_THAT(result.warnings,
                Contains(AllOf(HasSubstr("of test-chip only a data sheet is known"),
                               HasSubstr("off by 5 %"), HasSubstr("test-kernels"))));
    const Metric* time = result.metric("time_per_output_token");
    ASSERT_TRUE(time->low && time->high);
    EXPECT_GT(*time->low, 0.95 * time->value - 1e-9);
    EXPECT_LT(*time->high, 1.05 * time->value + 1e-9);
    const AlternativeResult wide = run_sheet(test_experiment(), "band: 25 %\n");
    EXPECT_EQ(wide.metric("time_per_output_token")->value, time->value);
    EXPECT_LT(*wide.metric("time_per_output_token")->low, *time->low);
    EXPECT_GT(*wide.metric("time_per_output_token")->high, *time->high);
    EXPECT_THAT(wide.warnings, Contains(HasSubstr("stated by the record of test-chip")));
}

TEST(Band, IsNoneWhereTheCoresAreKnown) {
    const AlternativeResult result = run_test(test_experiment());
    EXPECT_EQ(result.fidelity, "tile");
    // Energies have bands of their own.
    for (const Metric& metric : result.metrics) {
        if (metric.name.rfind("power", 0) == 0 || metric.name.rfind("energy", 0) == 0) continue;
        EXPECT_FALSE(metric.low) << metric.name;
    }
    EXPECT_THAT(result.warnings, Not(Contains(HasSubstr("data sheet is known"))));
}

TEST(Band, TileIsRefusedByName) {
    RunOptions options = quick();
    options.fidelity = Fidelity::tile;
    Catalog catalog = catalog_of_sheet();
    EXPECT_THAT(refusal_of([&] { run_experiment(test_experiment(), catalog, options); }),
                AllOf(HasSubstr("fidelity tile asks for the cores of test-chip"),
                      HasSubstr("leave --fidelity away")));
    options.fidelity = Fidelity::analytic;
    Catalog again = catalog_of_sheet();
    EXPECT_NO_THROW(run_experiment(test_experiment(), again, options));
}

// A chip without HBM: the same bytes, and the words are SRAM's.
TEST(Sram, IsWhatTheResultAndTheAuditSpeakOf) {
    std::string text = replaced(kTestChip, "hbm:", "sram:");
    Catalog catalog = test_catalog();
    catalog.embed("chip", "test-chip", parse_yaml(text, "test-chip.yaml"));
    const Result result = run_experiment(test_experiment(), catalog, quick());
    EXPECT_TRUE(result.audit_passed());
    const AlternativeResult &sram = result.alternatives.front(), hbm = run_test(test_experiment());
    EXPECT_EQ(sram.iteration_seconds, hbm.iteration_seconds);
    EXPECT_EQ(sram.metric("utilization_hbm")->value, hbm.metric("utilization_hbm")->value);
    EXPECT_GT(hbm.metric("utilization_hbm")->value, 0);
    std::string laws;
    for (const AuditFinding& finding : sram.audit) laws += finding.law + "\n";
    EXPECT_THAT(laws, HasSubstr("not faster than its bytes at the SRAM bandwidth"));
    Catalog small = test_catalog({parse_setting("chip:test-chip.sram.capacity=1 GB")});
    small.embed("chip", "test-chip", parse_yaml(text, "test-chip.yaml"));
    EXPECT_THAT(refusal_of([&] { run_experiment(test_experiment(), small, quick()); }),
                HasSubstr("of 500 MB of SRAM"));
}

}  // namespace
}  // namespace podsim
