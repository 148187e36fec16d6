// What-ifs on a chip's memory device, which reach a run through its banks.
#include "sim/memory_shares.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include "sim/experiment.hpp"
#include "sim/kept_file.hpp"
#include "tests/support/readers.hpp"

namespace podsim {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

// A product of few rows: its weights of 512 MiB have to come from memory.
AlternativeResult run(const std::vector<std::string>& settings, Fidelity fidelity = Fidelity::tile,
                      const std::string& system = "custom-supernode") {
    std::vector<Setting> parsed;
    for (const std::string& text : settings) parsed.push_back(parse_setting(text));
    Catalog catalog(configs_root, parsed);
    const Node experiment = parse_yaml(
        fmt::format("experiment: banks\n"
                    "workload: {{kind: operator, operator: {{type: gemm, m: 16, n: 16384, k: "
                    "16384}}}}\n"
                    "alternatives:\n"
                    "  - {{name: A, system: {}, chips: 1}}\n",
                    system),
        "banks.yaml");
    RunOptions options;
    options.fidelity = fidelity;
    options.driver = Driver::plain;
    options.neighbour = false;
    return run_experiment(experiment, catalog, options).alternatives.front();
}

double seconds(const std::vector<std::string>& settings, Fidelity fidelity = Fidelity::tile) {
    return run(settings, fidelity).operators.front().seconds_each;
}

TEST(MemoryShares, RefreshChangesARunAtBothLevels) {
    for (const Fidelity fidelity : {Fidelity::tile, Fidelity::cycle}) {
        const double bank = seconds({}, fidelity);
        const double all = seconds({"memory:hbm4.controller.refresh=all_bank"}, fidelity);
        const double none = seconds({"memory:hbm4.controller.refresh=none"}, fidelity);
        EXPECT_GT(all, bank * 1.01);
        EXPECT_LT(none, bank * 1.001);
    }
}

// 512 MiB of weights and 1 MiB of both activations at 16.384 TB/s x fabric x share.
TEST(MemoryShares, ByHand) {
    Catalog catalog(configs_root);
    ChipSpec chip = read_chip(catalog.load("chip", "custom-npu", {}, ""), "custom-npu");
    MemoryShares("").fill_in(chip, read_memory(catalog.load("memory", "hbm4", {}, ""), "hbm4"));
    const double share = chip.core->memory.fabric->value * share_at(chip.sustained_shares, 0);
    EXPECT_NEAR(share, 0.86, 0.02);
    const double streamed = 513.0 * (1 << 20) / (16.384e12 * share);
    const double took = seconds({});
    EXPECT_GT(took, streamed);
    EXPECT_LT(took, 1.15 * streamed);
}

TEST(MemoryShares, MoreStacksAreNeverSlower) {
    double last = 1;
    for (const int stacks : {4, 8, 16}) {
        const double now =
            seconds({fmt::format("chip:custom-npu.memory.stacks={}", stacks),
                     fmt::format("chip:custom-npu.silicon.hbm_stacks={}", stacks),
                     fmt::format("chip:custom-npu.hbm.bandwidth={} TB/s", 2.048 * stacks),
                     fmt::format("chip:custom-npu.hbm.capacity={} GB", 36 * stacks)});
        EXPECT_LE(now, last) << stacks;
        last = now;
    }
}

TEST(MemoryShares, AnotherDevice) {
    EXPECT_NE(seconds({"chip:custom-npu.memory.device=hbm3e"}), seconds({}));
    EXPECT_GT(seconds({"memory:hbm4.timing.tFAW=60 ns"}), seconds({}));
}

// It is said where no run goes by the banks, and only there.
TEST(MemoryShares, WhatNoRunUsesIsSaid) {
    EXPECT_THAT(run({"memory:hbm4.controller.refresh=all_bank"}).warnings,
                Not(Contains(HasSubstr("controller.refresh"))));
    EXPECT_THAT(
        run({"memory:hbm3e.controller.refresh=all_bank"}, Fidelity::tile, "hgx-h200").warnings,
        Contains(HasSubstr(
            "controller.refresh of hbm3e changed, which kernel library trtllm-h200 does not")));
}

class MemorySharesFile : public testing::Test {
  protected:
    MemorySharesFile() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "podsim-test-XXXXXX").string();
        if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
        folder_ = pattern;
    }
    ~MemorySharesFile() override {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    std::string folder_;
};

// A file of the very same device, pins and cores is taken as it stands, and nothing else of it.
TEST_F(MemorySharesFile, IsTakenAsItStands) {
    Catalog catalog(configs_root);
    const MemoryDevice device = read_memory(catalog.load("memory", "hbm4", {}, ""), "hbm4");
    ChipSpec chip = read_chip(catalog.load("chip", "custom-npu", {}, ""), "custom-npu");
    MemoryShares(folder_).fill_in(chip, device);
    const SustainedShares first = chip.sustained_shares;
    ASSERT_FALSE(std::filesystem::is_empty(folder_));
    const std::string file = std::filesystem::directory_iterator(folder_)->path().string();
    const std::string setting =
        shares_setting(device, chip.memory->pin_rate.value, chip.cores->matrix.value);
    keep_content(file, shares_file(setting, {{0, 1}, {0.5, 0.25}}));
    MemoryShares(folder_).fill_in(chip, device);
    EXPECT_EQ(chip.sustained_shares.shares, (std::vector<double>{0.5, 0.25}));
    keep_content(file, "torn");
    MemoryShares(folder_).fill_in(chip, device);
    EXPECT_EQ(chip.sustained_shares.shares, first.shares);
}

}  // namespace
}  // namespace podsim
