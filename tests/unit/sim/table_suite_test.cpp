// Suites that hold tables: gates on rows and on the library's record, tables that are not there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "chips/cost.hpp"
#include "sim/validation.hpp"
#include "sim/validation_suite.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

const Catalog& catalog() {
    static const Catalog shipped(PODSIM_SOURCE_DIR "/configs");
    return shipped;
}

class TableSuite : public testing::Test {
  protected:
    TableSuite() : folder_(testing::TempDir() + "podsim_table_suite" + std::to_string(getpid())) {
        std::filesystem::create_directories(folder_);
        // Twenty products, measured 10 % faster than the library says.
        Catalog own = catalog();
        const KernelLibrarySpec library =
            read_kernel_library(own.load("kernels", "deepseek-h800", {}, ""), "deepseek-h800");
        const RankHardware hardware =
            rank_hardware(read_chip(own.load("chip", "h800", {}, ""), "h800"));
        std::ofstream table(folder_ + "/t.csv");
        table << "m,n,k,latency_us\n";
        for (long m = 1; m <= 20; ++m) {
            const Gemm gemm{64 * m, 4096, 4096, 1, DType::fp8, DType::fp8, DType::bf16};
            const Seconds time = operator_cost(gemm, hardware, library, Fidelity::tile, 1).time;
            table << fmt::format("{},4096,4096,{:.9g}\n", 64 * m, time.value() * 1e6 / 1.1);
        }
    }
    ~TableSuite() override { std::filesystem::remove_all(folder_); }

    SuiteReport run(const std::string& more, const std::string& file = "t.csv") const {
        const std::string yaml = fmt::format(
            "suite: s\ntables:\n  - {{id: T, chip: h800, kernels: deepseek-h800, adapter: "
            "infersim_gemm, file: {}, source: this test, {}}}\n",
            file, more);
        return run_suite(parse_yaml(yaml, folder_ + "/s.yaml"), catalog(), {}, folder_);
    }
    std::string folder_;
};

TEST_F(TableSuite, ErrorsOfTheRows) {
    const SuiteReport report = run("use: check, gate: {mape: 10.1 %}");
    ASSERT_EQ(report.tables.size(), 1u);
    EXPECT_EQ(report.tables[0].errors.rows, 20);
    EXPECT_NEAR(report.tables[0].errors.mape, 0.1, 1e-6);
    EXPECT_NEAR(report.mape, 0.1, 1e-6);
    EXPECT_NEAR(report.bias, 0.1, 1e-6);
    EXPECT_TRUE(report.passed);
    EXPECT_EQ(run("use: check, rows: tenth").tables[0].errors.rows, 2);
}

TEST_F(TableSuite, GatesFailUnlessTheTableIsOnlyPrinted) {
    EXPECT_FALSE(run("use: check, gate: {mape: 9.9 %}").passed);
    EXPECT_FALSE(run("use: fit, gate: {mape: 9.9 %}").passed);
    EXPECT_TRUE(run("use: print, gate: {mape: 9.9 %}").passed);
    // The record of the library's FP8 products says 4.8 %.
    EXPECT_TRUE(run("use: check, part: gemm.fp8, gate: {held_out: 5 %}").passed);
    EXPECT_FALSE(run("use: check, part: gemm.fp8, gate: {held_out: 4 %}").passed);
}

TEST_F(TableSuite, ATableThatIsNotThereIsSkipped) {
    const SuiteReport report = run("use: check, gate: {mape: 1 %}", "other.csv");
    EXPECT_THAT(report.tables[0].skipped, HasSubstr("no other.csv in "));
    EXPECT_TRUE(report.passed);
    EXPECT_EQ(report.mape, 0);
}

TEST_F(TableSuite, JsonHasATableAsACase) {
    const auto json = to_json({run("use: check, gate: {mape: 20 %}")});
    const auto& one = json["suites"][0]["cases"][0];
    EXPECT_EQ(one["id"], "T");
    EXPECT_NEAR(one["error"].get<double>(), 0.1, 1e-6);
    EXPECT_NEAR(one["simulated"].get<double>() / one["published"].get<double>(), 1.1, 1e-6);
    EXPECT_EQ(one["table"]["rows"], 20);
    EXPECT_NEAR(one["table"]["mape"].get<double>(), 0.1, 1e-6);
    EXPECT_EQ(one["table"]["gate"]["mape"], 0.2);
}

TEST_F(TableSuite, WhatIsWrongIsSaidBeforeAnythingRuns) {
    const auto problem = [&](const std::string& yaml) -> std::string {
        try {
            prepare_suite(parse_yaml(yaml, "s.yaml"), catalog());
        } catch (const InputError& error) {
            return error.what();
        }
        return "no error";
    };
    const auto table = [](const std::string& text) {
        return "suite: s\ntables:\n  - {id: T, file: f, use: check, source: x, " + text + "}\n";
    };
    EXPECT_EQ(problem(table("chip: h800, kernels: deepseek-h800, adapter: infersim_gemm")),
              "no error");
    EXPECT_THAT(problem(table("chip: h80, kernels: deepseek-h800, adapter: infersim_gemm")),
                HasSubstr("s.yaml:3:5: T.chip: unknown chip h80"));
    EXPECT_THAT(problem(table("chip: h800, kernels: deepseek-h800, adapter: infersim_gem")),
                HasSubstr("did you mean infersim_gemm?"));
    EXPECT_THAT(problem(table("chip: h800, kernels: deepseek-h800, adapter: infersim_gemm, "
                              "part: gemm.fp4")),
                HasSubstr("T.part"));
    EXPECT_THAT(problem(table("chip: h800, kernels: deepseek-h800, adapter: infersim_gemm, "
                              "gate: {held_out: 5 %}")),
                HasSubstr("a part is needed"));
    EXPECT_THAT(problem("suite: s\n"), HasSubstr("one of them is needed"));
}

}  // namespace
}  // namespace podsim
