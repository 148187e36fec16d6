// The backward pass by hand: products, attention, vector operators, what runs again, and the work
// of a trained token as published.
#include "models/training.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

#include "base/names.hpp"
#include "tests/unit/models/r1.hpp"
#include "tests/unit/models/shipped_models.hpp"

namespace podsim {
namespace {

double products(const std::vector<Operator>& operators) {
    double sum = 0;
    for (const Operator& op : operators) {
        if (std::holds_alternative<Gemm>(op.body)) sum += work_of(op.body).value();
    }
    return sum;
}

// One sequence of `tokens` as its own context.
StepShape shape_of_sequence(long tokens) {
    return {Phase::prefill, 1, tokens, tokens, 1, AttentionSplit::heads};
}
std::vector<Operator> attention_forward(const ModelSpec& model, const Precision& precision,
                                        long tokens, const LayerKind& kind) {
    return training_forward(attention_block(model, precision, shape_of_sequence(tokens), kind));
}

// Parameters that a token meets in products: 61 attentions of 187,105,280, 3 dense FFNs of
// 396,361,728, 58 x (8 + 1) experts of 44,040,192, the head 926,679,040: 36,518,166,528, 6 FLOP
// each. Attention: 61 layers x 128 heads x 2 (192 + 128) a pair, 4097 / 2 pairs a token, thrice.
TEST(TrainingFlops, DeepseekV3ByHandAndAsPublished) {
    const ModelSpec v3 = shipped_model("deepseek-v3");
    const double attention = 3 * 61.0 * 128 * 640 * 2048.5;
    const double by_hand = 6 * 36'518'166'528.0 + attention;
    EXPECT_NEAR(training_flops_per_token(v3, 4096, false).value(), by_hand, 1);
    EXPECT_NEAR(by_hand, 249.82e9, 0.005e9);
    EXPECT_NEAR(training_flops_per_token(v3, 4096, false).value(), 249.7e9, 0.005 * 249.7e9);

    // The module: its layer, its projection 2 x 7168 x 7168, and the head once more.
    const double module = 187'105'280.0 + 9 * 44'040'192.0 + 102'760'448.0 + 926'679'040.0;
    const double with_module = by_hand + 6 * module + attention / 61;
    EXPECT_NEAR(training_flops_per_token(v3, 4096, true).value(), with_module, 1);
    EXPECT_NEAR(training_flops_per_token(v3, 4096, true).value(), 260e9, 0.005 * 260e9);

    // A tenth of the assignments dropped: of 58 layers 0.8 experts a token less.
    EXPECT_NEAR(training_flops_per_token(v3, 4096, false, 0.1).value(),
                by_hand - 6 * 58 * 0.8 * 44'040'192.0, 1);
    EXPECT_DOUBLE_EQ(training_flops_per_token(v3, 4096, false, 0).value(),
                     training_flops_per_token(v3, 4096, false).value());

    // A token sees 2,048.5 of 4,096 on the mean; the square has the other 2,047.5, of 61 layers'
    // 128 heads with 2 x (192 + 128) FLOP a pair, three times.
    EXPECT_NEAR(masked_flops_per_token(v3, 4096, false).value(), 3 * 61.0 * 128 * 640 * 2047.5, 1);
    EXPECT_NEAR(masked_flops_per_token(v3, 4096, true).value(), 3 * 62.0 * 128 * 640 * 2047.5, 1);
}

// Insights into DeepSeek-V3 (arXiv 2505.09343), table 2, at 4,096 tokens: 155 GFLOP for
// DeepSeek-V2. (Its 2,448 for Llama 3.1 405B is 1 % below this counting, which has the whole of
// causal attention: 6 x 403.75 B + 3 x 126 x 128 x 4 x 128 x 2048.5.)
TEST(TrainingFlops, OtherModelsAsPublished) {
    EXPECT_NEAR(training_flops_per_token(shipped_model("deepseek-v2"), 4096, false).value(), 155e9,
                0.005 * 155e9);
    const double llama =
        training_flops_per_token(shipped_model("llama-3.1-405b"), 4096, false).value();
    EXPECT_NEAR(llama, 2448e9, 0.012 * 2448e9);
    EXPECT_NEAR(llama, 6 * 403.747e9 + 3 * 126.0 * 128 * 512 * 2048.5, 1e8);
}

// 1,000 elements of 16 bits, 2,000 B, become 1,000 B of FP8 or 500 B of FP4 (scales left out):
// blocks of 128 read once and write along rows; a scale a tensor is looked for first, and both
// orders are written where products take one alone; scales of 32 are written in both orders, those
// of FP4 after the tensor's own.
TEST(NarrowScaling, WhatAConversionReadsAndWrites) {
    struct Bytes {
        double read, write;
        bool operator==(const Bytes&) const = default;
    };
    const auto bytes = [](NarrowScaling scaling, double narrow) {
        const Operator one{"ffn_quantise", VectorWork{"quantise", 1000, 4, 2000, narrow}};
        std::vector<Bytes> list;
        for (const Operator& op : training_forward({one}, scaling)) {
            const auto& work = std::get<VectorWork>(op.body);
            list.push_back({work.read, work.write});
        }
        return list;
    };
    using List = std::vector<Bytes>;
    EXPECT_EQ(bytes(NarrowScaling::blocks, 1000), (List{{2000, 1000}}));
    EXPECT_EQ(bytes(NarrowScaling::tensor, 1000), (List{{2000, 0}, {2000, 2000}}));
    EXPECT_EQ(bytes(NarrowScaling::tensor_as_is, 1000), (List{{2000, 0}, {2000, 1000}}));
    EXPECT_EQ(bytes(NarrowScaling::micro, 1000), (List{{2000, 2000}}));
    EXPECT_EQ(bytes(NarrowScaling::micro, 500), (List{{2000, 0}, {2000, 1000}}));
}

// SwiGLU of 1,000 elements reads 4,000 B and, with blocks, writes FP8 at once; a scale a tensor has
// to wait for all of it, so that 16 bits are written and read twice. What is sent is left alone.
TEST(NarrowScaling, WaitsForTheWholeTensor) {
    const Operator fused{"ffn_swiglu", VectorWork{"swiglu_quantise", 1000, 9, 4000, 1000}};
    const Operator sent{"dispatch_quantise", VectorWork{"quantise", 1000, 4, 2000, 1000}};
    EXPECT_EQ(training_forward({fused}).size(), 1U);
    const auto apart = training_forward({fused, sent}, NarrowScaling::tensor_as_is);
    ASSERT_EQ(apart.size(), 4U);
    EXPECT_EQ(apart[0].name, "ffn_swiglu");
    EXPECT_EQ(std::get<VectorWork>(apart[0].body), (VectorWork{"swiglu", 1000, 5, 4000, 2000}));
    EXPECT_EQ(apart[1].name, "ffn_swiglu_quantise_maximum");
    EXPECT_EQ(std::get<VectorWork>(apart[2].body), (VectorWork{"quantise", 1000, 4, 2000, 1000}));
    EXPECT_EQ(apart[3], sent);
    // All of it runs again with the activation.
    Recompute parts;
    parts.activations = true;
    EXPECT_EQ(recomputed(training_forward({fused}, NarrowScaling::tensor), parts).size(), 3U);
}

// Gradients of a product of 10 rows, 20 columns and 30 deep in FP8: dY of 200 elements is
// converted, X of 300 turned with blocks alone.
TEST(NarrowScaling, GradientsOfAProduct) {
    const ModelSpec llama = shipped_model("llama-3.1-8b");
    const Operator product{"up", Gemm{10, 20, 30, 1, DType::fp8, DType::fp8, DType::bf16}};
    const auto vectors = [&](NarrowScaling scaling) {
        const Backward back = backward_of(llama, {product}, scaling);
        std::vector<std::string> names;
        for (const auto* list : {&back.input, &back.weight}) {
            for (const Operator& op : *list)
                if (std::holds_alternative<VectorWork>(op.body)) names.push_back(op.name);
        }
        return names;
    };
    using Names = std::vector<std::string>;
    EXPECT_EQ(vectors(NarrowScaling::blocks),
              (Names{"up_gradient_quantise", "up_input_turn", "up_weight_accumulate"}));
    EXPECT_EQ(
        vectors(NarrowScaling::tensor_as_is),
        (Names{"up_gradient_quantise_maximum", "up_gradient_quantise", "up_weight_accumulate"}));
    EXPECT_EQ(vectors(NarrowScaling::micro),
              (Names{"up_gradient_quantise", "up_weight_accumulate"}));
    const auto written = [&](NarrowScaling scaling) {
        for (const Operator& op : backward_of(llama, {product}, scaling).input)
            if (op.name == "up_gradient_quantise") return std::get<VectorWork>(op.body).write;
        return 0.0;
    };
    EXPECT_DOUBLE_EQ(written(NarrowScaling::tensor), 2 * written(NarrowScaling::tensor_as_is));
    EXPECT_DOUBLE_EQ(written(NarrowScaling::micro), written(NarrowScaling::blocks));
}

TEST(TrainingFlops, GrowWithTheSequenceAndNeedOne) {
    const ModelSpec v3 = shipped_model("deepseek-v3");
    EXPECT_GT(training_flops_per_token(v3, 8192, false).value(),
              training_flops_per_token(v3, 4096, false).value());
    EXPECT_THROW(training_flops_per_token(v3, 0, false), std::invalid_argument);
}

// Down-projection of GPT-3's FFN over 2,048 tokens: [2048, 12288, 49152]. dX [2048, 49152, 12288],
// dW [12288, 49152, 2048] into FP32 sums of 12288 x 49152 x 4 B.
TEST(BackwardPass, OfAProduct) {
    const ModelSpec gpt = shipped_model("gpt3-175b");
    const auto forward = training_forward(dense_ffn_block(gpt, Precision{}, 2048, 1));
    const Backward back = backward_of(gpt, forward);
    EXPECT_EQ(gemm(find(back.input, "dense_ffn_down_input_gradient")), (Gemm{2048, 49152, 12288}));
    Gemm weight{12288, 49152, 2048};
    weight.c = DType::fp32;
    EXPECT_EQ(gemm(find(back.weight, "dense_ffn_down_weight_gradient")), weight);
    EXPECT_EQ(vector(find(back.weight, "dense_ffn_down_weight_accumulate")).read,
              12288.0 * 49152 * 4);
    EXPECT_EQ(vector(find(back.weight, "dense_ffn_down_weight_accumulate")).write, 0);
    EXPECT_EQ(
        names(back.input),
        (std::vector<std::string>{"dense_ffn_down_input_gradient", "dense_ffn_gelu_input_gradient",
                                  "dense_ffn_up_input_gradient", "dense_ffn_norm_input_gradient"}));
}

// 256 experts of 8 tokens in FP8: groups stay groups; dY [8 x 256, 7168] is written twice as
// 7168 + 56 x 4 B a row, X [8 x 256, 2048] turned at 2048 + 16 x 4 B a row.
TEST(BackwardPass, OfGroupedProductsInFp8) {
    const ModelSpec v3 = shipped_model("deepseek-v3");
    const auto forward = training_forward(expert_block(v3, fp8_served(), {256, 8}, "expert"));
    const Backward back = backward_of(v3, forward);
    EXPECT_EQ(gemm(find(back.input, "expert_down_input_gradient")),
              (Gemm{8, 2048, 7168, 256, DType::fp8, DType::fp8, DType::bf16}));
    EXPECT_EQ(gemm(find(back.weight, "expert_down_weight_gradient")),
              (Gemm{7168, 2048, 8, 256, DType::fp8, DType::fp8, DType::fp32}));
    EXPECT_EQ(vector(find(back.input, "expert_down_gradient_quantise")).read, 2048.0 * 7168 * 2);
    EXPECT_EQ(vector(find(back.input, "expert_down_gradient_quantise")).write, 2 * 2048.0 * 7392);
    EXPECT_EQ(vector(find(back.weight, "expert_down_input_turn")).read, 2048.0 * 2112);
    // Gate and up of 2 x 2048 and a BF16 gradient of 2048 read, two gradients written.
    const VectorWork swiglu = vector(find(back.input, "expert_swiglu_input_gradient"));
    EXPECT_EQ(swiglu.read, 2048.0 * 3 * 2048 * 2);
    EXPECT_EQ(swiglu.write, 2048.0 * 2 * 2048 * 2);
    EXPECT_EQ(swiglu.flops_per_element, 10);
}

// Five products for forward's two: 2 (3 x 192 + 2 x 128) a head and pair; 2.6 times forward's
// 2 (192 + 128), 2.5 times where the dimensions are equal.
TEST(BackwardPass, OfFlashAttention) {
    const ModelSpec v3 = shipped_model("deepseek-v3");
    const auto forward = attention_forward(v3, Precision{}, 4096, v3.layers.back());
    const Operator core = find(backward_of(v3, forward).input, "prefill_attention_input_gradient");
    const double pairs = 4096.0 * 4097 / 2;
    EXPECT_EQ(work_of(core.body).value(), 2 * (3 * 192 + 2 * 128) * 128 * pairs);

    const ModelSpec llama = shipped_model("llama-3.1-8b");
    const auto plain = attention_forward(llama, Precision{}, 4096, llama.layers.front());
    const double once = work_of(find(plain, "prefill_attention").body).value();
    EXPECT_EQ(
        work_of(find(backward_of(llama, plain).input, "prefill_attention_input_gradient").body)
            .value(),
        2.5 * once);
    EXPECT_NO_THROW(require_valid(core));
}

// Kernels of FP8 attention take FP8 on the way back; of other formats it is BF16.
TEST(BackwardPass, OfAttentionInFp8) {
    const ModelSpec v3 = shipped_model("deepseek-v3");
    const auto formats = [&](DType format) {
        Precision precision;
        precision.attention = precision.kv_cache = format;
        const auto forward = attention_forward(v3, precision, 4096, v3.layers.back());
        const Operator core =
            find(backward_of(v3, forward).input, "prefill_attention_input_gradient");
        const auto& attention = std::get<Attention>(core.body);
        return std::pair{attention.compute, attention.kv};
    };
    EXPECT_EQ(formats(DType::fp8).first, DType::fp8);
    EXPECT_EQ(formats(DType::int8).first, DType::bf16);
    EXPECT_EQ(formats(DType::bf16), std::pair(DType::bf16, DType::bf16));
}

// 12288 wide, 4 tokens. The sum, two gradients, one written: 3 and 1 rows of 24,576 B. Cross
// entropy reads the logits and writes their gradient. An embedding adds 4 rows of FP32.
TEST(BackwardPass, OfVectorOperators) {
    const ModelSpec gpt = shipped_model("gpt3-175b");
    const auto ffn = backward_of(gpt, training_forward(dense_ffn_block(gpt, Precision{}, 4, 1)));
    EXPECT_EQ(vector(find(ffn.input, "dense_ffn_norm_input_gradient")).read, 3 * 4 * 24'576.0);
    EXPECT_EQ(vector(find(ffn.input, "dense_ffn_norm_input_gradient")).write, 4 * 24'576.0);
    const auto head = backward_of(gpt, training_forward(head_block(gpt, Precision{}, 4, 1)));
    EXPECT_EQ(vector(find(head.input, "cross_entropy_input_gradient")).read, 4 * 50257 * 2.0);
    EXPECT_EQ(vector(find(head.input, "cross_entropy_input_gradient")).write, 4 * 50257 * 2.0);
    const auto table = backward_of(gpt, training_forward(embedding_block(gpt, Precision{}, 4)));
    EXPECT_TRUE(table.input.empty());
    EXPECT_EQ(vector(find(table.weight, "embedding_weight_gradient")).read, 4 * 12288 * (4.0 + 2));
    EXPECT_EQ(vector(find(table.weight, "embedding_weight_gradient")).write, 4 * 12288 * 4.0);
}

// Qwen3.5's delta rule: the states again, then twice the work. 64 value heads of 128 x 128.
TEST(BackwardPass, OfTheDeltaRule) {
    const ModelSpec qwen = shipped_model("qwen3.5-397b-a17b");
    const auto forward = attention_forward(qwen, Precision{}, 256, qwen.layers.front());
    const Backward back = backward_of(qwen, forward);
    const double once = 7.0 * 128 * 128 * 64 * 256;
    EXPECT_EQ(work_of(find(back.input, "delta_rule_states").body).value(), once);
    EXPECT_EQ(work_of(find(back.input, "delta_rule_input_gradient").body).value(), 2 * once);
}

// DeepSeek-V3.2 over 4,096 tokens: a query sees up to 2,048 entries, 2048 x 2049 / 2 + 2048^2
// pairs; 64 index heads of 128: 2 (128 + 128) a head and pair. Nothing goes back into the model.
TEST(BackwardPass, OfIndexScoresAtTheChosenEntriesAlone) {
    const ModelSpec v32 = shipped_model("deepseek-v3.2");
    const auto forward = attention_forward(v32, Precision{}, 4096, v32.layers.back());
    const Backward back = backward_of(v32, forward);
    const double pairs = 2048.0 * 2049 / 2 + 2048.0 * 2048;
    EXPECT_EQ(work_of(find(back.input, "index_scores_input_gradient").body).value(),
              2.0 * 256 * 64 * pairs);
    EXPECT_EQ(gemm(find(back.weight, "index_query_projection_weight_gradient")).k, 4096);
    for (const Operator& op : back.input)
        EXPECT_NE(op.name, "index_query_projection_input_gradient");
}

TEST(BackwardPass, OfStreamMixesIsTwiceForward) {
    const ModelSpec v4 = shipped_model("deepseek-v4-pro");
    const auto forward = attention_forward(v4, Precision{}, 256, v4.layers.back());
    const Backward back = backward_of(v4, forward);
    for (const char* name : {"attention_mix_in", "attention_mix_out"}) {
        const double once = work_of(find(forward, name).body).value();
        EXPECT_GT(once, 0);
        EXPECT_EQ(work_of(find(back.input, std::string(name) + "_input_gradient").body).value(),
                  2 * once);
    }
}

TEST(TrainingForward, HasNoCacheAndALoss) {
    const ModelSpec v3 = shipped_model("deepseek-v3");
    for (const Operator& op : attention_forward(v3, Precision{}, 64, v3.layers.back())) {
        EXPECT_NE(op.name, "cache_append");
    }
    const auto head = training_forward(head_block(v3, Precision{}, 64, 1));
    EXPECT_EQ(head.back().name, "cross_entropy");
    EXPECT_EQ(vector(find(head, "cross_entropy")).op, "cross_entropy");
}

// RMSNorms with the conversions behind them, up-projections with rotary and the keys they make,
// SwiGLU (DeepSeek-V3, section 3.2.3).
TEST(Recomputed, DeepseekV3sOwnPolicy) {
    const ModelSpec v3 = shipped_model("deepseek-v3");
    const Recompute parts = parts_of(RecomputePolicy::deepseek_v3);
    const auto attention =
        recomputed(attention_forward(v3, fp8_served(), 4096, v3.layers.back()), parts);
    EXPECT_EQ(names(attention),
              (std::vector<std::string>{"attention_norm", "attention_quantise", "query_kv_norm",
                                        "query_quantise", "query_up_projection", "rotary",
                                        "kv_quantise", "kv_up_projection", "key_assembly"}));
    // The sum is there: one row of 14,336 B read and written, and the weights.
    EXPECT_EQ(vector(find(attention, "attention_norm")).read, 4096 * 14'336.0 + 14'336);
    EXPECT_EQ(vector(find(attention, "attention_norm")).write, 4096 * 14'336.0);
    const auto experts =
        recomputed(training_forward(expert_block(v3, fp8_served(), {4, 8}, "expert")), parts);
    EXPECT_EQ(names(experts), (std::vector<std::string>{"expert_swiglu"}));
}

TEST(Recomputed, SelectiveIsTheCoreFullIsAll) {
    const ModelSpec gpt = shipped_model("gpt3-175b");
    const auto forward = attention_forward(gpt, Precision{}, 2048, gpt.layers.front());
    EXPECT_EQ(names(recomputed(forward, parts_of(RecomputePolicy::selective))),
              (std::vector<std::string>{"prefill_attention"}));
    EXPECT_EQ(recomputed(forward, parts_of(RecomputePolicy::full)), forward);
    EXPECT_TRUE(recomputed(forward, parts_of(RecomputePolicy::none)).empty());
}

TEST(Recomputed, PoliciesHaveNames) {
    EXPECT_EQ(value_named<RecomputePolicy>("deepseek-v3"), RecomputePolicy::deepseek_v3);
    EXPECT_EQ(name_of(RecomputePolicy::norms_and_activations), "norms-and-activations");
    EXPECT_TRUE(parts_of(RecomputePolicy::norms_and_activations).activations);
    EXPECT_FALSE(parts_of(RecomputePolicy::norms_and_activations).up_projections);
}

// Megatron-Core's layernorm leaves the norms of latents alone.
TEST(Recomputed, ByModules) {
    const ModelSpec v3 = shipped_model("deepseek-v3");
    const auto forward = attention_forward(v3, fp8_served(), 4096, v3.layers.back());
    using Module = RecomputeModule;
    EXPECT_EQ(names(recomputed(forward, parts_of({Module::layernorm}))),
              (std::vector<std::string>{"attention_norm", "attention_quantise"}));
    EXPECT_EQ(names(recomputed(forward, parts_of({Module::mla_up_proj}))),
              (std::vector<std::string>{"query_up_projection", "rotary", "kv_quantise",
                                        "kv_up_projection", "key_assembly"}));
    EXPECT_EQ(names(recomputed(forward, parts_of({Module::core_attn}))),
              (std::vector<std::string>{"prefill_attention", "output_quantise"}));
    const auto swiglu = [&](const char* prefix) {
        const auto block = training_forward(expert_block(v3, fp8_served(), {1, 8}, prefix));
        return recomputed(block, parts_of({Module::moe_act})).size();
    };
    EXPECT_EQ(swiglu("expert"), 1u);
    EXPECT_EQ(swiglu("shared_expert"), 0u);
}

TEST(Recomputed, ModulesHaveNamesAndAnOrder) {
    using Module = RecomputeModule;
    const RecomputeChoice some({Module::mlp, Module::core_attn, Module::mlp});
    EXPECT_EQ(some.name(), "core_attn+mlp");
    EXPECT_EQ(some.policy(), RecomputePolicy::none);
    EXPECT_EQ(RecomputeChoice(RecomputeModules{}).name(), "none");
    EXPECT_EQ(RecomputeChoice(RecomputePolicy::full).name(), "full");
    EXPECT_TRUE(RecomputeChoice({Module::core_attn}) == RecomputePolicy::selective);
    const Recompute full = parts_of(RecomputePolicy::full);
    EXPECT_TRUE(makes_more_again(full, some.parts()));
    EXPECT_FALSE(makes_more_again(some.parts(), full));
    EXPECT_TRUE(makes_more_again(some.parts(), parts_of(RecomputePolicy::selective)));
    // The experts' activations are of all activations.
    EXPECT_FALSE(makes_more_again(parts_of({Module::moe_act}),
                                  parts_of(RecomputePolicy::norms_and_activations)));
    EXPECT_FALSE(makes_more_again(parts_of({Module::shared_experts}), parts_of({Module::moe})));
}

// Every block of every layer of a shipped model.
std::vector<std::vector<Operator>> forward_blocks(const ModelSpec& model, long tokens) {
    const Precision precision;
    std::vector<std::vector<Operator>> blocks = {embedding_block(model, precision, tokens)};
    for (const LayerCount& alike : layer_kinds(model)) {
        if (alike.kind.engram) blocks.push_back(engram_block(model, tokens));
        blocks.push_back(attention_block(model, precision, shape_of_sequence(tokens), alike.kind));
        if (alike.kind.experts) {
            blocks.push_back(router_block(model, precision, tokens, alike.kind.hash_routed));
            blocks.push_back(expert_permute_block(model, precision, tokens));
            blocks.push_back(expert_block(model, precision, {4, tokens}, "expert"));
            blocks.push_back(expert_block(model, precision, {1, tokens}, "shared_expert"));
            blocks.push_back(combine_block(model, precision, tokens, model.experts_per_token));
        } else {
            blocks.push_back(dense_ffn_block(model, precision, tokens, 1));
        }
    }
    blocks.push_back(head_block(model, precision, tokens, 1));
    blocks.push_back(draft_block(model, precision, tokens));
    for (auto& block : blocks) block = training_forward(block);
    return blocks;
}

class TrainingOfShipped : public testing::TestWithParam<std::string> {};

// FLOP(dX) + FLOP(dW) of products = 2 x forward, but for an indexer's projections, from which
// nothing goes back. Every operator is valid and none is named twice.
TEST_P(TrainingOfShipped, GradientsOfProductsAreTwiceForward) {
    const ModelSpec model = shipped_model(GetParam());
    for (const auto& forward : forward_blocks(model, 512)) {
        const Backward back = backward_of(model, forward);
        double index = 0;
        for (const Operator& op : forward) {
            if (op.name.starts_with("index_")) index += products({op});
        }
        EXPECT_EQ(products(back.input), products(forward) - index);
        EXPECT_EQ(products(back.weight), products(forward));
        std::vector<std::string> all = names(back.input);
        for (const Operator& op : back.weight) all.push_back(op.name);
        for (const Operator& op : back.input) EXPECT_NO_THROW(require_valid(op));
        for (const Operator& op : back.weight) EXPECT_NO_THROW(require_valid(op));
        std::sort(all.begin(), all.end());
        EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
    }
}

// Three times forward's products and attention: at one token a sequence attention is a single
// pair, so that six FLOP an active parameter without norms, embedding and router remain.
TEST_P(TrainingOfShipped, SixFlopAParameterAtLeast) {
    const ModelSpec model = shipped_model(GetParam());
    const ParameterCount count = count_parameters(model);
    const double matrices = count.attention + count.dense_ffn + count.active_routed +
                            count.shared_experts + count.engram +
                            static_cast<double>(model.vocabulary * model.hidden);
    // Biases are no products, mixers are few more.
    const double work = training_flops_per_token(model, 128, false).value();
    EXPECT_GT(work, 6 * 0.995 * matrices);
    EXPECT_LT(work, 6 * 1.05 * (matrices + count.mixers));
}

INSTANTIATE_TEST_SUITE_P(Configs, TrainingOfShipped, testing::ValuesIn(names_in_configs("model")),
                         test_name);

}  // namespace
}  // namespace podsim
