// Parameters, weight bytes and cache of DeepSeek-V3/R1 by hand.
#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/unit/models/r1.hpp"

namespace podsim {
namespace {

// A layer's attention: q_a 7168 x 1536 = 11,010,048; q_b 1536 x 128 x 192 = 37,748,736;
// kv_a 7168 x 576 = 4,128,768; kv_b 512 x 128 x 256 = 16,777,216; o 16384 x 7168 = 117,440,512.
constexpr double attention_layer = 187'105'280;
// One expert: 3 x 7168 x 2048.
constexpr double expert = 44'040'192;
// Gate 256 x 7168 and a bias of 256.
constexpr double router_layer = 1'835'264;

TEST(Parameters, OfEveryPart) {
    const ParameterCount count = count_parameters(r1());
    EXPECT_EQ(count.embedding, 926'679'040);  // 129280 x 7168
    EXPECT_EQ(count.head, 926'679'040);
    EXPECT_EQ(count.attention, 61 * attention_layer);
    EXPECT_EQ(count.dense_ffn, 1'189'085'184);  // 3 layers x 3 x 7168 x 18432
    EXPECT_EQ(count.routed_experts, 58 * 256 * expert);
    EXPECT_EQ(count.active_routed, 58 * 8 * expert);
    EXPECT_EQ(count.shared_experts, 58 * expert);
    EXPECT_EQ(count.router, 58 * router_layer);
    // 61 layers of two norms of 7168, one of 1536 and one of 512; the final norm.
    EXPECT_EQ(count.norms, 61 * (2 * 7168 + 1536 + 512) + 7168);
}

// Published: 671 B in all, 37 B active (arXiv 2412.19437). The exact total is that of the
// checkpoint's main model.
TEST(Parameters, TotalsAsPublished) {
    const ParameterCount count = count_parameters(r1());
    EXPECT_EQ(count.total(), 671'026'419'200);
    EXPECT_EQ(count.active(), 37'552'297'472);
    EXPECT_EQ(count.active_without_embedding(), 36'625'618'432);
}

// One MoE layer (attention, 256 + 1 experts, router, its four norms), the projection
// 14336 x 7168 = 102,760,448 and three norms of 7168: 11.61 B. Embedding and head are shared.
TEST(Parameters, DraftModuleApart) {
    const double layer = attention_layer + 257 * expert + router_layer + 2 * 7168 + 1536 + 512;
    EXPECT_EQ(count_parameters(r1()).draft, layer + 102'760'448 + 3 * 7168);
    EXPECT_EQ(count_parameters(r1()).draft, 11'610'068'224);

    ModelSpec without = r1();
    without.draft_layers = 0;
    EXPECT_EQ(count_parameters(without).draft, 0);
    EXPECT_EQ(count_parameters(without).total(), count_parameters(r1()).total());
}

TEST(Parameters, TiedHeadIsTheEmbedding) {
    ModelSpec tied = r1();
    tied.tied_embedding = true;
    const ParameterCount count = count_parameters(tied);
    EXPECT_EQ(count.head, 0);
    EXPECT_EQ(count.total(), 671'026'419'200 - 926'679'040);
    EXPECT_EQ(count.active_without_embedding(), count.active());

    const Precision bf16;
    EXPECT_EQ(weight_bytes(tied, bf16, 1).head.value(), 7168 * 2);  // the final norm
    EXPECT_EQ(weight_bytes(tied, bf16, 1).embedding.value(), 926'679'040 * 2.0);
}

// Two shared experts are one FFN twice as wide.
TEST(Parameters, SharedExpertsAreOneWideFfn) {
    ModelSpec model = r1();
    model.shared_intermediate = 2 * 2048;
    EXPECT_EQ(count_parameters(model).shared_experts, 58 * 2 * expert);
    model.shared_intermediate = 0;
    EXPECT_EQ(count_parameters(model).shared_experts, 0);
    EXPECT_EQ(weight_bytes(model, Precision{}, 1).shared_expert.value(), 0);
}

// Without compression the queries are one matrix 7168 x 128 x 192 and have no norm.
TEST(Parameters, UncompressedQuery) {
    ModelSpec model = r1();
    latent(model).query_rank = 0;
    const double query = 7168.0 * 128 * 192, others = 4'128'768 + 16'777'216 + 117'440'512;
    EXPECT_EQ(count_parameters(model).attention, 61 * (query + others));
    EXPECT_EQ(count_parameters(model).norms, 61 * (2 * 7168 + 512) + 7168);
}

// A family is what a config's keys mean; sizes and layers say all there is to count.
TEST(Parameters, AskNothingOfTheFamily) {
    ModelSpec model = r1();
    model.family = "llama_of_the_future";
    EXPECT_EQ(count_parameters(model).total(), 671'026'419'200);
}

// 512 of the latent and 64 of the rotary key, in each of 61 layers.
TEST(Cache, LatentAndRotaryKey) {
    const CacheElements layer = layer_cache(r1().attentions.front(), 1, 1);
    EXPECT_EQ(layer.kv, 576);
    EXPECT_EQ(layer.index, 0);
    EXPECT_EQ(layer.state, 0);
    EXPECT_EQ(cache_per_token(r1()).kv, 61 * 576);
    EXPECT_EQ(cache_of(r1(), 4096).kv, 61 * 576 * 4096.0);
    EXPECT_EQ(kv_bytes_per_token(r1(), DType::bf16).value(), 70'272);
    EXPECT_EQ(kv_bytes_per_token(r1(), DType::fp8).value(), 35'136);
}

// FP8 with 4-byte scales of 128 x 128 blocks; kv_b in BF16.
// Attention of a layer: (187,105,280 - 16,777,216) + 2 x 16,777,216 elements' bytes, its two norms
// of 1536 and 512 in BF16, and blocks
// q_a 12 x 56, q_b 192 x 12, kv_a ceil(4.5) x 56, o 56 x 128: 672 + 2304 + 280 + 7168 = 10,424.
TEST(WeightBytesTest, Fp8ByHand) {
    const WeightBytes held = weight_bytes(r1(), fp8_served(), 1);
    EXPECT_EQ(attention_bytes(held).value(), 203'882'496 + 2 * 2048 + 4 * 10'424);
    // Gate and up 288 x 56 blocks, down 56 x 144.
    EXPECT_EQ(held.dense_ffn.value(), 396'361'728 + 4 * 24'192);
    EXPECT_EQ(held.routed_expert.value(), expert + 4 * 2'688);
    EXPECT_EQ(held.shared_expert.value(), expert + 4 * 2'688);
    EXPECT_EQ(held.router.value(), 2 * 256 * 7168 + 4 * 256);
    EXPECT_EQ(held.norms.value(), 2 * 2 * 7168);
    EXPECT_EQ(held.embedding.value(), 2 * 926'679'040.0);
    EXPECT_EQ(held.head.value(), 2 * 926'679'040.0 + 2 * 7168);
    EXPECT_EQ(held.draft_extra.value(), 2 * 102'760'448.0 + 2 * 3 * 7168);
}

// Attention in FP8 too: kv_b a byte an element, and for each of 128 heads 1 x 4 blocks of W_uk
// [128, 512] and as many of W_uv.
TEST(WeightBytesTest, Fp8AttentionHasScalesOfEveryHead) {
    Precision precision = fp8_served();
    precision.attention = DType::fp8;
    EXPECT_EQ(attention_bytes(weight_bytes(r1(), precision, 1)).value(),
              attention_layer + 2 * 2048 + 4 * (10'424 + 128 * 8));
}

// All layers in FP8: 671,026,419,200 bytes if every parameter took one, and beyond that
//   kv_b a second byte            61 x 16,777,216   = 1,023,410,176
//   embedding and head likewise                      = 1,853,358,080
//   norms likewise                                   =       1,006,592
//   gate likewise, bias three more  58 x 1,835,776   =     106,475,008
//   scales  61 x 41,696 + 3 x 96,768 + 58 x 257 x 10,752 = 163,103,072
// together 674,173,772,128.
TEST(WeightBytesTest, Fp8WholeModel) {
    const ModelSpec model = r1();
    const WeightBytes held = weight_bytes(model, fp8_served(), 1);
    const double all = 61 * (attention_bytes(held) + held.norms).value() +
                       3 * held.dense_ffn.value() +
                       58 * (held.router + held.shared_expert).value() +
                       58 * 256 * held.routed_expert.value() + (held.embedding + held.head).value();
    const double scales = 61 * 41'696.0 + 3 * 96'768.0 + 58 * 257 * 10'752.0;
    EXPECT_EQ(scales, 163'103'072);
    EXPECT_EQ(all, 671'026'419'200 + 1'023'410'176 + 1'853'358'080 + 1'006'592 + 106'475'008.0 +
                       163'103'072);
    EXPECT_EQ(all, 674'173'772'128);
    EXPECT_NEAR(all, 671.03e9, 0.005 * 671.03e9);  // scales and 16-bit parts: 0.5 %
}

// One 4-byte scale an output channel for INT8, with or without a block in the config, and for
// FP8 without a block: 2 x 2048 channels of gate and up, 7168 of down.
TEST(WeightBytesTest, ScalesPerOutputChannel) {
    Precision int8;
    int8.experts = DType::int8;
    EXPECT_EQ(weight_bytes(r1(), int8, 1).routed_expert.value(), expert + 4 * (4096 + 7168));
    ModelSpec model = r1();
    model.scale_block = 0;
    EXPECT_EQ(weight_bytes(model, int8, 1).routed_expert.value(), expert + 4 * (4096 + 7168));
    EXPECT_EQ(weight_bytes(model, fp8_served(), 1).routed_expert.value(),
              expert + 4 * (4096 + 7168));
}

// FP4: half a byte and a byte for 32 inputs: 4096 x 224 + 7168 x 64 scales.
TEST(WeightBytesTest, MicroscalingFp4) {
    Precision fp4;
    fp4.experts = DType::fp4;
    EXPECT_EQ(weight_bytes(r1(), fp4, 1).routed_expert.value(),
              expert / 2 + 4096 * 224 + 7168 * 64);
}

// Over 8 ranks: q_b, kv_b and o by heads (171,966,464 elements / 8), q_a, kv_a and the norms of
// both latents whole; the dense
// FFN by its width; the vocabulary rounded up; experts are never divided.
TEST(WeightBytesTest, TensorParallelDividesHeadsAndWidths) {
    const Precision bf16;
    const WeightBytes whole = weight_bytes(r1(), bf16, 1), part = weight_bytes(r1(), bf16, 8);
    EXPECT_EQ(attention_bytes(part).value(),
              2 * ((37'748'736 + 16'777'216 + 117'440'512) / 8.0 + 11'010'048 + 4'128'768 + 2048));
    EXPECT_EQ(part.dense_ffn.value(), whole.dense_ffn.value() / 8);
    EXPECT_EQ(part.routed_expert.value(), whole.routed_expert.value());
    EXPECT_EQ(part.norms.value(), whole.norms.value());

    ModelSpec odd = r1();
    odd.vocabulary = 129'281;
    EXPECT_EQ(weight_bytes(odd, bf16, 8).embedding.value(), 2.0 * 16'161 * 7168);
    EXPECT_EQ(weight_bytes(odd, bf16, 8).head.value(), 2.0 * 16'161 * 7168 + 2 * 7168);
}

TEST(WeightBytesTest, RefusesHeadsThatDoNotDivide) {
    EXPECT_THROW(weight_bytes(r1(), Precision{}, 3), std::invalid_argument);
    EXPECT_THROW(weight_bytes(r1(), Precision{}, 0), std::invalid_argument);
}

}  // namespace
}  // namespace podsim
