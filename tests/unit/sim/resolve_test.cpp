// From names to Specs: what is filled in, and what is said about what is not there.
#include "sim/resolve.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/readers.hpp"
#include "tests/unit/sim/experiment_cases.hpp"

namespace podsim {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

ResolvedAlternative resolved(const Node& experiment) {
    Catalog catalog = test_catalog();
    return resolve(experiment, catalog).alternatives.front();
}

std::string wrong(const Node& experiment) {
    Catalog catalog = test_catalog();
    try {
        resolve(experiment, catalog);
    } catch (const InputError& error) {
        return error.what();
    }
    return "";
}

TEST(Resolve, FillsInWhatTheSystemAndTheChipSay) {
    const ResolvedAlternative a = resolved(test_experiment());
    EXPECT_EQ(a.name, "A");
    EXPECT_EQ(a.chip.name, "test-chip");
    EXPECT_EQ(a.kernels.name, "test-kernels");
    EXPECT_EQ(a.collectives.name, "test-collectives");
    EXPECT_EQ(a.engine->name, "test-engine");
    EXPECT_EQ(a.packages, 16);
    EXPECT_EQ(a.ranks, 32);
    EXPECT_EQ(a.pool.mapping.data_parallel, 32);
    EXPECT_EQ(a.pool.mapping.expert_parallel, 32);
    EXPECT_EQ(a.batch.per_chip, 16);
    EXPECT_THAT(a.warnings,
                ElementsAre("mapping by the default rule: data_parallel 32, tensor_parallel 1, "
                            "expert_parallel 32"));
}

TEST(Resolve, TheAlternativesBatchGoesBeforeTheWorkloads) {
    const ResolvedAlternative a =
        resolved(with(test_experiment(), "alternatives.A.batch_per_rank", "3"));
    EXPECT_FALSE(a.batch.per_chip);
    EXPECT_EQ(a.batch.per_rank, 3);
}

// A change of the chip and one of the kernel library at once cannot be told apart.
TEST(Resolve, SaysWhereAStructureStandsBesideATable) {
    Catalog catalog(PODSIM_SOURCE_DIR "/configs");
    const auto warnings = [&](const char* of_both) {
        const std::string text = fmt::format(
            "experiment: Two libraries\n"
            "workload: {{kind: operator, operator: {{type: gemm, m: 64, n: 64, k: 64}}}}\n"
            "alternatives:\n"
            "  - {{name: table, system: cloudmatrix384, chips: 1, kernels: {}}}\n"
            "  - {{name: cores, system: cloudmatrix384, chips: 1, kernels: structural}}\n",
            of_both);
        return resolve(parse_yaml(text, "two.yaml"), catalog).alternatives.back().warnings;
    };
    EXPECT_THAT(warnings("cann-910c"),
                Contains(HasSubstr("\"table\" by kernel library cann-910c: part of the difference "
                                   "is the libraries'")));
    EXPECT_THAT(warnings("structural"), Not(Contains(HasSubstr("part of the difference"))));
}

TEST(Resolve, TensorParallelTakesItsShareOfTheRanks) {
    const ResolvedAlternative a =
        resolved(with(test_experiment(), "alternatives.A.mapping", "{tensor_parallel: 4}"));
    EXPECT_EQ(a.pool.mapping.data_parallel, 8);
    EXPECT_EQ(a.pool.mapping.ranks(), 32);
}

TEST(Resolve, WarnsOfAnEngineThatStandsIn) {
    const ResolvedAlternative a = resolved(without(test_experiment(), "alternatives.A", "engine"));
    EXPECT_EQ(a.engine->name, "nominal");
    EXPECT_THAT(a.warnings, Contains("no engine is named: the nominal one stands in"));
}

// Of decode, used in a prefill: runs, and is said. In its own phase, or of both, nothing is.
TEST(Resolve, AnEngineOfTheOtherPhaseIsCarriedOver) {
    const auto of_phase = [](const std::string& phase) {
        Catalog catalog = test_catalog();
        catalog.embed("engine", "test-engine",
                      parse_yaml(replaced(replaced(kTestEngine, "host_step: 1 ms",
                                                   "host_step: {value: 1 ms, source: a test, "
                                                   "confidence: measured}"),
                                          "overlap:", phase + "overlap:"),
                                 "test-engine.yaml"));
        return resolve(test_experiment(), catalog).alternatives.front();
    };
    const ResolvedAlternative other = of_phase("phase: prefill\n");
    EXPECT_THAT(other.warnings, Contains("engine test-engine is one of prefill, this is a decode: "
                                         "its habits are carried over"));
    EXPECT_EQ(other.engine->host_step.confidence, Confidence::derived);
    EXPECT_EQ(other.engine->kernel_gap.confidence, Confidence::assumed);
    for (const char* phase : {"phase: decode\n", ""}) {
        EXPECT_THAT(of_phase(phase).warnings, Not(Contains(HasSubstr("engine"))));
        EXPECT_EQ(of_phase(phase).engine->host_step.confidence, Confidence::measured);
    }
}

// Measured on test-chip, used on another: derived there, and said so.
TEST(Resolve, HabitsOfAnotherChipAreCarriedOver) {
    Catalog catalog = test_catalog();
    catalog.embed("chip", "other-chip", parse_yaml(kTestChip, "other-chip.yaml"));
    const ResolvedAlternative a =
        resolve(with(test_experiment(), "alternatives.A.chip", "other-chip"), catalog)
            .alternatives.front();
    EXPECT_THAT(a.warnings, Contains("kernel library test-kernels was fitted on test-chip, not "
                                     "on other-chip: its habits are carried over"));
    EXPECT_EQ(a.kernels.gemm.at(DType::int8).record.basis, Confidence::derived);
    EXPECT_EQ(a.kernels.vector.record.basis, Confidence::derived);
    EXPECT_EQ(resolved(test_experiment()).kernels.vector.record.basis, Confidence::measured);
}

// Nothing of `nominal` was measured anywhere: there is no chip its habits could come from.
TEST(Resolve, ALibraryThatNothingWasFittedOnSaysSo) {
    const ResolvedAlternative a =
        resolved(with(test_experiment(), "alternatives.A.kernels", "nominal"));
    EXPECT_THAT(a.warnings, Contains("kernel library nominal was fitted on no chip: its habits are "
                                     "assumed"));
    EXPECT_THAT(a.warnings, Not(Contains(HasSubstr("custom-npu"))));
}

TEST(Resolve, UnknownNamesAreToldWithTheNearest) {
    for (const auto& [path, value, said] :
         {std::tuple("workload.model", "deepseek-r2",
                     "test.yaml:99:1: workload.model: unknown model deepseek-r2 (did you mean "
                     "deepseek-r1?"),
          {"alternatives.A.system", "test-sistem", "did you mean test-system?"},
          {"alternatives.A.chip", "test-chop", "did you mean test-chip?"},
          {"alternatives.A.kernels", "test-kernel", "did you mean test-kernels?"},
          {"alternatives.A.collectives", "test-colectives", "did you mean test-collectives?"},
          {"alternatives.A.engine", "test-engin", "did you mean test-engine?"},
          {"prices", "test-price",
           "prices: unknown prices test-price (did you mean "
           "test-prices?"}}) {
        EXPECT_THAT(wrong(with(test_experiment(), path, value)), HasSubstr(said)) << path;
    }
}

TEST(Resolve, EverythingWrongIsSaidInOneGo) {
    Node experiment = test_experiment();
    for (const char* path :
         {"workload.model", "prices", "alternatives.A.system", "alternatives.A.chip",
          "alternatives.A.kernels", "alternatives.A.collectives", "alternatives.A.engine"})
        experiment = with(experiment, path, "no-such-thing");
    const std::string said = wrong(experiment);
    for (const char* kind : {"unknown model", "unknown prices", "unknown system", "unknown chip",
                             "unknown kernels", "unknown collectives", "unknown engine"})
        EXPECT_THAT(said, HasSubstr(kind));
}

TEST(Resolve, AnErrorInADocumentStandsInTheDocument) {
    Catalog catalog = test_catalog();
    catalog.embed("system", "wrong-system",
                  with(parse_yaml(kTestSystem, "wrong-system.yaml"), "chip", "test-chop"));
    try {
        resolve(with(test_experiment(), "alternatives.A.system", "wrong-system"), catalog);
        FAIL() << "resolved";
    } catch (const InputError& error) {
        EXPECT_THAT(error.what(), HasSubstr(": chip: unknown chip test-chop (did you mean "
                                            "test-chip?"));
        EXPECT_THAT(error.what(), Not(HasSubstr("alternatives.A.chip")));
    }
}

TEST(Resolve, ChipsAndRanksHaveToBeThere) {
    EXPECT_THAT(wrong(with(test_experiment(), "alternatives.A.chips", "385")),
                HasSubstr("test.yaml:99:1: alternatives.A.chips: 385 chips asked of test-system, "
                          "which has 384 (at most 384)"));
    EXPECT_THAT(wrong(with(test_experiment(), "alternatives.A.chips", "2000000000")),
                HasSubstr("at most 384"));
    EXPECT_THAT(wrong(with(test_experiment(), "alternatives.A.mapping", "{tensor_parallel: 3}")),
                HasSubstr("alternatives.A.mapping: tensor_parallel 3 x pipeline_parallel 1 does "
                          "not divide the 32 ranks of 16 chips"));
    EXPECT_THAT(wrong(with(test_experiment(), "alternatives.A.mapping", "{data_parallel: 40}")),
                HasSubstr("data_parallel 40 x tensor_parallel 1 x pipeline_parallel 1 are 40 "
                          "ranks, but 16 chips of 2 ranks are 32 (chips: 20 would do)"));
    EXPECT_THAT(wrong(with(test_experiment(), "alternatives.A.mapping",
                           "{data_parallel: 7, tensor_parallel: 4}")),
                HasSubstr("are 28 ranks, but 16 chips of 2 ranks are 32 (chips: 14 would do)"));
    EXPECT_THAT(wrong(with(test_experiment(), "alternatives.A.mapping", "{data_parallel: 33}")),
                HasSubstr("(data_parallel: 32 would do)"));
    // Products of the largest degrees stay numbers.
    EXPECT_THAT(wrong(with(test_experiment(), "alternatives.A.mapping",
                           "{data_parallel: 2000000000, tensor_parallel: 2000000000, "
                           "pipeline_parallel: 2000000000}")),
                HasSubstr("are 8e+27 ranks"));
}

TEST(Resolve, ABatchDividesOverTheRanksOfAChip) {
    EXPECT_THAT(
        wrong(with(test_experiment(), "workload.batch_per_chip", "15")),
        HasSubstr("test.yaml:99:1: workload.batch_per_chip: 15 makes 7.5 sequences for each "
                  "rank of A, expected whole ones (14 or 16 would)"));
    EXPECT_THAT(
        wrong(with(test_experiment(), "alternatives.A.batch_per_chip", "1")),
        HasSubstr("alternatives.A.batch_per_chip: 1 makes 0.5 sequences for each rank of A, "
                  "expected whole ones (2 would)"));
}

TEST(KeyPlaces, FallBackToTheMapAround) {
    KeyPlaces places;
    places.map = {"f", 1, 1};
    places.keys = {{"mapping", {"f", 5, 3}}, {"mapping.chunk", {"f", 6, 4}}};
    EXPECT_EQ(places.of("mapping.chunk").line, 6);
    EXPECT_EQ(places.of("mapping.other.deep").line, 5);
    EXPECT_EQ(places.of("other").line, 1);
    EXPECT_TRUE(places.has("mapping"));
    EXPECT_FALSE(places.has("other"));
}

}  // namespace
}  // namespace podsim
