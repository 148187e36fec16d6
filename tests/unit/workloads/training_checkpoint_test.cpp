// Checkpoints from their bytes, by hand.
#include "workloads/training_checkpoint.hpp"

#include <gtest/gtest.h>

#include "tests/unit/workloads/training_jobs.hpp"

namespace podsim {
namespace {

// Weights in BF16, master weights and two moments in FP32: 14 bytes a parameter.
TEST(TrainingCheckpoint, EveryParameterOnce) {
    const TrainingJob job = small_gpt();
    TrainingPlan plan;
    const double parameters = held_by(job, plan, positions_of(job, plan)[0]).total();
    for (const int stage : {0, 1, 2, 3}) {
        plan.zero_stage = stage;
        plan.data_parallel = 4;
        const CheckpointBytes bytes = checkpoint_bytes(job, plan);
        EXPECT_DOUBLE_EQ(bytes.all.value(), 14 * parameters);
        EXPECT_DOUBLE_EQ(bytes.rank.value(), 14 * parameters / 4);
    }
    // Two directions hold all twice, and write it once.
    plan.zero_stage = 1;
    plan.pipeline_parallel = 4;
    plan.schedule = ScheduleKind::dual_pipe;
    EXPECT_NEAR(checkpoint_bytes(job, plan).all.value(), 14 * parameters, 1);
    // The last stage's head has the most: 32,000 x 1,024, the final norm, two layers of 12 h^2 + 4
    // h (norms, no biases).
    plan.schedule = ScheduleKind::one_forward_one_backward;
    const CheckpointBytes bytes = checkpoint_bytes(job, plan);
    EXPECT_NEAR(bytes.all.value(), 14 * parameters, 1);
    EXPECT_DOUBLE_EQ(bytes.rank.value(),
                     14 * held_by(job, plan, positions_of(job, plan).back()).total() / 4);
}

// Experts have replicas of their own: 8 of them on 4 of 8 ranks, each parameter still once.
TEST(TrainingCheckpoint, ExpertsOnce) {
    const TrainingJob job = small_moe();
    TrainingPlan plan;
    const HeldParameters whole = held_by(job, plan, positions_of(job, plan)[0]);
    plan.data_parallel = 8;
    plan.expert_parallel = 4;
    EXPECT_NEAR(checkpoint_bytes(job, plan).all.value(), 14 * whole.total(), 1);
}

constexpr CheckpointBytes kBytes{Bytes(6e12), Bytes(10e9)};
const CheckpointWays kWays{BytesPerSecond(50e9), BytesPerSecond(25e9), BytesPerSecond(100e9)};

// 6 TB, 10 GB a rank; storage takes 1 TB/s, the host link 50 GB/s.
TEST(TrainingCheckpoint, TimesByHand) {
    CheckpointForm form;
    form.to = CheckpointTarget::storage;
    form.bandwidth = BytesPerSecond(1e12);
    CheckpointSpec times = checkpoint_times(form, kBytes, kWays, false);
    EXPECT_DOUBLE_EQ(times.stall.value(), 6);
    EXPECT_DOUBLE_EQ(times.until_usable.value(), 0);
    EXPECT_DOUBLE_EQ(times.restore.value(), 6);
    form.asynchronous = true;
    times = checkpoint_times(form, kBytes, kWays, false);
    EXPECT_DOUBLE_EQ(times.stall.value(), 0.2);
    EXPECT_DOUBLE_EQ(times.until_usable.value(), 6);
    // Storage that is faster than the host links.
    form.asynchronous = false;
    form.bandwidth = BytesPerSecond(100e12);
    EXPECT_DOUBLE_EQ(checkpoint_times(form, kBytes, kWays, false).stall.value(), 0.2);
    // A pool over the fabric.
    form.to = CheckpointTarget::pool;
    form.bandwidth = BytesPerSecond(0.0);
    EXPECT_DOUBLE_EQ(checkpoint_times(form, kBytes, kWays, false).stall.value(), 0.1);
    // Copies in other ranks' memory: down the host link, then to another node and back.
    form.to = CheckpointTarget::host;
    times = checkpoint_times(form, kBytes, kWays, true);
    EXPECT_DOUBLE_EQ(times.stall.value(), 0.2);
    EXPECT_DOUBLE_EQ(times.until_usable.value(), 0.4);
    EXPECT_DOUBLE_EQ(times.restore.value(), 0.6);
    // What is given stays.
    form.stall = Seconds(3);
    form.stall_given = true;
    EXPECT_DOUBLE_EQ(checkpoint_times(form, kBytes, kWays, true).stall.value(), 3);
    form.to.reset();
    EXPECT_DOUBLE_EQ(checkpoint_times(form, kBytes, {}, false).restore.value(), 0);
}

TEST(TrainingCheckpoint, NeedsAWay) {
    CheckpointForm form;
    form.to = CheckpointTarget::pool;
    try {
        (void)checkpoint_times(form, kBytes, {}, true);
        FAIL();
    } catch (const RunProblem& error) {
        EXPECT_EQ(error.key, "memory_checkpoint.to");
        EXPECT_STREQ(error.what(), "a rank has no way to a memory pool");
    }
}

}  // namespace
}  // namespace podsim
