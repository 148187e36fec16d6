// What the headers of models/ promise, over every registered family and every shipped model, a kind
// of layer at a time: the work of a step is that of its parameters, attention reads the cache that
// is counted, ranks hold the model between them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <set>

#include "models/attention.hpp"
#include "tests/unit/models/layered_specs.hpp"
#include "tests/unit/models/r1.hpp"

namespace podsim {
namespace {

// One model of each family made by hand, and one of each kind of layer; the shipped ones by name.
const std::vector<ModelSpec>& by_hand() {
    static const std::vector<ModelSpec> models = {r1(),
                                                  llama_8b(),
                                                  mixtral_8x7b(),
                                                  small_qwen3(),
                                                  qwen3_30b_a3b(),
                                                  small_windows(),
                                                  small_compressed(),
                                                  small_delta()};
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

double real(long count) {
    return static_cast<double>(count);
}

std::vector<int> divisions(const ModelSpec& model) {
    std::vector<int> ranks;
    for (const int tensor_parallel : {1, 2, 4, 8, 16, 32}) {
        if (division_problem(model, tensor_parallel).empty()) ranks.push_back(tensor_parallel);
    }
    return ranks;
}

AttentionWeights weights_of(const AttentionSpec& attention, const ModelSpec& model, int ranks) {
    return std::visit(
        [&](const auto& kind) { return attention_weights(kind, model, Precision{}, ranks); },
        attention);
}

// Matrix work of the operators of one kind, and of all that are not products with weights.
template <class Body>
double work_by(const std::vector<Operator>& block) {
    double sum = 0;
    for (const Operator& op : block) {
        if (std::holds_alternative<Body>(op.body)) sum += matrix_work_of(op.body).value();
    }
    return sum;
}
double core_work(const std::vector<Operator>& block) {
    return work_by<Attention>(block) + work_by<IndexScores>(block) + work_by<DeltaRule>(block);
}

// The only operator of a kind, or nullptr.
template <class Body>
const Body* only(const std::vector<Operator>& block) {
    const Body* found = nullptr;
    for (const Operator& op : block) {
        const auto* body = std::get_if<Body>(&op.body);
        if (body == nullptr) continue;
        EXPECT_EQ(found, nullptr) << op.name;
        found = body;
    }
    return found;
}

// Bytes that a vector operator writes, 0 when there is none of that name.
double written(const std::vector<Operator>& block, const std::string& name) {
    const Operator op = find(block, name);
    return op.name.empty() ? 0 : vector(op).write;
}

// What a query with n visible tokens reads: floor(n / compression) entries, at most `selected` of
// them (0: all), and min(n, window) tokens. compression 0: no entries.
struct Sight {
    long compression = 1, selected = 0, window = 0;
    double of(long n) const {
        long entries = compression > 0 ? n / compression : 0;
        if (selected > 0) entries = std::min(entries, selected);
        return real(entries + std::min(n, window));
    }
};
Sight sight(const AttentionSpec& attention) {
    if (const auto* grouped = std::get_if<GroupedQueryAttention>(&attention))
        return grouped->window > 0 ? Sight{0, 0, grouped->window} : Sight{};
    if (const auto* latent = std::get_if<LatentAttention>(&attention))
        return {1, latent->indexer.top_k, 0};
    if (const auto* pooled = std::get_if<CompressedAttention>(&attention))
        return {pooled->compression, pooled->indexer.top_k, pooled->window};
    return {0, 0, 0};
}

// Of all sequences: each query counted by itself.
double pairs(const Sight& sight, const StepShape& shape) {
    double sum = 0;
    for (long query = 0; query < shape.query; ++query) {
        const bool is_causal = shape.phase == Phase::prefill;
        sum += sight.of(is_causal ? shape.context - shape.query + query + 1 : shape.context);
    }
    return real(shape.sequences) * sum;
}

double ffn_biases(const ModelSpec& model, long width) {
    if (!model.ffn_biases || width == 0) return 0;
    return real((model.gated ? 2 : 1) * width + model.hidden);
}

class FamilyContract : public testing::TestWithParam<std::string> {
  protected:
    const ModelSpec model_ = model_of(GetParam());
    const Precision bf16_{};
    const std::vector<LayerCount> kinds_ = layer_kinds(model_);
    const double layers_ = real(layer_count(model_));
    const double experts_ = real(model_.routed_experts);

    std::vector<Operator> attention(const LayerKind& kind, const StepShape& shape) const {
        return attention_block(model_, bf16_, shape, kind);
    }
    // Router, the experts a token visits and the shared one, or the dense FFN.
    double feed_forward_work(const LayerKind& kind, long tokens) const {
        if (!kind.experts) return matrix_work(dense_ffn_block(model_, bf16_, tokens, 1));
        return matrix_work(router_block(model_, bf16_, tokens, kind.hash_routed)) +
               matrix_work(
                   expert_block(model_, bf16_, {model_.experts_per_token, tokens}, "expert")) +
               matrix_work(expert_block(model_, bf16_, {1, tokens}, "shared_expert"));
    }
    Bytes feed_forward_bytes(const LayerKind& kind, const WeightBytes& held) const {
        if (!kind.experts) return held.dense_ffn;
        return held.router + held.shared_expert + experts_ * held.routed_expert;
    }
    // The bias of a router, an FP32 element an expert; a table of token ids needs none.
    double router_bias(const LayerKind& kind) const {
        return kind.experts && model_.router_bias && !kind.hash_routed ? experts_ : 0;
    }
    // Elements of one layer, of those a token meets, that are in no product.
    double vectors(const LayerKind& kind) const {
        const AttentionSpec& attention = at(model_.attentions, kind.attention);
        double sum = real(weights_of(attention, model_, 1).bias_elements) + router_bias(kind);
        if (model_.streams > 1) sum += 2 * real(model_.streams * (model_.streams + 2) + 3);
        // Three norms and the taps of conditional memory, for each residual stream.
        if (kind.engram)
            sum += real((3 + model_.engram.convolution) * model_.streams * model_.hidden);
        if (!kind.experts) return sum + ffn_biases(model_, model_.dense_intermediate);
        if (model_.shared_gate) sum += real(model_.hidden);
        return sum +
               real(model_.experts_per_token) * ffn_biases(model_, model_.expert_intermediate) +
               ffn_biases(model_, model_.shared_intermediate);
    }
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
    for (const std::string& name : cases()) families.insert(model_of(name).family);
    // The part of a model that works on text, under its own name: the same reader.
    for (const char* family : {"gemma4_text", "qwen3_5_moe_text"}) families.insert(family);
    for (const std::string& family : known_families())
        EXPECT_EQ(families.count(family), 1u) << family;
}

TEST(FamilyContractCoverage, EveryKindOfAttentionHasAModel) {
    std::set<std::size_t> kinds;
    for (const ModelSpec& model : by_hand()) {
        for (const AttentionSpec& attention : model.attentions) kinds.insert(attention.index());
    }
    EXPECT_EQ(kinds.size(), std::variant_size_v<AttentionSpec>);
}

TEST_P(FamilyContract, KindsAreTheLayers) {
    double count = 0, with_experts = 0;
    for (const LayerCount& alike : kinds_) {
        ASSERT_GE(alike.kind.attention, 0);
        ASSERT_LT(static_cast<std::size_t>(alike.kind.attention), model_.attentions.size());
        EXPECT_EQ(real(std::count(model_.layers.begin(), model_.layers.end(), alike.kind)),
                  real(alike.count));
        count += real(alike.count);
        if (alike.kind.experts) with_experts += real(alike.count);
    }
    EXPECT_EQ(count, layers_);
    EXPECT_EQ(with_experts, real(expert_layers(model_)));
}

// Two bytes a parameter in BF16, four of a router's bias and of the mixers of hyper-connections.
// The router's bytes are given for a layer with a bias.
TEST_P(FamilyContract, WeightsAreTheParameters) {
    const WeightBytes held = weight_bytes(model_, bf16_, 1);
    const ParameterCount count = count_parameters(model_);
    ASSERT_EQ(held.attention.size(), model_.attentions.size());
    double all = (held.embedding + held.head).value(), wide = count.mixers;
    for (const LayerCount& alike : kinds_) {
        const Bytes one = at(held.attention, alike.kind.attention) + held.norms +
                          feed_forward_bytes(alike.kind, held) +
                          (alike.kind.engram ? held.engram : Bytes(0.0));
        const bool no_bias = alike.kind.hash_routed && model_.router_bias;
        all += real(alike.count) * (one.value() - (no_bias ? 4 * experts_ : 0));
        wide += real(alike.count) * router_bias(alike.kind);
    }
    all += engram_table_bytes(model_).value();
    EXPECT_EQ(all, 2 * count.total() + 2 * wide);
}

TEST_P(FamilyContract, ADraftModuleIsALayerAndWhatJoinsIt) {
    const WeightBytes held = weight_bytes(model_, bf16_, 1);
    const LayerKind& kind = model_.draft_layer;
    const Bytes module = at(held.attention, kind.attention) + held.norms +
                         feed_forward_bytes(kind, held) + held.draft_extra;
    const double n = real(model_.streams), hidden = real(model_.hidden);
    // Two mixes [n (n + 2), n hidden] with bases and three scales, and what joins the streams.
    const double mixers =
        n > 1 ? 2 * (n * (n + 2) * (n * hidden + 1) + 3) + n * n * hidden + n + 1 : 0;
    EXPECT_EQ(real(model_.draft_layers) * (module.value() - 2 * (router_bias(kind) + mixers)),
              2 * count_parameters(model_).draft);
}

// 2 x tokens x (active parameters less embedding, norms, biases and other vectors), and what
// attention, an indexer's scores and the delta rule do beside products with weights.
TEST_P(FamilyContract, WorkIsTwiceTheActiveParametersTimesTokens) {
    for (const StepShape& shape :
         {StepShape{Phase::decode, 24, 2, 5000, 1}, StepShape{Phase::prefill, 3, 700, 700, 1}}) {
        const long tokens = shape.tokens();
        double done = matrix_work(head_block(model_, bf16_, tokens, 1)), cores = 0;
        const ParameterCount count = count_parameters(model_);
        double touched = count.active_without_embedding() - count.norms;
        if (model_.tied_embedding) touched -= real(model_.positions * model_.hidden);
        if (model_.streams > 1) touched -= real(model_.streams + 1);  // the last mix's base
        for (const LayerCount& alike : kinds_) {
            const auto block = attention(alike.kind, shape);
            const double times = real(alike.count);
            // A feed-forward sub-layer begins with the mixes that attention begins with.
            done += times * (matrix_work(block) + feed_forward_work(alike.kind, tokens));
            if (alike.kind.engram) done += times * matrix_work(engram_block(model_, tokens));
            cores += times * core_work(block);
            touched -= times * vectors(alike.kind);
        }
        EXPECT_EQ(done, 2 * real(tokens) * touched + cores);
    }
}

// Attention's own work, and that of an indexer's scores over the entries there are, follows the
// pairs that queries see, counted one by one; the delta rule's the tokens, whatever the context.
TEST_P(FamilyContract, WorkOfAttentionFollowsWhatItSees) {
    const std::vector<StepShape> shapes = {{Phase::decode, 7, 2, 3000, 1},
                                           {Phase::prefill, 7, 100, 100, 1},
                                           {Phase::prefill, 7, 100, 3000, 1},
                                           {Phase::decode, 3, 1, 9, 1},
                                           {Phase::prefill, 2, 5, 7, 1}};
    for (const LayerCount& alike : kinds_) {
        const AttentionSpec& spec = at(model_.attentions, alike.kind.attention);
        const Sight seen = sight(spec);
        for (const StepShape& shape : shapes) {
            const auto block = attention(alike.kind, shape);
            if (std::holds_alternative<DeltaNetAttention>(spec)) {
                const auto one = attention(alike.kind, {shape.phase, 1, 1, 1, 1});
                const auto *rule = only<DeltaRule>(block), *unit = only<DeltaRule>(one);
                ASSERT_TRUE(rule != nullptr && unit != nullptr);
                EXPECT_GT(work_of(*unit).value(), 0);
                EXPECT_EQ(work_of(*rule).value(), real(shape.tokens()) * work_of(*unit).value());
                EXPECT_EQ(only<Attention>(block), nullptr);
                continue;
            }
            // One query of one token sees that token, whatever the kind.
            const auto one = attention(alike.kind, {shape.phase, 1, 1, 1, 1});
            EXPECT_GT(work_by<Attention>(one), 0);
            EXPECT_EQ(work_by<Attention>(block), work_by<Attention>(one) * pairs(seen, shape));
            const auto* scores = only<IndexScores>(block);
            if (seen.selected == 0) {
                EXPECT_EQ(scores, nullptr);
                continue;
            }
            const double entries = pairs({seen.compression, 0, 0}, shape);
            EXPECT_EQ(scores == nullptr, entries == 0);
            const auto first =
                attention(alike.kind, {shape.phase, 1, 1, seen.compression, 1});  // sees one entry
            EXPECT_EQ(work_by<IndexScores>(block), work_by<IndexScores>(first) * entries);
        }
    }
}

// In decode attention reads every cached entry of the rank once (those chosen, where some are),
// scores every cached key, the delta rule reads and writes its state. Bytes of the cache are what
// a format twice as wide takes in addition.
TEST_P(FamilyContract, TheCacheCountedIsTheCacheRead) {
    Precision precision;
    precision.kv_cache = precision.indexer = DType::fp8;
    for (const int ranks : divisions(model_)) {
        for (const LayerCount& alike : kinds_) {
            const AttentionSpec& spec = at(model_.attentions, alike.kind.attention);
            for (const long context : {2L, 100L, 3000L}) {
                SCOPED_TRACE(testing::Message() << ranks << " ranks, context " << context);
                const CacheElements cache = layer_cache(spec, context, ranks);
                const auto block = attention_block(
                    model_, precision, {Phase::decode, 5, 2, context, ranks}, alike.kind);
                if (const auto* core = only<Attention>(block)) {
                    EXPECT_EQ(core->kv, DType::fp8);
                    Attention narrow = *core, wide = *core;
                    wide.kv = DType::bf16;
                    const auto read = [&] {
                        return (compulsory_bytes_of(wide) - compulsory_bytes_of(narrow)).value();
                    };
                    EXPECT_LE(read(), 5 * cache.kv);
                    narrow.selected = wide.selected = 0;
                    EXPECT_EQ(read(), 5 * cache.kv);
                }
                double keys = 0;
                if (const auto* scores = only<IndexScores>(block)) {
                    EXPECT_EQ(scores->keys, DType::fp8);
                    IndexScores wide = *scores;
                    wide.keys = DType::bf16;
                    keys = (compulsory_bytes_of(wide) - compulsory_bytes_of(*scores)).value();
                }
                EXPECT_EQ(keys, 5 * cache.index);
                const auto* rule = only<DeltaRule>(block);
                EXPECT_EQ(rule == nullptr, cache.state == 0);
                if (rule == nullptr) continue;
                DeltaRule twice = *rule;
                twice.query *= 2;
                const Bytes state = 2.0 * compulsory_bytes_of(*rule) - compulsory_bytes_of(twice);
                EXPECT_EQ(state.value(), 5 * 2 * 4 * cache.state);
                // The convolution's last inputs, beside those of the step.
                const VectorWork taps = vector(find(block, "causal_convolution"));
                EXPECT_EQ(taps.read, 2 * (taps.elements + 5 * cache.recent));
                EXPECT_EQ(taps.write, taps.read);
            }
        }
    }
}

// A step appends an entry a token, and what a long context grows by is what is written beyond the
// window: whole entries, or of pools their part.
TEST_P(FamilyContract, TheCacheCountedIsTheCacheWritten) {
    Precision precision;
    precision.kv_cache = precision.indexer = DType::fp8;
    constexpr long begin = 1L << 20, span = 1L << 12;
    for (const int ranks : divisions(model_)) {
        for (const LayerCount& alike : kinds_) {
            SCOPED_TRACE(testing::Message() << ranks << " ranks");
            const AttentionSpec& spec = at(model_.attentions, alike.kind.attention);
            if (std::holds_alternative<DeltaNetAttention>(spec)) continue;
            const auto block =
                attention_block(model_, precision, {Phase::decode, 4, 2, 3000, ranks}, alike.kind);
            EXPECT_EQ(written(block, "cache_append"), 8 * layer_cache(spec, 1, ranks).kv);
            const Bytes grown = layer_cache(spec, begin + span, ranks).bytes(precision) -
                                layer_cache(spec, begin, ranks).bytes(precision);
            const bool slides = sight(spec).window > 0;
            const double kept =
                written(block, "index_append") + written(block, slides ? "pool" : "cache_append");
            EXPECT_DOUBLE_EQ(kept / 8, grown.value() / span);
        }
    }
}

TEST_P(FamilyContract, RanksHoldTheWholeCacheBetweenThem) {
    for (const long context : {1L, 100L, 3000L}) {
        CacheElements sum;
        for (const LayerKind& layer : model_.layers) {
            const AttentionSpec& spec = at(model_.attentions, layer.attention);
            const CacheElements whole = layer_cache(spec, context, 1);
            EXPECT_GT(whole.kv + whole.state, 0);
            sum += whole;
            for (const int ranks : divisions(model_)) {
                const CacheElements part = layer_cache(spec, context, ranks);
                for (const auto member :
                     {&CacheElements::kv, &CacheElements::index, &CacheElements::state}) {
                    EXPECT_LE(part.*member, whole.*member);
                    EXPECT_GE(part.*member * ranks, whole.*member);
                }
            }
            EXPECT_THROW(layer_cache(spec, context, 0), std::invalid_argument);
        }
        EXPECT_EQ(cache_of(model_, context).bytes(bf16_), sum.bytes(bf16_));
    }
}

// Over all ranks attention does the work of one. Beyond it every rank multiplies with the weights
// it holds, also those that are on several; scores and mixes are whole on each.
TEST_P(FamilyContract, RanksDivideAttention) {
    const WeightBytes whole_bytes = weight_bytes(model_, bf16_, 1);
    for (const int ranks : divisions(model_)) {
        SCOPED_TRACE(ranks);
        const WeightBytes part_bytes = weight_bytes(model_, bf16_, ranks);
        for (const LayerCount& alike : kinds_) {
            const int index = alike.kind.attention;
            const AttentionSpec& spec = at(model_.attentions, index);
            const AttentionWeights whole = weights_of(spec, model_, 1);
            const AttentionWeights part = weights_of(spec, model_, ranks);
            const double held = parameters(part.matrices);
            EXPECT_GE(ranks * held, parameters(whole.matrices));
            EXPECT_LE(held, parameters(whole.matrices));
            EXPECT_EQ(at(part_bytes.attention, index).value(),
                      2 * (held + real(part.norm_elements + part.bias_elements)));
            EXPECT_LE(at(part_bytes.attention, index), at(whole_bytes.attention, index));
            for (StepShape shape :
                 {StepShape{Phase::decode, 24, 2, 5000, 1}, StepShape{Phase::prefill, 3, 80, 80, 1},
                  StepShape{Phase::prefill, 3, 256, 256, 1}}) {
                const auto one = attention(alike.kind, shape);
                shape.tensor_parallel = ranks;
                const auto each = attention(alike.kind, shape);
                EXPECT_EQ(work_by<Gemm>(each), 2 * held * real(shape.tokens()));
                EXPECT_EQ(ranks * work_by<Attention>(each), work_by<Attention>(one));
                EXPECT_EQ(ranks * work_by<DeltaRule>(each), work_by<DeltaRule>(one));
                EXPECT_EQ(work_by<IndexScores>(each), work_by<IndexScores>(one));
                EXPECT_EQ(work_by<StreamMix>(each), work_by<StreamMix>(one));
            }
        }
    }
}

// What does not divide is said, and refused by whoever is asked.
TEST_P(FamilyContract, WhatDoesNotDivideIsRefused) {
    for (const int ranks : {1, 2, 3, 4, 5, 7, 8, 16, 64, 1024}) {
        SCOPED_TRACE(ranks);
        const auto build = [&] {
            for (const LayerCount& alike : kinds_)
                attention(alike.kind, {Phase::decode, 1, 1, 10, ranks});
        };
        if (division_problem(model_, ranks).empty()) {
            EXPECT_NO_THROW(build());
            EXPECT_NO_THROW(weight_bytes(model_, bf16_, ranks));
        } else {
            EXPECT_THROW(build(), std::invalid_argument);
            EXPECT_THROW(weight_bytes(model_, bf16_, ranks), std::invalid_argument);
        }
    }
    EXPECT_EQ(division_problem(model_, 1), "");
    EXPECT_NE(division_problem(model_, 0), "");
    EXPECT_NE(division_problem(model_, 1021), "");  // a prime beyond any number of heads
}

// FFN width and vocabulary are divided and rounded up; experts, router, norms and a table of
// positions are whole.
TEST_P(FamilyContract, RanksDivideFfnAndVocabulary) {
    const WeightBytes whole = weight_bytes(model_, bf16_, 1);
    const double hidden = real(model_.hidden), matrices = model_.gated ? 3 : 2;
    for (const int ranks : divisions(model_)) {
        SCOPED_TRACE(ranks);
        const WeightBytes part = weight_bytes(model_, bf16_, ranks);
        const long width = ceil_divide(model_.dense_intermediate, ranks);
        EXPECT_EQ(part.dense_ffn.value(),
                  2 * (matrices * hidden * real(width) + ffn_biases(model_, width)));
        EXPECT_EQ(part.embedding.value(),
                  2 * hidden * real(ceil_divide(model_.vocabulary, ranks) + model_.positions));
        const auto block = dense_ffn_block(model_, bf16_, 10, ranks);
        EXPECT_EQ(work_by<Gemm>(block), 10 * 2 * matrices * hidden * real(width));
        EXPECT_EQ(part.routed_expert, whole.routed_expert);
        EXPECT_EQ(part.shared_expert, whole.shared_expert);
        EXPECT_EQ(part.router, whole.router);
        EXPECT_EQ(part.norms, whole.norms);
    }
}

// Every operator of every block is one a chip accepts, and its name is the only one in a layer.
TEST_P(FamilyContract, OperatorsAreValidAndNamedOnce) {
    for (const Precision& precision : {Precision{}, fp8_served()}) {
        for (const int ranks : divisions(model_)) {
            for (const StepShape& shape : {StepShape{Phase::decode, 24, 2, 5000, ranks},
                                           StepShape{Phase::prefill, 3, 80, 80, ranks},
                                           StepShape{Phase::prefill, 3, 80, 900, ranks}}) {
                for (const LayerCount& alike : kinds_) {
                    std::vector<Operator> all;
                    const auto append = [&all](const std::vector<Operator>& block) {
                        all.insert(all.end(), block.begin(), block.end());
                    };
                    const long tokens = shape.tokens();
                    append(embedding_block(model_, precision, tokens));
                    append(attention_block(model_, precision, shape, alike.kind));
                    append(dense_ffn_block(model_, precision, tokens, ranks));
                    append(router_block(model_, precision, tokens, alike.kind.hash_routed));
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
}

// Blocks of parts of size 0 are empty, all others are not; every layer has some FFN.
TEST_P(FamilyContract, BlocksAreThereExactlyWhenTheirPartIs) {
    const WeightBytes held = weight_bytes(model_, bf16_, 1);
    const bool experts = model_.routed_experts > 0, shared = model_.shared_intermediate > 0;
    const bool dense = model_.dense_intermediate > 0, draft = model_.draft_layers > 0;
    EXPECT_TRUE(experts || expert_layers(model_) == 0);
    EXPECT_TRUE(dense || expert_layers(model_) == layer_count(model_));
    EXPECT_TRUE(!draft || (model_.draft_layer.experts ? experts : dense));
    EXPECT_EQ(dense_ffn_block(model_, bf16_, 10, 1).empty(), !dense);
    EXPECT_EQ(held.dense_ffn.value() == 0, !dense);
    EXPECT_EQ(router_block(model_, bf16_, 10).empty(), !experts);
    EXPECT_EQ(held.router.value() == 0, !experts);
    EXPECT_EQ(expert_block(model_, bf16_, {3, 7}, "expert").empty(), !experts);
    EXPECT_EQ(held.routed_expert.value() == 0, !experts);
    EXPECT_EQ(combine_block(model_, bf16_, 10, 2).empty(), !experts);
    EXPECT_EQ(expert_block(model_, bf16_, {1, 7}, "shared_expert").empty(), !shared);
    EXPECT_EQ(held.shared_expert.value() == 0, !shared);
    EXPECT_EQ(draft_block(model_, bf16_, 10).empty(), !draft);
    EXPECT_EQ(held.draft_extra.value() == 0, !draft);
    EXPECT_EQ(count_parameters(model_).draft == 0, !draft);
    EXPECT_EQ(count_parameters(model_).mixers == 0, model_.streams == 1);
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
