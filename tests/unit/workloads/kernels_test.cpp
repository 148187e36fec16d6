// Which operators an engine runs as one kernel, and what stays on the chip between them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/workloads/step_specs.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {
namespace {

using ::testing::ElementsAre;

Operator vector_operator(const std::string& name, double read, double write) {
    return {name, VectorWork{name, 100, 1, read, write}};
}

Operator product(const std::string& name) {
    return {name, Gemm{16, 16, 16}};
}

Operator core() {
    return {"attention",
            Attention{AttentionForm::mla_absorbed, Phase::decode, 1, 1, 64, 16, 1, 576, 512}};
}

std::vector<std::string> kernel_names(const std::vector<Operator>& operators,
                                      std::vector<Fusion> fused, bool is_attention = false) {
    Program program;
    EngineSpec engine;
    engine.fused = std::move(fused);
    std::vector<std::string> result;
    for (const Kernel& kernel : kernels_of(program, operators, engine, is_attention)) {
        const auto body = static_cast<std::size_t>(kernel.body);
        result.push_back(kernel.pipeline ? program.pipelines[body].name
                                         : program.operators[body].name);
    }
    return result;
}

TEST(Kernels, AreTheOperatorsWhereNothingIsFused) {
    EXPECT_THAT(
        kernel_names({vector_operator("a", 1, 1), vector_operator("b", 1, 1), product("c")}, {}),
        ElementsAre("a", "b", "c"));
    EXPECT_THAT(kernel_names({}, {Fusion::vector_chains}), ElementsAre());
}

TEST(Kernels, VectorChainsEndAtAProduct) {
    EXPECT_THAT(kernel_names({vector_operator("a", 1, 1), vector_operator("b", 1, 1), product("c"),
                              vector_operator("d", 1, 1), vector_operator("e", 1, 1),
                              vector_operator("f", 1, 1)},
                             {Fusion::vector_chains}),
                ElementsAre("a + b", "c", "d + e + f"));
}

TEST(Kernels, ThePrologIsAllThatComesBeforeAttention) {
    const std::vector<Operator> block = {vector_operator("norm", 1, 1),
                                         product("down"),
                                         product("up"),
                                         core(),
                                         product("out"),
                                         vector_operator("x", 1, 1),
                                         vector_operator("y", 1, 1)};
    EXPECT_THAT(kernel_names(block, {Fusion::mla_prolog}, true),
                ElementsAre("norm + down + up", "attention", "out", "x", "y"));
    EXPECT_THAT(kernel_names(block, {Fusion::mla_prolog, Fusion::vector_chains}, true),
                ElementsAre("norm + down + up", "attention", "out", "x + y"));
    // Only an attention block has one.
    EXPECT_THAT(kernel_names(block, {Fusion::mla_prolog}, false),
                ElementsAre("norm", "down", "up", "attention", "out", "x", "y"));
}

// Entries that are key and value at once are not latents: no such prolog was written for them. One
// of latents ends where an indexer begins to score.
TEST(Kernels, ThePrologIsOfLatents) {
    const Operator shared = {"attention", Attention{AttentionForm::mla_absorbed, Phase::decode, 1,
                                                    1, 64, 16, 1, 512, 512}};
    EXPECT_THAT(kernel_names({vector_operator("norm", 1, 1), product("down"), shared},
                             {Fusion::mla_prolog}, true),
                ElementsAre("norm", "down", "attention"));
    const Operator scores = {"scores", IndexScores{Phase::decode, 1, 1, 64, 1, 16, 128}};
    EXPECT_THAT(kernel_names(
                    {vector_operator("norm", 1, 1), product("down"), scores, product("up"), core()},
                    {Fusion::mla_prolog}, true),
                ElementsAre("norm + down", "scores", "up", "attention"));
}

// a writes 300 B, of which b reads 200 B: those 200 are neither written nor read, 400 B less.
TEST(Kernels, WhatOneVectorOperatorHandsTheNextStaysOnTheChip) {
    Program program;
    EngineSpec engine;
    engine.fused = {Fusion::vector_chains};
    const auto kernels = kernels_of(
        program, {vector_operator("a", 500, 300), vector_operator("b", 200, 100)}, engine, false);
    ASSERT_EQ(kernels.size(), 1u);
    ASSERT_TRUE(kernels[0].pipeline);
    EXPECT_DOUBLE_EQ(program.pipelines[0].on_chip, 400);
    EXPECT_THAT(program.pipelines[0].operators, ElementsAre(0, 1));
}

TEST(Kernels, EqualOnesAreKeptOnce) {
    Program program;
    EngineSpec engine;
    engine.fused = {Fusion::vector_chains};
    const std::vector<Operator> chain = {vector_operator("a", 1, 1), vector_operator("b", 1, 1),
                                         product("c")};
    const auto first = kernels_of(program, chain, engine, false);
    const auto second = kernels_of(program, chain, engine, false);
    EXPECT_EQ(first[0].body, second[0].body);
    EXPECT_EQ(first[1].body, second[1].body);
    EXPECT_EQ(program.pipelines.size(), 1u);
    EXPECT_EQ(program.operators.size(), 3u);
}

TEST(Kernels, FusionChangesKernelsAndNotTheWork) {
    StepSpec spec = ep320();
    const ServingStep plain = build_step(spec);
    spec.engine.fused = {Fusion::vector_chains, Fusion::mla_prolog};
    const ServingStep fused = build_step(spec);
    EXPECT_LT(fused.program.tasks.size(), plain.program.tasks.size());
    EXPECT_FALSE(fused.program.pipelines.empty());
    EXPECT_DOUBLE_EQ(total_work(fused.program).value(), total_work(plain.program).value());
}

}  // namespace
}  // namespace podsim
