// What training keeps, by hand: the equations of Korthikanti et al. (arXiv 2205.05198) for GPT,
// DeepSeek-V3's own policy, gradients and optimiser states under ZeRO.
#include "models/training_memory.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

#include "base/at.hpp"
#include "tests/unit/models/shipped_models.hpp"

namespace podsim {
namespace {

const Recompute none = parts_of(RecomputePolicy::none);
const Recompute selective = parts_of(RecomputePolicy::selective);
const Recompute full = parts_of(RecomputePolicy::full);

// As their implementation was: scores kept, dropout. One sequence of 2,048.
ActivationShape korthikanti(int tensor_parallel, bool sequence_parallel) {
    ActivationShape shape;
    shape.tokens = shape.sequence = 2048;
    shape.tensor_parallel = tensor_parallel;
    shape.sequence_parallel = sequence_parallel;
    shape.flash_attention = false;
    shape.dropout = true;
    return shape;
}
double kept(const ModelSpec& model, const ActivationShape& shape, const Recompute& recompute) {
    return total_of(kept_activations(model, Precision{}, model.layers.front(), shape, recompute))
        .value();
}

// s b h = 2048 x 12288 = 25,165,824; 5 a s / h = 5 x 96 x 2048 / 12288 = 80: 114 s b h a layer
// without parallelism (equation 1), 10 + 24 / 8 + 80 / 8 = 23 with tensor parallel 8 (2), 114 / 8
// with sequence parallel (4), 34 / 8 with selective recompute (6), 2 with full recompute.
TEST(KeptActivations, OfGpt3AsPublished) {
    const ModelSpec gpt = shipped_model("gpt3-175b");
    const double sbh = 25'165'824;
    EXPECT_DOUBLE_EQ(kept(gpt, korthikanti(1, false), none), 114 * sbh);
    EXPECT_DOUBLE_EQ(kept(gpt, korthikanti(8, false), none), 23 * sbh);
    EXPECT_DOUBLE_EQ(kept(gpt, korthikanti(8, true), none), 114 * sbh / 8);
    EXPECT_DOUBLE_EQ(kept(gpt, korthikanti(8, false), selective), 13 * sbh);
    EXPECT_DOUBLE_EQ(kept(gpt, korthikanti(8, true), selective), 34 * sbh / 8);
    EXPECT_DOUBLE_EQ(kept(gpt, korthikanti(8, false), full), 2 * sbh);
    EXPECT_DOUBLE_EQ(kept(gpt, korthikanti(8, true), full), 2 * sbh / 8);
}

// Megatron-Core's modules on the same layer of 114 s b h: core_attn is selective recompute (80 s b
// h); layernorm the norms' outputs, 2 x 2; mlp GeLU's input and output, 8 + 8.
TEST(KeptActivations, OfGpt3ByModules) {
    const ModelSpec gpt = shipped_model("gpt3-175b");
    using Module = RecomputeModule;
    const double sbh = 25'165'824;
    const auto of = [&](const RecomputeModules& modules) {
        return kept(gpt, korthikanti(1, false), parts_of(modules)) / sbh;
    };
    EXPECT_DOUBLE_EQ(of({}), 114);
    EXPECT_DOUBLE_EQ(of({Module::core_attn}), 34);
    EXPECT_DOUBLE_EQ(of({Module::layernorm}), 110);
    EXPECT_DOUBLE_EQ(of({Module::mlp}), 98);
    EXPECT_DOUBLE_EQ(of({Module::core_attn, Module::layernorm, Module::mlp}), 14);
    // Nothing of a dense layer.
    EXPECT_DOUBLE_EQ(of({Module::moe, Module::moe_act, Module::shared_experts}), 114);
}

// Of DeepSeek-V3 in FP8 with a scale of 4 B to 128 elements, a token: moe_act leaves out eight rows
// of 2048 + 64 B; shared_experts gate and up, 4096 + 128, and 2,112; moe those, the scores of 256 x
// 4, eight rows of 7168 + 224 and of 4,224. Its own policy is layernorm, mla_up_proj and moe_act,
// with the norms of latents, 1536 + 48 and 512 + 16, and the shared expert's SwiGLU besides.
TEST(KeptActivations, OfDeepseekV3ByModules) {
    const ModelSpec v3 = shipped_model("deepseek-v3");
    Precision fp8;
    fp8.weights = fp8.experts = fp8.activations = DType::fp8;
    ActivationShape shape;
    shape.tokens = shape.sequence = 4096;
    shape.gate_up = DType::fp8;
    const auto token = [&](const Recompute& parts) {
        return total_of(kept_activations(v3, fp8, v3.layers.back(), shape, parts)).value() / 4096;
    };
    using Module = RecomputeModule;
    const auto saved = [&](const RecomputeModules& modules) {
        return token(none) - token(parts_of(modules));
    };
    EXPECT_DOUBLE_EQ(saved({Module::moe_act}), 8 * 2112);
    EXPECT_DOUBLE_EQ(saved({Module::shared_experts}), 4224 + 2112);
    EXPECT_DOUBLE_EQ(saved({Module::moe}), 1024 + 8 * (7392 + 4224 + 2112) + 4224 + 2112);
    EXPECT_DOUBLE_EQ(saved({Module::moe, Module::moe_act, Module::shared_experts}),
                     saved({Module::moe}));
    EXPECT_DOUBLE_EQ(token(parts_of({Module::layernorm, Module::mla_up_proj, Module::moe_act})) -
                         token(parts_of(RecomputePolicy::deepseek_v3)),
                     1584 + 528 + 2112);
}

// Flash attention keeps one number a head and token; without dropout three masks of s b h are
// missing: 32 s b h + 4 a s b.
TEST(KeptActivations, OfGpt3AsTrainedToday) {
    const ModelSpec gpt = shipped_model("gpt3-175b");
    ActivationShape shape;
    shape.tokens = shape.sequence = 2048;
    EXPECT_DOUBLE_EQ(kept(gpt, shape, none), 32 * 25'165'824.0 + 4.0 * 96 * 2048);
    EXPECT_DOUBLE_EQ(kept(gpt, shape, selective), 32 * 25'165'824.0);
}

// The paper's end of the model: 4 s b h (1 + v / h) a rank of sequence parallel, logits in FP32.
TEST(KeptActivations, OfTheHead) {
    const ModelSpec gpt = shipped_model("gpt3-175b");
    EXPECT_DOUBLE_EQ(total_of(kept_by_head(gpt, korthikanti(1, true))).value(),
                     4 * 2048.0 * (12288 + 50257));
    // 50257 over 8 ranks is 6,283 rows, rounded up.
    EXPECT_DOUBLE_EQ(total_of(kept_by_head(gpt, korthikanti(8, true))).value(),
                     4 * 2048.0 * (12288.0 / 8 + 6283));
    EXPECT_TRUE(kept_by_draft(gpt, korthikanti(1, true)).empty());
    const ModelSpec v3 = shipped_model("deepseek-v3");
    EXPECT_DOUBLE_EQ(total_of(kept_by_draft(v3, korthikanti(1, true))).value(),
                     2048.0 * 4 * 7168 * 2);
}

// A token of a layer with experts, FP8 (a scale of 4 B to 128 elements), SwiGLU's inputs in FP8,
// norms, up-projections and SwiGLU made again:
//   attention: residual 7168 x 2 = 14,336; latents (1536 + 512 + 64) x 2 = 4,224; statistics 128 x
//   4 = 512; outputs 128 x 128 x 2 = 32,768: 51,840 B experts: residual 14,336; scores 256 x 4 =
//   1,024; eight rows of 7168 + 56 x 4 = 59,136; of gate and up, 4096 + 32 x 4, eight routed and a
//   shared 9 x 4,224 = 38,016: 112,512 B
TEST(KeptActivations, OfDeepseekV3AsItTrained) {
    const ModelSpec v3 = shipped_model("deepseek-v3");
    Precision fp8;
    fp8.weights = fp8.experts = fp8.activations = DType::fp8;
    ActivationShape shape;
    shape.tokens = shape.sequence = 4096;
    shape.gate_up = DType::fp8;
    const auto tensors =
        kept_activations(v3, fp8, v3.layers.back(), shape, parts_of(RecomputePolicy::deepseek_v3));
    EXPECT_DOUBLE_EQ(total_of(tensors).value(), 4096 * (51'840.0 + 112'512));

    // A rank whose experts get twice their share keeps 8 more rows of 7,392 + 4,224 B a token.
    shape.routed_rows = 16 * 4096.0;
    EXPECT_DOUBLE_EQ(total_of(kept_activations(v3, fp8, v3.layers.back(), shape,
                                               parts_of(RecomputePolicy::deepseek_v3)))
                         .value(),
                     4096 * (51'840.0 + 112'512 + 8 * (7'392 + 4'224)));
}

// Four residual streams: 4 x 2 h s b with full recompute.
TEST(KeptActivations, HyperConnectionsMultiplyTheResidual) {
    const ModelSpec v4 = shipped_model("deepseek-v4-pro");
    ASSERT_EQ(v4.streams, 4);
    ActivationShape shape;
    shape.tokens = shape.sequence = 4096;
    const double streams = 4096 * 4 * 2 * static_cast<double>(v4.hidden);
    EXPECT_DOUBLE_EQ(kept(v4, shape, full), streams);
    const auto tensors = kept_activations(v4, Precision{}, v4.layers.front(), shape, none);
    EXPECT_EQ(std::count_if(tensors.begin(), tensors.end(),
                            [&](const KeptTensor& tensor) {
                                return tensor.name.ends_with("_streams") &&
                                       tensor.bytes.value() == streams;
                            }),
              2);
}

TEST(KeptActivations, NeedTokensRanksAndASequence) {
    const ModelSpec gpt = shipped_model("gpt3-175b");
    ActivationShape shape;
    EXPECT_THROW(kept(gpt, shape, none), std::invalid_argument);
    shape.tokens = 1;
    EXPECT_THROW(kept(gpt, shape, none), std::invalid_argument);
    shape.sequence = 1;
    shape.tensor_parallel = 0;
    EXPECT_THROW(kept(gpt, shape, none), std::invalid_argument);
}

// Llama 3.1 8B: tables 2 x 128256 x 4096 = 1,050,673,152; 65 norms of 4096 = 266,240; the rest
// 6,979,321,856 in matrices.
TEST(HeldParametersTest, OfLlamaWholeAndDivided) {
    const ModelSpec llama = shipped_model("llama-3.1-8b");
    const HeldParameters held = parameters_of(llama, whole(llama));
    EXPECT_EQ(held.tables, 1'050'673'152);
    EXPECT_EQ(held.vectors, 266'240);
    EXPECT_EQ(held.matrices, 6'979'321'856);
    ModelSlice stage = whole(llama);
    stage.begin = 8;
    stage.end = 16;
    stage.embedding = stage.head = false;
    stage.tensor_parallel = 2;
    const HeldParameters part = parameters_of(llama, stage);
    EXPECT_EQ(part.matrices, 6'979'321'856.0 / 4 / 2);
    EXPECT_EQ(part.vectors, 8 * 2 * 4096);
    EXPECT_EQ(part.tables, 0);
    stage.end = 33;
    EXPECT_THROW(parameters_of(llama, stage), std::invalid_argument);
}

// DeepSeek-V3 over 64 expert-parallel ranks: 58 x 4 experts of 44,040,192.
TEST(HeldParametersTest, ExpertsOverTheirRanks) {
    const ModelSpec v3 = shipped_model("deepseek-v3");
    ModelSlice slice = whole(v3);
    slice.drafts = false;
    slice.expert_parallel = 64;
    EXPECT_EQ(parameters_of(v3, slice).experts, 58 * 4 * 44'040'192.0);
}

// Mixed-precision Adam: 2 + 4 + 4 + 8 = 18 B a parameter; with a distributed optimiser over d ranks
// 6 + 12 / d (Megatron-LM); ZeRO's 16 has gradients in 16 bits (arXiv 1910.02054, section 3.1).
TEST(TrainingStateTest, AdamByZeroStage) {
    const HeldParameters held{1e9, 0, 0, 0};
    const Precision bf16;
    const OptimizerFormats adam;
    EXPECT_DOUBLE_EQ(training_state(held, bf16, adam, {0, 8, 1}).total().value(), 18e9);
    EXPECT_DOUBLE_EQ(training_state(held, bf16, adam, {1, 8, 1}).total().value(), 7.5e9);
    EXPECT_DOUBLE_EQ(training_state(held, bf16, adam, {2, 8, 1}).total().value(), 4e9);
    EXPECT_DOUBLE_EQ(training_state(held, bf16, adam, {3, 8, 1}).total().value(), 2.25e9);
    OptimizerFormats zero = adam;
    zero.gradients = DType::bf16;
    EXPECT_DOUBLE_EQ(training_state(held, bf16, zero, {0, 8, 1}).total().value(), 16e9);
    EXPECT_THROW(training_state(held, bf16, adam, {4, 8, 1}), std::invalid_argument);
    EXPECT_THROW(training_state(held, bf16, adam, {1, 0, 1}), std::invalid_argument);
}

// FP8 weights, FP32 gradients and master weights, moments in BF16: 1 + 4 + 4 + 4 = 13 B a
// parameter of a matrix. Experts are divided over replicas of their own.
TEST(TrainingStateTest, DeepseekV3sFormatsAndExpertReplicas) {
    const HeldParameters held{1e9, 0, 0, 4e9};
    Precision fp8;
    fp8.weights = fp8.experts = DType::fp8;
    OptimizerFormats v3;
    v3.moments = DType::bf16;
    EXPECT_DOUBLE_EQ(training_state(held, fp8, v3, {0, 128, 2}).total().value(), 5 * 13e9);
    const TrainingState state = training_state(held, fp8, v3, {1, 128, 2});
    EXPECT_DOUBLE_EQ(state.dense.master.value(), 4e9 / 128);
    EXPECT_DOUBLE_EQ(state.dense.gradients.value(), 4e9);
    EXPECT_DOUBLE_EQ(state.experts.master.value(), 4 * 4e9 / 2);
    EXPECT_DOUBLE_EQ(state.experts.moments.value(), 4 * 4e9 / 2);
}

// Muon: a momentum for matrices and experts, two moments for tables and vectors.
TEST(TrainingStateTest, MuonHasOneMomentumForMatrices) {
    const HeldParameters held{3e9, 0.5e9, 0.5e9, 4e9};
    OptimizerFormats muon;
    muon.optimizer = Optimizer::muon;
    const TrainingState state = training_state(held, Precision{}, muon, {});
    EXPECT_DOUBLE_EQ(state.dense.moments.value(), 4 * (3e9 + 2 * 1e9));
    EXPECT_DOUBLE_EQ(state.experts.moments.value(), 4 * 4e9);
}

class TrainingMemoryOfShipped : public testing::TestWithParam<std::string> {};

// All parts together are the model: total parameters and the modules of multi-token prediction.
TEST_P(TrainingMemoryOfShipped, HeldParametersAreTheModels) {
    const ModelSpec model = shipped_model(GetParam());
    const ParameterCount count = count_parameters(model);
    const HeldParameters held = parameters_of(model, whole(model));
    const double embedded = count.total() + count.draft;
    EXPECT_NEAR(held.total() + held.memory_tables, embedded, 1e-9 * embedded);
    EXPECT_NEAR(held.memory_tables, count.tables, 1e-9 * embedded);
    EXPECT_NEAR(held.experts,
                count.routed_experts +
                    (model.draft_layer.experts ? static_cast<double>(model.draft_layers) : 0) *
                        (count.routed_experts > 0
                             ? count.routed_experts / static_cast<double>(expert_layers(model))
                             : 0),
                1e-9 * embedded);
}

// Slices of a pipeline add up to the whole.
TEST_P(TrainingMemoryOfShipped, StagesAddUp) {
    const ModelSpec model = shipped_model(GetParam());
    ModelSlice first = whole(model), second = whole(model);
    first.end = second.begin = layer_count(model) / 2;
    first.head = second.embedding = false;
    first.drafts = false;
    const double sum = parameters_of(model, first).total() + parameters_of(model, second).total();
    // A tied head away from the embedding is a copy of the table.
    const double copy =
        model.tied_embedding ? static_cast<double>(model.vocabulary * model.hidden) : 0;
    const double total = parameters_of(model, whole(model)).total() + copy;
    EXPECT_NEAR(sum, total, 1e-9 * total);
}

// What is made again is not kept; more is made again, less is kept; full keeps the streams alone.
TEST_P(TrainingMemoryOfShipped, RecomputingKeepsLess) {
    const ModelSpec model = shipped_model(GetParam());
    ActivationShape shape;
    shape.tokens = shape.sequence = 4096;
    for (const LayerCount& alike : layer_kinds(model)) {
        const auto bytes = [&](RecomputePolicy policy, const ActivationShape& of) {
            return total_of(kept_activations(model, Precision{}, alike.kind, of, parts_of(policy)))
                .value();
        };
        EXPECT_GT(bytes(RecomputePolicy::none, shape), bytes(RecomputePolicy::selective, shape));
        EXPECT_GT(bytes(RecomputePolicy::none, shape),
                  bytes(RecomputePolicy::norms_and_activations, shape));
        EXPECT_GE(bytes(RecomputePolicy::norms_and_activations, shape),
                  bytes(RecomputePolicy::deepseek_v3, shape));
        EXPECT_GT(bytes(RecomputePolicy::deepseek_v3, shape), bytes(RecomputePolicy::full, shape));
        EXPECT_EQ(bytes(RecomputePolicy::full, shape),
                  4096.0 * static_cast<double>(model.streams * model.hidden) * 2);
        ActivationShape divided = shape;
        divided.tensor_parallel = 2;
        divided.sequence_parallel = true;
        // A kv head that two ranks share is on both: its key and value in BF16.
        const auto* grouped =
            std::get_if<GroupedQueryAttention>(&at(model.attentions, alike.kind.attention));
        const bool copied = grouped != nullptr && grouped->kv_heads == 1;
        const double copy = copied ? 4096 * 2 * 2 * static_cast<double>(grouped->head_dim) : 0;
        const double half = (bytes(RecomputePolicy::none, shape) + copy) / 2;
        EXPECT_NEAR(bytes(RecomputePolicy::none, divided), half, 1e-9 * half);
    }
}

INSTANTIATE_TEST_SUITE_P(Configs, TrainingMemoryOfShipped,
                         testing::ValuesIn(names_in_configs("model")), test_name);

}  // namespace
}  // namespace podsim
