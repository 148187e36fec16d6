// Data-parallel groups that are not alike, counted by hand.
#include "workloads/training_groups.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/workloads/training_jobs.hpp"
#include "workloads/training_placement.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

TrainingPlan unequal(int data, int expert) {
    TrainingPlan plan;
    plan.data_parallel = data;
    plan.expert_parallel = expert;
    plan.more.unequal_groups = true;
    return plan;
}

std::string problem(const TrainingJob& job, const TrainingPlan& plan) {
    const auto found = training_problems(job, plan, plan.ranks());
    return found.empty() ? "" : found.front().key + ": " + found.front().reason;
}

// 64 sequences over 3 groups: 22, 21, 21.
TEST(TrainingGroups, SomeDoOneMicroBatchMore) {
    const TrainingJob job = small_gpt();
    const TrainingPlan plan = unequal(3, 1);
    EXPECT_EQ(problem(job, plan), "");
    EXPECT_EQ(plan.micro_batches(job), 22);
    const auto parts = group_parts(job, plan);
    ASSERT_EQ(parts.size(), 2U);
    EXPECT_EQ(parts[0].groups, 1);
    EXPECT_EQ(parts[0].plan.micro_batches(job), 22);
    EXPECT_EQ(parts[1].groups, 2);
    EXPECT_EQ(parts[1].plan.micro_batches(job), 21);
    TrainingPlan even = plan;
    even.more.unequal_groups = false;
    EXPECT_THAT(problem(job, even), HasSubstr("63 or 66 would, or mapping.unequal_groups: true"));
    EXPECT_EQ(group_parts(job, unequal(4, 1)).size(), 1U);
}

// 12 groups whose ranks share experts by fours: 64 = 12 x 5 + 4, so that one block of three does
// one more.
TEST(TrainingGroups, ABlockThatExchangesTokensDoesAsManyAll) {
    const TrainingJob job = small_moe();
    const TrainingPlan plan = unequal(12, 4);
    EXPECT_EQ(groups_of_block(job, plan), 4);
    EXPECT_EQ(problem(job, plan), "");
    const auto parts = group_parts(job, plan);
    ASSERT_EQ(parts.size(), 2U);
    EXPECT_EQ(parts[0].groups, 4);
    EXPECT_EQ(parts[0].plan.micro_batches(job), 6);
    EXPECT_EQ(parts[1].groups, 8);
    // 66 = 12 x 5 + 6 is no block more or two.
    TrainingJob odd = job;
    odd.global_batch = 66;
    EXPECT_EQ(problem(odd, plan),
              "global_batch: 66 sequences are 6 micro-batches more than 5 for each of 12 "
              "data-parallel groups, which exchange tokens in blocks of 4; 64 or 68 "
              "would");
}

// 11 groups in blocks of four leave three: told to do 3 micro-batches each they leave 57 - 9 = 48
// to eight groups, 6 each. More than there are is said, and that there is no last block.
TEST(TrainingGroups, TheLastBlockMayBeToldToDoLess) {
    TrainingJob job = small_moe();
    job.global_batch = 57;
    TrainingPlan plan = unequal(11, 4);
    plan.more.last_block_micro_batches = 3;
    EXPECT_EQ(problem(job, plan), "");
    const auto parts = group_parts(job, plan);
    ASSERT_EQ(parts.size(), 2U);
    EXPECT_EQ(parts[0].groups, 8);
    EXPECT_EQ(parts[0].plan.micro_batches(job), 6);
    EXPECT_TRUE(parts[1].last_block);
    EXPECT_EQ(parts[1].plan.micro_batches(job), 3);
    plan.more.last_block_micro_batches = 19;
    EXPECT_EQ(problem(job, plan),
              "mapping.last_block_micro_batches: 19 for each of the last block's 3 groups leave "
              "none of 57 to the other 8; 5 is as many for all");
    TrainingPlan whole = unequal(12, 4);
    whole.more.last_block_micro_batches = 3;
    EXPECT_THAT(problem(small_moe(), whole), HasSubstr("leave no last block; leave it away"));
    whole.more.unequal_groups = false;
    whole.data_parallel = 8;
    EXPECT_THAT(problem(small_moe(), whole), HasSubstr("mapping.unequal_groups: true, or leave"));
}

// 11 groups, experts over 4 ranks: two whole blocks, and 3 ranks that hold the 8 experts as 3
// each, one of them twice. An expert has three replicas, four ranks apart.
TEST(TrainingGroups, TheLastBlockMayBeSmaller) {
    TrainingJob job = small_moe();
    job.global_batch = 63;  // 11 x 5 + 8
    const TrainingPlan plan = unequal(11, 4);
    EXPECT_EQ(problem(job, plan), "");
    EXPECT_EQ(plan.expert_replicas(), 3);
    const auto parts = group_parts(job, plan);
    ASSERT_EQ(parts.size(), 2U);
    EXPECT_EQ(parts[0].groups, 8);
    EXPECT_EQ(parts[0].plan.micro_batches(job), 6);
    EXPECT_FALSE(parts[0].last_block);
    const GroupPart& last = parts[1];
    EXPECT_TRUE(last.last_block);
    EXPECT_EQ(last.groups, 3);
    EXPECT_EQ(last.plan.micro_batches(job), 5);
    EXPECT_EQ(last.plan.expert_parallel, 3);
    EXPECT_EQ(last.redundant, 1);
    EXPECT_EQ(last.plan.expert_replicas(), 3);
    EXPECT_EQ(group_stride(last.plan, RankGroup::expert_replicas), 4);
    EXPECT_DOUBLE_EQ(last.share(plan), 3.0 / 11);
    // 8 x 6 + 3 x 5 sequences.
    long sequences = 0;
    for (const GroupPart& part : parts) sequences += part.groups * part.plan.micro_batches(job);
    EXPECT_EQ(sequences, 63);
    job.global_batch = 64;  // nine groups more than 5: the last block's would have to be among them
    EXPECT_THAT(problem(job, plan), HasSubstr("63 or 66 would"));
}

TEST(TrainingGroups, WhatCannotBeIsSaidWithWhatWould) {
    TrainingJob job = small_gpt();
    EXPECT_THAT(problem(job, unequal(65, 1)),
                HasSubstr("64 sequences are 64 micro-batches, fewer than 65 data-parallel groups; "
                          "65 would"));
    TrainingPlan plan = unequal(5, 1);
    plan.micro_batch = 3;
    EXPECT_THAT(problem(job, plan), HasSubstr("no micro-batches of 3; 63 or 66 would"));
    plan = unequal(7, 1);
    plan.pipeline_parallel = 4;
    plan.schedule = ScheduleKind::dual_pipe;  // 10 and 9 micro-batches: halves are whole
    EXPECT_THAT(problem(job, plan), HasSubstr("schedule: dualpipe halves"));
    job = small_moe();
    plan = unequal(6, 4);
    plan.tensor_parallel = 8;
    plan.more.sequence_parallel = true;
    plan.expert_parallel = 4;
    plan.more.expert_tensor_parallel = 3;
    EXPECT_THAT(problem(job, plan), HasSubstr("cut across each other"));
    // Without the key the ranks that are over are named with it.
    TrainingPlan few = unequal(3, 1);
    few.more.unequal_groups = false;
    few.pipeline_parallel = 2;
    const auto found = training_problems(small_gpt(), few, 7);
    ASSERT_FALSE(found.empty());
    EXPECT_THAT(found.front().reason, HasSubstr("which lets what is over stand by"));
}

// 100,000 ranks in groups of eight stages: 12,500. Chips of two ranks are taken whole: of 10 ranks
// three groups of three would leave half a chip.
TEST(TrainingGroups, AsManyAsFit) {
    TrainingPlan plan;
    plan.pipeline_parallel = 8;
    EXPECT_EQ(groups_that_fit(plan, 100000, 1), 12500);
    plan.pipeline_parallel = 3;
    EXPECT_EQ(groups_that_fit(plan, 10, 2), 2);
    EXPECT_EQ(groups_that_fit(plan, 2, 1), 0);
}

}  // namespace
}  // namespace podsim
