// A few layers that stand for all.
#include "sim/step_fold.hpp"

#include <gtest/gtest.h>

#include "models/model.hpp"
#include "sim/step_case.hpp"
#include "tests/unit/sim/experiment_cases.hpp"

namespace podsim {
namespace {

// 61 layers: three dense ones, then 58 alike. Two periods and three stand for them: 56 times the
// difference.
TEST(StepFold, LayersThatRepeatAreFound) {
    Catalog catalog(PODSIM_SOURCE_DIR "/configs");
    const auto model = [&](const char* name) {
        return read_model(catalog.load("model", name, {}, ""), name);
    };
    const auto r1 = fold_layers(model("deepseek-r1"), false);
    ASSERT_TRUE(r1.has_value());
    EXPECT_EQ(layer_count(r1->few), 5);
    EXPECT_EQ(layer_count(r1->more), 6);
    EXPECT_DOUBLE_EQ(r1->times, 56);
    const auto llama = fold_layers(model("llama-3.1-70b"), true);
    ASSERT_TRUE(llama.has_value());
    EXPECT_EQ(layer_count(llama->few), 4);
    EXPECT_DOUBLE_EQ(llama->times, 19);                                       // (80 - 4) / (8 - 4)
    EXPECT_FALSE(fold_layers(model("qwen3-32b-eagle3"), false).has_value());  // one layer
}

// Of every model that folds the step of all layers and the one of a few agree: to the rounding of
// picoseconds where layers follow each other, within 0.5 % where micro-batches overlap.
TEST(StepFold, FewLayersStandForAll) {
    for (const char* name :
         {"deepseek-r1", "llama-3.1-70b", "deepseek-v4-flash", "qwen3-30b-a3b"}) {
        for (const int parts : {1, 2}) {
            Catalog catalog = test_catalog();
            Node experiment = with(test_experiment(), "workload.model", name);
            experiment = with(experiment, "alternatives.A.mapping",
                              parts == 1 ? "{micro_batches: 1}" : "{micro_batches: 2}");
            const ResolvedExperiment resolved = resolve(experiment, catalog);
            const ResolvedAlternative& one = resolved.alternatives.front();
            const auto fold = fold_layers(*resolved.model, parts > 1);
            ASSERT_TRUE(fold.has_value()) << name;
            const auto seconds = [&](const ModelSpec& model) {
                ResolvedExperiment changed = resolved;
                changed.model = model;
                CostCache cache(hardware_of(one), one.kernels, Fidelity::tile, true,
                                RankState::busy);
                return StepCase(changed, one).run(16, cache, Driver::plain).iteration().value();
            };
            const double few = seconds(fold->few);
            const double folded = few + fold->times * (seconds(fold->more) - few);
            const double whole = seconds(*resolved.model);
            EXPECT_NEAR(folded / whole, 1, parts == 1 ? 1e-8 : 5e-3) << name << " " << parts;
        }
    }
}

}  // namespace
}  // namespace podsim
