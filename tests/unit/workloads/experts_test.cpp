// Who holds which experts, and what reaches them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "tests/unit/workloads/step_specs.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// 256 + 32 copies over 320 - 32 ranks: one each. A token goes to 8 and to a shared-expert rank.
TEST(ExpertLayout, OfR1On320Ranks) {
    const ExpertLayout layout = expert_layout(ep320());
    EXPECT_EQ(layout.groups, 1);
    EXPECT_EQ(layout.group_ranks, 320);
    EXPECT_EQ(layout.routed_ranks, 288);
    EXPECT_EQ(layout.shared_ranks, 32);
    EXPECT_EQ(layout.slots_per_rank, 1);
    EXPECT_EQ(layout.copies_per_token, 9);
}

TEST(ExpertLayout, SlotsAreRoutedAndRedundantOverRanks) {
    EXPECT_EQ(expert_layout(plain_step(144, 32)).slots_per_rank, 2);  // 288 / 144
    EXPECT_EQ(expert_layout(plain_step(128)).slots_per_rank, 2);      // 256 / 128
    EXPECT_EQ(expert_layout(plain_step(128)).copies_per_token, 8);    // the shared one is at home
}

TEST(ExpertLayout, GroupsHoldAllExpertsEach) {
    StepSpec spec = plain_step(64);
    spec.mapping.data_parallel = 256;
    EXPECT_EQ(expert_layout(spec).groups, 4);
    EXPECT_EQ(expert_layout(spec).slots_per_rank, 4);
}

TEST(ExpertLayout, SaysWhichNumberWouldDivide) {
    const StepSpec spec = plain_step(144);
    const Refusal refusal = refusal_of(spec);
    EXPECT_EQ(refusal.key, "experts.redundant");
    EXPECT_THAT(refusal.text, AllOf(HasSubstr("256 routed + 0 redundant experts do not divide over "
                                              "144 ranks"),
                                    HasSubstr("32 redundant would")));
    StepSpec advised = spec;
    advised.experts.redundant = 32;
    EXPECT_EQ(refusal_of(advised).text, "");
}

TEST(ExpertLayout, RefusesSharedRanksWithNothingToHold) {
    StepSpec all_shared = plain_step(32);
    all_shared.experts.shared_ranks = 32;
    EXPECT_EQ(refusal_of(all_shared).key, "experts.shared_ranks");
    EXPECT_THAT(refusal_of(all_shared).text, HasSubstr("no rank of expert_parallel 32 is left"));

    StepSpec no_shared = ep320();
    no_shared.model.shared_intermediate = 0;
    EXPECT_EQ(refusal_of(no_shared).key, "experts.shared_ranks");
    EXPECT_THAT(refusal_of(no_shared).text, HasSubstr("deepseek-r1 has no shared expert to hold"));

    StepSpec dense = ep320();
    make_dense(dense.model);
    dense.model.draft_layers = 0;
    dense.speculation = {};
    EXPECT_EQ(refusal_of(dense).key, "experts.shared_ranks");
}

// 48 tokens x 320 ranks x 8 / 288 ranks = 426.7 for the one expert of a rank; 48 x 320 / 32 = 480
// for the shared one. INT8 token: 7168 B and a 4-byte scale; BF16: 14,336 B.
TEST(ExpertLoad, OfR1On320Ranks) {
    const StepSpec spec = ep320();
    const ExpertLoad load = expert_load(spec, expert_layout(spec), 48);
    EXPECT_EQ(load.here.active_experts, 1);
    EXPECT_EQ(load.here.tokens_per_expert, 427);
    EXPECT_EQ(load.tokens_per_shared_rank, 480);

    ASSERT_EQ(load.dispatch.shares.size(), 2u);
    EXPECT_EQ(load.dispatch.group_ranks, 320);
    EXPECT_DOUBLE_EQ(load.dispatch.messages_per_rank, 432);  // 48 x 9
    EXPECT_DOUBLE_EQ(load.dispatch.size.value(), 3098304);   // 432 x 7172
    EXPECT_EQ(load.dispatch.shares[0].ranks, 288);
    EXPECT_DOUBLE_EQ(load.dispatch.shares[0].send.value(), 3098304);
    EXPECT_DOUBLE_EQ(load.dispatch.shares[0].receive.value(), 1280.0 / 3 * 7172);
    EXPECT_EQ(load.dispatch.shares[1].ranks, 32);
    EXPECT_DOUBLE_EQ(load.dispatch.shares[1].send.value(), 3098304);
    EXPECT_DOUBLE_EQ(load.dispatch.shares[1].receive.value(), 480 * 7172);

    // What was received is sent back, wider.
    EXPECT_DOUBLE_EQ(load.combine.shares[0].send.value(), 1280.0 / 3 * 14336);
    EXPECT_DOUBLE_EQ(load.combine.shares[0].receive.value(), 432 * 14336);
    EXPECT_DOUBLE_EQ(load.combine.shares[1].send.value(), 480 * 14336);
}

TEST(ExpertLoad, FewerTokensThanSlotsWakeFewerExperts) {
    const StepSpec spec = plain_step(16);  // 16 slots a rank
    const ExpertLayout layout = expert_layout(spec);
    const ExpertLoad one = expert_load(spec, layout, 1);  // 1 x 16 x 8 / 16 = 8 assignments
    EXPECT_EQ(one.here.active_experts, 8);
    EXPECT_EQ(one.here.tokens_per_expert, 1);
    const ExpertLoad two = expert_load(spec, layout, 2);  // 16: each slot one
    EXPECT_EQ(two.here.active_experts, 16);
    EXPECT_EQ(two.here.tokens_per_expert, 1);
    const ExpertLoad three = expert_load(spec, layout, 3);  // 24 over 16: half of them two
    EXPECT_EQ(three.here, (ExpertRows{16, 1, 8}));
    EXPECT_EQ(three.here.rows(), 24);
}

// 129 assignments do not divide over 8 experts: one of them has 17, not all. Parts of them, too.
TEST(ExpertRowsOf, WhatDoesNotDivideGoesToSome) {
    EXPECT_EQ(balanced_rows(128, 8), (ExpertRows{8, 16, 0}));
    EXPECT_EQ(balanced_rows(128.2, 8), (ExpertRows{8, 16, 1}));
    EXPECT_EQ(balanced_rows(135.1, 8), (ExpertRows{8, 17, 0}));
    EXPECT_EQ(balanced_rows(5.5, 8), (ExpertRows{6, 1, 0}));
    EXPECT_EQ(balanced_rows(0.1, 8), (ExpertRows{1, 1, 0}));
    EXPECT_EQ(whole_rows({129, 7.3}), (ExpertRows{8, 16, 1}));
    EXPECT_EQ(whole_rows({0, 0}), ExpertRows{});
    long rows = 0, experts = 0;
    for (int part = 0; part < 3; ++part) {
        const ExpertRows one = part_of({8, 16, 4}, 3, part);
        rows += one.rows();
        experts += one.active_experts;
    }
    EXPECT_EQ(rows, 132);
    EXPECT_EQ(experts, 8);
    EXPECT_EQ(part_of({8, 16, 4}, 3, 0), (ExpertRows{3, 16, 2}));
}

// Two classes of ranks with routed experts: the busiest of each group, and the others.
TEST(RankClasses, TheBusiestStandsApart) {
    const auto counts = [](const StepSpec& spec) {
        std::vector<std::pair<std::string, int>> classes;
        for (const RankClass& each : rank_classes(expert_layout(spec)))
            classes.emplace_back(each.name, each.count);
        return classes;
    };
    using Classes = std::vector<std::pair<std::string, int>>;
    StepSpec spec = ep320();
    EXPECT_EQ(counts(spec), (Classes{{"routed-expert ranks", 288}, {"shared-expert ranks", 32}}));
    spec.experts.popularity = Popularity::uniform;
    EXPECT_EQ(counts(spec), (Classes{{"busiest routed-expert rank", 1},
                                     {"other routed-expert ranks", 287},
                                     {"shared-expert ranks", 32}}));
    StepSpec groups = plain_step(64);
    groups.mapping.data_parallel = 256;
    groups.experts.popularity = Popularity::uniform;
    EXPECT_EQ(counts(groups), (Classes{{"busiest rank", 4}, {"other ranks", 252}}));
    StepSpec alone = plain_step(1);
    alone.experts.popularity = Popularity::uniform;
    EXPECT_EQ(counts(alone), (Classes{{"ranks", 1}}));
}

// Every token takes the same 8 of 256 experts, one expert a rank: each of their ranks gets all 256
// tokens, 32 times the mean of 8. The others have (2048 - 256) / 255 = 7.03 on average, on 7 / 255
// of an expert: 8 tokens on one.
TEST(ExpertLoad, OfTheBusiestRankAndTheOthers) {
    StepSpec spec = plain_step(256);
    spec.experts.popularity = Popularity::histogram;
    spec.experts.counts = {{0, std::vector<double>(256, 0.0)}};
    for (std::size_t i = 0; i < 8; ++i) spec.experts.counts[0].counts[31 * i] = 5;
    const ExpertLoad load = expert_load(spec, expert_layout(spec), 1);
    EXPECT_EQ(load.here.active_experts, 1);
    EXPECT_EQ(load.here.tokens_per_expert, 256);
    EXPECT_EQ(load.elsewhere.active_experts, 1);
    EXPECT_EQ(load.elsewhere.tokens_per_expert, 8);
    EXPECT_DOUBLE_EQ(load.imbalance, 32);
    ASSERT_EQ(load.dispatch.shares.size(), 2u);
    EXPECT_EQ(load.dispatch.shares[0].ranks, 1);
    EXPECT_DOUBLE_EQ(load.dispatch.shares[0].receive.value(), 256 * 7172);
    EXPECT_EQ(load.dispatch.shares[1].ranks, 255);
    EXPECT_NEAR(load.dispatch.shares[1].receive.value(), 1792.0 / 255 * 7172, 1e-6);
    EXPECT_DOUBLE_EQ(load.combine.shares[0].send.value(), 256 * 14336);
    EXPECT_DOUBLE_EQ(load.combine.shares[0].receive.value(), 8 * 14336);
    EXPECT_DOUBLE_EQ(*build_step(spec).expert_imbalance, 32);
}

TEST(ExpertLayout, LayersTakeTheNearestCountedOne) {
    StepSpec spec = plain_step(128);
    spec.experts.popularity = Popularity::histogram;
    for (const long layer : {0, 7, 15})
        spec.experts.counts.push_back({layer, std::vector<double>(256, 1.0)});
    const ExpertLayout layout = expert_layout(spec);
    EXPECT_EQ(layout.balances.size(), 3u);
    EXPECT_EQ(layout.balance_of(3), 0u);
    EXPECT_EQ(layout.balance_of(4), 1u);
    EXPECT_EQ(layout.balance_of(11), 1u);  // as near to 15
    EXPECT_EQ(layout.balance_of(60), 2u);
}

TEST(ExpertLayout, RefusesCountsOfAnotherModel) {
    StepSpec spec = plain_step(128);
    spec.experts.popularity = Popularity::histogram;
    EXPECT_EQ(refusal_of(spec).key, "experts.histogram");
    spec.experts.counts = {{3, std::vector<double>(64, 1.0)}};
    EXPECT_THAT(refusal_of(spec).text, HasSubstr("layer 3 counts 64 experts, deepseek-r1 has 256"));
    spec.experts.counts = {{3, std::vector<double>(256, 0.0)}};
    EXPECT_THAT(refusal_of(spec).text, HasSubstr("layer 3 counts nothing"));
    spec.experts.counts[0].counts[9] = 1;
    EXPECT_THAT(refusal_of(spec).text, HasSubstr("each at most once: 12.5 % is the most"));
}

// One group of eight ranks that all have all 64 tokens.
StepSpec gathering(int width_ranks) {
    StepSpec spec = plain_step(8);
    spec.mapping = {1, 8, 8, 1, 1};
    spec.sequences_per_group = 64;
    spec.experts.exchange = ExpertExchange::gather;
    spec.experts.tensor_parallel = width_ranks;
    return spec;
}

// 256 experts on eight ranks: 32 whole ones each; or 128 on each group of four, a quarter each; or
// an eighth of all. What a rank holds, reads and multiplies is the same: 512 assignments are 2 rows
// for each expert.
TEST(ExpertWidths, MayBeSharedInTheGroup) {
    const ServingStep whole = build_step(gathering(1));
    const long slots[] = {32, 128, 256};
    const int ranks[] = {1, 4, 8}, groups[] = {8, 2, 1};
    for (int i = 0; i < 3; ++i) {
        const StepSpec spec = gathering(ranks[i]);
        const ExpertLayout layout = expert_layout(spec);
        EXPECT_EQ(layout.slots_per_rank, slots[i]);
        EXPECT_EQ(layout.routed_ranks, groups[i]);
        const ServingStep step = build_step(spec);
        EXPECT_EQ(step.program.classes.front().count, 8);
        EXPECT_NEAR(matrix_work(step), matrix_work(whole), 1e-9 * matrix_work(whole));
        EXPECT_NEAR(step.memory.front().total().value(), whole.memory.front().total().value(),
                    0.02 * whole.memory.front().total().value());
        const auto down = std::find_if(step.program.operators.begin(), step.program.operators.end(),
                                       [](const Operator& op) { return op.name == "expert_down"; });
        ASSERT_NE(down, step.program.operators.end());
        const Gemm& product = std::get<Gemm>(down->body);
        EXPECT_EQ(product.k, 2048 / ranks[i]);
        EXPECT_EQ(product.groups, slots[i]);
        EXPECT_EQ(product.m, 2);
    }
}

// Where every rank has its part of every expert none is busier than the others.
TEST(ExpertWidths, SharedByAllLeaveNobodyBusier) {
    for (const auto& [ranks, uneven] :
         {std::pair{1, true}, std::pair{4, true}, std::pair{8, false}}) {
        StepSpec spec = gathering(ranks);
        spec.experts.popularity = Popularity::zipf;
        spec.experts.zipf_exponent = 0.6;
        EXPECT_EQ(expert_layout(spec).uneven(), uneven);
        const ServingStep step = build_step(spec);
        int count = 0;
        for (const RankClass& one : step.program.classes) count += one.count;
        EXPECT_EQ(count, 8);
        EXPECT_EQ(step.program.classes.front().count, uneven ? ranks : 8);
        EXPECT_EQ(step.expert_imbalance.value_or(1) > 1 + 1e-9, uneven);
    }
}

TEST(ExpertWidths, SaysWhatCannotBeShared) {
    EXPECT_THAT(refusal_of(gathering(3)).text,
                HasSubstr("expected a divisor of expert_parallel 8"));
    StepSpec exchanged = plain_step(8);
    exchanged.experts.tensor_parallel = 2;
    EXPECT_EQ(refusal_of(exchanged).key, "experts.tensor_parallel");
    EXPECT_THAT(refusal_of(exchanged).text, HasSubstr("expected exchange gather"));
    StepSpec odd = gathering(8);
    odd.model.expert_intermediate = 2044;
    EXPECT_THAT(refusal_of(odd).text, HasSubstr("are 2044 wide"));
    EXPECT_THAT(refusal_of(gathering(0)).text, HasSubstr("expected at least 1"));
}

// Scales travel along: 4 B a block of 128 in FP8, 4 B a token in INT8, 1 B for 32 in FP4.
TEST(ExpertLoad, TokensCarryTheirScales) {
    StepSpec spec = plain_step(128);
    const auto token = [&](DType dtype) {
        spec.precision.dispatch = dtype;
        const ExpertLoad load = expert_load(spec, expert_layout(spec), 1);
        return load.dispatch.size.value() / 8;
    };
    EXPECT_DOUBLE_EQ(token(DType::bf16), 14336);
    EXPECT_DOUBLE_EQ(token(DType::fp8), 7168 + 4 * 56);
    EXPECT_DOUBLE_EQ(token(DType::int8), 7168 + 4);
    EXPECT_DOUBLE_EQ(token(DType::fp4), 3584 + 224);
    spec.model.scale_block = 0;
    EXPECT_DOUBLE_EQ(token(DType::fp8), 7168 + 4);
}

}  // namespace
}  // namespace podsim
