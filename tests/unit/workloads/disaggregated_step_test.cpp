// Attention and feed-forward blocks on pools of their own: what each does, holds and sends, and how
// micro-batches follow each other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/workloads/step_specs.hpp"
#include "workloads/disaggregated_step.hpp"
#include "workloads/ping_pong.hpp"
#include "workloads/step_parts.hpp"

namespace podsim {
namespace {

using ::testing::HasSubstr;

std::vector<PingPongBatch> equal_batches(int count, int layers, const PingPongLayer& layer) {
    PingPongBatch batch;
    batch.layers.assign(static_cast<std::size_t>(layers), layer);
    return {static_cast<std::size_t>(count), batch};
}

// Attention 10, way 2, experts 10, way 2, latency 1 each way: 26 a layer of one micro-batch.
constexpr PingPongLayer kLayer{Seconds(10.0), Seconds(2.0), Seconds(10.0), Seconds(2.0)};

TEST(PingPong, OneMicroBatchGoesToAndFro) {
    const PingPongTimes times = ping_pong(equal_batches(1, 5, kLayer), Seconds(1.0));
    EXPECT_DOUBLE_EQ(times.end.value(), 5 * 26.0);
    EXPECT_DOUBLE_EQ(times.attention.value(), 50);
    EXPECT_DOUBLE_EQ(times.feed_forward.value(), 50);
    EXPECT_DOUBLE_EQ(times.wire_there.value(), 10);
}

// Two: while one is away for 16 the other attends for 10, so that a layer still takes 26, and the
// second ends 10 later.
TEST(PingPong, TwoMicroBatchesLeaveGapsWhereTheWayIsLonger) {
    EXPECT_DOUBLE_EQ(ping_pong(equal_batches(2, 5, kLayer), Seconds(1.0)).end.value(),
                     5 * 26.0 + 10);
}

// Three: attention never waits. (T_a + T_f + 2 T_c) + T (m L - 1), MegaScale-Infer, equation 5.
TEST(PingPong, ThreeMicroBatchesFillBothPools) {
    const PingPongTimes times = ping_pong(equal_batches(3, 5, kLayer), Seconds(1.0));
    EXPECT_DOUBLE_EQ(times.end.value(), 26 + 10 * (3 * 5 - 1));
    EXPECT_DOUBLE_EQ(times.attention.value(), 150);
}

// With experts that take 30 they are what everything waits for: 10 + 3, then 30 each, then 3.
TEST(PingPong, TheSlowerPoolSetsThePace) {
    PingPongLayer slow = kLayer;
    slow.feed_forward = Seconds(30.0);
    EXPECT_DOUBLE_EQ(ping_pong(equal_batches(3, 5, slow), Seconds(1.0)).end.value(),
                     13 + 15 * 30.0 + 3);
    // A wire that is fuller than both pools.
    PingPongLayer full = kLayer;
    full.wire_there = Seconds(40.0);
    EXPECT_DOUBLE_EQ(ping_pong(equal_batches(3, 5, full), Seconds(1.0)).end.value(),
                     10 + 15 * 40.0 + 1 + 10 + 2 + 1);
}

// Sums, embedding and head are the attention pool's; layers on other stages are other servers.
TEST(PingPong, EndsAndStagesCount) {
    std::vector<PingPongBatch> one = equal_batches(1, 2, kLayer);
    one.front().enter = Seconds(3.0);
    one.front().leave = Seconds(4.0);
    for (PingPongLayer& layer : one.front().layers) layer.sum = Seconds(0.5);
    one.front().layers[1].stage = 1;
    const PingPongTimes times = ping_pong(one, Seconds(1.0));
    EXPECT_DOUBLE_EQ(times.end.value(), 3 + 2 * 26 + 2 * 0.5 + 4);
    EXPECT_DOUBLE_EQ(times.feed_forward.value(), 10);  // of two stages the mean
    EXPECT_DOUBLE_EQ(ping_pong({}, Seconds(1.0)).end.value(), 0);
}

// DeepSeek-R1: attention on 32 ranks with 64 sequences each, experts on 16 with 16 each.
DisaggregatedSpec r1_apart() {
    DisaggregatedSpec spec{plain_step(32), plain_step(16)};
    spec.attention.sequences_per_group = spec.feed_forward.sequences_per_group = 64;
    return spec;
}

double products(const Program& program) {
    double sum = 0;
    const auto add = [&](const Task& task, int op) {
        const OperatorBody& body = program.operators[static_cast<std::size_t>(op)].body;
        if (std::holds_alternative<VectorWork>(body)) return;
        sum += work_of(body).value() *
               program.classes[static_cast<std::size_t>(task.rank_class)].count;
    };
    for (const Task& task : program.tasks) {
        if (task.kind == TaskKind::compute) add(task, task.body);
        if (task.kind != TaskKind::pipeline) continue;
        for (const int op : program.pipelines[static_cast<std::size_t>(task.body)].operators)
            add(task, op);
    }
    return sum;
}

double products(const DisaggregatedStep& step) {
    double sum = products(step.enter) + products(step.leave);
    for (const int alike : step.layers) {
        const DisaggregatedLayer& layer = step.alike[static_cast<std::size_t>(alike)];
        sum += products(layer.attention) + products(layer.sum) + products(layer.feed_forward);
    }
    return sum;
}

// 2,048 tokens, 64 for each of 256 experts, 128 for each rank's part of dense and shared ones:
// nothing is rounded, and both pools together do what one pool of 32 ranks does.
TEST(DisaggregatedStep, BothPoolsDoTheModelsWork) {
    StepSpec together = plain_step(32);
    together.sequences_per_group = 64;
    const double whole = products(build_step(together).program);
    EXPECT_NEAR(products(build_disaggregated(r1_apart())), whole, 1e-9 * whole);
}

// Groups of four share each expert's width, and each dense layer's: the same work.
TEST(DisaggregatedStep, WidthsMayBeShared) {
    DisaggregatedSpec spec = r1_apart();
    spec.feed_forward.mapping.tensor_parallel = 4;
    spec.feed_forward.mapping.data_parallel = 4;
    const DisaggregatedStep step = build_disaggregated(spec);
    EXPECT_NEAR(products(step), products(build_disaggregated(r1_apart())), 1e-9 * products(step));
    const Program& moe = step.alike.back().feed_forward;
    ASSERT_EQ(tasks_named(moe, "token all-gather").size(), 1U);
    // 4 groups: 2,048 x 8 / 4 rows and 2,048 / 4 of the shared expert, INT8 with a scale.
    EXPECT_DOUBLE_EQ(moe.transfers.front().size.value(), (4096 + 512) * (7168 + 4.0));
}

// 64 tokens go to 8 experts and the shared one: 9 rows of 7,168 bytes and a scale; 16 bits back. Of
// a dense layer one row. A rank of 16 takes in a 16th of all.
TEST(DisaggregatedStep, WhatGoesBetweenThePools) {
    const DisaggregatedStep step = build_disaggregated(r1_apart());
    ASSERT_EQ(step.alike.size(), 2U);  // three dense layers, 58 with experts
    ASSERT_EQ(step.layers.size(), 61U);
    EXPECT_EQ(step.layers[2], 0);
    EXPECT_EQ(step.layers[3], 1);
    const DisaggregatedLayer &dense = step.alike[0], &moe = step.alike[1];
    EXPECT_DOUBLE_EQ(dense.sent.value(), 64 * 7172.0);
    EXPECT_DOUBLE_EQ(moe.sent.value(), 9 * 64 * 7172.0);
    EXPECT_DOUBLE_EQ(moe.returned.value(), 9 * 64 * 7168 * 2.0);
    EXPECT_DOUBLE_EQ(moe.received.value(), 32 * moe.sent.value() / 16);
    EXPECT_DOUBLE_EQ(moe.sent_back.value(), 32 * moe.returned.value() / 16);
    EXPECT_DOUBLE_EQ(moe.rows, 9 * 64);
}

// Unevenly asked experts: the busiest rank's way is the longer one, and it has more rows.
TEST(DisaggregatedStep, TheBusiestRankDecides) {
    DisaggregatedSpec spec = r1_apart();
    spec.feed_forward.experts.popularity = Popularity::zipf;
    spec.feed_forward.experts.zipf_exponent = 0.5;
    spec.feed_forward.experts.placement = ExpertPlacement::contiguous;
    const DisaggregatedStep step = build_disaggregated(spec);
    const DisaggregatedLayer& moe = step.alike[1];
    EXPECT_GT(moe.imbalance, 1.1);
    ASSERT_EQ(moe.feed_forward.classes.size(), 2U);
    EXPECT_EQ(moe.feed_forward.classes[0].count, 1);
    EXPECT_EQ(moe.feed_forward.classes[1].count, 15);
    EXPECT_NEAR(moe.received.value(), (moe.imbalance * 1024 + 128) * 7172, 1e-6 * 1024 * 7172);
}

// Stages of the feed-forward pool hold layers one after the other.
TEST(DisaggregatedStep, StagesHoldLayers) {
    DisaggregatedSpec spec = r1_apart();
    spec.feed_forward.mapping = {8, 1, 8, 2, 1};
    spec.feed_forward.mapping.pipeline_parallel = 2;
    spec.feed_forward.mapping.micro_batches = 1;
    const DisaggregatedStep step = build_disaggregated(spec);
    EXPECT_EQ(step.stages[30], 0);  // 31 and 30 of 61 layers
    EXPECT_EQ(step.stages[31], 1);
    EXPECT_EQ(step.alike[1].feed_forward.classes[0].count, 8);
}

double part_of(const MemoryNeed& need, const std::string& name) {
    for (const auto& [part, size] : need.parts) {
        if (part == name) return size.value();
    }
    return 0;
}

// Attention's rank holds what it holds of a whole model but for its FFNs; a rank of 16 has 16
// experts of 58 layers and the shared one, three dense FFNs and no cache.
TEST(DisaggregatedStep, WhoHoldsWhat) {
    const DisaggregatedSpec spec = r1_apart();
    StepSpec together = plain_step(32);
    together.sequences_per_group = 64;
    const MemoryNeed whole = build_step(together).memory.front();
    const MemoryNeed attention = attention_memory(spec), experts = feed_forward_memory(spec);
    for (const char* part : {"attention weights", "embedding and head", "KV cache", "router"})
        EXPECT_DOUBLE_EQ(part_of(attention, part), part_of(whole, part)) << part;
    for (const char* part : {"routed experts", "shared expert", "dense FFN weights"})
        EXPECT_EQ(part_of(attention, part), 0) << part;
    EXPECT_DOUBLE_EQ(part_of(experts, "routed experts"), 2 * part_of(whole, "routed experts"));
    EXPECT_DOUBLE_EQ(part_of(experts, "shared expert"), part_of(whole, "shared expert"));
    EXPECT_DOUBLE_EQ(part_of(experts, "dense FFN weights"), part_of(whole, "dense FFN weights"));
    EXPECT_EQ(part_of(experts, "KV cache"), 0);
    EXPECT_DOUBLE_EQ(part_of(experts, "exchange buffers"), 1152 * (7172 + 14336.0));
}

std::string refusal_of(const DisaggregatedSpec& spec) {
    try {
        build_disaggregated(spec);
    } catch (const StepError& error) {
        return error.what();
    }
    return "";
}

TEST(DisaggregatedStep, SaysWhatDoesNotWorkOut) {
    DisaggregatedSpec spec = r1_apart();
    EXPECT_EQ(refusal_of(spec), "");
    spec.feed_forward.mapping = {24, 1, 24, 1, 1};
    EXPECT_THAT(refusal_of(spec), HasSubstr("do not divide over 24 ranks"));
    spec = r1_apart();
    spec.feed_forward.mapping.tensor_parallel = 3;
    EXPECT_THAT(refusal_of(spec), HasSubstr("3 does not divide a width of 2048"));
    spec = r1_apart();
    spec.feed_forward.mapping.micro_batches = 2;
    EXPECT_THAT(refusal_of(spec), HasSubstr("the attention pool says how many"));
    spec = r1_apart();
    spec.feed_forward.experts.shared_ranks = 4;
    EXPECT_THAT(refusal_of(spec), HasSubstr("experts.shared_ranks"));
    spec = r1_apart();
    spec.attention.speculation = {1, 0.7};
    EXPECT_THAT(refusal_of(spec), HasSubstr("speculation is not modelled where"));
    spec = r1_apart();
    spec.attention.mapping.pipeline_parallel = 2;
    EXPECT_THAT(refusal_of(spec), HasSubstr("in place of stages"));
    spec = r1_apart();
    spec.attention.mapping.tensor_parallel = 7;
    EXPECT_THAT(refusal_of(spec), HasSubstr("mapping.tensor_parallel"));
    spec = r1_apart();
    spec.attention.mapping.micro_batches = 0;
    EXPECT_THAT(refusal_of(spec), HasSubstr("micro_batches is 0, expected at least 1"));
    // All that is wrong, each with its pool.
    spec.feed_forward.mapping.tensor_parallel = 0;
    const auto problems = disaggregated_problems(spec);
    ASSERT_EQ(problems.size(), 2U);
    EXPECT_FALSE(problems[0].of_feed_forward);
    EXPECT_TRUE(problems[1].of_feed_forward);
}

}  // namespace
}  // namespace podsim
