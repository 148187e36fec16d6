// Steps of models whose layers differ: every layer is run as its kind and keeps its own cache.
#include <gtest/gtest.h>

#include <map>

#include "tests/unit/models/layered_specs.hpp"
#include "tests/unit/workloads/step_specs.hpp"

namespace podsim {
namespace {

// 48 sequences on each of 4 ranks, experts divided over them.
StepSpec step_of(const ModelSpec& model) {
    StepSpec spec = plain_step(4);
    spec.model = model;
    spec.precision = Precision{};
    spec.context = 1000;
    return spec;
}

std::map<std::string, double> parts(const MemoryNeed& need) {
    std::map<std::string, double> named;
    for (const auto& [name, bytes] : need.parts) named[name] = bytes.value();
    return named;
}

// Matrix work of all ranks.
double whole_work(const Program& program) {
    double sum = 0;
    for (const Task& task : program.tasks) {
        if (task.kind != TaskKind::compute) continue;
        sum += at(program.classes, task.rank_class).count *
               matrix_work_of(at(program.operators, task.body).body).value();
    }
    return sum;
}

class LayeredStep : public testing::TestWithParam<ModelSpec (*)()> {
  protected:
    const ModelSpec model_ = GetParam()();
};
INSTANTIATE_TEST_SUITE_P(Models, LayeredStep,
                         testing::Values(small_windows, small_compressed, small_delta));

// A rank's 48 tokens through every layer; of 4 x 48 x k visits to experts a quarter is its own,
// evenly over those it holds.
TEST_P(LayeredStep, RunsEveryLayerAsItsKind) {
    const StepSpec spec = step_of(model_);
    const ServingStep step = build_step(spec);
    require_valid(step.program);
    const Precision bf16;
    const long slots = model_.routed_experts / 4;
    const long visits = 48 * model_.experts_per_token / slots;
    ASSERT_EQ(visits * slots, 48 * model_.experts_per_token);
    double sum = matrix_work(head_block(model_, bf16, 48, 1));
    for (const LayerKind& kind : model_.layers) {
        sum += matrix_work(attention_block(model_, bf16, {Phase::decode, 48, 1, 1000, 1}, kind)) +
               matrix_work(router_block(model_, bf16, 48, kind.hash_routed)) +
               matrix_work(expert_block(model_, bf16, slots, visits, "expert")) +
               matrix_work(expert_block(model_, bf16, 1, 48, "shared_expert"));
    }
    EXPECT_DOUBLE_EQ(whole_work(step.program), 4 * sum);
    EXPECT_EQ(step.stack_begin_layer, 0);
    EXPECT_EQ(step.stack_end_layer, layer_count(model_));
}

TEST_P(LayeredStep, HoldsTheCacheAndWeightsOfItsLayers) {
    StepSpec spec = step_of(model_);
    const WeightBytes held = weight_bytes(model_, spec.precision, 1);
    double weights = 0;
    for (const LayerKind& kind : model_.layers)
        weights += (at(held.attention, kind.attention) + held.norms).value();
    const double cache = 48 * cache_of(model_, 1000).bytes(spec.precision).value();
    auto whole = parts(build_step(spec).memory.front());
    EXPECT_DOUBLE_EQ(whole["KV cache"], cache);
    EXPECT_DOUBLE_EQ(whole["attention weights"], weights);

    spec.mapping.pipeline_parallel = 2;
    const ServingStep staged = build_step(spec);
    ASSERT_EQ(staged.memory.size(), 2u);
    auto first = parts(staged.memory[0]), last = parts(staged.memory[1]);
    EXPECT_DOUBLE_EQ(first["KV cache"] + last["KV cache"], cache);
    EXPECT_DOUBLE_EQ(first["attention weights"] + last["attention weights"], weights);
}

// The windows' layers take turns: three of 128 tokens, three of 1000, 2 x 2 x 16 elements each.
TEST(LayeredStepByHand, CacheOfWindows) {
    auto need = parts(build_step(step_of(small_windows())).memory.front());
    EXPECT_DOUBLE_EQ(need["KV cache"], 48.0 * 3 * (128 + 1000) * 64 * 2);
}

// Four residual streams go from stage to stage: 48 tokens in two batches, 4 x 256 elements.
TEST(LayeredStepByHand, StagesSendEveryStream) {
    StepSpec spec = step_of(small_compressed());
    spec.mapping.pipeline_parallel = 2;
    const Program program = build_step(spec).program;
    std::map<std::string, double> sizes;
    for (const auto& transfer : program.transfers) sizes[transfer.name] = transfer.size.value();
    ASSERT_EQ(sizes.count("stage send"), 1u);
    EXPECT_DOUBLE_EQ(sizes["stage send"], 24.0 * 4 * 256 * 2);
}

// Heads of all kinds divide: 8 and groups of 4.
TEST(LayeredStepByHand, TensorParallelIsRefusedForAnyKind) {
    StepSpec spec = step_of(small_compressed());
    spec.mapping.data_parallel = 1;
    spec.mapping.tensor_parallel = spec.mapping.expert_parallel = 8;
    EXPECT_EQ(refusal_of(spec).key, "mapping.tensor_parallel");
    spec = step_of(small_windows());
    spec.mapping.attention = AttentionSplit::sp_tp_sp;
    spec.mapping.data_parallel = 1;
    spec.mapping.tensor_parallel = 4;
    EXPECT_EQ(refusal_of(spec).key, "mapping.attention");
}

}  // namespace
}  // namespace podsim
