// Routed experts that lie with the host: who stays, what misses, what comes over the link, what the
// host works on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/workloads/step_specs.hpp"
#include "workloads/expert_offload.hpp"

namespace podsim {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

// INT8 with a 4-byte scale a row: 3 x 7168 x 2048 + 4 (2 x 2048 + 7168).
constexpr double kExpert = 44085248;

// Eight ranks of 32 experts each, 48 sequences on each: 384 assignments a rank, so that all 32 are
// asked for. A quarter stays.
StepSpec offloaded(OffloadCompute compute = OffloadCompute::chip) {
    StepSpec spec = plain_step(8);
    ExpertOffload& offload = spec.experts.offload;
    offload.to = OffloadPlace::host;
    offload.resident = 0.25;
    offload.compute = compute;
    offload.host_memory = BytesPerSecond(50e9);
    offload.host_peak = FlopsPerSecond(10e12);
    return spec;
}

double part(const MemoryNeed& need, const std::string& name) {
    for (const auto& [known, size] : need.parts)
        if (known == name) return size.value();
    return 0;
}

const TableRead& read_of(const ServingStep& step, int task) {
    const auto body =
        static_cast<std::size_t>(step.program.tasks[static_cast<std::size_t>(task)].body);
    return std::get<TableRead>(step.program.operators[body].body);
}

TEST(ExpertOffload, WhatStaysIsWholeExpertsRoundedDown) {
    ExpertOffload offload;
    EXPECT_EQ(resident_slots(offload, 32), 32);
    offload.to = OffloadPlace::host;
    EXPECT_EQ(resident_slots(offload, 32), 0);
    offload.resident = 0.3;  // 9.6
    EXPECT_EQ(resident_slots(offload, 32), 9);
    offload.resident = 1;
    EXPECT_EQ(resident_slots(offload, 32), 32);
}

TEST(ExpertOffload, TheMostPopularStay) {
    StepSpec spec = offloaded();
    spec.experts.offload.resident = 0.5;
    ExpertLayout layout;
    layout.slots_per_rank = 4;
    layout.balances = {{1, {0.125, 0.5, 0.25, 0.125}, {1, 1, 1, 1}}};
    // Two tokens ask for sum of 1 - (1 - p)^2 = 0.75 + 0.4375 + 2 x 0.234375 = 1.65625 experts, of
    // which 0.46875 do not stay; a quarter of the rows is theirs.
    const MissShares missing = miss_shares(spec, layout, 2, 0);
    EXPECT_DOUBLE_EQ(missing.experts, 0.46875 / 1.65625);
    EXPECT_DOUBLE_EQ(missing.rows, 0.25);
    spec.experts.offload.hit_rate = 0.9;
    EXPECT_DOUBLE_EQ(miss_shares(spec, layout, 2, 0).experts, 1 - 0.9);
}

TEST(ExpertOffload, WithMorePopularityFewerMiss) {
    StepSpec spec = offloaded();
    spec.experts.popularity = Popularity::zipf;
    double before = 1;
    for (const double exponent : {0.0, 0.45, 1.0}) {
        spec.experts.zipf_exponent = exponent;
        const double missing = miss_shares(spec, expert_layout(spec), 8, 0).experts;
        EXPECT_LT(missing, before);
        if (exponent == 0) {
            EXPECT_NEAR(missing, 0.75, 1e-12);
        }
        before = missing;
    }
}

TEST(ExpertOffload, WeightsThatMissComeOverTheHostLinkBeforeTheirProducts) {
    const ServingStep step = build_step(offloaded());
    const std::vector<int> fetches = tasks_named(step.program, "host_link_experts");
    ASSERT_EQ(fetches.size(), 58u);
    // Three quarters of 32.
    EXPECT_DOUBLE_EQ(read_of(step, fetches.front()).rows, 24);
    EXPECT_DOUBLE_EQ(read_of(step, fetches.front()).row_bytes, kExpert);
    std::vector<int> waiting;  // tasks that wait for the first of them
    for (const Task& task : step.program.tasks) {
        if (std::find(task.after.begin(), task.after.end(), fetches.front()) != task.after.end())
            waiting.push_back(task.body);
    }
    ASSERT_EQ(waiting.size(), 1u);
    EXPECT_THAT(step.program.operators[static_cast<std::size_t>(waiting.front())].name,
                HasSubstr("expert_"));
    ASSERT_TRUE(step.offloaded);
    EXPECT_DOUBLE_EQ(step.offloaded->resident, 0.25);
    EXPECT_DOUBLE_EQ(step.offloaded->found, 0.25);
    EXPECT_DOUBLE_EQ(step.offloaded->fetched.value(), 58 * 24 * kExpert);
}

TEST(ExpertOffload, NobodyFetchesBeforeTheRouterUnlessALayerAhead) {
    StepSpec spec = offloaded();
    const auto after_of = [&](std::size_t layer) {
        const ServingStep step = build_step(spec);
        const int fetch = tasks_named(step.program, "host_link_experts")[layer];
        return step.program.tasks[static_cast<std::size_t>(fetch)].after;
    };
    const auto layer_of_router = [&](int task) {
        return build_step(spec).program.tasks[static_cast<std::size_t>(task)].layer;
    };
    ASSERT_EQ(after_of(1).size(), 1u);
    EXPECT_EQ(layer_of_router(after_of(1).front()), 4);  // its own: layers 0 to 2 are dense
    spec.experts.offload.prefetch = true;
    ASSERT_EQ(after_of(1).size(), 1u);
    EXPECT_EQ(layer_of_router(after_of(1).front()), 3);
    EXPECT_TRUE(after_of(0).empty());
}

TEST(ExpertOffload, MemoryHasWhatStaysAndWhatComesIn) {
    StepSpec spec = offloaded();
    const auto need = [&] { return step_memory(spec, expert_layout(spec)).front(); };
    EXPECT_DOUBLE_EQ(part(need(), "routed experts"), 58 * 8 * kExpert);
    EXPECT_DOUBLE_EQ(part(need(), "expert buffers"), 24 * kExpert);
    spec.experts.offload.prefetch = true;
    EXPECT_DOUBLE_EQ(part(need(), "expert buffers"), 2 * 24 * kExpert);
    spec.experts.offload.prefetch = false;
    spec.experts.offload.compute = OffloadCompute::host;
    EXPECT_DOUBLE_EQ(part(need(), "expert buffers"), 0);
    EXPECT_DOUBLE_EQ(all_experts(spec, expert_layout(spec)).value(), 58 * 256 * kExpert);
}

TEST(ExpertOffload, TheHostsProcessorsTakeWhatMisses) {
    const StepSpec spec = offloaded(OffloadCompute::host);
    const ServingStep step = build_step(spec);
    EXPECT_TRUE(tasks_named(step.program, "host_link_experts").empty());
    const std::vector<int> work = tasks_named(step.program, kHostExperts),
                           sent = tasks_named(step.program, "host_link_tokens_out");
    ASSERT_EQ(work.size(), 58u);
    // 24 experts of 44 MB at 50 GB/s take longer than 288 rows x 6 x 7168 x 2048 at 10 TFLOPS.
    EXPECT_DOUBLE_EQ(step.program.tasks[static_cast<std::size_t>(work.front())].host_time.value(),
                     24 * kExpert / 50e9);
    EXPECT_DOUBLE_EQ(read_of(step, sent.front()).rows, 288);
    EXPECT_THAT(step.program.tasks[static_cast<std::size_t>(work.front())].after,
                Contains(sent.front()));
    // The chip keeps 96 rows over 8 experts.
    const OffloadedExperts load =
        offloaded_experts(spec.experts.offload, {32, 12, 0}, {0.75, 0.75});
    EXPECT_EQ(load.on_chip, (ExpertRows{8, 12, 0}));
    // With little memory traffic the products count: 10,000 rows of one expert.
    StepSpec busy = spec;
    EXPECT_DOUBLE_EQ(host_time(busy, expert_layout(busy), {{}, 0, 1, 10000}).value(),
                     std::max(kExpert / 50e9, 2.0 * 3 * 10000 * 7168 * 2048 / 10e12));
}

TEST(ExpertOffload, ADraftModulesExpertsAreFetchedToo) {
    StepSpec spec = offloaded();
    spec.speculation = {1, 0.7};
    EXPECT_EQ(tasks_named(build_step(spec).program, "host_link_experts").size(), 59u);
    EXPECT_DOUBLE_EQ(all_experts(spec, expert_layout(spec)).value(), 59 * 256 * kExpert);
}

TEST(ExpertOffload, RefusesWhatItDoesNotModel) {
    const auto problem = [](const StepSpec& spec) {
        const auto problems = step_problems(spec);
        return problems.empty() ? std::string() : problems.front().key + problems.front().reason;
    };
    EXPECT_EQ(problem(offloaded()), "");
    StepSpec parts = offloaded();
    parts.mapping.micro_batches = 2;
    EXPECT_THAT(problem(parts), HasSubstr("experts.offload"));
    StepSpec fused = offloaded();
    fused.engine.expert_parts = 4;
    EXPECT_THAT(problem(fused), HasSubstr("expert_parts"));
    StepSpec dense = offloaded();
    make_dense(dense.model);
    dense.model.routed_experts = 0;
    EXPECT_THAT(problem(dense), HasSubstr("no experts"));
}

}  // namespace
}  // namespace podsim
