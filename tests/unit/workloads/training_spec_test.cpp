// Parts of the model by hand, and what is said about plans that do not work out.
#include "workloads/training_spec.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/workloads/training_jobs.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

std::vector<long> counts(const TrainingJob& job, const TrainingPlan& plan) {
    std::vector<long> list;
    for (const TrainingPosition& one : positions_of(job, plan)) list.push_back(one.end - one.begin);
    return list;
}

TrainingPlan stages(int count) {
    TrainingPlan plan;
    plan.pipeline_parallel = count;
    return plan;
}

TEST(TrainingPositions, WhatDoesNotDivideGoesToTheMiddle) {
    TrainingJob job = small_gpt();
    EXPECT_EQ(counts(job, stages(4)), (std::vector<long>{2, 2, 2, 2}));
    // 8 = 6 x 1 + 2: the two in the middle of the first that have neighbours on both sides.
    EXPECT_EQ(counts(job, stages(6)), (std::vector<long>{1, 2, 2, 1, 1, 1}));
    // Llama 3 405B: 126 layers in 128 parts, the ends have the embedding and the head alone.
    EXPECT_EQ(counts(job, stages(10)), (std::vector<long>{0, 1, 1, 1, 1, 1, 1, 1, 1, 0}));
}

TEST(TrainingPositions, EndsHaveEmbeddingAndHead) {
    const auto list = positions_of(small_gpt(), stages(4));
    EXPECT_TRUE(list.front().embedding && !list.front().head);
    EXPECT_TRUE(list.back().head && !list.back().embedding);
    EXPECT_EQ(work_of(small_gpt(), list[1]), work_of(small_gpt(), list[2]));
    EXPECT_NE(work_of(small_gpt(), list[0]), work_of(small_gpt(), list[1]));
}

std::string problem(const TrainingJob& job, const TrainingPlan& plan, long ranks) {
    const auto found = training_problems(job, plan, ranks);
    return found.empty() ? "" : found.front().key + ": " + found.front().reason;
}

// The value that is named is the nearest with which nothing is wrong, and stands at its key.
TEST(TrainingProblems, TheNearestValueThatWorks) {
    const TrainingJob job = small_moe();
    TrainingPlan plan;
    plan.data_parallel = 16;
    plan.expert_parallel = 5;
    // 4 and 8 divide 16 ranks and 8 experts; 1 and 2 do too and are further away.
    EXPECT_EQ(problem(job, plan, 16),
              "mapping.expert_parallel: 5 x expert_tensor_parallel 1 does not divide the 16 ranks "
              "of a stage; 4 would");
    // 16 divides the ranks and not the experts.
    plan.expert_parallel = 16;
    EXPECT_EQ(problem(job, plan, 16),
              "mapping.expert_parallel: 16 ranks do not divide 8 routed experts; 8 would, or "
              "experts.redundant 8");
    TrainingJob filled = job;
    filled.experts.redundant = 8;
    EXPECT_EQ(problem(filled, plan, 16), "");
    // No number of ranks for experts mends a width of three.
    plan.expert_parallel = 4;
    plan.more.expert_tensor_parallel = 3;
    EXPECT_EQ(problem(job, plan, 16),
              "mapping.expert_tensor_parallel: 3 x expert_parallel 4 does not divide the 16 ranks "
              "of a stage; 2 would");
    plan.more.expert_tensor_parallel = 8;
    EXPECT_EQ(problem(job, plan, 16),
              "mapping.expert_parallel: 4 x expert_tensor_parallel 8 does not divide the 16 ranks "
              "of a stage; 2 would, or expert_tensor_parallel 4");
    plan = stages(4);
    plan.data_parallel = 4;
    plan.tensor_parallel = 3;
    plan.more.sequence_parallel = true;
    EXPECT_EQ(training_problems(job, plan, 16).back().reason,
              "3 does not divide 16 heads; 2 with data_parallel 2 would");
    // Of what multiplies to the ranks: all that alone would.
    TrainingPlan fewer = stages(2);
    fewer.data_parallel = 4;
    EXPECT_THAT(problem(small_gpt(), fewer, 16),
                HasSubstr("; data_parallel 8 would, or pipeline_parallel 4, or tensor_parallel 2, "
                          "or context_parallel 2"));
    // A schedule that cannot run the micro-batches: the nearest batches that it can.
    TrainingPlan both = stages(4);
    both.schedule = ScheduleKind::dual_pipe;
    TrainingJob few = small_gpt();
    few.global_batch = 7;
    EXPECT_THAT(problem(few, both, 4), HasSubstr("global_batch 8 would"));
    few.global_batch = 13;
    EXPECT_THAT(problem(few, both, 4), HasSubstr("global_batch 12 or 14 would"));
    TrainingPlan apart = stages(4);
    apart.schedule = ScheduleKind::zero_bubble_v;
    apart.more.positions_per_stage = 1;
    EXPECT_EQ(problem(small_gpt(), apart, 4),
              "mapping.positions_per_stage: 1, and zb-v has 2 of the model a stage; 2 would, or "
              "leave it away");
    TrainingPlan uneven = stages(4);
    uneven.more.layers = {1, 2, 3};
    EXPECT_THAT(problem(small_gpt(), uneven, 4), HasSubstr("[2, 2, 2, 2] would"));
    EXPECT_TRUE(training_problems(small_gpt(), uneven, 4, NearestValues::left_out)
                    .front()
                    .reason.ends_with("in 4"));
}

TEST(TrainingProblems, EachIsSaidWithWhatWouldDo) {
    const TrainingJob job = small_gpt();
    TrainingPlan plan = stages(4);
    plan.data_parallel = 2;
    EXPECT_EQ(problem(job, plan, 8), "");
    EXPECT_THAT(problem(job, plan, 16), HasSubstr("data_parallel 4 would"));
    plan.data_parallel = 3;
    EXPECT_THAT(problem(job, plan, 12), HasSubstr("63 or 66 would"));
    plan = stages(12);
    EXPECT_THAT(problem(job, plan, 12),
                HasSubstr("at most 10 would do; 6 with data_parallel 2 would"));
    TrainingJob wide = job;
    wide.scaling = NarrowScaling::micro;
    EXPECT_EQ(problem(wide, stages(4), 4),
              "scaling: micro is of operands of 8 bits and fewer, activations are bf16; "
              "precision.activations: fp8 would, or leave it away");
    wide.precision.activations = DType::fp8;
    EXPECT_EQ(problem(wide, stages(4), 4), "");
    TrainingJob odd = job;
    odd.experts.capacity_factor = 1.25;
    EXPECT_EQ(problem(odd, stages(4), 4), "experts.capacity_factor: is of experts; small has none");
    plan = stages(4);
    plan.zero_stage = 3;
    EXPECT_THAT(problem(job, plan, 4), HasSubstr("zero_stage: 3"));
    plan = stages(4);
    plan.schedule = ScheduleKind::dual_pipe;
    plan.micro_batch = 16;
    EXPECT_THAT(problem(job, plan, 4), HasSubstr("at least 8 micro-batches"));
    plan = stages(1);
    plan.tensor_parallel = 3;
    EXPECT_THAT(problem(job, plan, 3), HasSubstr("3 does not divide 16 heads; 2 would"));
    plan = stages(1);
    plan.data_parallel = 4;
    plan.expert_parallel = 2;
    EXPECT_THAT(problem(job, plan, 4), HasSubstr("has no experts"));
    plan.expert_parallel = 3;
    EXPECT_THAT(problem(small_moe(), plan, 4), HasSubstr("does not divide the 4 ranks"));
}

// What is named is all that is wrong: experts want tokens divided too, no batch is beyond what a
// file may say.
TEST(TrainingProblems, WhatIsNamedIsEnough) {
    const TrainingJob job = small_moe();
    TrainingPlan plan;
    plan.tensor_parallel = plan.data_parallel = plan.expert_parallel = 4;
    plan.more.expert_tensor_parallel = 3;
    EXPECT_EQ(problem(job, plan, 16),
              "mapping.expert_tensor_parallel: 3 x expert_parallel 4 does not divide the 16 ranks "
              "of a stage; 2 with sequence_parallel: true would");
    plan.more.expert_tensor_parallel = 2;
    plan.more.sequence_parallel = true;
    EXPECT_EQ(problem(job, plan, 16), "");
    plan = stages(4);
    plan.data_parallel = 16;
    plan.micro_batch = 1'000'000'000;
    EXPECT_THAT(problem(small_gpt(), plan, 64), HasSubstr("; micro_batch 4 would"));
    plan.micro_batch = 4;
    EXPECT_EQ(problem(small_gpt(), plan, 64), "");
}

}  // namespace
}  // namespace podsim
