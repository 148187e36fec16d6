// Conditional memory in a step: rows are asked for at once, beside everything else, and the layers
// that use them wait.
#include <gtest/gtest.h>

#include "tests/unit/models/layered_specs.hpp"
#include "tests/unit/workloads/step_specs.hpp"

namespace podsim {
namespace {

// 48 sequences on each of 4 ranks; layers 1 and 2 look up 8 heads x (2-grams and 3-grams).
StepSpec with_memory() {
    StepSpec spec = plain_step(4);
    spec.model = small_compressed();
    spec.precision = Precision{};
    spec.context = 1000;
    spec.model.engram = {{1, 2}, 3, 8, 640, 4, {1000, 1000}};
    for (const std::size_t layer : {1u, 2u}) spec.model.layers.at(layer).engram = true;
    return spec;
}

TEST(ConditionalMemory, IsLookedUpOnceAndWaitedFor) {
    const ServingStep step = build_step(with_memory());
    require_valid(step.program);
    int reads = 0, gates = 0;
    for (std::size_t i = 0; i < step.program.tasks.size(); ++i) {
        const Task& task = step.program.tasks[i];
        const std::string name = name_of(step.program, task);
        if (name == "engram_look_up") {
            ++reads;
            EXPECT_TRUE(task.after.empty());
            EXPECT_EQ(step.program.streams.at(static_cast<std::size_t>(task.stream)).name,
                      "table look-ups");
            // 48 tokens x 2 layers x 16 rows of 640 / 8 elements of 2 B.
            const auto& read = std::get<TableRead>(
                step.program.operators.at(static_cast<std::size_t>(task.body)).body);
            EXPECT_EQ(read.rows, 48 * 2 * 16);
            EXPECT_EQ(read.row_bytes, 160);
        }
        if (name != "engram_value_projection") continue;
        ++gates;
        bool waits = false;
        for (const int before : task.after) {
            waits = waits || name_of(step.program,
                                     step.program.tasks.at(static_cast<std::size_t>(before))) ==
                                 "engram_look_up";
        }
        EXPECT_TRUE(waits);
    }
    const int classes = static_cast<int>(step.program.classes.size());
    EXPECT_EQ(reads, classes);
    EXPECT_EQ(gates, 2 * classes);
}

// Projections of value and of a key for each of 4 residual streams, three norms and four taps a
// stream's element, in BF16: (1 + 4) x 1280 + 7 x 4, times hidden.
TEST(ConditionalMemory, WeightsAreHeldAndTablesAreNot) {
    StepSpec spec = with_memory();
    const auto held = [&spec] { return build_step(spec).memory.front().parts.front(); };
    const auto with = held();
    EXPECT_EQ(with.first, "attention weights");
    for (LayerKind& layer : spec.model.layers) layer.engram = false;
    spec.model.engram = {};
    const double hidden = static_cast<double>(spec.model.hidden);
    ASSERT_EQ(spec.model.streams, 4);
    EXPECT_EQ((with.second - held().second).value(), 2 * 2 * hidden * (5 * 1280 + 7 * 4));
}

}  // namespace
}  // namespace podsim
