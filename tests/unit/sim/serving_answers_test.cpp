// What a run of served traffic says beside its metrics, and what a plan refuses as a run does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "sim/audit.hpp"
#include "sim/plan_run.hpp"
#include "sim/result_read.hpp"
#include "sim/serving_diagnosis.hpp"
#include "sim/serving_fleet.hpp"
#include "sim/serving_plan.hpp"
#include "tests/unit/sim/hosted_cases.hpp"

namespace podsim {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

// Replicas of four chips, of which a host has eight, which take turns with sessions.
Node small_replicas(const std::string& tiers) {
    Node experiment = serving_experiment();
    for (const auto& [path, value] :
         {std::pair("workload.model", std::string("llama-3.1-8b")),
          std::pair("alternatives.A.chips", std::string("8")),
          std::pair("alternatives.A.replicas", std::string("2")),
          std::pair("alternatives.A.mapping", std::string("{tensor_parallel: 8}")),
          std::pair("workload.traffic",
                    std::string("{arrivals: {law: poisson, rate: 4 req/s}, sessions: {turns: 5, "
                                "think_time: {mean: 5 s}}, input: {mean: 2000 tokens}, output: "
                                "{mean: 50 tokens}, requests: 200}")),
          std::pair("workload.routing", std::string("round_robin")),
          std::pair("workload.scheduler", "{cache_tiers: [" + tiers + "]}")})
        experiment = with(std::move(experiment), path, value);
    return experiment;
}

std::string problems_of_run(const Node& experiment) {
    Catalog catalog = hosted();
    try {
        (void)run_experiment(experiment, catalog, quick());
    } catch (const InputError& error) {
        return error.what();
    }
    return "";
}

TEST(ServedAnswers, ATierThatHoldsNoBlockIsRefused) {
    EXPECT_THAT(problems_of_run(small_replicas(
                    "{name: pool, shared: true, capacity: 1 kB, bandwidth: 1 TB/s}")),
                HasSubstr("pool: 1 kB hold no block of 16 tokens"));
    EXPECT_THAT(problems_of_run(small_replicas("{name: host, capacity: 1 kB, bandwidth: 1 GB/s}")),
                HasSubstr("host: 1 kB hold no block"));
}

TEST(ServedAnswers, SharedTiersHaveNamesOfTheirOwn) {
    const std::string tier = "{name: pool, shared: true, capacity: 1 TB, bandwidth: 1 TB/s}";
    EXPECT_THAT(problems_of_run(small_replicas(tier + ", " + tier)),
                HasSubstr("two shared tiers are called pool"));
}

TEST(ServedAnswers, RejectedRequestsAreCountedAndFound) {
    const Node experiment =
        with(with(serving_experiment(), "workload.max_model_len", "550"), "workload.traffic.output",
             "{law: uniform, minimum: 10 tokens, maximum: 90 tokens}");
    const AlternativeResult result = run_test(experiment);
    EXPECT_THAT(result.warnings, Contains(HasSubstr(std::to_string(result.served->rejected) +
                                                    " of them, the first is line or draw ")));
}

TEST(ServedAnswers, APrefixThatIsCutIsSaid) {
    const auto warnings_of = [](const std::string& tokens) {
        return run_test(with(serving_experiment(), "workload.traffic.prefix",
                             "{tokens: " + tokens + " tokens}"))
            .warnings;
    };
    EXPECT_THAT(warnings_of("501"),
                Contains(HasSubstr("the prefix of 501 tokens is cut to the prompts")));
    EXPECT_THAT(warnings_of("500"), Not(Contains(HasSubstr("is cut to the prompts"))));
}

TEST(ServedAnswers, AFullSharedTierIsNamed) {
    Catalog catalog = hosted();
    const auto text_of = [&](const char* bandwidth) {
        const ResolvedExperiment resolved = resolve(
            small_replicas(std::string("{name: far, shared: true, capacity: 1 TB, bandwidth: ") +
                           bandwidth + "}"),
            catalog);
        RunOptions options;
        ServingFleet fleet(resolved, resolved.alternatives[0], options);
        const ServingOutcome out = fleet.run(resolved.spec.workload.serving->traffic, 1, {});
        return what_gave_way(fleet, out, PlanPercentile::p99);
    };
    EXPECT_THAT(text_of("200 MB/s"), HasSubstr("bandwidth of the shared tier far (200 MB/s, "));
    EXPECT_THAT(text_of("1 TB/s"), Not(HasSubstr("shared tier")));
}

// Four chips a replica at 2 USD/h: an odd one leaves four of its host's eight chips idle.
TEST(ServedAnswers, APlanPaysForWholeHosts) {
    Catalog catalog = hosted();
    Node experiment = with(small_replicas(""), "alternatives.A.charge", "whole_hosts");
    experiment = with(without(std::move(experiment), "alternatives.A", "replicas"),
                      "alternatives.A.chips", "4");
    experiment = with(std::move(experiment), "plan", "{tensor_parallel: [8]}");
    const ServingPlanReport report = plan_serving(experiment, catalog, {});
    ASSERT_TRUE(report.alternatives[0].answer.has_value());
    const ServingAnswer& answer = *report.alternatives[0].answer;
    const int hosts = (answer.chips + 7) / 8;
    EXPECT_EQ(answer.chips % 8, 4) << "to show anything";
    EXPECT_NEAR(answer.usd_per_month, 2 * 8 * hosts * 730.5, 1e-6);
    const double hourly = value_of(answer.result, "usd_per_hour_per_chip") * answer.chips;
    EXPECT_NEAR(answer.usd_per_month, hourly * 730.5, 1e-6);
}

// Two replicas share a host of 2 TB: one has room for a tier of that size, two do not.
TEST(ServedAnswers, APlanRefusesTheFleetThatARunRefuses) {
    Catalog catalog = hosted();
    Node experiment = with(small_replicas("{name: host, capacity: 2 TB, bandwidth: 100 GB/s}"),
                           "plan", "{tensor_parallel: [8], spare_replicas: 1}");
    experiment = with(without(std::move(experiment), "alternatives.A", "replicas"),
                      "alternatives.A.chips", "4");
    try {
        (void)plan_serving(experiment, catalog, {});
        FAIL() << "a fleet with two tiers of 2 TB on a host of 2 TB";
    } catch (const InputError& error) {
        EXPECT_THAT(error.what(), HasSubstr("has no room for its cache tiers: host: 2 TB for each "
                                            "of 2 replicas"));
    }
    experiment = with(std::move(experiment), "plan.spare_replicas", "0");
    const ServingPlanReport one = plan_serving(experiment, catalog, {});
    ASSERT_TRUE(one.alternatives[0].answer.has_value());
    EXPECT_EQ(one.alternatives[0].answer->pools[0].replicas, 1);
}

TEST(ServedAnswers, AGrowthThatIsHardlyMeantIsRefused) {
    Catalog catalog = hosted();
    const Node experiment = with(small_replicas(""), "plan", "{growth: {per_month: 4}}");
    try {
        (void)plan_serving(experiment, catalog, {});
        FAIL();
    } catch (const InputError& error) {
        EXPECT_THAT(error.what(), HasSubstr("per_month: 400 % a month"));
        EXPECT_THAT(error.what(), HasSubstr("per_month: 4 % ?"));
    }
}

}  // namespace
}  // namespace podsim
