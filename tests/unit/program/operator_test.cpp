// Work, bytes and validity of operators, by hand.
#include "program/operator.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <stdexcept>

namespace podsim {
namespace {

using testing::HasSubstr;

Attention latent_decode(long batch, long query, long context) {
    Attention a;
    a.form = AttentionForm::mla_absorbed;
    a.batch = batch;
    a.query = query;
    a.context = context;
    a.heads = 128;
    a.kv_heads = 1;
    a.head_dim_qk = 576;
    a.head_dim_v = 512;
    return a;
}

Attention grouped(Phase phase, long batch, long query, long context) {
    Attention a;
    a.phase = phase;
    a.batch = batch;
    a.query = query;
    a.context = context;
    a.heads = 32;
    a.kv_heads = 8;
    a.head_dim_qk = 128;
    a.head_dim_v = 128;
    return a;
}

std::string refusal(const OperatorBody& body) {
    try {
        require_valid(Operator{"the_op", body});
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
    return "accepted";
}

TEST(DType, SizesAndNames) {
    EXPECT_EQ(bytes_of(DType::fp32), 4.0);
    EXPECT_EQ(bytes_of(DType::bf16), 2.0);
    EXPECT_EQ(bytes_of(DType::fp16), 2.0);
    EXPECT_EQ(bytes_of(DType::fp8), 1.0);
    EXPECT_EQ(bytes_of(DType::int8), 1.0);
    EXPECT_EQ(bytes_of(DType::fp4), 0.5);
    std::set<std::string> names;
    for (const auto& [name, dtype] : names_of(static_cast<const DType*>(nullptr))) {
        EXPECT_EQ(to_string(dtype), name);
        names.insert(name);
    }
    EXPECT_EQ(names.size(), 6u);
}

// 2 m n k groups = 2 x 3 x 5 x 7 x 2 = 420.
TEST(Work, OfAProduct) {
    EXPECT_EQ(work_of(Gemm{3, 5, 7, 2}).value(), 420.0);
    EXPECT_EQ(matrix_work_of(Gemm{3, 5, 7, 2}).value(), 420.0);
}

// Latent attention of 128 sequences over 4,096 tokens, 128 heads: 2 x (576 + 512) x 128 x 4096 x
// 128 = 146,028,888,064 FLOP, the 146 GFLOP behind FlashMLA's utilisation in the InferSim tables.
TEST(Work, OfLatentAttention) {
    EXPECT_EQ(work_of(latent_decode(128, 1, 4096)).value(), 146'028'888'064.0);
    EXPECT_EQ(matrix_work_of(latent_decode(128, 1, 4096)).value(), 146'028'888'064.0);
    // One draft token: every query counts the full context.
    EXPECT_EQ(work_of(latent_decode(128, 2, 4096)).value(), 2 * 146'028'888'064.0);
}

// Three new tokens behind two cached ones see 3, 4 and 5 keys: 12 pairs. 2 (128 + 128) 32 = 16,384
// FLOP a pair.
TEST(Work, OfCausalPrefill) {
    EXPECT_EQ(work_of(grouped(Phase::prefill, 1, 3, 5)).value(), 12 * 16384.0);
    // Nothing cached: 1 + 2 + 3 + 4 = 10 pairs, for each of 6 sequences.
    EXPECT_EQ(work_of(grouped(Phase::prefill, 6, 4, 4)).value(), 60 * 16384.0);
}

TEST(Work, OfVectorOperatorsIsNotTheMatrixUnits) {
    const VectorWork norm{"rms_norm", 1000, 4, 2000, 2000};
    EXPECT_EQ(work_of(norm).value(), 4000.0);
    EXPECT_EQ(matrix_work_of(norm).value(), 0.0);
}

// Two groups of [3,7] x [7,5] -> [3,5], FP8 by FP4 into BF16: 2 (21 + 35 / 2 + 30) = 137 B.
TEST(CompulsoryBytes, OfAGroupedProduct) {
    EXPECT_EQ(compulsory_bytes_of(Gemm{3, 5, 7, 2, DType::fp8, DType::fp4, DType::bf16}).value(),
              137.0);
}

// The latent cache holds key and value in one entry of 576 elements: 128 x 4096 x 576 x 2 B =
// 603,979,776 B; queries of 576 and outputs of 512 elements for 128 heads: 35,651,584 B.
TEST(CompulsoryBytes, OfLatentAttention) {
    EXPECT_EQ(compulsory_bytes_of(latent_decode(128, 1, 4096)).value(), 603979776.0 + 35651584.0);
}

// Keys and values apart, 8 heads of 128 + 128 elements in FP8: 2 x 1000 x 2048 B; queries and
// outputs stay BF16: 2 x 32 x 256 x 2 B.
TEST(CompulsoryBytes, OfGroupedQueryAttention) {
    Attention a = grouped(Phase::decode, 2, 1, 1000);
    a.kv = DType::fp8;
    EXPECT_EQ(compulsory_bytes_of(a).value(), 4'096'000.0 + 32'768.0);
}

TEST(CompulsoryBytes, OfVectorWorkAreItsOwn) {
    EXPECT_EQ(compulsory_bytes_of(VectorWork{"add", 10, 1, 30, 12}).value(), 42.0);
}

TEST(ComputeFormat, IsTheWiderOperand) {
    EXPECT_EQ(compute_dtype_of(Gemm{1, 1, 1, 1, DType::bf16, DType::fp4, DType::bf16}),
              DType::bf16);
    EXPECT_EQ(compute_dtype_of(Gemm{1, 1, 1, 1, DType::fp4, DType::fp8, DType::bf16}), DType::fp8);
    EXPECT_EQ(compute_dtype_of(Gemm{1, 1, 1, 1, DType::int8, DType::int8, DType::bf16}),
              DType::int8);
    Attention a = latent_decode(1, 1, 1);
    a.kv = DType::fp8;
    EXPECT_EQ(compute_dtype_of(a), DType::bf16);
    EXPECT_EQ(compute_dtype_of(VectorWork{}), DType::fp32);
}

TEST(Operator, Kinds) {
    EXPECT_EQ(kind_of(Gemm{1, 1, 1, 1}), "gemm");
    EXPECT_EQ(kind_of(Gemm{1, 1, 1, 2}), "grouped_gemm");
    EXPECT_EQ(kind_of(Attention{}), "attention");
    EXPECT_EQ(kind_of(VectorWork{}), "vector");
}

TEST(Operator, ShapeAsText) {
    EXPECT_EQ(shape_of(Gemm{64, 2112, 7168, 1, DType::fp8, DType::fp8, DType::bf16}),
              "gemm g1 m64 n2112 k7168 fp8xfp8->bf16");
    EXPECT_EQ(shape_of(latent_decode(96, 2, 4096)),
              "attention mla decode b96 q2 s4096 h128/1 d576+512 bf16 kv bf16");
    EXPECT_EQ(shape_of(grouped(Phase::prefill, 1, 3, 5)),
              "attention gqa prefill b1 q3 s5 h32/8 d128+128 bf16 kv bf16");
    EXPECT_EQ(shape_of(VectorWork{"add", 10, 1.5, 30, 12}), "vector add e10 f1.5 r30 w12");
    EXPECT_EQ(shape_of(VectorWork{"top_k", 10, 1, 40, 8, 2}),
              "vector top_k e10 f1 r40 w8 in 2 rows");
}

TEST(Operator, ValidOnesPass) {
    EXPECT_EQ(refusal(Gemm{1, 1, 1, 1}), "accepted");
    EXPECT_EQ(refusal(latent_decode(1, 1, 1)), "accepted");
    EXPECT_EQ(refusal(grouped(Phase::prefill, 1, 3, 3)), "accepted");
    EXPECT_EQ(refusal(VectorWork{"gather", 1, 0, 0, 0}), "accepted");
}

TEST(Operator, RefusalsNameTheOperatorAndTheField) {
    EXPECT_EQ(refusal(Gemm{0, 1, 1, 1}), "the_op: m is 0, expected at least 1");
    EXPECT_EQ(refusal(Gemm{1, -2, 1, 1}), "the_op: n is -2, expected at least 1");
    EXPECT_THAT(refusal(Gemm{1, 1, 0, 1}), HasSubstr("k is 0"));
    EXPECT_THAT(refusal(Gemm{1, 1, 1, 0}), HasSubstr("groups is 0"));
    Gemm idle{1, 1, 1, 1};
    idle.idle_groups = -1;
    EXPECT_THAT(refusal(idle), HasSubstr("idle_groups is -1"));
    Gemm longer{1, 1, 1, 3};
    longer.longer_groups = 3;  // that is three groups of two rows
    EXPECT_THAT(refusal(longer), HasSubstr("longer_groups is 3 of 3 groups"));
}

TEST(Operator, RefusesAttentionWithoutSizes) {
    const auto without = [](long Attention::*field) {
        Attention a = latent_decode(2, 2, 8);
        a.*field = 0;
        return refusal(a);
    };
    EXPECT_THAT(without(&Attention::batch), HasSubstr("the_op: batch is 0"));
    EXPECT_THAT(without(&Attention::query), HasSubstr("query is 0"));
    EXPECT_THAT(without(&Attention::heads), HasSubstr("heads is 0"));
    EXPECT_THAT(without(&Attention::kv_heads), HasSubstr("kv_heads is 0"));
    EXPECT_THAT(without(&Attention::head_dim_qk), HasSubstr("head_dim_qk is 0"));
    EXPECT_THAT(without(&Attention::head_dim_v), HasSubstr("head_dim_v is 0"));
    // The new tokens are part of the context they see.
    EXPECT_THAT(refusal(latent_decode(1, 3, 2)),
                HasSubstr("context 2 is shorter than the 3 query"));
}

TEST(Operator, RefusesHeadsThatDoNotShareKeys) {
    Attention a = grouped(Phase::decode, 1, 1, 8);
    a.kv_heads = 5;
    EXPECT_THAT(refusal(a), HasSubstr("32 heads do not divide over 5 kv_heads"));
}

TEST(Operator, RefusesVectorWorkThatIsNoWork) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    const double infinity = std::numeric_limits<double>::infinity();
    EXPECT_THAT(refusal(VectorWork{"add", 0.5, 1, 1, 1}), HasSubstr("elements is 0.5"));
    EXPECT_THAT(refusal(VectorWork{"add", nan, 1, 1, 1}), HasSubstr("elements is nan"));
    EXPECT_THAT(refusal(VectorWork{"add", infinity, 1, 1, 1}), HasSubstr("infinite"));
    EXPECT_THAT(refusal(VectorWork{"add", 1, -1, 1, 1}), HasSubstr("negative"));
    EXPECT_THAT(refusal(VectorWork{"add", 1, 1, -1, 1}), HasSubstr("negative"));
    EXPECT_THAT(refusal(VectorWork{"add", 1, 1, 1, -1}), HasSubstr("negative"));
    EXPECT_THAT(refusal(VectorWork{"add", 1, 1, nan, 1}), HasSubstr("negative"));
    EXPECT_THAT(refusal(VectorWork{"add", 1, 1, 1, infinity}), HasSubstr("infinite"));
    EXPECT_THAT(refusal(VectorWork{"top_k", 4, 1, 1, 1, -1}), HasSubstr("rows is -1"));
    EXPECT_THAT(refusal(VectorWork{"top_k", 4, 1, 1, 1, 5}), HasSubstr("0 to the 4 elements"));
    EXPECT_EQ(refusal(VectorWork{"top_k", 4, 1, 1, 1, 4}), "accepted");
}

// Two groups of three rows and one of four: 10 rows, three weights.
TEST(Operator, LongerGroupsCountTheirRows) {
    Gemm longer{3, 5, 7, 3};
    longer.longer_groups = 1;
    EXPECT_EQ(work_of(longer).value(), 2 * 10 * 5 * 7);
    EXPECT_EQ(compulsory_bytes_of(longer).value(), 2 * (10 * 7 + 3 * 5 * 7 + 10 * 5));
    EXPECT_EQ(shape_of(longer), "gemm g3 m3 (1 of 4) n5 k7 bf16xbf16->bf16");
}

// Groups without rows are no work and no bytes, but another shape.
TEST(Operator, IdleGroupsOnlyChangeTheShape) {
    const Gemm busy{3, 5, 7, 2};
    Gemm with_idle = busy;
    with_idle.idle_groups = 4;
    EXPECT_EQ(work_of(busy), work_of(with_idle));
    EXPECT_EQ(compulsory_bytes_of(busy), compulsory_bytes_of(with_idle));
    EXPECT_NE(shape_of(busy), shape_of(with_idle));
    EXPECT_EQ(shape_of(with_idle), "gemm g2+4 m3 n5 k7 bf16xbf16->bf16");
}

}  // namespace
}  // namespace podsim
