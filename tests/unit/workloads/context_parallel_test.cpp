// Steps of ranks that share sequences: what each rank of a group works on, holds and sends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "tests/unit/models/grouped_query_specs.hpp"
#include "tests/unit/workloads/step_specs.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// R1 on 32 ranks, eight groups of four.
StepSpec shared_step(Phase phase, long sequences, long context) {
    StepSpec spec = plain_step(32);
    spec.phase = phase;
    spec.mapping.data_parallel = 8;
    spec.mapping.context.context_parallel = 4;
    spec.sequences_per_group = sequences;
    spec.context = context;
    spec.prompt = phase == Phase::prefill ? context : 0;
    return spec;
}

std::vector<std::string> names_in_layer(const ServingStep& step, int layer) {
    std::vector<std::string> names;
    for (const Task& task : step.program.tasks) {
        if (task.layer == layer) names.push_back(name_of(step.program, task));
    }
    return names;
}

const Transfer& transfer(const ServingStep& step, const std::string& name) {
    for (const Transfer& one : step.program.transfers) {
        if (one.name == name) return one;
    }
    throw std::runtime_error("no transfer " + name);
}

// By hand, multiply-adds of one rank with 2,048 of a prompt's 8,192 tokens:
//   down and up and output   2048 (7168 x 2112 + 1536 x 24576 + 16384 x 7168)
//   kv up-projection         8192 x 512 x 32768
//   core                     128 x 8192 x 8193 / 2 / 4 x 320
// in each of 61 layers; dense FFN, router and experts as in PrefillStep.WorkByHand for 2,048
// tokens; the head with a prompt's last token.
TEST(ContextParallel, WorkOfAPrefillByHand) {
    const double linear = 2048 * (7168.0 * 2112 + 1536.0 * 24576 + 16384.0 * 7168);
    const double expand = 8192.0 * 512 * 32768;
    const double core = 128 * 8192.0 * 8193 / 2 / 4 * 320;
    const double sum = 61 * (linear + expand + core) + 3 * 2048 * 3 * 7168.0 * 18432 +
                       58 * 2048 * (7168.0 * 256 + 9 * 3 * 7168.0 * 2048) + 7168.0 * 129280;
    const ServingStep step = build_step(shared_step(Phase::prefill, 1, 8192));
    EXPECT_NEAR(matrix_work(step) / (2 * sum), 1, 1e-12);
    EXPECT_EQ(step.program.classes.front().count, 32);
    EXPECT_DOUBLE_EQ(transfer(step, "dispatch").size.value(), 2048 * 8 * 7172.0);
}

// Keys and values go round beside attention, which begins with those that are there; the output
// waits for both. Gathered, they come first.
TEST(ContextParallel, ARingRunsBesideAttention) {
    StepSpec spec = shared_step(Phase::prefill, 1, 8192);
    const ServingStep ring = build_step(spec);
    EXPECT_THAT(
        names_in_layer(ring, 0),
        ElementsAre("attention_norm", "attention_quantise", "query_kv_down_projection",
                    "query_kv_norm", "query_quantise", "query_up_projection", "rotary",
                    "cache_append", "context ring", "cache_gather", "kv_quantise",
                    "kv_up_projection", "key_assembly", "prefill_attention", "output_quantise",
                    "output_projection", "dense_ffn_norm", "dense_ffn_quantise",
                    "dense_ffn_gate_up", "dense_ffn_swiglu", "dense_ffn_down"));
    const auto first = [](const ServingStep& step, const char* name) {
        return tasks_named(step.program, name).front();
    };
    const auto after = [&](const ServingStep& step, const char* name) {
        return step.program.tasks[static_cast<std::size_t>(first(step, name))].after;
    };
    EXPECT_THAT(after(ring, "context ring"), ElementsAre(first(ring, "cache_append")));
    EXPECT_THAT(after(ring, "cache_gather"), ElementsAre(first(ring, "cache_append")));
    EXPECT_THAT(after(ring, "output_quantise"),
                ElementsAre(first(ring, "context ring"), first(ring, "prefill_attention")));
    EXPECT_DOUBLE_EQ(transfer(ring, "context ring").size.value(), 8192 * 1152.0);
    EXPECT_EQ(transfer(ring, "context ring").group_ranks, 4);

    spec.mapping.context.context_exchange = ContextExchange::all_gather;
    const ServingStep gathered = build_step(spec);
    EXPECT_THAT(after(gathered, "cache_gather"),
                ElementsAre(first(gathered, "context all-gather")));
    EXPECT_DOUBLE_EQ(matrix_work(gathered), matrix_work(ring));
}

// Beside tensor parallelism the ranks with the same heads share: every second one.
TEST(ContextParallel, GroupsLieAcrossTensorParallelOnes) {
    StepSpec spec = shared_step(Phase::prefill, 1, 8192);
    spec.mapping.data_parallel = 4;
    spec.mapping.tensor_parallel = 2;
    const ServingStep step = build_step(spec);
    EXPECT_EQ(transfer(step, "context ring").stride, 2);
    EXPECT_EQ(transfer(step, "attention reduce-scatter").stride, 1);
    // 2,048 tokens of 7,168 in BF16.
    EXPECT_DOUBLE_EQ(transfer(step, "attention reduce-scatter").size.value(), 2048 * 14336.0);
    EXPECT_DOUBLE_EQ(transfer(step, "dispatch").size.value(), 1024 * 8 * 7172.0);
}

// Eight sequences of a group: two of each rank beside attention, a quarter of every cache.
TEST(ContextParallel, WorkOfADecodeByHand) {
    const double own = 2, all = 8;
    const double linear = own * (7168.0 * 2112 + 16384.0 * 7168) + all * 1536.0 * 24576;
    const double absorbed = all * 128 * 2 * 128 * 512.0;
    const double core = all * 2048 * 128 * (576 + 512.0);
    const double sum = 61 * (linear + absorbed + core) + 3 * own * 3 * 7168.0 * 18432 +
                       58 * own * (7168.0 * 256 + 3 * 7168.0 * 2048) + own * 7168.0 * 129280;
    const ServingStep step = build_step(shared_step(Phase::decode, 8, 8192));
    // 64 tokens x 8 of 256 experts: two rows for each of a rank's eight.
    const double experts = 58 * 16 * 3 * 7168.0 * 2048;
    EXPECT_NEAR(matrix_work(step) / (2 * (sum + experts)), 1, 1e-12);
    EXPECT_DOUBLE_EQ(transfer(step, "context all-gather").size.value(), 8 * 2112 * 2.0);
    EXPECT_DOUBLE_EQ(transfer(step, "output all-to-all").size.value(), 8 * 128 * 260.0);
    EXPECT_EQ(tasks_named(step.program, "partial_attention_sum").size(), 61U);
}

// One sequence of four ranks: a quarter of a token a rank goes to the experts, not one of each.
TEST(ContextParallel, FewerSequencesThanRanksAreNotMultiplied) {
    const ServingStep step = build_step(shared_step(Phase::decode, 1, 8192));
    EXPECT_DOUBLE_EQ(transfer(step, "dispatch").size.value(), 0.25 * 8 * 7172.0);
    EXPECT_DOUBLE_EQ(transfer(step, "output all-to-all").size.value(), 128 * 260.0);
}

std::map<std::string, double> parts(const StepSpec& spec) {
    std::map<std::string, double> result;
    const ServingStep step = build_step(spec);
    for (const auto& [name, size] : step.memory.front().parts) result[name] += size.value();
    return result;
}

// 576 elements of 2 bytes a token and layer, a quarter of 8,192 tokens a rank; a ring has as much
// in use and again as much arriving, of one layer. Of gathered ones all.
TEST(ContextParallel, MemoryIsDivided) {
    StepSpec spec = shared_step(Phase::prefill, 2, 8192);
    EXPECT_DOUBLE_EQ(parts(spec)["KV cache"], 2 * 61 * 2048 * 1152.0);
    EXPECT_DOUBLE_EQ(parts(spec)["context buffers"], 2 * 2 * 2048 * 1152.0);
    // 2 x 2,048 tokens: 4 hidden and twice 128 x (2 x 192 + 128) in BF16; two logits in FP32, dealt
    // out over four ranks.
    EXPECT_DOUBLE_EQ(parts(spec)["activations"],
                     4096 * (4 * 7168 + 2 * 65536) * 2.0 + 129280 * 4.0);
    spec.mapping.context.context_exchange = ContextExchange::all_gather;
    EXPECT_DOUBLE_EQ(parts(spec)["context buffers"], 2 * 8192 * 1152.0);
    auto decode = parts(shared_step(Phase::decode, 8, 8192));
    EXPECT_DOUBLE_EQ(decode["KV cache"], 8 * 61 * 2048 * 1152.0);
    // Two tokens of its own; absorbed queries of all eight, and their results, 128 x 576.
    EXPECT_DOUBLE_EQ(decode["activations"],
                     (2 * 4 * 7168 + 2 * 8 * 73728) * 2.0 + 2 * 129280 * 4.0);
}

// With heads cut a rank keeps those of its heads: one of eight over eight, copied over sixteen.
TEST(ContextParallel, KeysAndValuesOfFewHeadsAreCopied) {
    StepSpec spec = shared_step(Phase::prefill, 1, 8192);
    spec.model = llama_8b();
    spec.mapping.context.context_exchange = ContextExchange::all_to_all;
    const double whole = 32 * 8192 * 2048 * 2.0;
    EXPECT_DOUBLE_EQ(parts(spec)["KV cache"], whole / 4);
    EXPECT_EQ(parts(spec).count("context buffers"), 0U);
    spec.mapping.data_parallel = 2;
    spec.mapping.context.context_parallel = 16;
    EXPECT_DOUBLE_EQ(parts(spec)["KV cache"], whole / 8);
}

TEST(ContextParallel, SaysWhatCannotBe) {
    const auto refused = [](void (*change)(StepSpec&)) {
        StepSpec spec = shared_step(Phase::prefill, 1, 8192);
        change(spec);
        const Refusal refusal = refusal_of(spec);
        return refusal.key + " " + refusal.text;
    };
    EXPECT_THAT(refused([](StepSpec& s) { s.mapping.context.context_parallel = 0; }),
                HasSubstr("mapping.context_parallel is 0, expected at least 1"));
    EXPECT_THAT(refused([](StepSpec& s) { s.mapping.expert_parallel = 64; }),
                HasSubstr("64 does not divide the 32 ranks of data_parallel 8 x tensor_parallel 1 "
                          "x context_parallel 4"));
    EXPECT_THAT(refused([](StepSpec& s) {
                    s.mapping.data_parallel = 4;
                    s.mapping.tensor_parallel = 2;
                    s.mapping.attention = AttentionSplit::sp_tp_sp;
                }),
                HasSubstr("sp-tp-sp already divides the tokens of a group, expected attention tp"));
    EXPECT_THAT(refused([](StepSpec& s) {
                    latent(s.model).indexer = {64, 128, 64};
                    s.mapping.context.context_exchange = ContextExchange::all_to_all;
                }),
                HasSubstr("the choice among them, expected context_exchange ring or all_gather"));
    EXPECT_THAT(refused([](StepSpec& s) {
                    s.model.attentions = {DeltaNetAttention{16, 32, 128, 128, 4}};
                }),
                HasSubstr("from token to token of a prompt, expected 1"));
    EXPECT_THAT(refused([](StepSpec& s) { s.mapping.head_parallel = 64; }),
                HasSubstr("64 does not divide the 32 tensor-parallel groups"));
}

}  // namespace
}  // namespace podsim
