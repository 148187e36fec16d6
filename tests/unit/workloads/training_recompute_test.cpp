// Of each part of the model the first layers are computed again, the others keep all: memory and
// work by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/unit/workloads/training_jobs.hpp"
#include "workloads/training_need.hpp"
#include "workloads/training_pass.hpp"

namespace podsim {
namespace {

using testing::HasSubstr;

// Two stages of four layers.
TrainingPlan two_stages(const RecomputeChoice& recompute) {
    TrainingPlan plan;
    plan.pipeline_parallel = 2;
    plan.recompute = recompute;
    return plan;
}

PositionActivations first_part(const TrainingJob& job, const RecomputeChoice& recompute) {
    const TrainingPlan plan = two_stages(recompute);
    return activations_of(job, plan, positions_of(job, plan).front());
}

// A layer that is computed again keeps its input, 2 s h = 2 x 512 x 1024 bytes; K is what one keeps
// that is not. The last of N is worked on when those behind it are gone, so that there is room for
// what it makes again, K - 2 s h, as soon as one layer keeps all.
TEST(RecomputeLayers, HoldTheInputsOfTheFirstOnes) {
    const TrainingJob job = small_gpt();
    const double input = 2.0 * 512 * 1024;
    const double kept = first_part(job, RecomputePolicy::none).held.value() / 4;
    ASSERT_GT(kept, 10 * input);
    for (long n = 1; n <= 4; ++n) {
        const PositionActivations of = first_part(job, RecomputeChoice::of_layers(n));
        EXPECT_DOUBLE_EQ(of.held.value(),
                         static_cast<double>(n) * input + static_cast<double>(4 - n) * kept);
        EXPECT_DOUBLE_EQ(of.working.value(), n < 4 ? 0 : kept - input);
    }
    const PositionActivations full = first_part(job, RecomputePolicy::full);
    EXPECT_EQ(first_part(job, RecomputeChoice::of_layers(4)).held, full.held);
    EXPECT_EQ(first_part(job, RecomputeChoice::of_layers(4)).working, full.working);
}

// Where gradients of weights come later, 32 of 34 parts of what a layer keeps are still there when
// the one in front of it is computed again: with three that keep all, 3 x 2 / 34 of K are gone.
TEST(RecomputeLayers, HalvesOfABackwardPassLeaveLessRoom) {
    const TrainingJob job = small_gpt();
    TrainingPlan plan = two_stages(RecomputeChoice::of_layers(1));
    const double input = 2.0 * 512 * 1024;
    const double kept = first_part(job, RecomputePolicy::none).held.value() / 4;
    plan.schedule = ScheduleKind::zero_bubble_h1;
    TrainingPlan all = plan;
    all.recompute = RecomputePolicy::none;
    const double stays = activations_of(job, all, positions_of(job, all).front()).kept.value() / 4;
    const PositionActivations of = activations_of(job, plan, positions_of(job, plan).front());
    EXPECT_NEAR(of.working.value(), kept - input - 3 * (kept - stays), 1);
}

std::set<int> layers_again(const TrainingJob& job, const TrainingPlan& plan, std::size_t part) {
    PassRequest request;
    request.kind = PassKind::backward;
    request.position = positions_of(job, plan)[part];
    const Program program = build_pass(job, plan, request);
    std::set<int> layers;
    for (std::size_t id = 0; id < program.tasks.size(); ++id) {
        for (const int op : operators_of(program, static_cast<int>(id))) {
            // A product of the forward pass.
            if (program.operators[static_cast<std::size_t>(op)].name == "output_projection")
                layers.insert(program.tasks[id].layer);
        }
    }
    return layers;
}

TEST(RecomputeLayers, TheFirstOfEachPartRunAgain) {
    const TrainingJob job = small_gpt();
    EXPECT_EQ(layers_again(job, two_stages(RecomputePolicy::none), 0), std::set<int>{});
    EXPECT_EQ(layers_again(job, two_stages(RecomputeChoice::of_layers(1)), 0), (std::set<int>{0}));
    EXPECT_EQ(layers_again(job, two_stages(RecomputeChoice::of_layers(3)), 1),
              (std::set<int>{4, 5, 6}));
    EXPECT_EQ(layers_again(job, two_stages(RecomputePolicy::full), 1), (std::set<int>{4, 5, 6, 7}));
    // Of each part of a stage: two layers each, interleaved.
    TrainingPlan two_parts = two_stages(RecomputeChoice::of_layers(1));
    two_parts.schedule = ScheduleKind::interleaved;
    two_parts.more.positions_per_stage = 2;
    for (const int part : {0, 1, 2, 3})
        EXPECT_EQ(layers_again(job, two_parts, static_cast<std::size_t>(part)),
                  (std::set<int>{2 * part}));
}

TEST(RecomputeLayers, NoMoreThanAPartHas) {
    const TrainingJob job = small_gpt();
    const auto found = training_problems(job, two_stages(RecomputeChoice::of_layers(5)), 2);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found.front().key, "recompute_layers");
    EXPECT_THAT(found.front().reason, HasSubstr("5 of parts of at most 4 layers; 4 would do"));
    EXPECT_TRUE(training_problems(job, two_stages(RecomputeChoice::of_layers(4)), 2).empty());
    EXPECT_EQ(RecomputeChoice::of_layers(4).name(), "full of 4 layers");
    EXPECT_FALSE(RecomputeChoice::of_layers(4) == RecomputeChoice(RecomputePolicy::full));
}

// Plans that differ in it share no pass backwards, and all of them forwards.
TEST(RecomputeLayers, TellPlansApart) {
    EXPECT_NE(plan_key(two_stages(RecomputeChoice::of_layers(1))),
              plan_key(two_stages(RecomputeChoice::of_layers(2))));
    const TrainingJob job = small_gpt();
    const TrainingPlan plan = two_stages(RecomputeChoice::of_layers(1));
    const TrainingPosition part = positions_of(job, plan).front();
    EXPECT_NE(work_of(job, layer_of(part, 0)), work_of(job, layer_of(part, 1)));
}

TEST(RecomputeModules, AreThoseThatLayersHave) {
    using enum RecomputeModule;
    EXPECT_EQ(modules_of(small_gpt().model), (RecomputeModules{core_attn, layernorm, mlp}));
    EXPECT_EQ(modules_of(small_moe().model),
              (RecomputeModules{core_attn, layernorm, moe_act, moe}));
}

}  // namespace
}  // namespace podsim
