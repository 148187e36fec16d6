// A tile or a dataflow that an alternative forces.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/experiment.hpp"
#include "tests/support/readers.hpp"

namespace podsim {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Result run_with(const std::string& tiling, const std::string& system = "custom-supernode",
                Fidelity fidelity = Fidelity::tile,
                const std::string& shape = "m: 4096, n: 4096, k: 4096") {
    Catalog catalog(configs_root);
    const Node experiment =
        parse_yaml(fmt::format("experiment: a tile\n"
                               "workload: {{kind: operator, operator: {{type: gemm, {}}}}}\n"
                               "alternatives:\n"
                               "  - {{name: A, system: {}, chips: 1{}}}\n",
                               shape, system, tiling),
                   "tile.yaml");
    RunOptions options;
    options.fidelity = fidelity;
    options.driver = Driver::plain;
    options.neighbour = false;
    return run_experiment(experiment, catalog, options);
}
const OperatorRow& row_of(const Result& result) {
    return result.alternatives.front().operators.front();
}

TEST(Tiling, ForcedInAnExperiment) {
    const Result free = run_with("");
    const Result forced = run_with(", tiling: {tile: [64, 64, 32], cores: 100}");
    EXPECT_THAT(row_of(forced).choice, AllOf(HasSubstr("64 x 64 x 32"), HasSubstr("100 cores")));
    EXPECT_THAT(row_of(free).choice, Not(HasSubstr("64 x 64 x 32")));
    EXPECT_GT(row_of(forced).seconds_each, row_of(free).seconds_each);
    const Result cycle =
        run_with(", tiling: {tile: [64, 64, 32], cores: 100}", "custom-supernode", Fidelity::cycle);
    EXPECT_THAT(row_of(cycle).choice, HasSubstr("64 x 64 x 32"));
    // A tile that no search would take, bound by panels and drains alike.
    EXPECT_NEAR(row_of(cycle).seconds_each / row_of(forced).seconds_each, 1, 0.07);
}

TEST(Tiling, OtherDataflow) {
    const Result own = run_with("");
    const Result other = run_with(", tiling: {dataflow: weight_stationary}");
    EXPECT_NE(row_of(own).seconds_each, row_of(other).seconds_each);
}

TEST(Tiling, DoesNotCountWithFittedHabits) {
    const Result fitted = run_with(", tiling: {tile: [64, 64, 32]}", "hgx-h200");
    EXPECT_THAT(row_of(fitted).warning, HasSubstr("--fidelity cycle"));
}

TEST(Tiling, WhatDoesNotFitIsRefused) {
    const auto refused = [](const std::string& tiling) {
        return refusal_of([&] { run_with(tiling); });
    };
    EXPECT_THAT(refused(", tiling: {tile: [512, 512, 64]}"),
                AllOf(HasSubstr("tile.yaml:4:"), HasSubstr("alternatives.A.tiling"),
                      HasSubstr("512 x 512 x 64"), HasSubstr("accumulator")));
    EXPECT_THAT(refused(", tiling: {tile: [512, 512]}"), HasSubstr("expected [rows, columns"));
    EXPECT_THAT(refused(", tiling: {tile: [0, 16, 16]}"), HasSubstr("below 1"));
    EXPECT_THAT(refused(", tiling: {tile: [16, 16, 16], rows: [16]}"),
                HasSubstr("expected one of the two"));
    EXPECT_THAT(refused(", tiling: {dataflow: diagonal}"), HasSubstr("dataflow"));
    EXPECT_THAT(refused(", tiling: {stages: 1}"), HasSubstr("stages"));
}

// 910C: 24 cores a die, 8 panels in 512 KiB of level 1.
TEST(Tiling, WhatNoCoreCanDoIsRefusedWhereItStands) {
    const auto refused = [](const std::string& tiling) {
        return refusal_of([&] {
            run_with(", kernels: structural, tiling: {" + tiling + "}", "cloudmatrix384",
                     Fidelity::tile, "m: 512, n: 512, k: 2048");
        });
    };
    EXPECT_THAT(refused("cores: 25"),
                AllOf(HasSubstr("tile.yaml:4:"), HasSubstr("alternatives.A.tiling.cores"),
                      HasSubstr("25 cores"), HasSubstr("24 at most")));
    EXPECT_EQ(refused("cores: 24"), "accepted");
    EXPECT_THAT(refused("stages: 64"),
                AllOf(HasSubstr("tile.yaml:4:"), HasSubstr("alternatives.A.tiling.stages"),
                      HasSubstr("64 operand panels"), HasSubstr("8 at most")));
    EXPECT_EQ(refused("stages: 8"), "accepted");
    // A panel of 128 x (128 + 256) x 2 B is 96 KiB: 512 KiB hold five.
    EXPECT_THAT(refused("tile: [128, 256, 128], stages: 8"),
                AllOf(HasSubstr("tile.yaml:4:"), HasSubstr("8 panels"), HasSubstr("5 at most")));
    EXPECT_EQ(refused("tile: [128, 256, 128], stages: 5"), "accepted");
    EXPECT_THAT(refused("split: 4000"),
                AllOf(HasSubstr("tile.yaml:4:"), HasSubstr("alternatives.A.tiling"),
                      HasSubstr("K of 2048"), HasSubstr("the nearest number that can be is 2048")));
    // Slices of 3 elements would be 683, slices of 2 are 1024.
    EXPECT_THAT(refused("split: 1000"), HasSubstr("the nearest number that can be is 1024"));
    EXPECT_THAT(refused("split: 700"), HasSubstr("the nearest number that can be is 683"));
    EXPECT_EQ(refused("split: 48"), "accepted");  // slices of 43, the last of 27
}

// Cores are a cap where there are fewer tiles: four of 128 x 128 here.
TEST(Tiling, CoresWithoutATileAreNamed) {
    const Result few =
        run_with(", kernels: structural, tiling: {tile: [128, 128, 64], split: 1, cores: 24}",
                 "cloudmatrix384", Fidelity::tile, "m: 256, n: 256, k: 2048");
    EXPECT_THAT(row_of(few).choice, HasSubstr("4 cores"));
    EXPECT_THAT(row_of(few).warning, HasSubstr("asks for 24 cores, 4 are in use"));
    const Result enough =
        run_with(", kernels: structural, tiling: {tile: [128, 128, 64], split: 1, cores: 4}",
                 "cloudmatrix384", Fidelity::tile, "m: 256, n: 256, k: 2048");
    EXPECT_EQ(row_of(enough).warning, "");
}

}  // namespace
}  // namespace podsim
