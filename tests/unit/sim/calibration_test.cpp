// Fits to tables that the model itself wrote find the values they were written with; the errors
// that are reported are those on rows that were held out.
#include "sim/calibration.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/catalog.hpp"
#include "base/random.hpp"
#include "chips/cost.hpp"
#include "sim/fit_parameters.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

struct Subject {
    RankHardware hardware;
    KernelLibrarySpec library;
    Node document;
};

Subject h800() {
    Catalog catalog(PODSIM_SOURCE_DIR "/configs");
    Subject subject;
    subject.document = catalog.load("kernels", "deepseek-h800", {}, "");
    subject.library = read_kernel_library(subject.document, "deepseek-h800");
    subject.hardware = rank_hardware(read_chip(catalog.load("chip", "h800", {}, ""), "h800"));
    return subject;
}

// Times as the library has them, each off by up to `noise`.
std::vector<KernelRow> written_by(const Subject& subject, double noise) {
    std::vector<KernelRow> rows;
    for (const long m : {16, 64, 200, 512, 1500, 4096}) {
        for (const long n : {512, 2112, 7168, 24576}) {
            for (const long k : {512, 1536, 7168}) {
                KernelRow row;
                row.line = static_cast<int>(rows.size()) + 2;
                row.operators = {Gemm{m, n, k, 1, DType::fp8, DType::fp8, DType::bf16}};
                const double off = 1 + noise * (2 * uniform(3, m, n, k) - 1);
                row.measured = simulated_time(row, subject.hardware, subject.library) * off;
                rows.push_back(row);
            }
        }
    }
    return rows;
}

CalibrationPart part_of(std::vector<std::string> free) {
    CalibrationPart part;
    part.part = "gemm.fp8";
    part.free = std::move(free);
    return part;
}

TEST(Calibration, FindsTheValuesATableWasWrittenWith) {
    Subject subject = h800();
    const auto rows = written_by(subject, 0);
    const auto value = [&](const char* name) {
        return get_parameter(subject.library, "gemm.fp8", name);
    };
    const double launch = value("launch"), matrix = value("matrix_efficiency"),
                 memory = value("memory_efficiency");
    set_parameter(subject.library, "gemm.fp8", "launch", 8e-6);
    set_parameter(subject.library, "gemm.fp8", "matrix_efficiency", 0.5);
    set_parameter(subject.library, "gemm.fp8", "memory_efficiency", 0.6);
    const PartFit fit = fit_part(part_of({"launch", "matrix_efficiency", "memory_efficiency"}),
                                 rows, subject.hardware, subject.library, {});
    EXPECT_NEAR(fit.values.at("launch"), launch, 0.03e-6);
    EXPECT_NEAR(fit.values.at("matrix_efficiency"), matrix, 0.01);
    EXPECT_NEAR(fit.values.at("memory_efficiency"), memory, 0.01);
    EXPECT_LT(fit.held_out.mape, 0.005);
    EXPECT_EQ(fit.held_out.rows, 8);  // every tenth of 72
    EXPECT_EQ(fit.fitted.rows, 64);
    EXPECT_TRUE(fit.at_bounds.empty());
    EXPECT_NEAR(value("launch"), launch, 0.03e-6);
}

// What cannot be fitted shows as error on the rows held out: 10 % either way is 5 % on average.
TEST(Calibration, NoiseIsReportedAsErrorOnHeldOutRows) {
    Subject subject = h800();
    const auto rows = written_by(subject, 0.1);
    CalibrationPart part = part_of({"launch", "matrix_efficiency"});
    part.held_out = HeldOut::folds;
    const PartFit fit = fit_part(part, rows, subject.hardware, subject.library, {});
    EXPECT_EQ(fit.held_out.rows, 72);
    EXPECT_GT(fit.held_out.mape, 0.03);
    EXPECT_LT(fit.held_out.mape, 0.08);
    EXPECT_GE(fit.held_out.mape, fit.fitted.mape);
}

// Structural parameters and other parts stay; the same twice gives the same.
TEST(Calibration, MovesOnlyWhatIsFreeAndIsRepeatable) {
    Subject first = h800(), second = h800();
    const auto rows = written_by(first, 0.2);
    const PartFit a = fit_part(part_of({"launch"}), rows, first.hardware, first.library, {});
    const PartFit b = fit_part(part_of({"launch"}), rows, second.hardware, second.library, {});
    EXPECT_EQ(a.values, b.values);
    EXPECT_EQ(a.held_out.mape, b.held_out.mape);
    const KernelLibrarySpec before = h800().library;
    EXPECT_EQ(get_parameter(first.library, "gemm.fp8", "k_step"),
              get_parameter(before, "gemm.fp8", "k_step"));
    EXPECT_EQ(get_parameter(first.library, "gemm.bf16", "launch"),
              get_parameter(before, "gemm.bf16", "launch"));
}

TEST(Calibration, AValueAtTheEndOfItsRangeIsTold) {
    Subject subject = h800();
    auto rows = written_by(subject, 0);
    for (auto& row : rows) row.measured = row.measured * 0.2;  // five times faster than physics
    const PartFit fit = fit_part(part_of({"matrix_efficiency", "memory_efficiency"}), rows,
                                 subject.hardware, subject.library, {});
    EXPECT_THAT(fit.at_bounds, testing::Contains("matrix_efficiency"));
}

TEST(Calibration, RowsOfAnotherPartAreRefused) {
    Subject subject = h800();
    auto rows = written_by(subject, 0);
    rows[5].operators = {Gemm{16, 16, 16, 1}};  // BF16
    try {
        fit_part(part_of({"launch"}), rows, subject.hardware, subject.library, {});
        FAIL();
    } catch (const InputError& error) {
        EXPECT_THAT(error.what(), HasSubstr("is decided by gemm.bf16"));
    }
    rows.resize(5);
    EXPECT_THROW(fit_part(part_of({"launch"}), rows, subject.hardware, subject.library, {}),
                 InputError);
}

TEST(Calibration, TheRecordIsWritten) {
    Subject subject = h800();
    PartFit fit;
    fit.part = "gemm.fp8";
    fit.values = {{"launch", 2.5e-6}, {"ramp_bytes", 3e6}, {"matrix_efficiency", 0.5}};
    fit.fitted.rows = 42;
    fit.held_out.mape = 0.0625;
    write_fit(subject.document, fit, "2026-01-02");
    const KernelLibrarySpec again = read_kernel_library(subject.document, "again");
    const GemmHabits& habits = again.gemm.at(DType::fp8);
    EXPECT_NEAR(habits.launch.value(), 2.5e-6, 1e-12);
    EXPECT_NEAR(habits.ramp_bytes.value(), 3e6, 1);
    EXPECT_EQ(habits.matrix_efficiency, 0.5);
    EXPECT_EQ(habits.record.basis, Confidence::measured);
    EXPECT_EQ(habits.record.rows, 42);
    EXPECT_EQ(habits.record.held_out_error, 0.0625);
    EXPECT_EQ(habits.record.date, "2026-01-02");
    EXPECT_EQ(habits.record.source, subject.library.gemm.at(DType::fp8).record.source);
}

// An own table of few rows frees few values; each kind of operator is a part.
TEST(Calibration, PartsOfATableOfYourOwn) {
    const Subject subject = h800();
    auto rows = written_by(subject, 0);
    for (long batch = 1; batch <= 30; ++batch) {
        Attention a;
        a.batch = batch;
        a.context = 1000;
        a.heads = a.kv_heads = 8;
        a.head_dim_qk = a.head_dim_v = 128;
        rows.push_back({1, {a}, Seconds(1e-5)});
    }
    const auto parts = parts_of(rows, subject.library, {});
    ASSERT_EQ(parts.size(), 2u);
    EXPECT_EQ(parts[0].first.part, "attention_decode");
    EXPECT_EQ(parts[1].first.part, "gemm.fp8");
    EXPECT_EQ(parts[1].second.size(), 72u);
    EXPECT_EQ(parts[1].first.held_out, HeldOut::folds);
    EXPECT_EQ(parts[1].first.free.size(), 5u);
    const auto once = written_by(subject, 0);
    for (int i = 0; i < 5; ++i) rows.insert(rows.end(), once.begin(), once.end());
    EXPECT_GT(parts_of(rows, subject.library, {})[1].first.free.size(), 5u);
}

TEST(Calibration, WhatALibrarySaysIsChecked) {
    Subject subject = h800();
    const auto problem = [&](const std::string& yaml) -> std::string {
        subject.library.calibration = parse_yaml(yaml, "l.yaml");
        try {
            read_calibration(subject.library);
        } catch (const InputError& error) {
            return error.what();
        }
        return "no error";
    };
    const std::string table = ", tables: [{adapter: infersim_gemm, file: x}]}]";
    EXPECT_EQ(problem("[{part: gemm.fp8, free: [launch]" + table), "no error");
    EXPECT_THAT(problem("[{part: gemm.fp8, free: [lunch]" + table),
                HasSubstr("did you mean launch?"));
    EXPECT_THAT(problem("[{part: gemm.fp4, free: [launch]" + table),
                HasSubstr("has no habits called gemm.fp4"));
    EXPECT_THAT(problem("[{part: gemm.fp8, free: [expert_vector.launch]" + table),
                HasSubstr("has no habits called expert_vector"));
    EXPECT_THAT(problem("[{part: gemm.fp8, free: []" + table), HasSubstr("names no parameter"));
    EXPECT_THAT(problem("[{part: gemm.fp8, free: [launch], tables: [{adapter: x, file: y}]}]"),
                HasSubstr("unknown table adapter x"));
}

// Every library that is shipped can be fitted again.
TEST(Calibration, ShippedLibrariesNameWhatExists) {
    Catalog catalog(PODSIM_SOURCE_DIR "/configs");
    int parts = 0;
    for (const std::string& name : catalog.names("kernels")) {
        const KernelLibrarySpec library =
            read_kernel_library(catalog.load("kernels", name, {}, ""), name);
        EXPECT_NO_THROW(parts += static_cast<int>(read_calibration(library).size())) << name;
    }
    EXPECT_GT(parts, 20);
}

TEST(FitParameters, EveryOneIsReadAndSet) {
    Subject subject = h800();
    for (const std::string part : {"gemm.fp8", "attention_decode", "vector"}) {
        for (const FitParameter& one : fit_parameters(part)) {
            EXPECT_GT(one.low, 0) << one.name;
            EXPECT_LT(one.low, one.high) << one.name;
            set_parameter(subject.library, part, one.name, one.high);
            EXPECT_EQ(get_parameter(subject.library, part, one.name), one.high) << one.name;
        }
    }
    EXPECT_THROW(fit_parameters("gemm.fp7"), std::invalid_argument);
    EXPECT_THROW(get_parameter(subject.library, "vector", "k_step"), std::invalid_argument);
}

// Errors +10, -20, +30 %: mean amount 20, median 20, mean 6.67; the sum of times 6 of 6.2.
TEST(TableErrors, ByHand) {
    std::vector<KernelRow> rows(3);
    const double measured[] = {1, 2, 3};
    for (std::size_t i = 0; i < 3; ++i) {
        rows[i].operators = {Gemm{1, 1, 1, 1}};
        rows[i].measured = Seconds(measured[i]);
        rows[i].line = static_cast<int>(i) + 10;
    }
    const TableErrors errors = errors_of(rows, {1.1, 1.6, 3.9});
    EXPECT_NEAR(errors.mape, 0.2, 1e-12);
    EXPECT_NEAR(errors.median, 0.2, 1e-12);
    EXPECT_NEAR(errors.bias, 0.2 / 3, 1e-12);
    EXPECT_NEAR(errors.total, 6.6 / 6 - 1, 1e-12);
    EXPECT_NEAR(errors.worst, 0.3, 1e-12);
    EXPECT_EQ(errors.worst_line, 12);
    EXPECT_THROW(errors_of({}, {}), std::invalid_argument);
}

}  // namespace
}  // namespace podsim
