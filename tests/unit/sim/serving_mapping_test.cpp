// Mappings that no step can have: said of served traffic with the key and the words of a step by
// itself, and never as an error of podsim. Models that do not go together; what steps rest on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "sim/plan_run.hpp"
#include "sim/serving_fleet.hpp"
#include "sim/serving_plan.hpp"
#include "tests/unit/sim/experiment_cases.hpp"

namespace podsim {
namespace {

using ::testing::HasSubstr;

// 32 ranks; each of these has no step.
const std::vector<std::pair<std::string, std::string>> kBad = {
    {"experts", "{redundant: 7}"},
    {"experts", "{shared_ranks: 7}"},
    {"experts", "{shared_ranks: 32}"},
    {"experts", "{exchange: gather, tensor_parallel: 3}"},
    {"mapping", "{data_parallel: 32, expert_parallel: 7}"},
    {"mapping", "{data_parallel: 32, expert_parallel: 64}"},
    {"mapping", "{data_parallel: 32, micro_batches: 3}"},
    {"mapping", "{data_parallel: 32, micro_batches: 999}"},
    {"mapping", "{data_parallel: 16, pipeline_parallel: 2, micro_batches: 2}"},
    {"mapping", "{data_parallel: 32, head_parallel: 5}"},
};

TEST(ServingMapping, IsRefusedInTheWordsOfAStep) {
    for (const auto& [key, value] : kBad) {
        const std::string path = "alternatives.A." + key;
        // As many sequences as parts.
        const Node step =
            without(with(with(test_experiment(), path, value), "workload.batch_per_group", "1024"),
                    "workload", "batch_per_chip");
        const std::string expected = problems_of(step);
        ASSERT_THAT(expected, HasSubstr("alternatives.A.")) << value;
        const std::string served = problems_of(with(serving_experiment(), path, value));
        EXPECT_EQ(served, expected) << value;
        try {
            (void)run_test(with(serving_experiment(), path, value));
            ADD_FAILURE() << value;
        } catch (const InputError& error) {
            EXPECT_EQ(error.what(), expected) << value;
        }
    }
}

// Heads are the model's.
TEST(ServingMapping, HeadsDivide) {
    Node experiment = with(serving_experiment(), "workload.model", "llama-3.1-8b");
    experiment = with(experiment, "alternatives.A.chips", "32");
    experiment = with(experiment, "alternatives.A.mapping", "{tensor_parallel: 64}");
    EXPECT_THAT(problems_of(experiment),
                HasSubstr("alternatives.A.mapping.tensor_parallel: 64 does not divide the model's "
                          "32 heads"));
}

// More ranks share an expert's width than there are: no word of ranks for the shared expert, of
// which there are none.
TEST(ServingMapping, WidthsAreSharedByRanksThatAreThere) {
    Node experiment = with(serving_experiment(), "alternatives.A.chips", "1");
    experiment =
        with(experiment, "alternatives.A.mapping", "{data_parallel: 2, expert_parallel: 1}");
    experiment =
        with(experiment, "alternatives.A.experts", "{exchange: gather, tensor_parallel: 2}");
    const std::string problems = problems_of(experiment);
    EXPECT_THAT(problems, HasSubstr("alternatives.A.experts.tensor_parallel"));
    EXPECT_THAT(problems, ::testing::Not(HasSubstr("shared_ranks")));
}

const char* const kTwoPools = R"(experiment: a test
workload:
  kind: serving
  model: deepseek-r1
  traffic: {arrivals: {law: poisson, rate: 20 req/s}, input: {mean: 500 tokens}, output: {mean: 100 tokens}, requests: 20}
  slo: {ttft: 5 s, tpot: 100 ms}
alternatives:
  - name: A
    pools:
      - {name: readers, role: ROLE1, system: test-system, chips: 16, precision: {weights: int8, experts: int8, activations: int8, dispatch: int8}, engine: test-engine}
      - {name: writers, role: ROLE2, system: test-system, chips: 16, precision: {weights: int8, experts: int8, activations: int8, dispatch: int8}, engine: test-engine}
prices: test-prices
)";

Node two_pools(const std::string& first, const std::string& second) {
    std::string text = kTwoPools;
    text.replace(text.find("ROLE1"), 5, first);
    text.replace(text.find("ROLE2"), 5, second);
    return parse_yaml(text, "test.yaml");
}

void set_in_pool(Node& experiment, std::size_t pool, const std::string& path,
                 const std::string& value) {
    Node& node = experiment.find("alternatives")->items.front().find("pools")->items[pool];
    set_path(node, path, value, {"test.yaml", 99, 1});
}

TEST(ServingMapping, IsSaidOfEachPool) {
    Node experiment = two_pools("prefill", "decode");
    set_in_pool(experiment, 0, "experts", "{redundant: 7}");
    set_in_pool(experiment, 1, "mapping", "{data_parallel: 32, micro_batches: 3}");
    const std::string problems = problems_of(experiment);
    EXPECT_THAT(problems, HasSubstr("readers.experts.redundant: is 7: 256 routed + 7"));
    EXPECT_THAT(problems, HasSubstr("writers.mapping.micro_batches: is 3: engines cut a step"));
}

TEST(ServingMapping, APlanSaysItToo) {
    Node experiment = with(serving_experiment(), "alternatives.A.experts", "{redundant: 7}");
    experiment = with(experiment, "plan", "{chips_per_replica: [16], tensor_parallel: [1]}");
    Catalog catalog = test_catalog();
    try {
        (void)plan_serving(experiment, catalog, {});
        ADD_FAILURE();
    } catch (const InputError& error) {
        EXPECT_THAT(error.what(), HasSubstr("256 routed + 7 redundant experts do not divide"));
    }
}

// Whatever degrees a mapping names: it works, or the user is told why not.
TEST(ServingMapping, WhateverItIsNoErrorIsOfPodsim) {
    const std::vector<std::string> degrees = {"1", "2", "3", "4", "7", "8", "16", "32", "64"};
    const std::vector<std::string> models = {"deepseek-r1", "llama-3.1-8b", "qwen3-235b-a22b"};
    long refused = 0;
    for (std::uint64_t draw = 0; draw < 120; ++draw) {
        const auto one_of = [&](std::uint64_t what, const std::vector<std::string>& all) {
            return all[random_bits(5, draw, what) % all.size()];
        };
        std::string mapping = "{data_parallel: " + one_of(0, degrees);
        std::uint64_t id = 1;
        for (const char* key : {"tensor_parallel", "expert_parallel", "pipeline_parallel",
                                "micro_batches", "head_parallel"}) {
            if (random_bits(6, draw, id) % 3 == 0)
                mapping += std::string(", ") + key + ": " + one_of(id, degrees);
            ++id;
        }
        mapping += "}";
        const std::string experts =
            "{redundant: " + one_of(11, {"0", "7", "32", "64"}) +
            ", shared_ranks: " + one_of(12, {"0", "0", "0", "1", "8", "32"}) +
            one_of(13, {"", "", ", exchange: gather", ", exchange: gather, tensor_parallel: 2"}) +
            "}";
        Node experiment = draw % 3 == 0   ? two_pools("prefill", "decode")
                          : draw % 3 == 1 ? two_pools("attention", "ffn")
                                          : serving_experiment();
        experiment = with(experiment, "workload.model", one_of(14, models));
        if (draw % 3 == 2) {
            experiment = with(experiment, "alternatives.A.mapping", mapping);
            experiment = with(experiment, "alternatives.A.experts", experts);
        } else {
            const std::size_t pool = random_bits(7, draw) % 2;
            set_in_pool(experiment, pool, "mapping", mapping);
            set_in_pool(experiment, pool, "experts", experts);
        }
        try {
            refused += problems_of(experiment).empty() ? 0 : 1;
        } catch (const std::exception& error) {
            ADD_FAILURE() << error.what() << ": " << mapping << " " << experts;
        }
    }
    EXPECT_GT(refused, 60);
}

// A head of one layer reads another model's hidden states, 5,120 wide in place of 4,096.
TEST(ServingModels, AHeadIsOfItsModel) {
    Node experiment = with(serving_experiment(), "workload.model", "llama-3.1-8b");
    experiment = with(experiment, "workload.speculation",
                      "{draft_tokens: 3, acceptance: 0.7, draft_model: qwen3-32b-eagle3}");
    EXPECT_THAT(problems_of(experiment),
                HasSubstr("workload.speculation.draft_model: qwen3-32b-eagle3 is the head of "
                          "another model"));
    EXPECT_EQ(problems_of(with(experiment, "workload.model", "qwen3-32b")), "");
}

TEST(ServingModels, ExpertsOfADenseModelAreNoted) {
    Node experiment = with(serving_experiment(), "workload.model", "llama-3.1-8b");
    experiment = with(experiment, "alternatives.A.experts", "{redundant: 8}");
    Catalog catalog = test_catalog();
    EXPECT_THAT(resolve(experiment, catalog).alternatives.front().warnings,
                ::testing::Contains(HasSubstr("experts.redundant: 8 means nothing to llama")));
}

TEST(ServingModels, RatesAreOfRequests) {
    EXPECT_THAT(
        problems_of(with(serving_experiment(), "workload.traffic.arrivals.rate", "2 tok/s")),
        HasSubstr("2 req/s"));
}

// Eight ranks that share 256 experts, 8 a token: 16 sequences give work to half of them, the
// seventeenth to more than cores take in as many waves: 26.8 ms in place of 21.6. A slope between
// 16 and 24 was 10 % off.
TEST(ServingModels, WavesOfExpertsAreInTheTable) {
    Node experiment = with(serving_experiment(), "alternatives.A.system", "hgx-h200");
    experiment = with(experiment, "alternatives.A.chips", "8");
    experiment = with(experiment, "alternatives.A.mapping", "{tensor_parallel: 8}");
    experiment = with(experiment, "alternatives.A.precision",
                      "{weights: fp8, experts: fp8, activations: fp8}");
    experiment = with(experiment, "alternatives.A.engine", "sglang");
    experiment =
        with(experiment, "alternatives.A.experts", "{exchange: all_to_all, popularity: balanced}");
    Catalog catalog = test_catalog();
    const ResolvedExperiment resolved = resolve(experiment, catalog);
    ServingFleet fleet(resolved, resolved.alternatives[0], RunOptions());
    const auto load = [](double batch) { return StepLoad{batch, 1250, 0, 0}; };
    EXPECT_GT(fleet.table(0).exact(load(17)).seconds, 1.2 * fleet.table(0).exact(load(16)).seconds);
    for (const double batch : {10.0, 20.0, 28.0}) {
        const double exact = fleet.table(0).exact(load(batch)).seconds;
        EXPECT_NEAR(fleet.table(0).time(load(batch)).value(), exact, 0.02 * exact) << batch;
    }
}

}  // namespace
}  // namespace podsim
