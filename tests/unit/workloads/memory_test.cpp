// What fills a rank of DeepSeek-R1, part by part.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "tests/unit/workloads/step_specs.hpp"

namespace podsim {
namespace {

std::map<std::string, double> parts(const MemoryNeed& need) {
    std::map<std::string, double> result;
    for (const auto& [name, size] : need.parts) result[name] += size.value();
    return result;
}

TEST(StepMemory, OfR1On320Ranks) {
    StepSpec spec = ep320();
    spec.engine.memory_reserve.value = Bytes(4e9);
    const ServingStep step = build_step(spec);
    ASSERT_EQ(step.memory.size(), 2u);
    EXPECT_EQ(step.memory[0].rank_class, "routed-expert ranks");
    EXPECT_EQ(step.memory[1].rank_class, "shared-expert ranks");
    auto routed = parts(step.memory[0]), shared = parts(step.memory[1]);

    // 48 sequences x 4224 tokens x 62/61 of 70,272 B: the draft module's layer has a cache too.
    EXPECT_DOUBLE_EQ(routed["KV cache"], 48.0 * 4224 * 62 / 61 * 70272);
    // INT8 with a 4-byte scale a row: 3 x 7168 x 2048 + 4 (2 x 2048 + 7168) = 44,085,248 B an
    // expert, in 58 layers and the draft's.
    EXPECT_DOUBLE_EQ(routed["routed experts"], 59.0 * 44085248);
    EXPECT_DOUBLE_EQ(routed["shared expert"], 0);
    EXPECT_DOUBLE_EQ(shared["routed experts"], 0);
    EXPECT_DOUBLE_EQ(shared["shared expert"], 59.0 * 44085248);
    // 256 x 7168 gate in BF16 and an FP32 bias for each expert
    EXPECT_DOUBLE_EQ(routed["router"], 59.0 * (3670016 + 1024));
    // 3 x 7168 x 18432 + 4 (2 x 18432 + 7168) in three layers
    EXPECT_DOUBLE_EQ(routed["dense FFN weights"], 3.0 * 396537856);
    // two tables of 129,280 x 7168 in BF16, and the final norm
    EXPECT_DOUBLE_EQ(routed["embedding and head"], 2.0 * 1853358080 + 14336);
    // 96 tokens: 4 hidden and twice 128 x 576 of the absorbed query in BF16, FP32 logits
    EXPECT_DOUBLE_EQ(routed["activations"], 96.0 * ((4 * 7168 + 2 * 73728) * 2 + 129280 * 4));
    // 96 x 320 x 8 / 288 = 853.3 and 96 x 320 / 32 = 960 tokens arrive in a step, 7172 B in INT8
    // and 14,336 B back
    EXPECT_DOUBLE_EQ(routed["exchange buffers"], 854.0 * 21508);
    EXPECT_DOUBLE_EQ(shared["exchange buffers"], 960.0 * 21508);
    EXPECT_DOUBLE_EQ(routed["runtime reserve"], 4e9);

    double sum = 0;
    for (const auto& [name, size] : routed) sum += size;
    EXPECT_NEAR(step.memory[0].total().value(), sum, 1);
}

TEST(StepMemory, WithoutDraftsTheirModuleIsNotLoaded) {
    StepSpec spec = ep320();
    spec.speculation = {};
    auto routed = parts(build_step(spec).memory[0]);
    EXPECT_DOUBLE_EQ(routed["KV cache"], 48.0 * 4224 * 70272);
    EXPECT_DOUBLE_EQ(routed["routed experts"], 58.0 * 44085248);
}

// 48 sequences a group of 4 ranks: each rank of it holds the latent cache of all 48.
TEST(StepMemory, TensorParallelDividesWeightsAndNotTheLatentCache) {
    StepSpec spec = plain_step(64);
    auto whole = parts(build_step(spec).memory.front());
    spec.mapping.data_parallel = 16;
    spec.mapping.tensor_parallel = 4;
    spec.sequences_per_group = 48;
    auto quarter = parts(build_step(spec).memory.front());
    EXPECT_DOUBLE_EQ(quarter["KV cache"], whole["KV cache"]);
    EXPECT_DOUBLE_EQ(quarter["routed experts"], whole["routed experts"]);
    EXPECT_LT(quarter["attention weights"], 0.5 * whole["attention weights"]);
    EXPECT_NEAR(quarter["dense FFN weights"], whole["dense FFN weights"] / 4, 1e6);
}

TEST(StepMemory, ADenseModelHasNoExpertsAndNoBuffersForThem) {
    StepSpec spec = plain_step(8);
    make_dense(spec.model);
    spec.model.draft_layers = 0;
    auto need = parts(build_step(spec).memory.front());
    EXPECT_EQ(need["routed experts"], 0);
    EXPECT_EQ(need["router"], 0);
    EXPECT_EQ(need["exchange buffers"], 0);
}

// 8 key-value heads of 128 in 80 layers, keys and values in BF16: 327,680 B a token whole, an
// eighth of it on each of 8 ranks.
TEST(StepMemory, GroupedQueryHeadsDivideTheCache) {
    StepSpec spec;
    spec.model = read_model(
        read_yaml(std::string(PODSIM_SOURCE_DIR) + "/configs/models/llama-3.1-70b.yaml"), "llama");
    spec.mapping.data_parallel = 1;
    spec.mapping.tensor_parallel = 8;
    spec.mapping.expert_parallel = 8;
    spec.sequences_per_group = 16;
    spec.context = 1000;
    auto need = parts(build_step(spec).memory.front());
    EXPECT_DOUBLE_EQ(need["KV cache"], 16.0 * 1000 * 327680 / 8);
    spec.mapping.tensor_parallel = spec.mapping.expert_parallel = 16;  // two ranks to a head
    spec.sequences_per_group = 16;
    EXPECT_DOUBLE_EQ(parts(build_step(spec).memory.front())["KV cache"], 16.0 * 1000 * 327680 / 8);
}

}  // namespace
}  // namespace podsim
