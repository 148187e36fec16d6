// Hyper-connections (arXiv 2512.24880) around the sub-layers, by hand: R1 with four residual
// streams.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/models/r1.hpp"

namespace podsim {
namespace {

using testing::ElementsAre;

ModelSpec four_streams() {
    ModelSpec model = r1();
    model.streams = 4;
    model.stream_iterations = 20;
    return model;
}

StreamMix mix(const Operator& op) {
    return std::get<StreamMix>(op.body);
}

// In the place of the residual add: the sub-layer before is mixed in, this one's input mixed, and
// normed by itself.
void expect_entered(const std::vector<Operator>& block, const std::string& name) {
    SCOPED_TRACE(name);
    ASSERT_GT(block.size(), 3u);
    EXPECT_EQ(block[0].name, name + "_mix_out");
    EXPECT_EQ(mix(block[0]), (StreamMix{StreamSide::mix_out, 100, 4, 7168, 0, DType::bf16}));
    EXPECT_EQ(block[1].name, name + "_mix_in");
    EXPECT_EQ(mix(block[1]), (StreamMix{StreamSide::mix_in, 100, 4, 7168, 20, DType::bf16}));
    EXPECT_EQ(block[2].name, name + "_norm");
    EXPECT_EQ(vector(block[2]).op, "rms_norm");
    EXPECT_EQ(vector(block[2]).elements, 100 * 7168);
}

TEST(HyperConnections, EverySubLayerBeginsWithMixes) {
    const ModelSpec model = four_streams();
    const Precision precision;
    expect_entered(attention_block(model, precision, {Phase::decode, 50, 2, 4096, 1}), "attention");
    expect_entered(dense_ffn_block(model, precision, 100, 1), "dense_ffn");
    expect_entered(router_block(model, precision, 100), "router");
}

// 4 x (4 + 2) = 24 numbers a token from all 4 x 7168 elements: 2 x 24 x 28,672 = 1,376,256 FLOP on
// matrix units, and 6 an element beside it; out 2 x (4 + 1) an element, all on vector units.
TEST(HyperConnections, WorkByHand) {
    const auto block = dense_ffn_block(four_streams(), Precision{}, 100, 1);
    EXPECT_EQ(matrix_work_of(block[0].body).value(), 0);
    EXPECT_EQ(work_of(block[0].body).value(), 100 * 10 * 28'672);
    EXPECT_EQ(matrix_work_of(block[1].body).value(), 100 * 1'376'256);
    EXPECT_EQ(work_of(block[1].body).value(), 100 * (1'376'256 + 6 * 28'672));
}

// The embedding begins all four streams; the last mix joins them: a product [4, 4 x 7168], and a
// sum of four rows with a weight each.
TEST(HyperConnections, EmbeddingAndHead) {
    const auto in = embedding_block(four_streams(), Precision{}, 100);
    EXPECT_EQ(vector(in[0]).read, 100 * (7168 * 2 + 4));
    EXPECT_EQ(vector(in[0]).write, 100 * 4 * 7168 * 2);

    const auto out = head_block(four_streams(), Precision{}, 10, 1);
    ASSERT_THAT(names(out), ElementsAre("final_mix_out", "final_mix", "final_join", "final_norm",
                                        "head_projection", "sampling"));
    EXPECT_EQ(mix(out[0]), (StreamMix{StreamSide::mix_out, 10, 4, 7168, 0, DType::bf16}));
    EXPECT_EQ(gemm(out[1]), (Gemm{10, 4, 28'672, 1, DType::bf16, DType::bf16, DType::fp32}));
    EXPECT_EQ(vector(out[2]).elements, 10 * 7168);
    EXPECT_EQ(vector(out[2]).flops_per_element, 8);
    EXPECT_EQ(vector(out[2]).read, 10 * 4 * (7168 * 2 + 4));
    EXPECT_EQ(vector(out[2]).write, 10 * 7168 * 2);
    EXPECT_EQ(vector(out[3]).op, "rms_norm");
}

// A sub-layer's matrix 24 x 28,672 = 688,128, its base of 24 and three scales; the last one's
// 4 x 28,672 = 114,688, base of 4 and a scale. FP32.
TEST(HyperConnections, Parameters) {
    const ParameterCount count = count_parameters(four_streams());
    EXPECT_EQ(count.mixers, 61 * 2 * 688'155 + 114'693);
    EXPECT_EQ(count.total() - count.mixers, count_parameters(r1()).total());
    EXPECT_EQ(count.draft - count_parameters(r1()).draft, 2 * 688'155 + 114'693);
    const WeightBytes held = weight_bytes(four_streams(), fp8_served(), 8);
    EXPECT_EQ(held.norms.value(), 2 * 2 * 7168 + 4 * 2 * 688'155);
    EXPECT_EQ((held.head - weight_bytes(r1(), fp8_served(), 8).head).value(), 4 * 114'693);
    EXPECT_EQ((held.draft_extra - weight_bytes(r1(), fp8_served(), 8).draft_extra).value(),
              4 * 114'693);
}

}  // namespace
}  // namespace podsim
