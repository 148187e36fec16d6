// Every chip and kernel library in configs/ keeps the contract of its kind. A new file is tested
// by being there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/catalog.hpp"
#include "chips/cost.hpp"
#include "tests/support/readers.hpp"

namespace podsim {
namespace {

using testing::Contains;

ChipSpec chip_named(const std::string& name) {
    return read_chip(Catalog(configs_root).load("chip", name, {}, ""), name);
}
KernelLibrarySpec library_named(const std::string& name) {
    return read_kernel_library(Catalog(configs_root).load("kernels", name, {}, ""), name);
}

TEST(Configs, ThereAreChipsAndLibraries) {
    EXPECT_THAT(names_in_configs("chip"), Contains("ascend-910c"));
    EXPECT_THAT(names_in_configs("chip"), Contains("h800"));
    EXPECT_THAT(names_in_configs("chip"), Contains("custom-npu"));
    EXPECT_THAT(names_in_configs("kernels"), Contains("nominal"));
}

class EveryChip : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Configs, EveryChip, testing::ValuesIn(names_in_configs("chip")),
                         test_name);

// read_chip itself refuses peaks that its cores do not give; here once more, from the outside.
TEST_P(EveryChip, PeaksAreItsCores) {
    const ChipSpec chip = chip_named(GetParam());
    for (const auto& [dtype, peak] : chip.peak_matrix) {
        if (!chip.cores) break;
        const double of_cores = static_cast<double>(chip.cores->matrix.value) * 2 *
                                static_cast<double>(chip.cores->macs_per_cycle.at(dtype).value) *
                                chip.cores->clock.value.value();
        EXPECT_NEAR(peak.value.value() / of_cores, 1, 0.02) << to_string(dtype);
    }
    // What a data sheet adds to the matrix units (vector units, rounding) is little. A published
    // peak beside them all is sparsity, or of another unit: it does not belong here.
    for (const auto& [dtype, peak] : chip.peak_published) {
        const double matrix = (peak_for(rank_hardware(chip), dtype) * chip.ranks).value();
        EXPECT_NEAR(peak.value.value() / matrix, 1, 0.15) << to_string(dtype);
    }
}

// The numbers a result rests on say where they are from.
TEST_P(EveryChip, SaysItsSources) {
    const ChipSpec chip = chip_named(GetParam());
    const auto expect_source = [](const auto& field, const char* what) {
        EXPECT_FALSE(field.source.empty()) << what;
    };
    expect_source(main_memory(chip).capacity, "capacity");
    expect_source(main_memory(chip).bandwidth, "bandwidth");
    if (chip.sram) expect_source(chip.sram->bandwidth, "sram.bandwidth");
    if (chip.cores) {
        const CoresSpec& cores = *chip.cores;
        expect_source(cores.matrix, "cores.matrix");
        expect_source(cores.vector, "cores.vector");
        expect_source(cores.clock, "cores.clock");
        expect_source(cores.minimum_rows, "cores.minimum_rows");
        expect_source(cores.accumulator, "cores.accumulator");
        expect_source(cores.l2, "cores.l2");
        expect_source(cores.feed, "cores.feed");
        for (const auto& [dtype, macs] : cores.macs_per_cycle) expect_source(macs, "macs");
    }
    if (chip.band) expect_source(*chip.band, "band");
    expect_source(chip.peak_vector, "peak_vector");
    expect_source(chip.power, "power");
    for (const auto& [dtype, peak] : chip.peak_matrix) expect_source(peak, "peak_matrix");
    for (const auto& [dtype, peak] : chip.peak_published) expect_source(peak, "peak_published");
    for (const auto& [dtype, peak] : chip.peak_sparse) expect_source(peak, "peak_sparse");
    for (const auto& [dtype, peak] : chip.peak_headline) expect_source(peak, "peak_headline");
}

// Orders of magnitude: a slip of three zeros in a data sheet is found here.
TEST_P(EveryChip, IsAnAcceleratorOfOurTime) {
    const ChipSpec chip = chip_named(GetParam());
    const auto between = [](double value, double least, double most) {
        EXPECT_GE(value, least);
        EXPECT_LE(value, most);
    };
    // A phone's memory on a card of 2024, a wafer's power and work at the other ends.
    if (chip.hbm) {
        between(chip.hbm->capacity.value.value(), 16e9, 2e12);
        between(chip.hbm->bandwidth.value.value(), 0.2e12, 60e12);
    }
    if (chip.sram) {
        between(chip.sram->capacity.value.value(), 50e6, 50e9);
        between(chip.sram->bandwidth.value.value(), 2e12, 30e15);
    }
    for (const auto& [dtype, peak] : chip.peak_matrix) {
        between(peak.value.value(), 50e12, 100e15);
    }
    between(chip.peak_vector.value.value(), 2e12, 1e15);
    between(chip.power.value.value(), 50, 25000);
    if (!chip.cores) return;
    between(chip.cores->clock.value.value(), 0.5e9, 4e9);
    // Caches feed the cores faster than memory feeds the caches.
    EXPECT_GT(chip.cores->feed.value * static_cast<double>(chip.cores->matrix.value),
              main_memory(chip).bandwidth.value);
}

// Dense rates of narrower formats are no lower, but for paths that a vendor has all but removed.
TEST_P(EveryChip, NarrowerFormatsAreNoSlower) {
    const ChipSpec chip = chip_named(GetParam());
    const auto peak = [&](DType dtype) {
        const auto found = chip.peak_matrix.find(dtype);
        return found == chip.peak_matrix.end() ? 0.0 : found->second.value.value();
    };
    for (const DType narrow : {DType::fp8, DType::fp4}) {
        if (peak(narrow) > 0) {
            EXPECT_GE(peak(narrow), peak(DType::bf16)) << to_string(narrow);
        }
    }
}

TEST_P(EveryChip, ItsKernelLibraryExistsAndSpeaksItsFormats) {
    const ChipSpec chip = chip_named(GetParam());
    ASSERT_THAT(names_in_configs("kernels"), Contains(chip.kernels));
    const KernelLibrarySpec library = library_named(chip.kernels);
    int shared = 0;
    for (const auto& [dtype, peak] : chip.peak_matrix) shared += library.gemm.count(dtype) > 0;
    EXPECT_GT(shared, 0);
    EXPECT_GT(library.gemm.count(DType::bf16), 0u) << "head, router and gate run in BF16";
}

// Every product its library knows, attention and a norm cost something at every fidelity, no less
// than the data sheet allows.
TEST_P(EveryChip, RunsWhatItsLibraryKnows) {
    ChipSpec chip = chip_named(GetParam());
    if (chip.core && chip.core->memory.fabric) chip.sustained_shares = {{0, 1}, {0.9, 0.7}};
    const RankHardware hardware = rank_hardware(chip);
    const KernelLibrarySpec library = library_named(chip.kernels);
    std::vector<OperatorBody> bodies = {VectorWork{"norm", 1e6, 4, 2e6, 2e6}};
    for (const auto& [dtype, habits] : library.gemm) {
        if (chip.peak_matrix.count(dtype) == 0) continue;
        for (const long m : {1, 100, 4096})
            bodies.push_back(Gemm{m, 7168, 2048, 1, dtype, dtype, DType::bf16});
    }
    for (const Phase phase : {Phase::decode, Phase::prefill}) {
        Attention a;
        a.form = AttentionForm::mla_absorbed;
        a.phase = phase;
        a.batch = 32;
        a.context = 4096;
        a.heads = 128;
        a.kv_heads = 1;
        a.head_dim_qk = 576;
        a.head_dim_v = 512;
        bodies.push_back(a);
    }
    for (const auto& body : bodies) {
        const Seconds bound = roofline_bound(body, hardware);
        const auto analytic = operator_cost(body, hardware, library, Fidelity::analytic, 1.0);
        const auto tile = operator_cost(body, hardware, library, finest_fidelity(chip), 1.0);
        EXPECT_GT(analytic.time, bound) << shape_of(body);
        if (!chip.cores) continue;
        EXPECT_GE(tile.time, analytic.time) << shape_of(body);
        EXPECT_LT(tile.time, 20.0 * bound + microseconds(60)) << shape_of(body);
        const bool converted = chip.peak_matrix.count(compute_dtype_of(body)) == 0;
        if (!converted || std::holds_alternative<VectorWork>(body)) {
            EXPECT_EQ(tile.warning, "") << shape_of(body);
        }
    }
}

class EveryKernelLibrary : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Configs, EveryKernelLibrary,
                         testing::ValuesIn(names_in_configs("kernels")), test_name);

TEST_P(EveryKernelLibrary, IsMeantForAChipThatExists) {
    EXPECT_THAT(names_in_configs("chip"), Contains(library_named(GetParam()).chip));
}

// Measured ones say on how much, all say by whom; an error is a fraction.
TEST_P(EveryKernelLibrary, RecordsItsFits) {
    KernelLibrarySpec library = library_named(GetParam());
    for (const FitRecord* of_habits : records_of(library)) {
        const FitRecord& record = *of_habits;
        EXPECT_FALSE(record.source.empty());
        EXPECT_EQ(record.date.size(), 10u) << record.date;
        EXPECT_GE(record.held_out_error, 0);
        EXPECT_LT(record.held_out_error, 1);
        if (record.basis == Confidence::measured) {
            EXPECT_GT(record.rows, 0) << record.source;
        }
    }
}

TEST_P(EveryKernelLibrary, HasFormatsOfItsChip) {
    const KernelLibrarySpec library = library_named(GetParam());
    const ChipSpec chip = chip_named(library.chip);
    int shared = 0;
    for (const auto& [dtype, habits] : library.gemm) shared += chip.peak_matrix.count(dtype) > 0;
    EXPECT_GT(shared, 0);
}

}  // namespace
}  // namespace podsim
