// What holds for every model of every family, every batch and every division over ranks.
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>

#include "tests/unit/models/grouped_query_specs.hpp"
#include "tests/unit/models/r1.hpp"

namespace podsim {
namespace {

long any(long least, long most) {
    return *rc::gen::inRange<long>(least, most + 1);
}

// Sizes that divide by `tensor_parallel`, of a DeepSeek model.
ModelSpec any_latent_model(int tensor_parallel) {
    ModelSpec model = r1();
    const long layers = any(1, 80);
    model.layers = dense_then_experts(layers, any(0, layers));
    model.hidden = any(1, 2000);
    model.vocabulary = any(1, 1000) * tensor_parallel;
    LatentAttention& attention = latent(model);
    attention.heads = any(1, 40) * tensor_parallel;
    attention.query_rank = any(0, 600);
    attention.kv_rank = any(1, 600);
    attention.nope_head_dim = any(1, 200);
    attention.rope_head_dim = 2 * any(1, 50);
    attention.value_head_dim = any(1, 200);
    model.dense_intermediate = any(1, 500) * tensor_parallel;
    model.expert_intermediate = any(1, 500);
    model.expert_groups = any(1, 8);
    model.groups_per_token = any(1, model.expert_groups);
    model.routed_experts = model.expert_groups * any(1, 16);
    model.experts_per_token =
        any(1, model.groups_per_token * model.routed_experts / model.expert_groups);
    model.shared_intermediate = any(0, 3) * model.expert_intermediate;
    model.draft_layers = any(0, 2);
    return model;
}

// The same of a family with grouped queries, with more kv heads than ranks or fewer.
ModelSpec any_grouped_query_model(const std::string& family, int tensor_parallel) {
    ModelSpec model;
    model.name = "any";
    model.family = family;
    const long layers = any(1, 80);
    model.hidden = any(1, 2000);
    model.vocabulary = any(1, 1000) * tensor_parallel;
    GroupedQueryAttention attention;
    attention.kv_heads = *rc::gen::arbitrary<bool>() ? any(1, 4) * tensor_parallel : 1;
    attention.heads = std::max<long>(attention.kv_heads, tensor_parallel) * any(1, 8);
    attention.head_dim = 2 * any(1, 100);
    attention.query_key_norm = family == "qwen3" || family == "qwen3_moe";
    model.attentions = {attention};
    model.tied_embedding = *rc::gen::arbitrary<bool>();
    const bool dense = family == "llama" || family == "qwen3";
    model.layers = dense_then_experts(layers, dense ? layers : 0);
    if (dense) {
        model.dense_intermediate = any(1, 500) * tensor_parallel;
    } else {
        model.expert_intermediate = any(1, 500);
        model.routed_experts = any(1, 64);
        model.experts_per_token = any(1, model.routed_experts);
        model.router_scoring = RouterScoring::softmax;
    }
    return model;
}

ModelSpec any_model(int tensor_parallel) {
    const std::string family = *rc::gen::elementOf(known_families());
    RC_TAG(family);
    ModelSpec model = family == "deepseek_v3" ? any_latent_model(tensor_parallel)
                                              : any_grouped_query_model(family, tensor_parallel);
    model.scale_block = *rc::gen::element(0L, 32L, 128L);
    return model;
}

// Experts that have a bias, which is no product: all of DeepSeek's router, none of a softmax.
double biases(const ModelSpec& model) {
    return model.router_bias ? static_cast<double>(model.routed_experts) : 0;
}

// Elements of the norms inside attention, which are no product either.
double inner_norms(const ModelSpec& model) {
    if (const auto* kind = sole_attention<LatentAttention>(model))
        return static_cast<double>(kind->query_rank + kind->kv_rank);
    return static_cast<double>(grouped(model).query_key_norm ? 2 * grouped(model).head_dim : 0);
}

DType any_format() {
    return *rc::gen::element(DType::bf16, DType::fp16, DType::fp8, DType::int8, DType::fp4);
}

Precision any_precision() {
    Precision precision;
    precision.weights = any_format();
    precision.experts = any_format();
    precision.activations = any_format();
    precision.attention = *rc::gen::element(DType::bf16, DType::fp8);
    precision.kv_cache = any_format();
    precision.dispatch = any_format();
    precision.combine = any_format();
    return precision;
}

StepShape any_shape(int tensor_parallel) {
    StepShape shape;
    shape.phase = *rc::gen::element(Phase::decode, Phase::prefill);
    shape.sequences = any(1, 50);
    shape.query = any(1, 20);
    shape.context = shape.query + any(0, 3000);
    shape.tensor_parallel = tensor_parallel;
    return shape;
}

double without_attention(const std::vector<Operator>& operators) {
    double sum = 0;
    for (const Operator& op : operators) {
        if (!std::holds_alternative<Attention>(op.body)) sum += matrix_work_of(op.body).value();
    }
    return sum;
}

// A tied table is held once, as the embedding, and works as the head too.
double tied_table(const WeightBytes& held, const ModelSpec& model) {
    return model.tied_embedding ? held.embedding.value() : 0;
}

// Every block of one rank's step.
std::vector<Operator> all_blocks(const ModelSpec& model, const Precision& precision,
                                 const StepShape& shape) {
    std::vector<Operator> all;
    const auto append = [&all](const std::vector<Operator>& block) {
        all.insert(all.end(), block.begin(), block.end());
    };
    append(embedding_block(model, precision, shape.tokens()));
    append(attention_block(model, precision, shape));
    append(dense_ffn_block(model, precision, shape.tokens(), shape.tensor_parallel));
    append(router_block(model, precision, shape.tokens()));
    append(expert_block(model, precision, 3, 7, "expert"));
    append(expert_block(model, precision, 1, shape.tokens(), "shared_expert"));
    append(combine_block(model, precision, shape.tokens(), model.experts_per_token + 1));
    append(head_block(model, precision, shape.sequences, shape.tensor_parallel));
    append(draft_block(model, precision, shape.tokens()));
    return all;
}

// In BF16 a weight is two bytes and a token's product with it two FLOP: on every rank, block for
// block, matrix work less attention = weight bytes x tokens, exactly. (Prefill expands the kv
// latents of the whole context; context = query here.)
TEST(OperatorsProperty, WorkIsTwiceTheParametersOfTheRankTimesTokens) {
    EXPECT_TRUE(rc::check([] {
        const int tensor_parallel = *rc::gen::element(1, 2, 3, 8);
        const ModelSpec model = any_model(tensor_parallel);
        const Precision bf16;
        const WeightBytes held = weight_bytes(model, bf16, tensor_parallel);
        StepShape shape = any_shape(tensor_parallel);
        if (shape.phase == Phase::prefill) shape.context = shape.query;
        const auto tokens = static_cast<double>(shape.tokens());

        RC_ASSERT(without_attention(attention_block(model, bf16, shape)) ==
                  (attention_bytes(held).value() - 2 * inner_norms(model)) * tokens);
        RC_ASSERT(matrix_work(dense_ffn_block(model, bf16, shape.tokens(), tensor_parallel)) ==
                  held.dense_ffn.value() * tokens);
        RC_ASSERT(matrix_work(router_block(model, bf16, shape.tokens())) ==
                  (held.router.value() - 4 * biases(model)) * tokens);
        RC_ASSERT(matrix_work(expert_block(model, bf16, 5, 11, "expert")) ==
                  held.routed_expert.value() * 55);
        RC_ASSERT(matrix_work(expert_block(model, bf16, 1, shape.tokens(), "shared_expert")) ==
                  held.shared_expert.value() * tokens);
        const double final_norm = 2 * static_cast<double>(model.hidden);
        RC_ASSERT(matrix_work(head_block(model, bf16, 9, tensor_parallel)) ==
                  (held.head.value() + tied_table(held, model) - final_norm) * 9);
        const double draft_norms = model.draft_layers > 0 ? 3 * final_norm : 0;
        RC_ASSERT(matrix_work(draft_block(model, bf16, shape.tokens())) ==
                  (held.draft_extra.value() - draft_norms) * tokens);
    }));
}

// The whole step of the whole model: 2 x tokens x (active parameters less embedding, norms and
// router bias), plus attention of every layer, exactly.
TEST(OperatorsProperty, WorkOfAStepIsTheModelsActiveParameters) {
    EXPECT_TRUE(rc::check([] {
        const ModelSpec model = any_model(1);
        const Precision precision = any_precision();
        StepShape shape = any_shape(1);
        if (shape.phase == Phase::prefill) shape.context = shape.query;
        const auto tokens = static_cast<double>(shape.tokens());
        const auto layers = static_cast<double>(layer_count(model));
        const auto moe = static_cast<double>(expert_layers(model));
        const double dense = layers - moe;

        const auto attention = attention_block(model, precision, shape);
        const double core = matrix_work(attention) - without_attention(attention);
        // Every token visits experts_per_token experts: as many groups of `tokens` rows.
        const double done =
            layers * matrix_work(attention) +
            dense * matrix_work(dense_ffn_block(model, precision, shape.tokens(), 1)) +
            moe *
                (matrix_work(router_block(model, precision, shape.tokens())) +
                 matrix_work(expert_block(model, precision, model.experts_per_token, shape.tokens(),
                                          "expert")) +
                 matrix_work(expert_block(model, precision, 1, shape.tokens(), "shared_expert"))) +
            matrix_work(head_block(model, precision, shape.tokens(), 1));

        const ParameterCount count = count_parameters(model);
        const double touched = count.active_without_embedding() - count.norms - moe * biases(model);
        RC_ASSERT(done == 2 * tokens * touched + layers * core);
    }));
}

// Over its ranks tensor parallelism does the same products, and beyond that those of the weights
// that more than one rank holds: latents' down-projections, kv heads fewer than ranks.
TEST(OperatorsProperty, RanksDivideTheWork) {
    EXPECT_TRUE(rc::check([] {
        const int ranks = *rc::gen::element(2, 3, 8);
        const ModelSpec model = any_model(ranks);
        const Precision precision = any_precision(), bf16;
        StepShape whole = any_shape(1);
        if (whole.phase == Phase::prefill) whole.context = whole.query;
        StepShape part = whole;
        part.tensor_parallel = ranks;
        const auto matrices = [&](int tensor_parallel) {
            return attention_bytes(weight_bytes(model, bf16, tensor_parallel)).value() -
                   2 * inner_norms(model);
        };
        const double held_often = ranks * matrices(ranks) - matrices(1);
        RC_ASSERT(held_often >= 0);
        RC_ASSERT(ranks * matrix_work(attention_block(model, precision, part)) ==
                  matrix_work(attention_block(model, precision, whole)) +
                      held_often * static_cast<double>(whole.tokens()));
        RC_ASSERT(ranks * matrix_work(dense_ffn_block(model, precision, 13, ranks)) ==
                  matrix_work(dense_ffn_block(model, precision, 13, 1)));
        RC_ASSERT(ranks * matrix_work(head_block(model, precision, 13, ranks)) ==
                  matrix_work(head_block(model, precision, 13, 1)));
    }));
}

// Formats change bytes, never the matrix work.
TEST(OperatorsProperty, FormatsDoNotChangeTheWork) {
    EXPECT_TRUE(rc::check([] {
        const ModelSpec model = any_model(1);
        const StepShape shape = any_shape(1);
        RC_ASSERT(matrix_work(all_blocks(model, any_precision(), shape)) ==
                  matrix_work(all_blocks(model, Precision{}, shape)));
    }));
}

// Every operator of every block is one a chip accepts, and names within a step are unique.
TEST(OperatorsProperty, OperatorsAreValidAndNamedOnce) {
    EXPECT_TRUE(rc::check([] {
        const int tensor_parallel = *rc::gen::element(1, 2, 8);
        const ModelSpec model = any_model(tensor_parallel);
        const auto all = all_blocks(model, any_precision(), any_shape(tensor_parallel));
        std::vector<std::string> seen = names(all);
        for (const Operator& op : all) require_valid(op);
        std::sort(seen.begin(), seen.end());
        RC_ASSERT(std::adjacent_find(seen.begin(), seen.end()) == seen.end());
    }));
}

// Twice the sequences: twice the work, and vector bytes twice but for norm weights and router
// bias, which are read once.
TEST(OperatorsProperty, WorkIsProportionalToSequences) {
    EXPECT_TRUE(rc::check([] {
        const ModelSpec model = any_model(1);
        const Precision precision = any_precision();
        const StepShape once = any_shape(1);
        StepShape twice = once;
        twice.sequences *= 2;
        const auto a = attention_block(model, precision, once);
        const auto b = attention_block(model, precision, twice);
        RC_ASSERT(names(a) == names(b));
        for (std::size_t i = 0; i < a.size(); ++i) {
            RC_ASSERT(work_of(b[i].body).value() == 2 * work_of(a[i].body).value());
            if (!std::holds_alternative<VectorWork>(a[i].body)) continue;
            RC_ASSERT(vector(b[i]).write == 2 * vector(a[i]).write);
            RC_ASSERT(vector(b[i]).read <= 2 * vector(a[i]).read);
            RC_ASSERT(vector(b[i]).read > vector(a[i]).read);
        }
    }));
}

// A narrower format never holds more, for matrices as large as those of a real model (scales
// outweigh a matrix of a few elements).
TEST(OperatorsProperty, NarrowerWeightsAreSmaller) {
    EXPECT_TRUE(rc::check([] {
        ModelSpec model = r1();
        model.hidden = any(64, 8000);
        model.expert_intermediate = any(64, 4000);
        model.scale_block = *rc::gen::element(0L, 32L, 128L);
        const auto expert = [&model](DType format) {
            Precision precision;
            precision.experts = format;
            return weight_bytes(model, precision, 1).routed_expert;
        };
        RC_ASSERT(expert(DType::fp8) < expert(DType::bf16));
        RC_ASSERT(expert(DType::int8) < expert(DType::bf16));
        RC_ASSERT(expert(DType::fp4) < expert(DType::int8));
    }));
}

}  // namespace
}  // namespace podsim
