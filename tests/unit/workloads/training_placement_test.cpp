// Where ranks lie, by hand: 64 ranks as tp 2, cp 2, dp 4, pp 4.
#include "workloads/training_placement.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "tests/unit/workloads/training_jobs.hpp"
#include "workloads/training_pass.hpp"

namespace podsim {
namespace {

TrainingPlan four_dimensions() {
    TrainingPlan plan;
    plan.tensor_parallel = 2;
    plan.more.context_parallel = 2;
    plan.data_parallel = 4;
    plan.pipeline_parallel = 4;
    plan.more.sequence_parallel = true;
    return plan;
}

RankOrder order(const char* text) {
    return placement_from(text).value().order;
}

TEST(TrainingPlacement, OrdersAreRead) {
    EXPECT_EQ(placement_from("flat")->kind, PlacementKind::flat);
    EXPECT_EQ(placement_from("topology")->kind, PlacementKind::topology);
    EXPECT_EQ(order("tp-cp-ep-dp-pp"), kFlatOrder);
    EXPECT_EQ(to_string(order("tp-cp-pp-dp")), "tp-cp-pp-dp");
    for (const char* text : {"", "tp", "tp-cp-dp", "tp-tp-dp-pp", "tp-cp-dp-xp", "tp-ep-cp-dp-pp",
                             "tp-cp-dp-pp-", "Flat"})
        EXPECT_FALSE(placement_from(text)) << text;
}

// The distance of neighbours is the product of the degrees inside.
TEST(TrainingPlacement, StridesAreTheDegreesInside) {
    TrainingPlan plan = four_dimensions();
    plan.expert_parallel = 8;
    EXPECT_EQ(stride_of(plan, RankGroup::tensor), 1);
    EXPECT_EQ(stride_of(plan, RankGroup::context), 2);
    EXPECT_EQ(stride_of(plan, RankGroup::replicas), 2);  // 8 of them: context and data in a row
    EXPECT_EQ(stride_of(plan, RankGroup::stages), 16);
    EXPECT_EQ(stride_of(plan, RankGroup::expert), 1);
    EXPECT_EQ(stride_of(plan, RankGroup::expert_replicas), 8);
    plan.order = order("tp-cp-pp-dp");
    EXPECT_EQ(stride_of(plan, RankGroup::stages), 4);
    // Replicas are 0, 2, then 16 further on; experts 0 to 3, then 16 to 19.
    EXPECT_FALSE(stride_of(plan, RankGroup::replicas));
    EXPECT_FALSE(stride_of(plan, RankGroup::expert));
    plan.expert_parallel = 4;
    EXPECT_EQ(stride_of(plan, RankGroup::expert), 1);
    EXPECT_EQ(stride_of(plan, RankGroup::expert_replicas), 16);
    plan.order = order("pp-tp-cp-dp");
    EXPECT_EQ(stride_of(plan, RankGroup::tensor), 4);
    EXPECT_EQ(stride_of(plan, RankGroup::expert), 4);
    EXPECT_EQ(stride_of(plan, RankGroup::replicas), 8);
}

// Rank l of stage s is l mod q + q s + q P floor(l / q): every n-th of a stage, written out.
TEST(TrainingPlacement, StridesAreThoseOfTheMembersWrittenOut) {
    TrainingPlan plan;
    plan.order = order("tp-dp-pp-cp");
    for (const int inner : {2, 4, 6}) {
        for (const int stages : {1, 2, 3}) {
            for (const int outer : {1, 4}) {
                plan.tensor_parallel = 2;
                plan.data_parallel = inner / 2;
                plan.pipeline_parallel = stages;
                plan.more.context_parallel = outer;
                const int all = inner * outer;
                for (int experts = 1; experts <= all; ++experts) {
                    if (all % experts != 0) continue;
                    plan.expert_parallel = experts;
                    const auto rank = [&](int l) { return l % inner + l / inner * inner * stages; };
                    for (const auto& [group, step, members] :
                         {std::tuple(RankGroup::expert, 1, experts),
                          std::tuple(RankGroup::expert_replicas, experts, all / experts)}) {
                        const int first = members > 1 ? rank(step) : 1;
                        bool even = true;
                        for (int i = 1; i < members; ++i)
                            even = even && rank(i * step) == i * first;
                        EXPECT_EQ(stride_of(plan, group),
                                  even ? std::optional<long>(first) : std::nullopt)
                            << inner << ' ' << stages << ' ' << outer << ' ' << experts;
                    }
                }
            }
        }
    }
}

// Every order is a numbering of all ranks: groups of one kind cover them once.
TEST(TrainingPlacement, AnOrderThatPartsAGroupIsRefused) {
    const TrainingJob job = small_moe();
    TrainingPlan plan = four_dimensions();
    plan.expert_parallel = 8;
    plan.more.placement = *placement_from("tp-cp-pp-dp");
    const auto problems = training_problems(job, plan, plan.ranks());
    ASSERT_FALSE(problems.empty());
    EXPECT_EQ(problems.front().key, "mapping.placement");
    plan.more.context_parallel = 1;
    plan.data_parallel = 8;
    plan.more.placement = *placement_from("tp-dp-cp-pp");
    EXPECT_TRUE(training_problems(job, plan, plan.ranks()).empty());
}

// 8 ranks of 16 in domains of 4: of what a rank exchanges half stays; of rings 4/8 through 4 ports.
TEST(TrainingPlacement, SharesThatLeaveADomain) {
    EXPECT_DOUBLE_EQ(share_beyond(TransferType::dispatch, 8, 1, 4), 0.5);
    EXPECT_DOUBLE_EQ(share_beyond(TransferType::dispatch, 8, 2, 4), 0.75);
    EXPECT_DOUBLE_EQ(share_beyond(TransferType::all_gather, 8, 1, 4), 0.5 / 4);
    EXPECT_DOUBLE_EQ(share_beyond(TransferType::all_reduce, 8, 1, 4), 2 * 0.5 / 4);
    EXPECT_DOUBLE_EQ(share_beyond(TransferType::all_gather, 8, 1, 8), 0);
}

// Large parameters and short micro-batches: stages within a domain would part replicas, so that
// gradients cross; long ones with few parameters the other way round.
TEST(TrainingPlacement, TopologyKeepsMostBytesInADomain) {
    TrainingJob job = small_gpt();
    job.domain_ranks = 4;
    TrainingPlan plan;
    plan.data_parallel = 4;
    plan.pipeline_parallel = 4;
    const ChosenOrder gradients = chosen_order(job, plan);
    EXPECT_EQ(gradients.order, kFlatOrder);
    job.global_batch = 64 * 64;
    const ChosenOrder states = chosen_order(job, plan);
    EXPECT_EQ(to_string(states.order), "tp-cp-pp-dp");
    EXPECT_LT(states.beyond, states.beyond_flat);
    // Chosen, all of it is as the order would be when given.
    plan.more.placement = *placement_from("tp-cp-pp-dp");
    EXPECT_EQ(chosen_order(job, plan).order, states.order);
    plan.more.placement = *placement_from("flat");
    EXPECT_EQ(chosen_order(job, plan).order, kFlatOrder);
    // One domain for all: nothing to choose.
    plan.more.placement = {};
    job.domain_ranks = 16;
    EXPECT_EQ(chosen_order(job, plan).order, kFlatOrder);
}

TEST(TrainingPlacement, PassesSendWhereTheOrderSays) {
    const TrainingJob job = small_gpt();
    TrainingPlan plan;
    plan.data_parallel = 4;
    plan.pipeline_parallel = 4;
    EXPECT_EQ(stage_send(job, plan).stride, 4);
    plan.order = order("tp-cp-pp-dp");
    EXPECT_EQ(stage_send(job, plan).stride, 1);
    PassRequest request;
    request.kind = PassKind::backward;
    request.position = {2, 4};
    request.reduces = true;
    const Program program = build_pass(job, plan, request);
    require_valid(program);
    ASSERT_FALSE(program.transfers.empty());
    for (const Transfer& one : program.transfers) EXPECT_EQ(one.stride, 4);
}

// A dense model's tensor- and data-parallel ranks are no group: stages may lie between them.
TEST(TrainingPlacement, WithoutExpertsNoGroupOfThemIsParted) {
    TrainingPlan plan = four_dimensions();
    plan.more.context_parallel = 1;
    plan.data_parallel = 8;
    plan.more.placement = *placement_from("tp-cp-pp-dp");
    EXPECT_EQ(training_problems(small_moe(), plan, plan.ranks()).size(), 1U);
    const TrainingJob job = small_gpt();
    EXPECT_TRUE(training_problems(job, plan, plan.ranks()).empty());
    plan.order = plan.more.placement.order;
    for (const int zero : {0, 2}) {
        plan.zero_stage = zero;
        PassRequest request;
        request.kind = PassKind::backward;
        request.position = {2, 4};
        request.gathers = request.reduces = true;
        const Program program = build_pass(job, plan, request);
        require_valid(program);
        // Replicas are 0, 8, ...: tp 2 x pp 4.
        EXPECT_TRUE(std::any_of(program.transfers.begin(), program.transfers.end(),
                                [](const Transfer& one) { return one.stride == 8; }));
    }
}

}  // namespace
}  // namespace podsim
