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
                Fidelity fidelity = Fidelity::tile) {
    Catalog catalog(configs_root);
    const Node experiment = parse_yaml(
        fmt::format("experiment: a tile\n"
                    "workload: {{kind: operator, operator: {{type: gemm, m: 4096, n: 4096, k: "
                    "4096}}}}\n"
                    "alternatives:\n"
                    "  - {{name: A, system: {}, chips: 1{}}}\n",
                    system, tiling),
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

}  // namespace
}  // namespace podsim
