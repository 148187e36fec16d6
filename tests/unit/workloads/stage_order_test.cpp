// The order in which two micro-batches' kernels share a stream.
#include "workloads/stage_order.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/unit/workloads/step_specs.hpp"

namespace podsim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Two ahead: the first part's stages 0, 1 and 2 come before the second's 0; then they alternate.
TEST(StageTurns, ThePartsAlternateOnceTheFirstIsAhead) {
    const StageTurns turns{2, 2};
    EXPECT_EQ(turns.turn(0, 0), 0);
    EXPECT_EQ(turns.turn(2, 0), 4);
    EXPECT_EQ(turns.turn(0, 1), 5);
    EXPECT_EQ(turns.turn(3, 0), 6);
    EXPECT_EQ(turns.turn(1, 1), 7);
    const StageTurns together{2, 0};
    EXPECT_EQ(together.turn(0, 1), 1);
    EXPECT_EQ(together.turn(1, 0), 2);
}

// Kernels a0, a1 of one part and b0, b1 of the other, b0's dispatch between them: a0 b0 a1 b1 is
// the order of turns 0, 1, 2, 3, and the transfer of turn 1 is enqueued behind b0.
struct SmallProgram {
    Program program;
    std::vector<int> turns;

    SmallProgram() {
        program.classes = {{"ranks", 1}};
        program.streams = {{"compute", 1.0}, {"transfers", 1.0}};
        add("a0", 0, 0, {});
        add("a1", 2, 0, {0});
        add("b0", 1, 0, {});
        const int dispatch = add("", 1, 1, {2});
        program.tasks.back().kind = TaskKind::transfer;
        program.tasks.back().body = 0;
        program.instances.push_back({0, {dispatch}});
        add("b1", 3, 0, {dispatch});
    }

    int add(const std::string& name, int turn, int stream, std::vector<int> after) {
        Task task;
        task.kind = TaskKind::host;
        task.name = name;
        task.stream = stream;
        task.after = std::move(after);
        program.tasks.push_back(std::move(task));
        turns.push_back(turn);
        return static_cast<int>(program.tasks.size()) - 1;
    }
};

TEST(OrderByTurn, AKernelWaitsForTheOneEnqueuedBeforeIt) {
    SmallProgram small;
    order_by_turn(small.program, small.turns, 0);
    const std::vector<Task>& tasks = small.program.tasks;
    ASSERT_EQ(tasks.size(), 5U);
    EXPECT_EQ(tasks[0].name, "a0");
    EXPECT_EQ(tasks[1].name, "b0");
    EXPECT_EQ(tasks[2].kind, TaskKind::transfer);
    EXPECT_EQ(tasks[3].name, "a1");
    EXPECT_EQ(tasks[4].name, "b1");
    EXPECT_THAT(tasks[0].after, IsEmpty());
    EXPECT_THAT(tasks[1].after, ElementsAre(0));     // a0, which has nothing to do with it
    EXPECT_THAT(tasks[2].after, ElementsAre(1));     // b0: as before, not twice
    EXPECT_THAT(tasks[3].after, ElementsAre(0, 1));  // a0, and b0 in between; not the transfer
    EXPECT_THAT(tasks[4].after, ElementsAre(2, 3));
    EXPECT_THAT(small.program.instances[0].tasks, ElementsAre(2));
}

TEST(OrderByTurn, RefusesATurnBeforeWhatItWaitsFor) {
    SmallProgram small;
    small.turns[4] = 0;  // b1 before the dispatch
    try {
        order_by_turn(small.program, small.turns, 0);
        FAIL() << "accepted";
    } catch (const std::invalid_argument& error) {
        EXPECT_THAT(error.what(), HasSubstr("task 4 of turn 0 waits for one of a later turn"));
    }
    small.turns.pop_back();
    EXPECT_THROW(order_by_turn(small.program, small.turns, 0), std::invalid_argument);
}

StepSpec staged_step() {
    StepSpec spec = plain_step(32);
    spec.mapping.micro_batches = 2;
    spec.engine.order = KernelOrder::staged;
    return spec;
}

// Names of the kernels from the first one named `from` of micro-batch 0 in `layer` up to the next,
// those of micro-batch 1 with a star; a stretch of one micro-batch gives its first and last name.
std::vector<std::string> stretches(const ServingStep& step, const std::string& from, int layer) {
    std::vector<std::string> result;
    int part = -1;
    bool inside = false;
    std::string last;
    for (const Task& task : step.program.tasks) {
        if (task.kind == TaskKind::transfer || task.kind == TaskKind::host) continue;
        const std::string name = name_of(step.program, task);
        if (task.micro_batch == 0 && name == from && task.layer >= layer) {
            if (inside) break;
            inside = true;
        }
        if (!inside) continue;
        if (task.micro_batch != part) {
            if (!last.empty()) result.back() += " .. " + last;
            result.push_back((task.micro_batch == 1 ? "*" : "") + name);
        }
        part = task.micro_batch;
        last = name;
    }
    result.back() += " .. " + last;
    return result;
}

// The order of deepseek_blog_decode: while one micro-batch's tokens are under way to the experts
// the other projects, while its results come back the other attends and routes.
TEST(StagedStep, DecodeTakesTurnsAsSGLangDoes) {
    const ServingStep step = build_step(staged_step());
    EXPECT_THAT(
        stretches(step, "shared_expert_gate_up", 10),
        ElementsAre("shared_expert_gate_up .. shared_expert_down",
                    "*attention_norm .. absorbed_query_product", "expert_gate_up .. expert_down",
                    "*latent_attention .. dispatch_quantise", "combine_sum .. combine_sum",
                    "*shared_expert_gate_up .. shared_expert_down",
                    "attention_norm .. absorbed_query_product", "*expert_gate_up .. expert_down",
                    "latent_attention .. dispatch_quantise", "*combine_sum .. combine_sum"));
}

// In a prefill the shared expert runs while the results come back, and no attention is cut.
TEST(StagedStep, PrefillTakesThreeTurnsALayer) {
    StepSpec spec = staged_step();
    spec.phase = Phase::prefill;
    spec.prompt = spec.context = 4096;
    spec.sequences_per_group = 4;
    const ServingStep step = build_step(spec);
    EXPECT_THAT(stretches(step, "expert_gate_up", 10),
                ElementsAre("expert_gate_up .. expert_down", "*expert_gate_up .. expert_down",
                            "shared_expert_gate_up .. dispatch_quantise",
                            "*shared_expert_gate_up .. dispatch_quantise"));
}

// A dispatch is sent by a kernel: before the shared expert, and behind the other micro-batch's sum,
// whose combine must be there first. A combine follows its own experts.
TEST(StagedStep, ADispatchIsEnqueuedToo) {
    const ServingStep step = build_step(staged_step());
    const auto before = [&](const std::string& transfer) {
        std::vector<std::string> names;
        for (const Task& task : step.program.tasks) {
            if (task.layer != 10 || task.micro_batch != 1 ||
                name_of(step.program, task) != transfer) {
                continue;
            }
            for (const int id : task.after) {
                const Task& other = step.program.tasks[static_cast<std::size_t>(id)];
                names.push_back(name_of(step.program, other) + (other.micro_batch == 1 ? "*" : ""));
            }
        }
        return names;
    };
    EXPECT_THAT(before("dispatch"), ElementsAre("dispatch_quantise*", "combine_sum"));
    EXPECT_THAT(before("combine"), ElementsAre("expert_down*"));
}

// Only the order differs: as many tasks of each name, and the host at the end.
TEST(StagedStep, DoesTheSameWork) {
    StepSpec spec = staged_step();
    const ServingStep staged = build_step(spec);
    spec.engine.order = KernelOrder::earliest;
    const ServingStep earliest = build_step(spec);
    const auto names = [](const ServingStep& step) {
        std::vector<std::string> result;
        for (const Task& task : step.program.tasks) result.push_back(name_of(step.program, task));
        std::sort(result.begin(), result.end());
        return result;
    };
    EXPECT_EQ(names(staged), names(earliest));
    EXPECT_EQ(staged.program.tasks.back().kind, TaskKind::host);
}

// With one micro-batch there is nobody to take turns with.
TEST(StagedStep, OneMicroBatchIsAChain) {
    StepSpec spec = staged_step();
    spec.mapping.micro_batches = 1;
    const ServingStep staged = build_step(spec);
    spec.engine.order = KernelOrder::earliest;
    const ServingStep earliest = build_step(spec);
    ASSERT_EQ(staged.program.tasks.size(), earliest.program.tasks.size());
    for (std::size_t i = 0; i < staged.program.tasks.size(); ++i)
        EXPECT_EQ(staged.program.tasks[i].after, earliest.program.tasks[i].after);
}

}  // namespace
}  // namespace podsim
