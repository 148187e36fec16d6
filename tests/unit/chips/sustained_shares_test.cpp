// The row of the bank model that a core's structure goes by, its file, and what a cost makes of it.
#include "chips/sustained_shares.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "chips/chip.hpp"
#include "chips/cost_cache.hpp"
#include "chips/kernel_library.hpp"
#include "chips/structural_cost.hpp"
#include "tests/unit/chips/bank_scene.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

SustainedShares row_of(const MemoryDevice& device, long cores) {
    return measure_shares(device, BytesPerSecond(0), cores);
}

MemoryDevice with_refresh(const std::string& name, RefreshMode mode) {
    MemoryDevice device = shipped_memory(name);
    device.controller.refresh = mode;
    return device;
}

TEST(SustainedShares, BetweenPointsTheLine) {
    const SustainedShares row{{0, 0.5, 1}, {0.9, 0.7, 0.6}};
    EXPECT_DOUBLE_EQ(share_at(row, 0.125), 0.85);
    EXPECT_DOUBLE_EQ(share_at(row, 0.75), 0.65);
    EXPECT_DOUBLE_EQ(share_at(row, -1), 0.9);
    EXPECT_DOUBLE_EQ(share_at(row, 2), 0.6);
    EXPECT_THROW(share_at({}, 0), std::invalid_argument);
}

// HBM3 by hand: of every tREFI of 3.9 us all banks stand still while they are closed (tRP 16.25
// ns), refreshed (tRFC 350 ns) and the next row is opened (tRCD 19.4 ns); nothing else keeps one
// core's reads from the pins.
TEST(SustainedShares, AllBankRefreshTakesItsTime) {
    const double none = row_of(with_refresh("hbm3", RefreshMode::none), 1).shares.front();
    const double all = row_of(with_refresh("hbm3", RefreshMode::all_bank), 1).shares.front();
    EXPECT_NEAR(none, 1, 0.01);
    EXPECT_NEAR(all / none, 1 - (16.25 + 350 + 19.4) / 3900, 0.005);
}

TEST(SustainedShares, RefreshBankByBankIsNeverWorse) {
    for (const char* name : {"hbm2e", "hbm3", "hbm3e", "hbm4"}) {
        const auto bank = row_of(with_refresh(name, RefreshMode::per_bank), 64);
        const auto all = row_of(with_refresh(name, RefreshMode::all_bank), 64);
        const auto none = row_of(with_refresh(name, RefreshMode::none), 64);
        ASSERT_EQ(bank.shares.size(), bank.writes.size());
        for (std::size_t i = 0; i < bank.shares.size(); ++i) {
            EXPECT_GE(bank.shares[i], all.shares[i]) << name << ", writes " << bank.writes[i];
            EXPECT_GE(none.shares[i], bank.shares[i] * 0.99)
                << name << ", writes " << bank.writes[i];
        }
    }
}

TEST(SustainedShares, FileGivesBackWhatWasWrittenAndNothingElse) {
    const MemoryDevice hbm3 = shipped_memory("hbm3");
    const SustainedShares row{{0, 0.5, 1}, {0.9, 0.7, 0.6}};
    const std::string setting = shares_setting(hbm3, BytesPerSecond(0), 64);
    const std::string file = shares_file(setting, row);
    const auto back = stored_shares(file, setting);
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(back->writes, row.writes);
    EXPECT_EQ(back->shares, row.shares);
    const MemoryDevice other = with_refresh("hbm3", RefreshMode::all_bank);
    EXPECT_FALSE(stored_shares(file, shares_setting(other, BytesPerSecond(0), 64)).has_value());
    EXPECT_FALSE(stored_shares(file, shares_setting(hbm3, BytesPerSecond(0), 65)).has_value());
    for (std::size_t at = 0; at < file.size(); at += 37) {
        std::string torn = file;
        torn[at] = static_cast<char>(torn[at] ^ 1);
        EXPECT_FALSE(stored_shares(torn, setting).has_value()) << at;
        EXPECT_FALSE(stored_shares(file.substr(0, at), setting).has_value()) << at;
    }
}

struct Custom {
    ChipSpec chip;
    KernelLibrarySpec library;
    Custom() {
        Catalog catalog(configs_root);
        chip = read_chip(catalog.load("chip", "custom-npu", {}, ""), "custom-npu");
        library = read_kernel_library(catalog.load("kernels", "structural", {}, ""), "structural");
    }
    OperatorCost cost(const OperatorBody& body) const {
        return structural_cost(body, rank_hardware(chip), library, Fidelity::tile, 1);
    }
};

// 3 GB read and 1 GB written are a quarter of writes: half way from 0.8 to 0.6 of 16.384 TB/s,
// times what the fabric leaves.
TEST(SustainedShares, OfAnOperatorsWrites) {
    Custom custom;
    custom.chip.core->memory.fabric->value = 0.9;
    custom.chip.sustained_shares = {{0, 0.5}, {0.8, 0.6}};
    VectorWork work;
    work.elements = 1e9;
    work.flops_per_element = 1;
    work.read = 3e9;
    work.write = 1e9;
    const double rate = 16.384e12 * 0.9 * 0.7;
    const OperatorCost cost = custom.cost(work);
    EXPECT_NEAR(cost.hbm_time.value(), 4e9 / rate, 1e-12);
    EXPECT_GE(cost.time.value(), 4e9 / rate);
    EXPECT_LE(cost.time.value() - cost.launch.value(), 1.03 * 4e9 / rate);
    // 64 x 8192 x 8192 in BF16: 2 x 64 x 8192 B in and out beside weights of 128 MiB: writes are
    // 1 / (1 + 1 + 128) of all.
    Gemm gemm;
    gemm.m = 64;
    gemm.n = gemm.k = 8192;
    gemm.a = gemm.b = gemm.c = DType::bf16;
    const OperatorCost product = custom.cost(gemm);
    EXPECT_NEAR(product.hbm.value() / product.hbm_time.value(), 16.384e12 * 0.9 * (0.8 - 0.4 / 130),
                1);
}

TEST(SustainedShares, NobodyMeasured) {
    const Custom custom;
    Gemm gemm;
    gemm.m = gemm.n = gemm.k = 1024;
    gemm.a = gemm.b = gemm.c = DType::bf16;
    try {
        custom.cost(gemm);
        FAIL() << "a rate that nobody measured";
    } catch (const std::invalid_argument& error) {
        EXPECT_THAT(error.what(), HasSubstr("core.memory.fabric"));
    }
}

TEST(SustainedShares, AreInTheSettingOfKeptCosts) {
    Custom custom;
    const auto setting = [&] {
        return CostCache(rank_hardware(custom.chip), custom.library, Fidelity::tile, true)
            .setting();
    };
    custom.chip.sustained_shares = {{0, 0.5}, {0.8, 0.6}};
    const std::string before = setting();
    custom.chip.sustained_shares.shares.back() = 0.61;
    EXPECT_NE(setting(), before);
}

}  // namespace
}  // namespace podsim
