#include "workloads/mapping.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace podsim {
namespace {

using ::testing::HasSubstr;

// 1 + a + a^2 + ... + a^n
TEST(Speculation, AStepEmitsTheAcceptedDraftsAndOne) {
    EXPECT_DOUBLE_EQ((SpeculationSpec{0, 0.7}.tokens_per_step()), 1.0);
    EXPECT_DOUBLE_EQ((SpeculationSpec{1, 0.7}.tokens_per_step()), 1.7);
    EXPECT_DOUBLE_EQ((SpeculationSpec{3, 0.5}.tokens_per_step()), 1.875);
    EXPECT_DOUBLE_EQ((SpeculationSpec{3, 0.0}.tokens_per_step()), 1.0);
    EXPECT_DOUBLE_EQ((SpeculationSpec{3, 1.0}.tokens_per_step()), 4.0);
}

// 1 + a1 + a1 a2 + a1 a2 a3: 1 + 0.8 + 0.8 x 0.5 + 0.8 x 0.5 x 0.25 = 2.3
TEST(Speculation, ACurveTellsDraftFromDraft) {
    SpeculationSpec curve{3, 0, {0.8, 0.5, 0.25}};
    EXPECT_DOUBLE_EQ(curve.tokens_per_step(), 2.3);
    curve.acceptance_by_position = {0.5, 0.5, 0.5};
    EXPECT_DOUBLE_EQ(curve.tokens_per_step(), (SpeculationSpec{3, 0.5}.tokens_per_step()));
}

TEST(Mapping, RanksAreTheProductOfItsDegrees) {
    EXPECT_EQ((MappingSpec{40, 4, 160, 1, 2}.ranks()), 160);
}

std::string engine_text(const std::string& extra) {
    return "title: an engine\noverlap: partitioned\n" + extra +
           "kernel_gap: 1 us\nhost_step: 0.7 ms\nrank_skew: 0.05\nmemory_reserve: 4 GB\n"
           "record: {basis: assumed, source: a test, date: 2026-01-01}\n";
}

EngineSpec read_text(const std::string& extra) {
    return read_engine(parse_yaml(engine_text(extra), "e.yaml"), "mine");
}

std::string problem_of(const std::string& extra) {
    try {
        read_text(extra);
    } catch (const InputError& error) {
        return error.what();
    }
    return "";
}

TEST(Engine, ReadsItsHabits) {
    const EngineSpec engine = read_text(
        "attention_core_share: 0.6667\nexpert_core_share: 0.3333\nexperts_first: true\n"
        "fused: [mla_prolog]\n");
    EXPECT_EQ(engine.name, "mine");
    EXPECT_EQ(engine.overlap, Overlap::partitioned);
    EXPECT_DOUBLE_EQ(engine.attention_core_share, 0.6667);
    EXPECT_DOUBLE_EQ(engine.expert_core_share, 0.3333);
    EXPECT_TRUE(engine.experts_first);
    EXPECT_TRUE(engine.fuses(Fusion::mla_prolog));
    EXPECT_FALSE(engine.fuses(Fusion::vector_chains));
    EXPECT_DOUBLE_EQ(engine.kernel_gap.value.value(), 1e-6);
    EXPECT_DOUBLE_EQ(engine.host_step.value.value(), 0.7e-3);
    EXPECT_DOUBLE_EQ(engine.rank_skew.value, 0.05);
    EXPECT_DOUBLE_EQ(engine.memory_reserve.value.value(), 4e9);
}

TEST(Engine, CannotGiveAwayMoreCoresThanThereAre) {
    EXPECT_THAT(problem_of("attention_core_share: 0.7\nexpert_core_share: 0.4\n"),
                HasSubstr("e.yaml:3:23: attention_core_share: with expert_core_share they are 1.1 "
                          "of the cores, more than all"));
    EXPECT_EQ(problem_of("attention_core_share: 0.6\nexpert_core_share: 0.4\n"), "");
    // Without them each stream would take the whole chip at the same time.
    EXPECT_THAT(problem_of(""), HasSubstr("attention_core_share"));
}

TEST(Engine, StagesExcludeWhatHasAnOrderOfItsOwn) {
    EXPECT_THAT(problem_of("attention_core_share: 0.5\nexpert_core_share: 0.5\norder: staged\n"),
                HasSubstr("order: staged is for two_batch"));
    EXPECT_EQ(problem_of("attention_core_share: 0.5\nexpert_core_share: 0.5\norder: earliest\n"),
              "");
}

TEST(Engine, SaysWhatItDoesNotKnow) {
    EXPECT_THAT(problem_of("attention_core_share: 0\n"), HasSubstr("attention_core_share"));
    EXPECT_THAT(problem_of("fused: [mla_prologue]\n"), HasSubstr("mla_prolog"));
    EXPECT_THAT(problem_of("attention_core_share: 0.5\nexpert_core_share: 0.5\nskew: 1\n"),
                HasSubstr("skew"));
}

}  // namespace
}  // namespace podsim
