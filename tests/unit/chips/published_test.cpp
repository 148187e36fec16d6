// Kernel libraries against what was published of their kernels: an anchor of the parameters in
// configs/kernels, not a fit. Times are microseconds, of one rank.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/catalog.hpp"
#include "chips/cost.hpp"
#include "tests/support/attentions.hpp"

namespace podsim {
namespace {

struct Bench {
    RankHardware hardware;
    KernelLibrarySpec library;

    OperatorCost cost(const OperatorBody& body) const {
        return operator_cost(body, hardware, library, Fidelity::tile, 1.0);
    }
    double microseconds_of(const OperatorBody& body) const { return cost(body).time.value() * 1e6; }
};

Bench bench(const std::string& chip_name) {
    Catalog catalog(std::string(PODSIM_SOURCE_DIR) + "/configs");
    const ChipSpec chip = read_chip(catalog.load("chip", chip_name, {}, ""), chip_name);
    return {rank_hardware(chip),
            read_kernel_library(catalog.load("kernels", chip.kernels, {}, ""), chip.kernels)};
}

Gemm fp8(long m, long n, long k) {
    return {m, n, k, 1, DType::fp8, DType::fp8, DType::bf16};
}

// DeepGEMM README, first release (February 2025), H800, FP8 with fine-grained scales: dense
// products of DeepSeek-V3. Times derived from its TFLOPS. The library is fitted on this table.
TEST(Published, DeepGemmDecodeRowsOnH800) {
    const Bench h800 = bench("h800");
    EXPECT_NEAR(h800.microseconds_of(fp8(64, 2112, 7168)) / 9.4, 1, 0.12);
    EXPECT_NEAR(h800.microseconds_of(fp8(64, 24576, 1536)) / 16.7, 1, 0.12);
    EXPECT_NEAR(h800.microseconds_of(fp8(64, 7168, 16384)) / 44.7, 1, 0.12);
    EXPECT_NEAR(h800.microseconds_of(fp8(64, 4096, 7168)) / 13.1, 1, 0.12);
    EXPECT_NEAR(h800.microseconds_of(fp8(64, 7168, 2048)) / 6.4, 1, 0.12);
}

TEST(Published, DeepGemmPrefillRowsOnH800) {
    const Bench h800 = bench("h800");
    EXPECT_NEAR(h800.microseconds_of(fp8(4096, 2112, 7168)) / 117.2, 1, 0.12);
    EXPECT_NEAR(h800.microseconds_of(fp8(4096, 24576, 1536)) / 312.4, 1, 0.12);
    EXPECT_NEAR(h800.microseconds_of(fp8(4096, 7168, 16384)) / 708.4, 1, 0.12);
    EXPECT_NEAR(h800.microseconds_of(fp8(4096, 4096, 7168)) / 184.4, 1, 0.12);
    EXPECT_NEAR(h800.microseconds_of(fp8(4096, 7168, 2048)) / 117.3, 1, 0.12);
}

// InferSim's table of FlashMLA on H800 (alibaba/InferSim): BF16, 128 heads, 576/512.
TEST(Published, FlashMlaDecodeOnH800) {
    const Bench h800 = bench("h800");
    EXPECT_NEAR(h800.microseconds_of(latent_attention(Phase::decode, 128, 1, 4096)) / 292, 1, 0.06);
    EXPECT_NEAR(h800.microseconds_of(latent_attention(Phase::decode, 64, 1, 4096)) / 155, 1, 0.06);
    EXPECT_NEAR(h800.microseconds_of(latent_attention(Phase::decode, 32, 1, 4096)) / 85.6, 1, 0.10);
    EXPECT_NEAR(h800.microseconds_of(latent_attention(Phase::decode, 128, 1, 32768)) / 2095, 1,
                0.06);
}

// The same table, prefill of one sequence: 128 heads of 192 / 128. The library's efficiency is the
// table's utilisation as it stands; the model adds whole waves of 132 cores and whole blocks on the
// diagonal to it, 6 % of a short prompt.
TEST(Published, MlaPrefillOnH800) {
    const Bench h800 = bench("h800");
    const auto prompt = [](long tokens) {
        Attention a = latent_attention(Phase::prefill, 1, tokens, tokens);
        a.form = AttentionForm::gqa;
        a.kv_heads = 128;
        a.head_dim_qk = 192;
        a.head_dim_v = 128;
        return a;
    };
    EXPECT_NEAR(h800.microseconds_of(prompt(4096)) / 1104.7, 1, 0.08);
    EXPECT_NEAR(h800.microseconds_of(prompt(16384)) / 17770, 1, 0.08);
}

// "Serving LLMs on Huawei CloudMatrix384" (arXiv 2506.12708): INT8 products reach 77.4 to 82.7 % of
// the published 752 TOPS of a die (the matrix units alone have 708).
TEST(Published, Int8ProductsOn910C) {
    const Bench die = bench("ascend-910c");
    for (const Gemm& shape : {Gemm{7168, 4096, 7168}, Gemm{4096, 7168, 16384},
                              Gemm{8192, 8192, 8192}, Gemm{4096, 24576, 1536}}) {
        Gemm product = shape;
        product.groups = 1;
        product.a = product.b = DType::int8;
        const double share = work_of(product).value() / die.cost(product).time.value() / 752e12;
        EXPECT_GT(share, 0.70) << shape_of(product);
        EXPECT_LT(share, 0.90) << shape_of(product);
    }
}

// The same paper: latent attention reaches 246 TFLOPS a die where it is bound by the cube cores,
// 1,346 GB/s where it is bound by memory. Which of the two is a matter of heads: 2 (576 + 512)
// FLOP a head for an entry of 1,152 B against 183 FLOP a byte: above 97 heads the cores bind.
TEST(Published, LatentAttentionOn910C) {
    const Bench die = bench("ascend-910c");
    const Attention two_queries = latent_attention(Phase::decode, 96, 2, 4096);
    const OperatorCost bound_by_cores = die.cost(two_queries);
    EXPECT_NEAR(work_of(two_queries).value() / bound_by_cores.time.value() / 246e12, 1, 0.10);
    const OperatorCost bound_by_memory = die.cost(latent_attention(Phase::decode, 96, 1, 8192, 16));
    EXPECT_NEAR(bound_by_memory.hbm.value() / bound_by_memory.time.value() / 1346e9, 1, 0.10);
}

}  // namespace
}  // namespace podsim
