// The mapping of an alternative that says none: by hand for round machines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/names.hpp"
#include "sim/default_mapping.hpp"
#include "sim/resolve.hpp"
#include "tests/unit/sim/experiment_cases.hpp"

namespace podsim {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::HasSubstr;
using testing::Not;

// 16 packages of two ranks with 64 GB each, of which the engine keeps 4 GB.
ResolvedAlternative resolved(const Node& experiment, const std::vector<std::string>& settings) {
    std::vector<Setting> parsed;
    for (const std::string& text : settings) parsed.push_back(parse_setting(text));
    Catalog catalog = test_catalog(parsed);
    return resolve(experiment, catalog).alternatives.front();
}

Node of_model(const std::string& model) {
    Node experiment = with(test_experiment(), "workload.model", model);
    return with(experiment, "alternatives.A.precision", "{weights: bf16}");
}

testing::AssertionResult maps_to(const ResolvedAlternative& alternative, int data, int tensor,
                                 int stages, int experts) {
    const MappingSpec& m = alternative.pool.mapping;
    if (m.data_parallel == data && m.tensor_parallel == tensor && m.pipeline_parallel == stages &&
        m.expert_parallel == experts)
        return testing::AssertionSuccess();
    return testing::AssertionFailure()
           << "data " << m.data_parallel << ", tensor " << m.tensor_parallel << ", pipeline "
           << m.pipeline_parallel << ", expert " << m.expert_parallel;
}

TEST(DefaultMapping, TensorParallelAsSmallAsFits) {
    // Llama 3.1 70B: 141 GB in BF16, 70.6 GB over two ranks of 64 GB, 35.3 GB over four; in 8 bits
    // but for the tables 70 GB, 36 GB over two. 8B: 16 GB, on one.
    const Node large = of_model("llama-3.1-70b");
    EXPECT_TRUE(maps_to(resolved(large, {}), 8, 4, 1, 32));
    EXPECT_TRUE(maps_to(
        resolved(with(large, "alternatives.A.precision", "{weights: int8, activations: int8}"), {}),
        16, 2, 1, 32));
    EXPECT_TRUE(maps_to(resolved(of_model("llama-3.1-8b"), {}), 32, 1, 1, 32));
}

TEST(DefaultMapping, LatentAttentionIsDataParallelAndExpertsAreOnAllRanks) {
    // DeepSeek-R1's 671 GB in 8 bits: 8 of 256 experts a layer on each of 32 ranks, and attention's
    // 12 GB on every one.
    EXPECT_TRUE(maps_to(resolved(test_experiment(), {}), 32, 1, 1, 32));
    // Mixtral's 8 experts do not spread over 32 ranks: four groups of 8.
    EXPECT_TRUE(maps_to(resolved(of_model("mixtral-8x7b"), {}), 32, 1, 1, 8));
}

TEST(DefaultMapping, StagesWhereNothingElseFits) {
    // A scale-up domain of one package: two ranks, and 141 GB need four.
    const std::vector<std::string> pairs = {"system:test-system.scale_up.domain=1"};
    const auto staged = [](const char* model) {
        return with(of_model(model), "alternatives.A.collectives", "nominal");
    };
    EXPECT_TRUE(maps_to(resolved(staged("llama-3.1-70b"), pairs), 8, 2, 2, 16));
    EXPECT_TRUE(maps_to(resolved(staged("llama-3.1-8b"), pairs), 32, 1, 1, 32));
    // Stages send: a library that cannot has none.
    EXPECT_EQ(resolved(of_model("llama-3.1-70b"), pairs).pool.mapping.pipeline_parallel, 1);
}

TEST(DefaultMapping, WhatIsGivenStays) {
    const Node experiment = of_model("llama-3.1-70b");
    const auto mapped = [&](const char* mapping) {
        return resolved(with(experiment, "alternatives.A.mapping", mapping), {});
    };
    EXPECT_TRUE(maps_to(mapped("{tensor_parallel: 8}"), 4, 8, 1, 32));
    EXPECT_TRUE(maps_to(mapped("{data_parallel: 2}"), 2, 16, 1, 32));
    EXPECT_TRUE(maps_to(mapped("{pipeline_parallel: 4}"), 8, 1, 4, 8));
    EXPECT_TRUE(maps_to(mapped("{tensor_parallel: 4, expert_parallel: 4}"), 8, 4, 1, 4));
    // Too small, and asked for: memory is refused later, nothing is changed.
    EXPECT_TRUE(maps_to(mapped("{tensor_parallel: 1, pipeline_parallel: 1, data_parallel: 32}"), 32,
                        1, 1, 32));
}

TEST(DefaultMapping, ABatchThatFitsNowhereIsRefusedWithOneThatWould) {
    // 8B on each rank leaves 64 - 4 - 16 GB for sequences of 2,048 x 131,072 B: 164 of them, and
    // with more ranks to a group no more a package than the weights that are shared make room for.
    const Node many = with(of_model("llama-3.1-8b"), "workload.batch_per_chip", "4096");
    EXPECT_TRUE(maps_to(resolved(many, {}), 32, 1, 1, 32));
    EXPECT_THAT(problems_of(many), HasSubstr("batch_per_chip at most 3"));
}

TEST(DefaultMapping, IsNotedWhereItChose) {
    const ResolvedAlternative open = resolved(of_model("llama-3.1-70b"), {});
    EXPECT_THAT(open.warnings, Contains("mapping by the default rule: data_parallel 8, "
                                        "tensor_parallel 4"));
    // What the ranks leave is no choice.
    const ResolvedAlternative given = resolved(
        with(of_model("llama-3.1-70b"), "alternatives.A.mapping", "{tensor_parallel: 4}"), {});
    EXPECT_THAT(given.warnings, Each(Not(HasSubstr("default rule"))));
}

TEST(DefaultMapping, StandsInTheResultWithItsOrigin) {
    Catalog catalog = test_catalog();
    const Result result = run_experiment(of_model("llama-3.1-70b"), catalog, quick());
    const auto& configuration = result.configuration;
    const auto& mapping = configuration["experiment"]["alternatives"][0]["mapping"];
    EXPECT_EQ(mapping["tensor_parallel"], 4);
    EXPECT_EQ(mapping["data_parallel"], 8);
    EXPECT_EQ(configuration["origins"]["experiment.alternatives.A.mapping.tensor_parallel"],
              "default rule");
}

TEST(DefaultMapping, ChoosesAnewWhatItOnceChose) {
    // A result that is run again: its mapping was the rule's, no one's wish.
    Node again = of_model("llama-3.1-70b");
    Node& alternative = again.find("alternatives")->items.front();
    for (const auto& [degree, value] : {std::pair("tensor_parallel", "2"), {"data_parallel", "16"}})
        set_path(alternative, std::string("mapping.") + degree, value, {"default rule", 0, 0});
    EXPECT_TRUE(maps_to(resolved(again, {}), 8, 4, 1, 32));
    set_path(alternative, "mapping.tensor_parallel", "8", {"--set", 0, 0});
    EXPECT_TRUE(maps_to(resolved(again, {}), 4, 8, 1, 32));
}

TEST(DefaultMapping, ARefusalSaysWhatTheRuleTried) {
    // 405 B parameters on two packages: 256 GB.
    const Node small = with(of_model("llama-3.1-405b"), "alternatives.A.chips", "2");
    EXPECT_THAT(problems_of(small),
                AllOf(HasSubstr("memory does not fit"), HasSubstr("no batch fits"),
                      HasSubstr("mapping by the default rule")));
}

// Four packages of two ranks, and a model whose 8 experts are 14,336 wide.
Node of_experts(const std::string& mapping) {
    const Node few = with(of_model("mixtral-8x7b"), "alternatives.A.chips", "4");
    return with(few, "alternatives.A.mapping", mapping);
}

testing::AssertionResult lays_out(const ResolvedAlternative& alternative, ExpertExchange exchange,
                                  int widths) {
    const ExpertsSpec& experts = alternative.pool.experts;
    if (experts.exchange == exchange && experts.tensor_parallel == widths)
        return testing::AssertionSuccess();
    return testing::AssertionFailure() << "exchange " << name_of(experts.exchange)
                                       << ", tensor_parallel " << experts.tensor_parallel;
}

TEST(DefaultMapping, OneTensorParallelGroupSharesTheWidthsOfExperts) {
    const auto laid = [](const std::string& mapping) { return resolved(of_experts(mapping), {}); };
    const ResolvedAlternative whole = laid("{tensor_parallel: 8}");
    EXPECT_TRUE(lays_out(whole, ExpertExchange::gather, 8));
    EXPECT_THAT(whole.warnings, Contains(HasSubstr("each of the 8 ranks of the tensor-parallel "
                                                   "group has its part of every expert's width "
                                                   "(expert_parallel: 8 gives it whole experts)")));
    EXPECT_TRUE(
        lays_out(laid("{tensor_parallel: 8, expert_parallel: 8}"), ExpertExchange::gather, 1));
    // Two groups have different tokens.
    EXPECT_TRUE(lays_out(laid("{tensor_parallel: 4}"), ExpertExchange::all_to_all, 1));
    EXPECT_TRUE(lays_out(laid("{tensor_parallel: 1}"), ExpertExchange::all_to_all, 1));
    const Node said = with(of_experts("{tensor_parallel: 8}"), "alternatives.A.experts",
                           "{exchange: all_to_all}");
    EXPECT_TRUE(lays_out(resolved(said, {}), ExpertExchange::all_to_all, 1));
}

TEST(DefaultMapping, EachKeyOfTheExpertsIsLeftByItself) {
    const auto laid = [](const std::string& mapping, const std::string& experts) {
        return resolved(with(of_experts(mapping), "alternatives.A.experts", experts), {});
    };
    EXPECT_TRUE(
        lays_out(laid("{tensor_parallel: 8}", "{exchange: gather}"), ExpertExchange::gather, 8));
    EXPECT_TRUE(
        lays_out(laid("{tensor_parallel: 8}", "{tensor_parallel: 2}"), ExpertExchange::gather, 2));
    EXPECT_TRUE(lays_out(laid("{tensor_parallel: 8, expert_parallel: 8}", "{exchange: gather}"),
                         ExpertExchange::gather, 1));
    // A result that is run again with one of them said: the other was no one's wish.
    Node again = of_experts("{tensor_parallel: 8}");
    Node& alternative = again.find("alternatives")->items.front();
    set_path(alternative, "experts.tensor_parallel", "8", {"default rule", 0, 0});
    set_path(alternative, "experts.exchange", "all_to_all", {"--set", 0, 0});
    EXPECT_TRUE(lays_out(resolved(again, {}), ExpertExchange::all_to_all, 1));
}

TEST(DefaultMapping, WhatEnginesCallExpertParallelIsSaid) {
    EXPECT_THAT(
        resolved(of_experts("{tensor_parallel: 8, expert_parallel: 2}"), {}).warnings,
        Contains(HasSubstr("keeps 4 copies of the experts in the tensor-parallel group; what "
                           "engines call so is experts: {tensor_parallel: 4} without it")));
    EXPECT_THAT(resolved(of_experts("{tensor_parallel: 8, expert_parallel: 1}"), {}).warnings,
                Contains(HasSubstr("keeps all experts on every rank")));
    const std::vector<std::string> gathers = {"engine:test-engine.expert_exchange=gather"};
    EXPECT_THAT(resolved(of_experts("{tensor_parallel: 2}"), gathers).warnings,
                Contains(HasSubstr("exchange all_to_all; ")));
}

// Written out with expert_parallel it would have whole experts.
TEST(DefaultMapping, WidthsSharedByRuleStayOpen) {
    EXPECT_TRUE(shares_widths_by_rule(resolved(of_experts("{tensor_parallel: 8}"), {}).pool));
    EXPECT_FALSE(shares_widths_by_rule(
        resolved(of_experts("{tensor_parallel: 8, expert_parallel: 8}"), {}).pool));
    EXPECT_FALSE(shares_widths_by_rule(resolved(of_experts("{tensor_parallel: 1}"), {}).pool));
}

TEST(DefaultMapping, UnderDataParallelAttentionTokensMeetExpertsAsTheEngineHasIt) {
    const std::vector<std::string> gathers = {"engine:test-engine.expert_exchange=gather"};
    EXPECT_TRUE(
        lays_out(resolved(of_experts("{tensor_parallel: 1}"), gathers), ExpertExchange::gather, 1));
    // Groups of two ranks: gather is of one group alone.
    EXPECT_TRUE(lays_out(resolved(of_experts("{tensor_parallel: 2}"), gathers),
                         ExpertExchange::all_to_all, 1));
}

TEST(DefaultMapping, WhatItLaidOutStandsInTheResult) {
    Catalog catalog = test_catalog();
    const Result result = run_experiment(of_experts("{tensor_parallel: 8}"), catalog, quick());
    const auto& configuration = result.configuration;
    const auto& experts = configuration["experiment"]["alternatives"][0]["experts"];
    EXPECT_EQ(experts["exchange"], "gather");
    EXPECT_EQ(experts["tensor_parallel"], 8);
    EXPECT_EQ(configuration["origins"]["experiment.alternatives.A.experts.exchange"],
              "default rule");
}

TEST(DefaultMapping, RequestsAreNotRoutedEqually) {
    const auto popularity = [](const Node& experiment) {
        return resolved(experiment, {}).pool.experts.popularity;
    };
    EXPECT_EQ(popularity(serving_experiment()), Popularity::uniform);
    EXPECT_EQ(popularity(test_experiment()), Popularity::balanced);
    EXPECT_EQ(
        popularity(with(serving_experiment(), "alternatives.A.experts", "{popularity: balanced}")),
        Popularity::balanced);
}

TEST(Precision, AnIndexerIsAsTheCacheUnlessSaid) {
    const auto indexer = [](const char* precision) {
        return resolved(with(test_experiment(), "alternatives.A.precision", precision), {})
            .pool.precision.indexer;
    };
    EXPECT_EQ(indexer("{kv_cache: int8}"), DType::int8);
    EXPECT_EQ(indexer("{kv_cache: int8, indexer: fp4}"), DType::fp4);
    EXPECT_EQ(indexer("{weights: int8}"), DType::bf16);
}

}  // namespace
}  // namespace podsim
