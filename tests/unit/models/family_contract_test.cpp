// What model.hpp promises, over every registered family and every shipped model: the work of a step
// is that of its parameters, attention reads the cache that is counted, ranks hold the model
// between them.
#include <gtest/gtest.h>

#include <cctype>
#include <filesystem>
#include <set>

#include "tests/unit/models/grouped_query_specs.hpp"
#include "tests/unit/models/r1.hpp"

namespace podsim {
namespace {

// One model of each family made by hand; the shipped ones by name.
const std::vector<ModelSpec>& by_hand() {
    static const std::vector<ModelSpec> models = {r1(), llama_8b(), mixtral_8x7b(), small_qwen3(),
                                                  qwen3_30b_a3b()};
    return models;
}

std::filesystem::path folder() {
    return std::filesystem::path(PODSIM_SOURCE_DIR) / "configs" / "models";
}

std::vector<std::string> cases() {
    std::set<std::string> names;
    for (const ModelSpec& model : by_hand()) names.insert("by hand: " + model.name);
    for (const auto& entry : std::filesystem::directory_iterator(folder())) {
        if (entry.path().extension() == ".yaml") names.insert(entry.path().stem());
    }
    return {names.begin(), names.end()};
}

ModelSpec model_of(const std::string& name) {
    for (const ModelSpec& model : by_hand()) {
        if ("by hand: " + model.name == name) return model;
    }
    return read_model(read_yaml((folder() / (name + ".yaml")).string()), name);
}

std::vector<int> divisions(const ModelSpec& model) {
    std::vector<int> ranks;
    for (const int tensor_parallel : {1, 2, 4, 8, 16, 32}) {
        if (model.heads % tensor_parallel == 0) ranks.push_back(tensor_parallel);
    }
    return ranks;
}

Operator core(const std::vector<Operator>& block) {
    for (const Operator& op : block) {
        if (std::holds_alternative<Attention>(op.body)) return op;
    }
    return {};
}
double core_work(const ModelSpec& model, const StepShape& shape) {
    return work_of(core(attention_block(model, Precision{}, shape)).body).value();
}

class FamilyContract : public testing::TestWithParam<std::string> {
  protected:
    const ModelSpec model_ = model_of(GetParam());
    const double layers_ = static_cast<double>(model_.layers);
    const double moe_layers_ = static_cast<double>(model_.layers - model_.dense_layers);
    // The bias of a sigmoid router: an FP32 element an expert, and no product.
    const double biases_ = model_.router_scoring == RouterScoring::sigmoid
                               ? moe_layers_ * static_cast<double>(model_.routed_experts)
                               : 0;
};

std::string test_name(const testing::TestParamInfo<std::string>& parameter) {
    std::string name = parameter.param;
    for (char& c : name) {
        if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
    }
    return name;
}

INSTANTIATE_TEST_SUITE_P(Models, FamilyContract, testing::ValuesIn(cases()), test_name);

TEST(FamilyContractCoverage, EveryFamilyHasAModel) {
    std::set<std::string> families;
    for (const ModelSpec& model : by_hand()) families.insert(model.family);
    for (const std::string& family : known_families()) EXPECT_EQ(families.count(family), 1u);
}

// Two bytes a parameter in BF16, four of a router's bias.
TEST_P(FamilyContract, WeightsAreTheParameters) {
    const WeightBytes held = weight_bytes(model_, Precision{}, 1);
    const double all =
        layers_ * (held.attention + held.norms).value() +
        static_cast<double>(model_.dense_layers) * held.dense_ffn.value() +
        moe_layers_ * (held.router + held.shared_expert).value() +
        moe_layers_ * static_cast<double>(model_.routed_experts) * held.routed_expert.value() +
        (held.embedding + held.head).value();
    EXPECT_EQ(all, 2 * count_parameters(model_).total() + 2 * biases_);
}

// 2 x tokens x (active parameters less embedding, norms and router bias) + attention.
TEST_P(FamilyContract, WorkIsTwiceTheActiveParametersTimesTokens) {
    for (const StepShape& shape :
         {StepShape{Phase::decode, 24, 2, 5000, 1}, StepShape{Phase::prefill, 3, 700, 700, 1}}) {
        const long tokens = shape.tokens();
        const auto attention = attention_block(model_, Precision{}, shape);
        const Precision bf16;
        const double done =
            layers_ * matrix_work(attention) +
            static_cast<double>(model_.dense_layers) *
                matrix_work(dense_ffn_block(model_, bf16, tokens, 1)) +
            moe_layers_ * (matrix_work(router_block(model_, bf16, tokens)) +
                           matrix_work(expert_block(model_, bf16,
                                                    {model_.experts_per_token, tokens}, "expert")) +
                           matrix_work(expert_block(model_, bf16, {1, tokens}, "shared_expert"))) +
            matrix_work(head_block(model_, bf16, tokens, 1));
        const ParameterCount count = count_parameters(model_);
        const double touched = count.active_without_embedding() - count.norms - biases_;
        EXPECT_EQ(done, 2 * static_cast<double>(tokens) * touched +
                            layers_ * work_of(core(attention).body).value());
    }
}

// Attention's own work is proportional to the visible pairs: sequences x query x context in decode,
// sequences x (query (context - query) + query (query + 1) / 2) in prefill.
TEST_P(FamilyContract, AttentionWorkFollowsTheVisiblePairs) {
    const double decode_pair = core_work(model_, {Phase::decode, 1, 1, 1, 1});
    const double prefill_pair = core_work(model_, {Phase::prefill, 1, 1, 1, 1});
    EXPECT_GT(decode_pair, 0);
    EXPECT_GT(prefill_pair, 0);
    EXPECT_EQ(core_work(model_, {Phase::decode, 7, 2, 3000, 1}), decode_pair * 7 * 2 * 3000);
    EXPECT_EQ(core_work(model_, {Phase::prefill, 7, 100, 100, 1}), prefill_pair * 7 * 5050);
    EXPECT_EQ(core_work(model_, {Phase::prefill, 7, 100, 3000, 1}),
              prefill_pair * 7 * (100 * 2900 + 5050));
}

// In decode attention reads every cached entry of the rank once beside queries and results, and
// the step appends an entry a token.
TEST_P(FamilyContract, TheCacheCountedIsTheCacheReadAndWritten) {
    Precision precision;
    precision.kv_cache = DType::fp8;
    for (const int ranks : divisions(model_)) {
        SCOPED_TRACE(ranks);
        const double entry =
            kv_bytes_per_token_of_rank(model_, DType::fp8, ranks).value() / layers_;
        const auto block = attention_block(model_, precision, {Phase::decode, 5, 2, 3000, ranks});
        Attention attention = std::get<Attention>(core(block).body);
        EXPECT_EQ(attention.kv, DType::fp8);
        const double read = compulsory_bytes_of(attention).value();
        attention.context = 2000;
        EXPECT_DOUBLE_EQ(read - compulsory_bytes_of(attention).value(), 5 * 1000 * entry);
        EXPECT_DOUBLE_EQ(vector(find(block, "cache_append")).write, 5 * 2 * entry);
    }
}

TEST_P(FamilyContract, RanksHoldTheWholeCacheBetweenThem) {
    const double whole = kv_bytes_per_token(model_, DType::bf16).value();
    EXPECT_EQ(whole, 2 * layers_ * kv_elements_per_token_per_layer(model_));
    EXPECT_EQ(kv_bytes_per_token_of_rank(model_, DType::bf16, 1).value(), whole);
    for (const int ranks : divisions(model_)) {
        const double part = kv_bytes_per_token_of_rank(model_, DType::bf16, ranks).value();
        EXPECT_LE(part, whole);
        EXPECT_GE(part * ranks, whole);
    }
    EXPECT_THROW(kv_bytes_per_token_of_rank(model_, DType::bf16, 0), std::invalid_argument);
}

// Over all ranks attention does the work of one, and beyond it just what several of them hold:
// weights that are on more than one rank (2 B a parameter, 2 FLOP a token).
TEST_P(FamilyContract, RanksDivideAttention) {
    const Precision bf16;
    const WeightBytes whole = weight_bytes(model_, bf16, 1);
    for (const int ranks : divisions(model_)) {
        SCOPED_TRACE(ranks);
        const double held = weight_bytes(model_, bf16, ranks).attention.value();
        const double twice_held = ranks * held - whole.attention.value();
        EXPECT_GE(twice_held, 0);
        EXPECT_LE(held, whole.attention.value());
        for (StepShape shape :
             {StepShape{Phase::decode, 24, 2, 5000, 1}, StepShape{Phase::prefill, 3, 80, 80, 1}}) {
            const double one = matrix_work(attention_block(model_, bf16, shape));
            shape.tensor_parallel = ranks;
            EXPECT_EQ(ranks * matrix_work(attention_block(model_, bf16, shape)),
                      one + twice_held * static_cast<double>(shape.tokens()));
        }
    }
}

// FFN width and vocabulary are divided and rounded up; experts, router and norms are whole.
TEST_P(FamilyContract, RanksDivideFfnAndVocabulary) {
    const Precision bf16;
    const WeightBytes whole = weight_bytes(model_, bf16, 1);
    const double hidden = static_cast<double>(model_.hidden);
    for (const int ranks : divisions(model_)) {
        SCOPED_TRACE(ranks);
        const WeightBytes part = weight_bytes(model_, bf16, ranks);
        EXPECT_GE(ranks * part.dense_ffn.value(), whole.dense_ffn.value());
        EXPECT_LT(ranks * part.dense_ffn.value(), whole.dense_ffn.value() + ranks * 2 * 3 * hidden);
        EXPECT_GE(ranks * part.embedding.value(), whole.embedding.value());
        EXPECT_LT(ranks * part.embedding.value(), whole.embedding.value() + ranks * 2 * hidden);
        EXPECT_EQ(matrix_work(dense_ffn_block(model_, bf16, 10, ranks)),
                  10 * part.dense_ffn.value());
        EXPECT_EQ(part.routed_expert, whole.routed_expert);
        EXPECT_EQ(part.shared_expert, whole.shared_expert);
        EXPECT_EQ(part.router, whole.router);
        EXPECT_EQ(part.norms, whole.norms);
    }
}

// Every operator of every block is one a chip accepts, and its name is the only one in the step.
TEST_P(FamilyContract, OperatorsAreValidAndNamedOnce) {
    for (const Precision& precision : {Precision{}, fp8_served()}) {
        for (const int ranks : divisions(model_)) {
            for (const StepShape& shape : {StepShape{Phase::decode, 24, 2, 5000, ranks},
                                           StepShape{Phase::prefill, 3, 80, 80, ranks},
                                           StepShape{Phase::prefill, 3, 80, 900, ranks}}) {
                std::vector<Operator> all;
                const auto append = [&all](const std::vector<Operator>& block) {
                    all.insert(all.end(), block.begin(), block.end());
                };
                const long tokens = shape.tokens();
                append(embedding_block(model_, precision, tokens));
                append(attention_block(model_, precision, shape));
                append(dense_ffn_block(model_, precision, tokens, ranks));
                append(router_block(model_, precision, tokens));
                append(expert_block(model_, precision, {3, 7}, "expert"));
                append(expert_block(model_, precision, {1, tokens}, "shared_expert"));
                append(combine_block(model_, precision, tokens, 2));
                append(head_block(model_, precision, shape.sequences, ranks));
                append(draft_block(model_, precision, tokens));
                std::set<std::string> seen;
                for (const Operator& op : all) {
                    EXPECT_NO_THROW(require_valid(op));
                    EXPECT_TRUE(seen.insert(op.name).second) << op.name;
                }
            }
        }
    }
}

// Blocks of parts of size 0 are empty, all others are not; every layer has some FFN.
TEST_P(FamilyContract, BlocksAreThereExactlyWhenTheirPartIs) {
    const Precision bf16;
    const WeightBytes held = weight_bytes(model_, bf16, 1);
    const bool experts = model_.routed_experts > 0, shared = model_.shared_experts > 0;
    const bool dense = model_.dense_intermediate > 0, draft = model_.draft_layers > 0;
    EXPECT_TRUE(experts || model_.dense_layers == model_.layers);
    EXPECT_TRUE(dense || model_.dense_layers == 0);
    EXPECT_EQ(dense_ffn_block(model_, bf16, 10, 1).empty(), !dense);
    EXPECT_EQ(held.dense_ffn.value() == 0, !dense);
    EXPECT_EQ(router_block(model_, bf16, 10).empty(), !experts);
    EXPECT_EQ(held.router.value() == 0, !experts);
    EXPECT_EQ(expert_block(model_, bf16, {3, 7}, "expert").empty(), !experts);
    EXPECT_EQ(held.routed_expert.value() == 0, !experts);
    EXPECT_EQ(combine_block(model_, bf16, 10, 2).empty(), !experts);
    EXPECT_EQ(expert_block(model_, bf16, {1, 7}, "shared_expert").empty(), !shared);
    EXPECT_EQ(held.shared_expert.value() == 0, !shared);
    EXPECT_EQ(draft_block(model_, bf16, 10).empty(), !draft);
    EXPECT_EQ(held.draft_extra.value() == 0, !draft);
    EXPECT_EQ(count_parameters(model_).draft == 0, !draft);
}

TEST_P(FamilyContract, ActiveParametersAreAPart) {
    const ParameterCount count = count_parameters(model_);
    EXPECT_GT(count.active_without_embedding(), 0);
    EXPECT_LE(count.active_without_embedding(), count.active());
    EXPECT_LE(count.active(), count.total());
    if (model_.routed_experts == 0) {
        EXPECT_EQ(count.active(), count.total());
    }
}

}  // namespace
}  // namespace podsim
