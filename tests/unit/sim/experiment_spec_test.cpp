// What is wrong with an experiment file itself, and where.
#include "sim/experiment_spec.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/readers.hpp"
#include "tests/unit/sim/experiment_cases.hpp"

namespace podsim {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(ExperimentSpec, ReadsWhatIsThere) {
    const ExperimentSpec spec = read_experiment(
        with(with(test_experiment(), "workload.speculation", "{draft_tokens: 1, acceptance: 0.7}"),
             "alternatives.A.mapping", "{expert_parallel: 16, micro_batches: 2}"));
    EXPECT_EQ(spec.name, "a test");
    EXPECT_EQ(spec.workload.kind, WorkloadKind::decode);
    EXPECT_EQ(spec.workload.model, "deepseek-r1");
    EXPECT_EQ(spec.workload.context.value(), 2048);
    EXPECT_EQ(spec.workload.batch.per_chip, 16);
    EXPECT_DOUBLE_EQ(spec.workload.speculation.tokens_per_step(), 1.7);
    EXPECT_EQ(spec.prices, "test-prices");
    ASSERT_EQ(spec.alternatives.size(), 1u);
    const PoolSpec& pool = spec.alternatives.front().pools.front();
    EXPECT_EQ(pool.chips, 16);
    EXPECT_EQ(pool.mapping.expert_parallel, 16);
    EXPECT_EQ(pool.mapping.micro_batches, 2);
    EXPECT_EQ(pool.mapping.data_parallel, 0);  // as many as the ranks allow
    EXPECT_EQ(pool.precision.experts, DType::int8);
    EXPECT_EQ(pool.precision.combine, DType::bf16);
    EXPECT_EQ(pool.path, "alternatives.A");
    EXPECT_EQ(pool.places.of("chips").line, 10);
    EXPECT_EQ(pool.places.of("precision.weights").line, 11);
    EXPECT_EQ(pool.places.of("mapping.data_parallel").line, 99);  // of the map it is missing from
    EXPECT_EQ(pool.places.of("kernels").line, 8);                 // of the pool
}

TEST(ExperimentSpec, APoolMayBeWrittenAsAPool) {
    const ExperimentSpec spec = read_experiment(parse_yaml(R"(experiment: x
workload: {kind: decode, model: m, context: 8 tokens, batch_per_rank: 4}
alternatives:
  - name: A
    pools:
      - {name: decode, role: decode, system: s, chips: 2}
)",
                                                           "pools.yaml"));
    const PoolSpec& pool = spec.alternatives.front().pools.front();
    EXPECT_EQ(pool.name, "decode");
    EXPECT_EQ(pool.path, "alternatives.A.pools.decode");
    EXPECT_EQ(spec.prices, "default");
}

std::string wrong(const Node& experiment) {
    try {
        read_experiment(experiment);
    } catch (const InputError& error) {
        return error.what();
    }
    return "";
}

// Each change to the experiment, and what is said about it.
struct Case {
    const char* path;
    const char* value;
    const char* said;
};

TEST(ExperimentSpec, SaysWhatIsWrongAndWhere) {
    for (const Case& c : {
             Case{"workload.kind", "tuning",
                  "test.yaml:99:1: workload.kind: one of operator, collective, decode, prefill, "
                  "training, serving, replay was expected"},
             {"workload.kind", "decoed", "did you mean decode?"},
             {"workload.context", "4096", "workload.context: "},
             {"workload.context", "0 tokens", "at least 1, at most 1,000,000,000"},
             {"workload.context", "4096.5 tokens",
              "workload.context: is no whole number of tokens"},
             {"workload.batch_per_chip", "0", "at least 1, at most 1,000,000,000"},
             {"workload.batch_per_chip", "1.5", "workload.batch_per_chip"},
             {"workload.batch_per_chip", "9999999999", "at least 1, at most 1,000,000,000"},
             {"workload.batch_per_rank", "8",
              "workload.batch_per_chip: says the batch a second time"},
             {"workload.latency_target", "0 s", "workload.latency_target"},
             {"workload.speculation", "{draft_tokens: 1}", "workload.speculation.acceptance"},
             {"workload.speculation", "{draft_tokens: 1, acceptance: 1.2}", "a share from 0 to 1"},
             {"workload.speculation", "{draft_tokens: 2, acceptance_by_position: [0.5]}",
              "has 1 chances for 2 draft tokens"},
             {"workload.speculation",
              "{draft_tokens: 1, acceptance: 0.5, acceptance_by_position: [0.5]}",
              "one of acceptance and acceptance_by_position is needed"},
             {"workload.speculation", "{draft_tokens: 1, acceptance_by_position: [1.5]}",
              "a share from 0 to 1"},
             {"workload.speculation", "{draft_tokens: 1, acceptance: 0.5, draft_weights: fp8}",
              "unknown key draft_weights"},
             {"workload.speculation", "{draft_tokens: 17, acceptance: 0.5}",
              "more than 16 draft tokens"},
             {"workload.tokens", "3", "workload.tokens: unknown key"},
             {"workload.operator", "{type: gemm}", "workload.operator: unknown key"},
             {"alternatives", "[]", "alternatives: is empty, expected at least one"},
             {"alternatives", "[{name: A, system: s, chips: 1}, {name: A, system: s, chips: 2}]",
              "alternatives: two are called A"},
             {"alternatives.A.chips", "0", "alternatives.A.chips: "},
             {"alternatives.A.role", "decode", "alternatives.A.role: unknown key"},
             {"alternatives.A.precision.weights", "int7", "did you mean int8?"},
             {"alternatives.A.mapping", "{tensor_parallel: 0}",
              "alternatives.A.mapping.tensor_parallel"},
             {"alternatives.A.experts", "{redundant: -1}", "alternatives.A.experts.redundant"},
             {"alternatives.A.experts", "{popularity: zpif}", "did you mean zipf?"},
             {"alternatives.A.experts", "{popularity: zipf}",
              "alternatives.A.experts.zipf_exponent: is missing"},
             {"alternatives.A.experts", "{popularity: zipf, zipf_exponent: -1}",
              "alternatives.A.experts.zipf_exponent: "},
             {"alternatives.A.experts", "{popularity: zipf, zipf_exponent: 0.5}", ""},
             {"alternatives.A.experts", "{popularity: uniform, placement: contiguous}", ""},
             {"alternatives.A.experts", "{popularity: uniform, zipf_exponent: 1}",
              "alternatives.A.experts.zipf_exponent: unknown key"},
             {"alternatives.A.experts", "{placement: eplb}",
              "alternatives.A.experts.placement: unknown key"},
             {"alternatives.A.experts", "{popularity: histogram}",
              "alternatives.A.experts.histogram: is missing"},
             {"alternatives.A.batch_per_chip", "4", ""},  // instead of the workload's
             {"alternatives.A.pools", "[{name: p, system: s, chips: 1}]",
              "alternatives.A.system: unknown key"},
         }) {
        const std::string said = wrong(with(test_experiment(), c.path, c.value));
        if (std::string(c.said).empty()) {
            EXPECT_EQ(said, "") << c.path;
        } else {
            EXPECT_THAT(said, HasSubstr(c.said)) << c.path << ": " << c.value;
        }
    }
}

TEST(ExperimentSpec, SaysWhatIsMissing) {
    for (const auto& [map, key] : {std::pair("", "experiment"),
                                   {"", "workload"},
                                   {"", "alternatives"},
                                   {"workload", "kind"},
                                   {"workload", "model"},
                                   {"workload", "context"},
                                   {"alternatives.A", "name"},
                                   {"alternatives.A", "system"},
                                   {"alternatives.A", "chips"}}) {
        EXPECT_THAT(wrong(without(test_experiment(), map, key)),
                    AllOf(HasSubstr(key), HasSubstr("missing")))
            << key;
    }
    EXPECT_EQ(wrong(without(test_experiment(), "", "prices")), "");
}

TEST(ExperimentSpec, SomebodyHasToSayTheBatch) {
    const Node none = without(test_experiment(), "workload", "batch_per_chip");
    EXPECT_THAT(wrong(none), HasSubstr("test.yaml:3:3: workload.batch_per_chip: missing: how many "
                                       "sequences run (give batch_per_chip, batch_per_rank, "
                                       "batch_per_group or latency_target, here or in every "
                                       "alternative)"));
    EXPECT_THAT(
        wrong(with(none, "workload", "{kind: prefill, model: deepseek-r1, prompt: 2048 tokens}")),
        HasSubstr("batch_per_group, tokens_per_rank or latency_target"));
    EXPECT_EQ(wrong(with(none, "alternatives.A.latency_target", "50 ms")), "");
    EXPECT_THAT(wrong(with(with(none, "alternatives.A.latency_target", "50 ms"),
                           "alternatives.A.batch_per_rank", "4")),
                HasSubstr("alternatives.A.batch_per_rank: says the batch a second time"));
}

TEST(ExperimentSpec, PoolsAreOneAndDecode) {
    const auto pools = [](const std::string& text) {
        return wrong(
            parse_yaml("experiment: x\nworkload: {kind: decode, model: m, context: 8 tokens, "
                       "batch_per_rank: 4}\nalternatives: [{name: A, pools: " +
                           text + "}]\n",
                       "pools.yaml"));
    };
    EXPECT_THAT(pools("[]"), HasSubstr("0 pools: one is modelled"));
    EXPECT_THAT(pools("[{name: a, system: s, chips: 1}, {name: b, system: s, chips: 1}]"),
                HasSubstr("2 pools: a workload of kind decode runs on one"));
    EXPECT_THAT(pools("[{name: a, role: rollout, system: s, chips: 1}]"),
                HasSubstr("rollout is not modelled yet, expected decode, prefill, train, "));
    EXPECT_THAT(pools("[{system: s, chips: 1}]"), HasSubstr("name"));
}

// A share or a number of tokens; what is left is computed.
TEST(ExperimentSpec, ReadsPrefills) {
    const auto prefill = [](const std::string& rest) {
        return read_experiment(parse_yaml("experiment: e\nworkload: {kind: prefill, model: m, "
                                          "batch_per_rank: 1, prompt: 4096 tokens" +
                                              rest +
                                              "}\nalternatives: [{name: A, system: s, chips: 1}]\n",
                                          "prefill.yaml"))
            .workload;
    };
    EXPECT_EQ(prefill("").computed(), Tokens(4096));
    EXPECT_EQ(prefill(", cached_prefix: 25 %").computed(), Tokens(3072));
    EXPECT_EQ(prefill(", cached_prefix: 96 tokens").cached, Tokens(96));
    EXPECT_EQ(prefill(", chunk: 512 tokens").chunk, Tokens(512));
    EXPECT_EQ(prefill("").chunk, Tokens(0));
    const auto said = [&](const std::string& rest) {
        return refusal_of([&] { (void)prefill(rest); });
    };
    EXPECT_THAT(said(", cached_prefix: 100 %"), HasSubstr("leaves no token of the prompt"));
    EXPECT_THAT(said(", cached_prefix: 0.1 %"),
                HasSubstr("is no whole number of tokens: 0.1 % of 4096 are 4.096 (4 tokens or 5 "
                          "tokens would be)"));
    EXPECT_THAT(said(", cached_prefix: 99.99 %"), HasSubstr("(4095 tokens would be)"));
    EXPECT_THAT(said(", cached_prefix: 1.5 tokens"), HasSubstr("(1 tokens or 2 tokens would be)"));
    EXPECT_EQ(prefill(", cached_prefix: 0.0244140625 %").cached, Tokens(1));
    EXPECT_THAT(said(", cached_prefix: many"), HasSubstr("or a share (50 %)"));
    EXPECT_THAT(said(", context: 4 tokens"), HasSubstr("workload.context: unknown key"));
    EXPECT_THAT(said(", batch_per_group: 1"), HasSubstr("says the batch a second time"));
}

// All of it at once.
TEST(ExperimentSpec, AllProblemsAreListed) {
    Node experiment = with(test_experiment(), "workload.context", "4096");
    experiment = with(experiment, "alternatives.A.chips", "-3");
    experiment = with(experiment, "alternatives.A.precision.weights", "int7");
    experiment = with(experiment, "price", "default");
    EXPECT_THAT(wrong(experiment),
                AllOf(HasSubstr("workload.context"), HasSubstr("alternatives.A.chips"),
                      HasSubstr("alternatives.A.precision.weights"), HasSubstr("price: unknown")));
}

Node single(const std::string& kind, const std::string& body) {
    return parse_yaml("experiment: x\nworkload:\n  kind: " + kind + "\n  " + kind + ": " + body +
                          "\nalternatives:\n  - {name: A, system: test-system, chips: 4}\n",
                      "single.yaml");
}

TEST(ExperimentSpec, ReadsOperators) {
    const auto body = [](const std::string& text) {
        return read_experiment(single("operator", text)).workload.kernels.at(0).body;
    };
    const Gemm gemm =
        std::get<Gemm>(body("{type: gemm, m: 8, n: 16, k: 32, groups: 4, dtypes: {a: int8}}"));
    EXPECT_EQ(gemm, (Gemm{8, 16, 32, 4, DType::int8, DType::int8, DType::bf16}));
    const Attention mla = std::get<Attention>(
        body("{type: attention, form: mla, phase: decode, batch: 4, query: 2, context: 100, heads: "
             "16, head_dims: [576, 512], dtypes: {compute: int8}}"));
    EXPECT_EQ(mla, (Attention{AttentionForm::mla_absorbed, Phase::decode, 4, 2, 100, 16, 1, 576,
                              512, DType::int8, DType::int8}));
    const VectorWork vector = std::get<VectorWork>(
        body("{type: vector, op: norm, elements: 100, flops_per_element: 4, dtypes: {out: int8}}"));
    EXPECT_EQ(vector, (VectorWork{"norm", 100, 4, 200, 100}));
    const VectorWork choice = std::get<VectorWork>(
        body("{type: vector, op: top_k, elements: 4096, rows: 4, dtypes: {in: fp32}}"));
    EXPECT_EQ(choice, (VectorWork{"top_k", 4096, 1, 16384, 8192, 4}));
    EXPECT_THROW(body("{type: vector, op: top_k, elements: 4, rows: 5}"), InputError);
}

// Each form of attention, and what its keys become.
TEST(ExperimentSpec, ReadsFormsOfAttention) {
    const auto shape = [](const std::string& form, const std::string& rest) {
        const std::string text =
            "{type: attention, form: " + form + ", phase: decode, batch: 4, query: 2" + rest + "}";
        return shape_of(read_experiment(single("operator", text)).workload.kernels.at(0).body);
    };
    const std::string latent = ", context: 9000, heads: 16, head_dims: [512, 512]";
    EXPECT_EQ(shape("dsa", latent + ", selected: 2048, dtypes: {kv: fp8}"),
              "attention mla decode b4 q2 s9000 top2048 h16/1 d512+512 bf16 kv fp8");
    EXPECT_EQ(shape("csa", latent + ", selected: 512"),
              "attention mla decode b4 q2 s9000 c4 top512 w128 h16/1 d512+512 bf16 kv bf16");
    EXPECT_EQ(shape("csa", latent + ", selected: 512, compression: 8, window: 64"),
              "attention mla decode b4 q2 s9000 c8 top512 w64 h16/1 d512+512 bf16 kv bf16");
    EXPECT_EQ(shape("hca", latent),
              "attention mla decode b4 q2 s9000 c128 w128 h16/1 d512+512 bf16 kv bf16");
    EXPECT_EQ(shape("window", latent + ", kv_heads: 4, window: 1024"),
              "attention gqa decode b4 q2 s9000 c0 w1024 h16/4 d512+512 bf16 kv bf16");
    EXPECT_EQ(shape("linear", ", key_heads: 16, value_heads: 32, head_dims: [128, 256]"),
              "delta_rule decode b4 q2 h32/16 d128+256 bf16 state 4+4");
    EXPECT_EQ(shape("linear",
                    ", key_heads: 16, value_heads: 32, head_dims: [128, 256], dtypes: "
                    "{state: bf16}"),
              "delta_rule decode b4 q2 h32/16 d128+256 bf16 state 2+2");
}

TEST(ExperimentSpec, ReadsIndexScoresAndHyperConnections) {
    const auto shapes = [](const std::string& text) {
        std::vector<std::string> all;
        for (const Operator& one : read_experiment(single("operator", text)).workload.kernels)
            all.push_back(one.name + ": " + shape_of(one.body));
        return all;
    };
    using Shapes = std::vector<std::string>;
    EXPECT_EQ(
        shapes("{type: index_scores, phase: prefill, batch: 2, query: 10, context: 100, heads: "
               "64, head_dim: 128, compression: 4, dtypes: {compute: fp8}}"),
        (Shapes{"index_scores: index_scores prefill b2 q10 s100 c4 h64 d128 fp8 keys fp8"}));
    EXPECT_EQ(shapes("{type: mhc, tokens: 64, hidden: 4096}"),
              (Shapes{"stream_mix_in: stream_mix in t64 n4 d4096 i20 bf16",
                      "stream_mix_out: stream_mix out t64 n4 d4096 i0 bf16"}));
    EXPECT_EQ(shapes("{type: mhc, tokens: 64, hidden: 4096, streams: 2, iterations: 0, dtypes: "
                     "{stream: fp32}}")
                  .front(),
              "stream_mix_in: stream_mix in t64 n2 d4096 i0 fp32");
}

std::vector<Operator> experts_of(const std::string& rest) {
    return read_experiment(single("operator",
                                  "{type: moe, tokens: 100, hidden: 512, inter: 128, experts: 64, "
                                  "top_k: 4" +
                                      rest + "}"))
        .workload.kernels;
}

// 100 tokens x 4 over 8 ranks are 50 assignments of 8 experts: 6 each, two of them 7.
TEST(ExperimentSpec, ReadsExpertLayers) {
    const std::vector<Operator> operators =
        experts_of(", ranks: 8, dtypes: {weights: fp8}, scale_block: 128");
    ASSERT_EQ(operators.size(), 3);
    EXPECT_EQ(operators[0].name, "expert_gate_up");
    EXPECT_EQ(std::get<Gemm>(operators[0].body),
              (Gemm{6, 256, 512, 8, DType::fp8, DType::fp8, DType::bf16, 0, 2}));
    // Two BF16 rows of 128 in, one of FP8 and a 4-byte scale out, 50 times.
    const auto& swiglu = std::get<VectorWork>(operators[1].body);
    EXPECT_EQ(swiglu.read, 50 * 2 * 128 * 2);
    EXPECT_EQ(swiglu.write, 50 * (128 + 4));
    EXPECT_EQ(std::get<Gemm>(operators[2].body),
              (Gemm{6, 512, 128, 8, DType::fp8, DType::fp8, DType::bf16, 0, 2}));
}

// 8 assignments a rank reach as many experts once; formats on the way in and out are converted.
TEST(ExperimentSpec, ExpertLayersConvertWhatOthersSend) {
    const std::vector<Operator> operators =
        read_experiment(single("operator",
                               "{type: moe, tokens: 8, hidden: 512, inter: 128, experts: 64, "
                               "top_k: 4, ranks: 4, dtypes: "
                               "{weights: fp8, dispatch: bf16, combine: fp8}}"))
            .workload.kernels;
    ASSERT_EQ(operators.size(), 5);
    EXPECT_EQ(operators.front().name, "expert_quantise");
    EXPECT_EQ(operators.back().name, "expert_combine_quantise");
    EXPECT_EQ(std::get<Gemm>(operators[1].body).m, 1);
    EXPECT_EQ(std::get<Gemm>(operators[1].body).groups, 8);
}

// The busiest rank has more than the mean, more so where some experts are popular. All tokens on
// two of two experts are all there are.
TEST(ExperimentSpec, UnevenExpertLayersAreTheBusiestRanks) {
    const auto rows = [](const std::string& rest) {
        const Gemm gemm = std::get<Gemm>(experts_of(", ranks: 8" + rest).front().body);
        return gemm.m * gemm.groups + gemm.longer_groups;
    };
    const long uniform = rows(", popularity: uniform");
    EXPECT_GT(uniform, 50);
    EXPECT_GT(rows(", popularity: zipf, zipf_exponent: 1, placement: contiguous"), uniform);
    EXPECT_LT(rows(", popularity: zipf, zipf_exponent: 1"),
              rows(", popularity: zipf, zipf_exponent: 1, placement: contiguous"));
    const auto all = read_experiment(single("operator",
                                            "{type: moe, tokens: 9, hidden: 8, inter: 8, experts: "
                                            "2, top_k: 2, ranks: 2, popularity: "
                                            "zipf, zipf_exponent: 1}"))
                         .workload.kernels;
    EXPECT_EQ(std::get<Gemm>(all.front().body).m, 9);
    EXPECT_EQ(std::get<Gemm>(all.front().body).groups, 1);
}

TEST(ExperimentSpec, SaysWhatIsWrongWithAnOperator) {
    const char* const attention =
        "type: attention, form: gqa, phase: decode, batch: 4, query: 2, context: 100, heads: 16, "
        "head_dims: [128, 128]";
    const auto moe = [](long experts, long top_k, long ranks, const std::string& rest) {
        return fmt::format(
            "{{type: moe, tokens: 8, hidden: 8, inter: 8, experts: {}, top_k: {}, ranks: {}{}}}",
            experts, top_k, ranks, rest);
    };
    const auto sparse = [](const std::string& form, const std::string& rest) {
        return "{type: attention, form: " + form +
               ", phase: decode, batch: 1, query: 1, context: 8, heads: 16, head_dims: [64, 64]" +
               rest + "}";
    };
    const auto linear = [](const std::string& rest) {
        return "{type: attention, form: linear, phase: decode, batch: 1, query: 1, head_dims: [64, "
               "64]" +
               rest + "}";
    };
    for (
        const auto& [text, said] :
        {std::pair(std::string("{m: 8}"), "operator.type"),
         {"{type: gem, m: 8, n: 8, k: 8}", "did you mean gemm?"},
         {"{type: gemm, m: 8, n: 8}", "operator.k"},
         {"{type: gemm, m: 0, n: 8, k: 8}", "operator.m"},
         {"{type: gemm, m: 8, n: 8, k: 8, batch: 3}", "operator.batch: unknown key"},
         {"{type: gemm, m: 1000000000, n: 1000000000, k: 8}", "more than 1e15 results"},
         {"{type: gemm, m: 8, n: 8, k: 8, dtypes: {kv: bf16}}",
          "operator.dtypes: kv is no operand of this operator, expected a, b, c"},
         {"{type: vector, op: x, elements: 8, dtypes: {a: bf16}}", "expected in, out"},
         {"{type: vector, elements: 8}", "operator.op"},
         {"{type: moe, tokens: 8}", "operator.experts"},
         {moe(8, 16, 1, ""), "operator.top_k: a token takes 16 of 8 experts"},
         {moe(8, 2, 3, ""), "operator.ranks: 3 ranks do not divide 8 experts"},
         {moe(8, 2, 2, ", popularity: histogram"), "a histogram is read for whole steps alone"},
         {moe(8, 2, 2, ", popularity: zipf"), "operator.zipf_exponent"},
         {moe(8, 2, 2, ", placement: eplb"), "operator.placement: unknown key"},
         {moe(8, 2, 2, ", dtypes: {a: fp8}"), "expected weights, activations, dispatch, combine"},
         {moe(8, 2, 2, ", m: 4"), "operator.m: unknown key"},
         {std::string("{") + attention + "}", "operator.kv_heads: missing: gqa needs it"},
         {std::string("{") + attention + ", kv_heads: 5}", "does not divide by kv_heads"},
         {std::string("{") + attention + ", kv_heads: 4, dtypes: {a: bf16}}",
          "expected compute, kv"},
         {"{type: attention, form: mla, phase: decode, batch: 1, query: 1, context: 8, heads: 16, "
          "kv_heads: 2, head_dims: [576, 512]}",
          "mla has one latent entry a token, expected 1"},
         {"{type: attention, form: mla, phase: decode, batch: 1, query: 9, context: 8, heads: 16, "
          "head_dims: [576, 512]}",
          "is shorter than the query tokens it holds"},
         {"{type: attention, form: mla, phase: decode, batch: 1, query: 1, context: 8, heads: 16, "
          "head_dims: [576]}",
          "expected two sizes"},
         {sparse("dsa", ""), "operator.selected: is missing"},
         {sparse("csa", ""), "operator.selected: is missing"},
         {sparse("dsa", ", selected: 0"), "operator.selected"},
         {sparse("dsa", ", selected: 8, window: 4"), "operator.window: unknown key"},
         {sparse("mla", ", compression: 4"), "operator.compression: unknown key"},
         {sparse("hca", ", selected: 4"), "operator.selected: unknown key"},
         {sparse("hca", ", compression: 0"), "operator.compression"},
         {sparse("hca", ", kv_heads: 2"), "hca has one latent entry a token, expected 1"},
         {sparse("hca", ", dtypes: {state: bf16}"), "expected compute, kv"},
         {sparse("window", ", kv_heads: 4"), "operator.window: missing: form window needs it"},
         {sparse("window", ", window: 8"), "operator.kv_heads: missing: window needs it"},
         {sparse("linear", ", key_heads: 4, value_heads: 8"), "operator.context: unknown key"},
         {sparse("latent", ""), "operator.form"},
         {linear(", value_heads: 8"), "operator.key_heads: is missing"},
         {linear(", key_heads: 3, value_heads: 8"), "value_heads: does not divide by key_heads"},
         {linear(", key_heads: 4, value_heads: 8, dtypes: {kv: fp8}"), "expected compute, state"},
         {"{type: index_scores, phase: decode, batch: 1, query: 1, context: 8, heads: 4}",
          "operator.head_dim: is missing"},
         {"{type: index_scores, phase: decode, batch: 1, query: 9, context: 8, heads: 4, head_dim: "
          "8}",
          "is shorter than the query tokens it holds"},
         {"{type: index_scores, phase: decode, batch: 1, query: 1, context: 8, heads: 4, head_dim: "
          "8, dtypes: {kv: fp8}}",
          "expected compute, keys"},
         {"{type: index_scores, phase: decode, batch: 1, query: 1, context: 8, heads: 4, head_dim: "
          "8, kv_heads: 1}",
          "operator.kv_heads: unknown key"},
         {"{type: mhc, tokens: 8}", "operator.hidden: is missing"},
         {"{type: mhc, tokens: 8, hidden: 8, streams: 0}", "operator.streams"},
         {"{type: mhc, tokens: 8, hidden: 8, iterations: -1}", "operator.iterations"},
         {"{type: mhc, tokens: 8, hidden: 8, top_k: 1}", "operator.top_k: unknown key"},
         {"{type: mhc, tokens: 8, hidden: 8, dtypes: {in: bf16}}", "expected stream"}}) {
        EXPECT_THAT(wrong(single("operator", text)), HasSubstr(said)) << text;
    }
}

// 128 tokens to 8 experts each, 7168 B and 56 scales of 4 B a token.
TEST(ExperimentSpec, ReadsCollectives) {
    const Transfer dispatch =
        *read_experiment(single("collective",
                                "{type: dispatch, ranks: 8, tokens_per_rank: 128, hidden: 7168, "
                                "top_k: 8, element_bytes: 1, scale_block: 128}"))
             .workload.collective;
    EXPECT_EQ(dispatch.group_ranks, 8);
    EXPECT_DOUBLE_EQ(dispatch.size.value(), 128.0 * 8 * 7392);
    EXPECT_DOUBLE_EQ(dispatch.messages_per_rank, 1024);
    const Transfer sum =
        *read_experiment(single("collective", "{type: all_reduce, ranks: 4, bytes: 1 MB}"))
             .workload.collective;
    EXPECT_DOUBLE_EQ(sum.size.value(), 1e6);
}

// By hand, 2 tokens of 1,024 elements to 4 experts: a dispatch in bytes with one scale reads
// 2 x 1,024 x 2 B and writes 2 x (1,024 + 4) B; a combine in BF16 reads 2 x 4 x (2,048 + 4) B, the
// scores among them, and writes 2 x 2,048 B.
TEST(ExperimentSpec, CountsTheVectorWorkOfExpertKernels) {
    const auto work = [](const std::string& rest) {
        return read_experiment(
                   single("collective",
                          "{ranks: 8, tokens_per_rank: 2, hidden: 1024, top_k: 4, " + rest + "}"))
            .workload.fused_work;
    };
    const auto vector = [&](const std::string& rest) {
        return std::get<VectorWork>(work(rest).value().body);
    };
    const VectorWork quantised =
        vector("type: dispatch, element_bytes: 1, scale_block: 1024, fused_work: true");
    EXPECT_DOUBLE_EQ(quantised.read, 4096);
    EXPECT_DOUBLE_EQ(quantised.write, 2056);
    const VectorWork summed = vector("type: combine, element_bytes: 2, fused_work: true");
    EXPECT_DOUBLE_EQ(summed.read, 16416);
    EXPECT_DOUBLE_EQ(summed.write, 4096);
    EXPECT_FALSE(work("type: combine, element_bytes: 2").has_value());
    EXPECT_FALSE(work("type: dispatch, element_bytes: 2, fused_work: true").has_value());
}

TEST(ExperimentSpec, SaysWhatIsWrongWithACollective) {
    for (const auto& [text, said] :
         {std::pair("{ranks: 8}", "collective.type"),
          {"{type: all_reduce, bytes: 1 MB}", "collective.ranks"},
          {"{type: all_reduce, ranks: 1, bytes: 1 MB}", "collective.ranks"},
          {"{type: all_reduce, ranks: 4}", "collective.bytes"},
          {"{type: all_reduce, ranks: 4, bytes: 0 B}", "collective.bytes"},
          {"{type: all_reduce, ranks: 4, bytes: 1 MB, top_k: 8}", "collective.top_k: unknown key"},
          {"{type: dispatch, ranks: 4, bytes: 1 MB}", "collective.tokens_per_rank"},
          {"{type: dispatch, ranks: 4, tokens_per_rank: 8, hidden: 8, top_k: 2, scale_block: -1}",
           "collective.scale_block"}}) {
        EXPECT_THAT(wrong(single("collective", text)), HasSubstr(said)) << text;
    }
}

// Whoever writes a key expects it to have an effect.
TEST(ExperimentSpec, KeysThatSayNothingAreRefused) {
    const Node gemm = single("operator", "{type: gemm, m: 8, n: 8, k: 8}");
    const Node sum = single("collective", "{type: all_reduce, ranks: 4, bytes: 1 MB}");
    EXPECT_EQ(wrong(gemm), "");
    EXPECT_EQ(wrong(sum), "");
    for (const auto& [key, value] : {std::pair("mapping", "{tensor_parallel: 2}"),
                                     {"experts", "{redundant: 2}"},
                                     {"engine", "nominal"},
                                     {"precision", "{weights: int8}"},
                                     {"batch_per_chip", "4"},
                                     {"latency_target", "4 ms"}}) {
        const std::string path = std::string("alternatives.A.") + key;
        EXPECT_THAT(wrong(with(gemm, path, value)),
                    HasSubstr(path + ": says nothing to a workload of kind operator (remove it)"));
        EXPECT_THAT(wrong(with(sum, path, value)), HasSubstr("of kind collective"));
    }
    EXPECT_THAT(wrong(with(gemm, "alternatives.A.collectives", "cann")), HasSubstr("collectives"));
    EXPECT_THAT(wrong(with(sum, "alternatives.A.kernels", "nominal")), HasSubstr("kernels"));
    EXPECT_EQ(wrong(with(gemm, "alternatives.A.kernels", "nominal")), "");
    EXPECT_EQ(wrong(with(sum, "alternatives.A.collectives", "cann")), "");
}

TEST(ExperimentSpec, TheSchemaShowsEveryVariant) {
    const nlohmann::ordered_json schema = experiment_schema();
    const auto& workload = schema["properties"]["workload"];
    for (const char* key : {"kind", "model", "context", "batch_per_chip", "operator", "collective"})
        EXPECT_TRUE(workload["properties"].contains(key)) << key;
    EXPECT_EQ(workload["required"], nlohmann::ordered_json({"kind"}));
    EXPECT_TRUE(workload["properties"]["operator"]["properties"].contains("head_dims"));
    EXPECT_TRUE(workload["properties"]["collective"]["properties"].contains("top_k"));
}

}  // namespace
}  // namespace podsim
