// Published tables worked backwards through podsim's own functions: if these do not come out, no
// model built on them will.
#include <gtest/gtest.h>

#include <cmath>

#include "base/catalog.hpp"
#include "models/model.hpp"
#include "program/operator.hpp"
#include "program/transfer.hpp"
#include "sim/experiment.hpp"
#include "sim/lifecycle.hpp"
#include "sim/metrics.hpp"
#include "tests/unit/models/grouped_query_specs.hpp"
#include "tests/unit/models/r1.hpp"
#include "workloads/mapping.hpp"

namespace podsim {
namespace {

constexpr Seconds milliseconds(double v) {
    return Seconds(v * 1e-3);
}

// Serving LLMs on Huawei CloudMatrix384, arXiv 2506.12708: decode at five latency targets.
TEST(Reconstruction, CloudMatrixThroughputIsBatchOverTimePerToken) {
    struct Row {
        double sequences, time_per_token_ms, tokens_per_second;
    };
    for (const Row& row : {Row{128, 46.8, 2733}, Row{112, 47.4, 2360}, Row{96, 49.4, 1943},
                           Row{24, 24.6, 974}, Row{8, 14.9, 538}}) {
        const auto rate = tokens_per_second(row.sequences, milliseconds(row.time_per_token_ms));
        EXPECT_NEAR(rate.value() / row.tokens_per_second, 1.0, 0.003) << row.sequences;
    }
}

// DeepEP README, June 2025: low-latency kernels at EP8, 128 tokens, top-8, hidden 7168.
TEST(Reconstruction, DeepEpBandwidthIsPayloadOverLatency) {
    const Bytes fp8 = token_bytes(7168, 1.0, 128), bf16 = token_bytes(7168, 2.0, 0);
    EXPECT_EQ(fp8, Bytes(7392));  // 7168 and 56 scales of 4 bytes
    EXPECT_EQ(bf16, Bytes(14336));
    const BytesPerSecond dispatch = expert_payload(128, 8, fp8) / microseconds(77);
    const BytesPerSecond combine = expert_payload(128, 8, bf16) / microseconds(114);
    EXPECT_NEAR(dispatch.value() / 1e9, 98.3, 0.05);  // printed 98
    EXPECT_NEAR(combine.value() / 1e9, 128.8, 0.05);  // printed 127
    EXPECT_NEAR(combine.value() / 127e9, 1.0, 0.02);
}

// Insights into DeepSeek-V3, arXiv 2505.09343: the floor of a decode step is
// dispatch (1 byte) and combine (2 bytes) of 32 tokens to 9 experts, twice a layer for two
// micro-batches, 61 layers.
TEST(Reconstruction, InsightsBoundOfExpertParallelDecode) {
    const Bytes payload = expert_payload(32, 9, token_bytes(7000, 3.0, 0));
    const Seconds on_network = payload / BytesPerSecond(50e9);
    EXPECT_NEAR(on_network.value(), 120.96e-6, 1e-12);
    EXPECT_NEAR((2.0 * 61.0 * on_network).value(), 14.76e-3, 5e-6);
    const Seconds on_scale_up = payload / BytesPerSecond(900e9);
    EXPECT_NEAR((2.0 * 61.0 * on_scale_up).value(), 0.82e-3, 5e-6);
}

// Bytes of cache a token adds: arXiv 2505.09343.
TEST(Reconstruction, CachePerToken) {
    ModelSpec v3;
    LatentAttention attention;
    attention.kv_rank = 512;
    attention.rope_head_dim = 64;
    v3.attentions = {attention};
    v3.layers = dense_then_experts(61, 3);
    EXPECT_EQ(kv_bytes_per_token(v3, DType::bf16), Bytes(70272));
    EXPECT_EQ(kv_bytes_per_token(v3, DType::fp8), Bytes(35136));
    // Llama 3.1 405B: 8 kv heads of 128, 126 layers. Qwen 2.5 72B: the same heads, 80 layers.
    ModelSpec llama;
    llama.attentions = {grouped_query(64, 8, 128)};
    llama.layers = dense_then_experts(126, 126);
    EXPECT_EQ(kv_bytes_per_token(llama, DType::bf16), Bytes(516096));
    llama.layers = dense_then_experts(80, 80);
    EXPECT_EQ(kv_bytes_per_token(llama, DType::bf16), Bytes(327680));
}

// DeepSeek-V3/R1 Inference System Overview, open-infra-index day 6.
TEST(Reconstruction, DeepSeekDailyCostAndSequences) {
    const Usd day = 226.75 * 8.0 * usd_per_hour(2.0) * Seconds(24 * 3600.0);
    EXPECT_NEAR(day.value(), 87072, 1e-6);
    // 14.8k tok/s a node of 8 at 20 to 22 tok/s a user.
    const TokensPerSecond gpu(14800.0 / 8.0);
    EXPECT_NEAR(sequences_for(gpu, TokensPerSecond(22)), 84, 0.1);
    EXPECT_NEAR(sequences_for(gpu, TokensPerSecond(20)), 92.5, 1e-9);
    // 168 G output tokens a day at that rate occupy 131 of the 226.75 nodes.
    EXPECT_NEAR(nodes_for(Tokens(168e9), Seconds(86400), TokensPerSecond(14800)), 131.4, 0.05);
    // 608 G prompt tokens at 73.7k a node occupy 95.5: together 226.9, all that were in use.
    EXPECT_NEAR(nodes_for(Tokens(608e9), Seconds(86400), TokensPerSecond(73700)), 95.5, 0.05);
    const double nodes = nodes_for(Tokens(608e9), Seconds(86400), TokensPerSecond(73700)) +
                         nodes_for(Tokens(168e9), Seconds(86400), TokensPerSecond(14800));
    EXPECT_NEAR(nodes / 226.9, 1, 0.001);
    EXPECT_NEAR(nodes / 226.75, 1, 0.001);
    // Training at 5.576 M USD is a tenth of the bill after 576 such days.
    EXPECT_NEAR(5.576e6 / (5.576e6 + 576 * day.value()), 0.10, 5e-4);
    EXPECT_EQ(std::floor(days_until_share(Usd(5.576e6), day, 0.1)), 576);
    // 5.576 M and a year of 87,072 USD: 15 % of 37.36 M.
    const auto curve = lifecycle({Usd(5.576e6), 0.1, {365}}, day, 776e9);
    EXPECT_NEAR(curve[0].usd, 5.576e6 + 365 * 87072.0, 1e-6);
    EXPECT_NEAR(curve[0].training_share, 0.1493, 5e-5);
    EXPECT_NEAR(curve[0].usd_per_million_tokens, curve[0].usd / (365 * 776e3), 1e-9);
}

// The day's nodes from what podsim says of a node: 88 sequences a GPU at a mean of 4,989 cached
// tokens; prompts of 4,383 tokens, as 3.62 in for one out make of those, 56.3 % of them cached.
// Tokens draw their experts, as users' do.
TEST(Reconstruction, DeepSeekDayFromSimulatedRates) {
    Catalog catalog(PODSIM_SOURCE_DIR "/configs");
    RunOptions options;
    options.driver = Driver::plain;
    options.neighbour = false;
    const std::string formats =
        "precision: {weights: fp8, experts: fp8, activations: fp8, attention: bf16, kv_cache: bf16,"
        " dispatch: fp8, combine: bf16}, experts: {redundant: 32, popularity: uniform}";
    const auto rate = [&](const std::string& workload, const std::string& alternative,
                          const char* metric) {
        const Node experiment = parse_yaml("experiment: a day\nworkload: " + workload +
                                               "\nalternatives:\n- {name: H800, system: h800-ib, " +
                                               alternative + ", " + formats + "}\n",
                                           "day.yaml");
        const Result result = run_experiment(experiment, catalog, options);
        return TokensPerSecond(8 * result.alternatives.front().metric(metric)->value);
    };
    const TokensPerSecond writes =
        rate("{kind: decode, model: deepseek-r1, context: 4989 tokens, batch_per_chip: 88}",
             "chips: 144, engine: deepseek-infer, collectives: deepep-2025-02, mapping: "
             "{micro_batches: 2}",
             "decode_tokens_per_second_per_chip");
    const TokensPerSecond reads = rate(
        "{kind: prefill, model: deepseek-r1, prompt: 4383 tokens, cached_prefix: 2468 tokens, "
        "batch_per_rank: 8}",
        "chips: 32, engine: deepseek-prefill, collectives: deepep-normal, mapping: "
        "{expert_parallel: 32, micro_batches: 2}",
        "prefill_tokens_per_second_per_chip_with_cached");
    const double nodes = nodes_for(Tokens(608e9), Seconds(86400), reads) +
                         nodes_for(Tokens(168e9), Seconds(86400), writes);
    EXPECT_NEAR(nodes / 226.75, 1, 0.15);
    EXPECT_LT(nodes, 226.75);  // a day's load goes up and down, these are full
}

// DeepSeek profile-data, decode: 128 sequences at 2,324 tok/s a GPU.
TEST(Reconstruction, ProfileDataIteration) {
    const Seconds iteration = Tokens(128) / TokensPerSecond(2324);
    EXPECT_NEAR(iteration.value(), 55.1e-3, 0.05e-3);
    EXPECT_NEAR(iteration.value() / 61, 0.90e-3, 0.005e-3);
    EXPECT_NEAR(tokens_per_second(128, iteration).value(), 2324, 1e-9);
}

// InferenceX: owner's cost an hour over tokens.
TEST(Reconstruction, InferenceXCostPerMillionTokens) {
    const auto cost = [](double usd, double rate) {
        return per_million_tokens(usd_per_token(usd_per_hour(usd), TokensPerSecond(rate)));
    };
    EXPECT_NEAR(cost(1.95, 5857), 0.0925, 5e-5);  // B200, printed 0.092
    EXPECT_NEAR(cost(1.12, 725), 0.429, 5e-4);    // MI300X, printed 0.429
}

// MLA decode of 128 sequences, 4K context, 128 heads, one query token.
TEST(Reconstruction, LatentAttentionWork) {
    const Attention decode{AttentionForm::mla_absorbed,
                           Phase::decode,
                           128,
                           1,
                           4096,
                           128,
                           1,
                           576,
                           512,
                           DType::bf16,
                           DType::bf16};
    const Flops work = work_of(decode);
    EXPECT_DOUBLE_EQ(work.value(), 2.0 * (576 + 512) * 128 * 4096 * 128);
    EXPECT_NEAR(work.value() / 1e9, 146.0, 0.05);
    const auto tflops = [&](double us) { return (work / microseconds(us)).value() / 1e12; };
    EXPECT_NEAR(tflops(292), 500, 0.5);  // H800
    EXPECT_NEAR(tflops(292) / 989.4, 0.506, 0.0015);
    EXPECT_NEAR(tflops(266), 549, 0.5);   // H100, TensorRT-LLM kernel
    EXPECT_NEAR(tflops(131), 1115, 0.5);  // B200
}

// The same silicon told twice: an iteration is the time per emitted token times the tokens a step
// emits. arXiv 2506.12708 with one draft accepted in 70 %; CANN recipe (W8A8C8, EP128) likewise.
TEST(Reconstruction, IterationsOfAscend910cAt96Sequences) {
    const double tokens = SpeculationSpec{1, 0.7}.tokens_per_step();
    EXPECT_DOUBLE_EQ(tokens, 1.7);
    const Seconds paper = iteration_time(milliseconds(49.4), tokens);
    const Seconds recipe = iteration_time(milliseconds(44.9), tokens);
    EXPECT_NEAR(paper.value(), 84.0e-3, 0.05e-3);
    EXPECT_NEAR(recipe.value(), 76.3e-3, 0.05e-3);
    EXPECT_DOUBLE_EQ(time_per_output_token(paper, tokens).value(), 49.4e-3);
    EXPECT_NEAR(tokens_per_second(96, milliseconds(49.4)).value(), 1943, 0.5);
    EXPECT_NEAR(tokens_per_second(96, milliseconds(44.9)).value(), 2138, 0.5);
}

TEST(Metrics, RefuseWhatHasNoAnswer) {
    EXPECT_THROW(tokens_per_second(1, Seconds(0)), std::invalid_argument);
    EXPECT_THROW(time_per_output_token(Seconds(1), 0.9), std::invalid_argument);
    EXPECT_THROW(usd_per_token(usd_per_hour(1), TokensPerSecond(0)), std::invalid_argument);
    EXPECT_THROW(usd_per_flop(usd_per_hour(1), FlopsPerSecond(-1)), std::invalid_argument);
}

// A chip of 1 EFLOP/s for 2 USD an hour: 2 USD per EFLOP-hour; at 1e6 tok/s 2 / 3600 USD per Mtok.
TEST(Metrics, PricesInTheUnitsTheyArePrintedIn) {
    const UsdPerSecond price = usd_per_hour(2);
    EXPECT_DOUBLE_EQ(per_hour(price), 2);
    EXPECT_DOUBLE_EQ(per_eflop_hour(usd_per_flop(price, FlopsPerSecond(1e18))), 2);
    EXPECT_DOUBLE_EQ(per_million_tokens(usd_per_token(price, TokensPerSecond(1e6))), 2.0 / 3600);
}

}  // namespace
}  // namespace podsim
